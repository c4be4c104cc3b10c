/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a directory tree, depth first, names bytewise, and other trees beside it. Symlinks are
 * never followed. Depth is bounded by memory only: no recursion, no long paths, and few descriptors
 * (base/fs_chain.h).
 */
#ifndef CST_ARCHIVE_TREE_WALK_H
#define CST_ARCHIVE_TREE_WALK_H

#include "base/error.h"
#include "base/mem.h"
#include <sys/stat.h>

enum tree_event {
	TREE_ENTRY, /* something in a directory; a directory is descended into at the next step,
	               unless skipped */
	TREE_LEAVE, /* a directory that was descended into is done */
	TREE_END,
};

struct tree_entry {
	const char *path; /* below the root, "a/b"; until the next step */
	const char *name; /* its last component */
	int dirfd;        /* TREE_ENTRY: the directory it is in; TREE_LEAVE: the directory itself */
	struct stat stat; /* TREE_ENTRY only */
};

struct tree_walk;
/* Walks roots[0]; the others are beside it. The descriptors stay the caller's, and open until the
 * walk is freed. `lenient`: what may not be read is logged and left out. What vanishes meanwhile is
 * always left out. */
int tree_walk_new(const int *roots, size_t n_roots, bool lenient, struct tree_walk **ret,
                  cst_error **error);
int tree_walk_next(struct tree_walk *walk, enum tree_event *event, struct tree_entry *entry,
                   cst_error **error);
void tree_walk_skip(
        struct tree_walk *walk); /* do not descend into the directory of the last TREE_ENTRY */
size_t tree_walk_depth(
        const struct tree_walk *walk); /* of the last entry; 1: directly in the root */

/* The trees beside that have the directory of the last entry as a real directory, in the order of
 * the roots; a tree that has something else (or a whiteout) in that place ends the list, as in a
 * stack of overlay layers. */
size_t tree_walk_beside(const struct tree_walk *walk);
int tree_walk_beside_fd(const struct tree_walk *walk, size_t index);

/* Descriptors of the directory itself in the trees beside at TREE_LEAVE are those of
 * tree_walk_beside_fd() too. */
void tree_walk_free(struct tree_walk *walk);
DEFINE_CLEANUP(struct tree_walk *, tree_walk_free)
#define _cleanup_tree_walk_ _cleanup_(tree_walk_freep)

#endif
