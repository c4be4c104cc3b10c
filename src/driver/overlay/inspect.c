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

static int inspect_found(struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                         const char *id, const struct driver_inspection *options,
                         struct driver_flaws *flaws, cst_error **error)
{
	_cleanup_close_ int layer_fd =
	        openat(dirs->fds[home], id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (layer_fd < 0)
		return error_sys(error, errno, "open %s/%s", o->homes[home].path, id);
	struct inspection in = {.o = o,
	                        .dirs = dirs,
	                        .home = home,
	                        .id = id,
	                        .layer_fd = layer_fd,
	                        .options = options,
	                        .flaws = flaws};
	int r = inspect_all(&in, error);
	tempdir_free(in.temp);
	strv_free(&in.parents);
	return r;
}

/* The directory itself is gone, and a record tells that it was there. With an image store nobody knows in which home. */
static int inspect_missing(struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                           const struct driver_inspection *options, ssize_t *home,
                           struct driver_flaws *flaws, cst_error **error)
{
	const struct strv *ancestors = options->ancestors;
	const struct driver_stage_options as = {
	        .parent = ancestors && ancestors->len ? ancestors->items[0] : NULL,
	        .maps = options->maps,
	        .parent_maps = options->maps};
	bool mend = options->mend && ancestors;
	struct root_attributes owner;
	if (o->read_only_home != 0 || !o->homes[0].writable || dirs->fds[0] < 0 ||
	    !overlay_id_ok(id))
		return 0;
	int r = mend ? overlay_root_attributes(o, dirs, &as, &owner, error) : 0;
	if (r == 0 && mend)
		r = overlay_make_dir(dirs->fds[0], id, &owner, 0700, NULL, o->homes[0].path, error);
	*home = r == 0 && mend ? 0 : -1;
	return r < 0 ? r
	             : driver_flaws_add(flaws, DRIVER_DIRECTORIES, mend,
	                                strdup("its directory is missing, with all that was in it"),
	                                error);
}

int overlay_inspect(struct driver *d, const char *id, const struct driver_inspection *options,
                    struct driver_flaws *ret, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	struct driver_flaws flaws = {0};
	struct overlay *o = overlay_of(d);
	ssize_t home = -1;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_find(o, &dirs, id, &home, error);
	if (r == 0 && home < 0)
		r = inspect_missing(o, &dirs, id, options, &home, &flaws, error);
	if (r == 0 && home >= 0 && o->homes[home].writable)
		r = inspect_found(o, &dirs, (size_t)home, id, options, &flaws, error);
	if (r == 0)
		*ret = flaws;
	else
		driver_flaws_free(&flaws);
	return r;
}
