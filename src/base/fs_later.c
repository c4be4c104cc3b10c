/* SPDX-License-Identifier: Apache-2.0 */
/* Syncs directories at the end of a step. */
#include "base/fs_later.h"
#include <fcntl.h>
#include <unistd.h>

static bool remember(struct fs_later *later, int dirfd, const struct stat *st, const char *shown)
{
	struct fs_later_dir *grown =
	        grow_array(later->dirs, &later->capacity, later->len + 1, sizeof(*grown));
	if (!grown)
		return false;
	later->dirs = grown;
	const struct fs_later_dir dir = {.fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3),
	                                 .dev = st->st_dev,
	                                 .ino = st->st_ino,
	                                 .shown = strdup(shown)};
	if (dir.fd < 0 || !dir.shown) {
		if (dir.fd >= 0)
			close(dir.fd);
		free(dir.shown);
		return false;
	}
	grown[later->len++] = dir;
	return true;
}

int fs_fsync_later(struct fs_later *later, int dirfd, const char *shown, cst_error **error)
{
	struct stat st;
	if (!later || fstat(dirfd, &st) < 0)
		return fs_fsync_dir(dirfd, shown, error);
	for (size_t i = 0; i < later->len; i++) {
		if (later->dirs[i].ino == st.st_ino && later->dirs[i].dev == st.st_dev)
			return 0;
	}
	return remember(later, dirfd, &st, shown) ? 0 : fs_fsync_dir(dirfd, shown, error);
}

int fs_later_sync(struct fs_later *later, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < later->len; i++)
		r = fs_fsync_dir(later->dirs[i].fd, later->dirs[i].shown, error);
	fs_later_free(later);
	return r;
}

void fs_later_free(struct fs_later *later)
{
	for (size_t i = 0; i < later->len; i++) {
		close(later->dirs[i].fd);
		free(later->dirs[i].shown);
	}
	free(later->dirs);
	*later = (struct fs_later){0};
}
