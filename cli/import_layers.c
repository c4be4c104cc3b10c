/* SPDX-License-Identifier: Apache-2.0 */
/* The verb import-layers: several layer tars, each on top of the one before, go into the store in one step. */
#include "command.h"
#include "create.h"
#include <string.h>

struct layer_files {
	size_t n;
	struct input *inputs;
	cst_layer_options *options;
	cst_new_layer *layers;
};

static void layer_files_done(struct layer_files *files)
{
	for (size_t i = 0; files->inputs && i < files->n; i++)
		input_close(&files->inputs[i]);
	free(files->inputs);
	free(files->options);
	free(files->layers);
}

/* The value of a list option that belongs to the file of this number. */
static const char *of_file(const struct invocation *in, enum option_id id, size_t i)
{
	const struct option_value *value = value_of(in, id);
	return i < value->n_items ? value->items[i] : "";
}

static void options_of_file(const struct invocation *in, const struct id_maps *maps, size_t i,
                            cst_layer_options *options)
{
	layer_options_from(in, maps, options);
	options->id = of_file(in, OPT_ID, i);
	options->archive_name = in->operands[i];
	options->parent = i == 0 ? text_of(in, OPT_PARENT) : "";
	if (i + 1 < in->n_operands)
		options->n_names = 0;
}

static int open_files(const struct invocation *in, const struct id_maps *maps,
                      struct layer_files *files, struct progress *progress)
{
	uint64_t total = 0;
	files->inputs = calloc(in->n_operands, sizeof(*files->inputs));
	files->options = calloc(in->n_operands, sizeof(*files->options));
	files->layers = calloc(in->n_operands, sizeof(*files->layers));
	if (!files->inputs || !files->options || !files->layers)
		return fail_out_of_memory(in);
	for (; files->n < in->n_operands; files->n++) {
		size_t i = files->n;
		int code = input_open(in, in->operands[i], &files->inputs[i], progress);
		if (code)
			return code;
		total += progress->total;
		options_of_file(in, maps, i, &files->options[i]);
		files->layers[i] = (cst_new_layer){&files->options[i], &files->inputs[i].source};
	}
	progress->total = total;
	return 0;
}

static int print_new_layers(const struct invocation *in, const cst_layer_list *list)
{
	int code = 0;
	if (is_on(in, OPT_JSON))
		putchar('[');
	for (size_t i = 0; code == 0 && i < cst_layer_list_size(list); i++) {
		const cst_layer *layer = cst_layer_list_get(list, i);
		if (!is_on(in, OPT_JSON)) {
			code = print_new_layer(in, layer);
			continue;
		}
		if (i > 0)
			putchar(',');
		code = json_print_layer(in, layer);
	}
	if (is_on(in, OPT_JSON))
		puts("]");
	return code;
}

int run_import_layers(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_id_maps_ struct id_maps maps = {0};
	__attribute__((cleanup(layer_files_done))) struct layer_files files = {0};
	struct progress progress;
	if (value_of(in, OPT_ID)->n_items > in->n_operands) {
		complain(in, "there are more IDs than files");
		return EXIT_USAGE;
	}
	progress_start(in, &progress);
	int code = id_maps_from_options(in, &maps);
	code = code ? code : open_files(in, &maps, &files, &progress);
	if (code)
		return code;
	cst_layers_options options = CST_LAYERS_OPTIONS_INIT;
	options.layers = files.layers;
	options.n_layers = files.n;
	options.progress = &progress.hook;
	cst_layer_list *list = NULL;
	int result = cst_store_create_layers(in->store, &options, &list, &error);
	progress_end(&progress);
	if (result < 0)
		return fail(in, error);
	code = print_new_layers(in, list);
	cst_layer_list_free(list);
	return code;
}
