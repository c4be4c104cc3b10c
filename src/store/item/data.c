/* SPDX-License-Identifier: Apache-2.0 */
/* Named data of layers, images and containers. Each item is a file in the metadata directory of its
 * owner, and is listed in the owner's record; for images and containers with size and digest
 * (docs/format/store.md, "Big data"). */
#include "base/digest.h"
#include "store/change/change.h"
#include "store/core/edit.h"
#include "store/core/lookup.h"
#include "store/core/names.h"
#include "store/core/store.h"
#include "store/item/data_stage.h"
#include <errno.h>
#include <unistd.h>

static const struct data_item *find_item(const struct found_item *owner, const char *key)
{
	struct data_items items = record_data(owner->kind, owner->record);
	for (size_t i = 0; i < items.len; i++) {
		if (streq(items.items[i].name, key))
			return &items.items[i];
	}
	return NULL;
}

/* ---- reading ---- */

int cst_store_data_names(cst_store *store, enum cst_kind kind, const char *id, cst_strings **ret,
                         cst_error **error)
{
	_cleanup_found_item_ struct found_item owner = {0};
	_cleanup_strv_ struct strv names = {0};
	int r = item_read(store, kind, id, &owner, error);
	if (r < 0)
		return r;
	struct strings all = record_data_names(owner.kind, owner.record);
	r = names_unique(all.items, all.len, &names, error);
	return r < 0 ? r : strings_give(&names, ret, error);
}

static int item_missing(cst_store *store, const struct found_item *owner, const char *key,
                        const char *file, cst_error **error)
{
	const char *words = owner->kind->no_item_words, *id = record_id(owner->record);
	const int code = CST_EDATA_UNKNOWN;
	error_set(error, code, "the %s \"%s\" has no data item \"%s\"", owner->kind->name, id,
	          strempty(key));
	if (!words)
		return error_go_words(error, code, strempty(key), "open %s/%s/%s: %s",
		                      set_of(store, owner->kind->id)->dir, id, file,
		                      errno_text(ENOENT));
	error_go_words(error, code, strempty(key), "%s", cst_strerror(code));
	return error_go_prefix(error, code, words, strempty(key), id);
}

/* A kind that has no message for a missing item refuses an empty key. */
static int check_key(const struct found_item *owner, const char *key, const char *what,
                     cst_error **error)
{
	if (owner->kind->no_item_words || !isempty(key))
		return 0;
	return error_wrap_code(error, CST_EINVALID_BIG_DATA_NAME, "can't retrieve %s", what);
}

/* Opens the file of an item; the caller closes *ret. *path is its path below the directory, for
 * messages; the caller frees it. */
static int open_item(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                     int *ret, char **path, cst_error **error)
{
	_cleanup_found_item_ struct found_item owner = {0};
	int r = item_read(store, kind, id, &owner, error);
	if (r == 0)
		r = check_key(&owner, key, "container big data value for empty name", error);
	if (r < 0)
		return r;
	_cleanup_free_ char *file = data_file_name(strempty(key)), *joined = NULL;
	if (!file || !(joined = path_join(record_id(owner.record), file)))
		return error_oom(error);
	if (!path_is_component(file))
		return item_missing(store, &owner, key, file, error);
	_cleanup_close_ int fd =
	        fs_open_beneath(owner.source.fd, joined, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return item_missing(store, &owner, key, file, error);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", owner.source.dir, joined);
	int regular = fs_must_be_regular(fd, joined, error);
	if (regular < 0)
		return regular;
	*ret = steal_fd(&fd);
	*path = steal_ptr(&joined);
	return 0;
}

int cst_store_data(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                   void **data, size_t *size, cst_error **error)
{
	_cleanup_free_ char *path = NULL, *content = NULL;
	_cleanup_close_ int fd = -1;
	size_t len = 0;
	int r = open_item(store, kind, id, key, &fd, &path, error);
	if (r == 0)
		r = fs_read_fd(fd, path, SIZE_MAX / 4, &content, &len, error);
	if (r < 0)
		return r;
	*data = steal_ptr(&content);
	*size = len;
	return 0;
}

int cst_store_open_data(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                        int *ret, cst_error **error)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int r = open_item(store, kind, id, key, &fd, &path, error);
	if (r == 0)
		*ret = steal_fd(&fd);
	return r;
}

int cst_store_data_size(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                        int64_t *size, cst_error **error)
{
	_cleanup_found_item_ struct found_item owner = {0};
	int r = item_read(store, kind, id, &owner, error);
	if (r == 0)
		r = check_key(&owner, key, "size of container big data with empty name", error);
	if (r < 0)
		return r;
	const struct data_item *item = find_item(&owner, key);
	if (!item || item->size < 0)
		return error_about(error, CST_ESIZE_UNKNOWN, strempty(key));
	*size = item->size;
	return 0;
}

int cst_store_data_digest(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                          char **digest, cst_error **error)
{
	_cleanup_found_item_ struct found_item owner = {0};
	int r = item_read(store, kind, id, &owner, error);
	if (r == 0)
		r = check_key(&owner, key, "digest of container big data value with empty name",
		              error);
	if (r < 0)
		return r;
	const struct data_item *item = find_item(&owner, key);
	if (!item || isempty(item->digest))
		return error_about(error, CST_EDIGEST_UNKNOWN, strempty(key));
	char *copy = strdup(item->digest);
	if (!copy)
		return error_oom(error);
	*digest = copy;
	return 0;
}

/* ---- writing ---- */

struct new_item {
	struct data_item item;
	const char *file; /* its name in the stage, and in the directory of the owner */
	const struct tempdir *stage;
};

/* Moves the staged file into place. The first item makes the directory. */
static int move_into_place(const struct set *set, const char *id, const struct new_item *new,
                           cst_error **error)
{
	bool made = sys_mkdirat(set->fd, id, 0700) == 0;
	if (!made && errno != EEXIST)
		return error_sys(error, errno, "mkdir %s/%s", set->dir, id);
	_cleanup_close_ int dirfd =
	        openat(set->fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return error_sys(error, errno, "open %s/%s", set->dir, id);
	if (sys_renameat(new->stage->fd, new->file, dirfd, new->file) < 0)
		return error_sys(error, errno, "rename %s %s/%s/%s", new->file, set->dir, id,
		                 new->file);
	int r = fs_fsync_dir(dirfd, new->file, error);
	return r == 0 && made ? fs_fsync_dir(set->fd, id, error) : r;
}

static int place_item(struct change *change, const struct intent *intent, void *arg,
                      cst_error **error)
{
	const struct new_item *new = arg;
	struct set *set = set_of(change->store, intent->kind);
	int r = move_into_place(set, intent->id, new, error);
	return r == 0 ? record_put_data(set, intent->id, &new->item, error) : r;
}

static int commit_item(cst_store *store, enum cst_kind kind, const char *id, struct new_item *new,
                       cst_error **error)
{
	_cleanup_change_ struct change change = {0};
	int r = change_hold(&change, store, hold_only(kind, HOLD_WRITE), error);
	if (r == 0 && !record_set_get(set_of(store, kind)->table, id))
		r = kind_unknown(kind, id, error);
	if (r < 0)
		return r;
	const struct intent intent = {.kind = kind, .id = id, .data_key = new->item.name};
	change_add(&change, &intent, place_item, NULL, new);
	return change_commit(&change, error);
}

/* Refuses a key whose file name is that of another key of the same item, since it would overwrite
 * that one. */
static int check_clash(const struct found_item *owner, const char *key, const char *file,
                       cst_error **error)
{
	struct strings names = record_data_names(owner->kind, owner->record);
	for (size_t i = 0; i < names.len; i++) {
		const char *other = names.items[i];
		_cleanup_free_ char *other_file = streq(other, key) ? NULL : data_file_name(other);
		if (other_file && streq(other_file, file))
			return error_set(
			        error, CST_EINVAL,
			        "the data item \"%s\" of %s would overwrite its item \"%s\"", key,
			        record_id(owner->record), other);
	}
	return 0;
}

int cst_store_set_data_from(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                            const cst_source *source, cst_error **error)
{
	_cleanup_found_item_ struct found_item owner = {0};
	int64_t size = 0;
	_cleanup_(tempdir_freep) struct tempdir *stage = NULL;
	char digest[DIGEST_TEXT_MAX];
	int r = store->read_only ? error_about(error, CST_ESTORE_READ_ONLY, store->graph_root)
	                         : kind_check(kind, error);
	if (r == 0)
		r = data_check_key(kind_of(kind)->name, strempty(key), error);
	if (r == 0)
		r = item_read(store, kind, id, &owner, error);
	_cleanup_free_ char *file = r == 0 ? data_file_name(key) : NULL;
	if (r == 0)
		r = file ? check_clash(&owner, key, file, error) : error_oom(error);
	if (r == 0)
		r = metadata_stage(store, &stage, error);
	if (r == 0)
		r = data_stage_file(stage->fd, file, source, key, &size, digest, error);
	if (r < 0)
		return r;
	struct new_item new = {
	        .item = {.name = key, .size = size, .digest = digest},
	        .file = file,
	        .stage = stage,
	};
	return commit_item(store, kind, record_id(owner.record), &new, error);
}

int cst_store_set_data(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                       const void *data, size_t size, cst_error **error)
{
	cst_memory memory = {.data = (char *)data, .size = size};
	const cst_source source = cst_source_memory(&memory);
	return cst_store_set_data_from(store, kind, id, key, &source, error);
}
