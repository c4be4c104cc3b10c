/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the tree whole: hard links find their files, directories get their order, inodes theirs. */
#include "base/str.h"
#include "erofs/tree.h"
#include <stdio.h>

/* ---- hard links ---- */

static int follow(struct erofs_writer *writer, struct node *link, cst_error **error)
{
	struct node *file = link, *next;
	for (size_t steps = 0; file->is_link; steps++, file = next) {
		next = file->link ? file->link : hashmap_get(&writer->paths, file->payload);
		if (!next || steps == writer->n_links)
			return error_set(
			        error, CST_EINVAL,
			        "composefs image: \"%s\" is a hard link to \"%s\", which %s",
			        link->path, link->payload,
			        next ? "leads in a circle" : "is not there");
		if (!next->is_link && is_dir(next))
			return error_set(error, CST_EINVAL,
			                 "composefs image: \"%s\" is a hard link to a directory",
			                 link->path);
	}
	/* Everything on the way knows now where it ends, so that no way is gone twice. */
	for (struct node *node = link; node->is_link; node = next) {
		next = node->link ? node->link : hashmap_get(&writer->paths, node->payload);
		node->link = file;
	}
	return 0;
}

static int follow_links(struct erofs_writer *writer, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; i < writer->n_links && r == 0; i++)
		r = follow(writer, writer->links[i], error);
	return r;
}

/* ---- what overlay is told ---- */

/* Where a mount cannot tell directories of objects from others, the names of those directories must not show. */
static int hide_objects(struct erofs_writer *writer, cst_error **error)
{
	struct node *root = writer->root;
	const struct xattr *selinux = NULL;
	for (uint32_t i = 0; i < root->n_xattrs; i++)
		if (streq(root->xattrs[i].name, "security.selinux"))
			selinux = &root->xattrs[i];
	for (unsigned i = 0; i < 256; i++) {
		char path[8];
		struct node *node;
		snprintf(path, sizeof(path), "/%02x", i);
		if (hashmap_contains(&writer->paths, path))
			continue;
		int r = node_new(writer, path, root, &node, error);
		if (r < 0)
			return r;
		node->mode = S_IFCHR | 0644;
		node->nlink = 1;
		node->uid = root->uid;
		node->gid = root->gid;
		node->mtime = root->mtime;
		if (selinux)
			r = node_set_xattr(writer, node, selinux->name, selinux->value,
			                   selinux->len, error);
		if (r < 0)
			return r;
	}
	return node_set_xattr(writer, root, OVERLAY_OPAQUE, "y", 1, error);
}

/* A directory that has whiteouts as content says so: to overlay by "x", to older kernels by "whiteouts". */
static int tell_of_whiteouts(struct erofs_writer *writer, struct node *dir, cst_error **error)
{
	static const struct {
		const char *name, *value;
	} marks[] = {
	        {OVERLAY_ESCAPED "whiteouts", ""},
	        {OVERLAY_USER "whiteouts", ""},
	        {OVERLAY_ESCAPED "opaque", "x"},
	        {OVERLAY_USER "opaque", "x"},
	};
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(marks) && r == 0 && dir->has_whiteouts; i++)
		r = node_set_xattr(writer, dir, marks[i].name, marks[i].value,
		                   strlen(marks[i].value), error);
	return r;
}

/* ---- order ---- */

static int by_name(const void *a, const void *b)
{
	const struct xattr *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->shared_at > y->shared_at) - (x->shared_at < y->shared_at);
}

/* Of attributes with one name the last is kept; until here shared_at is their order. */
static void sort_xattrs(struct node *node)
{
	uint32_t n = 0;
	if (node->n_xattrs == 0)
		return;
	qsort(node->xattrs, node->n_xattrs, sizeof(struct xattr), by_name);
	for (uint32_t i = 0; i < node->n_xattrs; i++)
		if (i + 1 == node->n_xattrs ||
		    !streq(node->xattrs[i].name, node->xattrs[i + 1].name))
			node->xattrs[n++] = node->xattrs[i];
	node->n_xattrs = n;
}

static int by_child(const void *a, const void *b)
{
	const struct child *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static int sort_children(struct erofs_writer *writer, struct node *dir, cst_error **error)
{
	dir->children = arena_alloc(&writer->arena, (dir->n_children + 2) * sizeof(struct child));
	if (!dir->children)
		return error_oom(error);
	struct child *to = dir->children;
	dir->nlink = 2;
	*to++ = (struct child){".", dir};
	*to++ = (struct child){"..", dir->parent};
	for (struct node *child = dir->last_child; child; child = child->next) {
		*to++ = (struct child){node_name(child), child->is_link ? child->link : child};
		dir->nlink += !child->is_link && is_dir(child);
	}
	dir->n_children += 2;
	qsort(dir->children, dir->n_children, sizeof(struct child), by_child);
	return 0;
}

static int add_inode(struct erofs_writer *writer, struct node *node, cst_error **error)
{
	if (writer->n_inodes == UINT32_MAX)
		return error_set(error, CST_EINVAL, "composefs image: too many files");
	struct node **inodes = grow_array(writer->inodes, &writer->inodes_capacity,
	                                  writer->n_inodes + 1, sizeof(*inodes));
	if (!inodes)
		return error_oom(error);
	writer->inodes = inodes;
	node->number = (uint32_t)writer->n_inodes;
	inodes[writer->n_inodes++] = node;
	return 0;
}

/* A child is what its name stands for, unless that is "." or "..", or the further name of a hard link. */
static bool owns_child(const struct node *dir, const struct child *child)
{
	return child->node->parent == dir && child->node != dir &&
	       child->name == node_name(child->node);
}

static bool is_older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static int settle(struct erofs_writer *writer, struct node *node, cst_error **error)
{
	int r = tell_of_whiteouts(writer, node, error);
	if (r == 0 && is_dir(node))
		r = sort_children(writer, node, error);
	if (r < 0)
		return r;
	sort_xattrs(node);
	if (is_older(&node->mtime, &writer->oldest))
		writer->oldest = node->mtime;
	for (uint32_t i = 0; i < node->n_xattrs; i++)
		writer->has_acl |= streq(node->xattrs[i].name, "system.posix_acl_access") ||
		                   streq(node->xattrs[i].name, "system.posix_acl_default");
	for (uint32_t i = 0; i < node->n_children && r == 0; i++)
		if (owns_child(node, &node->children[i]))
			r = add_inode(writer, node->children[i].node, error);
	return r;
}

int erofs_writer_finish(struct erofs_writer *writer, const cst_sink *sink, cst_error **error)
{
	if (!writer->root)
		return error_set(error, CST_EINVAL, "composefs image: there is no root directory");
	int r = follow_links(writer, error);
	if (r == 0 && !writer->layer)
		r = hide_objects(writer, error);
	if (r == 0)
		r = add_inode(writer, writer->root, error);
	writer->oldest = writer->root->mtime;
	/* Breadth first: the inodes of a directory's children come when its turn comes. */
	for (size_t i = 0; i < writer->n_inodes && r == 0; i++)
		r = settle(writer, writer->inodes[i], error);
	if (r == 0)
		r = share_xattrs(writer, error);
	if (r == 0)
		r = lay_out(writer, error);
	return r == 0 ? write_image(writer, sink, error) : r;
}
