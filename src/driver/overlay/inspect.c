/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at what the driver keeps of a layer besides its content, and makes it right again where something else tells how it
 * was. Whatever is made takes its place by one rename, so that a layer is never worse off than before.
 */
#include "driver/overlay/inspect.h"
#include "base/fs.h"
#include <errno.h>

static int inspect_all(struct inspection *in, cst_error **error)
{
	int r = inspect_link(in, error);
	if (r == 0)
		r = inspect_parents(in, error);
	if (r == 0)
		r = inspect_directories(in, error);
	if (r == 0 && in->options->mend && in->flaws->len)
		r = fs_fsync_path(in->dirs->fds[in->home], in->id, in->id, error);
	return r == 0 && in->options->mend && in->flaws->len
	               ? overlay_sync_home(in->o, in->dirs, in->home, NULL, error)
	               : r;
}

int overlay_inspect(struct driver *d, const char *id, const struct driver_inspection *options,
                    struct driver_flaws *ret, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_close_ int layer_fd = -1;
	struct driver_flaws flaws = {0};
	struct overlay *o = overlay_of(d);
	ssize_t home = -1;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_find(o, &dirs, id, &home, error);
	if (r < 0 || home < 0 || !o->homes[home].writable)
		return r;
	layer_fd = openat(dirs.fds[home], id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (layer_fd < 0)
		return error_sys(error, errno, "open %s/%s", o->homes[home].path, id);
	struct inspection in = {.o = o,
	                        .dirs = &dirs,
	                        .home = (size_t)home,
	                        .id = id,
	                        .layer_fd = layer_fd,
	                        .options = options,
	                        .flaws = &flaws};
	r = inspect_all(&in, error);
	tempdir_free(in.temp);
	strv_free(&in.parents);
	if (r == 0)
		*ret = flaws;
	else
		driver_flaws_free(&flaws);
	return r;
}
