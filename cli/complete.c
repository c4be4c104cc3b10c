/* SPDX-License-Identifier: Apache-2.0 */
/* Prints names of what is in the store, for the completion of operands. If something goes wrong, it
 * offers nothing and says nothing. */
#include "objects.h"
#include <string.h>

/* A shell shows what it is offered to its user, and takes a line end or a tab for the end of a
 * name. */
static bool can_be_offered(const char *text)
{
	_cleanup_text_ char *plain = plain_text(text);
	return plain && text[0] && strcmp(plain, text) == 0;
}

/* Prints the names of an item, or its ID if it has none. */
static void print_item(enum kinds kind, const char *id, const char *const *names, size_t n,
                       void *userdata)
{
	const char *word = kinds_text(kind);
	if (!can_be_offered(id))
		return;
	for (size_t i = 0; i < n; i++)
		if (can_be_offered(names[i]))
			printf("%s\t%s %.*s\n", names[i], word, SHORT_ID, id);
	if (n == 0)
		printf("%s\t%s\n", id, word);
}

/* Opens the store read only: completing must write nothing. */
void print_operand_candidates(struct invocation *in)
{
	const char *const *actions = in->command->actions;
	if (actions && in->n_operands == 0) {
		for (; *actions; actions++)
			printf("%s\taction\n", *actions);
		return;
	}
	if (in->n_operands >= in->command->max_operands ||
	    prepare_store_options(in, NULL, NULL) < 0)
		return;
	in->store_options.read_only = true;
	if (cst_store_open(&in->store_options, &in->store, NULL) < 0)
		return;
	each_object(in->store, in->command->kinds, SIZE_MAX, print_item, NULL);
}
