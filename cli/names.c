/* SPDX-License-Identifier: Apache-2.0 */
/* Names and metadata of any item. */
#include "objects.h"
#include <stdio.h>
#include <string.h>

static int print_names(const struct invocation *in, const char *id, const char *if_empty)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_strings_ cst_strings *names = NULL;
	if (cst_store_names(in->store, id, &names, &error) < 0)
		return fail(in, error);
	if (is_on(in, OPT_JSON)) {
		json_print_strings(names, if_empty);
		putchar('\n');
		return 0;
	}
	for (size_t i = 0; i < cst_strings_size(names); i++)
		print_field("", cst_strings_get(names, i));
	return 0;
}

int run_get_names(struct invocation *in)
{
	return print_names(in, in->operands[0], "[]");
}

typedef int (*names_function)(cst_store *store, const char *id, const char *const *names, size_t n,
                              cst_error **error);

/* The Go tool ignores further operands. The ID is found first, because the operand may be a name
 * that is removed. */
static int change_names(const struct invocation *in, names_function change)
{
	_cleanup_error_ cst_error *error = NULL;
	const struct option_value *names = value_of(in, OPT_NAME);
	char *id = NULL;
	if (in->personality == GNU_STYLE && in->n_operands > 1) {
		complain(in, "%s: unexpected operand '%s'; names are given with -n", in->word,
		         in->operands[1]);
		return EXIT_USAGE;
	}
	if (cst_store_lookup(in->store, in->operands[0], &id, &error) < 0)
		return fail(in, error);
	int code = 0;
	if (change(in->store, id, (const char *const *)names->items, names->n_items, &error) < 0)
		code = fail(in, error);
	else if (is_on(in, OPT_JSON))
		code = print_names(in, id, "null");
	cst_free(id);
	return code;
}

/* Without a name nothing would be done, which nobody asks for. Setting none takes all names away. */
static bool lacks_names(const struct invocation *in)
{
	if (in->personality == GO_STYLE || in->n_operands > 1 ||
	    value_of(in, OPT_NAME)->n_items > 0)
		return false;
	complain(in, "%s: no name is given; -n gives one", in->word);
	return true;
}

int run_add_names(struct invocation *in)
{
	return lacks_names(in) ? EXIT_USAGE : change_names(in, cst_store_add_names);
}

int run_remove_names(struct invocation *in)
{
	return lacks_names(in) ? EXIT_USAGE : change_names(in, cst_store_remove_names);
}

int run_set_names(struct invocation *in)
{
	return change_names(in, cst_store_set_names);
}

/* Leaves out one newline at the end of the metadata. */
static size_t shown_length(const char *metadata)
{
	size_t length = strlen(metadata);
	return length > 0 && metadata[length - 1] == '\n' ? length - 1 : length;
}

static int print_metadata_text(const struct invocation *in)
{
	int code = 0;
	for (size_t i = 0; i < in->n_operands; i++) {
		char *metadata = NULL;
		if (cst_store_metadata(in->store, in->operands[i], &metadata, NULL) < 0) {
			complain_unknown(in, in->operands[i]);
			code = 1;
			if (in->personality == GNU_STYLE)
				continue;
		}
		if (!is_on(in, OPT_QUIET)) {
			show_text(stdout, in->operands[i]);
			fputs(": ", stdout);
		}
		if (metadata)
			show_content(stdout, metadata, shown_length(metadata));
		putchar('\n');
		cst_free(metadata);
	}
	return code;
}

static int print_metadata_json(const struct invocation *in)
{
	const char **sorted = NULL;
	size_t n = sorted_operands(in, &sorted), shown = 0;
	int code = 0;
	putchar('{');
	for (size_t i = 0; i < n; i++) {
		char *metadata = NULL;
		if (cst_store_metadata(in->store, sorted[i], &metadata, NULL) < 0) {
			complain_unknown(in, sorted[i]);
			code = 1;
			continue;
		}
		if (shown++)
			putchar(',');
		json_print_string(sorted[i]);
		putchar(':');
		json_print_bytes(metadata, shown_length(metadata));
		cst_free(metadata);
	}
	fputs("}\n", stdout);
	free(sorted);
	return code;
}

int run_metadata(struct invocation *in)
{
	return is_on(in, OPT_JSON) ? print_metadata_json(in) : print_metadata_text(in);
}

int run_set_metadata(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_text_ char *content = NULL;
	const char *metadata = text_of(in, OPT_METADATA), *file = text_of(in, OPT_METADATA_FILE);
	if (!file[0] && !metadata[0]) {
		complain(in, "no new metadata provided");
		return 1;
	}
	if (file[0]) {
		size_t size = 0;
		int code = read_whole_file(in, file, &content, &size);
		if (code)
			return code;
		metadata = content;
	}
	if (cst_store_set_metadata(in->store, in->operands[0], metadata, &error) < 0)
		return fail(in, error);
	return 0;
}
