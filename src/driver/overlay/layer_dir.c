/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a layer's directory, and reads the small files in it. What these say about the layer's ancestors is in parents.c. */
#include "base/fs.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <unistd.h>

bool overlay_id_ok(const char *id)
{
	return path_is_component(id) && !streq(id, OVERLAY_LINK_DIR) &&
	       !streq(id, OVERLAY_STAGING_DIR) && !streq(id, OVERLAY_TEMP_DIR);
}

int overlay_find(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                 ssize_t *ret, cst_error **error)
{
	struct stat st;
	for (size_t i = 0; i < dirs->n && overlay_id_ok(id); i++) {
		if (dirs->fds[i] < 0)
			continue;
		bool found = fstatat(dirs->fds[i], id, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (!found && errno != ENOENT)
			return error_sys(error, errno, "stat %s/%s", o->homes[i].path, id);
		if (found && S_ISDIR(st.st_mode)) {
			*ret = (ssize_t)i;
			return 0;
		}
	}
	*ret = -1;
	return 0;
}

int overlay_layer_open(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                       size_t *ret_home, int *ret_fd, cst_error **error)
{
	ssize_t home;
	int fd, r = overlay_find(o, dirs, id, &home, error);

	if (r < 0)
		return r;
	if (home < 0)
		return error_set(error, CST_ELAYER_UNKNOWN,
		                 "faccessat %s/%s: no such file or directory", o->base.home, id);
	fd = openat(dirs->fds[home], id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", o->homes[home].path, id);
	*ret_home = (size_t)home;
	*ret_fd = fd;
	return 0;
}

int overlay_read_layer_file(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, const char *name, char **ret, cst_error **error)
{
	_cleanup_free_ char *path = path_join(id, name),
	                    *shown = path_join3(o->homes[home].path, id, name);
	_cleanup_close_ int fd = -1;
	size_t len;

	if (!path || !shown)
		return error_oom(error);
	fd = openat(dirs->fds[home], path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "open %s", shown);
	int r = fs_must_be_regular(fd, shown, error);
	return r == 0 ? fs_read_fd(fd, shown, OVERLAY_SHORT_FILE, ret, &len, error) : r;
}

int overlay_read_link(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      const char *id, char ret[OVERLAY_LINK_LEN + 1], cst_error **error)
{
	_cleanup_free_ char *text = NULL;
	int r = overlay_read_layer_file(o, dirs, home, id, "link", &text, error);
	if (r < 0)
		return r;
	if (text && strlen(text) == OVERLAY_LINK_LEN && path_is_component(text))
		strcpy(ret, text);
	else
		ret[0] = '\0';
	return 0;
}
