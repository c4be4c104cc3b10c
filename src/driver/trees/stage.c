/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a layer, or new content for one, in a temporary directory of the home, and moves it into place. */
#include "archive/tree/copy.h"
#include "archive/tree/rechown.h"
#include "base/fs.h"
#include "driver/rootless.h"
#include "driver/trees/trees.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <unistd.h>

void trees_stage_free(struct driver_staged *staged)
{
	if (!staged)
		return;
	closep(&staged->fd);
	if (staged->trees->kind->free_area)
		staged->trees->kind->free_area(staged->trees, staged->area);
	else
		tempdir_free(staged->area);
	idmaps_free(&staged->maps);
	free(staged);
}

/* ---- building ---- */

int trees_reown(int fd, const struct copy_options *how, const char *shown, cst_error **error)
{
	if (idmaps_equal(how->from_maps, how->maps))
		return 0;
	int r = rechown_tree(fd, how->from_maps, how->maps, error);
	if (r == 0 && how->sync && sys_syncfs(fd) < 0)
		r = error_sys(error, errno, "syncfs %s", shown);
	return r;
}

static int staged_new(struct trees *trees, const struct trees_home *home, const struct idmaps *maps,
                      struct driver_staged **ret, cst_error **error)
{
	_cleanup_(trees_stage_freep) struct driver_staged *staged = new0(struct driver_staged, 1);
	if (!staged)
		return error_oom(error);
	*staged = (struct driver_staged){.trees = trees, .home = home, .fd = -1};
	if (!idmaps_copy(&staged->maps, maps))
		return error_oom(error);
	*ret = steal_ptr(&staged);
	return 0;
}

int trees_staged_open(const struct driver_staged *staged, int *ret_fd, cst_error **error)
{
	const struct trees_kind *kind = staged->trees->kind;
	int fd = kind->open_staged ? kind->open_staged(staged)
	                           : openat(staged->area->fd, staged->name,
	                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s/%s", staged->home->tempdirs,
		                 staged->area->name, staged->name);
	*ret_fd = fd;
	return 0;
}

/* Stages a copy of the tree from_fd, or with -1 an empty one, in a new staging directory or in that of a staged parent. */
static int stage_new(struct trees *trees, const struct trees_home *home,
                     const struct trees_new *how, int from_fd, struct driver_staged **ret,
                     cst_error **error)
{
	const struct driver_stage_options *options = how->options;
	const struct driver_staged *parent = options->staged_parent;
	_cleanup_(trees_stage_freep) struct driver_staged *staged = NULL;
	int r = staged_new(trees, home, options->maps, &staged, error);
	if (r == 0 && parent)
		staged->area = tempdir_share(parent->area);
	else if (r == 0)
		r = tempdir_new(home->tempdirs, TEMPDIR_PAIR, &staged->area, error);
	if (r < 0)
		return r;
	staged->of_image = options->of_image;
	staged->number = parent ? parent->number + 1 : 0;
	snprintf(staged->name, sizeof(staged->name), TREES_CONTENT, staged->number);
	staged->area->counter++;
	r = trees->kind->make(from_fd, staged->area, staged->name, how, error);
	if (r == 0)
		r = trees_staged_open(staged, &staged->fd, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
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

int trees_stage(struct driver *d, const struct driver_stage_options *options,
                struct driver_staged **ret, cst_error **error)
{
	struct trees *trees = trees_of(d);
	const struct trees_home *home = &trees->homes[options->writable ? 0 : trees->n_homes - 1];
	/* A staged parent has the maps of the new layer. */
	const struct trees_new how = {
	        .trees = trees,
	        .from = options->staged_parent ? NULL : options->parent,
	        .options = options,
	        .copy = {.sync = d->sync_content && !options->of_image,
	                 .from_maps = options->staged_parent ? options->maps : options->parent_maps,
	                 .maps = options->maps}};
	_cleanup_(trees_stage_freep) struct driver_staged *staged = NULL;
	_cleanup_close_ int from_fd = -1;
	int r = 0;
	if (options->staged_parent)
		r = trees_staged_open(options->staged_parent, &from_fd, error);
	else if (options->parent)
		r = trees_layer_open(trees, options->parent, &from_fd, error);
	if (r == 0)
		r = stage_new(trees, home, &how, from_fd, &staged, error);
	if (r == 0 && from_fd < 0)
		r = base_root(staged, options->maps, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

int trees_stage_copy(struct driver *d, const char *id, const struct idmaps *maps,
                     struct driver_staged **ret, cst_error **error)
{
	const struct driver_stage_options options = {.maps = maps};
	struct trees *trees = trees_of(d);
	const struct trees_new how = {.trees = trees,
	                              .from = id,
	                              .options = &options,
	                              .copy = {.sync = d->sync_content},
	                              .renewed = true};
	_cleanup_close_ int from_fd = -1;
	int r = trees_layer_open(trees, id, &from_fd, error);
	if (r == 0)
		r = stage_new(trees, trees_home_of(trees, id), &how, from_fd, ret, error);
	return r;
}

int trees_stage_in_place(struct driver *d, const char *id, const struct idmaps *maps,
                         struct driver_staged **ret, cst_error **error)
{
	_cleanup_(trees_stage_freep) struct driver_staged *staged = NULL;
	int r = staged_new(trees_of(d), trees_home_of(trees_of(d), id), maps, &staged, error);
	if (r == 0)
		r = trees_own_layer_open(trees_of(d), id, &staged->fd, error);
	if (r == 0)
		*ret = steal_ptr(&staged);
	return r;
}

int trees_stage_unpack(struct driver_staged *staged, const cst_source *source,
                       const struct driver_unpack_policy *policy, struct unpack_result *ret,
                       cst_error **error)
{
	struct unpack_options options = naive_unpack_options(policy, &staged->maps);
	options.whiteouts = UNPACK_WHITEOUT_APPLY;
	options.userns = driver_is_rootless();
	options.ignore_chown_errors = staged->trees->ignore_chown_errors;
	options.in_use = !staged->area;
	options.sync_later = staged->of_image;
	return unpack_layer(staged->fd, source, &options, ret, error);
}

int trees_stage_open(struct driver_staged *staged, struct driver_filling *ret, cst_error **error)
{
	*ret = (struct driver_filling){.whiteouts = UNPACK_WHITEOUT_APPLY,
	                               .force_mask = -1,
	                               .userns = driver_is_rootless(),
	                               .ignore_chown_errors = staged->trees->ignore_chown_errors};
	return naive_reopen(staged->fd, &ret->fd, error);
}

/* The content was synced as it was written. The attributes of its root may have been set after that. */
int trees_stage_sync(struct driver_staged *staged, cst_error **error)
{
	if (staged->of_image) {
		closep(&staged->fd);
		staged->fd = -1;
		return 0;
	}
	return staged->trees->base.sync_content
	               ? fs_fsync_dir(staged->fd, staged->home->tempdirs, error)
	               : 0;
}

int trees_stage_barrier(struct driver_staged *staged, int also_fd, cst_error **error)
{
	return naive_barrier(staged->area, also_fd, error);
}

const char *trees_stage_note(struct driver_staged *staged)
{
	return "";
}

/* The name is a random number of 32 bits, so it is unique enough among the staging areas that exist at one time. */
const char *trees_staged_id(struct driver_staged *staged)
{
	return staged->area ? tempdir_number(staged->area) : "";
}

/* ---- identity ---- */

int trees_staged_identity(struct driver_staged *staged, struct driver_identity *ret,
                          cst_error **error)
{
	return staged->trees->kind->identity(staged->fd, ret, error);
}

int trees_content_identity(struct driver *d, const char *id, struct driver_identity *ret,
                           cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = trees_own_layer_open(trees_of(d), id, &fd, error);
	return r == 0 ? trees_of(d)->kind->identity(fd, ret, error) : r;
}

/* ---- into place ---- */

int trees_stage_commit(struct driver_staged *staged, const char *id, bool durable,
                       cst_error **error)
{
	const struct trees_home *home = staged->home;
	_cleanup_close_ int fd = -1;
	int r = trees_beside(home, staged->area, staged->trees->kind->place, &fd, error);
	/* A process that died may have left a directory of this name that no record names. It makes room. */
	if (r == 0)
		r = tempdir_take(staged->area, fd, id, error);
	if (r < 0)
		return r;
	if (sys_renameat(staged->area->fd, staged->name, fd, id) < 0)
		return error_sys(error, errno, "rename %s/%s/%s %s/%s", home->tempdirs,
		                 staged->area->name, staged->name, home->layers_path, id);
	return durable ? fs_fsync_dir(fd, home->layers_path, error) : 0;
}

int trees_stage_replace(struct driver_staged *staged, const char *id, bool durable,
                        cst_error **error)
{
	const struct trees_home *home = staged->home;
	_cleanup_close_ int fd = -1;
	int r = trees_beside(home, staged->area, staged->trees->kind->place, &fd, error);
	if (r < 0)
		return r;
	/* EINVAL and ENOSYS: this file system cannot do it. There is no place for the old content that
	 * the Go tools would not empty if this process died between two renames. */
	if (sys_renameat2(staged->area->fd, staged->name, fd, id, RENAME_EXCHANGE) < 0)
		return error_sys(error, errno == EINVAL || errno == ENOSYS ? EOPNOTSUPP : errno,
		                 "exchange %s/%s/%s and %s/%s", home->tempdirs, staged->area->name,
		                 staged->name, home->layers_path, id);
	return durable ? fs_fsync_dir(fd, home->layers_path, error) : 0;
}
