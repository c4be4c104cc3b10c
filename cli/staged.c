/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs staged and discard-staged: staged layers that were kept for another process. */
#include "command.h"
#include <stdio.h>

static void print_ids(const struct invocation *in, const char *const *ids, size_t n)
{
	if (is_on(in, OPT_JSON))
		putchar('[');
	for (size_t i = 0; i < n; i++) {
		if (!is_on(in, OPT_JSON)) {
			print_field("", ids[i]);
			continue;
		}
		fputs(i ? ",{\"id\":" : "{\"id\":", stdout);
		json_print_string(ids[i]);
		putchar('}');
	}
	if (is_on(in, OPT_JSON))
		puts("]");
}

int run_staged(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_strings *ids = NULL;
	if (cst_store_staged_layers(in->store, &ids, &error) < 0)
		return fail(in, error);
	size_t n = cst_strings_size(ids);
	const char **list = calloc(n + 1, sizeof(*list));
	for (size_t i = 0; list && i < n; i++)
		list[i] = cst_strings_get(ids, i);
	if (list)
		print_ids(in, list, n);
	else
		complain(in, "out of memory");
	int code = list ? 0 : 1;
	free(list);
	cst_strings_free(ids);
	return code;
}

/* Goes on after one that cannot be removed. */
int run_discard_staged(struct invocation *in)
{
	const char **gone = calloc(in->n_operands + 1, sizeof(*gone));
	size_t n = 0;
	int code = gone ? 0 : 1;
	if (!gone)
		complain(in, "out of memory");
	for (size_t i = 0; gone && i < in->n_operands; i++) {
		_cleanup_error_ cst_error *error = NULL;
		if (cst_store_discard_staged_layer(in->store, in->operands[i], &error) < 0)
			code = fail(in, error);
		else
			gone[n++] = in->operands[i];
	}
	if (gone)
		print_ids(in, gone, n);
	free(gone);
	return code;
}
