/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of files in memory, by path: "a/b"; "" is the root, which is always there. */
#ifndef CST_STORE_CHECK_NODE_H
#define CST_STORE_CHECK_NODE_H

#include "archive/tar/tar.h"
#include "base/hashmap.h"
#include "base/mem.h"
#include <sys/types.h>

#define NODE_WHITEOUT 'w'

struct node_attributes {
	char type; /* as in a tar header, or NODE_WHITEOUT */
	mode_t mode;
	uint32_t uid, gid;
	uint64_t size;
	int64_t mtime; /* seconds */
	const char *target; /* of a symlink; else "" */
	dev_t device;       /* of a device */
	const struct tar_xattr *xattrs; /* that it must have */
	size_t n_xattrs;
	bool more_xattrs;   /* that it may have others */
	bool unknown;       /* only implied: the attributes are not known */
	bool any_time;      /* the time is not known */
};

struct node {
	const char *path;
	struct node_attributes *attributes; /* of all names of one inode */
	bool seen;          /* for whoever compares */
	unsigned layer;     /* that gave it its attributes */
	struct node *parent, *first_child, *next, *previous; /* sisters */
	struct node *newer; /* all nodes, in the order in which they were made */
	bool gone;
};

struct nodes {
	struct arena arena;
	struct hashmap by_path;
	struct node root, *first, **last;
	struct node_attributes root_attributes;
};

void nodes_init(struct nodes *nodes);
void nodes_free(struct nodes *nodes);
struct node *nodes_get(struct nodes *nodes, const char *path); /* NULL: not there */
/* A new one in a directory, where nothing has the name `base`; NULL: out of memory. `attributes` NULL: its own, all zero;
 * else those of another name of the same inode. */
struct node *nodes_add(struct nodes *nodes, struct node *parent, const char *base, struct node_attributes *attributes);
/* Removes what is below, and with `itself` the node too. Nodes of the layer `keep` (0: none) stay, and the directories that
 * lead to them; not with `itself`. */
void nodes_remove(struct nodes *nodes, struct node *node, bool itself, unsigned keep);

#endif
