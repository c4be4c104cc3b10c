/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked layers for the users of the library. */
#include "chunked/public.h"
#include "base/types.h"
#include "chunked/verify.h"
#include "codec/plain_source.h"
#include <cstorage/chunked.h>

struct cst_toc {
	struct toc *toc;
};

static int place_of(const struct chunked_blob *blob, const cst_toc_options *options,
                    struct toc_place *ret, cst_error **error)
{
	if (!isempty(options->position))
		return place_from_annotations(strempty(options->digest), options->position,
		                              options->tarsplit_position, blob->size, ret, error);
	if (!isempty(options->tarsplit_position))
		return error_set(error, CST_EINVAL,
		                 "the place of a tar-split is given, and not that of its TOC");
	struct toc_place place;
	int r = place_from_blob(blob, &place, error);
	if (r < 0)
		return r;
	strcpy(place.digest, strempty(options->digest));
	*ret = place;
	return 0;
}

static void public_toc_freep(cst_toc **toc)
{
	cst_toc_free(*toc);
}

int cst_toc_read(int fd, const cst_toc_options *given, cst_toc **ret, cst_error **error)
{
	cst_toc_options options = CST_TOC_OPTIONS_INIT;
	struct chunked_blob blob;
	struct toc_place place;
	int r = options_take(&options, sizeof(options), given, "cst_toc_options", error);
	if (r == 0 && !isempty(options.digest) && !digest_is_sha256(options.digest))
		r = error_set(error, CST_EINVAL, "\"%s\" is not a sha256 digest", options.digest);
	if (r == 0)
		r = chunked_blob_fd(&fd, &blob, error);
	if (r == 0)
		r = place_of(&blob, &options, &place, error);
	if (r < 0)
		return r;
	_cleanup_(public_toc_freep) cst_toc *toc = new0(cst_toc, 1);
	if (!toc)
		return error_oom(error);
	r = toc_read(&blob, &place, &toc->toc, error);
	if (r == 0)
		r = toc_index_digests(toc->toc, error);
	if (r == 0)
		*ret = steal_ptr(&toc);
	return r;
}

void cst_toc_free(cst_toc *toc)
{
	if (!toc)
		return;
	toc_free(toc->toc);
	free(toc);
}

int cst_toc_format(const cst_toc *toc)
{
	return toc->toc->format;
}

const char *cst_toc_digest(const cst_toc *toc)
{
	return toc->toc->digest;
}

const char *cst_toc_tarsplit_digest(const cst_toc *toc)
{
	return toc->toc->tarsplit_digest;
}

const char *cst_toc_json(const cst_toc *toc, size_t *size)
{
	*size = toc->toc->json_size;
	return toc->toc->json;
}

static cst_blob_part part_of(const struct chunked_part *part)
{
	return (cst_blob_part){part->offset, part->size, part->plain_size};
}

cst_blob_part cst_toc_place(const cst_toc *toc)
{
	return part_of(&toc->toc->place);
}

cst_blob_part cst_toc_tarsplit_place(const cst_toc *toc)
{
	return part_of(&toc->toc->tarsplit);
}

/* ---- entries ---- */

size_t cst_toc_size(const cst_toc *toc)
{
	return toc->toc->n_entries;
}

static int no_entry(size_t index, cst_error **error)
{
	return error_set(error, CST_EINVAL, "the TOC has no entry %zu", index);
}

int cst_toc_entry_get(const cst_toc *toc, size_t index, cst_toc_entry *ret, cst_error **error)
{
	int r = result_check(ret, "cst_toc_entry", error);
	if (r < 0)
		return r;
	if (!ret || index >= toc->toc->n_entries)
		return no_entry(index, error);
	const struct toc_entry *from = &toc->toc->entries[index];
	cst_toc_entry entry = {.name = from->name,
	                       .link_name = from->linkname,
	                       .file_size = from->size,
	                       .mode = from->mode,
	                       .mtime = from->mtime.sec,
	                       .mtime_nsec = from->mtime.nsec,
	                       .uid = from->uid,
	                       .gid = from->gid,
	                       .device_major = from->devmajor,
	                       .device_minor = from->devminor,
	                       .type = from->type,
	                       .n_xattrs = from->n_xattrs,
	                       .n_chunks = from->n_chunks};
	if (from->has_digest)
		toc_digest_format(from->digest, entry.digest);
	result_give(ret, &entry, sizeof(entry));
	return 0;
}

int cst_toc_chunk_get(const cst_toc *toc, size_t index, size_t number, cst_toc_chunk *ret,
                      cst_error **error)
{
	int r = result_check(ret, "cst_toc_chunk", error);
	if (r < 0)
		return r;
	if (!ret || index >= toc->toc->n_entries)
		return no_entry(index, error);
	const struct toc_entry *entry = &toc->toc->entries[index];
	if (number >= entry->n_chunks)
		return error_set(error, CST_EINVAL, "TOC: entry \"%s\" has no chunk %zu",
		                 entry->name, number);
	const struct toc_chunk *from = toc_chunks_of(toc->toc, entry) + number;
	cst_toc_chunk chunk = {.blob_offset = from->offset,
	                       .blob_size = from->end - from->offset,
	                       .file_offset = from->file_offset,
	                       .chunk_size = from->size,
	                       .zeros = from->zeros};
	if (from->has_digest)
		toc_digest_format(from->digest, chunk.digest);
	result_give(ret, &chunk, sizeof(chunk));
	return 0;
}

/* ---- looking for ---- */

static int not_found(const char *what, cst_error **error)
{
	return error_set(error, CST_EDATA_UNKNOWN, "the TOC has no \"%s\"", what);
}

static int parse_digest(const char *text, uint8_t ret[TOC_DIGEST_SIZE], cst_error **error)
{
	if (text && toc_digest_parse(text, ret))
		return 0;
	return error_set(error, CST_EINVAL, "\"%s\" is not a sha256 digest", strempty(text));
}

int cst_toc_find(const cst_toc *toc, const char *name, size_t *index, cst_error **error)
{
	const struct toc_entry *entry = toc_find_name(toc->toc, strempty(name));
	if (!entry)
		return not_found(strempty(name), error);
	*index = (size_t)(entry - toc->toc->entries);
	return 0;
}

int cst_toc_find_file(const cst_toc *toc, const char *digest, size_t *index, cst_error **error)
{
	uint8_t raw[TOC_DIGEST_SIZE];
	int r = parse_digest(digest, raw, error);
	const struct toc_entry *entry = r == 0 ? toc_find_file(toc->toc, raw) : NULL;
	if (!entry)
		return r < 0 ? r : not_found(digest, error);
	*index = (size_t)(entry - toc->toc->entries);
	return 0;
}

int cst_toc_find_chunk(const cst_toc *toc, const char *digest, size_t *index, size_t *number,
                       cst_error **error)
{
	uint8_t raw[TOC_DIGEST_SIZE];
	int r = parse_digest(digest, raw, error);
	const struct toc_chunk *chunk = r == 0 ? toc_find_chunk(toc->toc, raw) : NULL;
	if (!chunk)
		return r < 0 ? r : not_found(digest, error);
	*index = chunk->entry;
	*number = (size_t)(chunk - toc->toc->chunks) - toc->toc->entries[chunk->entry].first_chunk;
	return 0;
}

/* ---- whole blobs ---- */

/* `to` NULL: does nothing. */
static void result_of(const struct chunked_written *from, cst_chunked_result *to)
{
	cst_chunked_result all = {.blob_size = from->blob_size,
	                          .diff_size = from->diff_size,
	                          .entries = from->entries};
	memcpy(all.toc_digest, from->place.digest, sizeof(all.toc_digest));
	memcpy(all.blob_digest, from->blob_digest, sizeof(all.blob_digest));
	memcpy(all.diff_digest, from->diff_digest, sizeof(all.diff_digest));
	if (from->place.format == CST_TOC_ZSTD_CHUNKED)
		place_annotations(&from->place, all.position, all.tarsplit_position);
	if (from->place.tarsplit.size == 0)
		all.tarsplit_position[0] = '\0';
	result_give(to, &all, sizeof(all));
}

int cst_toc_verify(const cst_toc *toc, int fd, const cst_progress *progress,
                   cst_chunked_result *result, cst_error **error)
{
	struct chunked_blob blob;
	struct chunked_verified verified;
	int r = result_check(result, "cst_chunked_result", error);
	if (r == 0)
		r = chunked_blob_fd(&fd, &blob, error);
	if (r == 0)
		r = chunked_verify(&blob, toc->toc, progress, &verified, error);
	if (r < 0)
		return r;
	struct chunked_written all = {.place = {.format = toc->toc->format,
	                                        .toc = toc->toc->place,
	                                        .tarsplit = toc->toc->tarsplit},
	                              .blob_size = verified.blob_size,
	                              .diff_size = verified.diff_size,
	                              .entries = toc->toc->n_entries};
	strcpy(all.place.digest, toc->toc->digest);
	strcpy(all.blob_digest, verified.blob_digest);
	strcpy(all.diff_digest, verified.diff_digest);
	result_of(&all, result);
	return 0;
}

#define LEVEL_DEFAULT 3
#define LEVEL_MAX     19
#define STEP_SIZE     ((size_t)256 << 10)

static int take_options(cst_chunked_options *options, const cst_chunked_options *given,
                        const cst_chunked_result *result, cst_error **error)
{
	*options = (cst_chunked_options)CST_CHUNKED_OPTIONS_INIT;
	int r = options_take(options, sizeof(*options), given, "cst_chunked_options", error);
	if (r == 0)
		r = result_check(result, "cst_chunked_result", error);
	if (r == 0 && (options->level < 0 || options->level > LEVEL_MAX))
		r = error_set(error, CST_EINVAL, "zstd has no level %d here: 1 to %d",
		              options->level, LEVEL_MAX);
	if (options->level == 0)
		options->level = LEVEL_DEFAULT;
	return r;
}

static int write_tar(void *userdata, const void *data, size_t n, cst_error **error)
{
	return chunked_writer_write(userdata, data, n, error);
}

int chunked_create(const cst_sink *blob, const cst_chunked_options *given,
                   cst_chunked_result *result,
                   int (*put)(void *userdata, const cst_sink *tar, const cst_progress *progress,
                              cst_error **error),
                   void *userdata, cst_error **error)
{
	_cleanup_(chunked_writer_freep) struct chunked_writer *writer = NULL;
	struct chunked_written written;
	cst_chunked_options options;
	int r = take_options(&options, given, result, error);
	if (r == 0)
		r = chunked_writer_new(options.level, blob, &writer, error);
	if (r < 0)
		return r;
	const cst_sink tar = {.write = write_tar, .userdata = writer};
	r = put(userdata, &tar, options.progress, error);
	if (r == 0)
		r = chunked_writer_finish(writer, &written, error);
	if (r == 0)
		result_of(&written, result);
	return r;
}

static int put_archive(void *userdata, const cst_sink *tar, const cst_progress *progress,
                       cst_error **error)
{
	_cleanup_(plain_source_freep) struct plain_source *plain = NULL;
	cst_progress_state state = {.size = sizeof(state), .what = "chunked"};
	_cleanup_free_ char *buffer = malloc(STEP_SIZE);
	int r = buffer ? plain_source_new(userdata, &plain, error) : error_oom(error);
	while (r == 0) {
		int64_t n = plain_source_read(plain, buffer, STEP_SIZE, error);
		if (n <= 0)
			return (int)n;
		state.bytes_done += (uint64_t)n;
		r = sink_write(tar, buffer, (size_t)n, error);
		if (r == 0)
			r = progress_tell(progress, &state, error);
	}
	return r;
}

int cst_chunked_create(const cst_source *archive, const cst_sink *blob,
                       const cst_chunked_options *options, cst_chunked_result *result,
                       cst_error **error)
{
	cst_source source = *archive;
	return chunked_create(blob, options, result, put_archive, &source, error);
}
