/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer that starts as a copy of another one, its template, takes from it beside the
 * content. */
#include "archive/tree/copy_data.h"
#include "store/change/content.h"
#include "store/core/store.h"
#include "store/layer/create.h"
#include <errno.h>

/* Everything but names, flags and data items. */
int new_layer_inherit(const cst_layer *template, struct new_layer *layer, cst_error **error)
{
	cst_layer *from = arena_alloc(&layer->arena, sizeof(*from)), *record = &layer->record;
	if (!from || !layer_copy(&layer->arena, template, from))
		return error_oom(error);
	layer->template = from;
	record->metadata = from->metadata;
	record->toc_digest = from->toc_digest;
	layer_take_digests(from, record);
	return 0;
}

int new_layer_copy_tarsplit(cst_store *store, struct new_layer *layer, cst_error **error)
{
	struct copy_ways ways = {0};
	struct stat st;
	_cleanup_free_ char *name = str_printf("%s.tar-split.gz", layer->template->id);
	if (!name)
		return error_oom(error);
	_cleanup_close_ int in = openat(store->sets.layers.fd, name,
	                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC),
	                    out = -1;
	if (in < 0 && errno == ENOENT)
		return 0;
	if (in < 0 || fstat(in, &st) < 0)
		return error_sys(error, errno, "open %s/%s", store->sets.layers.dir, name);
	int r = fs_must_be_regular(in, name, error);
	if (r == 0)
		r = metadata_stage(store, &layer->metadata, error);
	if (r < 0)
		return r;
	out = sys_openat(layer->metadata->fd, layer->tarsplit,
	                 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return error_sys(error, errno, "open %s/%s/%s", layer->metadata->shown,
		                 layer->metadata->name, layer->tarsplit);
	r = copy_data(in, out, st.st_size, &ways, name, error);
	if (r == 0 && sys_fsync(out) < 0)
		r = error_sys(error, errno, "fsync %s/%s/%s", layer->metadata->shown,
		              layer->metadata->name, layer->tarsplit);
	layer->has_tarsplit = r == 0;
	return r;
}
