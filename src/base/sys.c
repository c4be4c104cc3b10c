/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the table: each asks the fault injection of test builds first, and retries EINTR
 * where nothing was done yet. */
#include "base/sys.h"

#include <errno.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/sys_fault.h"

/* openat2() fails with EAGAIN if a rename elsewhere happens while it resolves a ".." below
 * RESOLVE_BENEATH or RESOLVE_IN_ROOT. */
#define OPENAT2_TRIES 128

static bool faulted(enum sys_call call, int fd, const char *path)
{
	int number = sys_fault(call, fd, path);

	if (number == 0)
		return false;
	errno = number;
	return true;
}

/* The result of one call; -1 where a fault is injected in its place. */
#define ONCE(call, fd, path, expression) (faulted(call, fd, path) ? -1 : (expression))

/* The same, made again while a signal interrupts it. */
#define RETRIED(call, fd, path, expression)                         \
	({                                                          \
		__typeof__(expression) result_;                     \
		do                                                  \
			result_ = ONCE(call, fd, path, expression); \
		while (result_ == -1 && errno == EINTR);            \
		result_;                                            \
	})

/* A path to the very file of a descriptor, by a link that the kernel resolves without looking up a
 * name. */
#define FD_PATH_SIZE 32
static const char *fd_path(char ret[FD_PATH_SIZE], int fd)
{
	snprintf(ret, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
	return ret;
}

int sys_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	bool changes = (flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE;

	return RETRIED(changes ? SYS_CALL_OPENAT : SYS_CALL_OPEN_READING, dirfd, path,
	               openat(dirfd, path, flags, mode));
}

int sys_mkdirat(int dirfd, const char *path, mode_t mode)
{
	return ONCE(SYS_CALL_MKDIRAT, dirfd, path, mkdirat(dirfd, path, mode));
}

int sys_mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
	return ONCE(SYS_CALL_MKNODAT, dirfd, path, mknodat(dirfd, path, mode, dev));
}

int sys_symlinkat(const char *target, int dirfd, const char *path)
{
	return ONCE(SYS_CALL_SYMLINKAT, dirfd, path, symlinkat(target, dirfd, path));
}

int sys_linkat(int olddir, const char *oldpath, int newdir, const char *newpath, int flags)
{
	return ONCE(SYS_CALL_LINKAT, newdir, newpath,
	            linkat(olddir, oldpath, newdir, newpath, flags));
}

/* AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH. The kernel says ENOENT to a process that lacks it. */
static int link_file(int fd, int newdir, const char *newpath)
{
	char path[FD_PATH_SIZE];
	int result = linkat(fd, "", newdir, newpath, AT_EMPTY_PATH);

	if (result == 0 || (errno != ENOENT && errno != EPERM && errno != EACCES))
		return result;
	return linkat(AT_FDCWD, fd_path(path, fd), newdir, newpath, AT_SYMLINK_FOLLOW);
}

int sys_flink(int fd, int newdir, const char *newpath)
{
	return ONCE(SYS_CALL_LINKAT, newdir, newpath, link_file(fd, newdir, newpath));
}

int sys_unlinkat(int dirfd, const char *path, int flags)
{
	return ONCE(SYS_CALL_UNLINKAT, dirfd, path, unlinkat(dirfd, path, flags));
}

int sys_renameat(int olddir, const char *oldpath, int newdir, const char *newpath)
{
	return ONCE(SYS_CALL_RENAMEAT, newdir, newpath, renameat(olddir, oldpath, newdir, newpath));
}

int sys_renameat2(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags)
{
	if (sys_fault_refuses_rename(flags)) {
		errno = EINVAL;
		return -1;
	}
	return ONCE(SYS_CALL_RENAMEAT2, newdir, newpath,
	            (int)syscall(SYS_renameat2, olddir, oldpath, newdir, newpath, flags));
}

ssize_t sys_write(int fd, const void *data, size_t n)
{
	return RETRIED(SYS_CALL_WRITE, fd, NULL, write(fd, data, n));
}

static ssize_t sys_pwrite(int fd, const void *data, size_t n, off_t offset)
{
	return RETRIED(SYS_CALL_PWRITE, fd, NULL, pwrite(fd, data, n, offset));
}

int sys_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t written = sys_write(fd, p, n);

		if (written < 0)
			return -1;
		if (written == 0) {
			errno = EIO;
			return -1;
		}
		p += written;
		n -= (size_t)written;
	}
	return 0;
}

int sys_pwrite_all(int fd, const void *data, size_t n, off_t offset)
{
	const char *p = data;

	while (n > 0) {
		ssize_t written = sys_pwrite(fd, p, n, offset);

		if (written < 0)
			return -1;
		if (written == 0) {
			errno = EIO;
			return -1;
		}
		p += written;
		n -= (size_t)written;
		offset += written;
	}
	return 0;
}

ssize_t sys_copy_file_range(int in, off_t *inoff, int out, off_t *outoff, size_t n)
{
	return RETRIED(SYS_CALL_COPY_FILE_RANGE, out, NULL,
	               copy_file_range(in, inoff, out, outoff, n, 0));
}

int sys_ficlone(int to, int from)
{
	return RETRIED(SYS_CALL_FICLONE, to, NULL, ioctl(to, FICLONE, from));
}

int sys_set_project(int fd, const struct fsxattr *attributes)
{
	return RETRIED(SYS_CALL_SET_PROJECT, fd, NULL, ioctl(fd, FS_IOC_FSSETXATTR, attributes));
}

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 /* the same number on all machines */
#endif
int sys_quotactl_fd(int fd, int command, uint32_t id, void *argument)
{
	return RETRIED(SYS_CALL_QUOTACTL, fd, NULL,
	               (int)syscall(SYS_quotactl_fd, fd, command, id, argument));
}

int sys_quotactl(const char *node, int command, uint32_t id, void *argument)
{
	return RETRIED(SYS_CALL_QUOTACTL, AT_FDCWD, node,
	               (int)syscall(SYS_quotactl, command, node, id, argument));
}

static int dedupe_range(int from, int to, uint64_t offset, uint64_t length, uint64_t *same)
{
	union {
		struct file_dedupe_range range;
		char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
	} ask = {.range = {.src_offset = offset, .src_length = length, .dest_count = 1}};
	struct file_dedupe_range_info *info = ask.range.info;

	*info = (struct file_dedupe_range_info){.dest_fd = to, .dest_offset = offset};
	if (ioctl(from, FIDEDUPERANGE, &ask.range) < 0)
		return -1;
	if (info->status < 0) {
		errno = -info->status;
		return -1;
	}
	*same = info->status == FILE_DEDUPE_RANGE_SAME ? info->bytes_deduped : 0;
	return 0;
}

int sys_dedupe_range(int from, int to, uint64_t offset, uint64_t length, uint64_t *same)
{
	return RETRIED(SYS_CALL_DEDUPE_RANGE, to, NULL,
	               dedupe_range(from, to, offset, length, same));
}

static int ask_by_name(int dirfd, unsigned long request, const char *name)
{
	struct btrfs_ioctl_vol_args ask = {0};

	if (snprintf(ask.name, sizeof(ask.name), "%s", name) >= (int)sizeof(ask.name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return ioctl(dirfd, request, &ask);
}

int sys_subvolume_create(int dirfd, const char *name)
{
	return ONCE(SYS_CALL_SUBVOLUME_CREATE, dirfd, name,
	            ask_by_name(dirfd, BTRFS_IOC_SUBVOL_CREATE, name));
}

int sys_subvolume_snapshot(int subvolume, int dirfd, const char *name)
{
	struct btrfs_ioctl_vol_args_v2 ask = {.fd = subvolume};

	if (snprintf(ask.name, sizeof(ask.name), "%s", name) >= (int)sizeof(ask.name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return ONCE(SYS_CALL_SUBVOLUME_SNAPSHOT, dirfd, name,
	            ioctl(dirfd, BTRFS_IOC_SNAP_CREATE_V2, &ask));
}

int sys_subvolume_destroy(int dirfd, const char *name)
{
	return ONCE(SYS_CALL_SUBVOLUME_DESTROY, dirfd, name,
	            ask_by_name(dirfd, BTRFS_IOC_SNAP_DESTROY, name));
}

int sys_subvolume_make_writable(int subvolume)
{
	uint64_t flags = 0;

	return ONCE(SYS_CALL_SUBVOLUME_MAKE_WRITABLE, subvolume, NULL,
	            ioctl(subvolume, BTRFS_IOC_SUBVOL_SETFLAGS, &flags));
}

int sys_quota_enable(int fd)
{
	struct btrfs_ioctl_quota_ctl_args ask = {.cmd = BTRFS_QUOTA_CTL_ENABLE};

	return ONCE(SYS_CALL_QUOTA_ENABLE, fd, NULL, ioctl(fd, BTRFS_IOC_QUOTA_CTL, &ask));
}

int sys_quota_limit(int subvolume, uint64_t bytes)
{
	struct btrfs_ioctl_qgroup_limit_args ask = {
	        /* group 0 is that of the subvolume */
	        .lim = {.flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = bytes}};

	return ONCE(SYS_CALL_QUOTA_LIMIT, subvolume, NULL,
	            ioctl(subvolume, BTRFS_IOC_QGROUP_LIMIT, &ask));
}

int sys_quota_forget(int fd, uint64_t group)
{
	struct btrfs_ioctl_qgroup_create_args ask = {.create = 0, .qgroupid = group};

	return ONCE(SYS_CALL_QUOTA_FORGET, fd, NULL, ioctl(fd, BTRFS_IOC_QGROUP_CREATE, &ask));
}

int sys_enable_verity(int fd)
{
	const struct fsverity_enable_arg how = {
	        .version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256, .block_size = 4096};
	return RETRIED(SYS_CALL_ENABLE_VERITY, fd, NULL, ioctl(fd, FS_IOC_ENABLE_VERITY, &how));
}

int sys_measure_verity(int fd, void *digest, size_t n)
{
	union {
		struct fsverity_digest head;
		char room[sizeof(struct fsverity_digest) + 64];
	} found = {.head = {.digest_size = 64}};
	if (ioctl(fd, FS_IOC_MEASURE_VERITY, &found) < 0)
		return -1;
	if (found.head.digest_size != n) {
		errno = EINVAL;
		return -1;
	}
	memcpy(digest, found.head.digest, n);
	return 0;
}

int sys_ftruncate(int fd, off_t size)
{
	return RETRIED(SYS_CALL_FTRUNCATE, fd, NULL, ftruncate(fd, size));
}

int sys_reserve(int fd, off_t size)
{
	return RETRIED(SYS_CALL_RESERVE, fd, NULL, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size));
}

int sys_close_checked(int fd)
{
	int fault = sys_fault(SYS_CALL_CLOSE_CHECKED, fd, NULL);
	/* Linux frees the descriptor also if close() fails. */
	int result = close(fd);

	if (fault != 0) {
		errno = fault;
		result = -1;
	}
	return result < 0 && errno == EINTR ? 0 : result;
}

int sys_fchown(int fd, uid_t uid, gid_t gid)
{
	return ONCE(SYS_CALL_FCHOWN, fd, NULL, fchownat(fd, "", uid, gid, AT_EMPTY_PATH));
}

/* fchmod() refuses an O_PATH descriptor with EBADF. fchmodat2() takes it, from Linux 6.6 on. */
static int change_mode(int fd, mode_t mode)
{
	static const long fchmodat2_number = 452; /* the same on all architectures */
	char path[FD_PATH_SIZE];
	int result = fchmod(fd, mode);

	if (result == 0 || errno != EBADF)
		return result;
	result = (int)syscall(fchmodat2_number, fd, "", mode, AT_EMPTY_PATH);
	if (result == 0 || (errno != ENOSYS && errno != EPERM))
		return result;
	return chmod(fd_path(path, fd), mode);
}

int sys_fchmod(int fd, mode_t mode)
{
	return ONCE(SYS_CALL_FCHMOD, fd, NULL, change_mode(fd, mode));
}

int sys_futimens(int fd, const struct timespec times[2])
{
	return ONCE(SYS_CALL_FUTIMENS, fd, NULL, utimensat(fd, "", times, AT_EMPTY_PATH));
}

static int set_xattr(int fd, const char *name, const void *value, size_t n, int flags)
{
	char path[FD_PATH_SIZE];
	int result = fsetxattr(fd, name, value, n, flags);

	if (result == 0 || errno != EBADF)
		return result;
	return setxattr(fd_path(path, fd), name, value, n, flags);
}

int sys_fsetxattr(int fd, const char *name, const void *value, size_t n, int flags)
{
	return ONCE(SYS_CALL_FSETXATTR, fd, NULL, set_xattr(fd, name, value, n, flags));
}

/* CST_NO_BARRIERS (-Ddurable=false) exists to show that the power-cut tests notice missing
 * barriers. */
#ifdef CST_NO_BARRIERS
#define BARRIER(call, fd, expression) 0
#else
#define BARRIER(call, fd, expression) \
	RETRIED(call, fd, NULL, sys_fault_skips(call, fd) ? 0 : (expression))
#endif

int sys_fsync(int fd)
{
	return BARRIER(SYS_CALL_FSYNC, fd, fsync(fd));
}

int sys_fdatasync(int fd)
{
	return BARRIER(SYS_CALL_FDATASYNC, fd, fdatasync(fd));
}

int sys_syncfs(int fd)
{
	return BARRIER(SYS_CALL_SYNCFS, fd, syncfs(fd));
}

int sys_sync_file_range(int fd, off_t offset, off_t n, unsigned flags)
{
	return BARRIER(SYS_CALL_SYNC_FILE_RANGE, fd, sync_file_range(fd, offset, n, flags));
}

int sys_mount(const char *source, const char *target, const char *type, unsigned long flags,
              const void *data)
{
	return ONCE(SYS_CALL_MOUNT, AT_FDCWD, target, mount(source, target, type, flags, data));
}

int sys_umount2(const char *target, int flags)
{
	return ONCE(SYS_CALL_UMOUNT2, AT_FDCWD, target, umount2(target, flags));
}

/* The calls of the new mount API by number: musl and older glibc have no wrappers for them. */

int sys_new_loop(int control_fd)
{
	return ONCE(SYS_CALL_NEW_LOOP, control_fd, NULL, ioctl(control_fd, LOOP_CTL_GET_FREE));
}

int sys_attach_loop(int loop_fd, int fd, unsigned flags)
{
	const struct loop_config config = {.fd = (uint32_t)fd, .info = {.lo_flags = flags}};
	return ONCE(SYS_CALL_ATTACH_LOOP, loop_fd, NULL, ioctl(loop_fd, LOOP_CONFIGURE, &config));
}

int sys_fsopen(const char *type, unsigned flags)
{
	return ONCE(SYS_CALL_FSOPEN, -1, type, (int)syscall(SYS_fsopen, type, flags));
}

int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
	return ONCE(SYS_CALL_FSCONFIG, -1, key,
	            (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux));
}

int sys_fsmount(int fd, unsigned flags, unsigned attr_flags)
{
	return ONCE(SYS_CALL_FSMOUNT, fd, NULL, (int)syscall(SYS_fsmount, fd, flags, attr_flags));
}

int sys_move_mount(int fromdir, const char *from, int todir, const char *to, unsigned flags)
{
	return ONCE(SYS_CALL_MOVE_MOUNT, todir, to,
	            (int)syscall(SYS_move_mount, fromdir, from, todir, to, flags));
}

int sys_open_tree(int dirfd, const char *path, unsigned flags)
{
	return ONCE(SYS_CALL_OPEN_TREE, dirfd, path,
	            (int)syscall(SYS_open_tree, dirfd, path, flags));
}

int sys_mount_setattr(int dirfd, const char *path, unsigned flags, const struct mount_attr_v0 *attr)
{
	return ONCE(SYS_CALL_MOUNT_SETATTR, dirfd, path,
	            (int)syscall(SYS_mount_setattr, dirfd, path, flags, attr, sizeof(*attr)));
}

/* posix_spawnp() returns its errno. */
static int spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const *args, char *const *environment)
{
	errno = posix_spawnp(pid, program, actions, attributes, args, environment);
	return errno ? -1 : 0;
}

int sys_spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions,
              const posix_spawnattr_t *attributes, char *const *args, char *const *environment)
{
	return ONCE(SYS_CALL_SPAWN, -1, program,
	            spawn(pid, program, actions, attributes, args, environment));
}

int sys_openat2(int dirfd, const char *path, const struct open_how_v0 *how)
{
	int fd;

	for (int tries = 0; tries < OPENAT2_TRIES; tries++) {
		fd = RETRIED(SYS_CALL_OPEN_READING, dirfd, path,
		             (int)syscall(SYS_openat2, dirfd, path, how, sizeof(*how)));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}
