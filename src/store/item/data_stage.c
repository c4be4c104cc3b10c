/* SPDX-License-Identifier: Apache-2.0 */
/* Data items that are given with a new layer, image or container. */
#include "store/item/data_stage.h"
#include "base/digest.h"
#include "store/change/trash.h"
#include "store/core/store.h"
#include <errno.h>

static int stage_item(int dirfd, const char *kind, const cst_data_item *item, struct arena *arena,
                      struct data_item *ret, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX];
	int r = data_check_key(kind, strempty(item->key), error);
	if (r == 0 && item->digest)
		r = digest_validate(item->digest, error);
	else if (r == 0)
		r = digest_buffer(DIGEST_SHA256, item->data, item->data_size, digest, error);
	if (r < 0)
		return r;
	_cleanup_free_ char *file = data_file_name(item->key);
	if (!file)
		return error_oom(error);
	r = fs_replace_file(dirfd, file, item->data, item->data_size, 0600, FS_DURABLE, item->key,
	                    error);
	*ret = (struct data_item){
	        .name = arena_strdup(arena, item->key),
	        .size = (int64_t)item->data_size,
	        .digest = arena_strdup(arena, item->digest ? item->digest : digest),
	};
	return r < 0 ? r : arena->failed ? error_oom(error) : 0;
}

static bool key_is_known(const struct new_data *data, const char *key)
{
	for (size_t i = 0; i < data->len; i++) {
		if (streq(data->items[i].name, key))
			return true;
	}
	return false;
}

int new_data_stage(cst_store *store, const char *kind, const cst_data_item *items, size_t n,
                   struct tempdir **stage, struct arena *arena, struct new_data *ret,
                   cst_error **error)
{
	if (n == 0)
		return 0;
	int r = metadata_stage(store, stage, error);
	if (r < 0)
		return r;
	if (sys_mkdirat((*stage)->fd, STAGED_DATA, 0700) < 0)
		return error_sys(error, errno, "mkdir %s/%s", (*stage)->name, STAGED_DATA);
	_cleanup_close_ int dirfd =
	        openat((*stage)->fd, STAGED_DATA, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return error_sys(error, errno, "open %s/%s", (*stage)->name, STAGED_DATA);
	struct new_data data = {.items = arena_alloc(arena, n * sizeof(struct data_item)),
	                        .staged = true};
	if (!data.items)
		return error_oom(error);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (key_is_known(&data, items[i].key))
			return error_set(error, CST_EINVAL, "data item \"%s\" is given twice",
			                 items[i].key);
		r = stage_item(dirfd, kind, &items[i], arena, &data.items[data.len], error);
		data.len++;
	}
	if (r == 0)
		*ret = data;
	return r;
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
