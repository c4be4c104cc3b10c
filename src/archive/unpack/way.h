/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a directory, which is made where it is missing. */
#ifndef CST_ARCHIVE_UNPACK_WAY_H
#define CST_ARCHIVE_UNPACK_WAY_H

#include "archive/unpack/target.h"

struct way {
	struct target *target;
	enum directory_missing missing;
	bool itself;        /* of the caller: a symlink as the last component is not followed, but ENOENT */
	int fd;             /* of the directory that was reached */
	struct strbuf path; /* its path, without symlinks */
	size_t hidden_at;   /* from this length of it on, nothing of the layers below is seen */
	char *rest;         /* what is still to go, from `at` on */
	size_t at;
	size_t named; /* where less than this is left, the archive's own name is gone, and no symlink's */
	unsigned links;
	enum way_merged { WAY_UNKNOWN, WAY_ALONE, WAY_MERGED } merged;
};
#define WAY_INIT {.fd = -1, .hidden_at = SIZE_MAX}
/* Goes path[0..n) from the root. -1 and errno; ENOENT, ENOTDIR: there is no such directory. */
int way_go(struct target *t, const char *path, size_t n, enum directory_missing missing, struct way *way);
/* May the layers below have the directory, too? If not, the kernel would show a whiteout in a listing of it. */
bool way_is_merged(struct way *way);
void way_end(struct way *way);
#define _cleanup_way_ _cleanup_(way_end)

#endif
