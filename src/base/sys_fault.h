/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults at the system calls of sys.h, for the test builds (-Dfault-injection=true); a release
 * build has only the empty inline below. Steered by the environment, read once; N counts from 1:
 *
 *   CST_FAULT_COUNT=file    the counter is in this file (8 bytes, native order), shared by every
 *                           process that inherits the variable, and outlives a kill; without it
 *                           each process counts for itself
 *   CST_FAULT_LOG=file      one line appended per call: number, function, path
 *   CST_FAULT_KILL_AT=N     SIGKILL to itself instead of call N
 *   CST_FAULT_KILL_GROUP=1  ... to its process group (the caller must have given it its own)
 *   CST_FAULT_STOP_AT=N     SIGSTOP before call N, which is made once it is continued
 *   CST_FAULT_STOP_EVERY=1  SIGSTOP before every call
 *   CST_FAULT_FAIL_AT=N     call N fails once
 *   CST_FAULT_FAIL_FROM=N   call N and all later ones fail; with ENOSPC or EDQUOT, all but those
 *                           that take something away
 *   CST_FAULT_ERRNO=NAME    with which errno: ENOSPC, EIO (default), EMFILE, EINTR, ENOMEM,
 *                           EROFS, EDQUOT, EBUSY
 *   CST_FAULT_ONLY=name     only calls of this function (sys_renameat, ...) count
 *   CST_FAULT_SKIP_SYNC=P   fsync, fdatasync, syncfs do nothing where "function path" matches the
 *                           pattern P, or one of several separated by commas (fnmatch(3), a
 *                           slash only where P has one)
 *   CST_FAULT_FLUSH=none    fsync, fdatasync and syncfs write a file's data to the disk, but nothing
 *                           else (no sizes, no names), and the disk is not told to flush
 *   CST_FAULT_FULL=1        the disk has no inode free: every call that makes something or asks for
 *                           room fails with ENOSPC
 *   CST_FAULT_NO_EXCHANGE=1 names cannot be exchanged, as on some file systems: EINVAL
 *   CST_FAULT_READS=1       opens that only read (sys_openat2, sys_openat without O_CREAT and
 *                           O_TRUNC) count too
 */
#ifndef CST_BASE_SYS_FAULT_H
#define CST_BASE_SYS_FAULT_H

#include <stdbool.h>

enum sys_call {
	SYS_CALL_OPENAT,
	SYS_CALL_MKDIRAT,
	SYS_CALL_MKNODAT,
	SYS_CALL_SYMLINKAT,
	SYS_CALL_LINKAT,
	SYS_CALL_UNLINKAT,
	SYS_CALL_RENAMEAT,
	SYS_CALL_RENAMEAT2,
	SYS_CALL_WRITE,
	SYS_CALL_PWRITE,
	SYS_CALL_COPY_FILE_RANGE,
	SYS_CALL_FICLONE,
	SYS_CALL_DEDUPE_RANGE,
	SYS_CALL_SUBVOLUME_CREATE,
	SYS_CALL_SUBVOLUME_SNAPSHOT,
	SYS_CALL_SUBVOLUME_DESTROY,
	SYS_CALL_SUBVOLUME_MAKE_WRITABLE,
	SYS_CALL_QUOTA_ENABLE,
	SYS_CALL_QUOTA_LIMIT,
	SYS_CALL_QUOTA_FORGET,
	SYS_CALL_FTRUNCATE,
	SYS_CALL_RESERVE,
	SYS_CALL_CLOSE_CHECKED,
	SYS_CALL_FCHOWN,
	SYS_CALL_FCHMOD,
	SYS_CALL_FUTIMENS,
	SYS_CALL_FSETXATTR,
	SYS_CALL_SET_PROJECT,
	SYS_CALL_QUOTACTL,
	SYS_CALL_FSYNC,
	SYS_CALL_FDATASYNC,
	SYS_CALL_SYNCFS,
	SYS_CALL_SYNC_FILE_RANGE,
	SYS_CALL_MOUNT,
	SYS_CALL_UMOUNT2,
	SYS_CALL_ENABLE_VERITY,
	SYS_CALL_NEW_LOOP,
	SYS_CALL_ATTACH_LOOP,
	SYS_CALL_FSOPEN,
	SYS_CALL_FSCONFIG,
	SYS_CALL_FSMOUNT,
	SYS_CALL_MOVE_MOUNT,
	SYS_CALL_OPEN_TREE,
	SYS_CALL_MOUNT_SETATTR,
	SYS_CALL_SPAWN,
	SYS_CALL_OPEN_READING, /* sys_openat2, and sys_openat that creates and truncates nothing */
	SYS_CALL_MAX
};

/*
 * Called before each call of sys.h. `fd` is the directory or file it works on (-1: none), `path`
 * the name (NULL or "": the descriptor itself). 0: go on; otherwise the errno that the call fails
 * with, without having been made.
 */
#ifdef CST_FAULT_INJECTION
int sys_fault(enum sys_call call, int fd, const char *path);
/* Is this barrier to be left out? */
bool sys_fault_skips(enum sys_call call, int fd);
/* Does this file system not know these flags of renameat2? */
bool sys_fault_refuses_rename(unsigned flags);
#else
static inline int sys_fault(enum sys_call call, int fd, const char *path)
{
	return 0;
}
static inline bool sys_fault_refuses_rename(unsigned flags)
{
	return false;
}
static inline bool sys_fault_skips(enum sys_call call, int fd)
{
	return false;
}
#endif

#endif
