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

/* The words of "inspect|create|verify FILE". False: there is no choice. */
static bool print_actions(const char *operands)
{
	size_t end = strspn(operands, "abcdefghijklmnopqrstuvwxyz|");
	if (!memchr(operands, '|', end) || operands[end] != ' ')
		return false;
	for (size_t at = 0, n; at < end; at += n + 1) {
		n = strcspn(operands + at, "| ");
		printf("%.*s\taction\n", (int)n, operands + at);
	}
	return true;
}

/* Opens the store read only: completing must write nothing. */
void print_operand_candidates(struct invocation *in)
{
	if (in->n_operands == 0 && print_actions(in->command->operands))
		return;
	if (in->n_operands >= in->command->max_operands ||
	    prepare_store_options(in, NULL, NULL) < 0)
		return;
	in->store_options.read_only = true;
	if (cst_store_open(&in->store_options, &in->store, NULL) < 0)
		return;
	each_object(in->store, in->command->kinds, SIZE_MAX, print_item, NULL);
}
