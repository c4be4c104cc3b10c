/* SPDX-License-Identifier: Apache-2.0 */
/* What those share who inspect the parts of a layer. */
#include "base/fs.h"
#include "driver/overlay/inspect.h"
#include <errno.h>

int inspect_read(const struct inspection *in, const char *name, char **ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = overlay_read_layer_file(in->o, in->dirs, in->home, in->id, name, ret, &problem);
	return r == CST_ENOMEM ? error_oom(error) : 0;
}

int inspect_need_temp(struct inspection *in, cst_error **error)
{
	return in->temp ? 0 : overlay_new_temp(in->o, in->home, &in->temp, error);
}

int inspect_write(struct inspection *in, const char *name, const char *text, mode_t mode,
                  cst_error **error)
{
	int r = inspect_need_temp(in, error);
	if (r == 0)
		r = fs_write_file(in->temp->fd, name, text, strlen(text), mode, in->id, error);
	_cleanup_close_ int fd =
	        r == 0 ? openat(in->temp->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (r == 0 && (fd < 0 || sys_fsync(fd) < 0))
		r = error_sys(error, errno, "fsync %s of %s", name, in->id);
	if (r == 0 && sys_renameat(in->temp->fd, name, in->layer_fd, name) < 0)
		r = error_sys(error, errno, "rename %s of %s", name, in->id);
	return r;
}
