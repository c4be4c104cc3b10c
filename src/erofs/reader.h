/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads composefs images. An image comes from strangers: nothing outside of the file is read, a directory has one place in the tree,
 * and all directories together are not longer than the file, so that a walk ends. What mkcomposefs does not make is CST_ECORRUPT.
 */
#ifndef CST_EROFS_READER_H
#define CST_EROFS_READER_H

#include "erofs/writer.h"

struct erofs_image;
/* The descriptor stays the caller's, and must stay open. `shown` names the image in messages. */
int erofs_image_open(int fd, const char *shown, struct erofs_image **ret, cst_error **error);
void erofs_image_free(struct erofs_image *image);
bool erofs_image_has_acl(const struct erofs_image *image); /* POSIX ACLs; else it is to be mounted with noacl */
DEFINE_CLEANUP(struct erofs_image *, erofs_image_free)
#define _cleanup_erofs_image_ _cleanup_(erofs_image_freep)

struct erofs_inode {
	uint64_t slot; /* its number in the image; names of one file have the same */
	uint32_t mode, nlink, uid, gid, rdev;
	uint64_t size;
	struct timespec mtime;
	/* where its parts are in the file */
	uint64_t xattrs_at, tail_at, blocks_at;
	size_t xattrs_size;
	enum erofs_layout layout;
};
/* What is at a path, "" or "/" being the root; no symlink is followed. CST_ESYS and ENOENT or ENOTDIR. */
int erofs_image_find(struct erofs_image *image, const char *path, struct erofs_inode *ret, cst_error **error);

/* A whiteout for overlay, which hides what is below. A whiteout that is content is a regular file here. */
static inline bool erofs_hides(const struct erofs_inode *inode)
{
	return (inode->mode & 0170000) == 0020000 && inode->rdev == 0;
}

/* A place in a directory; zero-initialised is its beginning. */
struct erofs_dir_place {
	uint64_t block;
	uint32_t index;
	char last[EROFS_NAME_MAX + 1]; /* the name that was found last */
};
/* The next name, "." and ".." left out, and the slot of its inode. *name is in the place, and NULL at the end. */
int erofs_dir_next(struct erofs_image *image, const struct erofs_inode *dir, struct erofs_dir_place *place, const char **name,
		   uint64_t *slot, cst_error **error);
int erofs_image_inode(struct erofs_image *image, uint64_t slot, struct erofs_inode *ret, cst_error **error);

/* All there is to say of an inode as the writer takes it, but for path and link: escapes of overlay's attributes are undone, and
 * whiteouts that are content are whiteouts again. Strings are in the arena. */
int erofs_image_entry(struct erofs_image *image, const struct erofs_inode *inode, struct arena *arena, struct erofs_entry *ret,
		      cst_error **error);

/* Everything at and below a path, depth first, names in order. `layer`: whiteouts for overlay, too. */
struct erofs_walk;
struct erofs_walked {
	const char *path;  /* "/" or absolute; until the next step. NULL: the end */
	const char *first; /* of a further name of a file: the one that came before; NULL: none did */
	struct erofs_inode inode;
};
int erofs_walk_new(struct erofs_image *image, const char *path, bool layer, struct erofs_walk **ret, cst_error **error);
int erofs_walk_next(struct erofs_walk *walk, struct erofs_walked *ret, cst_error **error);
void erofs_walk_free(struct erofs_walk *walk);
DEFINE_CLEANUP(struct erofs_walk *, erofs_walk_free)
#define _cleanup_erofs_walk_ _cleanup_(erofs_walk_freep)

#endif
