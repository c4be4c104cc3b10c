/* SPDX-License-Identifier: Apache-2.0 */
/* Writes an image whose parts all have their places. */
#include "base/sink_buffer.h"
#include "base/str.h"
#include "erofs/tree.h"

struct image {
	const struct erofs_writer *writer;
	struct sink_buffer out;
	uint64_t next_block; /* the first that no inode has */
};

static int align(struct image *image, uint64_t to, cst_error **error)
{
	return sink_buffer_zeros(&image->out, (size_t)(-image->out.total % to), error);
}

static int put_super(struct image *image, cst_error **error)
{
	const struct erofs_writer *writer = image->writer;
	struct composefs_header header = {
	        .magic = COMPOSEFS_MAGIC,
	        .version = COMPOSEFS_VERSION,
	        .flags = writer->has_acl ? COMPOSEFS_HAS_ACL : 0,
	        .composefs_version = writer->composefs_version,
	};
	struct erofs_super super = {
	        .magic = EROFS_MAGIC,
	        .compat = EROFS_COMPAT_MTIME | EROFS_COMPAT_FILTER,
	        .block_bits = EROFS_BLOCK_BITS,
	        .root = (uint16_t)writer->root->slot,
	        .inodes = writer->n_inodes,
	        .build_time = (uint64_t)writer->oldest.tv_sec,
	        .build_time_nsec = (uint32_t)writer->oldest.tv_nsec,
	        .blocks = (uint32_t)(image->next_block + writer->n_blocks),
	        .xattrs_block = (uint32_t)(writer->inodes_end / EROFS_BLOCK),
	};
	int r = sink_buffer_write(&image->out, &header, sizeof(header), error);
	if (r == 0)
		r = align(image, EROFS_SUPER_AT, error);
	return r == 0 ? sink_buffer_write(&image->out, &super, sizeof(super), error) : r;
}

/* ---- directories ---- */

static uint8_t type_of(const struct node *node)
{
	switch (node->mode & S_IFMT) {
	case S_IFREG: return 1;
	case S_IFDIR: return 2;
	case S_IFCHR: return 3;
	case S_IFBLK: return 4;
	case S_IFIFO: return 5;
	case S_IFSOCK: return 6;
	default: return 7;
	}
}

static int put_children(struct image *image, const struct node *dir, uint32_t first, uint32_t n,
                        cst_error **error)
{
	size_t name_at = n * sizeof(struct erofs_dirent);
	int r = 0;
	for (uint32_t i = first; i < first + n && r == 0; i++) {
		const struct child *child = &dir->children[i];
		struct erofs_dirent dirent = {.inode = child->node->slot,
		                              .name_at = (uint16_t)name_at,
		                              .type = type_of(child->node)};
		r = sink_buffer_write(&image->out, &dirent, sizeof(dirent), error);
		name_at += strlen(child->name);
	}
	for (uint32_t i = first; i < first + n && r == 0; i++)
		r = sink_buffer_write(&image->out, dir->children[i].name,
		                      strlen(dir->children[i].name), error);
	return r;
}

/* Either the blocks of a directory, or what of it is behind its inode. */
static int put_dir(struct image *image, const struct node *dir, bool tail, cst_error **error)
{
	size_t bytes;
	uint32_t at = 0;
	int r = 0;
	for (uint32_t block = 0; block < dir->n_blocks && r == 0; block++) {
		uint32_t n = children_in_block(dir, at, &bytes);
		if (!tail)
			r = put_children(image, dir, at, n, error);
		if (r == 0 && !tail)
			r = align(image, EROFS_BLOCK, error);
		at += n;
	}
	return r == 0 && tail ? put_children(image, dir, at, dir->n_children - at, error) : r;
}

/* ---- inodes ---- */

static int put_xattr(struct image *image, const struct xattr *xattr, cst_error **error)
{
	const char *rest;
	struct erofs_xattr_entry entry = {.prefix = xattr_prefix(xattr->name, &rest),
	                                  .value_len = xattr->len};
	entry.name_len = (uint8_t)strlen(rest);
	int r = sink_buffer_write(&image->out, &entry, sizeof(entry), error);
	if (r == 0)
		r = sink_buffer_write(&image->out, rest, entry.name_len, error);
	if (r == 0)
		r = sink_buffer_write(&image->out, xattr->value, xattr->len, error);
	return r == 0 ? align(image, sizeof(uint32_t), error) : r;
}

static int put_xattrs(struct image *image, const struct node *node, cst_error **error)
{
	if (node->n_xattrs == 0)
		return 0;
	uint64_t base = image->writer->inodes_end % EROFS_BLOCK;
	struct erofs_xattrs head = {.filter = xattr_filter(node),
	                            .n_shared = (uint8_t)node_shared(node)};
	int r = sink_buffer_write(&image->out, &head, sizeof(head), error);
	for (uint32_t i = 0; i < node->n_xattrs && r == 0; i++) {
		if (node->xattrs[i].shared_at < 0)
			continue;
		uint32_t at = (uint32_t)((base + (uint64_t)node->xattrs[i].shared_at) / sizeof(at));
		r = sink_buffer_write(&image->out, &at, sizeof(at), error);
	}
	for (uint32_t i = 0; i < node->n_xattrs && r == 0; i++)
		if (node->xattrs[i].shared_at < 0)
			r = put_xattr(image, &node->xattrs[i], error);
	return r;
}

static int put_holes(struct image *image, size_t n, cst_error **error)
{
	const uint32_t hole = EROFS_NO_BLOCK;
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = sink_buffer_write(&image->out, &hole, sizeof(hole), error);
	return r;
}

static int put_tail(struct image *image, const struct node *node, cst_error **error)
{
	if (is_dir(node))
		return put_dir(image, node, true, error);
	if (node->tail == 0)
		return 0;
	if (S_ISLNK(node->mode))
		return sink_buffer_write(&image->out, node->payload, node->tail, error);
	if (has_object(node))
		return put_holes(image, node->tail / sizeof(uint32_t), error);
	const char *content = node->content;
	return sink_buffer_write(&image->out, content + node->size - node->tail, node->tail, error);
}

/* What an inode says about where its data are: a device's number, the first block, the size of a chunk. */
static uint32_t where_of(struct image *image, const struct node *node)
{
	unsigned bits;
	uint32_t where = 0;
	if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
		return node->rdev;
	if (node->n_blocks > 0)
		where = (uint32_t)image->next_block;
	image->next_block += node->n_blocks;
	if (has_object(node)) {
		chunks_of(node->size, &bits);
		where = (where & 0xffff0000) | (bits - EROFS_BLOCK_BITS);
	}
	return where;
}

static uint64_t size_of(const struct node *node)
{
	if (is_dir(node))
		return (uint64_t)node->n_blocks * EROFS_BLOCK + node->tail;
	return S_ISREG(node->mode) || S_ISLNK(node->mode) ? node->size : 0;
}

static uint16_t format_of(const struct node *node)
{
	enum erofs_layout layout = node->tail > 0 ? EROFS_INLINE : EROFS_PLAIN;
	if (has_object(node))
		layout = EROFS_CHUNKS;
	return (uint16_t)(layout << 1 | (node->small ? 0 : 1));
}

/* The header counts as one, whatever its size is. */
static uint16_t xattr_count(const struct node *node)
{
	uint32_t behind = node->xattr_size - (uint32_t)sizeof(struct erofs_xattrs);
	return node->xattr_size == 0 ? 0 : (uint16_t)(behind / sizeof(uint32_t) + 1);
}

static int put_small(struct image *image, const struct node *node, cst_error **error)
{
	struct erofs_small_inode inode = {
	        .format = format_of(node),
	        .xattr_count = xattr_count(node),
	        .mode = (uint16_t)node->mode,
	        .nlink = (uint16_t)node->nlink,
	        .size = (uint32_t)size_of(node),
	        .where = where_of(image, node),
	        .number = node->number,
	        .uid = (uint16_t)node->uid,
	        .gid = (uint16_t)node->gid,
	};
	return sink_buffer_write(&image->out, &inode, sizeof(inode), error);
}

static int put_large(struct image *image, const struct node *node, cst_error **error)
{
	struct erofs_large_inode inode = {
	        .format = format_of(node),
	        .xattr_count = xattr_count(node),
	        .mode = (uint16_t)node->mode,
	        .size = size_of(node),
	        .where = where_of(image, node),
	        .number = node->number,
	        .uid = node->uid,
	        .gid = node->gid,
	        .mtime = (uint64_t)node->mtime.tv_sec,
	        .mtime_nsec = (uint32_t)node->mtime.tv_nsec,
	        .nlink = node->nlink,
	};
	return sink_buffer_write(&image->out, &inode, sizeof(inode), error);
}

static int put_inode(struct image *image, const struct node *node, cst_error **error)
{
	int r = sink_buffer_zeros(&image->out, node->padding, error);
	if (r == 0)
		r = node->small ? put_small(image, node, error) : put_large(image, node, error);
	if (r == 0)
		r = put_xattrs(image, node, error);
	return r == 0 ? put_tail(image, node, error) : r;
}

/* ---- blocks ---- */

static int put_blocks(struct image *image, const struct node *node, cst_error **error)
{
	if (node->n_blocks == 0)
		return 0;
	if (is_dir(node))
		return put_dir(image, node, false, error);
	if (has_object(node))
		return put_holes(image, EROFS_BLOCK / sizeof(uint32_t), error);
	const void *data = S_ISLNK(node->mode) ? node->payload : node->content;
	size_t n = MIN(node->size, (uint64_t)EROFS_BLOCK);
	int r = sink_buffer_write(&image->out, data, n, error);
	return r == 0 ? align(image, EROFS_BLOCK, error) : r;
}

int write_image(struct erofs_writer *writer, const cst_sink *sink, cst_error **error)
{
	_cleanup_(sink_buffer_free) struct sink_buffer out = {0};
	uint64_t before_blocks = writer->inodes_end + writer->shared_size;
	struct image image = {.writer = writer,
	                      .next_block = (before_blocks + EROFS_BLOCK - 1) / EROFS_BLOCK};
	int r = sink_buffer_init(&image.out, sink, error);
	if (r == 0)
		r = put_super(&image, error);
	for (size_t i = 0; i < writer->n_inodes && r == 0; i++)
		r = put_inode(&image, writer->inodes[i], error);
	if (r == 0)
		r = align(&image, EROFS_SLOT, error);
	for (size_t i = 0; i < writer->n_shared && r == 0; i++)
		r = put_xattr(&image, writer->shared[i], error);
	if (r == 0)
		r = align(&image, EROFS_BLOCK, error);
	for (size_t i = 0; i < writer->n_inodes && r == 0; i++)
		r = put_blocks(&image, writer->inodes[i], error);
	if (r == 0)
		r = sink_buffer_flush(&image.out, error);
	out = image.out; /* so that it is freed */
	return r;
}
