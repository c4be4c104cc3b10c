/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps where the kernel cannot map ids: a new layer gets an older generation of its content, `diff1`, which has everything
 * that the parent shows, with other owners. In a mount its files hide those of the lowers, and its directories merge with
 * theirs (docs/format/drivers.md, "UpdateLayerIDMap").
 */
#include "archive/tree/copy.h"
#include "base/fs.h"
#include "driver/overlay/staged.h"
#include "driver/rootless.h"
#include <errno.h>

int overlay_reown_parent(const struct overlay *o, const struct overlay_dirs *dirs,
                         const struct driver_stage_options *options, int layer_fd,
                         const char *shown, cst_error **error)
{
	_cleanup_detached_ struct overlay_detached parent = {.mount_fd = -1, .root_fd = -1};
	const struct copy_options copy = {.sync = o->base.sync_content,
	                                  .skip_devices = driver_is_rootless(),
	                                  .from_maps = options->parent_maps,
	                                  .maps = options->maps};
	_cleanup_close_ int fd = -1;
	int r = overlay_mount_whole(o, dirs, options->parent, &parent, error);
	if (r < 0)
		return r;
	if (sys_mkdirat(layer_fd, GENERATION, 0700) < 0)
		return error_sys(error, errno, "mkdir %s/" GENERATION, shown);
	fd = openat(layer_fd, GENERATION, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/" GENERATION, shown);
	return copy_tree(parent.root_fd, fd, &copy, error);
}
