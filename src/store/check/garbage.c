/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what is to be removed, its sizes, and the removal (garbage.h). */
#include "store/check/garbage.h"
#include "archive/pack/pack.h"
#include "base/id.h"
#include "store/core/store.h"
#include <errno.h>
#include <fcntl.h>

#define RECORDS_MAX (1U << 30)

int unseen_records(cst_store *store, enum cst_kind kind, char **ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	const char *files = kind_of(kind)->files;
	_cleanup_free_ char *dir =
	        set_path(store->transient ? store->graph_root : store->run_root, store, files);
	_cleanup_free_ char *path = dir ? str_printf("%s/volatile-%s.json", dir, files) : NULL;
	size_t len = 0;
	if (!path)
		return error_oom(error);
	int r = fs_read_file(AT_FDCWD, path, RECORDS_MAX, ret, &len, &problem);
	if (r < 0 && (cst_error_errno(problem) == ENOENT || cst_error_errno(problem) == ENOTDIR)) {
		*ret = strdup("");
		return *ret ? 0 : error_oom(error);
	}
	return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
}

int garbage_add(struct cst_garbage *garbage, enum cst_kind kind, const char *id, cst_error **error)
{
	struct piece *grown =
	        grow_array(garbage->items, &garbage->capacity, garbage->len + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	garbage->items = grown;
	grown[garbage->len] = (struct piece){.kind = kind, .id = arena_strdup(&garbage->arena, id)};
	return grown[garbage->len++].id ? 0 : error_oom(error);
}

static uint64_t size_below(int dirfd, const char *name)
{
	int64_t bytes = 0, inodes = 0;
	_cleanup_close_ int fd =
	        openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && usage_tree(fd, &bytes, &inodes, NULL) == 0 ? (uint64_t)bytes : 0;
}

void garbage_measure(struct cst_garbage *garbage, cst_store *store)
{
	for (size_t i = 0; i < garbage->len; i++) {
		struct piece *piece = &garbage->items[i];
		const struct set *set = set_of(store, piece->kind);
		struct driver_usage usage = {0};
		piece->bytes = set->fd >= 0 ? size_below(set->fd, piece->id) : 0;
		if (set->kind->in_driver &&
		    store->driver->ops->usage(store->driver, piece->id, &usage, NULL) == 0)
			piece->bytes += (uint64_t)usage.bytes;
	}
}

static int remove_piece(struct change *change, const struct intent *intent, void *arg,
                        cst_error **error)
{
	const struct piece *piece = arg;
	return item_remove_files(change->store, piece->kind, piece->id, "", &change->trash, error);
}

/* It is announced, so that the next opener finishes it. What has not the name of an item cannot be; the half of it that is left
 * then is garbage as before. */
void garbage_add_removal(struct change *change, struct piece *piece)
{
	const struct intent intent = {.kind = piece->kind, .id = piece->id};
	change_add(change, id_is_hex64(piece->id) ? &intent : NULL, NULL, remove_piece, piece);
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
