/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of directories, set at the very end: every name made in a directory changes them. What is
 * to be set is kept in memory up to a limit and then in a file without a name, so that a layer of a
 * million long paths stays bounded.
 */
#include "archive/unpack/times.h"
#include "archive/unpack/directories.h"
#include "archive/unpack/metadata.h"
#include "base/fs.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_MAX ((size_t)1 << 20)

struct record {
	uint64_t key; /* of the directory */
	struct timespec times[2];
	uint32_t path_len; /* the path follows, with a NUL */
};

static int open_spill(struct directory_times *times, cst_error **error)
{
	if (times->spill_fd >= 0)
		return 0;
	times->spill_fd = sys_openat(times->root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (times->spill_fd < 0) /* not every file system has it */
		times->spill_fd = memfd_create("directory-times", MFD_CLOEXEC);
	return times->spill_fd < 0 ? error_sys(error, errno, "create temporary file") : 0;
}

static int spill(struct directory_times *times, cst_error **error)
{
	int r = open_spill(times, error);

	if (r < 0)
		return r;
	if (sys_write_all(times->spill_fd, times->records.data, times->records.len) < 0)
		return error_sys(error, errno, "write temporary file");
	strbuf_reset(&times->records);
	return 0;
}

/* The times of a directory that comes several times in a row are those of the last one. */
static void drop_same(struct directory_times *times, const struct record *record, const char *path)
{
	struct record last;
	const char *at = times->records.data + times->last;

	if (times->records.len == 0)
		return;
	memcpy(&last, at, sizeof(last));
	if (last.key == record->key && streq(at + sizeof(last), path))
		times->records.len = times->last;
}

int directory_times_add(struct directory_times *times, const struct entry *e,
                        const struct directory *directory, cst_error **error)
{
	const struct tar_header *h = &e->header;
	struct strbuf *records = &times->records;
	struct record record = {.key = directory->key, .path_len = (uint32_t)strlen(e->path)};

	record.times[0] = h->has_atime ? metadata_clamp_time(h->atime) : (struct timespec){0};
	record.times[1] = metadata_clamp_time(h->mtime);
	drop_same(times, &record, e->path);
	times->last = records->len;
	strbuf_add(records, &record, sizeof(record));
	strbuf_add(records, e->path, (size_t)record.path_len + 1);
	if (records->failed)
		return error_oom(error);
	return records->len > MEMORY_MAX ? spill(times, error) : 0;
}

/* A directory that is gone, or replaced by something else, has no times to set. */
static int apply_one(struct target *t, const struct record *record, const char *path,
                     cst_error **error)
{
	struct directory directory;

	if (directory_get(t, path, record->path_len, DIRECTORY_MUST_EXIST, &directory) < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
		               ? 0
		               : error_sys(error, errno, "chtimes /%s", path);
	if (directory.key != record->key)
		return 0;
	if (sys_futimens(directory.fd, record->times) < 0)
		return error_sys(error, errno, "chtimes /%s", path);
	return 0;
}

/* Applies the complete records of a buffer; *used tells how far. */
static int apply_buffer(struct target *t, const char *data, size_t n, size_t *used,
                        cst_error **error)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && n - at >= sizeof(struct record)) {
		struct record record;
		memcpy(&record, data + at, sizeof(record));
		size_t size = sizeof(record) + record.path_len + 1;
		if (n - at < size)
			break;
		r = apply_one(t, &record, data + at + sizeof(record), error);
		at += size;
	}
	*used = at;
	return r;
}

static int apply_spilled(struct directory_times *times, struct target *t, cst_error **error)
{
	const size_t size = 256 * 1024;
	_cleanup_free_ char *buffer = malloc(size);
	off_t offset = 0;

	if (!buffer)
		return error_oom(error);
	for (;;) {
		size_t used;
		ssize_t n = fs_pread_full(times->spill_fd, buffer, size, offset);
		if (n < 0)
			return error_sys(error, errno, "read temporary file");
		int r = apply_buffer(t, buffer, (size_t)n, &used, error);
		if (r < 0 || used == 0)
			return r;
		offset += (off_t)used;
	}
}

int directory_times_apply(struct directory_times *times, struct target *t, cst_error **error)
{
	size_t used;
	directory_cache_begin_entry(t);
	int r = times->spill_fd >= 0 ? apply_spilled(times, t, error) : 0;

	return r < 0 ? r : apply_buffer(t, times->records.data, times->records.len, &used, error);
}

void directory_times_free(struct directory_times *times)
{
	strbuf_free(&times->records);
	closep(&times->spill_fd);
}
