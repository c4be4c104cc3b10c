/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes layers away: under the locks their dataset is claimed for a temporary directory, and it is destroyed later.
 * What cannot be destroyed, because a process still reads it or a clone was made of it, stays for recovery to try again.
 */
#include "base/fs.h"
#include "base/log.h"
#include "driver/zfs/zfs.h"
#include <errno.h>

/* What a temporary directory holds that deletions filled: 0, 1, ... before the end. */
#define REMOVED "%u-removed"

char *zfs_dataset_in(const struct zfs *zfs, const struct tempdir *area, const char *name)
{
	return str_printf("%s/" ZFS_OURS "%s-%s", zfs->fsname, tempdir_number(area), name);
}

int zfs_take(const struct zfs *zfs, struct tempdir *area, const char *dataset, cst_error **error)
{
	if (!area) /* the disk is full */
		return zfs_destroy(dataset, error);
	_cleanup_free_ char *name = str_printf(REMOVED, area->counter),
	                    *to = name ? zfs_dataset_in(zfs, area, name) : NULL;
	cst_error *problem = NULL;
	if (!to)
		return error_oom(error);
	area->counter++; /* also if it fails: it may be renamed all the same */
	int r = zfs_rename(dataset, to, &problem);
	if (r < 0 && cst_error_errno(problem) != ENOENT)
		return error_propagate(error, problem);
	cst_error_free(problem);
	return 0;
}

/* ---- destroying ---- */

/* The layer whose old content this was, if it is that. */
static const char *replaced_id(const char *name)
{
	const char *at = strstr(name, ZFS_REPLACED);
	return at ? at + strlen(ZFS_REPLACED) : NULL;
}

/* New content that is a clone of the old would keep the old for ever. So it becomes the one that the old is a clone of. */
static int part_from(const struct zfs *zfs, const char *old, const char *id, cst_error **error)
{
	_cleanup_free_ char *dataset = path_join(zfs->fsname, id), *snapshots = str_join(old, "@");
	_cleanup_strv_ struct strv values = {0};
	int r = dataset && snapshots ? zfs_read(dataset, "origin", &values, error)
	                             : error_oom(error);
	return r == 0 && has_prefix(values.items[0], snapshots) ? zfs_promote(dataset, error) : r;
}

/* Old content of a layer that has none now is what recovery gives back to it: it stays. */
static int destroy_one(const struct zfs *zfs, const char *name, cst_error **error)
{
	_cleanup_free_ char *dataset = path_join(zfs->fsname, name);
	const char *id = replaced_id(name);
	int r = dataset ? 0 : error_oom(error);
	if (r == 0 && id)
		r = part_from(zfs, dataset, id, error);
	return r == 0 ? zfs_destroy(dataset, error) : r;
}

/* The youngest are destroyed first, since they may be clones of the others. */
static int destroy_all_of(const struct zfs *zfs, const char *number, cst_error **error)
{
	_cleanup_free_ char *prefix = str_join(ZFS_OURS, number, "-");
	_cleanup_strv_ struct strv names = {0};
	int r = prefix ? zfs_list_all(zfs, &names, error) : error_oom(error), worst = r;
	for (size_t i = 0; r == 0 && i < names.len; i++) {
		cst_error *problem = NULL;
		if (!has_prefix(names.items[i], prefix) ||
		    destroy_one(zfs, names.items[i], &problem) == 0)
			continue;
		if (worst == 0)
			worst = error_propagate(error, problem);
		else
			cst_error_free(problem);
	}
	return worst;
}

/* The snapshots that a clone was to be made of: their names are in files of the temporary directory. Those that have a clone by
 * now go with it. */
static int forget_snapshots(int dirfd, const char *shown, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	int r = fs_list_dir(dirfd, ".", &names, shown, error);
	strv_foreach (name, &names) {
		_cleanup_free_ char *snapshot = NULL;
		size_t len = 0;
		if (r < 0 || !has_suffix(name, ZFS_SNAPSHOT))
			continue;
		r = fs_read_file(dirfd, name, 4096, &snapshot, &len, error);
		if (r == 0 && strchr(snapshot, '@'))
			r = zfs_forget_snapshot(snapshot, error);
	}
	return r;
}

static int empty_area(const struct zfs *zfs, int dirfd, const char *number, const char *shown,
                      cst_error **error)
{
	int r = zfs_settle_claims(zfs, dirfd, number, shown, error);
	if (r == 0)
		r = forget_snapshots(dirfd, shown, error);
	return r == 0 ? destroy_all_of(zfs, number, error) : r;
}

static void leave(struct tempdir *area, const cst_error *problem)
{
	log_warning("what is left of %s/%s is removed when the store is opened next: %s",
	            area->shown, area->name, cst_error_message(problem));
	tempdir_leave(area);
}

void zfs_free_area(struct trees *trees, struct tempdir *area)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (!area || area->shares > 0 || area->kept || area->counter == 0 ||
	    empty_area(zfs_of(&trees->base), area->fd, tempdir_number(area), area->shown,
	               &problem) == 0)
		tempdir_free(area);
	else
		leave(area, problem);
}

/* ---- what dead processes left ---- */

static int empty_dead(int dirfd, const char *number, void *userdata, cst_error **error)
{
	const struct zfs *zfs = userdata;
	return empty_area(zfs, dirfd, number, zfs->trees.homes[0].tempdirs, error);
}

int zfs_recover(struct driver *d, cst_error **error)
{
	return tempdir_recover_with(trees_of(d)->homes[0].tempdirs, TEMPDIR_PAIR, empty_dead, d,
	                            error);
}

/* ---- the trash of a deletion ---- */

struct trash {
	struct driver_trash base;
	struct trees *trees;
	struct tempdir *area;
	uint64_t n;
};

static struct trash *trash_of(struct driver_trash *trash)
{
	return (struct trash *)trash;
}

static int trash_in(struct driver *d, struct driver_trash **ret, cst_error **error)
{
	if (*ret)
		return 0;
	struct trash *trash = new0(struct trash, 1);
	if (!trash)
		return error_oom(error);
	*trash = (struct trash){.base.ops = d->ops, .trees = trees_of(d)};
	*ret = &trash->base;
	return tempdir_new_for_trash(trash->trees->homes[0].tempdirs, TEMPDIR_PAIR, &trash->area,
	                             error);
}

/* What is claimed already, its owner takes away, or recovery. Without room for a claim, the dataset is renamed here and now. */
static int claim_or_take(const struct zfs *zfs, struct tempdir *area, const char *id,
                         const char *dataset, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *name = NULL;
	bool claimed = false;
	int r = zfs_is_anyones(zfs, id, &claimed, error);
	if (r < 0 || claimed)
		return r;
	_cleanup_close_ int fd = zfs_open_dataset(dataset, false);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || !area)
		return zfs_take(zfs, area, dataset, error);
	name = str_printf(REMOVED, area->counter);
	if (!name)
		return error_oom(error);
	r = zfs_claim(area, name, id, fd, &problem);
	if (r < 0)
		return error_is_full(problem) ? zfs_take(zfs, area, dataset, error)
		                              : error_propagate(error, steal_ptr(&problem));
	area->counter++;
	return 0;
}

int zfs_remove(struct driver *d, const char *id, const char *note, struct driver_trash **trash,
               struct fs_later *later, cst_error **error)
{
	_cleanup_free_ char *dataset = NULL;
	int r = zfs_dataset(zfs_of(d), id, &dataset, error);
	if (r == 0)
		r = zfs_put(d, id, error);
	if (r == 0)
		r = trash_in(d, trash, error);
	if (r == 0)
		r = claim_or_take(zfs_of(d), trash_of(*trash)->area, id, dataset, error);
	if (r == 0)
		trash_of(*trash)->n++;
	return r;
}

uint64_t zfs_trash_count(const struct driver_trash *trash)
{
	return ((const struct trash *)trash)->n;
}

/* Their names are known, so as a rule the list of all datasets is not needed, which takes one more program. It has the order in
 * which those go that others are clones of. */
static int destroy_removed(const struct zfs *zfs, const struct tempdir *area, cst_error **error)
{
	int r = zfs_settle_claims(zfs, area->fd, tempdir_number(area), area->shown, error);
	bool all = true;
	for (unsigned i = 0; r == 0 && i < area->counter; i++) {
		_cleanup_free_ char *name = str_printf(REMOVED, i),
		                    *dataset = name ? zfs_dataset_in(zfs, area, name) : NULL;
		all &= dataset && zfs_destroy(dataset, NULL) == 0;
	}
	return r == 0 && !all ? destroy_all_of(zfs, tempdir_number(area), error) : r;
}

static void free_trash_area(const struct trash *trash, struct tempdir *area)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (!area || destroy_removed(zfs_of(&trash->trees->base), area, &problem) == 0)
		tempdir_free(area);
	else
		leave(area, problem);
}

void zfs_trash_empty(struct driver_trash *trash, const struct fs_watch *watch)
{
	struct trash *t = trash_of(trash);
	free_trash_area(t, steal_ptr(&t->area));
	for (uint64_t i = 0; watch && i < t->n; i++)
		watch->removed(watch->userdata);
}

void zfs_trash_free(struct driver_trash *trash)
{
	if (!trash)
		return;
	free_trash_area(trash_of(trash), trash_of(trash)->area);
	free(trash);
}
