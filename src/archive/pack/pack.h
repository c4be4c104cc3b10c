/* SPDX-License-Identifier: Apache-2.0 */
/* Directories into layer tars, and what differs between trees (docs/format/archive.md, "Producing a layer tar"). */
#ifndef CST_ARCHIVE_PACK_PACK_H
#define CST_ARCHIVE_PACK_PACK_H

#include "base/error.h"
#include "base/mem.h"
#include "idmap/idmap.h"
#include <cstorage/store.h>

struct path_change {
	char *path; /* "/a/b" */
	enum cst_change_kind kind;
};
struct cst_changes { /* public name: handed out as is */
	struct path_change *items;
	size_t len, capacity;
};
bool changes_add(struct cst_changes *changes, const char *path, enum cst_change_kind kind); /* copies */
void changes_clear(struct cst_changes *changes); /* frees what it holds, not the struct; empty again */
#define _cleanup_changes_ _cleanup_(changes_clear)

/* Packs an overlay layer's own directory: whiteout nodes become .wh. entries, opaque directories get .wh..wh..opq where a
 * lower (top first) has that path. Uncompressed, entries bytewise depth first, ends with 1024 zero bytes. */
struct pack_options {
	const struct idmaps *maps; /* host to container; NULL: identity */
	const struct idmaps *old_maps; /* changes_trees: those of the old tree */
	/* changes_trees: when the one tree was made as a snapshot of the other. Zero: it was not, as far as is known. */
	struct timespec snapshot;
	bool userns;               /* user.overlay.opaque */
	bool with_whiteouts;       /* pack_tree: files called .wh.NAME are meant as whiteouts, and not left out */
	const int *lowers;         /* directory descriptors, top first */
	size_t n_lowers;
	const cst_progress *progress;
};
int pack_overlay(int diff_fd, const struct pack_options *options, const cst_sink *sink, cst_error **error);
/* The same directory listed as changes: whiteout Delete, present below Modify, else Add; in the order of the walk, a
 * directory before what is in it. */
int changes_overlay(int diff_fd, const struct pack_options *options, struct cst_changes *ret, cst_error **error);

/* Two full trees (naive diff): old_fd -1 means an empty one. Sorted by path. */
int changes_trees(int old_fd, int new_fd, const struct pack_options *options, struct cst_changes *ret, cst_error **error);
/* Tar of those changes (paths sorted), or of the whole tree where old_fd is -1. */
int pack_changes(int new_fd, const struct cst_changes *changes, const struct pack_options *options, const cst_sink *sink,
		 cst_error **error);
int pack_tree(int root_fd, const struct pack_options *options, const cst_sink *sink, cst_error **error);
int changes_size(int new_fd, const struct cst_changes *changes, int64_t *ret, cst_error **error);

/* Bytes of all below a directory that is not itself a directory, each inode once, and how many inodes (the root included).
 * docs/format/drivers.md, "Usage and dedup". */
int usage_tree(int root_fd, int64_t *ret_bytes, int64_t *ret_inodes, cst_error **error);

#endif
