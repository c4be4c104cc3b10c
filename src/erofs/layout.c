/* SPDX-License-Identifier: Apache-2.0 */
/* Gives every inode its place, as mkcomposefs does (docs/format/chunked.md, "The image"). */
#include "base/str.h"
#include "erofs/tree.h"

static uint64_t up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

uint64_t chunks_of(uint64_t size, unsigned *chunk_bits)
{
	unsigned bits = EROFS_BLOCK_BITS;
	while (bits < EROFS_BLOCK_BITS + EROFS_CHUNK_BITS_MAX && (size - 1) >> bits > 0)
		bits++;
	*chunk_bits = bits;
	return ((size - 1) >> bits) + 1;
}

uint32_t children_in_block(const struct node *dir, uint32_t first, size_t *bytes)
{
	uint32_t i = first;
	for (*bytes = 0; i < dir->n_children; i++) {
		size_t more = sizeof(struct erofs_dirent) + strlen(dir->children[i].name);
		if (*bytes + more > EROFS_BLOCK)
			break;
		*bytes += more;
	}
	return i - first;
}

/* The last, half-full block of a directory can be behind its inode. */
static void measure_dir(struct node *dir)
{
	size_t bytes = 0;
	for (uint32_t at = 0; at < dir->n_children;) {
		at += children_in_block(dir, at, &bytes);
		dir->n_blocks += at < dir->n_children;
	}
	dir->n_blocks += bytes > EROFS_BLOCK / 2;
	dir->tail = bytes > EROFS_BLOCK / 2 ? 0 : (uint32_t)bytes;
}

/* How many blocks a node has, and how many bytes are behind its inode. */
static void measure(struct node *node)
{
	unsigned bits;
	if (is_dir(node)) {
		measure_dir(node);
	} else if (S_ISLNK(node->mode)) {
		node->tail = (uint32_t)node->size;
	} else if (has_object(node)) {
		node->tail = (uint32_t)(chunks_of(node->size, &bits) * sizeof(uint32_t));
	} else if (S_ISREG(node->mode)) {
		node->n_blocks = (uint32_t)(node->size / EROFS_BLOCK);
		node->tail = node->size % EROFS_BLOCK;
		if (node->tail > EROFS_BLOCK / 2) {
			node->n_blocks++;
			node->tail = 0;
		}
	}
}

static bool is_small(const struct node *node, const struct timespec *oldest)
{
	uint64_t size = node->size;
	if (is_dir(node))
		size = (uint64_t)node->n_blocks * EROFS_BLOCK + node->tail;
	return node->mtime.tv_sec == oldest->tv_sec && node->mtime.tv_nsec == oldest->tv_nsec &&
	       node->nlink <= UINT16_MAX && node->uid <= UINT16_MAX && node->gid <= UINT16_MAX &&
	       size <= UINT32_MAX;
}

static uint32_t size_of_xattrs(const struct node *node)
{
	size_t n = sizeof(struct erofs_xattrs);
	for (uint32_t i = 0; i < node->n_xattrs; i++)
		n += node->xattrs[i].shared_at >= 0 ? sizeof(uint32_t)
		                                    : xattr_size(&node->xattrs[i]);
	return node->n_xattrs > 0 ? (uint32_t)n : 0;
}

static void move_tail_out(struct node *node)
{
	node->n_blocks++;
	node->tail = 0;
}

/* A symlink's target is in the block where its inode begins, or in one of its own. Returns the gap before the inode. */
static uint64_t fit_symlink(struct node *node, uint64_t at, size_t head)
{
	uint64_t all = head + node->tail;
	if (all >= EROFS_BLOCK)
		move_tail_out(node);
	return at / EROFS_BLOCK == (at + all - 1) / EROFS_BLOCK ? 0 : up(at, EROFS_BLOCK) - at;
}

/* What is behind an inode must be in one block, although the inode may be in two. Returns the gap before the inode. */
static uint64_t fit_tail(struct node *node, uint64_t at, size_t head)
{
	uint64_t room = EROFS_BLOCK - (at + head) % EROFS_BLOCK;
	if (node->tail <= room)
		return 0;
	uint64_t gap = up(room, EROFS_SLOT);
	room = EROFS_BLOCK - (at + head + gap) % EROFS_BLOCK;
	if (node->tail <= room)
		return gap;
	move_tail_out(node);
	return up(at, EROFS_BLOCK) - at;
}

int lay_out(struct erofs_writer *writer, cst_error **error)
{
	uint64_t end = EROFS_SUPER_AT + sizeof(struct erofs_super);
	for (size_t i = 0; i < writer->n_inodes; i++) {
		struct node *node = writer->inodes[i];
		measure(node);
		node->small = is_small(node, &writer->oldest);
		node->xattr_size = size_of_xattrs(node);
		size_t head = node->xattr_size + (node->small ? sizeof(struct erofs_small_inode)
		                                              : sizeof(struct erofs_large_inode));
		uint64_t at = up(end, EROFS_SLOT);
		at += S_ISLNK(node->mode) ? fit_symlink(node, at, head) : fit_tail(node, at, head);
		node->padding = (uint32_t)(at - end);
		node->slot = at / EROFS_SLOT;
		writer->n_blocks += node->n_blocks;
		end = at + head + node->tail;
	}
	writer->inodes_end = up(end, EROFS_SLOT);
	uint64_t size = writer->inodes_end + writer->shared_size + writer->n_blocks * EROFS_BLOCK;
	return size / EROFS_BLOCK < UINT32_MAX
	               ? 0
	               : error_set(error, CST_EINVAL, "composefs image: more than 16 TiB");
}
