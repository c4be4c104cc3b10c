/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a layer: its directory is made whole in a temporary directory inside the home, under a
 * lock, and appears by one rename. Two places are the Go tools' own, and neither is safe from all
 * releases: <home>/staging is removed, whatever is locked there, by every podman and buildah before
 * 1.54 that ends while nothing is mounted; <home>/tempdirs only by `gc` of releases before 1.59. So
 * it is the first unless such an old one uses the store. The commit looks if the lock file is still
 * the one it holds, and gives up if not.
 */
#include "archive/tree/copy.h"
#include "base/fs.h"
#include "base/log.h"
#include "driver/naive.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <linux/fs.h>
#include <unistd.h>

#define STAGED_DIR   "dir"
#define STAGING_LOCK "staging.lock"

struct driver_staged {
	struct overlay *overlay;
	size_t home;
	struct tempdir *temp;
	int dir_fd, diff_fd;
	bool has_parent;
	char link[OVERLAY_LINK_LEN + 1];
	char *path; /* of the staged layer, for messages */
};

const char *overlay_area_of(enum tempdir_layout layout)
{
	return layout == TEMPDIR_PAIR ? OVERLAY_TEMP_DIR : OVERLAY_STAGING_DIR;
}

char *overlay_staging_path(const struct overlay *o, size_t home)
{
	return path_join(o->homes[home].path, OVERLAY_STAGING_DIR);
}

int overlay_sync_home(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      cst_error **error)
{
	int r = fs_fsync_path(dirs->fds[home], OVERLAY_LINK_DIR, o->homes[home].path, error);

	return r < 0 ? r : fs_fsync_dir(dirs->fds[home], o->homes[home].path, error);
}

void overlay_stage_free(struct driver_staged *staged)
{
	if (!staged)
		return;
	closep(&staged->diff_fd);
	closep(&staged->dir_fd);
	tempdir_free(staged->temp);
	free(staged->path);
	free(staged);
}
DEFINE_CLEANUP(struct driver_staged *, overlay_stage_free)

/* ---- filling ---- */

struct root_attributes {
	uid_t uid, gid;
	mode_t mode;
};

/* Texts of docs/format/drivers.md, "Options". */
static int check_storage_options(const struct driver_stage_options *options, cst_error **error)
{
	for (size_t i = 0; i < options->n_storage_options; i++) {
		const char *option = options->storage_options[i];
		int len = (int)strcspn(option, "=");
		bool quota = strncmp(option, "size=", 5) == 0 || strncmp(option, "inodes=", 7) == 0;

		if (!quota)
			return error_set(error, CST_EINVAL, "unknown option %.*s", len, option);
		if (!options->writable)
			return error_set(
			        error, CST_EINVAL,
			        "--storage-opt %.*s is only supported for ReadWrite Layers", len,
			        option);
		return error_set(error, CST_ENOTSUP,
		                 "--storage-opt is supported only for overlay over xfs with "
		                 "'pquota' mount option");
	}
	return 0;
}

static bool has_maps(const struct idmaps *maps)
{
	return maps && (maps->uids.len || maps->gids.len);
}

/* Does the parent's content belong to other ids than the new layer's? */
static bool reowns(const struct driver_stage_options *options)
{
	return !isempty(options->parent) && !idmaps_equal(options->maps, options->parent_maps);
}

/* `diff` is like the parent's, and 0555 without one. Where there is none, or its content changes owners, it belongs to the
 * root of the maps. */
static int root_attributes(const struct overlay *o, const struct overlay_dirs *dirs,
                           const struct driver_stage_options *options, struct root_attributes *ret,
                           cst_error **error)
{
	struct root_attributes attributes = {.mode = 0555};
	uint32_t uid = 0, gid = 0;
	struct stat st;
	int r;

	if (!isempty(options->parent)) {
		_cleanup_close_ int fd = -1;
		size_t home;

		r = overlay_layer_open(o, dirs, options->parent, &home, &fd, error);
		if (r < 0)
			return r;
		if (fstatat(fd, "diff", &st, 0) < 0)
			return error_sys(error, errno, "stat %s/%s/diff", o->homes[home].path,
			                 options->parent);
		attributes = (struct root_attributes){st.st_uid, st.st_gid, st.st_mode & 07777};
	}
	if ((isempty(options->parent) && has_maps(options->maps)) || reowns(options)) {
		r = options->maps ? idmaps_root(options->maps, &uid, &gid, error) : 0;
		if (r < 0)
			return r;
		attributes.uid = uid;
		attributes.gid = gid;
	}
	*ret = attributes;
	return 0;
}

static int make_dir(int parent_fd, const char *name, const struct root_attributes *owner,
                    mode_t mode, int *ret_fd, const char *shown, cst_error **error)
{
	_cleanup_close_ int fd = -1;

	if (sys_mkdirat(parent_fd, name, 0700) < 0)
		return error_sys(error, errno, "mkdir %s/%s", shown, name);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", shown, name);
	if ((owner->uid != geteuid() || owner->gid != getegid()) &&
	    sys_fchown(fd, owner->uid, owner->gid) < 0)
		return error_sys(error, errno, "chown %s/%s", shown, name);
	if (mode != 0700 && sys_fchmod(fd, mode) < 0)
		return error_sys(error, errno, "chmod %s/%s", shown, name);
	if (ret_fd)
		*ret_fd = steal_fd(&fd);
	return 0;
}

static int write_text(const struct driver_staged *s, const char *name, const char *text,
                      mode_t mode, cst_error **error)
{
	return fs_write_file(s->dir_fd, name, text, strlen(text), mode, s->path, error);
}

static int write_lists(const struct driver_staged *s, const struct overlay_dirs *dirs,
                       const char *parent, cst_error **error)
{
	_cleanup_free_ char *lower = NULL, *lower_layers = NULL;
	int r;

	r = overlay_child_lists(s->overlay, dirs, parent, &lower, &lower_layers, error);
	if (r == 0)
		r = write_text(s, "lower", lower, 0666, error);
	return r < 0 ? r : write_text(s, "lower-layers", lower_layers, 0666, error);
}

/* Everything a layer's directory holds (docs/format/drivers.md, "Layer directory"). */
static int fill(struct driver_staged *s, const struct overlay_dirs *dirs,
                const struct driver_stage_options *options, cst_error **error)
{
	struct root_attributes root = {0}, owner = {0};
	int r;

	r = root_attributes(s->overlay, dirs, options, &root, error);
	if (r == 0 && options->maps)
		r = idmaps_root(options->maps, &owner.uid, &owner.gid, error);
	if (r == 0)
		r = overlay_new_link(s->link, error);
	if (r == 0)
		r = make_dir(s->temp->fd, STAGED_DIR, &owner, 0700, &s->dir_fd, s->path, error);
	if (r == 0)
		r = make_dir(s->dir_fd, "diff", &root, root.mode, &s->diff_fd, s->path, error);
	if (r == 0)
		r = write_text(s, "link", s->link, 0644, error);
	if (r == 0)
		r = make_dir(s->dir_fd, "work", &root, 0700, NULL, s->path, error);
	if (r == 0)
		r = make_dir(s->dir_fd, "merged", &root, 0700, NULL, s->path, error);
	if (r < 0)
		return r;
	s->has_parent = !isempty(options->parent);
	if (s->has_parent)
		r = write_lists(s, dirs, options->parent, error);
	else
		r = make_dir(s->dir_fd, "empty", &root, 0700, NULL, s->path, error);
	if (r == 0 && reowns(options))
		r = overlay_reown_parent(s->overlay, dirs, options, s->dir_fd, s->path, error);
	return r;
}

/* 1.43 makes this directory with the store. */
static bool has_old_users(const struct overlay *o)
{
	_cleanup_free_ char *path = path_join(o->homes[0].path, "../mounts");

	return path && fs_exists(AT_FDCWD, path);
}

/* An empty staging place in one of the homes. */
static int stage_in(struct overlay *o, size_t home, struct driver_staged **ret, cst_error **error)
{
	enum tempdir_layout layout = has_old_users(o) ? TEMPDIR_PAIR : TEMPDIR_STAGING;
	_cleanup_(overlay_stage_freep) struct driver_staged *s = NULL;
	_cleanup_free_ char *root = NULL;
	int r;

	s = new0(struct driver_staged, 1);
	if (!s)
		return error_oom(error);
	*s = (struct driver_staged){.overlay = o, .home = home, .dir_fd = -1, .diff_fd = -1};
	root = path_join(o->homes[home].path, overlay_area_of(layout));
	r = root ? tempdir_new(root, layout, &s->temp, error) : error_oom(error);
	if (r < 0)
		return r;
	s->path = path_join3(root, s->temp->name, STAGED_DIR);
	if (!s->path)
		return error_oom(error);
	*ret = steal_ptr(&s);
	return 0;
}

int overlay_stage(struct driver *d, const struct driver_stage_options *options,
                  struct driver_staged **ret, cst_error **error)
{
	_cleanup_(overlay_stage_freep) struct driver_staged *s = NULL;
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	struct overlay *o = overlay_of(d);
	int r;

	r = check_storage_options(options, error);
	if (r == 0 && options->writable && o->options.force_mask >= 0)
		r = error_set(error, CST_ENOTSUP,
		              "overlay: force_mask option for writeable layers is only supported "
		              "with a mount_program");
	if (r == 0)
		r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = stage_in(o, options->writable ? 0 : o->read_only_home, &s, error);
	if (r == 0)
		r = fill(s, &dirs, options, error);
	if (r == 0)
		*ret = steal_ptr(&s);
	return r;
}

/* Where a layer lives, with its directory opened. */
static int find_layer(struct overlay *o, const char *id, size_t *home, int *layer_fd,
                      cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	int r = overlay_dirs_open(o, &dirs, error);

	return r < 0 ? r : overlay_layer_open(o, &dirs, id, home, layer_fd, error);
}

int overlay_stage_copy(struct driver *d, const char *id, struct driver_staged **ret,
                       cst_error **error)
{
	_cleanup_(overlay_stage_freep) struct driver_staged *s = NULL;
	_cleanup_close_ int layer_fd = -1, diff_fd = -1;
	const struct root_attributes root = {.uid = geteuid(), .gid = getegid()};
	struct overlay *o = overlay_of(d);
	size_t home;
	int r;

	r = find_layer(o, id, &home, &layer_fd, error);
	if (r < 0)
		return r;
	diff_fd = openat(layer_fd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (diff_fd < 0)
		return error_sys(error, errno, "open %s/%s/diff", o->homes[home].path, id);
	r = stage_in(o, home, &s, error);
	if (r == 0)
		r = make_dir(s->temp->fd, STAGED_DIR, &root, 0700, &s->dir_fd, s->path, error);
	if (r == 0)
		r = make_dir(s->dir_fd, "diff", &root, 0700, &s->diff_fd, s->path, error);
	if (r == 0)
		r = copy_tree(diff_fd, s->diff_fd, &(struct copy_options){.sync = d->sync_content},
		              error);
	if (r == 0)
		*ret = steal_ptr(&s);
	return r;
}

int overlay_content_open(struct driver *d, const char *id, int *ret_fd, cst_error **error)
{
	_cleanup_close_ int layer_fd = -1;
	struct overlay *o = overlay_of(d);
	size_t home;
	int fd, r;

	r = find_layer(o, id, &home, &layer_fd, error);
	if (r < 0)
		return r;
	fd = openat(layer_fd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s/diff", o->homes[home].path, id);
	*ret_fd = fd;
	return 0;
}

int overlay_content_identity(struct driver *d, const char *id, struct driver_identity *ret,
                             cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = overlay_content_open(d, id, &fd, error);
	return r == 0 ? naive_identity(fd, ret, error) : r;
}

int overlay_staged_identity(struct driver_staged *staged, struct driver_identity *ret,
                            cst_error **error)
{
	return naive_identity(staged->diff_fd, ret, error);
}

int overlay_staged_fd(struct driver_staged *staged)
{
	return staged->diff_fd;
}

const char *overlay_stage_note(struct driver_staged *staged)
{
	return staged->link;
}

/* ---- making it durable ---- */

static int open_small_files(const struct driver_staged *s, int fds[3], cst_error **error)
{
	static const char *const names[] = {"link", "lower", "lower-layers"};

	/* A copy of content alone (overlay_stage_copy) has none, nor a link. */
	for (size_t i = 0; *s->link && i < (s->has_parent ? 3 : 1); i++) {
		fds[i] = openat(s->dir_fd, names[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fds[i] < 0)
			return error_sys(error, errno, "open %s/%s", s->path, names[i]);
		/* Started for all before one is waited for: then a single journal commit serves
		 * them. */
		(void)sys_sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	return 0;
}

int overlay_stage_sync(struct driver_staged *staged, cst_error **error)
{
	int fds[3] = {-1, -1, -1};
	int r;

	r = open_small_files(staged, fds, error);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (r == 0 && fds[i] >= 0 && sys_fsync(fds[i]) < 0)
			r = error_sys(error, errno, "fsync the files of %s", staged->path);
		closep(&fds[i]);
	}
	if (r == 0)
		r = fs_fsync_dir(staged->diff_fd, staged->path, error);
	return r < 0 ? r : fs_fsync_dir(staged->dir_fd, staged->path, error);
}

/* ---- committing ---- */

/* As seen from the home as it is mounted now. */
static char *staged_name(const struct driver_staged *s, const char *name)
{
	return str_printf("%s/%s/%s", overlay_area_of(s->temp->layout), s->temp->name, name);
}

static char *staged_lock(const struct driver_staged *s)
{
	return s->temp->layout == TEMPDIR_PAIR ? path_join(OVERLAY_TEMP_DIR, s->temp->lock_name)
	                                       : staged_name(s, STAGING_LOCK);
}

static int check_untouched(const struct driver_staged *s, int home_fd, cst_error **error)
{
	_cleanup_free_ char *lock = staged_lock(s), *dir = staged_name(s, STAGED_DIR);
	struct stat held, now, dir_held, dir_now;

	if (!lock || !dir)
		return error_oom(error);
	if (fstat(s->temp->lock_fd, &held) == 0 &&
	    fstatat(home_fd, lock, &now, AT_SYMLINK_NOFOLLOW) == 0 && held.st_dev == now.st_dev &&
	    held.st_ino == now.st_ino && fstat(s->dir_fd, &dir_held) == 0 &&
	    fstatat(home_fd, dir, &dir_now, AT_SYMLINK_NOFOLLOW) == 0 &&
	    dir_held.st_ino == dir_now.st_ino)
		return 0;
	return error_sys(error, ENOENT,
	                 "%s was removed by another program while the layer was made", s->path);
}

static int check_id(const char *id, cst_error **error)
{
	if (overlay_id_ok(id))
		return 0;
	return error_set(error, CST_EINVAL, "\"%s\" cannot be the ID of a layer", id);
}

static int appear(struct driver_staged *s, const struct overlay_dirs *dirs, const char *id,
                  bool durable, cst_error **error)
{
	const struct overlay *o = s->overlay;
	_cleanup_free_ char *from = staged_name(s, STAGED_DIR);
	int home_fd = dirs->fds[s->home], r;

	if (!from)
		return error_oom(error);
	if (sys_renameat2(home_fd, from, home_fd, id, RENAME_NOREPLACE) < 0 &&
	    (errno != EINVAL || sys_renameat(home_fd, from, home_fd, id) < 0))
		return error_sys(error, errno, "rename %s %s/%s", s->path, o->homes[s->home].path,
		                 id);
	r = overlay_make_link(o, dirs, s->home, s->link, id, error);
	if (r == 0 && durable)
		r = overlay_sync_home(o, dirs, s->home, error);
	if (r == 0)
		return 0;
	if (overlay_unlink(o, dirs, s->home, s->link, id, NULL) < 0 ||
	    sys_renameat(home_fd, id, home_fd, from) < 0)
		log_warning("%s/%s could not be taken back", o->homes[s->home].path, id);
	return r;
}

int overlay_stage_commit(struct driver_staged *staged, const char *id, bool durable,
                         cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	struct overlay *o = staged->overlay;
	int r;

	r = check_id(id, error);
	if (r == 0)
		r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = check_untouched(staged, dirs.fds[staged->home], error);
	if (r < 0)
		return r;
	if (fs_exists(dirs.fds[staged->home], id)) {
		log_warning("layer \"%s\" is made while the directory \"%s/%s\" already exists; "
		            "removing it first",
		            id, o->homes[staged->home].path, id);
		r = overlay_discard(o, &dirs, staged->home, id, staged->temp, error);
	}
	return r < 0 ? r : appear(staged, &dirs, id, durable, error);
}

/* ---- replacing content ---- */

/* Old and new change places, at once where the filesystem can do that. */
static int swap(int home_fd, const char *staged, int layer_fd, struct tempdir *temp,
                cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int errnum, r;

	if (sys_renameat2(home_fd, staged, layer_fd, "diff", RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != ENOENT)
		return error_sys(error, errno, "rename %s diff", staged);
	if (sys_mkdirat(temp->fd, "old", 0700) < 0 && errno != EEXIST)
		return error_sys(error, errno, "mkdir old");
	_cleanup_free_ char *old =
	        str_printf("%s/%s/old/diff", overlay_area_of(temp->layout), temp->name);
	if (!old)
		return error_oom(error);
	r = sys_renameat(layer_fd, "diff", home_fd, old);
	if (r < 0 && errno != ENOENT)
		return error_sys(error, errno, "rename diff %s", old);
	if (sys_renameat(home_fd, staged, layer_fd, "diff") == 0)
		return 0;
	errnum = errno;
	if (r == 0 && sys_renameat(home_fd, old, layer_fd, "diff") < 0)
		log_error("the content of a layer stays in %s", old);
	return error_sys(error, errnum, "rename %s diff", staged);
}

/* The new directory becomes what the old one was. */
static int copy_attributes(const struct driver_staged *s, int layer_fd, cst_error **error)
{
	struct stat st;

	if (fstatat(layer_fd, "diff", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "stat diff");
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (sys_fchown(s->diff_fd, st.st_uid, st.st_gid) < 0 ||
	    sys_fchmod(s->diff_fd, st.st_mode & 07777) < 0)
		return error_sys(error, errno, "chown %s/diff", s->path);
	return 0;
}

int overlay_stage_replace(struct driver_staged *staged, const char *id, bool durable,
                          cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_free_ char *diff = staged_name(staged, STAGED_DIR "/diff");
	_cleanup_close_ int layer_fd = -1;
	struct overlay *o = staged->overlay;
	size_t home;
	int r;

	if (!diff)
		return error_oom(error);
	r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, &home, &layer_fd, error);
	if (r < 0)
		return r;
	if (home != staged->home)
		return error_sys(error, EXDEV, "replacing the content of %s/%s",
		                 o->homes[home].path, id);
	r = check_untouched(staged, dirs.fds[home], error);
	if (r == 0)
		r = copy_attributes(staged, layer_fd, error);
	if (r == 0)
		r = swap(dirs.fds[home], diff, layer_fd, staged->temp, error);
	return r == 0 && durable ? fs_fsync_path(dirs.fds[home], id, id, error) : r;
}
