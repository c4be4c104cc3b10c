/* SPDX-License-Identifier: Apache-2.0 */
/* How much room layers, images and containers take on disk, each by itself and all together. */
#include "archive/tree/usage_scan.h"
#include "base/hashmap.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include <cstorage/report.h>
#include <errno.h>

struct cst_usage {
	struct arena arena; /* of the strings */
	cst_usage_entry *items;
	size_t len;
	cst_usage_total total;
};

/* A layer while it is being measured. */
struct measured {
	const cst_layer *layer;
	size_t images, containers;   /* built on it */
	const cst_image *last_image; /* counted last: an image may reach a layer twice */
	bool wanted, listed;
	struct usage_scanned content;
	uint64_t data;
};

struct usage_job {
	cst_store *store;
	cst_layer_list *layers;
	cst_image_list *images;
	cst_container_list *containers;
	struct measured *measured; /* as `layers` */
	struct hashmap by_id;      /* to struct measured */
	bool *image_listed, *container_listed;
	struct usage_pieces pieces, used_pieces; /* shared things of all layers, of those in use */
	const cst_progress *progress;
	cst_usage *usage;
};

DEFINE_CLEANUP(cst_usage *, cst_usage_free)

static void job_done(struct usage_job *job)
{
	cst_layer_list_free(job->layers);
	cst_image_list_free(job->images);
	cst_container_list_free(job->containers);
	hashmap_free(&job->by_id);
	usage_pieces_free(&job->pieces);
	usage_pieces_free(&job->used_pieces);
	free(job->measured);
	free(job->image_listed);
	free(job->container_listed);
}

/* ---- who is built on what ---- */

static struct measured *layer_of(const struct usage_job *job, const char *id)
{
	return *id ? hashmap_get(&job->by_id, id) : NULL;
}

/* Walks from a layer down to its base. It ends if a record is its own ancestor. */
typedef void (*visit_layer)(struct measured *m, void *userdata);

static void below(const struct usage_job *job, const char *id, visit_layer visit, void *userdata)
{
	size_t left = cst_layer_list_size(job->layers);
	for (struct measured *m = layer_of(job, id); m && left-- > 0;
	     m = layer_of(job, m->layer->parent))
		visit(m, userdata);
}

static void all_of_image(const struct usage_job *job, const cst_image *image, visit_layer visit,
                         void *userdata)
{
	below(job, image->layer, visit, userdata);
	for (size_t i = 0; i < image->mapped_layers.len; i++)
		below(job, image->mapped_layers.items[i], visit, userdata);
}

static void count_image(struct measured *m, void *userdata)
{
	m->images += m->last_image != userdata;
	m->last_image = userdata;
}

static void count_container(struct measured *m, void *userdata)
{
	m->containers++;
}

static void want(struct measured *m, void *userdata)
{
	m->wanted = true;
}

static int load(struct usage_job *job, cst_error **error)
{
	int r = cst_store_snapshot(job->store, &job->layers, &job->images, &job->containers, error);
	if (r < 0)
		return r;
	size_t n = cst_layer_list_size(job->layers), n_images = cst_image_list_size(job->images),
	       n_containers = cst_container_list_size(job->containers);
	job->measured = new0(struct measured, n + 1);
	job->image_listed = new0(bool, n_images + 1);
	job->container_listed = new0(bool, n_containers + 1);
	if (!job->measured || !job->image_listed || !job->container_listed)
		return error_oom(error);
	for (size_t i = 0; i < n; i++) {
		struct measured *m = &job->measured[i];
		m->layer = cst_layer_list_get(job->layers, i);
		if (!hashmap_contains(&job->by_id, m->layer->id) &&
		    !hashmap_put(&job->by_id, m->layer->id, m))
			return error_oom(error);
	}
	for (size_t i = 0; i < n_images; i++) {
		const cst_image *image = cst_image_list_get(job->images, i);
		all_of_image(job, image, count_image, (void *)image);
	}
	for (size_t i = 0; i < n_containers; i++)
		below(job, cst_container_list_get(job->containers, i)->layer, count_container,
		      NULL);
	return 0;
}

/* ---- what is to be listed ---- */

/* Lists the item of a kind that has this ID; NULL: all items of the kind. */
static void list_items(struct usage_job *job, enum cst_kind kind, const char *id)
{
	for (size_t i = 0; kind == CST_KIND_LAYER && i < cst_layer_list_size(job->layers); i++) {
		struct measured *m = &job->measured[i];
		if (!id || streq(m->layer->id, id))
			m->listed = m->wanted = true;
	}
	for (size_t i = 0; kind == CST_KIND_IMAGE && i < cst_image_list_size(job->images); i++) {
		const cst_image *image = cst_image_list_get(job->images, i);
		if (id && !streq(image->id, id))
			continue;
		job->image_listed[i] = true;
		all_of_image(job, image, want, NULL);
	}
	for (size_t i = 0;
	     kind == CST_KIND_CONTAINER && i < cst_container_list_size(job->containers); i++) {
		const cst_container *container = cst_container_list_get(job->containers, i);
		if (id && !streq(container->id, id))
			continue;
		job->container_listed[i] = true;
		struct measured *own = layer_of(job, container->layer);
		if (own)
			own->wanted = true;
	}
}

/* Chooses an item of the caller's: a container, an image or a layer, in the order of
 * cst_store_names(). */
static int choose(struct usage_job *job, const char *item, cst_error **error)
{
	static const enum cst_kind order[] = {CST_KIND_CONTAINER, CST_KIND_IMAGE, CST_KIND_LAYER};
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		_cleanup_found_item_ struct found_item found = {0};
		if (item_read(job->store, order[i], item, &found, NULL) < 0)
			continue;
		/* The ID of a container's layer finds the container too; here it means the layer. */
		if (order[i] == CST_KIND_CONTAINER &&
		    has_prefix(((const cst_container *)found.record)->layer, item))
			continue;
		list_items(job, order[i], record_id(found.record));
		return 0;
	}
	return error_about_go(error, CST_ENOT_AN_ID, item, "%s", item);
}

static int choose_all(struct usage_job *job, const char *const *items, size_t n, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = choose(job, items[i], error);
	for (size_t i = 0; n == 0 && i < KINDS; i++)
		list_items(job, CST_KIND_LAYER + i, NULL);
	return r;
}

/* ---- measuring ---- */

/* Adds the bytes of a directory or file below `dirfd`. If it is missing, it takes no room. */
static int add_data(int dirfd, const char *name, uint64_t *sum, cst_error **error)
{
	_cleanup_pieces_ struct usage_pieces pieces = {0};
	struct usage_scanned scanned = {0};
	struct stat st;
	if (dirfd < 0 || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		*sum += (uint64_t)st.st_blocks * 512;
		return 0;
	}
	_cleanup_close_ int fd =
	        openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? 0 : usage_scan(fd, &pieces, &scanned, error);
	*sum += scanned.exclusive + scanned.shared;
	return r;
}

/* Opens the directories of a layer while its record exists. */
static int open_layer(cst_store *store, const char *id, int *content_fd, int *data_fd,
                      cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_strv_ struct strv pairs = {0};
	struct source source = {.fd = -1};
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r < 0)
		return r;
	if (!layer_get(store, id, &source) ||
	    store->driver->ops->paths(store->driver, id, &pairs, NULL) < 0)
		return 0;
	*data_fd = source.fd < 0 ? -1 : fcntl(source.fd, F_DUPFD_CLOEXEC, 0);
	for (size_t i = 0; i + 1 < pairs.len; i += 2)
		if (streq(pairs.items[i], "UpperDir") || streq(pairs.items[i], "Directory"))
			*content_fd = open(pairs.items[i + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

static int measure_layer(struct usage_job *job, struct measured *m, cst_error **error)
{
	_cleanup_close_ int content_fd = -1, data_fd = -1;
	_cleanup_free_ char *tarsplit = str_printf("%s.tar-split.gz", m->layer->id);
	size_t before = job->pieces.len;
	if (!tarsplit)
		return error_oom(error);
	int r = open_layer(job->store, m->layer->id, &content_fd, &data_fd, error);
	if (r == 0 && content_fd >= 0)
		r = usage_scan(content_fd, &job->pieces, &m->content, error);
	if (r == 0)
		r = add_data(data_fd, tarsplit, &m->data, error);
	if (r == 0)
		r = add_data(data_fd, m->layer->id, &m->data, error);
	if (m->layer->read_only)
		job->pieces.len = before; /* not part of the total */
	if (r == 0 && m->images + m->containers > 0 &&
	    !usage_pieces_append(&job->used_pieces, &job->pieces, before))
		r = error_oom(error);
	return r;
}

static int tell(const struct usage_job *job, size_t done, size_t total, cst_error **error)
{
	const cst_progress_state state = {.size = sizeof(state),
	                                  .what = "measure",
	                                  .entries_done = done,
	                                  .entries_total = total};
	return progress_tell(job->progress, &state, error);
}

static int measure(struct usage_job *job, cst_error **error)
{
	size_t n = cst_layer_list_size(job->layers), wanted = 0, done = 0;
	int r = 0;
	for (size_t i = 0; i < n; i++)
		wanted += job->measured[i].wanted;
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!job->measured[i].wanted)
			continue;
		r = measure_layer(job, &job->measured[i], error);
		if (r == 0)
			r = tell(job, ++done, wanted, error);
	}
	return r;
}

/* ---- what is handed out ---- */

static cst_usage_entry *new_entry(struct usage_job *job, enum cst_kind kind, const char *id,
                                  struct strings names)
{
	struct arena *arena = &job->usage->arena;
	cst_usage_entry *entry = &job->usage->items[job->usage->len++];
	const char **copies = arena_alloc(arena, (names.len + 1) * sizeof(*copies));
	for (size_t i = 0; copies && i < names.len; i++)
		copies[i] = arena_strdup(arena, names.items[i]);
	*entry = (cst_usage_entry){.size = sizeof(*entry),
	                           .kind = kind,
	                           .id = arena_strdup(arena, id),
	                           .names = copies,
	                           .n_names = names.len};
	return entry;
}

static void put_layer(struct usage_job *job, const struct measured *m)
{
	cst_usage_entry *entry = new_entry(job, CST_KIND_LAYER, m->layer->id, m->layer->names);
	entry->exclusive = m->content.exclusive;
	entry->shared = m->content.shared;
	entry->content = entry->exclusive + entry->shared;
	entry->entries = m->content.entries;
	entry->data = m->data;
	entry->images = m->images;
	entry->containers = m->containers;
	entry->read_only = m->layer->read_only;
}

static void add_layer_of_image(struct measured *m, void *userdata)
{
	cst_usage_entry *entry = userdata;
	uint64_t bytes = m->content.exclusive + m->content.shared;
	if (m->listed) /* here: met before */
		return;
	m->listed = true;
	entry->content += bytes;
	entry->entries += m->content.entries;
	*(m->images > 1 ? &entry->shared : &entry->exclusive) += bytes;
}

static void forget_layer(struct measured *m, void *userdata)
{
	m->listed = false;
}

static int put_image(struct usage_job *job, const cst_image *image, cst_error **error)
{
	cst_usage_entry *entry = new_entry(job, CST_KIND_IMAGE, image->id, image->names);
	entry->read_only = image->read_only;
	all_of_image(job, image, forget_layer, NULL);
	all_of_image(job, image, add_layer_of_image, entry);
	int r = image->read_only
	                ? 0
	                : add_data(job->store->sets.images.fd, image->id, &entry->data, error);
	job->usage->total.data += entry->data;
	return r;
}

static int put_container(struct usage_job *job, const cst_container *container, cst_error **error)
{
	cst_usage_entry *entry =
	        new_entry(job, CST_KIND_CONTAINER, container->id, container->names);
	const struct measured *own = layer_of(job, container->layer);
	if (own) {
		entry->exclusive = own->content.exclusive;
		entry->shared = own->content.shared;
		entry->content = entry->exclusive + entry->shared;
		entry->entries = own->content.entries;
	}
	int r = add_data(job->store->sets.containers.fd, container->id, &entry->data, error);
	if (r == 0)
		r = add_data(job->store->sets.containers.run_fd, container->id, &entry->data,
		             error);
	job->usage->total.data += entry->data;
	return r;
}

/* Sums the layers, each once. */
static void sum_layers(struct usage_job *job)
{
	cst_usage_total *total = &job->usage->total;
	total->size = sizeof(*total);
	for (size_t i = 0; i < cst_layer_list_size(job->layers); i++) {
		const struct measured *m = &job->measured[i];
		if (!m->wanted || m->layer->read_only)
			continue;
		total->content += m->content.exclusive;
		total->data += m->data;
		if (m->images + m->containers == 0)
			total->unused += m->content.exclusive + m->data;
	}
	uint64_t shared = usage_pieces_merge(&job->pieces, 0);
	total->content += shared;
	total->unused += shared - usage_pieces_merge(&job->used_pieces, 0);
}

static int put_all(struct usage_job *job, cst_error **error)
{
	size_t n = cst_layer_list_size(job->layers), n_images = cst_image_list_size(job->images),
	       n_containers = cst_container_list_size(job->containers);
	int r = 0;
	job->usage->items = new0(cst_usage_entry, n + n_images + n_containers + 1);
	if (!job->usage->items)
		return error_oom(error);
	for (size_t i = 0; i < n; i++)
		if (job->measured[i].listed)
			put_layer(job, &job->measured[i]);
	for (size_t i = 0; r == 0 && i < n_images; i++)
		if (job->image_listed[i])
			r = put_image(job, cst_image_list_get(job->images, i), error);
	for (size_t i = 0; r == 0 && i < n_containers; i++)
		if (job->container_listed[i])
			r = put_container(job, cst_container_list_get(job->containers, i), error);
	sum_layers(job);
	return r == 0 && job->usage->arena.failed ? error_oom(error) : r;
}

int cst_store_usage(cst_store *store, const char *const *items, size_t n_items,
                    const cst_progress *progress, cst_usage **ret, cst_error **error)
{
	_cleanup_(cst_usage_freep) cst_usage *usage = new0(cst_usage, 1);
	_cleanup_(job_done) struct usage_job job = {
	        .store = store, .progress = progress, .usage = usage};
	if (!usage)
		return error_oom(error);
	int r = load(&job, error);
	if (r == 0)
		r = choose_all(&job, items, n_items, error);
	if (r == 0)
		r = measure(&job, error);
	if (r == 0)
		r = put_all(&job, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&usage);
	return 0;
}

size_t cst_usage_size(const cst_usage *usage)
{
	return usage ? usage->len : 0;
}

const cst_usage_entry *cst_usage_get(const cst_usage *usage, size_t index)
{
	return index < cst_usage_size(usage) ? &usage->items[index] : NULL;
}

const cst_usage_total *cst_usage_get_total(const cst_usage *usage)
{
	return &usage->total;
}

void cst_usage_free(cst_usage *usage)
{
	if (!usage)
		return;
	arena_clear(&usage->arena);
	free(usage->items);
	free(usage);
}
