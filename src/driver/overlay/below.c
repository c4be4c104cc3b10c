/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks up what the layers below a layer show, without a mount, while an archive is unpacked into the layer. It follows the
 * kernel's rules (kernel: Documentation/filesystems/overlayfs.rst). The topmost layer that has a path decides. A whiteout, an
 * opaque directory and all that is no directory hide the layers further down. A redirect gives a directory another path in
 * them.
 */
#include "driver/overlay/below.h"
#include "archive/pack/packer.h"
#include "archive/tree/walk.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include "driver/rootless.h"
#include <errno.h>
#include <limits.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- which directories ---- */

static int add_layer(struct overlay_below *below, const struct overlay_dirs *dirs, const char *id,
                     bool content, cst_error **error)
{
	const struct overlay *o = below->staged->overlay;
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	_cleanup_strv_ struct strv parents = {0};
	_cleanup_close_ int layer_fd = -1;
	size_t home;

	int r = overlay_layer_open(o, dirs, id, &home, &layer_fd, error);
	if (r == 0)
		r = overlay_parents(o, dirs, home, id, &parents, error);
	if (r == 0)
		r = overlay_lowers(o, dirs, home, id, &parents, content, &lowers, error);
	if (r == 0 && overlay_has_images(&lowers)) {
		r = overlay_mount_lowers(o, dirs, &lowers, &below->whole, error);
		if (r == 0 && !strv_take(&below->roots,
		                         str_printf("/proc/self/fd/%d/.", below->whole.root_fd)))
			r = error_oom(error);
		return r;
	}
	for (size_t i = 0; i < lowers.len && r == 0; i++) {
		_cleanup_close_ int fd = -1;
		r = overlay_lower_open(o, dirs, &lowers.items[i], O_PATH, &fd, error);
		char *root = lowers.items[i].foreign ? steal_ptr(&lowers.items[i].foreign)
		                                     : overlay_lower_shown(o, &lowers.items[i]);
		if (!strv_take(&below->roots, root) && r == 0)
			r = error_oom(error);
	}
	return r;
}

static int add_generation(struct overlay_below *below, const struct driver_staged *s)
{
	_cleanup_free_ char *path = path_join(s->path, GENERATION);
	if (path && (!s->temp || !fs_exists(AT_FDCWD, path)))
		return 0;
	return strv_take(&below->roots, steal_ptr(&path)) ? 0 : error_oom(&below->problem);
}

/* Lists the lowers when somebody asks for the first time, since few archives need them. They are kept as paths: the limit on
 * descriptors may be too low for one of each. */
static int prepare(struct overlay_below *below)
{
	const struct driver_staged *s = below->staged;
	_cleanup_dirs_ struct overlay_dirs dirs = {0};

	if (below->ready)
		return 0;
	int r = s->parent ? below->policy->await_parent(below->policy->await_userdata,
	                                                &below->problem)
	                  : 0;
	/* Those of an image have the same maps, so that only the lowest may have a generation. */
	for (; r == 0 && s->parent; s = s->parent) {
		if (!strv_take(&below->roots, path_join(s->parent->path, "diff")))
			r = error_oom(&below->problem);
	}
	if (r == 0)
		r = add_generation(below, s);
	if (r == 0 && s->lower_id)
		r = overlay_dirs_open(s->overlay, &dirs, &below->problem);
	if (r == 0 && s->lower_id)
		r = add_layer(below, &dirs, s->lower_id, s->lower != NULL, &below->problem);
	below->ready = r == 0;
	if (r < 0)
		errno = cst_error_errno(below->problem) ? cst_error_errno(below->problem) : EIO;
	return r < 0 ? -1 : 0;
}

/* ---- one step down ---- */

/* Reads where the lowers further down have a directory, if not under its own name: a path from their root on, or another name in
 * the same parent. */
static int read_redirect(const struct overlay_below *below, int fd, char **ret)
{
	char path[XATTR_PATH_MAX], value[PATH_MAX];
	if (below->rootless) /* the kernel takes no redirects from attributes user.overlay.* */
		return 0;
	xattr_fd_path(path, fd);
	ssize_t n = getxattr(path, "trusted.overlay.redirect", value, sizeof(value));
	if (n < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -1;
	free(*ret);
	*ret = strndup(value, (size_t)n);
	return *ret ? 0 : -1;
}

/* Where one lower has the child of a directory: where the redirect of a lower further up says, or else at the place of the
 * directory. */
static char *child_path(const char *place, const char *redirect, const char *name)
{
	if (redirect && *redirect == '/')
		return strdup(redirect + 1);
	const char *last = redirect ? redirect : name;
	return *place ? path_join(place, last) : strdup(last);
}

static int open_child(const struct overlay_below *below, size_t lower, const char *path)
{
	const char *base = path_base(path);
	_cleanup_free_ char *parent = strndup(path, base > path ? (size_t)(base - path - 1) : 0);
	int root = open(below->roots.items[lower], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int dir =
	        root < 0 || !parent ? -1 : fs_open_dir_below(root, parent, O_PATH);
	closep(&root); /* early, since there may be few descriptors */
	return dir < 0 ? -1 : openat(dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* Has the lower a file beside this path that deletes what is below it? */
static bool is_deleted(const struct overlay_below *below, size_t lower, const char *path)
{
	const char *base = path_base(path);
	_cleanup_free_ char *mark =
	        below->files ? str_printf("%.*s.wh.%s", (int)(base - path), path, base) : NULL;
	_cleanup_close_ int fd = mark ? open_child(below, lower, mark) : -1;
	return fd >= 0;
}

/* Hides the directory what is further down? fuse-overlayfs has an attribute of its own for that, and takes the file, too. */
static bool is_opaque(const struct overlay_below *below, int fd)
{
	if (xattr_is_opaque(fd, ".", below->rootless))
		return true;
	return below->files && (fs_exists(fd, ".wh..wh..opq") ||
	                        overlay_has_xattr(fd, ".", "user.fuseoverlayfs.opaque", "y"));
}

static bool is_absent(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP;
}

/* What the lower i has at the place of a level, if the lowers above it let that be seen. Opens it into *first if that is -1 and the
 * lower shows something. -1 and errno. */
static int look_into(const struct overlay_below *below, struct below_level *level, size_t i,
                     const char *name, const char *place, int *first)
{
	bool elsewhere = level->redirect && *level->redirect == '/';
	if (!place && !elsewhere)
		return 0;
	_cleanup_free_ char *path = child_path(place, level->redirect, name);
	_cleanup_close_ int fd = path ? open_child(below, i, path) : -1;
	struct stat st;
	if (!path || (fd < 0 && !is_absent(errno)))
		return -1;
	bool deleted = is_deleted(below, i, path);
	if (fd < 0) {
		level->hidden = deleted;
		return 0;
	}
	if (fstat(fd, &st) < 0)
		return -1;
	bool directory = S_ISDIR(st.st_mode);
	bool last = !directory || deleted || is_opaque(below, fd);
	if (directory && read_redirect(below, fd, &level->redirect) < 0)
		return -1;
	if (directory)
		level->places[i] = steal_ptr(&path);
	if (*first < 0 && !stat_is_whiteout(&st))
		*first = steal_fd(&fd);
	level->hidden = last;
	return 0;
}

/* Looks at a level in the lowers up to `enough`, and first at those that it is in, as far; or only until one of them shows
 * something, if `first` is not NULL. -1 and errno. */
static int look(struct overlay_below *below, size_t number, size_t enough, int *first)
{
	struct below_level *level = &below->levels[number];
	if (level->seen >= enough || level->hidden)
		return 0;
	const struct below_level *above = level - 1;
	size_t start = above->len + (above->len > 0);
	_cleanup_free_ char *name = strndup(below->directory.data + start, level->len - start);
	if (!name)
		return -1;
	for (; level->seen < enough && !level->hidden && (!first || *first < 0); level->seen++) {
		_cleanup_close_ int shown = -1;
		if (look(below, number - 1, level->seen + 1, NULL) < 0 ||
		    look_into(below, level, level->seen, name, above->places[level->seen],
		              first ? first : &shown) < 0)
			return -1;
	}
	return 0;
}

/* ---- a path ---- */

static void drop_last_level(struct overlay_below *below)
{
	struct below_level *level = &below->levels[--below->n_levels];
	for (size_t i = 0; i < below->roots.len; i++)
		free(level->places[i]);
	free(level->places);
	free(level->redirect);
}

static void forget(struct overlay_below *below)
{
	while (below->n_levels)
		drop_last_level(below);
	strbuf_free(&below->directory);
}

/* The first level has nothing above it, so that it has to be known whole. */
static int drop_first_level(struct overlay_below *below)
{
	if (look(below, 1, below->roots.len, NULL) < 0)
		return -1;
	const struct below_level first = below->levels[0];
	memmove(below->levels, below->levels + 1, sizeof(first) * (BELOW_LEVELS - 1));
	below->levels[BELOW_LEVELS - 1] = first;
	drop_last_level(below);
	return 0;
}

/* A level for the directory as it is now. */
static struct below_level *push_level(struct overlay_below *below)
{
	if (below->n_levels == BELOW_LEVELS && drop_first_level(below) < 0)
		return NULL;
	char **places = new0(char *, below->roots.len + 1);
	if (!places)
		return NULL;
	struct below_level *level = &below->levels[below->n_levels++];
	*level = (struct below_level){.len = below->directory.len, .places = places};
	return level;
}

static bool is_on_the_way(const struct overlay_below *below, size_t len, const char *path, size_t n)
{
	return len == 0 || (n >= len && memcmp(path, strbuf_str(&below->directory), len) == 0 &&
	                    (n == len || path[len] == '/'));
}

/* Goes up to the nearest directory known that the path leads through; else to the top. */
static int go_up(struct overlay_below *below, const char *path, size_t n)
{
	while (below->n_levels &&
	       !is_on_the_way(below, below->levels[below->n_levels - 1].len, path, n))
		drop_last_level(below);
	below->directory.len = below->n_levels ? below->levels[below->n_levels - 1].len : 0;
	if (below->n_levels)
		return 0;
	struct below_level *top = push_level(below);
	for (; top && top->seen < below->roots.len; top->seen++) {
		if (!(top->places[top->seen] = strdup("")))
			return -1;
	}
	return top ? 0 : -1;
}

/* Opens what the lowers show under the next component of the path, and makes that the last level. -1 and errno; ENOENT: they show
 * nothing, which is a level, too. */
static int go_down(struct overlay_below *below, const char *path)
{
	struct strbuf *at = &below->directory;
	size_t start = at->len + (at->len > 0), len = strcspn(path + start, "/");
	int fd = -1;
	strbuf_add(at, path + at->len, start + len - at->len);
	if (at->failed)
		errno = ENOMEM;
	if (at->failed || !push_level(below) ||
	    look(below, below->n_levels - 1, below->roots.len, &fd) < 0)
		return -1;
	if (fd < 0)
		errno = ENOENT;
	return fd;
}

static int below_open(void *userdata, const char *path)
{
	struct overlay_below *below = userdata;
	const char *base = path_base(path);

	if (prepare(below) < 0)
		return -1;
	if (below->roots.len == 0) {
		errno = ENOENT;
		return -1;
	}
	if (!*path)
		return open(below->roots.items[0], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = -1;
	bool failed = go_up(below, path, base > path ? (size_t)(base - path - 1) : 0) < 0;
	while (!failed && below->directory.len < strlen(path)) {
		closep(&fd);
		fd = go_down(below, path);
		failed = fd < 0 && errno != ENOENT;
	}
	int problem = errno;
	if (failed)
		forget(below);
	errno = problem;
	return fd;
}

static int below_list_root(void *userdata, struct strv *ret, cst_error **error)
{
	struct overlay_below *below = userdata;
	int r = prepare(below) < 0 ? error_propagate(error, steal_ptr(&below->problem)) : 0;

	for (size_t i = 0; i < below->roots.len && r == 0; i++) {
		_cleanup_strv_ struct strv names = {0};
		r = fs_list_dir(AT_FDCWD, below->roots.items[i], &names, NULL, error);
		for (size_t k = 0; k < names.len && r == 0; k++)
			if (!strv_add(ret, names.items[k]))
				r = error_oom(error);
	}
	return r;
}

void overlay_below_init(struct overlay_below *below, const struct driver_staged *staged,
                        const struct driver_unpack_policy *policy)
{
	*below = (struct overlay_below){
	        .staged = staged,
	        .whole = {.mount_fd = -1, .root_fd = -1},
	        .policy = policy,
	        .rootless = driver_is_rootless(),
	        .files = staged->overlay->base.marks_are_files,
	        .unpack = {.open = below_open, .list_root = below_list_root, .userdata = below},
	};
}

void overlay_below_free(struct overlay_below *below)
{
	forget(below);
	overlay_detached_close(&below->whole);
	strv_free(&below->roots);
	error_freep(&below->problem);
}
