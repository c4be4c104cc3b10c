/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs storage-layers and create-storage-layer: layers as the storage driver knows them. */
#include "command.h"
#include "create.h"
#include <stdio.h>

int run_storage_layers(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_strings_ cst_strings *ids = NULL;
	if (cst_store_driver_layers(in->store, &ids, &error) < 0)
		return fail(in, error);
	if (is_on(in, OPT_JSON)) {
		json_print_strings(ids, "[]");
		putchar('\n');
		return 0;
	}
	for (size_t i = 0; i < cst_strings_size(ids); i++)
		print_field("", cst_strings_get(ids, i));
	return 0;
}

int run_create_storage_layer(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_id_maps_ struct id_maps maps = {0};
	int code = id_maps_from_options(in, &maps);
	if (code)
		return code;
	cst_layer_options options;
	layer_options_from(in, &maps, &options);
	char *id = NULL;
	int result = cst_store_create_driver_layer(in->store, &options, &id, &error);
	/* containers-storage takes a layer that is there already for the one that it was asked to
	 * make. */
	if (result < 0 && !(result == CST_EDUPLICATE_ID && in->personality == GO_STYLE))
		return fail(in, error);
	const char *shown = id ? id : options.id;
	if (is_on(in, OPT_JSON))
		json_print_string(shown);
	else
		show_text(stdout, shown);
	putchar('\n');
	cst_free(id);
	return 0;
}
