/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of layers: those that users see, and those of this process alone. */
#include "base/fs.h"
#include "driver/mount_api.h"
#include "driver/mount_options.h"
#include "driver/mountinfo.h"
#include "driver/zfs/zfs.h"
#include <errno.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <time.h>

/* ---- a dataset that is busy ---- */

#define BUSY_STEP_US       20000U
#define BUSY_LIMIT_US      5000000U
#define READ_ONLY_AFTER_US 100000U

/* While another process begins to mount a dataset, ZFS answers EBUSY: that process owns the dataset already, but a further mount
 * does not find its file system yet. It does a moment later, so whoever gets this answer waits and tries again.
 * False: errno is another one, or it has waited long enough. */
static bool busy_again(unsigned *waited_us)
{
	unsigned pause = MIN(*waited_us / 2 + 100, BUSY_STEP_US);
	const struct timespec time = {.tv_nsec = pause * 1000L};
	if (errno != EBUSY || *waited_us >= BUSY_LIMIT_US)
		return false;
	(void)nanosleep(&time, NULL);
	*waited_us += pause;
	return true;
}

/* All mounts of a dataset are the same file system. If one of them made that read-only, as the Go tools do to compare layers, no
 * other can write, and only one that does not want to succeeds. A first mount like that would keep others from writing, so it is
 * tried only when the dataset has been busy for longer than it takes to begin a mount. */
static bool may_be_read_only(unsigned waited_us)
{
	return errno == EBUSY && waited_us >= READ_ONLY_AFTER_US;
}

/* ---- unseen ---- */

static int mount_unseen(const char *dataset, bool read_only)
{
	_cleanup_close_ int fs_fd = sys_fsopen("zfs", FSOPEN_CLOEXEC);
	if (fs_fd < 0 || sys_fsconfig(fs_fd, CONFIG_STRING, "source", dataset, 0) < 0 ||
	    (read_only && sys_fsconfig(fs_fd, CONFIG_FLAG, "ro", NULL, 0) < 0) ||
	    sys_fsconfig(fs_fd, CONFIG_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return sys_fsmount(fs_fd, FSMOUNT_CLOEXEC, 0);
}

int zfs_open_dataset(const char *dataset, bool to_write)
{
	unsigned waited = 0;
	_cleanup_close_ int fd = -1;
	do {
		fd = mount_unseen(dataset, false);
		if (fd < 0 && !to_write && may_be_read_only(waited))
			fd = mount_unseen(dataset, true);
	} while (fd < 0 && busy_again(&waited));
	/* The mount lasts as long as something in it is open. */
	return fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The root directories of all datasets have the same inode number. The kernel gives each the number that the dataset keeps when it
 * gets another name, and that no other dataset has. */
int zfs_identity(int dirfd, struct driver_identity *ret, cst_error **error)
{
	struct statfs st;
	unsigned word[2];
	if (fstatfs(dirfd, &st) < 0)
		return error_sys(error, errno, "statfs the content of a layer");
	memcpy(word, &st.f_fsid, sizeof(word));
	snprintf(ret->text, sizeof(ret->text), "%08x%08x", word[1], word[0]);
	return 0;
}

/* ---- seen ---- */

struct wanted {
	struct mount_options options;
	char *data;
	bool read_only;
};

static void wanted_free(struct wanted *wanted)
{
	mount_options_free(&wanted->options);
	free(wanted->data);
}

static int read_options(const struct zfs *zfs, const struct driver_mount_options *given,
                        struct wanted *ret, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf data = {0};
	int r = given->n_options == 0 && zfs->mountopt
	                ? mount_options_add(&ret->options, zfs->mountopt, error)
	                : 0;
	for (size_t i = 0; r == 0 && i < given->n_options; i++)
		r = mount_options_add(&ret->options, given->options[i], error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ret->options.data.len; i++)
		strbuf_addf(&data, "%s%s", i ? "," : "", ret->options.data.items[i]);
	if (!isempty(given->label))
		strbuf_addf(&data, "%scontext=\"%s\"", data.len ? "," : "", given->label);
	ret->read_only = ret->options.flags & MS_RDONLY;
	ret->options.flags &= ~(unsigned long)MS_RDONLY;
	ret->data = strbuf_steal(&data);
	return ret->data ? 0 : error_oom(error);
}

static void unmount(const char *path)
{
	(void)sys_umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	(void)sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

static int mount_seen(const char *dataset, const char *path, const struct wanted *wanted)
{
	unsigned long flags = wanted->options.flags;
	unsigned waited = 0;
	int r = 0;
	do {
		r = sys_mount(dataset, path, "zfs", flags, wanted->data);
		if (r < 0 && wanted->read_only && may_be_read_only(waited))
			r = sys_mount(dataset, path, "zfs", flags | MS_RDONLY, wanted->data);
	} while (r < 0 && busy_again(&waited));
	return r;
}

/* Only this mount becomes read-only, not the file system, which other mounts write to. */
static int mount_at(const char *dataset, const char *path, const struct wanted *wanted,
                    cst_error **error)
{
	unsigned long flags = wanted->options.flags;
	int r = fs_mkdir_p(path, 0755, error);
	if (r < 0)
		return r;
	if (mount_seen(dataset, path, wanted) < 0) {
		r = error_sys(error, errno, "mounting the dataset %s on %s", dataset, path);
		(void)sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
		return r;
	}
	if (wanted->read_only &&
	    sys_mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0) {
		r = error_sys(error, errno, "making the mount of the dataset %s on %s read-only",
		              dataset, path);
		unmount(path);
	}
	return r;
}

static bool is_mounted(const char *path)
{
	return mountinfo_is_mount_point(AT_FDCWD, path) == 1;
}

int zfs_get(struct driver *d, const char *id, const struct driver_mount_options *options,
            char **ret_path, cst_error **error)
{
	const struct zfs *zfs = zfs_of(d);
	_cleanup_(wanted_free) struct wanted wanted = {0};
	_cleanup_free_ char *path = path_join(zfs->trees.homes[0].layers_path, id), *dataset = NULL;
	int r = path ? zfs_dataset(zfs, id, &dataset, error) : error_oom(error);
	if (r == 0)
		r = read_options(zfs, options, &wanted, error);
	/* Somebody died before the mount was counted. Its options may be other ones. */
	if (r == 0 && is_mounted(path))
		unmount(path);
	if (r == 0)
		r = mount_at(dataset, path, &wanted, error);
	if (r == 0)
		*ret_path = steal_ptr(&path);
	return r;
}

int zfs_put(struct driver *d, const char *id, cst_error **error)
{
	_cleanup_free_ char *path = path_join(zfs_of(d)->trees.homes[0].layers_path, id);
	if (!path)
		return error_oom(error);
	if (is_mounted(path) && sys_umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return error_sys(error, errno, "unmounting %s", path);
	if (sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR) < 0 && errno != ENOENT &&
	    errno != ENOTEMPTY && errno != EBUSY)
		return error_sys(error, errno, "rmdir %s", path);
	return 0;
}

int zfs_mount_open(struct driver *d, const char *id, const char *path, int *ret_fd,
                   cst_error **error)
{
	_cleanup_free_ char *own = path_join(zfs_of(d)->trees.homes[0].layers_path, id);
	bool same = !path;
	int r = own ? 0 : error_oom(error);
	if (r == 0 && path)
		r = naive_same_directory(own, path, &same, error);
	if (r < 0)
		return r;
	_cleanup_close_ int fd =
	        same ? open(own, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (same && fd < 0 && errno != ENOENT)
		return error_sys(error, errno, "open %s", own);
	*ret_fd = fd >= 0 && mountinfo_is_mount_point(fd, "") == 1 ? steal_fd(&fd) : -1;
	return 0;
}
