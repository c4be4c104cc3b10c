/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of an image while it is made. writer.c takes the entries, layout.c gives everything its place, image.c writes it. */
#ifndef CST_EROFS_TREE_H
#define CST_EROFS_TREE_H

#include "base/hashmap.h"
#include "erofs/writer.h"
#include <sys/stat.h>

struct xattr {
	const char *name;
	const void *value;
	uint16_t len;
	int64_t shared_at; /* its place among the shared ones; -1: it is the inode's own */
};

struct node;
struct child {
	const char *name;
	struct node *node; /* the inode, for a hard link that of its file */
};

struct node {
	const char *path; /* its last component is the name */
	struct node *parent;
	struct node *next; /* the sibling that was added before it */
	struct node *link; /* of a hard link: its file, once it is found */
	const char *payload; /* of a hard link: the path of its file */
	const void *content;
	uint32_t mode, nlink, uid, gid, rdev;
	uint64_t size;
	struct timespec mtime;
	struct xattr *xattrs;
	struct child *children; /* in order of their names, "." and ".." among them */
	struct node *last_child; /* the last that was added */
	uint32_t n_xattrs, n_children;
	bool is_link, has_whiteouts;
	/* its place */
	bool small;
	uint32_t number, padding, xattr_size, n_blocks, tail;
	uint64_t slot;
};

static inline bool is_dir(const struct node *node)
{
	return S_ISDIR(node->mode);
}

/* A file whose bytes are in an object. */
static inline bool has_object(const struct node *node)
{
	return S_ISREG(node->mode) && node->size > 0 && !node->content;
}

struct erofs_writer {
	struct arena arena;
	struct hashmap paths; /* every node by its path; the root by "" */
	struct node *root;
	struct node **links;
	size_t n_links, links_capacity;
	uint32_t composefs_version;
	bool layer, has_acl;
	/* every inode, in the order of the image; hard links are not among them */
	struct node **inodes;
	size_t n_inodes, inodes_capacity;
	struct timespec oldest;
	struct xattr **shared;
	size_t n_shared;
	uint64_t inodes_end, shared_size, n_blocks;
};

const char *node_name(const struct node *node);
/* Adds an attribute, or replaces it. The name and the value must live as long as the writer. */
int node_set_xattr(struct erofs_writer *writer, struct node *node, const char *name, const void *value, size_t len,
		   cst_error **error);
int node_new(struct erofs_writer *writer, const char *path, struct node *parent, struct node **ret, cst_error **error);

/* ---- attributes ---- */

/* Which prefix the name has, and what is behind it. */
uint8_t xattr_prefix(const char *name, const char **rest);
size_t xattr_size(const struct xattr *xattr); /* of its entry */
uint32_t xattr_filter(const struct node *node);
size_t node_shared(const struct node *node); /* how many of the inode's attributes are shared */
/* Finds the attributes that more than one inode has. */
int share_xattrs(struct erofs_writer *writer, cst_error **error);

/* ---- layout ---- */

/* Into how many chunks of which size, a power of two, a file is cut. */
uint64_t chunks_of(uint64_t size, unsigned *chunk_bits);
/* How many of the children, beginning with `first`, one block of a directory takes; and how many bytes they are. */
uint32_t children_in_block(const struct node *dir, uint32_t first, size_t *bytes);
/* Gives every inode and every attribute its place. */
int lay_out(struct erofs_writer *writer, cst_error **error);
int write_image(struct erofs_writer *writer, const cst_sink *sink, cst_error **error);

#endif
