/* SPDX-License-Identifier: Apache-2.0 */
/* The zfs driver: opening, looking, and its table of operations. */
#include "driver/zfs/zfs.h"
#include "base/fs.h"
#include "driver/backing.h"
#include "driver/run.h"
#include <errno.h>

#define DEVICE "/dev/zfs"

/* ---- opening ---- */

static const struct trees_kind zfs_kind = {
        .place = "graph",
        .alone = true,
        .make = zfs_make,
        .identity = zfs_identity,
        .option = zfs_option,
        .open_layer = zfs_open_layer,
        .open_staged = zfs_open_staged,
        .free_area = zfs_free_area,
};

/* What 1.64 says, and for other programs what to do. */
static int lacks_program(cst_error **error)
{
	int r = error_set(error, CST_EPREREQ,
	                  "there is no program `zfs` in PATH, by which the driver zfs makes and "
	                  "removes layers; install the ZFS "
	                  "utilities (package zfsutils-linux or zfs), or choose another driver");
	return error_go_words(error, r, NULL,
	                      "the 'zfs' command is not available: prerequisites for driver not "
	                      "satisfied (wrong filesystem?)");
}

static int lacks_device(int errnum, cst_error **error)
{
	int r = error_set(error, CST_EPREREQ,
	                  errnum == ENOENT ? "%s is missing (%s): the kernel module of ZFS is not "
	                                     "loaded (`modprobe zfs`) or not "
	                                     "installed, and the driver zfs needs it"
	                                   : "%s cannot be opened (%s); the driver zfs needs it",
	                  DEVICE, errno_text(errnum));
	return error_go_words(error, r, NULL,
	                      "could not open " DEVICE
	                      ": %s: prerequisites for driver not satisfied (wrong filesystem?)",
	                      errno_text(errnum));
}

static int lacks_dataset(const char *root, uint32_t magic, cst_error **error)
{
	int r = error_set(error, CST_EPREREQ,
	                  "the driver zfs needs a dataset for its layers: %s is on the file system "
	                  "%s, and the option zfs.fsname names "
	                  "no dataset",
	                  root, backing_name(magic));
	return error_go_words(error, r, NULL,
	                      "no zfs dataset found for rootdir '%s': prerequisites for driver not "
	                      "satisfied (wrong filesystem?)",
	                      root);
}

static int has_what_it_takes(cst_error **error)
{
	if (!run_finds("zfs"))
		return lacks_program(error);
	_cleanup_close_ int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	return fd < 0 ? lacks_device(errno, error) : 0;
}

/* If the option names none, the dataset that the graph root is on has the layers. */
static int find_dataset(const struct driver_config *config, struct zfs *zfs, cst_error **error)
{
	uint32_t magic = 0;
	int r = zfs->fsname ? 0 : backing_magic(config->graph_root, &magic, error);
	if (r < 0 || zfs->fsname)
		return r;
	return magic == BACKING_ZFS ? zfs_dataset_of_path(config->graph_root, &zfs->fsname, error)
	                            : lacks_dataset(config->graph_root, magic, error);
}

static void zfs_close(struct driver *d)
{
	free(zfs_of(d)->fsname);
	free(zfs_of(d)->mountopt);
	trees_close(d);
}

static int open_homes(const struct driver_config *config, struct zfs **ret, cst_error **error)
{
	int r = has_what_it_takes(error);
	if (r < 0)
		return r;
	struct zfs *zfs = new0(struct zfs, 1);
	if (!zfs)
		return error_oom(error);
	zfs->as_upstream = config->as_upstream;
	r = trees_open_options(&zfs->trees, &zfs_driver, &zfs_kind, config, error);
	if (r == 0)
		r = find_dataset(config, zfs, error);
	if (r == 0)
		r = trees_open_homes(&zfs->trees, config, error);
	if (r == 0)
		*ret = zfs;
	else
		zfs_close(&zfs->trees.base);
	return r;
}

/* Whether the dataset exists is asked once, when the home is made. */
static int zfs_open(const struct driver_config *config, struct driver **ret, cst_error **error)
{
	struct zfs *zfs = NULL;
	_cleanup_strv_ struct strv values = {0};
	int r = open_homes(config, &zfs, error);
	if (r == 0 && !config->read_only)
		r = zfs_read(zfs->fsname, "guid", &values, error);
	if (r < 0 && zfs) {
		error_prefix(error, r, "cannot find root filesystem %s", zfs->fsname);
		zfs_close(&zfs->trees.base);
	}
	if (r == 0)
		*ret = &zfs->trees.base;
	return r;
}

static int zfs_open_ready(const struct driver_config *config, struct driver **ret,
                          cst_error **error)
{
	struct zfs *zfs = NULL;
	if (!trees_homes_are_there("zfs", &zfs_kind, config))
		return 0;
	int r = open_homes(config, &zfs, error);
	if (r == 0)
		*ret = &zfs->trees.base;
	return r;
}

/* It is only asked if no driver was named. */
static int zfs_probe(const struct driver_config *config, cst_error **error)
{
	uint32_t magic = 0;
	int r = has_what_it_takes(error);
	if (r == 0)
		r = backing_magic(config->graph_root, &magic, error);
	return r == 0 && magic != BACKING_ZFS ? lacks_dataset(config->graph_root, magic, error) : r;
}

/* ---- looking ---- */

static int zfs_list(struct driver *d, struct strv *ids, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0}, layers = {0};
	int r = zfs_list_all(zfs_of(d), &names, error);
	strv_foreach (name, &names)
		if (r == 0 && !has_prefix(name, ZFS_OURS) && !strv_add(&layers, name))
			r = error_oom(error);
	if (r == 0)
		r = zfs_without_claimed(zfs_of(d), &layers, error);
	if (r < 0)
		return r;
	strv_sort(&layers);
	*ids = layers;
	layers = (struct strv){0};
	return 0;
}

static int zfs_paths(struct driver *d, const char *id, struct strv *pairs, cst_error **error)
{
	_cleanup_free_ char *dataset = NULL,
	                    *path = path_join(zfs_of(d)->trees.homes[0].layers_path, id);
	bool exists = false;
	int r = path ? zfs_dataset(zfs_of(d), id, &dataset, error) : error_oom(error);
	if (r == 0)
		r = trees_exists(d, id, &exists, error);
	if (r == 0 && !exists)
		r = error_about(error, CST_ELAYER_UNKNOWN, id);
	if (r < 0)
		return r;
	bool added = strv_add(pairs, "Mountpoint") && strv_add(pairs, path) &&
	             strv_add(pairs, "Dataset") && strv_add(pairs, dataset);
	return added ? 0 : error_oom(error);
}

static int zfs_status(struct driver *d, struct strv *pairs, cst_error **error)
{
	const struct zfs *zfs = zfs_of(d);
	_cleanup_free_ char *pool = strndup(zfs->fsname, strcspn(zfs->fsname, "/"));
	_cleanup_strv_ struct strv of_pool = {0}, values = {0};
	int r = pool ? zfs_read_pool(pool, "name,health", &of_pool, error) : error_oom(error);
	if (r == 0)
		r = zfs_read(zfs->fsname, "used,available,quota,compression", &values, error);
	if (r < 0)
		return r;
	const char *shown[][2] = {
	        {"Zpool", of_pool.items[0]},
	        {"Zpool Health", of_pool.items[1]},
	        {"Parent Dataset", zfs->fsname},
	        {"Space Used By Parent", values.items[0]},
	        {"Space Available", values.items[1]},
	        {"Parent Quota", streq(values.items[2], "0") ? "no" : values.items[2]},
	        {"Compression", values.items[3]}};
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		if (!strv_add(pairs, shown[i][0]) || !strv_add(pairs, shown[i][1]))
			return error_oom(error);
	return 0;
}

static int zfs_missing(struct driver *d, const char *name, bool as_parent, cst_error **error)
{
	return error_sys(error, ENOENT, "mounting the dataset %s/%s", zfs_of(d)->fsname, name);
}

/* ---- staged layers that outlive the process ---- */

static int zfs_stage_adopt(struct driver *d, const char *id, struct driver_staged **ret,
                           int *ret_fd, cst_error **error)
{
	int r = trees_stage_adopt(d, id, ret, ret_fd, error);
	if (r == 0)
		(*ret)->area->counter = 1; /* the dataset that is in it */
	return r;
}

const struct driver_ops zfs_driver = {
        .name = "zfs",
        .capabilities = DRIVER_REOWNS_PARENT | DRIVER_WHOLE_TREES,
        .open = zfs_open,
        .probe = zfs_probe,
        .open_ready = zfs_open_ready,
        .close = zfs_close,
        .cleanup = trees_cleanup,
        .recover = zfs_recover,
        .stage = trees_stage,
        .stage_sync = zfs_stage_sync,
        .stage_barrier = zfs_stage_barrier,
        .stage_prepare = zfs_stage_prepare,
        .stage_commit = zfs_stage_commit,
        .stage_keep = zfs_stage_keep,
        .stage_adopt = zfs_stage_adopt,
        .stage_resolve = zfs_stage_resolve,
        .stage_replace = zfs_stage_replace,
        .replace_recover = zfs_replace_recover,
        .paths = zfs_paths,
        .remove = zfs_remove,
        .trash_count = zfs_trash_count,
        .trash_empty = zfs_trash_empty,
        .trash_free = zfs_trash_free,
        .exists = zfs_exists,
        .list = zfs_list,
        .status = zfs_status,
        .missing = zfs_missing,
        .get = zfs_get,
        .put = zfs_put,
        .mount_open = zfs_mount_open,
        TREES_OPERATIONS,
};
