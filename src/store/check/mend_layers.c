/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that the driver has and whose record is gone, while something refers to them, or records were lost. The driver tells what
 * a layer is built on. The tar-split tells its archive, which comes out only if every file is what it was: so digest and size of
 * that are right. Names, metadata, the digest of the compressed archive and the time of creation are not known any more; the
 * layer gets the time of its tar-split.
 */
#include "archive/tar/tar.h"
#include "base/base64.h"
#include "base/digest.h"
#include "base/id.h"
#include "store/check/menders.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/layer/view.h"
#include <sys/stat.h>

/* ---- what the archive tells ---- */

struct summing {
	struct digester *digester;
	struct tar_reader *reader;
	struct idset uids, gids;
	int64_t bytes;
};

static void summing_done(struct summing *sum)
{
	digester_free(sum->digester);
	tar_reader_free(sum->reader);
	idset_free(&sum->uids);
	idset_free(&sum->gids);
}

static int note_entry(struct summing *sum, cst_error **error)
{
	const struct tar_header *header = tar_reader_header(sum->reader);
	const char *slash = strrchr(header->name, '/');
	if (header->type == 'g' || has_prefix(slash ? slash + 1 : header->name, ".wh."))
		return 0;
	bool ok = idset_add(&sum->uids, header->uid) && idset_add(&sum->gids, header->gid);
	return ok ? 0 : error_oom(error);
}

static int sum_piece(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct summing *sum = userdata;
	enum tar_event event = TAR_ENTRY;
	const void *piece;
	size_t len;
	int r = 0;
	sum->bytes += (int64_t)n;
	digester_update(sum->digester, data, n);
	tar_reader_feed(sum->reader, data, n);
	while (r == 0 && (r = tar_reader_next(sum->reader, &event, &piece, &len, error)) == 0 &&
	       event != TAR_NEED_DATA) {
		if (event == TAR_ENTRY)
			r = note_entry(sum, error);
	}
	return r;
}

static struct uint32s ids_of(struct arena *arena, const struct idset *set)
{
	uint32_t *items = arena_alloc(arena, (set->len + 1) * sizeof(uint32_t));
	if (items && set->len)
		memcpy(items, set->sorted, set->len * sizeof(uint32_t));
	return (struct uint32s){.items = items, .len = items ? set->len : 0};
}

static struct timestamp time_of(const struct stat *st)
{
	return (struct timestamp){
	        .sec = st->st_mtim.tv_sec, .nsec = (int32_t)st->st_mtim.tv_nsec, .zulu = true};
}

/* No lock is held: all of the layer is read. Without a tar-split the record says nothing of an archive. */
static int read_archive(struct layer_view *view, struct arena *arena, cst_layer *record,
                        cst_error **error)
{
	_cleanup_(summing_done) struct summing sum = {0};
	char digest[DIGEST_TEXT_MAX];
	record->created = timestamp_now();
	if (view->tarsplit_fd < 0)
		return 0;
	record->created = time_of(&view->tarsplit);
	int r = digester_new(DIGEST_SHA256, &sum.digester, error);
	if (r == 0)
		r = tar_reader_new(&sum.reader, error);
	if (r == 0)
		r = layer_view_write_tar(view, 0, NULL,
		                         &(cst_sink){.write = sum_piece, .userdata = &sum}, error);
	if (r == 0)
		r = digester_finish(sum.digester, digest, error);
	if (r < 0)
		return r;
	record->diff_digest = arena_strdup(arena, digest);
	record->diff_size = sum.bytes;
	record->uids = ids_of(arena, &sum.uids);
	record->gids = ids_of(arena, &sum.gids);
	return 0;
}

/* ---- what its directory of data items tells ---- */

/* The key of a file's name: see data_file_name(). NULL: out of memory. */
static const char *key_of_file(struct arena *arena, const char *file)
{
	size_t len = strlen(file), bad;
	char *key = arena_strdup(arena, file);
	if (!key || *file != '=')
		return key;
	bool ok = base64_decode(file + 1, len - 1, (unsigned char *)key, &len, &bad);
	key[ok ? len : 0] = '\0';
	_cleanup_free_ char *again = data_file_name(key);
	return again && streq(again, file) ? key : file;
}

static int read_data_names(const struct set *layers, const char *id, struct arena *arena,
                           cst_layer *record, cst_error **error)
{
	_cleanup_strv_ struct strv files = {0};
	if (!fs_exists(layers->fd, id))
		return 0;
	int r = fs_list_dir(layers->fd, id, &files, layers->dir, error);
	if (r < 0)
		return r;
	const char **names = arena_alloc(arena, (files.len + 1) * sizeof(*names));
	for (size_t i = 0; names && i < files.len; i++)
		names[i] = key_of_file(arena, arena_strdup(arena, files.items[i]));
	record->data_names = (struct strings){.items = names, .len = files.len};
	return arena->failed ? error_oom(error) : 0;
}

/* ---- one layer ---- */

static int open_lost(cst_store *store, const char *id, const char *parent, struct layer_view *view,
                     cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	return r == 0 ? layer_view_open_unrecorded(store, id, parent, view, error) : r;
}

static int add_record(cst_store *store, struct arena *arena, cst_layer *record, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	struct set *set = &store->sets.layers;
	int r = hold_write(store, CST_KIND_LAYER, &layers, error);
	if (r < 0 || record_set_knows(set->table, record->id))
		return r;
	if (*record->parent && !layer_get(store, record->parent, NULL))
		return error_about(error, CST_ELAYER_UNKNOWN, record->parent);
	r = read_data_names(set, record->id, arena, record, error);
	if (r == 0 && !record_set_add(set->table, record))
		r = error_oom(error);
	return r == 0 ? set_save(set, error) : r;
}

/* A container's layer belongs to the ids of the container. */
static int maps_of_container(cst_store *store, const char *id, struct arena *arena,
                             cst_layer *record, cst_error **error)
{
	_cleanup_hold_ struct hold containers = {0};
	int r = hold_read(store, CST_KIND_CONTAINER, &containers, error);
	const cst_container *container =
	        r == 0 ? container_table_by_layer(store->sets.containers.table, id) : NULL;
	cst_container *copy = container ? arena_alloc(arena, sizeof(*copy)) : NULL;
	if (!container)
		return r;
	if (!copy || !container_copy(arena, container, copy))
		return error_oom(error);
	record->uid_map = copy->uid_map;
	record->gid_map = copy->gid_map;
	record->mount_label = copy->mount_label;
	return 0;
}

static int make_record(cst_store *store, const char *id, const char *parent, cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_layer_view_ struct layer_view view = LAYER_VIEW_INIT;
	cst_layer record = {.id = id,
	                    .parent = parent,
	                    .metadata = "",
	                    .mount_label = "",
	                    .compressed_digest = "",
	                    .diff_digest = "",
	                    .toc_digest = "",
	                    .mount_point = ""};
	int r = open_lost(store, id, parent, &view, error);
	if (r == 0)
		r = read_archive(&view, &arena, &record, error);
	if (r == 0)
		r = maps_of_container(store, id, &arena, &record, error);
	return r == 0 ? add_record(store, &arena, &record, error) : r;
}

/* ---- with all that it is built on ---- */

/* *ret: IDs of the layers without a record, base first. */
static int list_lost(cst_store *store, const char *id, struct strv *ret, struct strv *parents,
                     cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_strv_ struct strv chain = {0};
	struct driver *driver = store->driver;
	bool there = false;
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = driver->ops->exists(driver, id, &there, error);
	if (r < 0 || !there || record_set_knows(store->sets.layers.table, id) ||
	    layer_get(store, id, NULL))
		return r;
	if (!driver->ops->ancestors)
		return error_set(error, CST_ENOTSUP,
		                 "the driver %s does not know what layer %s is built on",
		                 driver->ops->name, id);
	r = driver->ops->ancestors(driver, id, &chain, error);
	for (size_t i = chain.len + 1; r == 0 && i-- > 0;) {
		const char *layer = i ? chain.items[i - 1] : id;
		const char *parent = i < chain.len ? chain.items[i] : "";
		if (!layer_get(store, layer, NULL) &&
		    (!strv_add(ret, layer) || !strv_add(parents, parent)))
			r = error_oom(error);
	}
	return r;
}

static int mend_layer(cst_store *store, const char *id, struct strbuf *done, cst_error **error)
{
	_cleanup_strv_ struct strv lost = {0}, parents = {0};
	int r = list_lost(store, id, &lost, &parents, error);
	for (size_t i = 0; r == 0 && i < lost.len; i++) {
		r = make_record(store, lost.items[i], parents.items[i], error);
		if (r == 0)
			strbuf_addf(done, "%s%s", done->len ? ", " : "", lost.items[i]);
	}
	return r;
}

/* ---- what refers to layers ---- */

/* Adds the ID of each layer that the object has by itself. */
static int layers_of(const struct found_item *item, struct strv *ret, cst_error **error)
{
	bool ok = true;
	if (item->kind->id == CST_KIND_IMAGE) {
		const cst_image *image = item->record;
		ok = strv_add(ret, image->layer);
		for (size_t i = 0; ok && i < image->mapped_layers.len; i++)
			ok = strv_add(ret, image->mapped_layers.items[i]);
	} else if (item->kind->id == CST_KIND_CONTAINER) {
		ok = strv_add(ret, ((const cst_container *)item->record)->layer);
	} else {
		ok = strv_add(ret, ((const cst_layer *)item->record)->parent);
	}
	return ok ? 0 : error_oom(error);
}

static int wanted_layers(const struct mending *mending, const struct cst_finding *finding,
                         struct strv *ret, cst_error **error)
{
	_cleanup_found_item_ struct found_item item = {0};
	if (finding->code != CST_FINDING_NO_RECORD) {
		int r = item_read(mending->store, finding->about.kind, finding->about.id, &item,
		                  error);
		return r == 0 ? layers_of(&item, ret, error) : r;
	}
	return mending->lost && !strv_add(ret, finding->about.id) ? error_oom(error) : 0;
}

int mend_lost_layers(struct mending *mending, const struct cst_finding *finding, char **done,
                     cst_error **error)
{
	_cleanup_strv_ struct strv wanted = {0};
	_cleanup_strbuf_ struct strbuf ids = {0};
	int r = wanted_layers(mending, finding, &wanted, error);
	for (size_t i = 0; r == 0 && i < wanted.len; i++) {
		if (*wanted.items[i])
			r = mend_layer(mending->store, wanted.items[i], &ids, error);
	}
	if (r < 0 || !ids.len)
		return r < 0 ? r : MEND_NOT;
	_cleanup_free_ char *list = strbuf_steal(&ids);
	*done = list ? str_join("lost records are made again: of layer ", list) : NULL;
	return *done ? MEND_DONE : error_oom(error);
}
