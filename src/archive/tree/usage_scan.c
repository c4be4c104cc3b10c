/* SPDX-License-Identifier: Apache-2.0 */
/* Sums the disk blocks of a tree, and tells those that it may share with other trees: files with
 * names elsewhere, and reflinks. */
#include "archive/tree/usage_scan.h"
#include "archive/tree/extents.h"
#include "archive/tree/walk.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BLOCK_SIZE_OF_STAT 512

void usage_pieces_free(struct usage_pieces *pieces)
{
	free(pieces->items);
	*pieces = (struct usage_pieces){0};
}

static bool add_piece(struct usage_pieces *pieces, const struct usage_piece *piece)
{
	void *grown = grow_array(pieces->items, &pieces->capacity, pieces->len + 1, sizeof(*piece));
	if (!grown)
		return false;
	pieces->items = grown;
	pieces->items[pieces->len++] = *piece;
	return true;
}

bool usage_pieces_append(struct usage_pieces *to, const struct usage_pieces *from, size_t first)
{
	for (size_t i = first; i < from->len; i++)
		if (!add_piece(to, &from->items[i]))
			return false;
	return true;
}

static int by_place(const void *a, const void *b)
{
	const struct usage_piece *left = a, *right = b;
	if (left->is_inode != right->is_inode)
		return left->is_inode ? -1 : 1;
	if (left->device != right->device)
		return left->device < right->device ? -1 : 1;
	return (left->start > right->start) - (left->start < right->start);
}

/* If `next`, which is sorted behind `piece`, overlaps it, extends `piece`. */
static bool take_in(struct usage_piece *piece, const struct usage_piece *next)
{
	if (piece->is_inode != next->is_inode || piece->device != next->device)
		return false;
	if (piece->is_inode)
		return piece->start == next->start;
	if (next->start > piece->start + piece->length)
		return false;
	uint64_t end = MAX(piece->start + piece->length, next->start + next->length);
	piece->length = end - piece->start;
	return true;
}

uint64_t usage_pieces_merge(struct usage_pieces *pieces, size_t from)
{
	size_t kept = from;
	uint64_t bytes = 0;
	if (pieces->len == from)
		return 0;
	qsort(pieces->items + from, pieces->len - from, sizeof(*pieces->items), by_place);
	for (size_t i = from + 1; i < pieces->len; i++)
		if (!take_in(&pieces->items[kept], &pieces->items[i]))
			pieces->items[++kept] = pieces->items[i];
	pieces->len = kept + 1;
	for (size_t i = from; i < pieces->len; i++)
		bytes += pieces->items[i].length;
	return bytes;
}

/* An inode all of whose names are in this tree belongs to the tree alone. */
static uint64_t drop_own_inodes(struct usage_pieces *pieces, size_t from)
{
	uint64_t own = 0;
	size_t kept = from;
	if (pieces->len == from)
		return 0;
	qsort(pieces->items + from, pieces->len - from, sizeof(*pieces->items), by_place);
	for (size_t i = from; i < pieces->len;) {
		const struct usage_piece piece = pieces->items[i];
		size_t names = 1;
		while (piece.is_inode && i + names < pieces->len &&
		       by_place(&piece, &pieces->items[i + names]) == 0)
			names++;
		if (piece.is_inode && names == piece.links)
			own += piece.length;
		else
			pieces->items[kept++] = piece;
		i += names;
	}
	pieces->len = kept;
	return own;
}

/* ---- reflinks ---- */

struct file_blocks {
	dev_t device;
	struct usage_pieces *pieces;
	uint32_t flags; /* of extents to be added; 0: any */
	uint64_t bytes;
	bool failed; /* out of memory */
};

static bool add_extent(const struct fiemap_extent *extent, void *userdata)
{
	struct file_blocks *blocks = userdata;
	const struct usage_piece piece = {.device = blocks->device,
	                                  .start = extent->fe_physical,
	                                  .length = extent->fe_length};
	if ((extent->fe_flags & blocks->flags) != blocks->flags)
		return true;
	blocks->failed = !add_piece(blocks->pieces, &piece);
	blocks->bytes += piece.length;
	return !blocks->failed;
}

bool usage_pieces_of_file(struct usage_pieces *pieces, int fd, dev_t device)
{
	struct file_blocks blocks = {.device = device, .pieces = pieces};
	extents_each(fd, 0, add_extent, &blocks);
	return !blocks.failed;
}

/* Adds the blocks that are shared, as pieces; *bytes says how many. If the kernel cannot say, they
 * count as not shared. */
static int add_shared_blocks(const struct tree_entry *entry, struct usage_pieces *pieces,
                             uint64_t *bytes, cst_error **error)
{
	struct file_blocks shared = {
	        .device = entry->stat.st_dev, .pieces = pieces, .flags = FIEMAP_EXTENT_SHARED};
	_cleanup_close_ int fd = openat(entry->dirfd, entry->name,
	                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		extents_each(fd, 0, add_extent, &shared);
	*bytes = shared.bytes;
	return shared.failed ? error_oom(error) : 0;
}

/* ---- a tree ---- */

static int scan_entry(const struct tree_entry *entry, bool reflinks, struct usage_pieces *pieces,
                      struct usage_scanned *sum, cst_error **error)
{
	const struct stat *st = &entry->stat;
	uint64_t bytes = (uint64_t)st->st_blocks * BLOCK_SIZE_OF_STAT, shared = 0;
	sum->entries++;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		const struct usage_piece piece = {.is_inode = true,
		                                  .device = st->st_dev,
		                                  .start = st->st_ino,
		                                  .length = bytes,
		                                  .links = st->st_nlink};
		return add_piece(pieces, &piece) ? 0 : error_oom(error);
	}
	int r = reflinks && S_ISREG(st->st_mode) && bytes > 0
	                ? add_shared_blocks(entry, pieces, &shared, error)
	                : 0;
	sum->exclusive += bytes - MIN(bytes, shared);
	return r;
}

int usage_scan(int fd, struct usage_pieces *pieces, struct usage_scanned *ret, cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	struct usage_scanned sum = {.entries = 1};
	size_t before = pieces->len;
	bool reflinks = extents_may_be_shared(fd);
	struct stat root;
	if (fstat(fd, &root) < 0)
		return error_sys(error, errno, "fstat");
	sum.exclusive = (uint64_t)root.st_blocks * BLOCK_SIZE_OF_STAT;
	int r = tree_walk_new(&fd, 1, true, &walk, error);
	while (r == 0) {
		enum tree_event event;
		struct tree_entry entry;
		r = tree_walk_next(walk, &event, &entry, error);
		if (r == 0 && event == TREE_END)
			break;
		if (r == 0 && event == TREE_ENTRY)
			r = scan_entry(&entry, reflinks, pieces, &sum, error);
	}
	if (r < 0)
		return r;
	sum.exclusive += drop_own_inodes(pieces, before);
	sum.shared = usage_pieces_merge(pieces, before);
	*ret = sum;
	return 0;
}
