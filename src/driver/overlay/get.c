/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts a layer, tells if it is mounted, and unmounts it (docs/format/drivers.md, "Get" and "Put"). */
#include "base/fs.h"
#include "base/log.h"
#include "driver/mountinfo.h"
#include "driver/overlay/overlay.h"
#include "driver/rootless.h"
#include <errno.h>
#include <linux/fs.h>
#include <sys/mount.h>
#include <unistd.h>

/* A layer that is being mounted. */
struct getting {
	struct overlay *o;
	const char *id;
	const struct driver_mount_options *options;
	struct overlay_dirs dirs;
	size_t home;
	int layer_fd, merged_fd;
	char *path, *merged; /* paths of the layer and of its mount point */
	struct mount_options mount_options;
	struct overlay_lowers lowers;
	bool foreign; /* its content is in an additional layer store: nothing can write to it */
	bool read_only, shifts; /* the mount maps ids */
};

static void getting_close(struct getting *g)
{
	closep(&g->merged_fd);
	closep(&g->layer_fd);
	overlay_dirs_close(&g->dirs);
	free(g->path);
	free(g->merged);
	mount_options_free(&g->mount_options);
	overlay_lowers_free(&g->lowers);
}

static int find_layer(struct getting *g, cst_error **error)
{
	int r = overlay_dirs_open(g->o, &g->dirs, error);
	if (r == 0)
		r = overlay_layer_open(g->o, &g->dirs, g->id, &g->home, &g->layer_fd, error);
	if (r < 0)
		return r;
	g->path = path_join(g->o->homes[g->home].path, g->id);
	g->merged = overlay_merged_path(g->o, g->home, g->id);
	if (!g->path || !g->merged)
		return error_oom(error);
	_cleanup_free_ char *foreign = NULL;
	r = overlay_foreign_content(g->o, &g->dirs, g->home, g->id, &foreign, error);
	g->foreign = foreign;
	return r;
}

/* Opens the mount point, and makes it if it is missing. */
static int open_merged(struct getting *g, cst_error **error)
{
	int r = 0;

	if (g->home == 0) {
		if (sys_mkdirat(g->layer_fd, "merged", 0700) < 0 && errno != EEXIST)
			return error_sys(error, errno, "mkdir %s", g->merged);
		g->merged_fd = openat(g->layer_fd, "merged",
		                      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	} else {
		r = fs_mkdir_p(g->merged, 0700, error);
		if (r == 0)
			g->merged_fd =
			        open(g->merged, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (r == 0 && g->merged_fd < 0)
		r = error_sys(error, errno, "open %s", g->merged);
	return r;
}

/* The options of the call replace the configured ones. metacopy=on is left out if it does not work here. */
static int collect_options(struct getting *g, cst_error **error)
{
	struct mount_options *to = &g->mount_options;
	_cleanup_mount_options_ struct mount_options configured = {0};
	bool wanted;
	int r = mount_options_add(&configured, strempty(g->o->options.mount_options), error);
	for (size_t i = 0; r == 0 && i < g->options->n_options; i++)
		r = mount_options_add(to, g->options->options[i], error);
	if (r == 0 && g->options->n_options == 0)
		r = mount_options_add(to, strempty(g->o->options.mount_options), error);
	if (r < 0)
		return r;
	wanted = strv_contains(&configured.data, "metacopy=on") ||
	         strv_contains(&to->data, "metacopy=on");
	mount_options_drop(to, "metacopy=on");
	if (wanted && g->o->metacopy)
		r = mount_options_add(to, "metacopy=on", error);
	/* As the Go tools: a later "rw" takes the flag away, but nobody can write either. */
	g->read_only = strv_contains(&to->words, "ro") || g->home != 0 || g->foreign;
	if (g->home != 0 || g->foreign)
		to->flags |= MS_RDONLY;
	if (r == 0 && !g->o->program && driver_is_rootless())
		r = mount_options_add(to, "userxattr", error);
	if (r == 0 && g->options->is_volatile && !g->read_only &&
	    !strv_contains(&to->data, "volatile") && overlay_supports_volatile(g->o))
		r = mount_options_add(to, "volatile", error);
	return r;
}

static int collect_lowers(struct getting *g, cst_error **error)
{
	_cleanup_strv_ struct strv parents = {0};
	g->dirs.mends = true;
	int r = overlay_parents(g->o, &g->dirs, g->home, g->id, &parents, error);
	if (r < 0)
		return r;
	if (parents.len + g->read_only > OVERLAY_MAX_LOWERS)
		return error_set(error, CST_EINVAL, "max depth exceeded");
	r = overlay_lowers(g->o, &g->dirs, g->home, g->id, &parents, g->read_only, &g->lowers,
	                   error);
	if (r < 0)
		return r;
	if (g->lowers.len > OVERLAY_MAX_LOWERS)
		return error_set(error, CST_EINVAL, "max depth exceeded");
	if (g->lowers.len > (g->read_only ? 1 : 0))
		return 0;
	if (g->o->homes[g->home].writable && sys_mkdirat(g->layer_fd, "empty", 0700) < 0 &&
	    errno != EEXIST)
		return error_sys(error, errno, "mkdir %s/empty", g->path);
	return overlay_lowers_add(&g->lowers, g->home, g->id, "empty", error);
}

/* Without these options nobody finds the data of images. */
static int want_data(struct getting *g, cst_error **error)
{
	struct mount_options *options = &g->mount_options;
	if (!overlay_has_images(&g->lowers))
		return 0;
	for (size_t i = options->data.len; i-- > 0;)
		if (has_prefix(options->data.items[i], "metacopy=") ||
		    has_prefix(options->data.items[i], "redirect_dir="))
			mount_options_drop(options, options->data.items[i]);
	return mount_options_add(options, "metacopy=on,redirect_dir=on", error);
}

static bool has_maps(const struct idmaps *maps)
{
	return maps && (maps->uids.len || maps->gids.len);
}

/* The directories that a mount writes to belong to the root user of the container's maps. A mount program that maps ids maps those of
 * these directories, too: there it is user 0, although the Go tools give them to the mapped one, whom the program then does not
 * know. */
static int give_to_root(const struct getting *g, const char *name, int fd, cst_error **error)
{
	uint32_t uid, gid;
	struct stat st;
	if (!has_maps(g->options->maps))
		return 0;
	int r = idmaps_root(g->options->maps, &uid, &gid, error);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat %s/%s", g->path, name);
	bool is_mapped = st.st_uid == uid && st.st_gid == gid,
	     maps_upper = g->o->program && g->shifts;
	if (maps_upper)
		uid = gid = 0;
	if (is_mapped == maps_upper && sys_fchown(fd, uid, gid) < 0)
		return error_sys(error, errno, "chown %s/%s", g->path, name);
	return 0;
}

static int need_directory(const struct getting *g, const char *name, cst_error **error)
{
	if (fs_exists(g->layer_fd, name) || sys_mkdirat(g->layer_fd, name, 0700) == 0)
		return 0;
	return error_sys(error, errno, "mkdir %s/%s", g->path, name);
}

/* Opens `diff`, which the mount writes to. */
static int open_upper(const struct getting *g, int *ret_fd, cst_error **error)
{
	int r = need_directory(g, "diff", error);
	if (r == 0)
		r = overlay_content_open_at(g->o, &g->dirs, g->home, g->id, ret_fd, error);
	return r == 0 ? give_to_root(g, "diff", *ret_fd, error) : r;
}

static int open_work(const struct getting *g, int *ret_fd, cst_error **error)
{
	int r = need_directory(g, "work", error);
	if (r < 0)
		return r;
	*ret_fd = openat(g->layer_fd, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd < 0)
		return error_sys(error, errno, "open %s/work", g->path);
	return give_to_root(g, "work", *ret_fd, error);
}

/* Removes the mark of an earlier volatile mount that was not unmounted properly: the kernel refuses a work directory that has
 * one. */
static int clear_volatile_mark(const struct getting *g, int work_fd, cst_error **error)
{
	_cleanup_close_ int fd =
	        fs_open_beneath(work_fd, "work/incompat", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

	return fd < 0 ? 0 : fs_remove_tree(fd, "volatile", g->path, error);
}

static int attach(struct getting *g, const struct overlay_mount *mount, cst_error **error)
{
	if (!g->shifts || g->o->program)
		return overlay_mount_at(g->o, mount, g->merged_fd, g->merged, error);
	return overlay_mount_idmapped_at(g->o, mount, g->options->maps, g->layer_fd, g->path,
	                                 g->merged_fd, g->merged, error);
}

static int mount_layer(struct getting *g, cst_error **error)
{
	_cleanup_close_ int upper_fd = -1, work_fd = -1;
	_cleanup_free_ char *upper = path_join(g->path, "diff"), *work = path_join(g->path, "work");
	struct overlay_mount mount = {.dirs = &g->dirs,
	                              .lowers = &g->lowers,
	                              .upper_fd = -1,
	                              .work_fd = -1,
	                              .upper = upper,
	                              .work = work,
	                              .options = &g->mount_options,
	                              .label = g->options->label,
	                              .maps = g->shifts ? g->options->maps : NULL};
	int r = 0;

	if (!upper || !work)
		return error_oom(error);
	if (!g->read_only) {
		r = open_upper(g, &upper_fd, error);
		if (r == 0)
			r = open_work(g, &work_fd, error);
		if (r == 0)
			r = clear_volatile_mark(g, work_fd, error);
		mount.upper_fd = upper_fd;
		mount.work_fd = work_fd;
	}
	if (r < 0)
		return r;
	overlay_mount_tell(g->o, &mount);
	return attach(g, &mount, error);
}

/* ---- is it mounted? ---- */

/* The top lower in the superblock options of an overlay mount. Linux 6.8 and later name each lower in an option of its own
 * (lowerdir+), older kernels name all in one list. NULL: no lower is named, or out of memory. */
static char *top_lower(const char *options)
{
	static const char *const keys[] = {"lowerdir+=", "lowerdir="};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *at = strstr(options, keys[i]);
		if (at) {
			at += strlen(keys[i]);
			return strndup(at, strcspn(at, ",:"));
		}
	}
	return NULL;
}

/* Does the mount show this layer? A layer of another home than the driver's own is mounted in the run home, which another store
 * may share. The Go tools name a lower by its link, relative to the home. If the kernel only knows a path that means nothing
 * any more (/proc/self/fd/9, Linux before 6.13), this process believes the name of the mount point. */
static int shows_layer(const struct getting *g, int merged_fd, bool *ret, cst_error **error)
{
	_cleanup_free_ char *type = NULL, *options = NULL;
	char link[OVERLAY_LINK_LEN + 1];
	struct stat own, lower;
	int r = mountinfo_describe(merged_fd, &type, &options, error);
	if (r == 0)
		r = overlay_read_link(g->o, &g->dirs, g->home, g->id, link, error);
	if (r < 0)
		return r;
	_cleanup_free_ char *top = top_lower(options);
	if (!streq(type, "overlay"))
		*ret = has_prefix(type, "fuse.");
	else if (!top || has_prefix(top, "/proc/"))
		*ret = true;
	else if (*top != '/')
		*ret = has_prefix(top, OVERLAY_LINK_DIR "/") && streq(top + 2, link);
	else
		*ret = stat(top, &lower) == 0 && fstatat(g->layer_fd, "diff", &own, 0) == 0 &&
		       own.st_dev == lower.st_dev && own.st_ino == lower.st_ino;
	return 0;
}

static int unmount(const struct getting *g, cst_error **error)
{
	int dirfd = g->home == 0 ? g->layer_fd : AT_FDCWD;
	const char *name = g->home == 0 ? "merged" : g->merged;
	return g->o->program ? overlay_program_unmount(dirfd, name, g->merged, error)
	                     : overlay_unmount(dirfd, name, g->merged, error);
}

enum mount_state { NOT_MOUNTED, MOUNTED, MOUNTED_BY_ANOTHER_STORE };

/* Tells what is mounted on the layer's mount point, of which merged_fd is a descriptor. The mount point of a layer of home 0 is
 * inside of that home, so whatever is mounted there is ours. A mount whose program died counts as none. */
static int mount_state(const struct getting *g, int merged_fd, enum mount_state *ret,
                       cst_error **error)
{
	bool shown = true;
	int mounted = mountinfo_is_mount_point(merged_fd, "");
	if (mounted < 0)
		return error_sys(error, errno, "statx %s", g->merged);
	int r = mounted && g->home != 0 ? shows_layer(g, merged_fd, &shown, error) : 0;
	if (r < 0)
		return r;
	bool dead = mounted && g->o->program && overlay_program_is_dead(merged_fd);
	*ret = !mounted || dead ? NOT_MOUNTED : MOUNTED;
	if (!shown)
		*ret = MOUNTED_BY_ANOTHER_STORE;
	return 0;
}

int overlay_get(struct driver *d, const char *id, const struct driver_mount_options *options,
                char **ret_path, cst_error **error)
{
	_cleanup_(getting_close) struct getting g = {
	        .o = overlay_of(d), .id = id, .options = options, .layer_fd = -1, .merged_fd = -1};
	int r = find_layer(&g, error);
	if (r == 0)
		r = open_merged(&g, error);
	enum mount_state state = NOT_MOUNTED;
	if (r == 0)
		r = mount_state(&g, g.merged_fd, &state, error);
	if (r == 0 && state == MOUNTED_BY_ANOTHER_STORE)
		r = error_set(error, CST_EINVAL,
		              "%s: another store that uses the same run root has mounted its layer "
		              "of this ID there; give each store a run root of its own",
		              g.merged);
	if (r < 0)
		return r;
	if (state == NOT_MOUNTED) {
		if (g.o->program) /* one that died may be there */
			r = unmount(&g, error);
		if (r == 0 && has_maps(options->maps))
			r = overlay_supports_shifting(d, options->maps, &g.shifts, error);
		if (r == 0)
			r = collect_options(&g, error);
		if (r == 0)
			r = collect_lowers(&g, error);
		if (r == 0)
			r = want_data(&g, error);
		if (r == 0)
			r = mount_layer(&g, error);
	}
	if (r == 0)
		*ret_path = steal_ptr(&g.merged);
	return r;
}

/* Do the ranges make one, in the container and on the host, whatever their order? No id is in two of them. */
static bool is_contiguous(const struct idmap *map)
{
	uint64_t size = 0, container_end = 0, host_end = 0;
	uint32_t container = UINT32_MAX, host = UINT32_MAX;
	for (size_t i = 0; i < map->len; i++) {
		const cst_idmap *range = &map->ranges[i];
		container = MIN(container, range->container_id);
		host = MIN(host, range->host_id);
		container_end = MAX(container_end, (uint64_t)range->container_id + range->size);
		host_end = MAX(host_end, (uint64_t)range->host_id + range->size);
		size += range->size;
	}
	return map->len < 2 || (container_end - container == size && host_end - host == size);
}

int overlay_supports_shifting(struct driver *d, const struct idmaps *maps, bool *ret,
                              cst_error **error)
{
	struct overlay *o = overlay_of(d);
	const char *disabled = getenv("_CONTAINERS_OVERLAY_DISABLE_IDMAP");

	if (o->read_only || (disabled && streq(disabled, "yes"))) {
		*ret = false;
		return 0;
	}
	if (o->program) { /* it maps the upper directory, too, and takes no holes */
		*ret = !maps || (is_contiguous(&maps->uids) && is_contiguous(&maps->gids));
		return 0;
	}
	return overlay_supports_idmapped_lowers(o, ret, error);
}

/* ---- put ---- */

/* Puts a new directory in the place of the mount point. By that the kernel also takes the mount out of other mount namespaces,
 * where it would keep the upper directory in use. The rename leaves no moment without a mount point. */
static int renew_merged(const struct getting *g, cst_error **error)
{
	_cleanup_(tempdir_freep) struct tempdir *trash = NULL;
	_cleanup_free_ char *root = overlay_staging_path(g->o, 0);
	struct stat st;

	if (fstatat(g->layer_fd, "merged", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "stat %s", g->merged);
	if (sys_mkdirat(g->layer_fd, "merged.1", 0700) < 0 && errno != EEXIST)
		return error_sys(error, errno, "mkdir %s.1", g->merged);
	_cleanup_close_ int fresh =
	        openat(g->layer_fd, "merged.1", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fresh < 0)
		return error_sys(error, errno, "open %s.1", g->merged);
	if ((st.st_uid != geteuid() || st.st_gid != getegid()) &&
	    sys_fchown(fresh, st.st_uid, st.st_gid) < 0)
		return error_sys(error, errno, "chown %s.1", g->merged);
	if (sys_renameat(g->layer_fd, "merged.1", g->layer_fd, "merged") == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return error_sys(error, errno, "replacing mount point \"%s\"", g->merged);
	/* Somebody wrote into the mount point while nothing was mounted on it. */
	log_warning("there were files below the mount point %s: moving them away", g->merged);
	int r = root ? tempdir_new(root, TEMPDIR_STAGING, &trash, error) : error_oom(error);
	if (r < 0)
		return r;
	if (sys_renameat2(g->layer_fd, "merged.1", g->layer_fd, "merged", RENAME_EXCHANGE) < 0)
		return error_sys(error, errno, "replacing mount point \"%s\"", g->merged);
	return overlay_trash_take(g->dirs.fds[0], g->layer_fd, "merged.1", trash, error);
}

static int put_foreign(const struct getting *g, cst_error **error)
{
	_cleanup_free_ char *dir = path_join(g->o->base.run_home, g->id);

	if (!dir)
		return error_oom(error);
	int r = unmount(g, error);
	if (r < 0)
		return r;
	if ((sys_unlinkat(AT_FDCWD, g->merged, AT_REMOVEDIR) < 0 && errno != ENOENT) ||
	    (sys_unlinkat(AT_FDCWD, dir, AT_REMOVEDIR) < 0 && errno != ENOENT))
		log_warning("%s stays behind", dir);
	return 0;
}

int overlay_put(struct driver *d, const char *id, cst_error **error)
{
	_cleanup_(getting_close) struct getting g = {
	        .o = overlay_of(d), .id = id, .layer_fd = -1, .merged_fd = -1};
	_cleanup_error_ cst_error *problem = NULL;
	int r = find_layer(&g, error);
	if (r < 0)
		return r;
	overlay_idmapped_detach(g.layer_fd, g.path);
	if (g.home != 0)
		return put_foreign(&g, error);
	r = unmount(&g, error);
	if (r < 0)
		return r;
	/* A full disk may have no room for a new directory. In this namespace the layer is unmounted all the same. */
	if (renew_merged(&g, &problem) < 0)
		log_warning("the layer may stay mounted in other mount namespaces: %s",
		            cst_error_message(problem));
	return 0;
}

int overlay_mount_open(struct driver *d, const char *id, const char *path, int *ret_fd,
                       cst_error **error)
{
	_cleanup_(getting_close) struct getting g = {
	        .o = overlay_of(d), .id = id, .layer_fd = -1, .merged_fd = -1};
	enum mount_state state = NOT_MOUNTED;
	bool same = true;
	int r = find_layer(&g, error);
	if (r == 0 && path)
		r = naive_same_directory(path, g.merged, &same, error);
	if (r == 0 && same) {
		g.merged_fd = open(g.merged, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (g.merged_fd >= 0)
			r = mount_state(&g, g.merged_fd, &state, error);
		else if (errno != ENOENT)
			r = error_sys(error, errno, "open %s", g.merged);
	}
	if (r == 0)
		*ret_fd = state == MOUNTED ? steal_fd(&g.merged_fd) : -1;
	return r;
}
