/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a layer, or new content for one, in a temporary directory of the home, and moves it into place. */
#include "archive/tree/copy.h"
#include "archive/tree/rechown.h"
#include "base/fs.h"
#include "driver/vfs/vfs.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <unistd.h>

#define CONTENT "%u-addition" /* in a staging directory; the Go tools give the name */

struct driver_staged {
	struct vfs *vfs;
	const struct vfs_home *home;
	struct tempdir *area; /* NULL: the content is an existing layer's */
	char name[24];        /* of the content in it */
	unsigned number;      /* among the layers of an image that are staged together */
	bool of_image;      /* nothing is synced before the barrier, and no descriptor stays open */
	int fd;             /* the content */
	struct idmaps maps; /* whose ids files get that are unpacked; empty: no maps */
};

void vfs_stage_free(struct driver_staged *staged)
{
	if (!staged)
		return;
	closep(&staged->fd);
	tempdir_free(staged->area);
	idmaps_free(&staged->maps);
	free(staged);
}
DEFINE_CLEANUP(struct driver_staged *, vfs_stage_free)

/* ---- building ---- */

static int staged_new(struct vfs *vfs, const struct vfs_home *home, const struct idmaps *maps,
                      struct driver_staged **ret, cst_error **error)
{
	_cleanup_(vfs_stage_freep) struct driver_staged *staged = new0(struct driver_staged, 1);
	if (!staged)
		return error_oom(error);
	*staged = (struct driver_staged){.vfs = vfs, .home = home, .fd = -1};
	if (!idmaps_copy(&staged->maps, maps))
		return error_oom(error);
	*ret = steal_ptr(&staged);
	return 0;
}

static int open_staged(const struct driver_staged *staged, int *ret_fd, cst_error **error)
{
	const char *name = staged->name;
	*ret_fd = openat(staged->area->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd >= 0 ? 0
	                    : error_sys(error, errno, "open %s/%s/%s", staged->home->tempdirs,
	                                staged->area->name, name);
}

/* Stages an empty directory, in a new staging directory or in that of a staged parent. */
static int stage_new(struct vfs *vfs, const struct vfs_home *home, const struct idmaps *maps,
                     const struct driver_staged *parent, struct driver_staged **ret,
                     cst_error **error)
{
	_cleanup_(vfs_stage_freep) struct driver_staged *staged = NULL;
	int r = staged_new(vfs, home, maps, &staged, error);
	if (r == 0 && parent)
		staged->area = tempdir_share(parent->area);
	else if (r == 0)
		r = tempdir_new(home->tempdirs, TEMPDIR_PAIR, &staged->area, error);
	if (r < 0)
		return r;
	staged->number = parent ? parent->number + 1 : 0;
	snprintf(staged->name, sizeof(staged->name), CONTENT, staged->number);
	if (sys_mkdirat(staged->area->fd, staged->name, 0755) < 0)
		return error_sys(error, errno, "mkdir %s/%s/%s", home->tempdirs, staged->area->name,
		                 staged->name);
	r = open_staged(staged, &staged->fd, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&staged);
	return 0;
}

static int copy_layer(struct vfs *vfs, const char *from, const struct driver_staged *staged,
                      bool sync, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = vfs_layer_open(vfs, from, &fd, error);
	return r == 0 ? copy_tree(fd, staged->fd, &(struct copy_options){.sync = sync}, error) : r;
}

static int copy_staged(const struct driver_staged *parent, const struct driver_staged *staged,
                       cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = open_staged(parent, &fd, error);
	return r == 0 ? copy_tree(fd, staged->fd, &(struct copy_options){0}, error) : r;
}

/* Copies the parent's content, and gives it to the new layer's ids. */
static int copy_parent(struct vfs *vfs, const struct driver_stage_options *options,
                       const struct driver_staged *staged, cst_error **error)
{
	bool sync = vfs->base.sync_content && !options->of_image;
	if (options->staged_parent)
		return copy_staged(options->staged_parent, staged, error);
	if (idmaps_equal(options->maps, options->parent_maps))
		return copy_layer(vfs, options->parent, staged, sync, error);
	int r = copy_layer(vfs, options->parent, staged, false, error);
	if (r == 0)
		r = rechown_tree(staged->fd, options->parent_maps, options->maps, error);
	if (r == 0 && sync && sys_syncfs(staged->fd) < 0)
		r = error_sys(error, errno, "syncfs %s/%s", staged->home->tempdirs,
		              staged->area->name);
	return r;
}

/* Owner and mode of the root directory of a layer without a parent (docs/format/drivers.md, "vfs"). */
static int base_root(const struct driver_staged *staged, const struct idmaps *maps,
                     cst_error **error)
{
	uint32_t uid = 0, gid = 0;
	int r = maps ? idmaps_root(maps, &uid, &gid, error) : 0;
	if (r < 0)
		return r;
	if (maps && sys_fchown(staged->fd, uid, gid) < 0)
		return error_sys(error, errno, "chown the root of the new layer");
	if (sys_fchmod(staged->fd, 0555) < 0)
		return error_sys(error, errno, "chmod the root of the new layer");
	return 0;
}

int vfs_stage(struct driver *d, const struct driver_stage_options *options,
              struct driver_staged **ret, cst_error **error)
{
	_cleanup_(vfs_stage_freep) struct driver_staged *staged = NULL;
	if (options->n_storage_options)
		return error_set(error, CST_ENOTSUP, "--storage-opt is not supported for vfs");
	const struct vfs *vfs = vfs_of(d);
	int r = stage_new(vfs_of(d), &vfs->homes[options->writable ? 0 : vfs->n_homes - 1],
	                  options->maps, options->staged_parent, &staged, error);
	if (r == 0)
		staged->of_image = options->of_image;
	if (r == 0)
		r = options->parent ? copy_parent(vfs_of(d), options, staged, error)
		                    : base_root(staged, options->maps, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

int vfs_stage_copy(struct driver *d, const char *id, const struct idmaps *maps,
                   struct driver_staged **ret, cst_error **error)
{
	_cleanup_(vfs_stage_freep) struct driver_staged *staged = NULL;
	int r = stage_new(vfs_of(d), vfs_home_of(vfs_of(d), id), maps, NULL, &staged, error);
	if (r == 0)
		r = copy_layer(vfs_of(d), id, staged, vfs_of(d)->base.sync_content, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

int vfs_stage_in_place(struct driver *d, const char *id, const struct idmaps *maps,
                       struct driver_staged **ret, cst_error **error)
{
	_cleanup_(vfs_stage_freep) struct driver_staged *staged = NULL;
	int r = staged_new(vfs_of(d), vfs_home_of(vfs_of(d), id), maps, &staged, error);
	if (r == 0)
		r = vfs_own_layer_open(vfs_of(d), id, &staged->fd, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

int vfs_stage_unpack(struct driver_staged *staged, const cst_source *source,
                     const struct driver_unpack_policy *policy, struct unpack_result *ret,
                     cst_error **error)
{
	struct unpack_options options = naive_unpack_options(policy, &staged->maps);
	options.whiteouts = UNPACK_WHITEOUT_APPLY;
	options.ignore_chown_errors = staged->vfs->ignore_chown_errors;
	options.in_use = !staged->area;
	options.sync_later = staged->of_image;
	return unpack_layer(staged->fd, source, &options, ret, error);
}

int vfs_stage_open(struct driver_staged *staged, struct driver_filling *ret, cst_error **error)
{
	*ret = (struct driver_filling){.whiteouts = UNPACK_WHITEOUT_APPLY,
	                               .force_mask = -1,
	                               .ignore_chown_errors = staged->vfs->ignore_chown_errors};
	return naive_reopen(staged->fd, &ret->fd, error);
}

/* The content was synced as it was written. The attributes of its root may have been set after that. */
int vfs_stage_sync(struct driver_staged *staged, cst_error **error)
{
	if (staged->of_image) {
		closep(&staged->fd);
		staged->fd = -1;
		return 0;
	}
	return staged->vfs->base.sync_content
	               ? fs_fsync_dir(staged->fd, staged->home->tempdirs, error)
	               : 0;
}

int vfs_stage_barrier(struct driver_staged *staged, int also_fd, cst_error **error)
{
	return naive_barrier(staged->area, also_fd, error);
}

const char *vfs_stage_note(struct driver_staged *staged)
{
	return "";
}

/* The name is a random number of 32 bits, so it is unique enough among the staging areas that exist at one time. */
const char *vfs_staged_id(struct driver_staged *staged)
{
	return staged->area ? staged->area->name : "";
}

/* ---- identity ---- */

int vfs_staged_identity(struct driver_staged *staged, struct driver_identity *ret,
                        cst_error **error)
{
	return naive_identity(staged->fd, ret, error);
}

int vfs_content_identity(struct driver *d, const char *id, struct driver_identity *ret,
                         cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = vfs_own_layer_open(vfs_of(d), id, &fd, error);
	return r == 0 ? naive_identity(fd, ret, error) : r;
}

/* ---- into place ---- */

int vfs_stage_commit(struct driver_staged *staged, const char *id, bool durable, cst_error **error)
{
	const struct vfs_home *home = staged->home;
	/* A process that died may have left a directory of this name that no record names. It makes room. */
	int r = tempdir_take(staged->area, home->dir_fd, id, error);
	if (r < 0)
		return r;
	if (sys_renameat(staged->area->fd, staged->name, home->dir_fd, id) < 0)
		return error_sys(error, errno, "rename %s/%s/%s %s/%s", home->tempdirs,
		                 staged->area->name, staged->name, home->dir_path, id);
	return durable ? fs_fsync_dir(home->dir_fd, home->dir_path, error) : 0;
}

int vfs_stage_replace(struct driver_staged *staged, const char *id, bool durable, cst_error **error)
{
	const struct vfs_home *home = staged->home;
	/* EINVAL and ENOSYS: this file system cannot do it. There is no place for the old content that
	 * the Go tools would not empty if this process died between two renames. */
	if (sys_renameat2(staged->area->fd, staged->name, home->dir_fd, id, RENAME_EXCHANGE) < 0)
		return error_sys(error, errno == EINVAL || errno == ENOSYS ? EOPNOTSUPP : errno,
		                 "exchange %s/%s/%s and %s/%s", home->tempdirs, staged->area->name,
		                 staged->name, home->dir_path, id);
	return durable ? fs_fsync_dir(home->dir_fd, home->dir_path, error) : 0;
}
