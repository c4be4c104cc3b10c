/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that are kept open, and walking through one. */
#ifndef CST_ARCHIVE_UNPACK_DIRECTORIES_H
#define CST_ARCHIVE_UNPACK_DIRECTORIES_H

#include "archive/unpack/entry.h"
#include "archive/unpack/target.h"

/* The directory at the first `n` bytes of path, created with its parents if asked. It stays open
 * until the next entry begins. -1 with errno and nothing else for what the file system says. */
int directory_get(struct target *t, const char *path, size_t n, enum directory_missing missing, struct directory *ret);
int directory_get_parent(struct target *t, const struct entry *entry, enum directory_missing missing,
			 struct directory *ret);
/* A directory that was just made: its entries come next. Takes over the descriptor; false: it did not. */
bool directory_cache_keep(struct target *t, const char *path, const struct directory *directory);
void directory_cache_begin_entry(struct target *t);
/* A directory or symlink goes: what was known by paths may be elsewhere. */
void directory_paths_changed(struct target *t);
void directory_cache_clear(struct target *t);
/* How many directories to keep open where so many descriptors may be used. */
size_t directory_slots(size_t descriptors);
int directory_open_child(const struct own_names *own, const struct directory *parent, const char *name,
			 struct directory *ret);

/* Goes through everything below a directory, deepest first, without recursion. `visit` gets the
 * directory, the name and lstat of each child; for a directory after its content. */
typedef int (*directory_visit)(const struct directory *directory, const char *name, const struct stat *st, void *arg,
			       cst_error **error);
int directory_walk(const struct own_names *own, const struct directory *top, directory_visit visit, void *arg,
		   cst_error **error);

#endif
