/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfs: every layer is a directory, <home>/dir/<id>, with a full copy of its parent that has the layer's changes applied. It works
 * everywhere, and costs the space of the copies, unless the filesystem shares blocks, which the copy asks for
 * (docs/format/drivers.md, "vfs").
 */
#include "archive/tree/copy.h"
#include "archive/tree/relabel.h"
#include "base/fs.h"
#include "base/log.h"
#include "config/selinux.h"
#include "driver/option.h"
#include "driver/quota.h"
#include "driver/trees/trees.h"
#include <errno.h>

struct vfs {
	struct trees trees;
	bool as_upstream; /* the Go driver has no quotas */
};

/* Before anything is in the directory: what is made there later is in its project. What the parent has counts, too. */
static int limit(int from_fd, int fd, const struct tempdir *area, const struct trees_new *how,
                 cst_error **error)
{
	struct driver_quota quota = {0};
	if (how->renewed)
		return quota_share(from_fd, fd, area->shown, error);
	if (!how->options->n_storage_options)
		return 0;
	_cleanup_free_ char *home = path_join(area->shown, "..");
	if (!home)
		return error_oom(error);
	int r = quota_parse(how->options, &quota, error);
	if (r == 0)
		r = quota_probe(home, error);
	return r == 0 ? quota_assign(home, fd, &quota, error) : r;
}

/* Before anything is in the directory: what is made there later gets the label, too. Without it the layer is made all the same, as upstream makes it. */
static void set_label(int fd, const struct tempdir *area)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *label = NULL;
	if (selinux_shared_label(&label, &problem) < 0)
		log_debug("no label for %s/%s: %s", area->shown, area->name,
		          cst_error_message(problem));
	else if (*label && sys_fsetxattr(fd, SELINUX_XATTR, label, strlen(label), 0) < 0)
		log_debug("no label %s for %s/%s: %s", label, area->shown, area->name,
		          errno_text(errno));
}

static int vfs_make(int from_fd, const struct tempdir *area, const char *name,
                    const struct trees_new *how, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	if (sys_mkdirat(area->fd, name, 0755) < 0)
		return error_sys(error, errno, "mkdir %s/%s/%s", area->shown, area->name, name);
	fd = openat(area->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s/%s", area->shown, area->name, name);
	set_label(fd, area);
	int r = limit(from_fd, fd, area, how, error);
	if (r < 0 || from_fd < 0)
		return r;
	return copy_tree(from_fd, fd, &how->copy, error);
}

static int vfs_option(struct trees *trees, const char *key, const char *value, bool *known,
                      cst_error **error)
{
	*known = streq(key, "ignore_chown_errors");
	return *known ? driver_parse_bool(value, &trees->ignore_chown_errors, error) : 0;
}

static const struct trees_kind vfs_kind = {
        .place = "dir",
        .in_image_store = true,
        .make = vfs_make,
        .identity = naive_identity,
        .option = vfs_option,
};

static int vfs_open(const struct driver_config *config, struct driver **ret, cst_error **error)
{
	struct vfs *vfs = new0(struct vfs, 1);
	if (!vfs)
		return error_oom(error);
	vfs->as_upstream = config->as_upstream;
	int r = trees_open(&vfs->trees, &vfs_driver, &vfs_kind, config, error);
	if (r == 0)
		*ret = &vfs->trees.base;
	else
		trees_close(&vfs->trees.base);
	return r;
}

static int vfs_open_ready(const struct driver_config *config, struct driver **ret,
                          cst_error **error)
{
	return trees_homes_are_there("vfs", &vfs_kind, config) ? vfs_open(config, ret, error) : 0;
}

static int vfs_stage(struct driver *d, const struct driver_stage_options *options,
                     struct driver_staged **ret, cst_error **error)
{
	if (options->n_storage_options && ((struct vfs *)d)->as_upstream)
		return error_set(error, CST_ENOTSUP, "--storage-opt is not supported for vfs");
	return trees_stage(d, options, ret, error);
}

static int vfs_missing(struct driver *d, const char *name, bool as_parent, cst_error **error)
{
	return error_sys(error, ENOENT, "%s %s/dir/%s", as_parent ? "Stat" : "stat", d->home, name);
}

const struct driver_ops vfs_driver = {
        .name = "vfs",
        .capabilities = DRIVER_REOWNS_PARENT | DRIVER_WHOLE_TREES | DRIVER_DEDUP,
        .open = vfs_open,
        .open_ready = vfs_open_ready,
        .close = trees_close,
        .cleanup = trees_cleanup,
        .recover = trees_recover,
        .stage = vfs_stage,
        .stage_sync = trees_stage_sync,
        .stage_barrier = trees_stage_barrier,
        .stage_commit = trees_stage_commit,
        .stage_keep = trees_stage_keep,
        .stage_adopt = trees_stage_adopt,
        .stage_resolve = trees_stage_resolve,
        .stage_replace = trees_stage_replace,
        .paths = trees_paths,
        .shareable = trees_shareable,
        .remove = trees_remove,
        .trash_count = naive_trash_count,
        .trash_empty = naive_trash_empty,
        .trash_free = naive_trash_free,
        .exists = trees_exists,
        .list = trees_list,
        .status = trees_status,
        .missing = vfs_missing,
        .get = trees_get,
        .put = trees_put,
        .mount_open = trees_mount_open,
        TREES_OPERATIONS,
};
