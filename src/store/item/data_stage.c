/* SPDX-License-Identifier: Apache-2.0 */
/* Stages the data items that are given with a new layer, image or container, and moves them into
 * place. */
#include "store/item/data_stage.h"
#include "base/digest.h"
#include "store/change/change.h"
#include "store/core/store.h"
#include <errno.h>

/* ---- one file ---- */

int data_stage_file(int dirfd, const char *file, const cst_source *source, const char *shown,
                    int64_t *size, char *digest, cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	_cleanup_close_ int fd =
	        sys_openat(dirfd, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(error, errno, "open %s", shown);
	int r = digest ? digester_new(DIGEST_SHA256, &digester, error) : 0;
	if (r == 0)
		r = source_to_file(source, fd, shown, digester, NULL, size, error);
	if (r == 0 && digest)
		r = digester_finish(digester, digest, error);
	if (r == 0 && sys_fsync(fd) < 0)
		r = error_sys(error, errno, "fsync %s", shown);
	if (r == 0 && sys_close_checked(steal_fd(&fd)) < 0)
		r = error_sys(error, errno, "close %s", shown);
	return r;
}

/* ---- the items of something new ---- */

static int stage_item(int dirfd, const char *kind, const cst_data_item *item, struct arena *arena,
                      struct data_item *ret, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX];
	int r = data_check_key(kind, strempty(item->key), error);
	if (r == 0 && item->digest)
		r = digest_validate(item->digest, error);
	if (r < 0)
		return r;
	cst_memory memory = {.data = (char *)item->data, .size = item->data_size};
	const cst_source given = item->source ? *item->source : cst_source_memory(&memory);
	int64_t size = 0;
	_cleanup_free_ char *file = data_file_name(item->key);
	if (!file)
		return error_oom(error);
	if (sys_unlinkat(dirfd, file, 0) < 0 && errno != ENOENT)
		return error_sys(error, errno, "unlink %s", item->key);
	r = data_stage_file(dirfd, file, &given, item->key, &size, item->digest ? NULL : digest,
	                    error);
	if (r < 0)
		return r;
	*ret = (struct data_item){
	        .name = arena_strdup(arena, item->key),
	        .size = size,
	        .digest = arena_strdup(arena, item->digest ? item->digest : digest),
	};
	return arena->failed ? error_oom(error) : 0;
}

/* Where the item of that key is, or where it comes. */
static size_t find_key(const struct new_data *data, const char *key)
{
	size_t i = 0;
	while (i < data->len && !streq(data->items[i].name, key))
		i++;
	return i;
}

/* Checks that none is given twice. */
static int check_keys(const cst_data_item *items, size_t n, cst_error **error)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (streq(strempty(items[i].key), strempty(items[k].key)))
				return error_set(error, CST_EINVAL,
				                 "data item \"%s\" is given twice", items[i].key);
	return 0;
}

int new_data_stage(cst_store *store, const char *kind, const cst_data_item *items, size_t n,
                   struct tempdir **stage, struct arena *arena, struct new_data *ret,
                   cst_error **error)
{
	if (n == 0)
		return 0;
	int r = check_keys(items, n, error);
	if (r == 0)
		r = metadata_stage(store, stage, error);
	if (r < 0)
		return r;
	if (!ret->staged && sys_mkdirat((*stage)->fd, STAGED_DATA, 0700) < 0)
		return error_sys(error, errno, "mkdir %s/%s", (*stage)->name, STAGED_DATA);
	_cleanup_close_ int dirfd =
	        openat((*stage)->fd, STAGED_DATA, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return error_sys(error, errno, "open %s/%s", (*stage)->name, STAGED_DATA);
	struct new_data data = {.items = arena_alloc(arena, (ret->len + n) * sizeof(*data.items)),
	                        .len = ret->len,
	                        .staged = true};
	if (!data.items)
		return error_oom(error);
	if (ret->len)
		memcpy(data.items, ret->items, ret->len * sizeof(*data.items));
	for (size_t i = 0; r == 0 && i < n; i++) {
		size_t place = find_key(&data, strempty(items[i].key));
		r = stage_item(dirfd, kind, &items[i], arena, &data.items[place], error);
		data.len = MAX(data.len, place + 1);
	}
	if (r == 0)
		r = fs_fsync_dir(dirfd, STAGED_DATA, error);
	if (r == 0)
		*ret = data;
	return r;
}

bool data_items_stream(const cst_data_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (items[i].source)
			return true;
	return false;
}

int new_data_commit(const struct new_data *data, const struct tempdir *stage, int dirfd,
                    const char *id, cst_error **error)
{
	if (!data->staged)
		return 0;
	if (sys_renameat(stage->fd, STAGED_DATA, dirfd, id) < 0)
		return error_sys(error, errno, "rename %s/%s %s", stage->name, STAGED_DATA, id);
	return fs_fsync_dir(dirfd, id, error);
}

int staged_item_place(struct change *change, const struct intent *intent, void *arg,
                      cst_error **error)
{
	const struct staged_item *item = arg;
	struct set *set = set_of(change->store, intent->kind);
	int r = item_remove_files(change->store, intent->kind, intent->id, "", &change->trash,
	                          error);
	if (r == 0)
		r = new_data_commit(&item->data, item->stage, set->fd, intent->id, error);
	return r == 0 && !record_set_add(set->table, item->record) ? error_oom(error) : r;
}
