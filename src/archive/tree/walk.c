/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tree/walk.h"
#include "base/fs.h"
#include "base/log.h"
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define RESOLVE_NO_SYMLINKS 0x04 /* linux/openat2.h */
#define RESOLVE_BENEATH     0x08

/* Descriptors kept besides those of the two innermost directories. */
#define OPEN_LIMIT 128

/* One directory in one tree. */
struct place {
	size_t root;
	int fd; /* -1: given up */
	dev_t dev;
	ino_t ino;
};

/* A directory on the way from the root to where the walk is. */
struct level {
	struct strv names;
	size_t next;          /* index in names */
	size_t path_len;      /* of the directory's own path */
	struct place *places; /* [0] is the walked tree's */
	size_t n_places;
};

struct tree_walk {
	int *roots;
	bool lenient;
	struct level *levels;
	size_t depth, capacity;
	struct strbuf path;
	bool started, descend; /* the last entry is a directory to go into */
	bool leaving;          /* the innermost level was reported by TREE_LEAVE: drop it */
	size_t open;           /* descriptors that are ours */
	size_t oldest;         /* levels below this one (but the root) have given theirs up */
};

static int open_component_wise(int root, const char *path, int flags)
{
	_cleanup_close_ int fd = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && *path) {
		char name[NAME_MAX + 1];
		size_t n = strcspn(path, "/");
		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n + strspn(path + n, "/");
		int next = openat(fd, name,
		                  (*path ? O_PATH : flags) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		closep(&fd);
		fd = next;
	}
	return steal_fd(&fd);
}

/* As much of the path as one call takes, cut at a slash. */
static size_t chunk_length(const char *path)
{
	size_t n = strnlen(path, PATH_MAX - 1);
	if (!path[n])
		return n;
	const char *slash = memrchr(path, '/', n);
	return slash ? (size_t)(slash - path) : n;
}

int tree_open_dir(int root, const char *path, int flags)
{
	if (!*path || streq(path, "."))
		return openat(root, ".", flags | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	for (const char *rest = path; *rest;) {
		char chunk[PATH_MAX];
		size_t n = chunk_length(rest);
		memcpy(chunk, rest, n);
		chunk[n] = '\0';
		rest += n + strspn(rest + n, "/");
		struct open_how_v0 how = {
		        .flags = (uint64_t)((*rest ? O_PATH : flags) | O_DIRECTORY | O_NOFOLLOW |
		                            O_CLOEXEC),
		        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
		};
		int next = sys_openat2(fd < 0 ? root : fd, chunk, &how);
		if (next < 0 && (errno == ENOSYS || errno == EPERM))
			return open_component_wise(root, path, flags);
		if (next < 0)
			return -1;
		closep(&fd);
		fd = next;
	}
	return steal_fd(&fd);
}

static void level_close(struct tree_walk *walk, size_t index)
{
	struct level *level = &walk->levels[index];
	for (size_t i = 0; i < level->n_places; i++) {
		if (level->places[i].fd < 0 || index == 0)
			continue;
		closep(&level->places[i].fd);
		level->places[i].fd = -1;
		walk->open--;
	}
}

static void level_drop(struct tree_walk *walk)
{
	size_t index = walk->depth - 1;
	level_close(walk, index);
	strv_free(&walk->levels[index].names);
	free(walk->levels[index].places);
	walk->depth--;
	if (walk->oldest > walk->depth)
		walk->oldest = walk->depth;
}

/* Gives up descriptors of the outermost directories; the two innermost keep theirs. */
static void limit_open(struct tree_walk *walk)
{
	while (walk->open > OPEN_LIMIT && walk->oldest + 2 < walk->depth)
		level_close(walk, walk->oldest++);
}

/* Opens one directory again, by ".." of a child in the same tree or from the root. */
static int reopen(struct tree_walk *walk, struct place *place, const struct level *child)
{
	for (size_t i = 0; child && i < child->n_places; i++) {
		if (child->places[i].root != place->root || child->places[i].fd < 0)
			continue;
		_cleanup_close_ int fd =
		        openat(child->places[i].fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat st;
		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == place->dev &&
		    st.st_ino == place->ino)
			return steal_fd(&fd);
	}
	_cleanup_close_ int fd =
	        tree_open_dir(walk->roots[place->root], strbuf_str(&walk->path), O_RDONLY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (st.st_dev != place->dev || st.st_ino != place->ino) {
		errno = ESTALE;
		return -1;
	}
	return steal_fd(&fd);
}

/* Leaves the innermost directory for the one around it. */
static int go_up(struct tree_walk *walk, cst_error **error)
{
	struct level *child = &walk->levels[walk->depth - 1], *level = child - 1;
	walk->path.len = level->path_len;
	walk->path.data[walk->path.len] = '\0';
	for (size_t i = 0; i < level->n_places; i++) {
		struct place *place = &level->places[i];
		if (place->fd >= 0)
			continue;
		place->fd = reopen(walk, place, child);
		if (place->fd < 0)
			return error_sys(error, errno, "open %s", strbuf_str(&walk->path));
		walk->open++;
	}
	level_drop(walk);
	if (walk->oldest > 1 && walk->oldest >= walk->depth)
		walk->oldest = MAX((size_t)1, walk->depth - 1);
	return 0;
}

static void places_free(struct place *places, size_t n)
{
	for (size_t i = 0; places && i < n; i++)
		closep(&places[i].fd);
	free(places);
}

/* Opens `name` in the walked tree and those beside. *ret NULL: it is no directory (any more). */
static int open_places(struct tree_walk *walk, const struct level *parent, const char *name,
                       struct place **ret, size_t *ret_n, cst_error **error)
{
	struct place *places = new0(struct place, parent->n_places);
	size_t n = 0;
	if (!places)
		return error_oom(error);
	for (size_t i = 0; i < parent->n_places; i++) {
		struct stat st;
		int fd = openat(parent->places[i].fd, name,
		                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int problem = fd < 0 || fstat(fd, &st) < 0 ? errno : 0;
		if (problem == 0) {
			places[n++] =
			        (struct place){parent->places[i].root, fd, st.st_dev, st.st_ino};
			continue;
		}
		closep(&fd);
		bool no_directory = problem == ENOENT || problem == ENOTDIR || problem == ELOOP;
		if (i > 0 && problem == ENOENT)
			continue;
		if (i > 0 && no_directory)
			break;
		places_free(places, n);
		if (i == 0 && no_directory) {
			*ret = NULL;
			return 0;
		}
		return error_sys(error, problem, "open %s", strbuf_str(&walk->path));
	}
	*ret = places;
	*ret_n = n;
	return 0;
}

static int list_names(const struct tree_walk *walk, int fd, struct strv *ret, cst_error **error)
{
	return fs_list_dir(fd, ".", ret, walk->path.len ? walk->path.data : ".", error);
}

/* Takes places over. */
static int push_level(struct tree_walk *walk, struct place *places, size_t n, cst_error **error)
{
	struct level *grown =
	        grow_array(walk->levels, &walk->capacity, walk->depth + 1, sizeof(*grown));
	if (!grown) {
		places_free(places, n);
		return error_oom(error);
	}
	walk->levels = grown;
	grown[walk->depth] =
	        (struct level){.places = places, .n_places = n, .path_len = walk->path.len};
	if (walk->depth++ > 0)
		walk->open += n;
	return list_names(walk, places[0].fd, &grown[walk->depth - 1].names, error);
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
	struct place *places = NULL;
	size_t n = 0;
	_cleanup_error_ cst_error *problem = NULL;
	int r = open_places(walk, parent, parent->names.items[parent->next - 1], &places, &n,
	                    &problem);
	if (r == 0 && places)
		r = push_level(walk, places, n, &problem);
	if (r < 0 && walk->lenient && is_refused(problem)) {
		log_warning("skipping %s: %s", strbuf_str(&walk->path), cst_error_message(problem));
		return 0;
	}
	if (r < 0)
		return error_propagate(error, steal_ptr(&problem));
	limit_open(walk);
	return 0;
}

int tree_walk_new(const int *roots, size_t n_roots, bool lenient, struct tree_walk **ret,
                  cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = new0(struct tree_walk, 1);
	if (!walk)
		return error_oom(error);
	walk->roots = new0(int, n_roots);
	struct place *places = new0(struct place, n_roots);
	if (!walk->roots || !places) {
		free(places);
		return error_oom(error);
	}
	memcpy(walk->roots, roots, n_roots * sizeof(int));
	walk->lenient = lenient;
	walk->oldest = 1; /* the roots' descriptors are the caller's */
	for (size_t i = 0; i < n_roots; i++)
		places[i] = (struct place){.root = i, .fd = roots[i]};
	struct level *levels = grow_array(NULL, &walk->capacity, 1, sizeof(*levels));
	if (!levels) {
		free(places);
		return error_oom(error);
	}
	walk->levels = levels;
	levels[0] = (struct level){.places = places, .n_places = n_roots};
	walk->depth = 1;
	*ret = steal_ptr(&walk);
	return 0;
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
		entry->dirfd = level->places[0].fd;
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
		r = list_names(walk, walk->roots[0], &walk->levels[0].names, error);
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
	entry->dirfd = level->places[0].fd;
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
	return walk->levels[walk->depth - 1].n_places - 1;
}

int tree_walk_beside_fd(const struct tree_walk *walk, size_t index)
{
	return walk->levels[walk->depth - 1].places[index + 1].fd;
}

void tree_walk_free(struct tree_walk *walk)
{
	while (walk->depth)
		level_drop(walk);
	free(walk->levels);
	free(walk->roots);
	strbuf_free(&walk->path);
	free(walk);
}
