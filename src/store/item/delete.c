/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes an item: of a given kind with the safety checks, of any kind without them. */
#include "store/layer/delete.h"
#include "base/types.h"
#include "store/container/container.h"
#include "store/image/image.h"

/* The Go command names the kind that it looked for last. */
static int no_such_item(const char *id, int code, cst_error **problem, cst_error **error)
{
	if (code != CST_ELAYER_UNKNOWN && code != CST_ENOT_A_LAYER)
		return error_propagate(error, steal_ptr(problem));
	int r = error_about_any(error, code, id);
	return error_go_words(error, r, NULL, "%s", cst_error_go_message(*problem));
}

static int delete_any(cst_store *store, const char *id, const cst_progress *progress,
                      cst_error **error)
{
	static int (*const deletes[])(cst_store *, const char *, const cst_progress *,
	                              cst_error **) = {container_delete, image_delete_record,
	                                               layer_delete_unchecked};
	static const int none[] = {CST_ENOT_A_CONTAINER, CST_ENOT_AN_IMAGE, 0};
	for (size_t i = 0;; i++) {
		_cleanup_error_ cst_error *problem = NULL;
		int r = deletes[i](store, id, progress, &problem);
		if (r == 0 || r != none[i])
			return r < 0 ? no_such_item(id, r, &problem, error) : 0;
	}
}

int cst_store_delete(cst_store *store, const char *id, const cst_delete_options *given,
                     cst_strings **layers, cst_error **error)
{
	cst_delete_options options = CST_DELETE_OPTIONS_INIT;
	int r = options_take(&options, sizeof(options), given, "cst_delete_options", error);
	if (r < 0)
		return r;
	const cst_progress *progress = options.progress;
	_cleanup_lock_wait_ bool listening = lock_wait_listen(progress);
	if (options.dry_run && options.kind != CST_KIND_IMAGE)
		return error_set(error, CST_EINVAL, "dry_run is for images only");
	switch (options.kind) {
	case 0: return delete_any(store, id, progress, error);
	case CST_KIND_LAYER: return layer_delete(store, id, progress, error);
	case CST_KIND_CONTAINER: return container_delete(store, id, progress, error);
	case CST_KIND_IMAGE:
		return image_delete(store, id, !options.dry_run, progress, layers, error);
	}
	return error_set(error, CST_EINVAL, "%d is not a kind of object", options.kind);
}
