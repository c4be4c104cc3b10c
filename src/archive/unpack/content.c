/* SPDX-License-Identifier: Apache-2.0 */
/* Finding again what was unpacked, for a tar-split. */
#include "archive/unpack/names.h"
#include "archive/unpack/unpack.h"
#include "base/fs.h"
#include <errno.h>

static int open_last(int root_fd, const char *path)
{
	const char *base = unpack_base_name(path);
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

	if (base == path)
		return openat(root_fd, base, flags);
	_cleanup_free_ char *parent = strndup(path, (size_t)(base - path - 1));
	if (!parent) {
		errno = ENOMEM;
		return -1;
	}
	_cleanup_close_ int fd = fs_open_in_root(root_fd, parent, O_PATH | O_DIRECTORY);
	return fd < 0 ? -1 : openat(fd, base, flags);
}

int unpack_open_content(int root_fd, const char *name, int64_t size, cst_error **error)
{
	_cleanup_free_ char *path = malloc(strlen(name) + 1);
	uint32_t form;
	struct stat st;

	if (!path) {
		(void)error_oom(error);
		return -1;
	}
	unpack_clean_name(name, path, &form);
	_cleanup_close_ int fd = *path ? open_last(root_fd, path) : -1;
	/* A symlink, device or FIFO in the place of the file is as wrong as other content, and is
	 * never read. */
	bool wrong_kind =
	        !*path || (fd < 0 && (errno == ELOOP || errno == ENXIO || errno == ENODEV));
	if (fd < 0 && !wrong_kind) {
		(void)error_sys(error, errno, "open %s", name);
		return -1;
	}
	if (!wrong_kind && fstat(fd, &st) < 0) {
		(void)error_sys(error, errno, "stat %s", name);
		return -1;
	}
	if (wrong_kind || !S_ISREG(st.st_mode) || st.st_size != size) {
		(void)error_set(error, CST_ECORRUPT, "file integrity checksum failed for \"%s\"",
		                name);
		return -1;
	}
	return steal_fd(&fd);
}
