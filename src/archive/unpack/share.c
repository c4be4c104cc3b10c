/* SPDX-License-Identifier: Apache-2.0 */
/* Finds files of other layers that can be shared, and keeps them from being changed (share.h). */
#include "archive/unpack/share.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include <errno.h>
#include <fcntl.h>

bool shared_has(const struct shared_files *shared, const struct stat *st)
{
	return hash_set_get(&shared->inodes, st->st_ino, NULL);
}

int shared_open(const struct shared_files *shared, const struct entry *e, bool begun)
{
	const struct unpack_options *options = shared->metadata->options;
	const struct unpack_clone *clone = options->clone;
	struct stat st;

	if (!begun || !options->share_files || !clone || !clone->open || e->header.is_sparse)
		return -1;
	_cleanup_close_ int fd =
	        clone->open(clone->userdata, e->header.name, (uint64_t)e->header.body_size);
	if (fd < 0 || fstat(fd, &st) < 0 || shared_has(shared, &st) ||
	    !metadata_file_fits(shared->metadata, e, fd))
		return -1;
	return steal_fd(&fd);
}

int shared_note(struct shared_files *shared, int fd, cst_error **error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat a file of another layer");
	return hash_set_put(&shared->inodes, st.st_ino, 0) ? 0 : error_oom(error);
}

int shared_check_link(const struct shared_files *shared, const struct entry *e, int fd,
                      cst_error **error)
{
	char path[XATTR_PATH_MAX];

	xattr_fd_path(path, fd);
	_cleanup_close_ int opened = open(path, O_RDONLY | O_CLOEXEC);
	if (opened >= 0 && metadata_file_fits(shared->metadata, e, opened))
		return 0;
	return error_set(error, CST_EARCHIVE,
	                 "/%s is a hard link to a file that another layer has too, and has other "
	                 "attributes",
	                 e->path);
}
