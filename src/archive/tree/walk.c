/* SPDX-License-Identifier: Apache-2.0 */
/* Walks a directory tree (walk.h). */
#include "archive/tree/walk.h"
#include "base/fs.h"
#include "base/fs_chain.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>

/* Descriptors of all trees together, but each keeps two at least. */
#define OPEN_LIMIT 128

/* A directory on the way from the root to where the walk is. */
struct level {
	struct strv names;
	size_t next;     /* index in names */
	size_t path_len; /* of the directory's own path */
	size_t *trees;   /* that have it: indices, [0] is the walked tree */
	size_t n_trees;
};

struct tree_walk {
	bool lenient;
	struct fs_chain *chains; /* of each tree, as far down as it has the directories */
	size_t n_chains;
	struct level *levels;
	size_t depth, capacity;
	struct strbuf path;
	bool started, descend; /* the last entry is a directory to go into */
	bool leaving;          /* the innermost level was reported by TREE_LEAVE: drop it */
};

static int tree_fd(const struct tree_walk *walk, const struct level *level, size_t index)
{
	return fs_chain_fd(&walk->chains[level->trees[index]]);
}

static void level_drop(struct tree_walk *walk)
{
	struct level *level = &walk->levels[--walk->depth];
	strv_free(&level->names);
	free(level->trees);
}

static int leave_trees(struct tree_walk *walk, const size_t *trees, size_t n)
{
	int r = 0;
	for (size_t i = 0; i < n; i++)
		r |= fs_chain_pop(&walk->chains[trees[i]], walk->path.data);
	return r;
}

/* Leaves the innermost directory for the one around it. */
static int go_up(struct tree_walk *walk, cst_error **error)
{
	const struct level *level = &walk->levels[walk->depth - 1];
	walk->path.len = level[-1].path_len;
	walk->path.data[walk->path.len] = '\0';
	if (leave_trees(walk, level->trees, level->n_trees) < 0)
		return error_sys(error, errno, "open %s", strbuf_str(&walk->path));
	level_drop(walk);
	return 0;
}

/* Opens the directory of the last entry in the walked tree and those beside. *ret NULL: it is no directory
 * (any more). */
static int open_trees(struct tree_walk *walk, const struct level *parent, const char *name,
                      size_t **ret, size_t *ret_n, cst_error **error)
{
	_cleanup_free_ size_t *trees = new0(size_t, parent->n_trees);
	size_t n = 0;
	*ret = NULL;
	if (!trees)
		return error_oom(error);
	for (size_t i = 0; i < parent->n_trees; i++) {
		int fd = openat(tree_fd(walk, parent, i), name,
		                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 &&
		    fs_chain_push(&walk->chains[parent->trees[i]], fd, walk->path.len) == 0) {
			trees[n++] = parent->trees[i];
			continue;
		}
		bool no_directory = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
		if (i > 0 && errno == ENOENT)
			continue;
		if (no_directory)
			break;
		int r = error_sys(error, errno, "open %s", strbuf_str(&walk->path));
		leave_trees(walk, trees, n);
		return r;
	}
	*ret = n ? steal_ptr(&trees) : NULL;
	*ret_n = n;
	return 0;
}

/* Of the innermost directory. */
static int list_names(struct tree_walk *walk, cst_error **error)
{
	struct level *level = &walk->levels[walk->depth - 1];
	_cleanup_error_ cst_error *problem = NULL;
	int r = fs_list_dir(tree_fd(walk, level, 0), ".", &level->names,
	                    walk->path.len ? walk->path.data : ".", &problem);
	if (r < 0 && cst_error_errno(problem) == ENOENT && walk->depth > 1)
		return 0; /* it was removed after it was opened */
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
}

/* Takes trees over. */
static int push_level(struct tree_walk *walk, size_t *trees, size_t n, cst_error **error)
{
	struct level *grown =
	        grow_array(walk->levels, &walk->capacity, walk->depth + 1, sizeof(*grown));
	if (!grown) {
		free(trees);
		return error_oom(error);
	}
	walk->levels = grown;
	grown[walk->depth++] =
	        (struct level){.trees = trees, .n_trees = n, .path_len = walk->path.len};
	return 0;
}

static bool is_refused(const cst_error *error)
{
	int problem = cst_error_errno(error);
	return cst_error_code(error) == CST_ESYS && (problem == EACCES || problem == EPERM);
}

/* Goes into the directory of the last entry; stays where it is if that may not be opened. */
static int go_down(struct tree_walk *walk, cst_error **error)
{
	const struct level *parent = &walk->levels[walk->depth - 1];
	size_t *trees = NULL, n = 0;
	_cleanup_error_ cst_error *problem = NULL;
	int r = open_trees(walk, parent, parent->names.items[parent->next - 1], &trees, &n,
	                   &problem);
	if (r == 0 && trees)
		r = push_level(walk, trees, n, &problem);
	if (r == 0 && trees)
		r = list_names(walk, &problem);
	if (r < 0 && walk->lenient && is_refused(problem)) {
		log_warning("skipping %s: %s", strbuf_str(&walk->path), cst_error_message(problem));
		return 0;
	}
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
}

int tree_walk_new(const int *roots, size_t n_roots, bool lenient, struct tree_walk **ret,
                  cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = new0(struct tree_walk, 1);
	if (!walk)
		return error_oom(error);
	walk->lenient = lenient;
	walk->chains = new0(struct fs_chain, n_roots);
	size_t *trees = new0(size_t, n_roots);
	if (!walk->chains || !trees) {
		free(trees);
		return error_oom(error);
	}
	walk->n_chains = n_roots;
	const size_t limit = MAX(OPEN_LIMIT / n_roots, (size_t)2);
	int r = push_level(walk, trees, n_roots, error);
	for (size_t i = 0; r == 0 && i < n_roots; i++) {
		trees[i] = i;
		walk->chains[i].limit = MIN(limit, (size_t)FS_CHAIN_OPEN);
		if (fs_chain_push(&walk->chains[i], roots[i], 0) < 0)
			r = error_sys(error, errno, "stat the top of a tree");
	}
	if (r == 0)
		*ret = steal_ptr(&walk);
	return r;
}

/* The next name of the innermost directory that still exists. *found false: none is left. */
static int next_entry(struct tree_walk *walk, struct tree_entry *entry, bool *found,
                      cst_error **error)
{
	struct level *level = &walk->levels[walk->depth - 1];
	*found = false;
	while (level->next < level->names.len) {
		const char *name = level->names.items[level->next++];
		walk->path.len = level->path_len;
		if (level->path_len)
			strbuf_addc(&walk->path, '/');
		size_t at = walk->path.len;
		strbuf_adds(&walk->path, name);
		if (walk->path.failed)
			return error_oom(error);
		entry->dirfd = tree_fd(walk, level, 0);
		entry->path = walk->path.data;
		entry->name = walk->path.data + at;
		if (fstatat(entry->dirfd, name, &entry->stat, AT_SYMLINK_NOFOLLOW) == 0) {
			*found = true;
			return 0;
		}
		bool refused = errno == EACCES || errno == EPERM;
		if (errno != ENOENT && !(refused && walk->lenient))
			return error_sys(error, errno, "lstat %s", entry->path);
		if (refused)
			log_warning("skipping %s: %s", entry->path, errno_text(errno));
	}
	return 0;
}

int tree_walk_next(struct tree_walk *walk, enum tree_event *event, struct tree_entry *entry,
                   cst_error **error)
{
	int r = 0;
	if (!walk->started) {
		walk->started = true;
		r = list_names(walk, error);
	} else if (walk->leaving) {
		walk->leaving = false;
		r = go_up(walk, error);
	} else if (walk->descend) {
		walk->descend = false;
		r = go_down(walk, error);
	}
	bool found;
	if (r < 0 || (r = next_entry(walk, entry, &found, error)) < 0)
		return r;
	if (found) {
		walk->descend = S_ISDIR(entry->stat.st_mode);
		*event = TREE_ENTRY;
		return 0;
	}
	if (walk->depth == 1) {
		*event = TREE_END;
		return 0;
	}
	const struct level *level = &walk->levels[walk->depth - 1];
	walk->path.len = level->path_len;
	walk->path.data[walk->path.len] = '\0';
	entry->path = walk->path.data;
	entry->name = path_base(entry->path);
	entry->dirfd = tree_fd(walk, level, 0);
	walk->leaving = true;
	*event = TREE_LEAVE;
	return 0;
}

void tree_walk_skip(struct tree_walk *walk)
{
	walk->descend = false;
}

size_t tree_walk_depth(const struct tree_walk *walk)
{
	return walk->depth;
}

size_t tree_walk_beside(const struct tree_walk *walk)
{
	return walk->levels[walk->depth - 1].n_trees - 1;
}

int tree_walk_beside_fd(const struct tree_walk *walk, size_t index)
{
	return tree_fd(walk, &walk->levels[walk->depth - 1], index + 1);
}

void tree_walk_free(struct tree_walk *walk)
{
	while (walk->depth)
		level_drop(walk);
	free(walk->levels);
	for (size_t i = 0; i < walk->n_chains; i++)
		fs_chain_free(&walk->chains[i]);
	free(walk->chains);
	strbuf_free(&walk->path);
	free(walk);
}
