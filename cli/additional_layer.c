/* SPDX-License-Identifier: Apache-2.0 */
/* The verb additional-layer: layers that another program keeps outside of the store. */
#include "create.h"
#include <inttypes.h>
#include <string.h>

/* It is in no store but those, so no other layer is meant. */
static const char not_found_hint[] =
        "additionallayerstores in storage.conf(5) says where to look; 'cstorage additional-layer "
        "list', with --image if a store goes by images, lists what is there";

/* ---- list ---- */

static int list(const struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_strings *digests = NULL;
	if (cst_store_additional_layers(in->store, text_of(in, OPT_OF_IMAGE), &digests, &error) < 0)
		return fail(in, error);
	if (is_on(in, OPT_JSON)) {
		json_print_strings(digests, "[]");
		putchar('\n');
	}
	for (size_t i = 0; !is_on(in, OPT_JSON) && i < cst_strings_size(digests); i++)
		print_field("", cst_strings_get(digests, i));
	cst_strings_free(digests);
	return 0;
}

/* ---- find ---- */

static void print_text(const cst_additional_layer *found)
{
	const cst_layer *record = cst_additional_layer_record(found);
	const struct line {
		const char *label, *text;
	} lines[] = {
	        {"Directory: ", cst_additional_layer_path(found)},
	        {"DiffID: ", cst_layer_diff_digest(record)},
	        {"TOC digest: ", cst_layer_toc_digest(record)},
	        {"Blob: ", cst_layer_compressed_digest(record)},
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (lines[i].text[0])
			print_field(lines[i].label, lines[i].text);
	if (cst_additional_layer_compressed_size(found) > 0)
		printf("Size: %" PRId64 "\n", cst_additional_layer_compressed_size(found));
}

static void print_json(const cst_additional_layer *found)
{
	const cst_layer *record = cst_additional_layer_record(found);
	const struct member {
		const char *name, *text;
	} members[] = {
	        {"{\"path\":", cst_additional_layer_path(found)},
	        {",\"diff-digest\":", cst_layer_diff_digest(record)},
	        {",\"toc-digest\":", cst_layer_toc_digest(record)},
	        {",\"compressed-diff-digest\":", cst_layer_compressed_digest(record)},
	};
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		fputs(members[i].name, stdout);
		json_print_string(members[i].text);
	}
	printf(",\"compressed-size\":%" PRId64 "}\n", cst_additional_layer_compressed_size(found));
}

static int find(const struct invocation *in, cst_additional_layer *found)
{
	if (is_on(in, OPT_JSON))
		print_json(found);
	else
		print_text(found);
	return 0;
}

/* ---- put ---- */

static int put(const struct invocation *in, cst_additional_layer *found)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_additional_layer_options options = CST_ADDITIONAL_LAYER_OPTIONS_INIT;
	cst_layer *layer = NULL;
	options.id = text_of(in, OPT_ID);
	options.parent = in->n_operands > 2 ? in->operands[2] : NULL;
	options.names = (const char *const *)value_of(in, OPT_NAME)->items;
	options.n_names = value_of(in, OPT_NAME)->n_items;
	if (cst_additional_layer_put(found, &options, &layer, &error) < 0)
		return fail(in, error);
	int code = print_new_layer(in, layer);
	cst_layer_free(layer);
	return code;
}

int run_additional_layer(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	const char *action = in->operands[0];
	bool lists = strcmp(action, "list") == 0, finds = strcmp(action, "find") == 0;
	cst_additional_layer *found = NULL;
	if (!lists && !finds && strcmp(action, "put") != 0) {
		complain(in, "additional-layer: there is no action '%s', but list, find and put",
		         action);
		return EXIT_USAGE;
	}
	if (in->n_operands < (lists ? 1 : 2) || (!lists && finds && in->n_operands > 2) ||
	    (lists && in->n_operands > 1)) {
		complain(in, "additional-layer: list takes no operand, find a DIGEST, put a DIGEST "
		             "and maybe a PARENT");
		return EXIT_USAGE;
	}
	if (lists)
		return list(in);
	int r = cst_store_find_additional_layer(in->store, in->operands[1],
	                                        text_of(in, OPT_OF_IMAGE), &found, &error);
	if (r < 0)
		return fail_with_hint(in, error, r == CST_ELAYER_UNKNOWN ? not_found_hint : NULL);
	int code = finds ? find(in, found) : put(in, found);
	cst_additional_layer_free(found);
	return code;
}
