/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletion marks (docs/format/archive.md, "Whiteouts"). A mark acts on what was in the layer before and on the layers below, never on
 * what its own archive brought. Where its directory does not exist there is nothing to delete. On a full tree it deletes; in
 * the directory of one layer it deletes and leaves a mark for the kernel, so that both are the same tree to a user.
 */
#include "archive/unpack/whiteout.h"
#include "archive/unpack/directories.h"
#include "base/fs.h"
#include <errno.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool marks_for_kernel(const struct target *t)
{
	return t->options->whiteouts == UNPACK_WHITEOUT_OVERLAY;
}

/* ---- what is in the layer ---- */

/* Removes what the archive did not bring. A directory goes when nothing of the archive is left in
 * it. */
static int remove_foreign(const struct directory *directory, const char *name,
                          const struct stat *st, void *arg, cst_error **error)
{
	struct target *t = arg;
	bool is_directory = S_ISDIR(st->st_mode);

	if (own_has(&t->own, directory, name, NULL))
		return 0;
	if (is_directory || S_ISLNK(st->st_mode))
		directory_paths_changed(t);
	if (sys_unlinkat(directory->fd, name, is_directory ? AT_REMOVEDIR : 0) < 0) {
		bool holds_own = is_directory && (errno == ENOTEMPTY || errno == EEXIST);
		return holds_own || errno == ENOENT ? 0
		                                    : error_sys(error, errno, "unlinkat %s", name);
	}
	return 0;
}

static int delete_content(struct target *t, const struct directory *directory, cst_error **error)
{
	return directory_walk(&t->own, directory, remove_foreign, t, error);
}

static int delete_name(struct target *t, const struct directory *parent, const char *name,
                       const struct entry *e, bool *there, cst_error **error)
{
	struct directory directory;
	struct stat st;

	*there = fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*there)
		return errno == ENOENT ? 0 : error_sys(error, errno, "lstat /%s", e->path);
	if (S_ISDIR(st.st_mode)) {
		if (directory_open_child(&t->own, parent, name, &directory) < 0)
			return error_sys(error, errno, "open /%s", e->path);
		int r = delete_content(t, &directory, error);
		close(directory.fd);
		if (r < 0)
			return r;
	}
	return remove_foreign(parent, name, &st, t, error);
}

/* ---- what is below: marks for the kernel ---- */

static int set_node_owner(struct target *t, const struct entry *e, const struct place *place,
                          cst_error **error)
{
	if (t->options->force_mask >= 0 || (e->host_uid == 0 && e->host_gid == 0))
		return 0;
	int r = place_hold(place, S_IFCHR, e->path, &(struct stat){0}, error);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = r;
	if (sys_fchown(fd, e->host_uid, e->host_gid) < 0 && !t->options->ignore_chown_errors)
		return error_sys(error, errno, "lchown /%s", e->path);
	return 0;
}

static int make_node(struct target *t, struct way *way, const char *name, const struct entry *e,
                     cst_error **error)
{
	struct place place = place_of(&t->making, way->fd, name);

	if (!way_is_merged(way))
		return 0;
	if (sys_mknodat(place.fd, place.name, S_IFCHR, makedev(0, 0)) < 0)
		return error_sys(error, errno, "mknod /%s", e->path);
	int r = set_node_owner(t, e, &place, error);
	if (r < 0)
		return r;
	/* What another process made meanwhile, in a layer that is in use, stays. */
	if (place_settle(&t->making, way->fd, name, PLACE_NEW) < 0 && errno != EEXIST)
		return error_sys(error, errno, "mknod /%s", e->path);
	return 0;
}

/* A file of this layer hides what is below, a directory must become opaque. */
static int hide_below(struct target *t, struct way *way, const char *name, const struct entry *e,
                      cst_error **error)
{
	struct stat st;

	if (fstatat(way->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? make_node(t, way, name, e, error)
		                       : error_sys(error, errno, "lstat /%s", e->path);
	if (!S_ISDIR(st.st_mode))
		return 0;
	_cleanup_close_ int fd =
	        openat(way->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || mark_opaque(t->options, fd) < 0)
		return error_sys(error, errno, "lsetxattr /%s", e->path);
	_cleanup_free_ char *path = str_join(strbuf_str(&way->path), "/", name);
	return path ? sync_list_add_directory(&t->sync, path, strlen(path), error)
	            : error_oom(error);
}

/* The kernel takes no heed of a mark on the root of a layer. */
static int hide_root(struct target *t, struct way *way, const struct entry *e, cst_error **error)
{
	const struct unpack_below *below = t->options->below;
	_cleanup_strv_ struct strv names = {0};
	int r = below ? below->list_root(below->userdata, &names, error) : 0;

	for (size_t i = 0; i < names.len && r == 0; i++)
		r = hide_below(t, way, names.items[i], e, error);
	if (r == 0 && mark_opaque(t->options, way->fd) < 0)
		r = error_sys(error, errno, "lsetxattr /%s", e->path);
	return r;
}

/* ---- both ---- */

/* Remembers the mark. False: this archive had the same one before. Everything that came since is its own. */
static int note_mark(struct target *t, const struct directory *directory, const struct entry *e,
                     bool *is_new, cst_error **error)
{
	*is_new = !own_has(&t->own, directory, e->base, NULL);
	return *is_new ? own_add(&t->own, directory, e->base, 0, error) : 0;
}

static int no_way(const struct entry *e, cst_error **error)
{
	bool absent = errno == ENOENT || errno == ENOTDIR;
	return absent ? 0 : error_sys(error, errno, "open /%s", e->path);
}

void whiteouts_forget(struct whiteouts *w)
{
	way_end(&w->way);
	free(steal_ptr(&w->asked));
}

/* Goes to the directory of a whiteout. *found false: it does not exist. */
static int go(struct whiteouts *w, const struct entry *e, bool *found, cst_error **error)
{
	size_t n = entry_parent_len(e);

	*found = true;
	if (w->asked && strlen(w->asked) == n && memcmp(w->asked, e->path, n) == 0)
		return 0;
	whiteouts_forget(w);
	if (way_go(w->target, e->path, n, DIRECTORY_EXISTING, &w->way) < 0) {
		int r = no_way(e, error);
		way_end(&w->way);
		*found = false;
		return r;
	}
	w->asked = strndup(e->path, n);
	if (!w->asked)
		return error_oom(error);
	return directory_at(&w->target->own, w->way.fd, &w->directory) < 0
	               ? error_sys(error, errno, "open /%s", e->path)
	               : 0;
}

int whiteout_apply(struct whiteouts *w, const struct entry *e, cst_error **error)
{
	const char *target = e->base + strlen(".wh.");
	struct target *t = w->target;
	struct way *way = &w->way;
	bool found, is_new, there;

	int r = go(w, e, &found, error);
	if (r < 0 || !found || strlen(target) > NAME_MAX)
		return r;
	r = note_mark(t, &w->directory, e, &is_new, error);
	if (r < 0 || !is_new)
		return r;
	r = delete_name(t, &w->directory, target, e, &there, error);
	if (r == 0 && marks_for_kernel(t))
		r = there ? hide_below(t, way, target, e, error)
		          : make_node(t, way, target, e, error);
	return r < 0 ? r
	             : sync_list_add_directory(&t->sync, strbuf_str(&way->path), way->path.len,
	                                       error);
}

/* As upstream: the content of a directory that is reached through a symlink as the last step is left alone. */
int whiteout_apply_opaque(struct whiteouts *w, const struct entry *e, cst_error **error)
{
	_cleanup_way_ struct way way = WAY_INIT;
	struct target *t = w->target;
	struct directory directory;
	bool is_new;

	way.itself = true;
	if (way_go(t, e->path, entry_parent_len(e), DIRECTORY_EXISTING, &way) < 0)
		return no_way(e, error);
	if (directory_at(&t->own, way.fd, &directory) < 0)
		return error_sys(error, errno, "open /%s", e->path);
	int r = note_mark(t, &directory, e, &is_new, error);
	if (r < 0 || !is_new)
		return r;
	r = delete_content(t, &directory, error);
	if (r == 0 && marks_for_kernel(t) && way.path.len == 0)
		r = hide_root(t, &way, e, error);
	else if (r == 0 && mark_opaque(t->options, way.fd) < 0)
		r = error_sys(error, errno, "lsetxattr /%s", e->path);
	return r < 0 ? r
	             : sync_list_add_directory(&t->sync, strbuf_str(&way.path), way.path.len,
	                                       error);
}
