/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that are kept open, and walking through one without recursion. */
#include "archive/unpack/directories.h"
#include "archive/unpack/way.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

/* Takes over fd, also on failure. */
static int finish_open(const struct own_names *own, int fd, struct directory *ret)
{
	if (fd < 0 || directory_at(own, fd, ret) < 0) {
		closep(&fd);
		return -1;
	}
	return 0;
}

int directory_open_child(const struct own_names *own, const struct directory *parent,
                         const char *name, struct directory *ret)
{
	int fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return finish_open(own, fd, ret);
}

/* ---- cache ---- */

static void slot_clear(struct directory_slot *slot)
{
	if (!slot->path)
		return;
	close(slot->directory.fd);
	free(slot->path);
	*slot = (struct directory_slot){0};
}

void directory_cache_clear(struct target *t)
{
	for (size_t i = 0; i < t->directories.n_slots; i++)
		slot_clear(&t->directories.slots[i]);
	t->directories.stale = false;
}

void directory_cache_begin_entry(struct target *t)
{
	if (t->directories.stale)
		directory_cache_clear(t);
}

void directory_paths_changed(struct target *t)
{
	t->directories.stale = true;
	sync_list_give_up(&t->sync);
}

size_t directory_slots(size_t descriptors)
{
	if (descriptors < 2 * DIRECTORY_WAYS)
		return MAX(descriptors, (size_t)DIRECTORY_SLOTS_MIN);
	return MIN(descriptors, (size_t)DIRECTORY_SLOTS) / DIRECTORY_WAYS * DIRECTORY_WAYS;
}

/* The slots that a path may be in. What one entry needs is in *n of them at the same time, whatever the hashes. */
static struct directory_slot *slots_of(struct directory_cache *cache, uint64_t hash, size_t *n)
{
	size_t sets = MAX(cache->n_slots / DIRECTORY_WAYS, (size_t)1);
	*n = cache->n_slots / sets;
	return &cache->slots[hash % sets * *n];
}

static struct directory_slot *find_slot(struct directory_cache *cache, const char *path, size_t n,
                                        uint64_t hash)
{
	size_t ways;
	struct directory_slot *slots = slots_of(cache, hash, &ways);

	for (size_t i = 0; i < ways; i++) {
		struct directory_slot *slot = &slots[i];
		if (slot->path && slot->hash == hash && strlen(slot->path) == n &&
		    memcmp(slot->path, path, n) == 0)
			return slot;
	}
	return NULL;
}

static struct directory_slot *oldest_slot(struct directory_cache *cache, uint64_t hash)
{
	size_t ways;
	struct directory_slot *slots = slots_of(cache, hash, &ways);
	struct directory_slot *oldest = slots;

	for (size_t i = 1; i < ways; i++)
		if (slots[i].used < oldest->used)
			oldest = &slots[i];
	return oldest;
}

static int open_path(struct target *t, const char *path, enum directory_missing missing)
{
	if (!*path)
		return openat(t->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = fs_open_in_root(t->root_fd, path, O_RDONLY | O_DIRECTORY);
	if (fd >= 0 || missing == DIRECTORY_MUST_EXIST || (errno != ENOENT && errno != ENOTDIR))
		return fd;
	_cleanup_way_ struct way way = WAY_INIT;
	return way_go(t, path, strlen(path), missing, &way) < 0 ? -1 : steal_fd(&way.fd);
}

static struct directory_slot *cached(struct target *t, const char *path, size_t n, uint64_t *hash)
{
	*hash = siphash24(path, n, t->own.hash_key);
	struct directory_slot *slot = find_slot(&t->directories, path, n, *hash);
	if (slot)
		slot->used = ++t->directories.clock;
	return slot;
}

/* A real directory in one that is open: a path of thousands of names is not gone from its start for
 * each directory at its end. -1: it is none, or the way to it is not known. */
static int open_below_cached(struct target *t, const char *path, size_t n)
{
	const char *slash = memrchr(path, '/', n);
	uint64_t hash;
	const struct directory_slot *parent =
	        slash ? cached(t, path, (size_t)(slash - path), &hash) : NULL;
	char name[NAME_MAX + 1];
	if (!parent || (size_t)(path + n - slash) > sizeof(name))
		return -1;
	*(char *)mempcpy(name, slash + 1, (size_t)(path + n - slash) - 1) = '\0';
	return openat(parent->directory.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Takes over the path and the descriptor. */
static void slot_set(struct directory_cache *cache, struct directory_slot *slot, char *path,
                     uint64_t hash, const struct directory *directory)
{
	*slot = (struct directory_slot){
	        .path = path, .hash = hash, .used = ++cache->clock, .directory = *directory};
}

bool directory_cache_keep(struct target *t, const char *path, const struct directory *directory)
{
	uint64_t hash;

	if (cached(t, path, strlen(path), &hash))
		return false;
	char *copy = strdup(path);
	if (!copy)
		return false;
	struct directory_slot *slot = oldest_slot(&t->directories, hash);
	slot_clear(slot);
	slot_set(&t->directories, slot, copy, hash, directory);
	return true;
}

int directory_get(struct target *t, const char *path, size_t n, enum directory_missing missing,
                  struct directory *ret)
{
	struct directory_cache *cache = &t->directories;
	uint64_t hash;
	struct directory_slot *slot = cached(t, path, n, &hash);

	if (!slot) {
		_cleanup_free_ char *copy = strndup(path, n);
		struct directory directory;
		if (!copy) {
			errno = ENOMEM;
			return -1;
		}
		int fd = open_below_cached(t, path, n);
		slot = oldest_slot(cache, hash);
		slot_clear(slot); /* first: there may be no descriptor for one more */
		if (finish_open(&t->own, fd < 0 ? open_path(t, copy, missing) : fd, &directory) < 0)
			return -1;
		slot_set(cache, slot, steal_ptr(&copy), hash, &directory);
	}
	*ret = slot->directory;
	return 0;
}

int directory_get_parent(struct target *t, const struct entry *entry,
                         enum directory_missing missing, struct directory *ret)
{
	return directory_get(t, entry->path, entry_parent_len(entry), missing, ret);
}

/* ---- walking ---- */

struct walk_level {
	struct strv names;
	size_t next;
	struct directory directory;
	char *name; /* of the directory in its parent; NULL for the top */
};
struct walk {
	struct walk_level *levels;
	size_t len, capacity;
};

static void walk_pop(struct walk *w)
{
	struct walk_level *level = &w->levels[--w->len];

	strv_free(&level->names);
	free(level->name);
	if (level->directory.fd >= 0)
		close(level->directory.fd);
}

static void walk_free(struct walk *w)
{
	while (w->len > 0)
		walk_pop(w);
	free(w->levels);
}

/* Takes over directory->fd, also on failure. */
static int walk_push(struct walk *w, struct directory *directory, const char *name,
                     cst_error **error)
{
	_cleanup_close_ int fd = directory->fd;
	_cleanup_strv_ struct strv names = {0};
	_cleanup_free_ char *copy = name ? strdup(name) : NULL;

	void *grown = grow_array(w->levels, &w->capacity, w->len + 1, sizeof(*w->levels));
	if (!grown || (name && !copy))
		return error_oom(error);
	w->levels = grown;
	int r = fs_list_dir(fd, ".", &names, name ? name : ".", error);
	if (r < 0)
		return r;
	w->levels[w->len++] = (struct walk_level){
	        .names = names,
	        .directory = {.fd = steal_fd(&fd), .key = directory->key},
	        .name = steal_ptr(&copy),
	};
	names = (struct strv){0};
	return 0;
}

/* Descriptors of levels high above the current one are closed, so that depth costs memory only;
 * ".." opens them again, and the inode tells that it is still the same directory. */
#define WALK_OPEN_LEVELS 32

static int walk_reopen(const struct own_names *own, struct walk_level *level, int below,
                       cst_error **error)
{
	struct directory again;

	if (level->directory.fd >= 0)
		return 0;
	if (finish_open(own, openat(below, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &again) < 0)
		return error_sys(error, errno, "open ..");
	if (again.key != level->directory.key) {
		close(again.fd);
		return error_sys(error, EXDEV, "open ..");
	}
	level->directory.fd = again.fd;
	return 0;
}

static int visit_one(const struct own_names *own, const struct directory *directory,
                     const char *name, directory_visit visit, void *arg, cst_error **error)
{
	struct stat st;

	if (fstatat(directory->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "lstat %s", name);
	return visit(directory, name, &st, arg, error);
}

static int walk_up(const struct own_names *own, struct walk *w, directory_visit visit, void *arg,
                   cst_error **error)
{
	struct walk_level *done = &w->levels[w->len - 1];

	if (w->len == 1) {
		walk_pop(w);
		return 0;
	}
	int r = walk_reopen(own, done - 1, done->directory.fd, error);
	_cleanup_free_ char *name = steal_ptr(&done->name);
	walk_pop(w);
	return r < 0 ? r
	             : visit_one(own, &w->levels[w->len - 1].directory, name, visit, arg, error);
}

static int walk_down(const struct own_names *own, struct walk *w, const char *name,
                     cst_error **error)
{
	struct directory child;

	if (directory_open_child(own, &w->levels[w->len - 1].directory, name, &child) < 0)
		return error_sys(error, errno, "open %s", name);
	int r = walk_push(w, &child, name, error);
	if (r == 0 && w->len > WALK_OPEN_LEVELS) {
		struct walk_level *far = &w->levels[w->len - WALK_OPEN_LEVELS];
		closep(&far->directory.fd);
		far->directory.fd = -1;
	}
	return r;
}

int directory_walk(const struct own_names *own, const struct directory *top, directory_visit visit,
                   void *arg, cst_error **error)
{
	_cleanup_(walk_free) struct walk w = {0};
	struct directory copy = {.fd = fcntl(top->fd, F_DUPFD_CLOEXEC, 3), .key = top->key};
	struct stat st;

	int r = copy.fd < 0 ? error_sys(error, errno, "dup") : walk_push(&w, &copy, NULL, error);
	while (r == 0 && w.len > 0) {
		struct walk_level *level = &w.levels[w.len - 1];
		if (level->next == level->names.len) {
			r = walk_up(own, &w, visit, arg, error);
			continue;
		}
		const char *name = level->names.items[level->next++];
		if (fstatat(level->directory.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = errno == ENOENT ? 0 : error_sys(error, errno, "lstat %s", name);
		else if (S_ISDIR(st.st_mode))
			r = walk_down(own, &w, name, error);
		else
			r = visit(&level->directory, name, &st, arg, error);
	}
	return r;
}
