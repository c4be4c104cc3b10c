/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a layer, or new content for one, in a dataset of its own, and gives that the layer's name. */
#include "base/fs.h"
#include "driver/zfs/zfs.h"
#include <errno.h>

static const struct zfs *zfs_of_staged(const struct driver_staged *staged)
{
	return zfs_of(&staged->trees->base);
}

static char *staged_dataset(const struct driver_staged *staged)
{
	return zfs_dataset_in(zfs_of_staged(staged), staged->area, staged->name);
}

/* ---- opening ---- */

int zfs_open_layer(const struct trees *trees, const char *id)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *dataset = NULL;
	if (zfs_dataset((const struct zfs *)trees, id, &dataset, &problem) < 0) {
		errno = ENOENT;
		return -1;
	}
	return zfs_open_dataset(dataset, false);
}

int zfs_open_staged(const struct driver_staged *staged)
{
	_cleanup_free_ char *dataset = staged_dataset(staged);
	if (!dataset) {
		errno = ENOMEM;
		return -1;
	}
	return zfs_open_dataset(dataset, true);
}

/* ---- making ---- */

static int source_of(const struct zfs *zfs, const struct tempdir *area, const struct trees_new *how,
                     char **ret, cst_error **error)
{
	const struct driver_staged *parent = how->options->staged_parent;
	if (!parent)
		return how->from ? zfs_dataset(zfs, how->from, ret, error) : 0;
	*ret = zfs_dataset_in(zfs, area, parent->name);
	return *ret ? 0 : error_oom(error);
}

/* A copy that takes the place of a layer has that one's limit. */
static int limit_of(const struct zfs *zfs, const char *source, const struct trees_new *how,
                    uint64_t *ret, cst_error **error)
{
	_cleanup_strv_ struct strv values = {0};
	if (!how->renewed)
		return zfs_limit_of(zfs, how->options, ret, error);
	int r = zfs_read(source, "quota", &values, error);
	if (r == 0 && !parse_u64(values.items[0], UINT64_MAX, ret))
		*ret = 0;
	return r;
}

/* The file tells recovery of the snapshot, which is not below a name of ours. */
static int clone_of(const struct zfs *zfs, const char *source, const struct tempdir *area,
                    const char *name, const char *dataset, uint64_t limit, cst_error **error)
{
	_cleanup_free_ char *snapshot = str_printf("%s@" ZFS_OURS "%s-%s", source,
	                                           tempdir_number(area), name),
	                    *note = str_join(name, ZFS_SNAPSHOT);
	if (!snapshot || !note)
		return error_oom(error);
	_cleanup_close_ int fd = sys_openat(area->fd, note, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || sys_write_all(fd, snapshot, strlen(snapshot)) < 0)
		return error_sys(error, errno, "write %s/%s/%s", area->shown, area->name, note);
	int r = zfs_snapshot(snapshot, error);
	if (r == 0)
		r = zfs_clone(zfs, snapshot, dataset, limit, error);
	if (r == 0)
		r = zfs_forget_snapshot(snapshot, error);
	if (r == 0)
		(void)sys_unlinkat(area->fd, note, 0);
	return r;
}

int zfs_make(int from_fd, const struct tempdir *area, const char *name, const struct trees_new *how,
             cst_error **error)
{
	const struct zfs *zfs = zfs_of(&how->trees->base);
	_cleanup_free_ char *dataset = zfs_dataset_in(zfs, area, name), *source = NULL;
	uint64_t limit = 0;
	int r = dataset ? source_of(zfs, area, how, &source, error) : error_oom(error);
	if (r == 0)
		r = limit_of(zfs, source, how, &limit, error);
	if (r < 0)
		return r;
	if (!source)
		return zfs_create(zfs, dataset, limit, error);
	r = clone_of(zfs, source, area, name, dataset, limit, error);
	if (r < 0 || idmaps_equal(how->copy.from_maps, how->copy.maps))
		return r;
	_cleanup_close_ int fd = zfs_open_dataset(dataset, true);
	return fd < 0 ? error_sys(error, errno, "mounting the dataset %s", dataset)
	              : trees_reown(fd, &how->copy, dataset, error);
}

/* ---- on disk ---- */

/* After a commit that was refused. */
static int take_back(struct driver_staged *staged, cst_error **error)
{
	struct tempdir *area = staged->area;
	if (!area || !zfs_is_claimed(area, staged->name))
		return 0;
	int r = zfs_settle_claims(zfs_of_staged(staged), area->fd, tempdir_number(area),
	                          area->shown, error);
	return r == 0 && staged->fd < 0 && !staged->of_image
	               ? trees_staged_open(staged, &staged->fd, error)
	               : r;
}

/* Layers of an image become durable when they get their names. */
int zfs_stage_sync(struct driver_staged *staged, cst_error **error)
{
	int r = take_back(staged, error);
	if (r < 0)
		return r;
	if (!staged->of_image && staged->trees->base.sync_content && sys_syncfs(staged->fd) < 0)
		return error_sys(error, errno, "syncfs the content of a layer");
	if (staged->of_image) {
		closep(&staged->fd);
		staged->fd = -1;
	}
	return 0;
}

/* Giving the first of them its name waits for all that was written to the pool. Only the other directory may be elsewhere. */
int zfs_stage_barrier(struct driver_staged *staged, int also_fd, cst_error **error)
{
	return sys_syncfs(also_fd) < 0 ? error_sys(error, errno, "syncfs %s", staged->home->path)
	                               : 0;
}

/* ---- into place ---- */

/* Two stores that are given one dataset would take each other's layers away. A dataset of the Go tools does not say whose it is. */
static int must_be_ours(const struct zfs *zfs, const char *dataset, cst_error **error)
{
	_cleanup_strv_ struct strv values = {0};
	int r = zfs_read(dataset, ZFS_HOME, &values, error);
	if (r < 0 || streq(values.items[0], "-") || streq(values.items[0], zfs->trees.base.home))
		return r;
	return error_set(error, CST_EBUSY,
	                 "the dataset %s belongs to another store, that of %s; give each store a "
	                 "dataset of its own (zfs.fsname)",
	                 dataset, values.items[0]);
}

/* A process that died may have left a dataset of this name that no record names. It makes room. */
static int make_room_and_rename(const struct driver_staged *staged, const char *from,
                                const char *to, cst_error **error)
{
	cst_error *problem = NULL;
	int r = zfs_rename(from, to, &problem);
	if (r == 0 || cst_error_errno(problem) != EEXIST)
		return r == 0 ? 0 : error_propagate(error, problem);
	cst_error_free(problem);
	r = must_be_ours(zfs_of_staged(staged), to, error);
	if (r == 0)
		r = zfs_take(zfs_of_staged(staged), staged->area, to, error);
	return r == 0 ? zfs_rename(from, to, error) : r;
}

/* Nobody has it open afterwards: a Go tool that creates a layer of this ID destroys what is in its way. What is kept could not be
 * lost like that, so it gets its name under the lock; so does what finds its name taken. */
int zfs_stage_prepare(struct driver_staged *staged, const char *id, cst_error **error)
{
	_cleanup_free_ char *from = staged_dataset(staged), *to = NULL;
	_cleanup_close_ int fd = -1;
	cst_error *problem = NULL;
	if (staged->area->kept)
		return 0;
	int r = take_back(staged, error);
	if (r == 0)
		r = from ? zfs_dataset(zfs_of_staged(staged), id, &to, error) : error_oom(error);
	if (r == 0)
		r = trees_staged_open(staged, &fd, error);
	if (r == 0)
		r = zfs_claim(staged->area, staged->name, id, fd, error);
	if (r < 0)
		return r;
	closep(&fd);
	fd = -1;
	closep(&staged->fd);
	staged->fd = -1;
	r = zfs_rename(from, to, &problem);
	if (r == 0 || cst_error_errno(problem) != EEXIST)
		return r == 0 ? 0 : error_propagate(error, problem);
	cst_error_free(problem);
	return zfs_unclaim(staged->area, staged->name, error);
}

static int commit_prepared(const struct driver_staged *staged, const char *id, cst_error **error)
{
	bool holds = false;
	int r = zfs_claim_holds(zfs_of_staged(staged), staged->area, staged->name, &holds, error);
	if (r == 0 && !holds)
		r = error_set(error, CST_EBUSY,
		              "another process took the dataset of the new layer \"%s\" away, to "
		              "create a layer of the same ID; try again",
		              id);
	return r == 0 ? zfs_unclaim(staged->area, staged->name, error) : r;
}

int zfs_stage_keep(struct driver_staged *staged, tempdir_write write, void *userdata,
                   cst_error **error)
{
	int r = take_back(staged, error);
	return r == 0 ? trees_stage_keep(staged, write, userdata, error) : r;
}

int zfs_stage_commit(struct driver_staged *staged, const char *id, bool durable, cst_error **error)
{
	_cleanup_free_ char *from = staged_dataset(staged), *to = NULL;
	int r = from ? zfs_dataset(zfs_of_staged(staged), id, &to, error) : error_oom(error);
	if (r == 0 && zfs_is_claimed(staged->area, staged->name))
		r = commit_prepared(staged, id, error);
	else if (r == 0)
		r = make_room_and_rename(staged, from, to, error);
	if (r == 0)
		staged->area->counter--;
	return r;
}

int zfs_stage_replace(struct driver_staged *staged, const char *id, bool durable, cst_error **error)
{
	const struct zfs *zfs = zfs_of_staged(staged);
	_cleanup_free_ char *from = staged_dataset(staged), *to = NULL,
	                    *old = str_printf("%s/" ZFS_OURS "%s" ZFS_REPLACED "%s", zfs->fsname,
	                                      tempdir_number(staged->area), id);
	int r = from && old ? zfs_dataset(zfs, id, &to, error) : error_oom(error);
	if (r == 0)
		r = zfs_rename(to, old, error);
	if (r < 0)
		return r;
	r = zfs_rename(from, to, error);
	if (r < 0)
		(void)zfs_rename(old, to, NULL);
	return r;
}

static int give_back(const struct zfs *zfs, const char *id, const char *to, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	_cleanup_free_ char *end = str_join(ZFS_REPLACED, id);
	int r = end ? zfs_list_all(zfs, &names, error) : error_oom(error);
	strv_foreach (name, &names) {
		_cleanup_free_ char *from = path_join(zfs->fsname, name);
		if (r == 0 && has_prefix(name, ZFS_OURS) && has_suffix(name, end))
			return from ? zfs_rename(from, to, error) : error_oom(error);
	}
	return r;
}

/* Between two renames the layer has no content. If the new one is in place, the old one is in a dead temporary directory. */
int zfs_replace_recover(struct driver *d, const char *id, struct driver_trash **trash,
                        cst_error **error)
{
	_cleanup_free_ char *dataset = NULL;
	_cleanup_strv_ struct strv values = {0};
	cst_error *problem = NULL;
	int r = zfs_dataset(zfs_of(d), id, &dataset, error);
	if (r < 0)
		return r;
	r = zfs_read(dataset, "guid", &values, &problem);
	if (r < 0 && cst_error_errno(problem) != ENOENT)
		return error_propagate(error, problem);
	cst_error_free(problem);
	return r < 0 ? give_back(zfs_of(d), id, dataset, error) : 0;
}

int zfs_stage_resolve(struct driver *d, const char *staged_id, const char *id, cst_error **error)
{
	const struct zfs *zfs = zfs_of(d);
	const char *tempdirs = zfs->trees.homes[0].tempdirs;
	_cleanup_free_ char *dir = NULL, *from = NULL;
	int r = tempdir_find_kept(tempdirs, TEMPDIR_PAIR, staged_id, &dir, error);
	if (r < 0 || !dir)
		return r;
	if (!id)
		return tempdir_forget(tempdirs, TEMPDIR_PAIR, staged_id, error);
	_cleanup_free_ char *to =
	        str_printf("%s/" ZFS_OURS "%s-" TREES_CONTENT, zfs->fsname, staged_id, 0U);
	cst_error *problem = NULL;
	r = to ? zfs_dataset(zfs, id, &from, error) : error_oom(error);
	if (r < 0)
		return r;
	r = zfs_rename(from, to, &problem);
	int errnum = cst_error_errno(problem);
	if (r < 0 && errnum != ENOENT && errnum != EEXIST)
		return error_propagate(error, problem);
	cst_error_free(problem);
	return 0;
}
