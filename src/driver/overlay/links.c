/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <home>/l has a symlink for each layer: from a short random name to the layer's `diff` (docs/format/drivers.md, "lower,
 * lower-layers"). All of them can be made again, because each layer has its short name in its file `link`. A power cut can
 * leave a file or a symlink where `l` should be. Nothing is read or written through such a symlink: it may lead into a layer
 * or out of the store.
 */
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <unistd.h>

/* The Go tools take 26 characters of base32, which are 130 random bits. */
int overlay_new_link(char ret[OVERLAY_LINK_LEN + 1], cst_error **error)
{
	unsigned char random[OVERLAY_LINK_LEN];
	int r = random_bytes(random, sizeof(random), error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < OVERLAY_LINK_LEN; i++)
		ret[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[random[i] & 31];
	ret[OVERLAY_LINK_LEN] = '\0';
	return 0;
}

/* Opens `l` of a home. -1 and errno; ENOENT also if it is no directory. */
static int open_links(int home_fd)
{
	int fd = openat(home_fd, OVERLAY_LINK_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		errno = ENOENT;
	return fd;
}

/* ---- reading ---- */

static char *follow_in(int links_fd, const char *link)
{
	_cleanup_free_ char *target = fs_readlink(links_fd, link);
	char *id, *end;

	if (!target)
		return NULL;
	end = target + strlen(target);
	if (has_prefix(target, "../") && has_suffix(target, "/diff") && end - target > 8) {
		end[-5] = '\0';
		id = strdup(target + 3);
		if (id && !overlay_id_ok(id))
			free(steal_ptr(&id));
		if (id)
			return id;
	}
	errno = EINVAL;
	return NULL;
}

char *overlay_follow_link(int home_fd, const char *link)
{
	_cleanup_close_ int fd = open_links(home_fd);

	return fd < 0 ? NULL : follow_in(fd, link);
}

int overlay_link_of(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, char ret[OVERLAY_LINK_LEN + 1], cst_error **error)
{
	_cleanup_close_ int fd = open_links(dirs->fds[home]);
	_cleanup_strv_ struct strv links = {0};

	if (fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s/l", o->homes[home].path);
	int r = fd < 0 ? 0 : fs_list_dir(fd, ".", &links, o->homes[home].path, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < links.len; i++) {
		_cleanup_free_ char *target = NULL;

		if (strlen(links.items[i]) != OVERLAY_LINK_LEN)
			continue;
		target = follow_in(fd, links.items[i]);
		if (target && streq(target, id)) {
			strcpy(ret, links.items[i]);
			return 0;
		}
	}
	return overlay_new_link(ret, error);
}

/* ---- making `l` whole ---- */

static int add_link(const struct overlay *o, size_t home, int links_fd, const char *link,
                    const char *id, cst_error **error)
{
	_cleanup_free_ char *target = path_join3("..", id, "diff");

	if (!target)
		return error_oom(error);
	if (sys_symlinkat(target, links_fd, link) < 0 && errno != EEXIST)
		return error_sys(error, errno, "symlink %s %s/l/%s", target, o->homes[home].path,
		                 link);
	return 0;
}

/* Makes the links of all layers that have a `link` file. A layer without one gets its link when it is used. */
static int add_all_links(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                         int links_fd, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	int r = fs_list_dir(dirs->fds[home], ".", &names, o->homes[home].path, error);

	for (size_t i = 0; r == 0 && i < names.len; i++) {
		char link[OVERLAY_LINK_LEN + 1] = "";
		if (!overlay_id_ok(names.items[i]) ||
		    overlay_read_link(o, dirs, home, names.items[i], link, NULL) < 0 || !*link)
			continue;
		r = add_link(o, home, links_fd, link, names.items[i], error);
	}
	return r;
}

/* Removes what is in the place of `l`. unlink() does not remove a directory, which another process may make at this moment. */
static int take_intruder_away(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                              cst_error **error)
{
	if (sys_unlinkat(dirs->fds[home], OVERLAY_LINK_DIR, 0) < 0) {
		if (errno == ENOENT || errno == EISDIR)
			return 0;
		return error_sys(error, errno, "unlink %s/l", o->homes[home].path);
	}
	log_warning("%s/l was not a directory: making it and its links again", o->homes[home].path);
	return 0;
}

/* Opens `l`. If it is missing, it is made with all its links. */
static int need_links(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      int *ret_fd, cst_error **error)
{
	_cleanup_close_ int fd = open_links(dirs->fds[home]);
	bool made = false;
	int r = 0;

	if (fd < 0 && errno == ENOENT) {
		r = take_intruder_away(o, dirs, home, error);
		if (r < 0)
			return r;
		made = sys_mkdirat(dirs->fds[home], OVERLAY_LINK_DIR, 0755) == 0;
		if (!made && errno != EEXIST)
			return error_sys(error, errno, "mkdir %s/l", o->homes[home].path);
		fd = open_links(dirs->fds[home]);
	}
	if (fd < 0)
		return error_sys(error, errno, "open %s/l", o->homes[home].path);
	if (made)
		r = add_all_links(o, dirs, home, fd, error);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

int overlay_make_links_dir(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                           cst_error **error)
{
	_cleanup_close_ int fd = -1;

	return need_links(o, dirs, home, &fd, error);
}

bool overlay_has_links_dir(const struct overlay *o, size_t home)
{
	_cleanup_free_ char *path = path_join(o->homes[home].path, OVERLAY_LINK_DIR);
	struct stat st;

	return path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- one link ---- */

int overlay_make_link(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      const char *link, const char *id, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = need_links(o, dirs, home, &fd, error);

	return r == 0 ? add_link(o, home, fd, link, id, error) : r;
}

int overlay_unlink(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                   const char *link, const char *id, cst_error **error)
{
	_cleanup_close_ int fd = open_links(dirs->fds[home]);
	_cleanup_free_ char *target = NULL;

	if (fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s/l", o->homes[home].path);
	if (fd < 0 || !path_is_component(link))
		return 0;
	target = id ? follow_in(fd, link) : NULL;
	if (id && (!target || !streq(target, id)))
		return 0;
	if (sys_unlinkat(fd, link, 0) < 0 && errno != ENOENT)
		return error_sys(error, errno, "unlink %s/l/%s", o->homes[home].path, link);
	return 0;
}

int overlay_sync_home(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      struct fs_later *later, cst_error **error)
{
	_cleanup_close_ int fd = open_links(dirs->fds[home]);

	if (fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s/l", o->homes[home].path);
	int r = fd < 0 ? 0 : fs_fsync_later(later, fd, o->homes[home].path, error);
	return r < 0 ? r : fs_fsync_later(later, dirs->fds[home], o->homes[home].path, error);
}
