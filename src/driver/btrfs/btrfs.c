/* SPDX-License-Identifier: Apache-2.0 */
/* The btrfs driver: opening, making subvolumes, and its table of operations. */
#include "driver/btrfs/btrfs.h"
#include "archive/tree/copy.h"
#include "archive/tree/relabel.h"
#include "base/fs.h"
#include "base/subvolume.h"
#include "config/selinux.h"
#include "config/size.h"
#include "driver/backing.h"
#include "driver/mountinfo.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>

/* ---- subvolumes ---- */

/* Copies what is no subvolume of this file system: a layer of an additional store, or one of a store that was copied by files. */
static int make_of_files(int from_fd, const struct tempdir *area, const char *name,
                         const struct copy_options *how, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	if (sys_subvolume_create(area->fd, name) < 0)
		return error_sys(error, errno, "creating the subvolume %s/%s/%s", area->shown,
		                 area->name, name);
	if (from_fd < 0)
		return 0;
	fd = openat(area->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s/%s", area->shown, area->name, name);
	return copy_tree(from_fd, fd, how, error);
}

/* Gives a snapshot to other ids, if that is asked for. */
static int reown(const struct tempdir *area, const char *name, const struct copy_options *how,
                 cst_error **error)
{
	_cleanup_close_ int fd =
	        openat(area->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s/%s", area->shown, area->name, name);
	return trees_reown(fd, how, area->shown, error);
}

static int make_content(int from_fd, const struct tempdir *area, const char *name,
                        const struct trees_new *how, cst_error **error)
{
	int is = from_fd < 0 ? 0 : subvolume_read(from_fd, NULL);
	if (is < 0)
		return error_sys(error, errno, "stat the content of the parent layer");
	if (is > 0 && subvolume_copy(from_fd, area->fd, name) == 0)
		return reown(area, name, &how->copy, error);
	if (is > 0 && errno != EXDEV)
		return error_sys(error, errno, "creating the snapshot %s/%s/%s", area->shown,
		                 area->name, name);
	return make_of_files(from_fd, area, name, &how->copy, error);
}

static int btrfs_make(int from_fd, const struct tempdir *area, const char *name,
                      const struct trees_new *how, cst_error **error)
{
	const char *label = how->options ? how->options->mount_label : NULL;
	int r = make_content(from_fd, area, name, how, error);
	if (r < 0 || isempty(label) || !selinux_is_enabled())
		return r;
	_cleanup_close_ int fd =
	        openat(area->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s/%s", area->shown, area->name, name);
	r = relabel_tree(fd, label, error);
	if (r == 0 && how->copy.sync && sys_syncfs(fd) < 0)
		r = error_sys(error, errno, "syncfs %s/%s", area->shown, area->name);
	return r;
}

/* The UUID of the subvolume: the root of every subvolume has the same inode number. */
static int btrfs_identity(int dirfd, struct driver_identity *ret, cst_error **error)
{
	struct subvolume subvolume = {0};
	int is = subvolume_read(dirfd, &subvolume);
	if (is < 0)
		return error_sys(error, errno, "reading the UUID of a subvolume");
	if (is == 0)
		return naive_identity(dirfd, ret, error);
	for (size_t i = 0; i < sizeof(subvolume.uuid); i++)
		snprintf(ret->text + 2 * i, 3, "%02x", subvolume.uuid[i]);
	return 0;
}

static bool btrfs_snapshot(int one_fd, int other_fd, struct timespec *ret)
{
	struct subvolume one, other;
	if (subvolume_read(one_fd, &one) != 1 || subvolume_read(other_fd, &other) != 1)
		return false;
	if (subvolume_is_snapshot(&one, &other))
		*ret = one.made;
	else if (subvolume_is_snapshot(&other, &one))
		*ret = other.made;
	else
		return false;
	return true;
}

/* ---- opening ---- */

static int btrfs_option(struct trees *trees, const char *key, const char *value, bool *known,
                        cst_error **error)
{
	struct btrfs *btrfs = btrfs_of(&trees->base);
	*known = streq(key, "min_space") || streq(key, "size");
	if (!*known)
		return 0;
	btrfs->wants_quota = true;
	return size_parse(value, streq(key, "size") ? &btrfs->size : &btrfs->min_space, error);
}

static const struct trees_kind btrfs_kind = {
        .place = "subvolumes",
        .make = btrfs_make,
        .identity = btrfs_identity,
        .snapshot = btrfs_snapshot,
        .option = btrfs_option,
};

static int btrfs_probe(const struct driver_config *config, cst_error **error)
{
	uint32_t magic = 0;
	if (config->read_only) /* files can be read from any filesystem */
		return 0;
	int r = backing_magic(config->graph_root, &magic, error);
	if (r == 0 && magic != BACKING_BTRFS)
		r = error_set(error, CST_EPREREQ,
		              "\"%s/btrfs\" is not on a btrfs filesystem: prerequisites for driver "
		              "not satisfied (wrong filesystem?)",
		              config->graph_root);
	return r;
}

static int open_homes(const struct driver_config *config, struct btrfs **ret, cst_error **error)
{
	int r = btrfs_probe(config, error);
	if (r < 0)
		return r;
	struct btrfs *btrfs = new0(struct btrfs, 1);
	if (!btrfs)
		return error_oom(error);
	r = trees_open(&btrfs->trees, &btrfs_driver, &btrfs_kind, config, error);
	if (r == 0)
		*ret = btrfs;
	else
		trees_close(&btrfs->trees.base);
	return r;
}

static int btrfs_open(const struct driver_config *config, struct driver **ret, cst_error **error)
{
	struct btrfs *btrfs = NULL;
	int r = open_homes(config, &btrfs, error);
	if (r < 0)
		return r;
	if (btrfs->wants_quota && !config->read_only)
		r = btrfs_quota_enable(btrfs, error);
	if (r == 0)
		*ret = &btrfs->trees.base;
	else
		trees_close(&btrfs->trees.base);
	return r;
}

static int btrfs_open_ready(const struct driver_config *config, struct driver **ret,
                            cst_error **error)
{
	struct btrfs *btrfs = NULL;
	if (!trees_homes_are_there("btrfs", &btrfs_kind, config))
		return 0;
	int r = open_homes(config, &btrfs, error);
	if (r < 0)
		return r;
	if (!btrfs->wants_quota || btrfs_quota_is_ready(btrfs))
		*ret = &btrfs->trees.base;
	else
		trees_close(&btrfs->trees.base);
	return 0;
}

/* The Go tools mount the home on itself, and unmount it at the end. Nothing is ever mounted below it, so this driver only
 * unmounts it. What has another device is something else that the user mounted there. */
static int btrfs_cleanup(struct driver *d, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	struct stat home, root;
	int r = fs_open_dir(d->home, &fd, error);
	if (r < 0)
		return r;
	if (fstat(fd, &home) < 0 || fstatat(trees_of(d)->homes[0].layers_fd, "../..", &root, 0) < 0)
		return error_sys(error, errno, "stat %s", d->home);
	if (home.st_dev != root.st_dev || mountinfo_is_mount_point(fd, "") != 1)
		return 0;
	if (sys_umount2(d->home, MNT_DETACH) < 0 && errno != EINVAL)
		return error_sys(error, errno, "unmounting %s", d->home);
	return 0;
}

/* ---- building, and taking away ---- */

static int btrfs_stage(struct driver *d, const struct driver_stage_options *options,
                       struct driver_staged **ret, cst_error **error)
{
	_cleanup_(trees_stage_freep) struct driver_staged *staged = NULL;
	uint64_t size = 0;
	int r = btrfs_quota_of(btrfs_of(d), options, &size, error);
	if (r == 0)
		r = trees_stage(d, options, &staged, error);
	if (r == 0 && size)
		r = btrfs_quota_stage(staged, size, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

static int btrfs_stage_commit(struct driver_staged *staged, const char *id, bool durable,
                              cst_error **error)
{
	int r = staged->size ? btrfs_quota_commit(staged, id, durable, error) : 0;
	return r == 0 ? trees_stage_commit(staged, id, durable, error) : r;
}

/* A read-only subvolume cannot be moved to another directory. */
static int make_movable(struct driver *d, const char *id, cst_error **error)
{
	struct subvolume subvolume = {0};
	_cleanup_close_ int fd = -1;
	if (trees_own_layer_open(trees_of(d), id, &fd, NULL) < 0 ||
	    subvolume_read(fd, &subvolume) != 1 || !subvolume.read_only)
		return 0;
	if (sys_subvolume_make_writable(fd) < 0)
		return error_sys(error, errno, "making layer \"%s\" writable", id);
	return 0;
}

static int btrfs_remove(struct driver *d, const char *id, const char *note,
                        struct driver_trash **trash, struct fs_later *later, cst_error **error)
{
	int r = make_movable(d, id, error);
	if (r == 0)
		r = trees_remove(d, id, note, trash, later, error);
	return r == 0 ? btrfs_quota_remove(btrfs_of(d), id, later, error) : r;
}

static int btrfs_get(struct driver *d, const char *id, const struct driver_mount_options *options,
                     char **ret_path, cst_error **error)
{
	int r = btrfs_quota_limit_again(btrfs_of(d), id, error);
	return r == 0 ? trees_get(d, id, options, ret_path, error) : r;
}

static int btrfs_missing(struct driver *d, const char *name, bool as_parent, cst_error **error)
{
	return error_sys(error, ENOENT, "stat %s/subvolumes/%s", d->home, name);
}

const struct driver_ops btrfs_driver = {
        .name = "btrfs",
        .capabilities = DRIVER_REOWNS_PARENT | DRIVER_WHOLE_TREES | DRIVER_DEDUP,
        .open = btrfs_open,
        .probe = btrfs_probe,
        .open_ready = btrfs_open_ready,
        .close = trees_close,
        .cleanup = btrfs_cleanup,
        .recover = trees_recover,
        .stage = btrfs_stage,
        .stage_sync = trees_stage_sync,
        .stage_barrier = trees_stage_barrier,
        .stage_commit = btrfs_stage_commit,
        .stage_keep = trees_stage_keep,
        .stage_adopt = trees_stage_adopt,
        .stage_resolve = trees_stage_resolve,
        .stage_replace = trees_stage_replace,
        .paths = trees_paths,
        .shareable = trees_shareable,
        .remove = btrfs_remove,
        .trash_count = naive_trash_count,
        .trash_empty = naive_trash_empty,
        .trash_free = naive_trash_free,
        .exists = trees_exists,
        .list = trees_list,
        .status = trees_status,
        .missing = btrfs_missing,
        .get = btrfs_get,
        .put = trees_put,
        .mount_open = trees_mount_open,
        TREES_OPERATIONS,
};
