/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes hold locks of given files, or wait for them, as the kernel tells in /proc. */
#ifndef CST_LOCK_PROC_LOCKS_H
#define CST_LOCK_PROC_LOCKS_H

#include "base/error.h"
#include "base/mem.h"
#include <sys/types.h>

/* A file by both numbers that /proc has for its device: the superblock's, as in /proc/locks, and
 * that of stat. They differ on btrfs and overlayfs. */
struct lock_inode {
	unsigned major, minor;
	uint64_t inode;
	dev_t stat_dev;
};
/* Closes nothing that could drop a POSIX lock of this process. -1 and errno. */
int lock_inode_of(int dirfd, const char *name, struct lock_inode *ret);

struct lock_claim {
	size_t file; /* index of the inode asked for */
	pid_t pid;   /* 0: unknown */
	bool write, waiting;
};

/* Finds what processes hold of these files, or wait for: POSIX and OFD locks. The owner of an OFD
 * lock is looked for among the open files of all processes that this one may look at. The caller
 * frees *ret. */
int lock_claims(const struct lock_inode *files, size_t n_files, struct lock_claim **ret,
                size_t *ret_n, cst_error **error);

/* Reads one line of /proc/locks, or of fdinfo behind "lock:". False: it is not a POSIX or OFD
 * lock. */
struct lock_line {
	bool ofd, write, waiting;
	long pid;
	unsigned major, minor;
	uint64_t inode;
};
bool lock_line_parse(const char *line, struct lock_line *ret);

#endif
