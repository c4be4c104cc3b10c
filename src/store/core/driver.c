/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the driver of a store, and opens it again after another process shut it down. */
#include "store/core/driver.h"

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
		r = lockfile_hold(store->graph_lock, LOCKFILE_WRITE, &graph, error);
		if (r < 0)
			return r;
	}
	int r = ops->open(config, &driver, error);
	store->driver = driver;
	return r;
}

static struct driver_config driver_config_of(const cst_store *store)
{
	return (struct driver_config){
	        .graph_root = store->graph_root,
	        .run_root = store->run_root,
	        .image_store = isempty(store->image_store) ? NULL : store->image_store,
	        .options = (const char *const *)store->driver_options.items,
	        .n_options = store->driver_options.len,
	        .read_only = store->read_only,
	        .as_upstream = store->as_upstream,
	        .general_options = store->general_driver_options,
	};
}

static int select_driver(cst_store *store, const cst_store_options *options, cst_error **error)
{
	const struct driver_config config = driver_config_of(store);
	const struct driver_ops *ops = NULL;
	int r = driver_select(options->driver, options->driver_priority, options->n_driver_priority,
	                      &config, &ops, error);
	return r < 0 ? r : open_driver(store, ops, &config, error);
}

static int graph_token(cst_store *store, struct lock_token *ret, cst_error **error)
{
	_cleanup_unlock_ struct lockfile *graph = NULL;
	int r = lockfile_held(store->graph_lock, LOCKFILE_READ)
	                ? 0
	                : lockfile_hold(store->graph_lock, LOCKFILE_READ, &graph, error);
	return r == 0 ? lockfile_read_token(store->graph_lock, ret, error) : r;
}

/* The token is read first. If another process shuts the store down in between, the token says that
 * the driver is older, and it is opened again when it is next needed. */
int store_open_driver(cst_store *store, const cst_store_options *options, cst_error **error)
{
	int r = graph_token(store, &store->graph_token, error);
	return r == 0 ? select_driver(store, options, error) : r;
}

int store_refresh_driver(cst_store *store, cst_error **error)
{
	struct lock_token now;
	int r = graph_token(store, &now, error);
	if (r < 0 || lock_token_equal(&now, &store->graph_token))
		return r;
	const struct driver_config config = driver_config_of(store);
	struct driver *fresh = NULL;
	r = store->driver->ops->open(&config, &fresh, error);
	if (r < 0)
		return r;
	/* Other threads may be reading a layer through the old driver, so it is closed with the
	 * store. */
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

void store_close_drivers(cst_store *store)
{
	if (store->driver)
		store->driver->ops->close(store->driver);
	for (size_t i = 0; i < store->n_retired_drivers; i++)
		store->retired_drivers[i]->ops->close(store->retired_drivers[i]);
	free(store->retired_drivers);
}

int store_pool(cst_store *store, struct pool **ret, cst_error **error)
{
	pthread_mutex_lock(&store->graph_mutex);
	/* The caller's thread is the last one. */
	int r = store->pool ? 0 : pool_new(pool_cpu_count() - 1, &store->pool, error);
	*ret = store->pool;
	pthread_mutex_unlock(&store->graph_mutex);
	return r;
}
