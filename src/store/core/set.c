/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and closes the sets of a store: directories, locks, tables. */
#include "store/core/set.h"
#include "store/core/store.h"
#include <errno.h>
#include <unistd.h>

void sets_init(struct sets *sets)
{
	*sets = (struct sets){0};
	for (size_t i = 0; i < KINDS; i++) {
		struct set *set = &sets->of[i];
		set->kind = kind_of(CST_KIND_LAYER + i);
		set->fd = set->run_fd = -1;
		pthread_mutex_init(&set->mutex, NULL);
	}
}

/* Closes what was opened of a set. It may be opened again. */
static void close_set(struct set *set)
{
	record_set_free(set->table);
	lockfile_free(set->lock);
	lockfile_free(set->second);
	closep(&set->fd);
	closep(&set->run_fd);
	free(set->dir);
	free(set->run_dir);
	set->table = NULL;
	set->lock = set->second = NULL;
	set->fd = set->run_fd = -1;
	set->dir = set->run_dir = NULL;
}

void sets_free(struct sets *sets)
{
	for (size_t i = 0; i < KINDS; i++) {
		close_set(&sets->of[i]);
		journal_free(&sets->of[i].journal);
		pthread_mutex_destroy(&sets->of[i].mutex);
	}
}

struct set *sets_get(struct sets *sets, enum cst_kind kind)
{
	return &sets->of[kind - CST_KIND_LAYER];
}

struct set *set_of(cst_store *store, enum cst_kind kind)
{
	return sets_get(&store->sets, kind);
}

char *set_path(const char *root, const cst_store *store, const char *files)
{
	return str_join(root, "/", store->driver->ops->name, "-", files);
}

void set_use_index(const cst_store *store, struct set *set)
{
	_cleanup_free_ char *dir = path_join(store->run_root, "cstorage");
	if (dir)
		record_set_use_index(set->table, dir, !store->read_only);
}

int set_save(struct set *set, cst_error **error)
{
	struct lock_token token;
	int r = 0;
	if (set->second && record_set_dirty(set->table))
		r = lockfile_touch(set->second, &token, error);
	return r == 0 ? record_set_save(set->table, set->lock, error) : r;
}

/* Opens <root>/<driver>-<files>, and makes it unless the store is only read; then *fd is -1 if it
 * is missing. A new name in the graph root or image store is made durable. */
static int open_directory(cst_store *store, const char *root, const char *files, char **dir,
                          int *fd, cst_error **error)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	*dir = set_path(root, store, files);
	if (!*dir)
		return error_oom(error);
	*fd = open(*dir, flags);
	if (*fd >= 0 || (store->read_only && errno == ENOENT))
		return 0;
	if (errno != ENOENT)
		return error_sys(error, errno, "open %s", *dir);
	int r = fs_mkdir_p(*dir, 0700, error);
	if (r < 0)
		return r;
	*fd = open(*dir, flags);
	if (*fd < 0)
		return error_sys(error, errno, "open %s", *dir);
	return root == store->run_root ? 0 : fs_fsync_path(AT_FDCWD, root, root, error);
}

static int open_lock(const cst_store *store, const char *dir, const char *name,
                     struct lockfile **ret, cst_error **error)
{
	_cleanup_free_ char *path = path_join(dir, name);
	int r = path ? lockfile_new(path, store->read_only, ret, error) : error_oom(error);
	if (r == 0)
		lockfile_set_wait(*ret, &store->lock_wait);
	return r;
}

static int open_images(cst_store *store, cst_error **error)
{
	struct set *images = &store->sets.images;
	const char *root = isempty(store->image_store) ? store->graph_root : store->image_store;
	int r = open_directory(store, root, images->kind->files, &images->dir, &images->fd, error);
	if (r == 0)
		r = open_lock(store, images->dir, "images.lock", &images->lock, error);
	if (r == 0)
		r = image_table_new(images->dir, false, &images->table, error);
	if (r == 0)
		set_use_index(store, images);
	return r;
}

static int open_containers(cst_store *store, cst_error **error)
{
	struct set *containers = &store->sets.containers;
	const char *files = containers->kind->files;
	int r = open_directory(store, store->graph_root, files, &containers->dir, &containers->fd,
	                       error);
	/* A store that is only read leaves the run directory of this boot alone, whoever owns it.
	 * Only a transient store keeps records there. */
	if (r == 0 && (!store->read_only || store->transient))
		r = open_directory(store, store->run_root, files, &containers->run_dir,
		                   &containers->run_fd, error);
	const char *home = store->transient ? containers->run_dir : containers->dir;
	if (r == 0)
		r = open_lock(store, home, "containers.lock", &containers->lock, error);
	if (r == 0)
		r = container_table_new(containers->dir, home, false, &containers->table, error);
	if (r == 0)
		set_use_index(store, containers);
	return r;
}

int sets_open(cst_store *store, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < KINDS; i++) {
		struct set *set = &store->sets.of[i];
		r = journal_init(&set->journal, store->graph_root, set->kind, error);
	}
	if (r == 0)
		r = open_images(store, error);
	return r == 0 ? open_containers(store, error) : r;
}

/* ---- layers ---- */

/* Records of read-only layers are kept in the image store, under a lock of its own
 * (docs/format/store.md, "Split image store"). */
static int open_image_store_layers(cst_store *store, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = open_directory(store, store->image_store, "layers", &store->image_layers_dir, &fd,
	                       error);
	return r == 0 ? open_lock(store, store->image_layers_dir, "layers.lock",
	                          &store->sets.layers.second, error)
	              : r;
}

static int open_layer_table(cst_store *store, cst_error **error)
{
	struct set *layers = &store->sets.layers;
	struct layer_paths paths = {
	        .dir = layers->dir,
	        .image_dir = store->image_layers_dir,
	        .volatile_dir = store->transient ? layers->run_dir : layers->dir,
	        .run_dir = layers->run_dir,
	        .mounts_home = store->driver->home,
	};
	int r = layer_table_new(&paths, &layers->table, error);
	if (r == 0)
		set_use_index(store, layers);
	return r;
}

static int open_layers(cst_store *store, cst_error **error)
{
	struct set *layers = &store->sets.layers;
	const char *files = layers->kind->files;
	int r = open_directory(store, store->graph_root, files, &layers->dir, &layers->fd, error);
	layers->run_dir = set_path(store->run_root, store, files);
	store->tmp_dir = r == 0 ? path_join(layers->dir, "tmp") : NULL;
	if (r == 0 && (!layers->run_dir || !store->tmp_dir))
		r = error_oom(error);
	if (r == 0 && !store->read_only)
		r = fs_mkdir_p(layers->run_dir, 0700, error);
	if (r == 0)
		r = open_lock(store, layers->dir, "layers.lock", &layers->lock, error);
	if (r == 0 && !isempty(store->image_store))
		r = open_image_store_layers(store, error);
	if (r == 0 && !store->read_only)
		r = open_lock(store, layers->run_dir, "mountpoints.lock", &store->mounts_lock,
		              error);
	if (r == 0 && !store->read_only)
		r = tempdir_recover(store->tmp_dir, TEMPDIR_PAIR, error);
	return r == 0 ? open_layer_table(store, error) : r;
}

int layers_load_mounts(cst_store *store, cst_error **error)
{
	if (store->read_only)
		return 0; /* the mount counts are those of processes that may write the run directory */
	_cleanup_unlock_ struct lockfile *mounts = NULL;
	int r = lockfile_hold(store->mounts_lock, LOCKFILE_READ, &mounts, error);
	return r == 0 ? layer_table_load_mounts(store->sets.layers.table, mounts, error) : r;
}

void layers_close(cst_store *store)
{
	close_set(&store->sets.layers);
	lockfile_free(store->mounts_lock);
	free(store->tmp_dir);
	free(store->image_layers_dir);
	store->mounts_lock = NULL;
	store->tmp_dir = store->image_layers_dir = NULL;
}

/* If it fails, closes what was opened, so that the caller can try again any number of times. */
int layers_need(cst_store *store, cst_error **error)
{
	pthread_mutex_lock(&store->graph_mutex);
	int r = 0;
	if (!store->layers_open) {
		r = open_layers(store, error);
		store->layers_open = r == 0;
		if (r < 0)
			layers_close(store);
	}
	pthread_mutex_unlock(&store->graph_mutex);
	return r;
}
