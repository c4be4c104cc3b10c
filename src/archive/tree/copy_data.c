/* SPDX-License-Identifier: Apache-2.0 */
/* Copies the content of one file by the cheapest way that works (copy_data.h). */
#include "archive/tree/copy_data.h"
#include "base/mem.h"
#include "base/sys.h"
#include <errno.h>
#include <unistd.h>

#define BLOCK ((size_t)256 << 10)
#define RANGE ((size_t)16 << 20) /* of one copy_file_range, so that signals get through */

static int shrunk(const char *shown, cst_error **error)
{
	return error_set(error, CST_ECORRUPT, "copy %s: the file shrank", shown);
}

/* Errors that say "not between these two", not "broken". */
static bool is_unsupported(int problem)
{
	return problem == EXDEV || problem == ENOSYS || problem == EINVAL ||
	       problem == EOPNOTSUPP || problem == ENOTTY || problem == EPERM || problem == EBADF ||
	       problem == ETXTBSY;
}

static int note_copied(const struct copy_ways *ways, off_t bytes, cst_error **error)
{
	return ways->copied ? ways->copied(ways->userdata, (uint64_t)bytes, error) : 0;
}

static int copy_by_reading(int from, int to, off_t start, off_t end, struct copy_ways *ways,
                           const char *shown, cst_error **error)
{
	_cleanup_free_ char *block = malloc(BLOCK);
	if (!block)
		return error_oom(error);
	while (start < end) {
		ssize_t n = pread(from, block, MIN(BLOCK, (size_t)(end - start)), start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(error, errno, "read %s", shown);
		if (n == 0)
			return shrunk(shown, error);
		if (sys_pwrite_all(to, block, (size_t)n, start) < 0)
			return error_sys(error, errno, "write %s", shown);
		start += n;
		int r = note_copied(ways, start, error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_extent(int from, int to, off_t start, off_t end, struct copy_ways *ways,
                       const char *shown, cst_error **error)
{
	while (start < end && !ways->no_range) {
		off_t in = start, out = start;
		ssize_t n =
		        sys_copy_file_range(from, &in, to, &out, MIN(RANGE, (size_t)(end - start)));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !is_unsupported(errno))
			return error_sys(error, errno, "copy_file_range %s", shown);
		if (n < 0)
			ways->no_range = true;
		/* Some file systems return 0 for files they cannot copy: reading tells. */
		if (n <= 0)
			break;
		start += n;
		int r = note_copied(ways, start, error);
		if (r < 0)
			return r;
	}
	return start < end ? copy_by_reading(from, to, start, end, ways, shown, error) : 0;
}

int copy_data(int from, int to, off_t size, struct copy_ways *ways, const char *shown,
              cst_error **error)
{
	if (!ways->no_clone && sys_ficlone(to, from) == 0)
		return sys_ftruncate(to, size) < 0 ? error_sys(error, errno, "truncate %s", shown)
		                                   : 0;
	if (!ways->no_clone && !is_unsupported(errno))
		return error_sys(error, errno, "clone %s", shown);
	ways->no_clone = true;
	off_t at = 0;
	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break; /* a hole up to the end */
		off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (data < 0 || hole < 0) { /* a file system that knows no holes */
			data = at;
			hole = size;
		}
		if (data >= size)
			break;
		hole = MIN(hole, size);
		int r = copy_extent(from, to, data, hole, ways, shown, error);
		if (r < 0)
			return r;
		at = hole;
	}
	struct stat st;
	if (fstat(from, &st) < 0)
		return error_sys(error, errno, "stat %s", shown);
	if (st.st_size < size)
		return shrunk(shown, error);
	return sys_ftruncate(to, size) < 0 ? error_sys(error, errno, "truncate %s", shown) : 0;
}
