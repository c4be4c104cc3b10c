/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of system calls that change something: files, mounts, namespaces, locks on disk. Code that changes
 * something calls sys_*(); code that only reads calls libc. A build with -Dfault-injection=true (the test builds)
 * can count these calls, record them, fail the Nth with a chosen errno, or die at it; the environment says which
 * (sys_fault.h). In a release build each is a plain call.
 *
 * They behave as the libc functions of the same name: -1 and errno. EINTR is retried where the call can be made
 * again and nothing was done (open, fsync, ftruncate, fallocate, flock-like calls). sys_write_all and its like finish
 * short writes. sys_close reports no error: after writing, call sys_close_checked.
 */
#ifndef CST_BASE_SYS_H
#define CST_BASE_SYS_H

#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

int sys_openat(int dirfd, const char *path, int flags, mode_t mode); /* O_CREAT, O_TRUNC, O_TMPFILE only */
int sys_mkdirat(int dirfd, const char *path, mode_t mode);
int sys_mknodat(int dirfd, const char *path, mode_t mode, dev_t dev);
int sys_symlinkat(const char *target, int dirfd, const char *path);
int sys_linkat(int olddir, const char *oldpath, int newdir, const char *newpath, int flags);
int sys_flink(int fd, int newdir, const char *newpath); /* a further name for the file itself; O_PATH will do */
int sys_unlinkat(int dirfd, const char *path, int flags);
int sys_renameat(int olddir, const char *oldpath, int newdir, const char *newpath);
int sys_renameat2(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned flags);

ssize_t sys_write(int fd, const void *data, size_t n);
int sys_write_all(int fd, const void *data, size_t n);               /* 0 or -1 */
int sys_pwrite_all(int fd, const void *data, size_t n, off_t offset); /* 0 or -1 */
ssize_t sys_copy_file_range(int in, off_t *inoff, int out, off_t *outoff, size_t n);
int sys_ficlone(int to, int from); /* ioctl(FICLONE) */
/* ioctl(FIDEDUPERANGE): the kernel compares this range of both files, and if they are equal `to` shares the blocks of
 * `from` there. Content and times stay. *same: how many bytes they share now, from the offset on; 0: they differ. */
int sys_dedupe_range(int from, int to, uint64_t offset, uint64_t length, uint64_t *same);
/* Subvolumes of btrfs. */
int sys_subvolume_create(int dirfd, const char *name);
int sys_subvolume_snapshot(int subvolume, int dirfd, const char *name); /* a writable one */
int sys_subvolume_destroy(int dirfd, const char *name); /* with all that is in it. ENOTEMPTY: there are subvolumes in it */
int sys_subvolume_make_writable(int subvolume);
int sys_quota_enable(int fd); /* for the whole file system */
int sys_quota_limit(int subvolume, uint64_t bytes);
int sys_quota_forget(int fd, uint64_t group); /* the group of a subvolume that is gone */
int sys_enable_verity(int fd); /* ioctl(FS_IOC_ENABLE_VERITY): SHA-256 of blocks of 4096 bytes. Nobody may have it open to write */
int sys_measure_verity(int fd, void *digest, size_t n); /* ioctl(FS_IOC_MEASURE_VERITY), which changes nothing */
int sys_ftruncate(int fd, off_t size);
int sys_reserve(int fd, off_t size); /* fallocate(): room for so many bytes, the size of the file stays as it is */
int sys_close_checked(int fd); /* EINTR counts as success */

/* Attributes are set through a descriptor, never through a name: another process that can write to
 * the directory can put another file under the name at any moment. Each call also takes an O_PATH
 * descriptor, which holds a symlink, a FIFO or a device without opening it. */
int sys_fchown(int fd, uid_t uid, gid_t gid);
int sys_fchmod(int fd, mode_t mode);
int sys_futimens(int fd, const struct timespec times[2]);
int sys_fsetxattr(int fd, const char *name, const void *value, size_t n, int flags);
struct fsxattr;
int sys_set_project(int fd, const struct fsxattr *attributes); /* ioctl(FS_IOC_FSSETXATTR); not of an O_PATH descriptor */
/* On the file system of a descriptor (from Linux 5.14 on), and on that of a device's node. */
int sys_quotactl_fd(int fd, int command, uint32_t id, void *argument);
int sys_quotactl(const char *node, int command, uint32_t id, void *argument);

int sys_fsync(int fd);
int sys_fdatasync(int fd);
int sys_syncfs(int fd);
int sys_sync_file_range(int fd, off_t offset, off_t n, unsigned flags); /* a hint: failures of it are ignored by callers */

int sys_mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int sys_umount2(const char *target, int flags);
int sys_new_loop(int control_fd); /* ioctl(LOOP_CTL_GET_FREE): the number of a loop device, which is made if none is free */
int sys_attach_loop(int loop_fd, int fd, unsigned flags); /* ioctl(LOOP_CONFIGURE), from Linux 5.8 on; flags: LO_FLAGS_* */
int sys_fsopen(const char *type, unsigned flags);
int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux);
int sys_fsmount(int fd, unsigned flags, unsigned attr_flags);
int sys_move_mount(int fromdir, const char *from, int todir, const char *to, unsigned flags);
int sys_open_tree(int dirfd, const char *path, unsigned flags);
struct mount_attr_v0 { /* struct mount_attr of linux/mount.h, which older headers lack */
	uint64_t attr_set, attr_clr, propagation, userns_fd;
};
int sys_mount_setattr(int dirfd, const char *path, unsigned flags, const struct mount_attr_v0 *attr);

/* posix_spawnp(): starts a program, which may change anything. -1 and errno. */
int sys_spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions,
	      const posix_spawnattr_t *attributes, char *const *args, char *const *environment);

/* Read-only helpers that libc of Debian 12 does not wrap. */
struct open_how_v0 {
	uint64_t flags, mode, resolve;
};
int sys_openat2(int dirfd, const char *path, const struct open_how_v0 *how); /* never with O_CREAT: see fs.h */

#endif
