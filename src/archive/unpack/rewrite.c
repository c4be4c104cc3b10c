/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of the archive that it replaces later with something else: the bodies of their files
 * are lost, but the tar-split names them already. They are kept open, and once everything is
 * unpacked the tar-split is written a second time with these bodies inside (docs/format/archive.md,
 * "Where upstream cannot round-trip").
 */
#include "archive/unpack/rewrite.h"
#include "archive/unpack/directories.h"
#include "archive/unpack/parse.h"
#include "archive/unpack/record.h"
#include "base/fs.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static int keep_body(const struct directory *directory, const char *name, const struct stat *st,
                     void *arg, cst_error **error)
{
	struct saved_bodies *saved = arg;
	uint32_t number = 0;

	if (!S_ISREG(st->st_mode) || !own_has(&saved->target->own, directory, name, &number) ||
	    number == 0)
		return 0;
	if (saved->n == SAVED_BODIES_MAX)
		return error_set(error, CST_EARCHIVE,
		                 "%s: too many files that the archive itself replaces", name);
	int fd = openat(directory->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s", name);
	saved->items[saved->n++] = (struct saved_body){number, fd};
	return 0;
}

int saved_bodies_keep(struct saved_bodies *saved, const struct directory *doomed, cst_error **error)
{
	return directory_walk(&saved->target->own, doomed, keep_body, saved, error);
}

/* ---- the second writing ---- */

struct rewrite {
	const struct saved_bodies *saved;
	uint32_t opened; /* bodies asked for so far: their numbers, since the order is the archive's
	                  */
	struct unpack_parser parser;
	struct recorder recorder;
	struct op_sink ops;
	struct arena arena;
};

static const struct saved_body *find_saved(const struct saved_bodies *saved, uint32_t number)
{
	for (size_t i = 0; i < saved->n; i++)
		if (saved->items[i].number == number)
			return &saved->items[i];
	return NULL;
}

static int open_body(void *userdata, const char *name, int64_t size, cst_error **error)
{
	struct rewrite *w = userdata;
	const struct saved_body *saved = find_saved(w->saved, ++w->opened);
	struct stat st;

	if (!saved)
		return unpack_open_content(w->saved->target->root_fd, name, size, error);
	if (fstat(saved->fd, &st) < 0 || st.st_size != size) {
		(void)error_set(error, CST_ECORRUPT, "file integrity checksum failed for \"%s\"",
		                name);
		return -1;
	}
	if ((uint64_t)size > RAW_BODY_MAX) {
		(void)error_set(error, CST_EARCHIVE,
		                "%s: %lld bytes that no file will hold: too many to record", name,
		                (long long)size);
		return -1;
	}
	int fd = fcntl(saved->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		(void)error_sys(error, errno, "open %s", name);
	return fd;
}

static int take_op(struct op_sink *sink, struct op *op, cst_error **error)
{
	struct rewrite *w = (struct rewrite *)((char *)sink - offsetof(struct rewrite, ops));

	if (op->kind == OP_ENTRY && op->entry->body_number &&
	    find_saved(w->saved, op->entry->body_number)) {
		op->entry->record_raw = true;
		op->entry->body_number = 0;
	}
	return recorder_take(&w->recorder, op, error);
}

static int take_tar(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct rewrite *w = userdata;
	int r = unpack_parse(&w->parser, data, n, &w->ops, error);

	arena_clear(&w->arena); /* nothing but the current op was in it */
	return r;
}

/* The caller's descriptor may be for writing only. */
static int open_for_reading(int fd, cst_error **error)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, O_RDONLY | O_CLOEXEC);
	return again < 0 ? error_sys(error, errno, "open tar-split") : again;
}

static int copy_back(int from, int to, cst_error **error)
{
	char buffer[32 * 1024];

	if (lseek(from, 0, SEEK_SET) < 0 || lseek(to, 0, SEEK_SET) < 0 || sys_ftruncate(to, 0) < 0)
		return error_sys(error, errno, "write tar-split");
	for (;;) {
		ssize_t n = fs_read_full(from, buffer, sizeof(buffer));
		if (n < 0)
			return error_sys(error, errno, "read tar-split");
		if (n == 0)
			return 0;
		if (sys_write_all(to, buffer, (size_t)n) < 0)
			return error_sys(error, errno, "write tar-split");
	}
}

static void rewrite_free(struct rewrite *w)
{
	unpack_parser_free(&w->parser);
	recorder_free(&w->recorder);
	arena_clear(&w->arena);
}

int saved_bodies_rewrite(struct saved_bodies *saved, cst_error **error)
{
	const struct unpack_options *options = saved->target->options;
	_cleanup_(rewrite_free) struct rewrite w = {.saved = saved, .ops = {.take = take_op}};
	const cst_sink sink = {.write = take_tar, .userdata = &w};

	if (saved->n == 0)
		return 0;
	w.ops.arena = &w.arena;
	_cleanup_close_ int from = open_for_reading(options->tarsplit_fd, error);
	if (from < 0)
		return from;
	_cleanup_close_ int fresh = memfd_create("tar-split", MFD_CLOEXEC);
	if (fresh < 0)
		return error_sys(error, errno, "create temporary file");
	int r = unpack_parser_init(&w.parser, options, error);
	if (r == 0)
		r = tarsplit_writer_new(fresh, &w.recorder.writer, error);
	if (r == 0)
		r = tarsplit_reassemble(
		        from, &(struct tarsplit_reading){.open_file = open_body, .userdata = &w},
		        &sink, error);
	if (r == 0)
		r = unpack_parse_end(&w.parser, &w.ops, error);
	if (r == 0)
		r = tarsplit_finish(w.recorder.writer, error);
	return r < 0 ? r : copy_back(fresh, options->tarsplit_fd, error);
}

void saved_bodies_free(struct saved_bodies *saved)
{
	for (size_t i = 0; i < saved->n; i++)
		close(saved->items[i].fd);
}
