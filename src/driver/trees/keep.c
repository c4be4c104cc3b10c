/* SPDX-License-Identifier: Apache-2.0 */
/* Staged layers that outlive their process: the temporary directory is kept (lock/tempdir.h), and another process goes on with
 * what is in it. */
#include "base/fs.h"
#include "driver/trees/trees.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int trees_stage_keep(struct driver_staged *staged, tempdir_write write, void *userdata,
                     cst_error **error)
{
	return tempdir_keep(staged->area, write, userdata, error);
}

int trees_stage_unkeep(struct driver_staged *staged, cst_error **error)
{
	return tempdir_unkeep(staged->area, error);
}

int trees_stage_list(struct driver *d, struct strv *ids, cst_error **error)
{
	const struct trees *trees = trees_of(d);
	int r = 0;
	for (size_t i = 0; r == 0 && i < trees->n_homes; i++)
		r = tempdir_list_kept(trees->homes[i].tempdirs, TEMPDIR_PAIR, ids, error);
	return r;
}

static int find(struct driver_staged *staged, const char *id, int *ret_fd, cst_error **error)
{
	const struct trees *trees = staged->trees;
	int r = 0;
	for (size_t i = 0; r == 0 && !staged->area && i < trees->n_homes; i++) {
		staged->home = &trees->homes[i];
		r = naive_adopt(staged->home->tempdirs, TEMPDIR_PAIR, id, &staged->area, ret_fd,
		                error);
	}
	return r == 0 && !staged->area ? naive_not_staged(id, error) : r;
}

int trees_stage_adopt(struct driver *d, const char *id, struct driver_staged **ret, int *ret_fd,
                      cst_error **error)
{
	_cleanup_(trees_stage_freep) struct driver_staged *staged = new0(struct driver_staged, 1);
	_cleanup_close_ int fd = -1;
	if (!staged)
		return error_oom(error);
	*staged = (struct driver_staged){.trees = trees_of(d), .fd = -1};
	snprintf(staged->name, sizeof(staged->name), TREES_CONTENT, 0U);
	int r = find(staged, id, &fd, error);
	if (r < 0)
		return r;
	r = trees_staged_open(staged, &staged->fd, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&staged);
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* ---- recovery ---- */

/* By one descriptor of the home, since a rename goes from a mount to the same mount only. */
static int give_back(const struct trees *trees, const struct trees_home *home, const char *dir,
                     const char *id, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *from = path_join(trees->kind->place, id);
	_cleanup_free_ char *to =
	        str_printf("%s/%s/" TREES_CONTENT, path_base(home->tempdirs), dir, 0U);
	int r = from && to ? fs_open_dir(home->path, &fd, error) : error_oom(error);
	if (r < 0 || fs_exists(fd, to))
		return r;
	if (sys_renameat(fd, from, fd, to) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "rename %s %s", from, to);
	return fs_fsync_path(fd, trees->kind->place, home->layers_path, error);
}

int trees_stage_resolve(struct driver *d, const char *staged_id, const char *id, cst_error **error)
{
	const struct trees *trees = trees_of(d);
	int r = 0;
	for (size_t i = 0; r == 0 && i < trees->n_homes; i++) {
		const struct trees_home *home = &trees->homes[i];
		_cleanup_free_ char *dir = NULL;
		r = tempdir_find_kept(home->tempdirs, TEMPDIR_PAIR, staged_id, &dir, error);
		if (r < 0 || !dir)
			continue;
		r = id ? give_back(trees, home, dir, id, error)
		       : tempdir_forget(home->tempdirs, TEMPDIR_PAIR, staged_id, error);
	}
	return r;
}
