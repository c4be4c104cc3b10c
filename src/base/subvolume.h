/* SPDX-License-Identifier: Apache-2.0 */
/* Subvolumes of btrfs: what can be asked about them, and removing one. Making and limiting them is in sys.h. */
#ifndef CST_BASE_SUBVOLUME_H
#define CST_BASE_SUBVOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct subvolume {
	uint64_t id; /* in its file system; no other one ever gets it. Its quota group has this number */
	uint8_t uuid[16], parent_uuid[16]; /* the parent is what it was made of as a snapshot; zero: it was not */
	struct timespec made;
	bool read_only;
};
/* Is this directory the root of a subvolume? 1, 0, or -1 and errno. `ret` NULL: nobody wants to know more. */
int subvolume_read(int fd, struct subvolume *ret);

bool subvolume_is_snapshot(const struct subvolume *one, const struct subvolume *of);

/* Makes dirfd/name, a snapshot of a subvolume, and in it of those in it. -1 and errno; then a part may be there. */
int subvolume_copy(int fd, int dirfd, const char *name);

/* Removes the subvolume `name`, those in it, and their quota groups. False: it is no subvolume, or this process may not do that:
 * then it can be emptied and removed like a directory. */
bool subvolume_remove(int dirfd, const char *name);

bool subvolume_quota_is_enabled(int fd); /* for this file system. False, too, if this process may not ask */

#endif
