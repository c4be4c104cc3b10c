/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out if the kernel's own overlay can be used for this home. It cannot on some filesystems, nor for layers that a mount
 * program (fuse-overlayfs) wrote. */
#include "base/fs.h"
#include "driver/backing.h"
#include "driver/overlay/overlay.h"
#include "driver/rootless.h"
#include <dirent.h>
#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FLAG_FILE    ".has-mount-program"
#define SAMPLE_LIMIT 32 /* so many layers are searched for traces of a mount program */

bool overlay_has_xattr(int dirfd, const char *path, const char *name, const char *value)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char found[256];
	ssize_t n;

	n = fd < 0 ? -1 : fgetxattr(fd, name, found, sizeof(found));
	if (n < 0)
		return false;
	return !value || ((size_t)n == strlen(value) && memcmp(found, value, (size_t)n) == 0);
}

/* Did fuse-overlayfs write the layer? It leaves files named `.wh.*`, or attributes of its own. */
static bool has_traces(int home_fd, const char *id)
{
	_cleanup_free_ char *path = path_join(id, "diff");
	int fd = path ? openat(home_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;

	if (!dir) {
		closep(&fd);
		return false;
	}
	for (struct dirent *entry; !found && (entry = readdir(dir));)
		found = has_prefix(entry->d_name, ".wh.") ||
		        (entry->d_type == DT_DIR &&
		         (overlay_has_xattr(fd, entry->d_name, "user.fuseoverlayfs.opaque", NULL) ||
		          overlay_has_xattr(fd, entry->d_name, "user.fuseoverlayfs.origin", NULL) ||
		          overlay_has_xattr(fd, entry->d_name, "user.containers.override_stat",
		                            NULL)));
	closedir(dir);
	return found;
}

static int sample_layers(int home_fd, const char *shown, bool *found, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	int r = fs_list_dir(home_fd, ".", &names, shown, error);
	for (size_t i = 0, seen = 0; r == 0 && i < names.len && seen < SAMPLE_LIMIT && !*found;
	     i++) {
		if (!overlay_id_ok(names.items[i]))
			continue;
		*found = has_traces(home_fd, names.items[i]);
		seen++;
	}
	return r;
}

/* Did a mount program write the layers of this home? The flag file of the home says it. Without one a few layers tell. */
static int has_mount_program(const struct overlay *o, bool *ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *text = NULL, *flag = path_join(o->base.home, FLAG_FILE);
	_cleanup_close_ int fd = -1;
	bool found = false;
	size_t len;

	if (!flag)
		return error_oom(error);
	if (fs_read_file(AT_FDCWD, flag, OVERLAY_SHORT_FILE, &text, &len, &problem) == 0) {
		text[strcspn(text, "\n")] = '\0';
		*ret = streq(text, "true");
		if (*ret || streq(text, "false"))
			return 0;
	}
	int r = fs_open_dir(o->base.home, &fd, error);
	if (r == 0)
		r = sample_layers(fd, o->base.home, &found, error);
	const char *answer = overlay_bool_text(found);
	if (r == 0 && !o->read_only)
		r = fs_replace_file(fd, FLAG_FILE, answer, strlen(answer), 0600, 0, NULL, error);
	if (r == 0)
		*ret = found;
	return r;
}

int overlay_check_native(struct overlay *o, cst_error **error)
{
	bool program = false;

	if (geteuid() != 0 && !o->read_only)
		return error_wrap_code(error, CST_EBACKINGFS,
		                       "native overlay not supported and fuse-overlayfs not found");
	if (o->read_only && !fs_exists(AT_FDCWD, o->base.home))
		return 0;
	int r = has_mount_program(o, &program, error);
	if (r == 0 && program)
		return error_set(error, CST_ENOTSUP,
		                 "the layers in %s were made with a mount program (%s/" FLAG_FILE
		                 "): mount_program is not supported yet by this build",
		                 o->base.home, o->base.home);
	return r;
}

int overlay_check_backing(const struct overlay *o, cst_error **error)
{
	if (o->read_only) /* nothing will be mounted, and files can be read from any filesystem */
		return 0;
	if (o->magic == BACKING_AUFS || o->magic == BACKING_OVERLAY || o->magic == BACKING_ECRYPTFS)
		return error_wrap_code(
		        error, CST_EBACKINGFS,
		        "'overlay' is not supported over %s, a mount_program is required",
		        backing_name(o->magic));
	if (backing_is_network(o->magic) && driver_is_rootless())
		return error_wrap_code(error, CST_EBACKINGFS,
		                       "a network file system with user namespaces is not "
		                       "supported.  Please use a mount_program");
	return 0;
}
