/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the tar of a layer together (toc_stream.h). The content of a file comes in pieces: the whole file from another layer, or chunk
 * by chunk from another layer, from the blob, or as zeros. */
#include "chunked/toc_stream.h"
#include "archive/tarsplit/recipe.h"
#include "base/fs.h"
#include "base/sys.h"
#include "codec/compress.h"
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_SIZE ((size_t)64 << 10)
#define CLONE_MIN ((uint64_t)64 << 10) /* smaller files are written sooner than cloned */
#define LOST_MAX  16    /* after so many donors without the content no other is asked */
#define RATIO_MAX 32768 /* no zstd frame unpacks to more than that times its size */

enum origin {
	FROM_BLOB,
	FROM_FILE,
	FROM_CHUNK,
	FROM_ZEROS
}; /* FROM_FILE, FROM_CHUNK: of another layer */

/* Another layer's file, when the first bytes of it were read. */
struct file_state {
	ino_t inode; /* 0: none */
	struct timespec changed;
};

struct toc_stream {
	const struct toc *toc;
	struct fetch *fetch;
	struct stream_donors donors;
	enum stream_trust trust;
	cst_memory packed;
	struct recipe *recipe;
	uint8_t *origins;          /* of each chunk */
	struct file_state *states; /* by number of the entry */
	_Atomic bool cannot_clone;
	unsigned lost;

	const char *segment; /* of the tar-split, that was not given out yet */
	size_t segment_left;
	const struct toc_entry *file;   /* whose content is given out; NULL: none */
	struct digester *file_digester; /* NULL: the digest of the file need not be looked at */
	uint32_t chunk;                 /* that comes next, or is given out */

	bool in_piece;
	enum origin origin;
	uint64_t piece_left;
	int fd;      /* of another layer */
	uint64_t at; /* in that file, or in the blob */
	struct digester *chunk_digester;
	struct decompressor *decompressor;
	char *in;
	size_t in_used, in_len;

	struct stream_counts counts;
};

void toc_stream_free(struct toc_stream *s)
{
	if (!s)
		return;
	closep(&s->fd);
	if (s->recipe)
		recipe_free(s->recipe);
	digester_free(s->file_digester);
	digester_free(s->chunk_digester);
	if (s->decompressor)
		decompressor_free(s->decompressor);
	free(s->origins);
	free(s->states);
	free(s->in);
	free(s);
}

struct stream_counts toc_stream_counts(const struct toc_stream *s)
{
	return s->counts;
}

static int bad_file(const struct toc_stream *s, const char *problem, cst_error **error)
{
	return error_set(error, CST_EARCHIVE, "\"%s\" %s", s->file->name, problem);
}

static int check_digest(const struct toc_stream *s, struct digester **digester,
                        const uint8_t wanted[TOC_DIGEST_SIZE], const char *what, cst_error **error)
{
	char text[DIGEST_TEXT_MAX], wanted_text[TOC_DIGEST_TEXT];
	int r = digester_finish(*digester, text, error);
	digester_free(steal_ptr(digester));
	toc_digest_format(wanted, wanted_text);
	if (r < 0 || streq(text, wanted_text))
		return r;
	return error_set(error, CST_EARCHIVE, "\"%s\": %s has the digest %s, and should have %s",
	                 s->file->name, what, text, wanted_text);
}

/* ---- where content comes from ---- */

static enum origin origin_of_chunk(const struct toc_stream *s, const struct toc_chunk *chunk)
{
	if (chunk->zeros)
		return FROM_ZEROS;
	bool found = chunk->has_digest && s->lost < LOST_MAX &&
	             s->donors.has(s->donors.userdata, chunk->digest, chunk->size);
	return found ? FROM_CHUNK : FROM_BLOB;
}

static void find_origins(struct toc_stream *s, const struct toc_entry *entry)
{
	bool whole = s->donors.has(s->donors.userdata, entry->digest, entry->size);
	for (uint32_t i = 0; i < entry->n_chunks; i++) {
		uint32_t chunk = entry->first_chunk + i;
		s->origins[chunk] =
		        (uint8_t)(whole ? FROM_FILE : origin_of_chunk(s, &s->toc->chunks[chunk]));
	}
}

/* A TOC is small whatever size it claims of a file; the blob is not, since holes are compressed into it, too. */
static int check_chunks(const struct toc *toc, cst_error **error)
{
	uint64_t end = 0;
	for (size_t i = 0; i < toc->n_chunks; i++) {
		const struct toc_chunk *chunk = &toc->chunks[i];
		const char *name = toc->entries[chunk->entry].name;
		if (chunk->offset < end)
			return error_set(
			        error, CST_ENOTSUP,
			        "\"%s\": its content lies before that of the file before it", name);
		if (chunk->size / RATIO_MAX > chunk->end - chunk->offset)
			return error_set(error, CST_ENOTSUP,
			                 "\"%s\": a chunk of %" PRIu64
			                 " bytes is more than the blob can have in its place",
			                 name, chunk->size);
		end = chunk->end;
	}
	return 0;
}

/* Asks for what has to be fetched from this chunk on. */
static int request_from(struct toc_stream *s, size_t first, cst_error **error)
{
	int r = 0;
	fetch_begin(s->fetch);
	for (size_t i = first; r == 0 && i < s->toc->n_chunks; i++)
		if (s->origins[i] == FROM_BLOB)
			r = fetch_add(s->fetch, s->toc->chunks[i].offset, s->toc->chunks[i].end,
			              error);
	return r == 0 ? fetch_request(s->fetch, error) : r;
}

/* Another layer has not what it was thought to have in place of `n` chunks. */
static int lose(struct toc_stream *s, uint32_t n, cst_error **error)
{
	bool all = ++s->lost >= LOST_MAX;
	for (size_t i = s->chunk; i < (all ? s->toc->n_chunks : s->chunk + n); i++) {
		const struct toc_chunk *chunk = &s->toc->chunks[i];
		bool file = s->origins[i] == FROM_FILE;
		s->origins[i] = (uint8_t)(file ? origin_of_chunk(s, chunk) : FROM_BLOB);
		if (chunk->zeros)
			s->origins[i] = FROM_ZEROS;
	}
	return request_from(s, s->chunk, error);
}

/* ---- content of other layers ---- */

/* Has the file these bytes? */
static int is_content(int fd, uint64_t offset, uint64_t size, const uint8_t wanted[TOC_DIGEST_SIZE],
                      bool *ret, cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	_cleanup_free_ char *buffer = malloc(STEP_SIZE);
	char text[DIGEST_TEXT_MAX], wanted_text[TOC_DIGEST_TEXT];
	*ret = false;
	int r = buffer ? digester_new(DIGEST_SHA256, &digester, error) : error_oom(error);
	while (r == 0 && size > 0) {
		size_t n = (size_t)MIN((uint64_t)STEP_SIZE, size);
		if (fs_pread_full(fd, buffer, n, (off_t)offset) != (ssize_t)n)
			return 0;
		digester_update(digester, buffer, n);
		offset += n;
		size -= n;
	}
	if (r == 0)
		r = digester_finish(digester, text, error);
	toc_digest_format(wanted, wanted_text);
	*ret = r == 0 && streq(text, wanted_text);
	return r;
}

/* *ret false: nobody has it after all. */
static int open_donor(struct toc_stream *s, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size,
                      bool *ret, cst_error **error)
{
	s->fd = s->donors.open(s->donors.userdata, digest, size, &s->at);
	*ret = false;
	int r = 0;
	if (s->trust == STREAM_SURE && s->fd >= 0)
		r = is_content(s->fd, s->at, size, digest, ret, error);
	else
		*ret = s->fd >= 0;
	if (!*ret) {
		closep(&s->fd);
		s->fd = -1;
	}
	return r;
}

static int read_donor(struct toc_stream *s, void *buffer, size_t n, cst_error **error)
{
	if (fs_pread_full(s->fd, buffer, n, (off_t)s->at) != (ssize_t)n)
		return bad_file(s, "became shorter in the layer that has it", error);
	s->at += n;
	s->counts.bytes_reused += n;
	return 0;
}

/* ---- files of other layers that are cloned ---- */

static bool state_of(int fd, uint64_t size, struct file_state *ret)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != size)
		return false;
	*ret = (struct file_state){st.st_ino, st.st_ctim};
	return true;
}

static void note_state(struct toc_stream *s)
{
	if (s->origin == FROM_FILE && s->at == 0)
		(void)state_of(s->fd, s->file->size, &s->states[s->file - s->toc->entries]);
}

/* What was cloned is what is read, and held against digests, only if nobody wrote to the file meanwhile. */
static bool is_same(const struct file_state *a, const struct file_state *b)
{
	return a->inode == b->inode && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Another layer's file that the first bytes were read from, as it is now; -1: none. */
static int reopen(struct toc_stream *s, const char *name, uint64_t size, struct file_state *was,
                  struct file_state *now)
{
	uint64_t at;
	const struct toc_entry *entry = toc_find_name(s->toc, name);
	if (!entry || entry->size != size || !s->states[entry - s->toc->entries].inode)
		return -1;
	*was = s->states[entry - s->toc->entries];
	_cleanup_close_ int fd = s->donors.open(s->donors.userdata, entry->digest, size, &at);
	if (fd < 0 || !state_of(fd, size, now) || now->inode != was->inode)
		return -1;
	return steal_fd(&fd);
}

bool toc_stream_clone(void *stream, const char *name, uint64_t size, int to)
{
	struct toc_stream *s = stream;
	struct file_state was, now;
	if (size < CLONE_MIN || atomic_load(&s->cannot_clone))
		return false;
	_cleanup_close_ int fd = reopen(s, name, size, &was, &now);
	if (fd < 0)
		return false;
	if (sys_ficlone(to, fd) < 0) {
		atomic_store(&s->cannot_clone, true);
		return false;
	}
	if (state_of(fd, size, &now) && is_same(&now, &was))
		return true;
	(void)sys_ftruncate(to, 0);
	return false;
}

/* Whatever happened to the file meanwhile, a further name leads to what is read, and held against digests. */
int toc_stream_open_file(void *stream, const char *name, uint64_t size)
{
	struct file_state was, now;
	return reopen(stream, name, size, &was, &now);
}

/* ---- content of the blob ---- */

static const struct toc_chunk *chunk_of(const struct toc_stream *s)
{
	return &s->toc->chunks[s->chunk];
}

static int fill_input(struct toc_stream *s, cst_error **error)
{
	size_t n = (size_t)MIN((uint64_t)STEP_SIZE, chunk_of(s)->end - s->at);
	int r = n > 0 ? fetch_read(s->fetch, s->at, s->in, n, error) : 0;
	s->at += n;
	s->in_used = 0;
	s->in_len = n;
	return r;
}

static int64_t unpack(struct toc_stream *s, void *buffer, size_t size, cst_error **error)
{
	size_t got = 0;
	bool done = false;
	while (got == 0) {
		int r = s->in_used == s->in_len ? fill_input(s, error) : 0;
		bool last = s->at == chunk_of(s)->end;
		if (r == 0)
			r = decompressor_run(s->decompressor, s->in, s->in_len, &s->in_used, last,
			                     buffer, size, &got, &done, error);
		if (r < 0)
			return error_prefix(error, r, "\"%s\"", s->file->name);
		if (got == 0 && done)
			return bad_file(s, "has a chunk that is shorter than the TOC says", error);
	}
	return (int64_t)got;
}

/* What is behind the chunk in its place is another's, unless the TOC says that nothing is. */
static int end_chunk(struct toc_stream *s, cst_error **error)
{
	char more;
	size_t got = 0;
	bool done = false;
	const struct toc_chunk *chunk = chunk_of(s);
	int r = 0;
	while (r == 0 && chunk->exact && got == 0 && !done) {
		if (s->in_used == s->in_len)
			r = fill_input(s, error);
		if (r == 0)
			r = decompressor_run(s->decompressor, s->in, s->in_len, &s->in_used,
			                     s->at == chunk->end, &more, 1, &got, &done, error);
	}
	if (r == 0 && got > 0)
		r = bad_file(s, "has a chunk that is longer than the TOC says", error);
	if (r == 0 && s->chunk_digester)
		r = check_digest(s, &s->chunk_digester, chunk->digest, "a chunk of it", error);
	decompressor_free(steal_ptr(&s->decompressor));
	return r;
}

static int begin_chunk(struct toc_stream *s, cst_error **error)
{
	const struct toc_chunk *chunk = chunk_of(s);
	s->at = chunk->offset;
	s->in_used = s->in_len = 0;
	int r = decompressor_new(CST_ZSTD, &s->decompressor, error);
	/* A single chunk has the digest of the file. */
	if (r == 0 && chunk->has_digest && s->file->n_chunks > 1)
		r = digester_new(DIGEST_SHA256, &s->chunk_digester, error);
	return r;
}

/* ---- pieces ---- */

static int begin_piece(struct toc_stream *s, cst_error **error)
{
	const struct toc_chunk *chunk = chunk_of(s);
	bool found = true;
	int r = 0;
	s->origin = (enum origin)s->origins[s->chunk];
	s->piece_left = s->origin == FROM_FILE ? s->file->size : chunk->size;
	if (s->origin == FROM_FILE)
		r = open_donor(s, s->file->digest, s->file->size, &found, error);
	else if (s->origin == FROM_CHUNK)
		r = open_donor(s, chunk->digest, chunk->size, &found, error);
	if (r == 0 && !found)
		return lose(s, s->origin == FROM_FILE ? s->file->n_chunks : 1, error);
	if (r == 0 && s->origin == FROM_BLOB)
		r = begin_chunk(s, error);
	bool looked_at = s->origin != FROM_FILE || s->trust == STREAM_FILES;
	if (r == 0 && looked_at && s->chunk == s->file->first_chunk)
		r = digester_new(DIGEST_SHA256, &s->file_digester, error);
	if (r == 0)
		note_state(s);
	s->in_piece = r == 0;
	return r;
}

static int end_piece(struct toc_stream *s, cst_error **error)
{
	int r = s->origin == FROM_BLOB ? end_chunk(s, error) : 0;
	closep(&s->fd);
	s->fd = -1;
	s->in_piece = false;
	s->chunk += s->origin == FROM_FILE ? s->file->n_chunks : 1;
	s->counts.files_reused += s->origin == FROM_FILE;
	if (r < 0 || s->chunk < s->file->first_chunk + s->file->n_chunks)
		return r;
	if (s->file_digester)
		r = check_digest(s, &s->file_digester, s->file->digest, "it", error);
	s->file = NULL;
	return r;
}

static int64_t read_piece(struct toc_stream *s, void *buffer, size_t size, cst_error **error)
{
	size_t n = (size_t)MIN((uint64_t)size, s->piece_left);
	int64_t got = (int64_t)n;
	int r = 0;
	if (s->origin == FROM_ZEROS)
		memset(buffer, 0, n);
	else if (s->origin == FROM_BLOB)
		got = unpack(s, buffer, n, error);
	else
		r = read_donor(s, buffer, n, error);
	if (got < 0 || r < 0)
		return got < 0 ? got : r;
	if (s->file_digester)
		digester_update(s->file_digester, buffer, (size_t)got);
	if (s->chunk_digester)
		digester_update(s->chunk_digester, buffer, (size_t)got);
	s->piece_left -= (uint64_t)got;
	r = s->piece_left == 0 ? end_piece(s, error) : 0;
	return r < 0 ? r : got;
}

/* ---- the tar-split ---- */

/* Files come in the order of their content, which check_chunks() has seen to; each comes once. */
static int begin_file(struct toc_stream *s, const struct recipe_entry *line, cst_error **error)
{
	const struct toc_entry *entry = toc_find_name(s->toc, line->name);
	if (!entry || entry->type != '0' || line->size <= 0)
		return 0;
	if ((uint64_t)line->size != entry->size || entry->first_chunk != s->chunk)
		return error_set(
		        error, CST_ENOTSUP,
		        "\"%s\" has another size or place in the tar-split than in the TOC",
		        line->name);
	s->file = entry;
	return 0;
}

static int next_line(struct toc_stream *s, bool *end, cst_error **error)
{
	struct recipe_entry line;
	int r = recipe_next(s->recipe, &line, end, error);
	if (r < 0 || *end)
		return r;
	if (line.type == RECIPE_FILE)
		return begin_file(s, &line, error);
	if (line.type == RECIPE_SEGMENT) {
		s->segment = line.payload;
		s->segment_left = line.payload_len;
	}
	return 0;
}

static int64_t read_segment(struct toc_stream *s, void *buffer, size_t size)
{
	size_t n = MIN(size, s->segment_left);
	memcpy(buffer, s->segment, n);
	s->segment += n;
	s->segment_left -= n;
	return (int64_t)n;
}

int64_t toc_stream_read(void *stream, void *buffer, size_t size, cst_error **error)
{
	struct toc_stream *s = stream;
	bool end = false;
	int r = 0;
	while (r == 0 && !end) {
		if (s->segment_left > 0)
			return read_segment(s, buffer, size);
		if (s->file && s->in_piece)
			return read_piece(s, buffer, size, error);
		r = s->file ? begin_piece(s, error) : next_line(s, &end, error);
	}
	return r;
}

int toc_stream_new(const struct toc *toc, const cst_memory *tarsplit,
                   enum cst_compression compression, struct fetch *fetch,
                   const struct stream_donors *donors, enum stream_trust trust,
                   struct toc_stream **ret, cst_error **error)
{
	int r = check_chunks(toc, error);
	if (r < 0)
		return r;
	_cleanup_(toc_stream_freep) struct toc_stream *s = new0(struct toc_stream, 1);
	if (!s)
		return error_oom(error);
	s->toc = toc;
	s->fetch = fetch;
	s->donors = *donors;
	s->trust = trust;
	s->packed = *tarsplit;
	s->fd = -1;
	s->in = malloc(STEP_SIZE);
	s->origins = malloc(toc->n_chunks + 1);
	s->states = new0(struct file_state, toc->n_entries + 1);
	if (!s->in || !s->origins || !s->states)
		return error_oom(error);
	const cst_source source = cst_source_memory(&s->packed);
	r = recipe_open_source(&source, compression, &s->recipe, error);
	for (size_t i = 0; r == 0 && i < toc->n_entries; i++)
		if (toc->entries[i].n_chunks > 0)
			find_origins(s, &toc->entries[i]);
	if (r == 0)
		r = request_from(s, 0, error);
	if (r == 0)
		*ret = steal_ptr(&s);
	return r;
}
