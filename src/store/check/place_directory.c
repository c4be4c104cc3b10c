/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of blobs: the files that are in it, and those in the directories of its `blobs`, as an OCI layout has them. No
 * symlink is followed, and only regular files are blobs. */
#include "base/fs.h"
#include "store/check/place.h"
#include <errno.h>

static int list_in(struct place *place, const char *path, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	_cleanup_close_ int fd = fs_open_dir_below(place->fd, path, O_RDONLY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", place->path, path);
	int r = fs_list_dir(fd, ".", &names, place->path, error);
	strv_foreach (name, &names) {
		_cleanup_free_ char *below = *path ? path_join(path, name) : strdup(name);
		struct stat st;
		struct blob *blob;
		if (r < 0 || !below)
			return r < 0 ? r : error_oom(error);
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
			continue;
		r = place_add(place, below, &blob, error);
	}
	return r;
}

static int list(struct place *place, cst_error **error)
{
	_cleanup_strv_ struct strv algorithms = {0};
	int r = list_in(place, "", error);
	if (r == 0)
		r = fs_list_dir(place->fd, "blobs", &algorithms, place->path, error);
	strv_foreach (name, &algorithms) {
		_cleanup_free_ char *path = path_join("blobs", name);
		if (r == 0)
			r = path ? list_in(place, path, error) : error_oom(error);
	}
	return r;
}

static int open_blob(struct place *place, const struct blob *blob, struct blob_reader *ret,
                     cst_error **error)
{
	ret->fd = fs_open_beneath(place->fd, blob->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (ret->fd < 0 && errno == ELOOP)
		return error_set(error, CST_EINVAL, "it is a symlink, and no blob");
	if (ret->fd < 0)
		return error_sys(error, errno, "open");
	struct stat st;
	if (fstat(ret->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(error, CST_EINVAL, "it is no regular file");
	ret->source = cst_source_fd(ret->fd);
	return 0;
}

const struct place_kind directory_place = {.list = list, .open = open_blob};
