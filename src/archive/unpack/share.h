/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are not written, because another layer has just such a file: what is unpacked is a further name of it. */
#ifndef CST_ARCHIVE_UNPACK_SHARE_H
#define CST_ARCHIVE_UNPACK_SHARE_H

#include "archive/unpack/metadata.h"
#include "base/hash_set.h"

struct shared_files {
	const struct metadata *metadata;
	struct hash_set inodes; /* that this archive has a name of */
};
/* Another layer's file that has the content and the attributes of the entry, and no name in this archive so far; -1: none. `begun`: the
 * source gave the first bytes of the body. */
int shared_open(const struct shared_files *shared, const struct entry *entry, bool begun);
int shared_note(struct shared_files *shared, int fd, cst_error **error); /* it got a name */
bool shared_has(const struct shared_files *shared, const struct stat *st);
/* A hard link to such a file must have its attributes, for they stay as they are: else CST_EARCHIVE. */
int shared_check_link(const struct shared_files *shared, const struct entry *entry, int fd, cst_error **error);

#endif
