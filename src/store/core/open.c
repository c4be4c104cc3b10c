/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing a store: the driver, the sets, and the recovery that every opener
 * does. */
#include "base/log.h"
#include "store/core/store.h"
#include <errno.h>
#include <unistd.h>

char *kind_path(const char *root, const cst_store *store, const char *kind)
{
	return str_join(root, "/", store->driver->ops->name, "-", kind);
}

static int open_graph_locks(cst_store *store, cst_error **error)
{
	_cleanup_free_ char *graph = path_join(store->graph_root, "storage.lock");
	_cleanup_free_ char *userns = path_join(store->graph_root, "userns.lock");
	if (!graph || !userns)
		return error_oom(error);
	int r = lockfile_new(graph, store->read_only, &store->graph_lock, error);
	return r == 0 ? lockfile_new(userns, store->read_only, &store->userns_lock, error) : r;
}

/* ---- driver ---- */

static int open_driver(cst_store *store, const struct driver_ops *ops,
                       const struct driver_config *config, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *graph = NULL;
	struct driver *driver = NULL;
	if (!config->read_only) {
		int r = ops->open_ready(config, &driver, error);
		store->driver = driver;
		if (r < 0 || driver)
			return r;
		r = lockfile_lock(store->graph_lock, LOCKFILE_WRITE, error);
		if (r < 0)
			return r;
		graph = store->graph_lock;
	}
	int r = ops->open(config, &driver, error);
	store->driver = driver;
	return r;
}

static void driver_config_of(const cst_store *store, struct driver_config *ret)
{
	*ret = (struct driver_config){
	        .graph_root = store->graph_root,
	        .run_root = store->run_root,
	        .image_store = isempty(store->image_store) ? NULL : store->image_store,
	        .options = (const char *const *)store->driver_options.items,
	        .n_options = store->driver_options.len,
	        .read_only = store->read_only,
	};
}

static int select_driver(cst_store *store, const cst_store_options *options, cst_error **error)
{
	struct driver_config config;
	driver_config_of(store, &config);
	const struct driver_ops *ops = NULL;
	int r = driver_select(options->driver, options->driver_priority, options->n_driver_priority,
	                      &config, &ops, error);
	return r < 0 ? r : open_driver(store, ops, &config, error);
}

static int graph_token(cst_store *store, struct lock_token *ret, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *graph = NULL;
	if (!lockfile_held(store->graph_lock, LOCKFILE_READ)) {
		int r = lockfile_lock(store->graph_lock, LOCKFILE_READ, error);
		if (r < 0)
			return r;
		graph = store->graph_lock;
	}
	return lockfile_read_token(store->graph_lock, ret, error);
}

/* The graph lock is held by the caller. */
int store_refresh_driver(cst_store *store, cst_error **error)
{
	struct lock_token now;
	int r = graph_token(store, &now, error);
	if (r < 0 || lock_token_equal(&now, &store->graph_token))
		return r;
	struct driver_config config;
	driver_config_of(store, &config);
	struct driver *fresh = NULL;
	r = store->driver->ops->open(&config, &fresh, error);
	if (r < 0)
		return r;
	/* Other threads may be reading a layer through the old one: it is closed with the store. */
	struct driver **grown = grow_array(store->retired_drivers, &store->retired_capacity,
	                                   store->n_retired_drivers + 1, sizeof(*grown));
	if (!grown) {
		fresh->ops->close(fresh);
		return error_oom(error);
	}
	store->retired_drivers = grown;
	grown[store->n_retired_drivers++] = store->driver;
	store->driver = fresh;
	store->graph_token = now;
	return 0;
}

/* ---- sets ---- */

/* Makes (unless read-only) and opens one metadata directory; *made if its name in the root is new.
 */
static int open_metadata_dir(cst_store *store, const char *path, int *ret_fd, bool *made,
                             cst_error **error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !store->read_only) {
		int r = fs_mkdir_p(path, 0700, error);
		if (r < 0)
			return r;
		*made = true;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0 && !(store->read_only && errno == ENOENT))
		return error_sys(error, errno, "open %s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int sync_root_if(bool made, const char *root, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	if (!made)
		return 0;
	int r = fs_open_dir(root, &fd, error);
	return r < 0 ? r : fs_fsync_dir(fd, root, error);
}

static int open_lock(const char *dir, const char *name, bool read_only, struct lockfile **ret,
                     cst_error **error)
{
	_cleanup_free_ char *path = path_join(dir, name);
	return path ? lockfile_new(path, read_only, ret, error) : error_oom(error);
}

static int open_images(cst_store *store, cst_error **error)
{
	struct image_set *images = &store->images;
	bool made = false;
	const char *root = isempty(store->image_store) ? store->graph_root : store->image_store;
	images->dir = kind_path(root, store, "images");
	if (!images->dir)
		return error_oom(error);
	int r = open_metadata_dir(store, images->dir, &images->fd, &made, error);
	if (r == 0)
		r = sync_root_if(made, root, error);
	if (r == 0)
		r = open_lock(images->dir, "images.lock", store->read_only, &images->set.lock,
		              error);
	if (r == 0)
		r = image_table_new(images->dir, false, &images->table, error);
	images->set.table = images->table;
	return r;
}

/* What may only be read tells nothing of this boot: its run directory is left alone, whoever it
 * belongs to. A transient store keeps records there. */
static bool needs_run_directory(const cst_store *store)
{
	return !store->read_only || store->transient;
}

static int open_containers(cst_store *store, cst_error **error)
{
	struct container_set *containers = &store->containers;
	bool made = false, run_made = false;
	containers->dir = kind_path(store->graph_root, store, "containers");
	containers->run_dir = kind_path(store->run_root, store, "containers");
	if (!containers->dir || !containers->run_dir)
		return error_oom(error);
	int r = open_metadata_dir(store, containers->dir, &containers->fd, &made, error);
	if (r == 0 && needs_run_directory(store))
		r = open_metadata_dir(store, containers->run_dir, &containers->run_fd, &run_made,
		                      error);
	if (r == 0)
		r = sync_root_if(made, store->graph_root, error);
	const char *home = store->transient ? containers->run_dir : containers->dir;
	if (r == 0)
		r = open_lock(home, "containers.lock", store->read_only, &containers->set.lock,
		              error);
	if (r == 0)
		r = container_table_new(containers->dir, home, false, &containers->table, error);
	containers->set.table = containers->table;
	return r;
}

/* Read-only layers are remembered in the image store, under a lock of its own
 * (docs/format/store.md, "Split image store"). */
static int open_image_store_layers(cst_store *store, cst_error **error)
{
	struct layer_set *layers = &store->layers;
	bool made = false;
	_cleanup_close_ int fd = -1;
	if (!layers->image_dir)
		layers->image_dir = kind_path(store->image_store, store, "layers");
	if (!layers->image_dir)
		return error_oom(error);
	int r = open_metadata_dir(store, layers->image_dir, &fd, &made, error);
	if (r == 0)
		r = sync_root_if(made, store->image_store, error);
	return r == 0 ? open_lock(layers->image_dir, "layers.lock", store->read_only,
	                          &layers->set.second, error)
	              : r;
}

static int open_layers(cst_store *store, cst_error **error)
{
	struct layer_set *layers = &store->layers;
	bool made = false;
	if (!layers->dir) {
		layers->dir = kind_path(store->graph_root, store, "layers");
		layers->run_dir = kind_path(store->run_root, store, "layers");
		layers->tmp_dir = layers->dir ? path_join(layers->dir, "tmp") : NULL;
	}
	if (!layers->dir || !layers->run_dir || !layers->tmp_dir)
		return error_oom(error);
	int r = open_metadata_dir(store, layers->dir, &layers->fd, &made, error);
	if (r == 0 && !store->read_only)
		r = fs_mkdir_p(layers->run_dir, 0700, error);
	if (r == 0)
		r = sync_root_if(made, store->graph_root, error);
	if (r == 0)
		r = open_lock(layers->dir, "layers.lock", store->read_only, &layers->set.lock,
		              error);
	if (r == 0 && !isempty(store->image_store))
		r = open_image_store_layers(store, error);
	if (r == 0 && !store->read_only)
		r = open_lock(layers->run_dir, "mountpoints.lock", false, &layers->mounts_lock,
		              error);
	if (r == 0 && !store->read_only)
		r = tempdir_recover(layers->tmp_dir, TEMPDIR_PAIR, error);
	if (r < 0)
		return r;
	struct layer_paths paths = {
	        .dir = layers->dir,
	        .image_dir = layers->image_dir,
	        .volatile_dir = store->transient ? layers->run_dir : layers->dir,
	        .run_dir = layers->run_dir,
	};
	r = layer_table_new(&paths, &layers->table, error);
	layers->set.table = layers->table;
	return r;
}

int layers_need(cst_store *store, cst_error **error)
{
	pthread_mutex_lock(&store->graph_mutex);
	int r = 0;
	if (!store->layers.set.open) {
		r = open_layers(store, error);
		store->layers.set.open = r == 0;
	}
	pthread_mutex_unlock(&store->graph_mutex);
	return r;
}

int store_pool(cst_store *store, struct pool **ret, cst_error **error)
{
	pthread_mutex_lock(&store->graph_mutex);
	int r = store->pool ? 0 : pool_new(pool_cpu_count(), &store->pool, error);
	*ret = store->pool;
	pthread_mutex_unlock(&store->graph_mutex);
	return r;
}

/* ---- open and close ---- */

static int open_journals(cst_store *store, cst_error **error)
{
	int r = journal_init(&store->layer_journal, store->graph_root, "layers.intent", error);
	if (r == 0)
		r = journal_init(&store->image_journal, store->graph_root, "images.intent", error);
	if (r == 0)
		r = journal_init(&store->container_journal, store->graph_root, "containers.intent",
		                 error);
	return r;
}

static int copy_options(cst_store *store, const cst_store_options *options, cst_error **error)
{
	store->disable_volatile = options->disable_volatile;
	store->transient = options->transient_store;
	store->read_only = options->read_only;
	for (size_t i = 0; i < options->n_driver_options; i++) {
		if (!strv_add(&store->driver_options, options->driver_options[i]))
			return error_oom(error);
	}
	if (!idmap_copy(&store->maps.uids, options->uid_map, options->n_uid_map) ||
	    !idmap_copy(&store->maps.gids, options->gid_map, options->n_gid_map))
		return error_oom(error);
	return 0;
}

/* Everything in the roots. */
static int open_parts(cst_store *store, const cst_store_options *options, cst_error **error)
{
	int r = open_graph_locks(store, error);
	if (r == 0)
		r = graph_token(store, &store->graph_token, error);
	/* Somebody may shut the store down in between: the driver is known to be older then. */
	if (r == 0)
		r = select_driver(store, options, error);
	if (r == 0)
		r = open_images(store, error);
	if (r == 0)
		r = open_containers(store, error);
	if (r == 0 && !store->read_only) {
		_cleanup_free_ char *locks = kind_path(store->run_root, store, "locks");
		r = locks ? fs_mkdir_p(locks, 0700, error) : error_oom(error);
	}
	if (r == 0)
		r = additional_open(store, error);
	if (r == 0)
		r = open_journals(store, error);
	if (r == 0 && !store->read_only)
		r = store->driver->ops->recover(store->driver, error);
	if (r == 0 && !store->read_only)
		r = journals_recover(store, error);
	return r < 0 ? store_blame_root(store, r, error) : 0;
}

static int open_all(cst_store *store, const cst_store_options *options, cst_error **error)
{
	int r = copy_options(store, options, error);
	if (r == 0)
		r = store_find_roots(store, options, error);
	if (r == 0)
		r = store_open_roots(store, error);
	return r == 0 ? open_parts(store, options, error) : r;
}

int cst_store_open(const cst_store_options *options, cst_store **ret, cst_error **error)
{
	cst_store *store = new0(cst_store, 1);
	if (!store)
		return error_oom(error);
	pthread_mutex_init(&store->graph_mutex, NULL);
	store_set_init(&store->layers.set, &layer_set_ops);
	store_set_init(&store->images.set, &image_set_ops);
	store_set_init(&store->containers.set, &container_set_ops);
	store->layers.fd = store->images.fd = store->containers.fd = store->containers.run_fd = -1;
	int r = open_all(store, options, error);
	if (r < 0) {
		cst_store_close(store);
		return r;
	}
	*ret = store;
	return 0;
}

static void close_sets(cst_store *store)
{
	record_set_free(store->layers.table);
	lockfile_free(store->layers.mounts_lock);
	store_set_free(&store->layers.set);
	closep(&store->layers.fd);
	free(store->layers.dir);
	free(store->layers.run_dir);
	free(store->layers.tmp_dir);
	free(store->layers.image_dir);
	record_set_free(store->images.table);
	store_set_free(&store->images.set);
	closep(&store->images.fd);
	free(store->images.dir);
	record_set_free(store->containers.table);
	store_set_free(&store->containers.set);
	closep(&store->containers.fd);
	closep(&store->containers.run_fd);
	free(store->containers.dir);
	free(store->containers.run_dir);
}

void cst_store_close(cst_store *store)
{
	if (!store)
		return;
	trash_free(&store->trash);
	pool_free(store->pool);
	additional_close(store);
	close_sets(store);
	journal_free(&store->layer_journal);
	journal_free(&store->image_journal);
	journal_free(&store->container_journal);
	if (store->driver)
		store->driver->ops->close(store->driver);
	for (size_t i = 0; i < store->n_retired_drivers; i++)
		store->retired_drivers[i]->ops->close(store->retired_drivers[i]);
	free(store->retired_drivers);
	lockfile_free(store->graph_lock);
	lockfile_free(store->userns_lock);
	pthread_mutex_destroy(&store->graph_mutex);
	idmaps_free(&store->maps);
	strv_free(&store->driver_options);
	free(store->graph_root);
	free(store->graph_root_origin);
	free(store->run_root);
	free(store->run_root_origin);
	free(store->image_store);
	free(store);
}

const char *cst_store_graph_root(const cst_store *store)
{
	return store->graph_root;
}

const char *cst_store_run_root(const cst_store *store)
{
	return store->run_root;
}

const char *cst_store_image_store(const cst_store *store)
{
	return store->image_store;
}

const char *cst_store_driver(const cst_store *store)
{
	return store->driver->ops->name;
}

bool cst_store_transient(const cst_store *store)
{
	return store->transient;
}
