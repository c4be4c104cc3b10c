/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are made; at once at their names, or out of the reach of others. */
#ifndef CST_ARCHIVE_UNPACK_PLACE_H
#define CST_ARCHIVE_UNPACK_PLACE_H

#include "archive/unpack/own.h"
#include "base/fs_private.h"
#include "base/hash_set.h"

struct making {
	bool in_use;
	int root_fd;
	struct own_names *own;
	struct fs_private private; /* in_use: where things are made */
	struct hash_set made;      /* in_use: the files that were made, place_note_made() */
};
int making_begin(struct making *making, cst_error **error);
int making_end(struct making *making, cst_error **error); /* nothing is made any more */
void making_free(struct making *making);

/* A directory and a name in it. */
struct place {
	int fd;
	const char *name;
};
/* Where what will be parent/name is made: there, or in the private directory if the target is in
 * use. */
struct place place_of(const struct making *making, int parent_fd, const char *name);
/* Moves what was made to its name. -1 and errno. With PLACE_NEW something that has the name stays:
 * EEXIST. Where the target is not in use, it is at its name already. */
enum place_way { PLACE_REPLACE, PLACE_NEW };
int place_settle(const struct making *making, int parent_fd, const char *name, enum place_way way);
/* Opens what was made, without opening it for reading: O_PATH. `type`: S_IFIFO, ...; something else
 * means that it was replaced. */
int place_hold(const struct place *place, mode_t type, const char *shown, struct stat *ret_stat,
               cst_error **error);
/* Remembers that this archive made the file; place_is_made() tells. Only where the target is in
 * use. */
int place_note_made(struct making *making, int fd, cst_error **error);
bool place_is_made(const struct making *making, int fd);

#endif
