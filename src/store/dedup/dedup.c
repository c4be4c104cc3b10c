/* SPDX-License-Identifier: Apache-2.0 */
/* Which layers, and the order of the work (dedup.h). */
#include "store/dedup/dedup.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include "base/log.h"
#include "base/types.h"
#include "store/core/driver.h"

#define FILES_AT_ONCE ((size_t)512 << 10)
#define GROUPS_PER_CPU \
	4 /* at work at once: their files are compared while what was hashed is still in the page cache */

static void dedup_done(struct dedup *d)
{
	dedup_forget(d);
	for (size_t i = 0; i < d->n_layers; i++)
		free(d->layers[i].path);
	free(d->layers);
	for (size_t i = 0; i < d->n_roots; i++)
		closep(&d->roots[i].fd);
	known_free(&d->known);
	cst_error_free(d->error);
}

/* ---- which layers ---- */

static int root_of(struct dedup *d, const char *path, const struct dedup_root **ret,
                   cst_error **error)
{
	for (size_t i = 0; i < d->n_roots; i++) {
		*ret = &d->roots[i];
		if (streq(d->roots[i].path, path))
			return 0;
	}
	if (d->n_roots == DEDUP_MAX_ROOTS)
		return error_set(error, CST_EINVAL, "%s: a store has two roots", path);
	struct dedup_root *root = &d->roots[d->n_roots];
	*root = (struct dedup_root){.path = path, .fd = -1, .can_share = true};
	int r = fs_open_dir(path, &root->fd, error);
	d->n_roots += r == 0;
	*ret = root;
	return r;
}

static int add_layer(struct dedup *d, const char *id, cst_error **error)
{
	struct dedup_layer *layer = &d->layers[d->n_layers];
	const char *root = NULL;
	char *path = NULL;
	struct driver *driver = d->store->driver;
	int r = driver->ops->shareable(driver, id, &root, &path, error);
	if (r < 0 || !path)
		return r;
	*layer = (struct dedup_layer){.dedup = d, .path = path};
	d->n_layers++;
	return root_of(d, root, &layer->root, error);
}

/* The layer and all that it is built on, as far as they are this store's own. */
static int add_chain(struct dedup *d, const struct hashmap *layers, struct hashmap *added,
                     const char *id, cst_error **error)
{
	int r = 0;
	while (r == 0 && *id && !hashmap_contains(added, id)) {
		const cst_layer *layer = hashmap_get(layers, id);
		if (!layer || layer->read_only)
			break;
		r = hashmap_put(added, layer->id, (void *)layer) ? add_layer(d, id, error)
		                                                 : error_oom(error);
		id = layer->parent;
	}
	return r;
}

static int choose_layers(struct dedup *d, const cst_layer_list *layers,
                         const cst_image_list *images, cst_error **error)
{
	_cleanup_hashmap_ struct hashmap by_id = {0}, added = {0};
	size_t n = cst_layer_list_size(layers);
	int r = 0;
	d->layers = new0(struct dedup_layer, n + 1);
	if (!d->layers)
		return error_oom(error);
	for (size_t i = 0; i < n; i++) {
		const cst_layer *layer = cst_layer_list_get(layers, i);
		if (!hashmap_contains(&by_id, layer->id) &&
		    !hashmap_put(&by_id, layer->id, (void *)layer))
			return error_oom(error);
	}
	for (size_t i = 0; r == 0 && i < cst_image_list_size(images); i++) {
		const cst_image *image = cst_image_list_get(images, i);
		r = add_chain(d, &by_id, &added, image->layer, error);
		for (size_t k = 0; r == 0 && k < image->mapped_layers.len; k++)
			r = add_chain(d, &by_id, &added, image->mapped_layers.items[k], error);
	}
	return r;
}

DEFINE_CLEANUP(cst_layer_list *, cst_layer_list_free)
DEFINE_CLEANUP(cst_image_list *, cst_image_list_free)

static int find_layers(struct dedup *d, cst_error **error)
{
	_cleanup_(cst_layer_list_freep) cst_layer_list *layers = NULL;
	_cleanup_(cst_image_list_freep) cst_image_list *images = NULL;
	int r = cst_store_snapshot(d->store, &layers, &images, NULL, error);
	return r == 0 ? choose_layers(d, layers, images, error) : r;
}

/* ---- passes ---- */

static int largest_first(const void *a, const void *b)
{
	const struct dedup_file *left = a, *right = b;
	return (left->size < right->size) - (left->size > right->size);
}

/* Files on a file system that cannot share are left out. If none can, that is an error. */
static int drop_unshareable(struct dedup *d, cst_error **error)
{
	size_t n = 0;
	const struct dedup_root *cannot = NULL;
	for (size_t i = 0; i < d->n_files; i++) {
		struct dedup_root *root = (struct dedup_root *)d->files[i].layer->root;
		if (dedup_root_can_share(d, root, &d->files[i]))
			d->files[n++] = d->files[i];
		else
			cannot = root;
	}
	if (cannot && n == 0)
		return dedup_cannot(cannot, error);
	if (cannot && n < d->n_files)
		log_warning("files in %s are left as they are: its file system cannot share blocks",
		            cannot->path);
	d->n_files = n;
	return 0;
}

static size_t same_size(const struct dedup *d, size_t first)
{
	size_t n = 1;
	while (first + n < d->n_files && d->files[first + n].size == d->files[first].size)
		n++;
	return n;
}

static int handle_pass(struct dedup *d, cst_error **error)
{
	size_t at_once = pool_cpu_count() * GROUPS_PER_CPU;
	int r = drop_unshareable(d, error);
	if (r < 0)
		return r;
	qsort(d->files, d->n_files, sizeof(*d->files), largest_first);
	for (size_t i = 0, n; i < d->n_files; i += n) {
		n = same_size(d, i);
		d->bytes_total += n > 1 ? n * d->files[i].size : 0;
	}
	for (size_t i = 0, n; i < d->n_files && !atomic_load(&d->stop); i += n) {
		n = same_size(d, i);
		if (n > 1)
			dedup_group(d, &d->files[i], n);
		dedup_wait(d, at_once);
	}
	dedup_wait(d, 0);
	return d->result < 0 ? error_propagate(error, steal_ptr(&d->error)) : 0;
}

static int collect_pass(struct dedup *d, cst_error **error)
{
	dedup_collect(d);
	return d->result < 0 ? error_propagate(error, steal_ptr(&d->error)) : 0;
}

static int run_passes(struct dedup *d, cst_error **error)
{
	d->passes = 1;
	int r = collect_pass(d, error);
	if (r == 0 && !atomic_load(&d->too_many))
		return handle_pass(d, error);
	d->passes = atomic_load(&d->n_seen) / d->limit + 1;
	for (d->pass = 0; r == 0 && d->pass < d->passes; d->pass++) {
		r = collect_pass(d, error);
		if (r == 0)
			r = handle_pass(d, error);
	}
	return r;
}

static int run(struct dedup *d, cst_error **error)
{
	_cleanup_free_ char *known = path_join(d->store->run_root, "cstorage/hashes");
	int r = known ? find_layers(d, error) : error_oom(error);
	if (r == 0)
		r = store_pool(d->store, &d->pool, error);
	if (r == 0)
		r = known_load(&d->known, known, error);
	if (r < 0)
		return r;
	r = run_passes(d, error);
	if (!d->store->read_only)
		known_save(&d->known, known);
	return r;
}

static int check_can(const cst_store *store, const cst_dedup_options *options, cst_error **error)
{
	if (options->method < CST_DEDUP_CRC || options->method > CST_DEDUP_SHA256)
		return error_set(error, CST_EINVAL, "there is no method %d of dedup",
		                 options->method);
	if (store->read_only && !options->dry_run)
		return error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	if (!(store->driver->ops->capabilities & DRIVER_DEDUP))
		return error_set(error, CST_ENOTSUP, "with the driver %s files cannot share blocks",
		                 store->driver->ops->name);
	return 0;
}

int cst_store_dedup(cst_store *store, const cst_dedup_options *given, cst_dedup_result *ret,
                    cst_error **error)
{
	_cleanup_(dedup_done) struct dedup d = {.store = store,
	                                        .options = CST_DEDUP_OPTIONS_INIT,
	                                        .caller = pthread_self(),
	                                        .lock = PTHREAD_MUTEX_INITIALIZER};
	int r = result_check(ret, "cst_dedup_result", error);
	if (r < 0)
		return r;
	r = options_take(&d.options, sizeof(d.options), given, "cst_dedup_options", error);
	if (r == 0)
		r = check_can(store, &d.options, error);
	d.limit = d.options.files_at_once ? d.options.files_at_once : FILES_AT_ONCE;
	if (r == 0)
		r = run(&d, error);
	const cst_dedup_result result = {
	        .size = sizeof(result),
	        .files = atomic_load(&d.n_seen),
	        .equal = atomic_load(&d.equal),
	        .freed = atomic_load(&d.freed),
	        .hashed = atomic_load(&d.hashed),
	        .left = atomic_load(&d.left),
	};
	if (ret)
		result_give(ret, &result, sizeof(result));
	return r;
}
