/* SPDX-License-Identifier: Apache-2.0 */
/* Reads composefs images: superblock, inodes and directories. */
#include "base/fs.h"
#include "erofs/read_parts.h"
#include <errno.h>
#include <sys/stat.h>

int erofs_corrupt(const struct erofs_image *image, const char *what, cst_error **error)
{
	return error_set(error, CST_ECORRUPT, "composefs image %s: %s", image->shown, what);
}

/* ---- bytes ---- */

static int load(struct erofs_image *image, uint64_t block, const struct cached **ret,
                cst_error **error)
{
	struct cached *cached = &image->cache[block % CACHE_BLOCKS];
	if (cached->len > 0 && cached->block == block) {
		*ret = cached;
		return 0;
	}
	cached->len = 0;
	ssize_t n =
	        fs_pread_full(image->fd, cached->data, EROFS_BLOCK, (off_t)(block * EROFS_BLOCK));
	if (n < 0)
		return error_sys(error, errno, "read %s", image->shown);
	cached->block = block;
	cached->len = (size_t)n;
	*ret = cached;
	return 0;
}

int erofs_read(struct erofs_image *image, uint64_t at, void *to, size_t n, cst_error **error)
{
	char *out = to;
	if (at > image->size || n > image->size - at)
		return erofs_corrupt(image, "it refers to something behind its end", error);
	while (n > 0) {
		const struct cached *cached = NULL;
		size_t from = at % EROFS_BLOCK, some = MIN(n, EROFS_BLOCK - from);
		int r = load(image, at / EROFS_BLOCK, &cached, error);
		if (r < 0)
			return r;
		if (from + some > cached->len)
			return erofs_corrupt(image, "it became shorter", error);
		memcpy(out, cached->data + from, some);
		out += some;
		at += some;
		n -= some;
	}
	return 0;
}

/* ---- the image ---- */

static int take_super(struct erofs_image *image, cst_error **error)
{
	struct composefs_header header;
	struct erofs_super super;
	if (image->size < EROFS_SUPER_AT + sizeof(super))
		return erofs_corrupt(image, "it is too short", error);
	int r = erofs_read(image, 0, &header, sizeof(header), error);
	if (r == 0)
		r = erofs_read(image, EROFS_SUPER_AT, &super, sizeof(super), error);
	if (r < 0)
		return r;
	if (header.magic != COMPOSEFS_MAGIC || super.magic != EROFS_MAGIC)
		return erofs_corrupt(image, "it does not begin as one", error);
	if (header.version != COMPOSEFS_VERSION || super.block_bits != EROFS_BLOCK_BITS ||
	    super.incompat != 0)
		return erofs_corrupt(image, "it has features that are not known", error);
	image->root = super.root;
	image->has_acl = header.flags & COMPOSEFS_HAS_ACL;
	image->build_time = (struct timespec){.tv_sec = (time_t)super.build_time,
	                                      .tv_nsec = super.build_time_nsec};
	image->inodes_at = (uint64_t)super.inodes_block * EROFS_BLOCK;
	image->shared_at = (uint64_t)super.xattrs_block * EROFS_BLOCK;
	return 0;
}

int erofs_image_open(int fd, const char *shown, struct erofs_image **ret, cst_error **error)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat %s", shown);
	int r = fs_must_be_regular(fd, shown, error);
	if (r < 0)
		return r;
	_cleanup_erofs_image_ struct erofs_image *image = new0(struct erofs_image, 1);
	if (!image || !(image->shown = strdup(shown)))
		return error_oom(error);
	image->fd = fd;
	image->size = (uint64_t)st.st_size;
	r = take_super(image, error);
	if (r == 0)
		*ret = steal_ptr(&image);
	return r;
}

void erofs_image_free(struct erofs_image *image)
{
	if (!image)
		return;
	free(image->shown);
	free(image);
}

bool erofs_image_has_acl(const struct erofs_image *image)
{
	return image->has_acl;
}

/* ---- inodes ---- */

static void take_small(const struct erofs_image *image, const struct erofs_small_inode *from,
                       struct erofs_inode *to)
{
	*to = (struct erofs_inode){.mode = from->mode,
	                           .nlink = from->nlink,
	                           .uid = from->uid,
	                           .gid = from->gid,
	                           .size = from->size,
	                           .mtime = image->build_time};
}

static void take_large(const struct erofs_large_inode *from, struct erofs_inode *to)
{
	*to = (struct erofs_inode){
	        .mode = from->mode,
	        .nlink = from->nlink,
	        .uid = from->uid,
	        .gid = from->gid,
	        .size = from->size,
	        .mtime = {.tv_sec = (time_t)from->mtime, .tv_nsec = from->mtime_nsec}};
}

static int check_inode(const struct erofs_image *image, const struct erofs_inode *inode,
                       cst_error **error)
{
	uint32_t type = inode->mode & S_IFMT;
	bool flat = inode->layout == EROFS_PLAIN || inode->layout == EROFS_INLINE;
	if (inode->layout == EROFS_CHUNKS ? type != S_IFREG : !flat)
		return erofs_corrupt(image, "an inode has data of a kind that is not known", error);
	if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK && type != S_IFCHR &&
	    type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK)
		return erofs_corrupt(image, "an inode has a type that no file has", error);
	if (type == S_IFDIR && inode->size > image->size)
		return erofs_corrupt(image, "a directory is larger than the image", error);
	if (inode->mtime.tv_nsec > 999999999)
		return erofs_corrupt(image, "an inode has a time that is none", error);
	if (inode->layout == EROFS_INLINE &&
	    inode->tail_at % EROFS_BLOCK + inode->size % EROFS_BLOCK > EROFS_BLOCK)
		return erofs_corrupt(image, "data behind an inode are in two blocks", error);
	return 0;
}

int erofs_image_inode(struct erofs_image *image, uint64_t slot, struct erofs_inode *ret,
                      cst_error **error)
{
	union {
		struct erofs_small_inode small;
		struct erofs_large_inode large;
	} on_disk = {0};
	struct erofs_inode inode;
	if (slot > image->size / EROFS_SLOT)
		return erofs_corrupt(image, "it refers to something behind its end", error);
	uint64_t at = image->inodes_at + slot * EROFS_SLOT;
	int r = erofs_read(image, at, &on_disk, sizeof(on_disk.small), error);
	bool large = r == 0 && on_disk.small.format & 1;
	if (large)
		r = erofs_read(image, at, &on_disk, sizeof(on_disk.large), error);
	if (r < 0)
		return r;
	if (large)
		take_large(&on_disk.large, &inode);
	else
		take_small(image, &on_disk.small, &inode);
	uint32_t where = large ? on_disk.large.where : on_disk.small.where;
	uint16_t count = on_disk.small.xattr_count;
	inode.slot = slot;
	inode.layout = on_disk.small.format >> 1 & 7;
	inode.xattrs_at = at + (large ? sizeof(on_disk.large) : sizeof(on_disk.small));
	if (count > 0)
		inode.xattrs_size = sizeof(struct erofs_xattrs) + (count - 1U) * sizeof(uint32_t);
	inode.tail_at = inode.xattrs_at + inode.xattrs_size;
	inode.blocks_at = (uint64_t)where * EROFS_BLOCK;
	if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode))
		inode.rdev = where;
	r = check_inode(image, &inode, error);
	if (r == 0)
		*ret = inode;
	return r;
}

static int read_root(struct erofs_image *image, struct erofs_inode *ret, cst_error **error)
{
	struct erofs_inode root;
	int r = erofs_image_inode(image, image->root, &root, error);
	if (r == 0 && !S_ISDIR(root.mode))
		r = erofs_corrupt(image, "its root is no directory", error);
	if (r == 0)
		*ret = root;
	return r;
}

int erofs_read_data(struct erofs_image *image, const struct erofs_inode *inode, uint64_t at,
                    void *to, size_t n, cst_error **error)
{
	uint64_t tail = inode->size;
	if (inode->layout == EROFS_INLINE)
		tail = inode->size / EROFS_BLOCK * EROFS_BLOCK;
	size_t before = at < tail ? (size_t)MIN((uint64_t)n, tail - at) : 0;
	int r = before > 0 ? erofs_read(image, inode->blocks_at + at, to, before, error) : 0;
	if (r == 0 && before < n)
		r = erofs_read(image, inode->tail_at + (at + before - tail), (char *)to + before,
		               n - before, error);
	return r;
}

/* ---- directories ---- */

/* A block of a directory: entries, and their names behind them. */
struct dir_block {
	union {
		struct erofs_dirent entries[EROFS_BLOCK / sizeof(struct erofs_dirent)];
		char bytes[EROFS_BLOCK];
	};
	size_t len;
	uint32_t n;
};

static int read_dir_block(struct erofs_image *image, const struct erofs_inode *dir, uint64_t number,
                          struct dir_block *block, cst_error **error)
{
	uint64_t at = number * EROFS_BLOCK;
	block->len = (size_t)MIN(dir->size - at, (uint64_t)EROFS_BLOCK);
	int r = erofs_read_data(image, dir, at, block->bytes, block->len, error);
	if (r < 0)
		return r;
	size_t first = block->len < sizeof(struct erofs_dirent) ? 0 : block->entries[0].name_at;
	if (first == 0 || first % sizeof(struct erofs_dirent) != 0 || first >= block->len)
		return erofs_corrupt(image, "a directory has names in the wrong place", error);
	block->n = (uint32_t)(first / sizeof(struct erofs_dirent));
	return 0;
}

static int take_name(struct erofs_image *image, const struct dir_block *block, uint32_t i,
                     struct erofs_dir_place *place, bool *special, cst_error **error)
{
	size_t at = block->entries[i].name_at, end = block->len;
	if (i + 1 < block->n)
		end = block->entries[i + 1].name_at;
	if (at >= end || end > block->len)
		return erofs_corrupt(image, "a directory has names in the wrong place", error);
	size_t n = end - at;
	if (i + 1 == block->n)
		n = strnlen(block->bytes + at, n);
	const char *name = block->bytes + at;
	*special = (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.');
	if (n == 0 || n > EROFS_NAME_MAX || memchr(name, '/', n) || memchr(name, '\0', n))
		return erofs_corrupt(image, "a directory has a name that no file can have", error);
	char before[EROFS_NAME_MAX + 1];
	strcpy(before, place->last);
	memcpy(place->last, name, n);
	place->last[n] = '\0';
	return strcmp(before, place->last) < 0
	               ? 0
	               : erofs_corrupt(image, "the names of a directory are in the wrong order",
	                               error);
}

int erofs_dir_next(struct erofs_image *image, const struct erofs_inode *dir,
                   struct erofs_dir_place *place, const char **name, uint64_t *slot,
                   cst_error **error)
{
	struct dir_block block;
	while (place->block * EROFS_BLOCK < dir->size) {
		bool special = false;
		int r = read_dir_block(image, dir, place->block, &block, error);
		if (r == 0)
			r = take_name(image, &block, place->index, place, &special, error);
		if (r < 0)
			return r;
		*slot = block.entries[place->index].inode;
		if (++place->index == block.n) {
			place->block++;
			place->index = 0;
		}
		if (!special) {
			*name = place->last;
			return 0;
		}
	}
	*name = NULL;
	return 0;
}

/* Names are in order, so the search ends where the name would be. */
static int find_child(struct erofs_image *image, const struct erofs_inode *dir, const char *wanted,
                      struct erofs_inode *ret, cst_error **error)
{
	struct erofs_dir_place place = {0};
	const char *name;
	uint64_t slot;
	do {
		int r = erofs_dir_next(image, dir, &place, &name, &slot, error);
		if (r < 0)
			return r;
	} while (name && strcmp(name, wanted) < 0);
	if (!name || !streq(name, wanted))
		return error_sys(error, ENOENT, "composefs image %s: %s", image->shown, wanted);
	return erofs_image_inode(image, slot, ret, error);
}

int erofs_image_find(struct erofs_image *image, const char *path, struct erofs_inode *ret,
                     cst_error **error)
{
	struct erofs_inode inode;
	int r = read_root(image, &inode, error);
	for (const char *at = path; r == 0 && *at;) {
		size_t n = strcspn(at, "/");
		_cleanup_free_ char *name = strndup(at, n);
		at += n + (at[n] == '/');
		if (!name)
			return error_oom(error);
		if (n == 0)
			continue;
		if (!S_ISDIR(inode.mode))
			return error_sys(error, ENOTDIR, "composefs image %s: %s", image->shown,
			                 path);
		r = find_child(image, &inode, name, &inode, error);
	}
	if (r == 0)
		*ret = inode;
	return r;
}
