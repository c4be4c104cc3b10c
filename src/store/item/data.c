/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named data of layers, images and containers: a file each in the item's metadata directory, listed
 * in its record, for images and containers with size and digest (docs/format/store.md, "Big data").
 */
#include "store/item/data.h"
#include "base/digest.h"
#include "store/item/edit.h"
#include <errno.h>
#include <unistd.h>

static const char *const kind_names[] = {
        [CST_KIND_LAYER] = "layer", [CST_KIND_IMAGE] = "image", [CST_KIND_CONTAINER] = "container"};

static int check_kind(enum cst_kind kind, cst_error **error)
{
	if (kind >= CST_KIND_LAYER && kind <= CST_KIND_CONTAINER)
		return 0;
	return error_set(error, CST_EINVAL, "unknown kind of item: %d", (int)kind);
}

static int kind_fd(const cst_store *store, enum cst_kind kind)
{
	return kind == CST_KIND_LAYER   ? store->layers.fd
	       : kind == CST_KIND_IMAGE ? store->images.fd
	                                : store->containers.fd;
}

static const char *kind_dir(const cst_store *store, enum cst_kind kind)
{
	return kind == CST_KIND_LAYER   ? store->layers.dir
	       : kind == CST_KIND_IMAGE ? store->images.dir
	                                : store->containers.dir;
}

static struct journal *kind_journal(cst_store *store, enum cst_kind kind)
{
	return kind == CST_KIND_LAYER   ? &store->layer_journal
	       : kind == CST_KIND_IMAGE ? &store->image_journal
	                                : &store->container_journal;
}

/* A copy of the item's ID and of its list of data items. The messages differ by kind and use. */
struct owner {
	cst_layer *layer;
	cst_image *image;
	cst_container *container;
	const char *id;
	const struct data_items *items;
	int fd; /* of the directory that holds the items' directories */
	const char *dir;
};

static void owner_free(struct owner *owner)
{
	cst_layer_free(owner->layer);
	cst_image_free(owner->image);
	cst_container_free(owner->container);
}

static int find_layer_owner(cst_store *store, const char *id, struct owner *ret, cst_error **error)
{
	_cleanup_layers_read_ cst_store *layers = NULL;
	struct layer_source source;
	int r = layers_read(store, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = layer_find(store, id, &source);
	if (!layer)
		return error_code(error, CST_ELAYER_UNKNOWN);
	ret->layer = layer_dup(layer);
	ret->fd = source.fd;
	ret->dir = source.dir;
	return ret->layer ? 0 : error_oom(error);
}

static int find_image_owner(cst_store *store, const char *id, struct owner *ret, cst_error **error)
{
	_cleanup_images_read_ cst_store *images = NULL;
	struct image_source source;
	const cst_image *image;
	int r = images_read(store, &images, error);
	if (r == 0)
		r = image_must(store, id, &image, error);
	if (r < 0)
		return r;
	ret->image = image_dup(image_find(store, id, &source));
	ret->fd = source.fd;
	ret->dir = source.dir;
	return ret->image ? 0 : error_oom(error);
}

static int find_owner(cst_store *store, enum cst_kind kind, const char *id, struct owner *ret,
                      cst_error **error)
{
	static const struct data_items none;
	int r;
	*ret = (struct owner){
	        .fd = kind_fd(store, kind), .dir = kind_dir(store, kind), .items = &none};
	switch (kind) {
	case CST_KIND_LAYER:
		r = find_layer_owner(store, id, ret, error);
		ret->id = r == 0 ? ret->layer->id : NULL;
		return r;
	case CST_KIND_IMAGE:
		r = find_image_owner(store, id, ret, error);
		ret->id = r == 0 ? ret->image->id : NULL;
		ret->items = r == 0 ? &ret->image->data : &none;
		return r;
	case CST_KIND_CONTAINER:
		r = cst_store_container(store, id, &ret->container, error);
		ret->id = r == 0 ? ret->container->id : NULL;
		ret->items = r == 0 ? &ret->container->data : &none;
		return r;
	}
	return check_kind(kind, error);
}

static const struct data_item *find_item(const struct data_items *items, const char *key)
{
	for (size_t i = 0; i < items->len; i++) {
		if (streq(items->items[i].name, key))
			return &items->items[i];
	}
	return NULL;
}

/* ---- reading ---- */

int cst_store_data_names(cst_store *store, enum cst_kind kind, const char *id, cst_strings **ret,
                         cst_error **error)
{
	_cleanup_(owner_free) struct owner owner = {0};
	_cleanup_strv_ struct strv names = {0};
	int r = find_owner(store, kind, id, &owner, error);
	if (r == 0 && owner.layer)
		r = names_unique(owner.layer->data_names.items, owner.layer->data_names.len, &names,
		                 error);
	for (size_t i = 0; r == 0 && i < owner.items->len; i++)
		r = names_unique(&owner.items->items[i].name, 1, &names, error);
	return r < 0 ? r : strings_give(&names, ret, error);
}

static int item_missing(const cst_store *store, enum cst_kind kind, const char *id, const char *key,
                        const char *file, cst_error **error)
{
	switch (kind) {
	case CST_KIND_LAYER:
		return error_wrap_code(error, CST_EDATA_UNKNOWN,
		                       "locating item named \"%s\" for layer with ID \"%s\"", key,
		                       id);
	case CST_KIND_IMAGE:
		return error_wrap_code(error, CST_EDATA_UNKNOWN,
		                       "locating item named \"%s\" for image with ID \"%s\" "
		                       "(consider removing the image to "
		                       "resolve the issue)",
		                       key, id);
	default:
		return error_set(error, CST_EDATA_UNKNOWN, "open %s/%s/%s: %s",
		                 kind_dir(store, kind), id, file, errno_text(ENOENT));
	}
}

int cst_store_data(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                   void **data, size_t *size, cst_error **error)
{
	_cleanup_(owner_free) struct owner owner = {0};
	int r = check_kind(kind, error);
	if (r == 0)
		r = find_owner(store, kind, id, &owner, error);
	if (r == 0 && isempty(key) && kind != CST_KIND_CONTAINER)
		return item_missing(store, kind, owner.id, key, "", error);
	if (r == 0 && isempty(key))
		return error_wrap_code(error, CST_EINVALID_BIG_DATA_NAME,
		                       "can't retrieve container big data value for empty name");
	if (r < 0)
		return r;
	_cleanup_free_ char *file = data_file_name(key), *path = NULL, *content = NULL;
	size_t len = 0;
	if (!file || !(path = path_join(owner.id, file)))
		return error_oom(error);
	if (!path_is_component(file))
		return item_missing(store, kind, owner.id, key, file, error);
	_cleanup_close_ int fd =
	        fs_open_beneath(owner.fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return item_missing(store, kind, owner.id, key, file, error);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", owner.dir, path);
	r = fs_read_fd(fd, path, SIZE_MAX / 4, &content, &len, error);
	if (r < 0)
		return r;
	*data = steal_ptr(&content);
	*size = len;
	return 0;
}

int cst_store_data_size(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                        int64_t *size, cst_error **error)
{
	_cleanup_(owner_free) struct owner owner = {0};
	int r = find_owner(store, kind, id, &owner, error);
	if (r < 0)
		return r;
	if (kind == CST_KIND_CONTAINER && isempty(key))
		return error_wrap_code(error, CST_EINVALID_BIG_DATA_NAME,
		                       "can't retrieve size of container big data with empty name");
	const struct data_item *item = find_item(owner.items, key);
	if (!item || item->size < 0)
		return error_code(error, CST_ESIZE_UNKNOWN);
	*size = item->size;
	return 0;
}

int cst_store_data_digest(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                          char **digest, cst_error **error)
{
	_cleanup_(owner_free) struct owner owner = {0};
	int r = find_owner(store, kind, id, &owner, error);
	if (r < 0)
		return r;
	if (kind == CST_KIND_CONTAINER && isempty(key))
		return error_wrap_code(
		        error, CST_EINVALID_BIG_DATA_NAME,
		        "can't retrieve digest of container big data value with empty name");
	const struct data_item *item = find_item(owner.items, key);
	if (!item || isempty(item->digest))
		return error_code(error, CST_EDIGEST_UNKNOWN);
	char *copy = strdup(item->digest);
	if (!copy)
		return error_oom(error);
	*digest = copy;
	return 0;
}

/* ---- the record of one item ---- */

struct item_edit {
	const char *key;
	int64_t size;
	const char *digest;
	struct data_item *items; /* owned here until the record was copied */
	const char **names;
};

static void item_edit_free(struct item_edit *edit)
{
	free(edit->items);
	free(edit->names);
}

static int put_item(struct data_items *items, struct item_edit *edit, cst_error **error)
{
	edit->items = new0(struct data_item, items->len + 1);
	if (!edit->items)
		return error_oom(error);
	size_t n = items->len, at = n;
	for (size_t i = 0; i < n; i++) {
		edit->items[i] = items->items[i];
		if (streq(items->items[i].name, edit->key))
			at = i;
	}
	edit->items[at] =
	        (struct data_item){.name = edit->key, .size = edit->size, .digest = edit->digest};
	*items = (struct data_items){.items = edit->items, .len = at == n ? n + 1 : n};
	return 0;
}

static int put_layer_item(cst_layer *layer, struct item_edit *edit, cst_error **error)
{
	size_t n = layer->data_names.len;
	for (size_t i = 0; i < n; i++) {
		if (streq(layer->data_names.items[i], edit->key))
			return 0;
	}
	edit->names = new0(const char *, n + 1);
	if (!edit->names)
		return error_oom(error);
	if (n)
		memcpy(edit->names, layer->data_names.items, n * sizeof(char *));
	edit->names[n] = edit->key;
	layer->data_names = (struct strings){.items = edit->names, .len = n + 1};
	return 0;
}

static int edit_layer_item(cst_store *store, const cst_layer *layer, struct item_edit *edit,
                           cst_error **error)
{
	cst_layer edited = *layer;
	int r = put_layer_item(&edited, edit, error);
	if (r < 0 || !edit->names)
		return r;
	struct record_set *table = store->layers.table;
	return record_set_replace(table, &edited) ? layers_save(store, error) : error_oom(error);
}

static int edit_image_item(cst_store *store, const cst_image *image, struct item_edit *edit,
                           cst_error **error)
{
	cst_image edited = *image;
	if (isempty(edited.digest) && has_prefix(edit->key, "manifest"))
		edited.digest = edit->digest;
	int r = put_item(&edited.data, edit, error);
	if (r < 0)
		return r;
	struct record_set *table = store->images.table;
	return record_set_replace(table, &edited)
	               ? record_set_save(table, store->images.set.lock, error)
	               : error_oom(error);
}

static int edit_container_item(cst_store *store, const cst_container *container,
                               struct item_edit *edit, cst_error **error)
{
	cst_container edited = *container;
	int r = put_item(&edited.data, edit, error);
	if (r < 0)
		return r;
	struct record_set *table = store->containers.table;
	return record_set_replace(table, &edited)
	               ? record_set_save(table, store->containers.set.lock, error)
	               : error_oom(error);
}

/* The set of that kind is held for writing. An item that is gone: nothing to do. */
static int record_item(cst_store *store, enum cst_kind kind, const char *id, struct item_edit *edit,
                       cst_error **error)
{
	switch (kind) {
	case CST_KIND_LAYER: {
		const cst_layer *layer = layer_table_get(store->layers.table, id);
		return layer ? edit_layer_item(store, layer, edit, error) : 0;
	}
	case CST_KIND_IMAGE: {
		const cst_image *image = image_table_get(store->images.table, id);
		return image ? edit_image_item(store, image, edit, error) : 0;
	}
	default: {
		const cst_container *container = container_table_get(store->containers.table, id);
		return container ? edit_container_item(store, container, edit, error) : 0;
	}
	}
}

int data_remeasure(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                   cst_error **error)
{
	_cleanup_free_ char *file = data_file_name(key), *path = file ? path_join(id, file) : NULL,
	                    *content = NULL;
	_cleanup_(item_edit_free) struct item_edit edit = {.key = key};
	char digest[DIGEST_TEXT_MAX];
	if (!path)
		return error_oom(error);
	_cleanup_close_ int fd =
	        fs_open_beneath(kind_fd(store, kind), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) /* never came into place */
		return errno == ENOENT
		               ? 0
		               : error_sys(error, errno, "open %s/%s", kind_dir(store, kind), path);
	size_t len = 0;
	int r = fs_read_fd(fd, path, SIZE_MAX / 4, &content, &len, error);
	if (r == 0)
		r = digest_buffer(DIGEST_SHA256, content, len, digest, error);
	if (r < 0)
		return r;
	edit.size = (int64_t)len;
	edit.digest = digest;
	return record_item(store, kind, id, &edit, error);
}

/* ---- writing ---- */

static int hold_for_writing(cst_store *store, enum cst_kind kind, cst_store **layers,
                            cst_store **images, cst_store **containers, cst_error **error)
{
	return kind == CST_KIND_LAYER   ? layers_write(store, layers, error)
	       : kind == CST_KIND_IMAGE ? images_write(store, images, error)
	                                : containers_write(store, containers, error);
}

static bool still_exists(const cst_store *store, enum cst_kind kind, const char *id)
{
	return kind == CST_KIND_LAYER   ? layer_table_get(store->layers.table, id) != NULL
	       : kind == CST_KIND_IMAGE ? image_table_get(store->images.table, id) != NULL
	                                : container_table_get(store->containers.table, id) != NULL;
}

/* As for an item that was not there in the first place. */
static int not_known(enum cst_kind kind, const char *id, cst_error **error)
{
	if (kind == CST_KIND_IMAGE)
		return error_wrap_code(error, CST_EIMAGE_UNKNOWN, "locating image with ID \"%s\"",
		                       id);
	return error_code(error,
	                  kind == CST_KIND_LAYER ? CST_ELAYER_UNKNOWN : CST_ECONTAINER_UNKNOWN);
}

/* The staged file takes its place; the directory is made with the first item. */
static int move_into_place(cst_store *store, enum cst_kind kind, const char *id, const char *file,
                           const struct tempdir *stage, cst_error **error)
{
	int parent = kind_fd(store, kind);
	bool made = sys_mkdirat(parent, id, 0700) == 0;
	if (!made && errno != EEXIST)
		return error_sys(error, errno, "mkdir %s/%s", kind_dir(store, kind), id);
	_cleanup_close_ int dirfd =
	        openat(parent, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return error_sys(error, errno, "open %s/%s", kind_dir(store, kind), id);
	if (sys_renameat(stage->fd, file, dirfd, file) < 0)
		return error_sys(error, errno, "rename %s %s/%s/%s", file, kind_dir(store, kind),
		                 id, file);
	int r = fs_fsync_dir(dirfd, file, error);
	return r == 0 && made ? fs_fsync_dir(parent, id, error) : r;
}

/* Two keys of one item whose file names are the same would overwrite each other. */
static int check_clash(const struct owner *owner, const char *key, const char *file,
                       cst_error **error)
{
	size_t n = owner->layer ? owner->layer->data_names.len : owner->items->len;
	for (size_t i = 0; i < n; i++) {
		const char *other = owner->layer ? owner->layer->data_names.items[i]
		                                 : owner->items->items[i].name;
		_cleanup_free_ char *other_file = streq(other, key) ? NULL : data_file_name(other);
		if (other_file && streq(other_file, file))
			return error_set(
			        error, CST_EINVAL,
			        "the data item \"%s\" of %s would overwrite its item \"%s\"", key,
			        owner->id, other);
	}
	return 0;
}

static int commit_item(cst_store *store, enum cst_kind kind, const char *id, const char *file,
                       struct item_edit *edit, const struct tempdir *stage, cst_error **error)
{
	_cleanup_intents_ struct intents intents = {0};
	_cleanup_layers_write_ cst_store *layers = NULL;
	_cleanup_images_write_ cst_store *images = NULL;
	_cleanup_containers_write_ cst_store *containers = NULL;
	int r = hold_for_writing(store, kind, &layers, &images, &containers, error);
	if (r == 0 && !still_exists(store, kind, id))
		r = not_known(kind, id, error);
	if (r < 0)
		return r;
	intents_add(&intents, &(struct intent){.kind = kind, .id = id, .data_key = edit->key});
	r = journal_begin(kind_journal(store, kind), &intents, error);
	if (r < 0)
		return r;
	r = move_into_place(store, kind, id, file, stage, error);
	if (r == 0)
		r = record_item(store, kind, id, edit, error);
	if (r == 0)
		journal_end(kind_journal(store, kind));
	else
		journal_settle(store, kind_journal(store, kind), &intents,
		               kind == CST_KIND_LAYER   ? SETTLE_LAYERS
		               : kind == CST_KIND_IMAGE ? SETTLE_IMAGES
		                                        : SETTLE_CONTAINERS,
		               NULL);
	return r;
}

int cst_store_set_data(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                       const void *data, size_t size, cst_error **error)
{
	_cleanup_(owner_free) struct owner owner = {0};
	_cleanup_(item_edit_free) struct item_edit edit = {.key = key, .size = (int64_t)size};
	_cleanup_(tempdir_freep) struct tempdir *stage = NULL;
	char digest[DIGEST_TEXT_MAX];
	int r = store->read_only ? error_code(error, CST_ESTORE_READ_ONLY)
	                         : check_kind(kind, error);
	if (r == 0)
		r = data_check_key(kind_names[kind], strempty(key), error);
	if (r == 0)
		r = find_owner(store, kind, id, &owner, error);
	_cleanup_free_ char *file = r == 0 ? data_file_name(key) : NULL;
	if (r == 0)
		r = file ? check_clash(&owner, key, file, error) : error_oom(error);
	if (r == 0)
		r = digest_buffer(DIGEST_SHA256, data, size, digest, error);
	if (r == 0)
		r = metadata_stage(store, &stage, error);
	if (r == 0)
		r = fs_replace_file(stage->fd, file, data, size, 0600, FS_DURABLE, key, error);
	if (r < 0)
		return r;
	edit.digest = digest;
	return commit_item(store, kind, owner.id, file, &edit, stage, error);
}
