/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the regular files of a tree that is copied. Where there are many, other threads do it, while the caller goes on to the next
 * names. */
#ifndef CST_ARCHIVE_TREE_COPY_FILES_H
#define CST_ARCHIVE_TREE_COPY_FILES_H

#include "base/error.h"
#include <stdint.h>
#include <sys/stat.h>

struct copy_files;
int copy_files_new(bool sync, struct copy_files **ret, cst_error **error);
void copy_files_free(struct copy_files *files); /* waits for what is being filled; NULL allowed */

/* A file that was made, empty and of mode 0600, for the content and the attributes of another. */
struct copy_file {
	int from, to;
	struct stat stat; /* of `from` */
	uint32_t uid, gid; /* it is to have */
	char *path; /* for messages */
};
void copy_file_done(struct copy_file *file); /* closes and frees */
#define _cleanup_copy_file_ __attribute__((cleanup(copy_file_done)))

/* Takes what is in *file, also on failure. Fails with the first error of this file or an earlier one. */
int copy_files_add(struct copy_files *files, struct copy_file *file, cst_error **error);
int copy_files_wait(struct copy_files *files, cst_error **error); /* until all are filled */
uint64_t copy_files_bytes(struct copy_files *files); /* of those that are */

/* Sets what the copy lacks and the source has of extended attributes but overlay's own bookkeeping. `name` is in both directories, and
 * `to` is the copy itself. `name` NULL: from_dir and to_dir are the files. */
int copy_xattrs(int from_dir, int to_dir, const char *name, int to, const char *shown, cst_error **error);

#endif
