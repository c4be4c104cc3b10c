/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that every way to import an image shares: layers that are there already are used again,
 * and on failure the ones that this import made are removed. */
#include "oci/import.h"
#include "base/log.h"
#include "base/types.h"
#include <sys/utsname.h>

static const struct {
	const char *prefix;
	int (*run)(struct import *import, const char *place, cst_image **image, cst_error **error);
} transports[] = {
        {"oci:", import_oci},
        {"tar:", import_tar},
};

const char *import_architecture(void)
{
	static const struct {
		const char *kernel, *go;
	} words[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"riscv64", "riscv64"}};
	struct utsname name;
	if (uname(&name) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (streq(name.machine, words[i].kernel))
				return words[i].go;
	return "amd64";
}

/* ---- layers ---- */

static int on_progress(const cst_progress_state *state, void *userdata)
{
	struct import *import = userdata;
	const cst_progress *to = import->options->progress;
	if (!to || !to->callback)
		return 0;
	cst_progress_state sum = *state;
	sum.bytes_done += import->bytes_before;
	sum.bytes_total = import->bytes_total;
	sum.entries_total = 0;
	return to->callback(&sum, to->userdata);
}

int import_has_layer(struct import *import, const char *id, bool *ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	cst_layer *layer = NULL;
	int r = cst_store_layer(import->store, id, &layer, &problem);
	if (r < 0 && r != CST_ELAYER_UNKNOWN)
		return error_propagate(error, steal_ptr(&problem));
	*ret = r == 0 && streq(cst_layer_id(layer), id);
	cst_layer_free(layer);
	return 0;
}

/* A layer that somebody built on meanwhile stays. */
static void delete_layers(struct import *import)
{
	for (size_t i = import->made.len; i-- > 0;) {
		_cleanup_error_ cst_error *problem = NULL;
		if (cst_store_delete_layer(import->store, import->made.items[i], &problem) < 0)
			log_debug("the layer %s of a failed import stays: %s",
			          import->made.items[i], cst_error_message(problem));
	}
}

/* ---- the image ---- */

/* Gives the image the names. Another image that had one loses it. */
static int give_names(struct import *import, const char *id, cst_error **error)
{
	return import->names.len ? cst_store_add_names(import->store, id,
	                                               (const char *const *)import->names.items,
	                                               import->names.len, error)
	                         : 0;
}

/* The same image was imported before. Its data items are written again, since they may have been
 * lost. */
static int renew_image(struct import *import, const struct new_image *new, cst_error **error)
{
	cst_image *image = NULL;
	int r = cst_store_image(import->store, new->id, &image, error);
	if (r < 0)
		return r;
	bool same = streq(cst_image_top_layer(image), new->layer);
	cst_image_free(image);
	if (!same)
		return error_wrap_code(error, CST_EDUPLICATE_ID,
		                       "image with ID \"%s\" already exists, but uses a different "
		                       "top layer",
		                       new->id);
	for (size_t i = 0; r == 0 && i < new->n_data; i++)
		r = cst_store_set_data(import->store, CST_KIND_IMAGE, new->id, new->data[i].key,
		                       new->data[i].data, new->data[i].data_size, error);
	return r == 0 ? give_names(import, new->id, error) : r;
}

static int create_image(struct import *import, const struct new_image *new, bool named,
                        cst_error **error)
{
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	options.id = new->id;
	options.layer = new->layer;
	options.metadata = "{}"; /* containers/image writes this for an image without signatures */
	options.data = new->data;
	options.n_data = new->n_data;
	options.has_created = new->created != NULL;
	if (new->created) {
		options.created = new->created->sec;
		options.created_nanoseconds = new->created->nsec;
	}
	if (named) {
		options.names = (const char *const *)import->names.items;
		options.n_names = import->names.len;
	}
	return cst_store_create_image(import->store, &options, NULL, error);
}

int import_record(struct import *import, const struct new_image *new, cst_image **ret,
                  cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = create_image(import, new, true, &problem);
	if (r == CST_EDUPLICATE_NAME) {
		r = create_image(import, new, false, error);
		if (r == 0)
			r = give_names(import, new->id, error);
	} else if (r == CST_EDUPLICATE_ID) {
		r = renew_image(import, new, error);
	} else if (r < 0) {
		r = error_propagate(error, steal_ptr(&problem));
	}
	return r == 0 && ret ? cst_store_image(import->store, new->id, ret, error) : r;
}

/* ---- the public function ---- */

static int take_names(struct import *import, cst_error **error)
{
	for (size_t i = 0; i < import->options->n_names; i++) {
		char *full = NULL;
		int r = cst_image_name_normalise(import->options->names[i], &full, error);
		if (r < 0)
			return r;
		if (!strv_take(&import->names, full))
			return error_oom(error);
	}
	return 0;
}

static int run(struct import *import, const char *source, cst_image **image, cst_error **error)
{
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++)
		if (has_prefix(source, transports[i].prefix))
			return transports[i].run(import, source + strlen(transports[i].prefix),
			                         image, error);
	return error_set(error, CST_EINVAL,
	                 "\"%s\" is no source of an image: oci:DIR[:REF] and tar:FILE are", source);
}

int cst_store_import_image(cst_store *store, const char *source, const cst_import_options *options,
                           cst_image **image, cst_error **error)
{
	cst_import_options taken = CST_IMPORT_OPTIONS_INIT;
	struct import import = {.store = store, .options = &taken};
	import.progress = (cst_progress){.callback = on_progress, .userdata = &import};
	int r = options_take(&taken, sizeof(taken), options, "cst_import_options", error);
	if (r == 0)
		r = take_names(&import, error);
	if (r == 0)
		r = run(&import, strempty(source), image, error);
	if (r < 0)
		delete_layers(&import);
	strv_free(&import.names);
	strv_free(&import.made);
	return r;
}
