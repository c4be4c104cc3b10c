/* SPDX-License-Identifier: Apache-2.0 */
/* Lists the files of all layers, a task for each layer. */
#include "archive/tree/walk.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include "store/dedup/dedup.h"
#include <errno.h>

#define TELL_EVERY 1024 /* entries */

struct collected { /* of one layer */
	struct dedup_layer *layer;
	struct dedup_file *files;
	size_t n, capacity;
	const char *directory; /* of the last one */
	uint64_t n_entries;
};

/* Is this name the first one met of its inode? */
static int is_first_name(struct dedup *d, const struct stat *st, bool *ret, cst_error **error)
{
	const uint64_t inode[] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};
	uint64_t hash = siphash24(inode, sizeof(inode), d->known.key);
	pthread_mutex_lock(&d->lock);
	*ret = !hash_set_get(&d->inodes, hash, NULL);
	bool ok = !*ret || hash_set_put(&d->inodes, hash, 0);
	pthread_mutex_unlock(&d->lock);
	return ok ? 0 : error_oom(error);
}

static bool is_of_this_pass(const struct dedup *d, uint64_t size)
{
	return siphash24(&size, sizeof(size), d->known.key) % d->passes == d->pass;
}

/* The directory of an entry, one copy for all that follow each other in it. */
static const char *directory_of(struct collected *to, const struct tree_entry *entry)
{
	size_t n = (size_t)(entry->name - entry->path);
	n -= n > 0; /* the slash */
	if (!to->directory || strlen(to->directory) != n ||
	    memcmp(to->directory, entry->path, n) != 0)
		to->directory = arena_strndup(&to->layer->names, entry->path, n);
	return to->directory;
}

static int add_file(struct collected *to, const struct tree_entry *entry, cst_error **error)
{
	struct dedup_file *grown =
	        grow_array(to->files, &to->capacity, to->n + 1, sizeof(*to->files));
	if (!grown)
		return error_oom(error);
	to->files = grown;
	grown[to->n++] = (struct dedup_file){
	        .layer = to->layer,
	        .directory = directory_of(to, entry),
	        .name = arena_strdup(&to->layer->names, entry->name),
	        .size = (uint64_t)entry->stat.st_size,
	};
	return to->layer->names.failed ? error_oom(error) : 0;
}

static int see_entry(struct collected *to, const struct tree_entry *entry, cst_error **error)
{
	struct dedup *d = to->layer->dedup;
	bool first = true;
	int r = ++to->n_entries % TELL_EVERY == 0 ? dedup_progress(d, 0, error) : 0;
	if (r < 0 || !S_ISREG(entry->stat.st_mode) || entry->stat.st_size <= 0)
		return r;
	if (entry->stat.st_nlink > 1)
		r = is_first_name(d, &entry->stat, &first, error);
	if (r < 0 || !first)
		return r;
	atomic_fetch_add(&d->n_seen, 1);
	if (atomic_load(&d->too_many) || !is_of_this_pass(d, (uint64_t)entry->stat.st_size))
		return 0;
	return add_file(to, entry, error);
}

static int walk_layer(struct collected *to, cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	const struct dedup_layer *layer = to->layer;
	_cleanup_close_ int fd = fs_open_dir_below(layer->root->fd, layer->path, O_RDONLY);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", layer->root->path, layer->path);
	int r = tree_walk_new(&fd, 1, true, &walk, error);
	while (r == 0) {
		enum tree_event event;
		struct tree_entry entry;
		r = tree_walk_next(walk, &event, &entry, error);
		if (r == 0 && event == TREE_END)
			break;
		if (r == 0 && event == TREE_ENTRY)
			r = see_entry(to, &entry, error);
	}
	return r;
}

/* Adds what one layer has to the files of the pass, unless there are too many to be kept. */
static int hand_over(struct dedup *d, const struct collected *from, cst_error **error)
{
	int r = 0;
	pthread_mutex_lock(&d->lock);
	if (d->passes == 1 && d->n_files + from->n > d->limit)
		atomic_store(&d->too_many, true);
	if (from->n > 0 && !atomic_load(&d->too_many)) {
		struct dedup_file *grown =
		        grow_array(d->files, &d->capacity, d->n_files + from->n, sizeof(*d->files));
		if (grown) {
			d->files = grown;
			memcpy(&grown[d->n_files], from->files, from->n * sizeof(*grown));
			d->n_files += from->n;
		} else {
			r = error_oom(error);
		}
	}
	pthread_mutex_unlock(&d->lock);
	return r;
}

static void collect_layer(struct task *task)
{
	struct dedup_layer *layer =
	        (struct dedup_layer *)((char *)task - offsetof(struct dedup_layer, task));
	struct dedup *d = layer->dedup;
	struct collected collected = {.layer = layer};
	cst_error *error = NULL;
	int r = dedup_progress(d, 0, &error);
	if (r == 0)
		r = walk_layer(&collected, &error);
	if (r == 0)
		r = hand_over(d, &collected, &error);
	if (r < 0)
		dedup_fail(d, r, error);
	free(collected.files);
	atomic_fetch_sub(&d->n_running, 1);
}

void dedup_forget(struct dedup *d)
{
	for (size_t i = 0; i < d->n_layers; i++)
		arena_clear(&d->layers[i].names);
	free(d->files);
	d->files = NULL;
	d->n_files = d->capacity = 0;
	hash_set_free(&d->inodes);
}

void dedup_collect(struct dedup *d)
{
	dedup_forget(d);
	atomic_store(&d->n_seen, 0);
	atomic_store(&d->too_many, false);
	atomic_store(&d->n_running, d->n_layers);
	for (size_t i = 0; i < d->n_layers; i++) {
		d->layers[i].task.run = collect_layer;
		pool_submit(d->pool, &d->layers[i].task);
	}
	dedup_wait(d, 0);
}
