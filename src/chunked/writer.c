/* SPDX-License-Identifier: Apache-2.0 */
/* Writes zstd:chunked blobs (writer.h). Each byte of the tar goes into a frame and, but for the content of files, into the
 * tar-split; headers also become the entries of the TOC. Where frames begin in the blob is known at the end, so until then a chunk
 * has the number of its frame in place of its offset. */
#include "chunked/writer.h"
#include "archive/unpack/parse.h"
#include "archive/unpack/record.h"
#include "base/types.h"
#include "chunked/chunker.h"
#include "chunked/frames.h"
#include "codec/compress.h"
#include <endian.h>

struct chunked_writer {
	struct unpack_options options;
	struct unpack_parser parser;
	struct op_sink ops;
	struct arena arena; /* of one call */

	cst_sink blob; /* the caller's */
	uint64_t blob_size, diff_size;
	struct digester *blob_digester, *diff_digester;

	struct recorder recorder;
	struct compressor *tarsplit_compressor;
	struct digester
	        *tarsplit_digester; /* if only the TOC is made: nobody keeps the tar-split */
	cst_memory tarsplit;
	uint64_t tarsplit_size; /* not compressed */
	struct strbuf json;     /* the TOC */

	struct frames *frames; /* NULL: only the TOC is made */
	uint64_t position;     /* in the tar, without frames */
	struct toc *toc;
	struct toc_entry *entry; /* the current one */
	char type;               /* of the last header, as it is written */
	struct chunker chunker;
	struct digester *file_digester, *chunk_digester; /* NULL: nothing yet */
	uint64_t in_file, in_chunk;
};

void chunked_writer_free(struct chunked_writer *w)
{
	if (!w)
		return;
	unpack_parser_free(&w->parser);
	recorder_free(&w->recorder);
	compressor_free(w->tarsplit_compressor);
	frames_free(w->frames);
	toc_free(w->toc);
	digester_free(w->blob_digester);
	digester_free(w->diff_digester);
	digester_free(w->tarsplit_digester);
	digester_free(w->file_digester);
	digester_free(w->chunk_digester);
	free(w->tarsplit.data);
	strbuf_free(&w->json);
	arena_clear(&w->arena);
	free(w);
}

static int blob_write(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct chunked_writer *w = userdata;
	digester_update(w->blob_digester, data, n);
	w->blob_size += n;
	return sink_write(&w->blob, data, n, error);
}

static int tarsplit_write(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct chunked_writer *w = userdata;
	w->tarsplit_size += n;
	if (w->frames)
		return compressor_write(w->tarsplit_compressor, data, n, error);
	digester_update(w->tarsplit_digester, data, n);
	return 0;
}

/* ---- the stream of the blob ---- */

static int put(struct chunked_writer *w, const void *data, size_t n, cst_error **error)
{
	w->position += n;
	return w->frames ? frames_write(w->frames, data, n, error) : 0;
}

static int cut(struct chunked_writer *w, cst_error **error)
{
	return w->frames ? frames_cut(w->frames, error) : 0;
}

/* Where the next byte goes: until the blob has its end, the number of its frame. */
static uint64_t place(const struct chunked_writer *w)
{
	return w->frames ? frames_number(w->frames) : w->position;
}

/* ---- content ---- */

/* The raw digest; the digester is used up. */
static int finish_digest(struct digester **digester, uint8_t ret[TOC_DIGEST_SIZE],
                         cst_error **error)
{
	char text[DIGEST_TEXT_MAX];
	int r = digester_finish(*digester, text, error);
	digester_free(*digester);
	*digester = NULL;
	if (r == 0)
		toc_digest_parse(text, ret);
	return r;
}

/* Each chunk is a frame, and what was before it in the stream, too. */
static int begin_chunk(struct chunked_writer *w, cst_error **error)
{
	struct toc *toc = w->toc;
	struct toc_chunk *grown = grow_array(toc->chunks, &toc->chunks_capacity, toc->n_chunks + 1,
	                                     sizeof(*toc->chunks));
	if (!grown)
		return error_oom(error);
	toc->chunks = grown;
	int r = cut(w, error);
	if (r == 0)
		r = digester_new(DIGEST_SHA256, &w->chunk_digester, error);
	if (r < 0)
		return r;
	toc->chunks[toc->n_chunks++] =
	        (struct toc_chunk){.offset = place(w), .file_offset = w->in_file};
	w->entry->n_chunks++;
	w->in_chunk = 0;
	return 0;
}

static int take_data(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct chunked_writer *w = userdata;
	int r = w->chunk_digester ? 0 : begin_chunk(w, error);
	if (r == 0 && !w->file_digester)
		r = digester_new(DIGEST_SHA256, &w->file_digester, error);
	if (r < 0)
		return r;
	digester_update(w->chunk_digester, data, n);
	digester_update(w->file_digester, data, n);
	w->in_chunk += n;
	w->in_file += n;
	return put(w, data, n, error);
}

static int take_cut(void *userdata, bool zeros, cst_error **error)
{
	struct chunked_writer *w = userdata;
	struct toc_chunk *chunk = &w->toc->chunks[w->toc->n_chunks - 1];
	chunk->zeros = zeros;
	chunk->size = w->in_chunk;
	chunk->end = w->position;
	int r = cut(w, error);
	return r == 0 ? finish_digest(&w->chunk_digester, chunk->digest, error) : r;
}

/* ---- entries ---- */

/* What RFC 3339 can say. */
#define YEAR_0    INT64_C(-62167219200)
#define YEAR_9999 INT64_C(253402300799)

static bool time_fits(const struct timespec *time)
{
	return time->tv_sec >= YEAR_0 && time->tv_sec <= YEAR_9999;
}

/* NULL: a TOC can hold it. */
static const char *why_not(const struct entry *e, char type)
{
	const struct tar_header *h = &e->header;
	if (h->type < '0' || h->type > '6' || type == '7')
		return "a TOC cannot hold a global header, a label or a contiguous file";
	if (!e->record_line)
		return "a TOC cannot hold two entries of one name";
	if (h->is_sparse)
		return "a TOC cannot hold a sparse file of a tar";
	if (!*h->name)
		return "it has no name";
	if (!utf8_valid(h->name, strlen(h->name)) || !utf8_valid(h->linkname, strlen(h->linkname)))
		return "a TOC cannot hold a name that is not UTF-8";
	for (size_t i = 0; i < h->n_xattrs; i++)
		if (!utf8_valid(h->xattrs[i].name, strlen(h->xattrs[i].name)))
			return "a TOC cannot hold an extended attribute whose name is not UTF-8";
	if (!time_fits(&h->mtime) || !time_fits(&h->atime) || !time_fits(&h->ctime))
		return "a TOC cannot hold a time before year 0 or behind year 9999";
	if (h->recorded_mode < 0 || h->recorded_size < 0)
		return "a number below zero";
	return NULL;
}

static struct toc_time time_of(const struct timespec *time, bool known)
{
	return (struct toc_time){time->tv_sec, (uint32_t)time->tv_nsec,
	                         known && time->tv_sec != TOC_TIME_ZERO};
}

static void copy_xattrs(struct toc_entry *entry, const struct tar_header *h, struct arena *arena)
{
	if (h->n_xattrs == 0)
		return;
	struct toc_xattr *xattrs = arena_alloc(arena, h->n_xattrs * sizeof(*xattrs));
	for (size_t i = 0; xattrs && i < h->n_xattrs; i++)
		xattrs[i] = (struct toc_xattr){
		        arena_strdup(arena, h->xattrs[i].name),
		        arena_strndup(arena, h->xattrs[i].value, h->xattrs[i].len),
		        h->xattrs[i].len};
	if (arena->failed)
		return;
	entry->n_xattrs = toc_sort_xattrs(xattrs, h->n_xattrs);
	entry->xattrs = xattrs;
}

static int begin_entry(struct chunked_writer *w, const struct entry *e, cst_error **error)
{
	struct toc *toc = w->toc;
	const struct tar_header *h = &e->header;
	const char *problem = why_not(e, w->type);
	if (problem)
		return error_set(error, CST_ENOTSUP, "%s: %s", h->name, problem);
	struct toc_entry *grown = grow_array(toc->entries, &toc->entries_capacity,
	                                     toc->n_entries + 1, sizeof(*toc->entries));
	if (!grown)
		return error_oom(error);
	toc->entries = grown;
	w->entry = &toc->entries[toc->n_entries++];
	*w->entry = (struct toc_entry){.name = arena_strdup(&toc->arena, h->name),
	                               .linkname = arena_strdup(&toc->arena, h->linkname),
	                               .type = h->type,
	                               .uid = h->uid,
	                               .gid = h->gid,
	                               .devmajor = h->devmajor,
	                               .devminor = h->devminor,
	                               .mode = h->recorded_mode,
	                               .size = (uint64_t)h->recorded_size,
	                               .mtime = time_of(&h->mtime, true),
	                               .atime = time_of(&h->atime, h->has_atime),
	                               .ctime = time_of(&h->ctime, h->has_ctime),
	                               .first_chunk = (uint32_t)toc->n_chunks};
	copy_xattrs(w->entry, h, &toc->arena);
	chunker_init(&w->chunker);
	w->in_file = 0;
	return toc->arena.failed ? error_oom(error) : 0;
}

static int end_entry(struct chunked_writer *w, const struct chunker_sink *sink, cst_error **error)
{
	int r = chunker_finish(&w->chunker, sink, error);
	return r == 0 && w->file_digester
	               ? finish_digest(&w->file_digester, w->entry->digest, error)
	               : r;
}

static int take_op(struct op_sink *ops, struct op *op, cst_error **error)
{
	struct chunked_writer *w =
	        (struct chunked_writer *)((char *)ops - offsetof(struct chunked_writer, ops));
	const struct chunker_sink content = {take_data, take_cut, w};
	int r = 0;
	switch (op->kind) {
	case OP_ENTRY: r = begin_entry(w, op->entry, error); break;
	case OP_BODY: r = chunker_feed(&w->chunker, op->data, op->len, &content, error); break;
	case OP_BODY_END: r = end_entry(w, &content, error); break;
	case OP_RAW:
		if (op->len >= TAR_BLOCK)
			w->type = ((const char *)op->data)[op->len - TAR_BLOCK + 156];
		__attribute__((fallthrough));
	case OP_TRAILER: r = put(w, op->data, op->len, error); break;
	}
	return r == 0 ? recorder_take(&w->recorder, op, error) : r;
}

/* ---- the stream ---- */

static int begin_blob(struct chunked_writer *w, int level, const cst_sink *blob, cst_error **error)
{
	const cst_sink counted = {.write = blob_write, .userdata = w};
	const cst_sink memory = cst_sink_memory(&w->tarsplit);
	w->blob = *blob;
	int r = frames_new(level, &counted, &w->frames, error);
	if (r == 0)
		r = compressor_new(CST_ZSTD, &memory, &w->tarsplit_compressor, error);
	if (r == 0)
		r = digester_new(DIGEST_SHA256, &w->blob_digester, error);
	if (r == 0)
		r = digester_new(DIGEST_SHA256, &w->diff_digester, error);
	return r;
}

int chunked_writer_new(int level, const cst_sink *blob, struct chunked_writer **ret,
                       cst_error **error)
{
	_cleanup_(chunked_writer_freep) struct chunked_writer *w = new0(struct chunked_writer, 1);
	if (w)
		w->toc = new0(struct toc, 1);
	if (!w || !w->toc)
		return error_oom(error);
	/* Of the descriptor the parser asks only if there is one. */
	w->options = (struct unpack_options){.whiteouts = UNPACK_WHITEOUT_KEEP, .tarsplit_fd = 0};
	w->ops = (struct op_sink){.take = take_op, .arena = &w->arena};
	const cst_sink lines = {.write = tarsplit_write, .userdata = w};
	int r = unpack_parser_init(&w->parser, &w->options, error);
	if (r == 0)
		r = tarsplit_writer_new_plain(&lines, &w->recorder.writer, error);
	if (r == 0)
		r = blob ? begin_blob(w, level, blob, error)
		         : digester_new(DIGEST_SHA256, &w->tarsplit_digester, error);
	if (r == 0)
		*ret = steal_ptr(&w);
	return r;
}

int chunked_writer_write(struct chunked_writer *w, const void *data, size_t n, cst_error **error)
{
	if (w->diff_digester)
		digester_update(w->diff_digester, data, n);
	w->diff_size += n;
	int r = unpack_parse(&w->parser, data, n, &w->ops, error);
	arena_clear(&w->arena); /* nothing but the current ops was in it */
	return r;
}

/* ---- the end ---- */

static void place_chunks(struct chunked_writer *w)
{
	for (size_t i = 0; i < w->toc->n_chunks; i++) {
		struct toc_chunk *chunk = &w->toc->chunks[i];
		size_t number = (size_t)chunk->offset;
		chunk->offset = frames_offset(w->frames, number);
		chunk->end = frames_offset(w->frames, number + 1);
	}
}

/* A frame that decoders skip. *offset: where its data is. */
static int write_skippable(struct chunked_writer *w, const void *data, size_t n, uint64_t *offset,
                           cst_error **error)
{
	uint32_t header[2] = {htole32(SKIPPABLE_MAGIC), htole32((uint32_t)n)};
	_Static_assert(sizeof(header) == SKIPPABLE_HEADER, "magic and length");
	if (n > UINT32_MAX)
		return error_set(error, CST_ENOTSUP,
		                 "a part of the blob is too long for its frame");
	int r = blob_write(w, header, sizeof(header), error);
	*offset = w->blob_size;
	return r == 0 ? blob_write(w, data, n, error) : r;
}

static int compress(const struct strbuf *plain, cst_memory *ret, cst_error **error)
{
	const cst_sink memory = cst_sink_memory(ret);
	_cleanup_(compressor_freep) struct compressor *zstd = NULL;
	int r = compressor_new(CST_ZSTD, &memory, &zstd, error);
	if (r == 0)
		r = compressor_write(zstd, plain->data, plain->len, error);
	return r == 0 ? compressor_finish(zstd, error) : r;
}

static int print_toc(struct chunked_writer *w, cst_error **error)
{
	int r = toc_print(w->toc, &w->json, error);
	if (r == 0 && w->json.len > TOC_SIZE_MAX)
		r = error_set(error, CST_ENOTSUP,
		              "the TOC has %zu bytes: no reader takes more than %llu", w->json.len,
		              (unsigned long long)TOC_SIZE_MAX);
	return r;
}

static int write_toc(struct chunked_writer *w, struct toc_place *place, cst_error **error)
{
	cst_memory packed = {0};
	int r = digest_buffer(DIGEST_SHA256, w->tarsplit.data, w->tarsplit.size,
	                      w->toc->tarsplit_digest, error);
	if (r == 0)
		r = print_toc(w, error);
	if (r == 0)
		r = compress(&w->json, &packed, error);
	_cleanup_free_ void *data = packed.data;
	place->toc.size = packed.size;
	place->toc.plain_size = w->json.len;
	if (r == 0)
		r = digest_buffer(DIGEST_SHA256, data, packed.size, place->digest, error);
	return r == 0 ? write_skippable(w, data, packed.size, &place->toc.offset, error) : r;
}

static int write_footer(struct chunked_writer *w, struct toc_place *place, cst_error **error)
{
	uint8_t footer[CHUNKED_FOOTER_SIZE];
	uint64_t offset;
	place->tarsplit.size = w->tarsplit.size;
	place->tarsplit.plain_size = w->tarsplit_size;
	int r = write_skippable(w, w->tarsplit.data, w->tarsplit.size, &place->tarsplit.offset,
	                        error);
	place_footer(place, footer);
	return r == 0 ? write_skippable(w, footer, sizeof(footer), &offset, error) : r;
}

static int finish_blob(struct chunked_writer *w, struct chunked_written *ret, cst_error **error)
{
	int r = compressor_finish(w->tarsplit_compressor, error);
	if (r == 0)
		r = frames_finish(w->frames, error);
	if (r < 0)
		return r;
	place_chunks(w);
	r = write_toc(w, &ret->place, error);
	if (r == 0)
		r = write_footer(w, &ret->place, error);
	if (r == 0)
		r = digester_finish(w->blob_digester, ret->blob_digest, error);
	if (r == 0)
		r = digester_finish(w->diff_digester, ret->diff_digest, error);
	return r;
}

int chunked_writer_finish(struct chunked_writer *w, struct chunked_written *ret, cst_error **error)
{
	struct chunked_written written = {.place.format = CST_TOC_ZSTD_CHUNKED};
	int r = unpack_parse_end(&w->parser, &w->ops, error);
	if (r == 0)
		r = tarsplit_finish(w->recorder.writer, error);
	if (r == 0 && w->frames)
		r = finish_blob(w, &written, error);
	else if (r == 0)
		r = digester_finish(w->tarsplit_digester, w->toc->tarsplit_digest, error);
	if (r == 0 && !w->frames)
		r = print_toc(w, error);
	written.blob_size = w->blob_size;
	written.diff_size = w->diff_size;
	written.entries = w->toc->n_entries;
	if (r == 0)
		*ret = written;
	return r;
}

const char *chunked_writer_json(const struct chunked_writer *w, size_t *size)
{
	*size = w->json.len;
	return w->json.data;
}
