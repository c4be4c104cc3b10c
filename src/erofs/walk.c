/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the tree of an image. */
#include "archive/tree/inode_map.h"
#include "base/str.h"
#include "erofs/read_parts.h"
#include <sys/stat.h>

/* Each directory adds to the path of what is below it: without a limit a small image would be a long dump. */
#define WALK_PATH_MAX 65536

struct level {
	struct erofs_inode dir;
	struct erofs_dir_place place;
	size_t path_len;
};

struct erofs_walk {
	struct erofs_image *image;
	struct erofs_inode start;
	bool started, layer;
	struct strbuf path; /* of the last entry; the root's is "" */
	struct level *levels;
	size_t n_levels, capacity;
	struct inode_map dirs, files; /* that were met, these with their paths */
	uint64_t dir_bytes;
};

int erofs_walk_new(struct erofs_image *image, const char *path, bool layer, struct erofs_walk **ret,
                   cst_error **error)
{
	_cleanup_erofs_walk_ struct erofs_walk *walk = new0(struct erofs_walk, 1);
	if (!walk)
		return error_oom(error);
	walk->image = image;
	walk->layer = layer;
	int r = erofs_image_find(image, path, &walk->start, error);
	for (const char *at = path; *at; at += strcspn(at, "/")) {
		at += strspn(at, "/");
		if (*at)
			strbuf_addc(&walk->path, '/');
		strbuf_add(&walk->path, at, strcspn(at, "/"));
	}
	if (r == 0 && walk->path.failed)
		r = error_oom(error);
	if (r == 0)
		*ret = steal_ptr(&walk);
	return r;
}

void erofs_walk_free(struct erofs_walk *walk)
{
	if (!walk)
		return;
	strbuf_free(&walk->path);
	free(walk->levels);
	inode_map_free(&walk->dirs);
	inode_map_free(&walk->files);
	free(walk);
}

static int enter(struct erofs_walk *walk, const struct erofs_inode *dir, cst_error **error)
{
	bool failed = false;
	if (!inode_map_add(&walk->dirs, 0, dir->slot, &failed))
		return failed ? error_oom(error)
		              : erofs_corrupt(walk->image, "a directory is in two places", error);
	walk->dir_bytes += dir->size;
	if (walk->dir_bytes > walk->image->size)
		return erofs_corrupt(walk->image, "its directories are larger than itself", error);
	struct level *levels =
	        grow_array(walk->levels, &walk->capacity, walk->n_levels + 1, sizeof(*levels));
	if (!levels)
		return error_oom(error);
	walk->levels = levels;
	levels[walk->n_levels++] = (struct level){.dir = *dir, .path_len = walk->path.len};
	return 0;
}

/* Tells of the inode at the walk's path. */
static int tell(struct erofs_walk *walk, const struct erofs_inode *inode, struct erofs_walked *ret,
                cst_error **error)
{
	*ret = (struct erofs_walked){.path = walk->path.len > 0 ? walk->path.data : "/",
	                             .inode = *inode};
	if (S_ISDIR(inode->mode))
		return enter(walk, inode, error);
	ret->first = inode_map_get(&walk->files, 0, inode->slot);
	if (!ret->first && !inode_map_put(&walk->files, 0, inode->slot, ret->path))
		return error_oom(error);
	return 0;
}

/* The path of a name in the innermost directory. */
static int set_path(struct erofs_walk *walk, const char *name, cst_error **error)
{
	size_t keep = walk->levels[walk->n_levels - 1].path_len;
	if (keep + strlen(name) > WALK_PATH_MAX)
		return erofs_corrupt(walk->image, "it has a path of more than 65536 bytes", error);
	walk->path.len = keep;
	strbuf_addc(&walk->path, '/');
	strbuf_adds(&walk->path, name);
	return walk->path.failed ? error_oom(error) : 0;
}

int erofs_walk_next(struct erofs_walk *walk, struct erofs_walked *ret, cst_error **error)
{
	if (!walk->started) {
		walk->started = true;
		return tell(walk, &walk->start, ret, error);
	}
	while (walk->n_levels > 0) {
		struct level *level = &walk->levels[walk->n_levels - 1];
		struct erofs_inode inode;
		const char *name;
		uint64_t slot;
		int r = erofs_dir_next(walk->image, &level->dir, &level->place, &name, &slot,
		                       error);
		if (r == 0 && !name) {
			walk->n_levels--;
			continue;
		}
		if (r == 0)
			r = erofs_image_inode(walk->image, slot, &inode, error);
		if (r == 0 && erofs_hides(&inode) && !walk->layer)
			continue;
		if (r == 0)
			r = set_path(walk, name, error);
		return r == 0 ? tell(walk, &inode, ret, error) : r;
	}
	*ret = (struct erofs_walked){0};
	return 0;
}
