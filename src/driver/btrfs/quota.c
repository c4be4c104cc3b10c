/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of what a layer may hold, by the quota groups of btrfs. */
#include "base/fs.h"
#include "base/subvolume.h"
#include "driver/btrfs/btrfs.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define QUOTAS "quotas" /* in the home */

static int layers_fd(const struct btrfs *btrfs)
{
	return btrfs->trees.homes[0].layers_fd;
}

bool btrfs_quota_is_ready(const struct btrfs *btrfs)
{
	return subvolume_quota_is_enabled(layers_fd(btrfs));
}

int btrfs_quota_enable(const struct btrfs *btrfs, cst_error **error)
{
	if (btrfs_quota_is_ready(btrfs) || sys_quota_enable(layers_fd(btrfs)) == 0)
		return 0;
	return error_sys(error, errno, "failed to enable btrfs quota for %s",
	                 btrfs->trees.base.home);
}

/* ---- which limit ---- */

/* A size as the Go tools show it: four digits, and a unit of 1000. */
static char *human_size(uint64_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)size;
	size_t unit = 0;
	for (; value >= 1000.0 && unit < ARRAY_SIZE(units) - 1; unit++)
		value /= 1000.0;
	return str_printf("%.4g%s", value, units[unit]);
}

static int check_limit(const struct btrfs *btrfs, uint64_t size, cst_error **error)
{
	bool small = size < btrfs->min_space;
	if (size && !small)
		return 0;
	_cleanup_free_ char *shown = human_size(size ? btrfs->min_space : 0);
	if (!shown)
		return error_oom(error);
	return size ? error_set(error, CST_EINVAL, "btrfs: storage size cannot be less than %s",
	                        shown)
	            : error_set(error, CST_EINVAL, "btrfs: invalid storage size: %s", shown);
}

int btrfs_quota_of(const struct btrfs *btrfs, const struct driver_stage_options *options,
                   uint64_t *ret, cst_error **error)
{
	bool given;
	uint64_t size = btrfs->size;
	int r = trees_size_of(options, "", &given, &size, error);
	if (r == 0 && given)
		r = check_limit(btrfs, size, error);
	if (r == 0)
		*ret = size;
	return r;
}

/* ---- setting it ---- */

static int limit(const struct btrfs *btrfs, int subvolume_fd, uint64_t size, cst_error **error)
{
	int r = btrfs_quota_enable(btrfs, error);
	if (r == 0 && sys_quota_limit(subvolume_fd, size) < 0)
		r = error_sys(error, errno, "limiting the size of a layer to %llu bytes",
		              (unsigned long long)size);
	return r;
}

/* *ret 0: the layer has no limit. */
static int read_note(const struct btrfs *btrfs, const char *id, uint64_t *ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *path = path_join3(btrfs->trees.base.home, QUOTAS, id), *text = NULL;
	size_t length = 0;
	if (!path)
		return error_oom(error);
	if (fs_read_file(AT_FDCWD, path, 32, &text, &length, &problem) < 0) {
		if (cst_error_errno(problem) != ENOENT)
			return error_propagate(error, steal_ptr(&problem));
		*ret = 0;
		return 0;
	}
	*ret = strtoull(text, NULL, 10); /* what is no number limits nothing, as in the Go tools */
	return 0;
}

int btrfs_quota_limit_again(const struct btrfs *btrfs, const char *id, cst_error **error)
{
	uint64_t size = 0;
	_cleanup_close_ int fd = -1;
	int r = read_note(btrfs, id, &size, error);
	if (r < 0 || !size || size < btrfs->min_space)
		return r;
	r = trees_own_layer_open(&btrfs->trees, id, &fd, error);
	return r == 0 ? limit(btrfs, fd, size, error) : r;
}

/* ---- the file ---- */

static void staged_name(const struct driver_staged *staged, char ret[24])
{
	snprintf(ret, 24, "%u-quota", staged->number);
}

int btrfs_quota_stage(struct driver_staged *staged, uint64_t size, cst_error **error)
{
	struct btrfs *btrfs = btrfs_of(&staged->trees->base);
	const struct tempdir *area = staged->area;
	char name[24], text[24];
	int r = limit(btrfs, staged->fd, size, error);
	staged_name(staged, name);
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	if (r == 0)
		r = fs_write_file(area->fd, name, text, (size_t)n, 0644, area->shown, error);
	if (r == 0 && staged->trees->base.sync_content)
		r = fs_fsync_path(area->fd, name, area->shown, error);
	if (r == 0)
		staged->size = size;
	return r;
}

int btrfs_quota_commit(const struct driver_staged *staged, const char *id, bool durable,
                       cst_error **error)
{
	const struct tempdir *area = staged->area;
	_cleanup_free_ char *path = path_join(staged->home->path, QUOTAS);
	char name[24];
	staged_name(staged, name);
	int r = path ? fs_mkdir_p(path, 0700, error) : error_oom(error);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = -1;
	r = trees_beside(staged->home, area, QUOTAS, &fd, error);
	if (r < 0)
		return r;
	if (sys_renameat(area->fd, name, fd, id) < 0)
		return error_sys(error, errno, "rename %s/%s/%s %s/%s", area->shown, area->name,
		                 name, path, id);
	return durable ? fs_fsync_dir(fd, path, error) : 0;
}

int btrfs_quota_remove(const struct btrfs *btrfs, const char *id, struct fs_later *later,
                       cst_error **error)
{
	_cleanup_free_ char *path = path_join(btrfs->trees.base.home, QUOTAS);
	if (!path)
		return error_oom(error);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "open %s", path);
	if (sys_unlinkat(fd, id, 0) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "remove %s/%s", path, id);
	return fs_fsync_later(later, fd, path, error);
}
