/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs changes, diffsize and diff: a layer compared with its parent or with another layer. */
#include "objects.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The layer of the first operand, and that of the second, or "". */
struct two_layers {
	char *layer, *reference;
};

static void two_layers_done(struct two_layers *layers)
{
	free(layers->layer);
	free(layers->reference);
}
#define _cleanup_two_layers_ __attribute__((cleanup(two_layers_done)))

static int find_layers(const struct invocation *in, struct two_layers *ret)
{
	ret->layer = layer_of_operand(in, in->operands[0]);
	ret->reference = in->n_operands > 1 ? layer_of_operand(in, in->operands[1]) : strdup("");
	if (ret->layer && ret->reference)
		return 0;
	complain(in, "out of memory");
	return 1;
}

static void print_changes(const cst_changes *changes, bool json)
{
	static const char *const kinds[] = {"Modify", "Add", "Delete"};
	size_t n = cst_changes_size(changes);
	for (size_t i = 0; i < n; i++) {
		const char *path = cst_changes_path(changes, i);
		unsigned kind = (unsigned)cst_changes_kind(changes, i);
		if (json) {
			fputs(i ? ",{\"Path\":" : "[{\"Path\":", stdout);
			json_print_string(path);
			printf(",\"Kind\":%u}", kind);
		} else {
			_cleanup_text_ char *quoted = go_quote(path);
			printf("%s %s\n", kind < 3 ? kinds[kind] : "Unknown",
			       quoted ? quoted : path);
		}
	}
	if (json)
		fputs(n ? "]\n" : "null\n", stdout);
}

int run_changes(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_changes *changes = NULL;
	_cleanup_two_layers_ struct two_layers layers = {0};
	if (find_layers(in, &layers))
		return 1;
	if (cst_store_changes(in->store, layers.reference, layers.layer, &changes, &error) < 0)
		return fail(in, error);
	print_changes(changes, is_on(in, OPT_JSON));
	cst_changes_free(changes);
	return 0;
}

int run_diff_size(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	int64_t size = 0;
	_cleanup_two_layers_ struct two_layers layers = {0};
	if (find_layers(in, &layers))
		return 1;
	if (cst_store_diff_size(in->store, layers.reference, layers.layer, &size, &error) < 0)
		return fail(in, error);
	printf(is_on(in, OPT_JSON) ? "{\"size\":%" PRId64 "}\n" : "%" PRId64 "\n", size);
	return 0;
}

/* The compression: -x before -b before -c before -u; without any, the one that the layer was
 * imported with. If that cannot be written, plain. */
static int compression_of(const struct invocation *in, const char *id)
{
	if (is_on(in, OPT_XZ))
		return CST_XZ;
	if (is_on(in, OPT_BZIP2))
		return CST_BZIP2;
	if (is_on(in, OPT_GZIP))
		return CST_GZIP;
	if (is_on(in, OPT_UNCOMPRESSED))
		return CST_PLAIN;
	cst_layer *layer = NULL;
	if (cst_store_layer(in->store, id, &layer, NULL) < 0)
		return -1;
	int imported = cst_layer_compression(layer);
	cst_layer_free(layer);
	return imported == CST_XZ || imported == CST_BZIP2 ? CST_PLAIN : -1;
}

int run_diff(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_output_ struct output output = {.fd = -1};
	struct progress progress;
	if (in->personality == GNU_STYLE && is_standard_stream(in, text_of(in, OPT_FILE)) &&
	    is_terminal(stdout)) {
		complain(in, "diff: a terminal cannot show an archive; -f FILE or > FILE keeps it, "
		             "'cstorage changes' lists what is in it");
		return 1;
	}
	progress_start(in, &progress);
	_cleanup_two_layers_ struct two_layers layers = {0};
	int code = find_layers(in, &layers);
	code = code ? code : output_open(in, text_of(in, OPT_FILE), &output);
	if (code)
		return code;
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	options.compression = compression_of(in, layers.layer);
	options.verify = is_on(in, OPT_VERIFY);
	options.progress = &progress.hook;
	cst_sink sink = {.write = output_write, .userdata = &output};
	int result =
	        cst_store_diff(in->store, layers.reference, layers.layer, &options, &sink, &error);
	progress_end(&progress);
	return result < 0 ? fail(in, error) : output_commit(in, &output);
}
