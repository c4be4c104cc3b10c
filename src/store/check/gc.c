/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving back what no record knows (docs/format/config.md, "gc"). The lock of each kind is held for writing while its
 * directories are compared with its records, so nothing that another process is making is taken for garbage: content
 * gets its place, and its record, under the same lock.
 */
#include "archive/pack/pack.h"
#include "base/id.h"
#include "store/change/change.h"
#include "store/core/store.h"
#include <cstorage/check.h>
#include <errno.h>

struct piece {
	enum cst_kind kind;
	const char *id;
	uint64_t bytes;
};

struct cst_garbage {
	struct arena arena;
	struct piece *items;
	size_t len, capacity;
};

static int add_piece(struct cst_garbage *garbage, enum cst_kind kind, const char *id,
                     uint64_t bytes, cst_error **error)
{
	struct piece *grown =
	        grow_array(garbage->items, &garbage->capacity, garbage->len + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	garbage->items = grown;
	grown[garbage->len] = (struct piece){
	        .kind = kind, .id = arena_strdup(&garbage->arena, id), .bytes = bytes};
	return grown[garbage->len++].id ? 0 : error_oom(error);
}

/* ---- what is garbage ---- */

/* Directories of items are named by a full ID; whatever else is there belongs to somebody else. */
static int list_directories(const struct set *set, struct strv *ids, cst_error **error)
{
	static const char tarsplit[] = ".tar-split.gz";
	_cleanup_strv_ struct strv names = {0};
	if (set->fd < 0)
		return 0;
	int r = fs_list_dir(set->fd, ".", &names, set->dir, error);
	strv_foreach (name, &names) {
		size_t n = strlen(name);
		if (set->kind->in_driver && n == 64 + strlen(tarsplit) &&
		    streq(name + 64, tarsplit))
			name[64] = '\0';
		if (r == 0 && id_is_hex64(name) && !record_set_get(set->table, name) &&
		    !strv_contains(ids, name))
			r = strv_add(ids, name) ? 0 : error_oom(error);
	}
	return r;
}

/* Somebody may use it although this process sees no record: that of a transient store is in another run root. What a
 * container wrote must not go. */
static int is_in_use(cst_store *store, const char *id, bool *ret, cst_error **error)
{
	*ret = container_table_by_layer(store->sets.containers.table, id) != NULL;
	return *ret ? 0 : driver_is_mounted(store->driver, id, NULL, ret, error);
}

static int list_content(cst_store *store, struct strv *ids, cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	int r = store->driver->ops->list(store->driver, &names, error);
	strv_foreach (name, &names) {
		bool used = record_set_get(store->sets.layers.table, name) != NULL;
		if (r == 0 && !used)
			r = is_in_use(store, name, &used, error);
		if (r == 0 && !used)
			r = strv_add(ids, name) ? 0 : error_oom(error);
	}
	return r;
}

static int find_garbage(cst_store *store, enum cst_kind kind, struct strv *ids, cst_error **error)
{
	const struct set *set = set_of(store, kind);
	int r = set->kind->in_driver ? list_content(store, ids, error) : 0;
	return r == 0 ? list_directories(set, ids, error) : r;
}

/* ---- what becomes of it ---- */

static uint64_t size_below(int dirfd, const char *name)
{
	int64_t bytes = 0, inodes = 0;
	_cleanup_close_ int fd =
	        openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && usage_tree(fd, &bytes, &inodes, NULL) == 0 ? (uint64_t)bytes : 0;
}

static uint64_t size_of(cst_store *store, enum cst_kind kind, const char *id)
{
	const struct set *set = set_of(store, kind);
	struct driver_usage usage = {0};
	uint64_t bytes = set->fd >= 0 ? size_below(set->fd, id) : 0;
	if (set->kind->in_driver && store->driver->ops->usage(store->driver, id, &usage, NULL) == 0)
		bytes += (uint64_t)usage.bytes;
	return bytes;
}

static int remove_piece(struct change *change, const struct intent *intent, void *arg,
                        cst_error **error)
{
	const struct piece *piece = arg;
	return item_remove_files(change->store, piece->kind, piece->id, "", &change->trash, error);
}

static int collect(cst_store *store, enum cst_kind kind, bool dry_run, struct cst_garbage *garbage,
                   cst_error **error)
{
	_cleanup_change_ struct change change = {0};
	_cleanup_strv_ struct strv ids = {0};
	struct hold_modes modes = hold_only(kind, dry_run ? HOLD_READ_LOCKED : HOLD_WRITE);
	if (kind == CST_KIND_LAYER)
		modes.containers = HOLD_READ;
	int r = change_hold(&change, store, modes, error);
	if (r == 0)
		r = find_garbage(store, kind, &ids, error);
	size_t first = garbage->len;
	strv_foreach (id, &ids)
		r = r == 0 ? add_piece(garbage, kind, id, size_of(store, kind, id), error) : r;
	for (size_t i = first; i < garbage->len && !dry_run; i++)
		change_add(&change, NULL, NULL, remove_piece, &garbage->items[i]);
	return r == 0 && !dry_run ? change_commit(&change, error) : r;
}

DEFINE_CLEANUP(cst_garbage *, cst_garbage_free)

int cst_store_gc(cst_store *store, const cst_gc_options *given, cst_garbage **ret,
                 cst_error **error)
{
	static const enum cst_kind order[] = {CST_KIND_CONTAINER, CST_KIND_IMAGE, CST_KIND_LAYER};
	cst_gc_options options = CST_GC_OPTIONS_INIT;
	_cleanup_(cst_garbage_freep) struct cst_garbage *garbage = new0(struct cst_garbage, 1);
	int r = garbage ? options_take(&options, sizeof(options), given, "cst_gc_options", error)
	                : error_oom(error);
	if (r == 0 && store->read_only && !options.dry_run)
		r = error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(order); i++)
		r = collect(store, order[i], options.dry_run, garbage, error);
	if (r == 0 && ret)
		*ret = steal_ptr(&garbage);
	return r;
}

size_t cst_garbage_size(const cst_garbage *garbage)
{
	return garbage ? garbage->len : 0;
}

int cst_garbage_kind(const cst_garbage *garbage, size_t index)
{
	return index < cst_garbage_size(garbage) ? (int)garbage->items[index].kind : CST_EINVAL;
}

const char *cst_garbage_id(const cst_garbage *garbage, size_t index)
{
	return index < cst_garbage_size(garbage) ? garbage->items[index].id : NULL;
}

uint64_t cst_garbage_bytes(const cst_garbage *garbage, size_t index)
{
	return index < cst_garbage_size(garbage) ? garbage->items[index].bytes : 0;
}

void cst_garbage_free(cst_garbage *garbage)
{
	if (!garbage)
		return;
	arena_clear(&garbage->arena);
	free(garbage->items);
	free(garbage);
}
