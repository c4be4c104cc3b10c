/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out who makes the mounts of this home: the kernel's own overlay, or a mount program, which is fuse-overlayfs if the user
 * named none. The kernel cannot do it on some filesystems, nor for layers that a mount program wrote. Once a mount program was
 * used for a home, it is used for ever; a flag file in the home says so (docs/format/drivers.md, "Init order").
 */
#include "base/fs.h"
#include "base/log.h"
#include "driver/backing.h"
#include "driver/overlay/overlay.h"
#include "driver/rootless.h"
#include <dirent.h>
#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FLAG_FILE       ".has-mount-program"
#define DEFAULT_PROGRAM "fuse-overlayfs"
#define SAMPLE_LIMIT    32 /* so many layers are searched for traces of a mount program */

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

static enum overlay_known read_flag(const struct overlay *o)
{
	_cleanup_free_ char *text = NULL, *flag = path_join(o->base.home, FLAG_FILE);
	size_t len;
	if (!flag || fs_read_file(AT_FDCWD, flag, OVERLAY_SHORT_FILE, &text, &len, NULL) < 0)
		return OVERLAY_UNKNOWN;
	text[strcspn(text, "\n")] = '\0';
	if (streq(text, "true"))
		return OVERLAY_YES;
	return streq(text, "false") ? OVERLAY_NO : OVERLAY_UNKNOWN;
}

static int write_flag(int home_fd, bool program, cst_error **error)
{
	const char *text = overlay_bool_text(program);
	return fs_replace_file(home_fd, FLAG_FILE, text, strlen(text), 0600, 0, NULL, error);
}

bool overlay_program_noted(const struct overlay *o)
{
	return read_flag(o) == OVERLAY_YES;
}

int overlay_note_program(const struct overlay *o, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	if (o->read_only || overlay_program_noted(o))
		return 0;
	int r = fs_open_dir(o->base.home, &fd, error);
	return r < 0 ? r : write_flag(fd, true, error);
}

/* Did a mount program write the layers of this home? The flag file of the home says it. Without one a few layers tell. */
static int has_mount_program(const struct overlay *o, bool *ret, cst_error **error)
{
	enum overlay_known flag = read_flag(o);
	_cleanup_close_ int fd = -1;
	bool found = false;
	if (flag != OVERLAY_UNKNOWN) {
		*ret = flag == OVERLAY_YES;
		return 0;
	}
	int r = fs_open_dir(o->base.home, &fd, error);
	if (r == 0)
		r = sample_layers(fd, o->base.home, &found, error);
	if (r == 0 && !o->read_only)
		r = write_flag(fd, found, error);
	if (r == 0)
		*ret = found;
	return r;
}

static int set_program(struct overlay *o, const char *path, cst_error **error)
{
	free(o->program);
	o->program = strdup(path);
	return o->program ? 0 : error_oom(error);
}

/* 1: it is in $PATH. */
static int find_program(struct overlay *o, cst_error **error)
{
	_cleanup_strv_ struct strv places = {0};
	if (!strv_split(&places, strempty(getenv("PATH")), ':'))
		return error_oom(error);
	strv_foreach (place, &places) {
		_cleanup_free_ char *path = path_join(place, DEFAULT_PROGRAM);
		if (!path)
			return error_oom(error);
		if (*place == '/' && access(path, X_OK) == 0)
			return set_program(o, path, error) < 0 ? CST_ENOMEM : 1;
	}
	return 0;
}

static const char not_found[] = "native overlay not supported and fuse-overlayfs not found";

static int program_of_layers(struct overlay *o, cst_error **error)
{
	int r = find_program(o, error);
	if (r != 0)
		return r < 0 ? r : 0;
	if (o->read_only) /* it is needed only for what takes a mount */
		return set_program(o, DEFAULT_PROGRAM, error);
	r = error_wrap_code(error, CST_EBACKINGFS,
	                    "the layers in %s were made with a mount program (%s/" FLAG_FILE
	                    "), and there is no " DEFAULT_PROGRAM
	                    " in $PATH: install it, or set mount_program",
	                    o->base.home, o->base.home);
	return error_go_words(error, r, NULL, "%s: %s", not_found, cst_strerror(r));
}

/* The command enters a user namespace by itself. A program that uses the library has to be in one. */
static int no_namespace(cst_error **error)
{
	int r = error_wrap_code(
	        error, CST_EBACKINGFS,
	        "user %u is not in a user namespace, so this process cannot mount "
	        "overlay: start it in one (cstorage unshare PROGRAM), or choose the "
	        "driver vfs",
	        (unsigned)geteuid());
	return error_go_words(error, r, NULL, "%s: %s", not_found, cst_strerror(r));
}

int overlay_choose_program(struct overlay *o, cst_error **error)
{
	bool program = false;

	if (o->program)
		return 0;
	if (geteuid() != 0 && !o->read_only)
		return no_namespace(error);
	if (o->options.mount_program)
		return set_program(o, o->options.mount_program, error);
	if (o->read_only && !fs_exists(AT_FDCWD, o->base.home))
		return 0;
	int r = has_mount_program(o, &program, error);
	return r == 0 && program ? program_of_layers(o, error) : r;
}

int overlay_fall_back(struct overlay *o, cst_error *problem, cst_error **error)
{
	int code = cst_error_code(problem);
	int r = code == CST_EBACKINGFS || code == CST_ENOTSUP ? find_program(o, error) : 0;
	if (r == 0)
		return error_propagate(error, problem);
	log_debug("%s makes the mounts: %s", strempty(o->program), cst_error_message(problem));
	cst_error_free(problem);
	return r < 0 ? r : 0;
}

int overlay_check_backing(const struct overlay *o, cst_error **error)
{
	/* For a reader nothing is mounted, and files can be read from any filesystem. */
	if (o->read_only || o->options.mount_program)
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
