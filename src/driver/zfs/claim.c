/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datasets that have the name of a layer, and belong to a temporary directory all the same: a new layer whose record is not
 * there yet, or an old one whose record is gone. So the program `zfs` renames them before the layers are locked, or after
 * that. A file in the temporary directory claims the dataset, by the name and by the identity: a Go tool that makes a layer of
 * this ID meanwhile destroys the dataset and makes another one, which has another identity.
 */
#include "base/fs.h"
#include "driver/zfs/zfs.h"
#include <errno.h>

#define CLAIM      ".claim" /* ends the name of the file; before it is what settling calls the dataset */
#define CLAIM_SIZE 1024

enum answer { GONE, SAME, ANOTHER };

struct claim {
	const struct zfs *zfs;
	int dirfd; /* of the temporary directory */
	const char *number, *file;
	char *text, *dataset, *own; /* the name as a layer, and that in the temporary directory */
	const char *identity;
};

static void claim_free(struct claim *claim)
{
	free(claim->text);
	free(claim->dataset);
	free(claim->own);
}

static int claim_read(struct claim *claim, cst_error **error)
{
	size_t len = 0;
	int r = fs_read_file(claim->dirfd, claim->file, CLAIM_SIZE, &claim->text, &len, error);
	if (r < 0)
		return r;
	char *tab = strchr(claim->text, '\t');
	if (!tab)
		return error_set(error, CST_ECORRUPT, "%s names no dataset", claim->file);
	*tab = '\0';
	claim->identity = tab + 1;
	claim->own = str_printf("%s/" ZFS_OURS "%s-%.*s", claim->zfs->fsname, claim->number,
	                        (int)(strlen(claim->file) - strlen(CLAIM)), claim->file);
	return claim->own ? zfs_dataset(claim->zfs, claim->text, &claim->dataset, error)
	                  : error_oom(error);
}

static int ask(const struct claim *claim, const char *dataset, enum answer *ret, cst_error **error)
{
	struct driver_identity identity;
	_cleanup_close_ int fd = zfs_open_dataset(dataset, false);
	*ret = GONE;
	if (fd < 0)
		return errno == ENOENT
		               ? 0
		               : error_sys(error, errno, "mounting the dataset %s", dataset);
	int r = zfs_identity(fd, &identity, error);
	if (r == 0)
		*ret = streq(identity.text, claim->identity) ? SAME : ANOTHER;
	return r;
}

/* ---- making ---- */

static char *claim_file(const char *name)
{
	return str_join(name, CLAIM);
}

int zfs_claim(const struct tempdir *area, const char *name, const char *id, int content_fd,
              cst_error **error)
{
	struct driver_identity identity;
	_cleanup_free_ char *file = claim_file(name), *text = NULL;
	int r = zfs_identity(content_fd, &identity, error);
	if (r < 0)
		return r;
	text = str_join(id, "\t", identity.text);
	return file && text ? fs_replace_file(area->fd, file, text, strlen(text), 0600, FS_DURABLE,
	                                      file, error)
	                    : error_oom(error);
}

/* ---- giving up ---- */

int zfs_unclaim(const struct tempdir *area, const char *name, cst_error **error)
{
	_cleanup_free_ char *file = claim_file(name);
	if (!file)
		return error_oom(error);
	if (sys_unlinkat(area->fd, file, 0) < 0)
		return error_sys(error, errno, "unlink %s/%s/%s", area->shown, area->name, file);
	return fs_fsync_dir(area->fd, area->shown, error);
}

bool zfs_is_claimed(const struct tempdir *area, const char *name)
{
	_cleanup_free_ char *file = claim_file(name);
	return file && fs_exists(area->fd, file);
}

int zfs_claim_holds(const struct zfs *zfs, const struct tempdir *area, const char *name, bool *ret,
                    cst_error **error)
{
	_cleanup_free_ char *file = claim_file(name);
	_cleanup_(claim_free) struct claim claim = {
	        .zfs = zfs, .dirfd = area->fd, .number = tempdir_number(area), .file = file};
	enum answer answer = GONE;
	int r = file ? claim_read(&claim, error) : error_oom(error);
	if (r == 0)
		r = ask(&claim, claim.dataset, &answer, error);
	if (r == 0)
		*ret = answer == SAME;
	return r;
}

/* ---- settling ---- */

/* A dataset that is gone at the last moment: 0. */
static int rename_if_there(const char *from, const char *to, cst_error **error)
{
	cst_error *problem = NULL;
	int r = zfs_rename(from, to, &problem);
	if (r < 0 && cst_error_errno(problem) != ENOENT)
		return error_propagate(error, problem);
	cst_error_free(problem);
	return 0;
}

/* Between the look and the rename a Go tool may have put another dataset there. It is given back. If this process dies before
 * that, the claim is still there. */
static int settle(struct claim *claim, cst_error **error)
{
	enum answer answer = GONE;
	int r = claim_read(claim, error);
	if (r == 0)
		r = ask(claim, claim->dataset, &answer, error);
	if (r == 0 && answer == SAME)
		r = rename_if_there(claim->dataset, claim->own, error);
	if (r == 0)
		r = ask(claim, claim->own, &answer, error);
	if (r == 0 && answer == ANOTHER)
		r = rename_if_there(claim->own, claim->dataset, error);
	if (r == 0 && sys_unlinkat(claim->dirfd, claim->file, 0) < 0)
		r = error_sys(error, errno, "unlink %s", claim->file);
	return r;
}

int zfs_settle_claims(const struct zfs *zfs, int dirfd, const char *number, const char *shown,
                      cst_error **error)
{
	_cleanup_strv_ struct strv files = {0};
	int r = fs_list_dir(dirfd, ".", &files, shown, error);
	strv_foreach (file, &files) {
		_cleanup_(claim_free) struct claim claim = {
		        .zfs = zfs, .dirfd = dirfd, .number = number, .file = file};
		if (r == 0 && has_suffix(file, CLAIM))
			r = settle(&claim, error);
	}
	return r;
}

/* ---- seeing ---- */

/* `only` NULL: all. */
static int add_claimed(const struct zfs *zfs, int dirfd, const char *only, struct strv *ids,
                       cst_error **error)
{
	_cleanup_strv_ struct strv files = {0};
	int r = fs_list_dir(dirfd, ".", &files, NULL, error);
	strv_foreach (file, &files) {
		_cleanup_(claim_free) struct claim claim = {
		        .zfs = zfs, .dirfd = dirfd, .number = "", .file = file};
		_cleanup_error_ cst_error *problem = NULL;
		enum answer answer = GONE;
		if (r < 0 || !has_suffix(file, CLAIM))
			continue;
		/* Its process may be removing it. */
		if (claim_read(&claim, &problem) == 0 && (!only || streq(claim.text, only)) &&
		    ask(&claim, claim.dataset, &answer, &problem) == 0 && answer == SAME &&
		    !strv_add(ids, claim.text))
			r = error_oom(error);
	}
	return r;
}

static int list_claimed(const struct zfs *zfs, const char *only, struct strv *ids,
                        cst_error **error)
{
	const char *tempdirs = zfs->trees.homes[0].tempdirs;
	_cleanup_strv_ struct strv names = {0};
	int r = fs_list_dir(AT_FDCWD, tempdirs, &names, NULL, error);
	strv_foreach (name, &names) {
		_cleanup_free_ char *path = path_join(tempdirs, name);
		_cleanup_close_ int fd =
		        path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (r == 0)
			r = path ? 0 : error_oom(error);
		if (r == 0 && fd >= 0)
			r = add_claimed(zfs, fd, only, ids, error);
	}
	return r;
}

int zfs_without_claimed(const struct zfs *zfs, struct strv *ids, cst_error **error)
{
	_cleanup_strv_ struct strv claimed = {0}, left = {0};
	int r = list_claimed(zfs, NULL, &claimed, error);
	strv_foreach (id, ids)
		if (r == 0 && !strv_contains(&claimed, id) && !strv_add(&left, id))
			r = error_oom(error);
	if (r < 0)
		return r;
	strv_free(ids);
	*ids = left;
	left = (struct strv){0};
	return 0;
}

int zfs_is_anyones(const struct zfs *zfs, const char *id, bool *ret, cst_error **error)
{
	_cleanup_strv_ struct strv claimed = {0};
	int r = list_claimed(zfs, id, &claimed, error);
	if (r == 0)
		*ret = claimed.len > 0;
	return r;
}

int zfs_exists(struct driver *d, const char *id, bool *ret, cst_error **error)
{
	bool exists = false, claimed = false;
	int r = trees_exists(d, id, &exists, error);
	if (r == 0 && exists)
		r = zfs_is_anyones(zfs_of(d), id, &claimed, error);
	if (r == 0)
		*ret = exists && !claimed;
	return r;
}
