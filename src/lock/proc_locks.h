/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds locks of given files, as the kernel tells in /proc. */
#ifndef CST_LOCK_PROC_LOCKS_H
#define CST_LOCK_PROC_LOCKS_H

#include "base/error.h"
#include "base/mem.h"
#include <sys/types.h>

/* A file under both names that /proc has for it: that of /proc/locks (device of the superblock),
 * and that of stat. They differ on btrfs and overlayfs. */
struct lock_inode {
	unsigned major, minor;
	uint64_t inode;
	dev_t stat_dev;
};
/* Opens nothing that could drop a lock. -1 and errno. */
int lock_inode_of(int dirfd, const char *name, struct lock_inode *ret);

struct lock_claim {
	size_t file; /* index of the inode asked for */
	pid_t pid;   /* 0: unknown */
	bool write, waiting;
};

/* What processes claim of these files, POSIX and OFD locks. An OFD lock has no owner in
 * /proc/locks: it is looked for among the open files of all processes that may be looked at. Caller
 * frees *ret. */
int lock_claims(const struct lock_inode *files, size_t n_files, struct lock_claim **ret,
                size_t *ret_n, cst_error **error);

/* One line of /proc/locks, or of fdinfo behind "lock:". False: not a POSIX or OFD lock. */
struct lock_line {
	bool ofd, write, waiting;
	long pid;
	unsigned major, minor;
	uint64_t inode;
};
bool lock_line_parse(const char *line, struct lock_line *ret);

#endif
