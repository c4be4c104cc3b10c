/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing a store: options, roots, driver, sets, and the recovery that every opener
 * does. */
#include "base/log.h"
#include "config/storage_conf.h"
#include "store/change/recover.h"
#include "store/core/additional.h"
#include "store/core/driver.h"
#include "store/core/roots.h"
#include "store/core/store.h"
#include <errno.h>
#include <unistd.h>

static int open_graph_locks(cst_store *store, cst_error **error)
{
	_cleanup_free_ char *graph = path_join(store->graph_root, "storage.lock");
	_cleanup_free_ char *userns = path_join(store->graph_root, "userns.lock");
	if (!graph || !userns)
		return error_oom(error);
	int r = lockfile_new(graph, store->read_only, &store->graph_lock, error);
	if (r == 0)
		r = lockfile_new(userns, store->read_only, &store->userns_lock, error);
	lockfile_set_wait(store->graph_lock, &store->lock_wait);
	lockfile_set_wait(store->userns_lock, &store->lock_wait);
	return r;
}

/* ---- open and close ---- */

/* The value of an option of pulls; "": it is not set (docs/format/chunked.md, "Options"). */
static const char *pull_option(const cst_store_options *options, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < options->n_pull_options; i++) {
		const char *pair = options->pull_options[i];
		if (strncmp(pair, name, n) == 0 && pair[n] == '=')
			return pair + n + 1;
	}
	return "";
}

static bool is_pull_option(const cst_store_options *options, const char *name)
{
	return strcasecmp(pull_option(options, name), "true") == 0;
}

static int copy_pull_options(cst_store *store, const cst_store_options *options, cst_error **error)
{
	/* The Go tools convert what they pull only. */
	store->convert_images = !options->as_upstream && is_pull_option(options, "convert_images");
	store->use_hard_links = is_pull_option(options, "use_hard_links");
	const char *repositories = pull_option(options, "ostree_repos");
	for (size_t n; *repositories; repositories += n + (repositories[n] == ':')) {
		n = strcspn(repositories, ":");
		char *one = n ? strndup(repositories, n) : NULL;
		if (n && !strv_take(&store->ostree_repositories, one))
			return error_oom(error);
	}
	return 0;
}

static int copy_options(cst_store *store, const cst_store_options *options, cst_error **error)
{
	store->auto_userns_min = options->auto_userns_min_size;
	store->auto_userns_max = options->auto_userns_max_size;
	if (!isempty(options->root_auto_userns_user) &&
	    !(store->auto_userns_user = strdup(options->root_auto_userns_user)))
		return error_oom(error);
	store->disable_volatile = options->disable_volatile;
	store->transient = options->transient_store;
	store->read_only = options->read_only;
	store->as_upstream = options->as_upstream;
	store->general_driver_options = options->general_driver_options;
	store->lock_wait.timeout_ms = options->lock_timeout_ms;
	if (options->wait)
		store->lock_wait.hook = *options->wait;
	for (size_t i = 0; i < options->n_driver_options; i++) {
		const char *origin = config_driver_option_origin(options, i);
		if (!strv_add(&store->driver_options, options->driver_options[i]) ||
		    !strv_add(&store->option_origins, strempty(origin)))
			return error_oom(error);
	}
	if (!idmap_copy(&store->maps.uids, options->uid_map, options->n_uid_map) ||
	    !idmap_copy(&store->maps.gids, options->gid_map, options->n_gid_map))
		return error_oom(error);
	return copy_pull_options(store, options, error);
}

/* A file of records that is not understood is no reason to refuse all of the store: whoever needs these records is told. */
static int recover(cst_store *store, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = journals_recover(store, &problem);
	if (r == CST_ECORRUPT) {
		log_warning("%s", cst_error_message(problem));
		return 0;
	}
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
}

/* Opens everything that is in the roots. */
static int open_parts(cst_store *store, const cst_store_options *options, cst_error **error)
{
	int r = open_graph_locks(store, error);
	if (r == 0)
		r = store_open_driver(store, options, error);
	if (r == 0)
		r = sets_open(store, error);
	if (r == 0 && !store->read_only) {
		_cleanup_free_ char *locks = set_path(store->run_root, store, "locks");
		r = locks ? fs_mkdir_p(locks, 0700, error) : error_oom(error);
	}
	if (r == 0)
		r = additional_open(store, error);
	if (r == 0 && !store->read_only)
		r = store->driver->ops->recover(store->driver, error);
	if (r == 0 && !store->read_only)
		r = recover(store, error);
	return r < 0 ? additional_blame(store, store_blame_root(store, r, error), error) : 0;
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

int cst_store_open(const cst_store_options *given, cst_store **ret, cst_error **error)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	int r = store_options_take(&options, given, error);
	if (r < 0)
		return r;
	cst_store *store = new0(cst_store, 1);
	if (!store)
		return error_oom(error);
	pthread_mutex_init(&store->graph_mutex, NULL);
	sets_init(&store->sets);
	store->sets.layers.loaded = layers_load_mounts;
	store->sets.layers.repair = layers_repair;
	r = open_all(store, &options, error);
	if (r < 0) {
		cst_store_close(store);
		return r;
	}
	*ret = store;
	return 0;
}

void cst_store_close(cst_store *store)
{
	if (!store)
		return;
	trash_free(&store->repair_trash);
	pool_free(store->pool);
	additional_close(store);
	layers_close(store);
	sets_free(&store->sets);
	store_close_drivers(store);
	lockfile_free(store->graph_lock);
	lockfile_free(store->userns_lock);
	pthread_mutex_destroy(&store->graph_mutex);
	idmaps_free(&store->maps);
	free(store->auto_userns_user);
	strv_free(&store->driver_options);
	strv_free(&store->ostree_repositories);
	strv_free(&store->option_origins);
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

int cst_store_driver_options(const cst_store *store, cst_strings **ret, cst_error **error)
{
	_cleanup_strv_ struct strv copy = {0};
	if (!strv_copy(&copy, &store->driver_options))
		return error_oom(error);
	return strings_give(&copy, ret, error);
}

size_t cst_store_uid_map(const cst_store *store, const cst_idmap **map)
{
	*map = store->maps.uids.ranges;
	return store->maps.uids.len;
}

size_t cst_store_gid_map(const cst_store *store, const cst_idmap **map)
{
	*map = store->maps.gids.ranges;
	return store->maps.gids.len;
}
