/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of options and the values found for them, for both syntaxes. */
#include "command.h"
#include <assert.h>
#include <string.h>

void option_set_add(struct option_set *set, const struct option *table, size_t n)
{
	assert(set->n_tables < OPTION_TABLES_MAX);
	set->tables[set->n_tables] = table;
	set->sizes[set->n_tables++] = n;
	for (size_t i = 0; i < n; i++)
		if (!set->values[table[i].id].text)
			set->values[table[i].id].text = table[i].initial;
}

/* Finds an option by its name with the dashes. Only exact matches count. */
const struct option *option_find(const struct option_set *set, const char *name, size_t length)
{
	for (size_t t = 0; t < set->n_tables; t++) {
		for (size_t i = 0; i < set->sizes[t]; i++) {
			const struct option *option = &set->tables[t][i];
			for (size_t n = 0; n < 3 && *option->names[n]; n++)
				if (strncmp(option->names[n], name, length) == 0 &&
				    option->names[n][length] == '\0')
					return option;
		}
	}
	return NULL;
}

/* Never removes an item, so that a caller who remembers an older count can still read that many. */
bool option_append(struct option_value *value, const char *item)
{
	const char **items = reallocarray(value->items, value->n_items + 1, sizeof(*items));
	if (!items)
		return false;
	items[value->n_items++] = item;
	value->items = items;
	return true;
}

const char *option_keep(struct option_set *set, char *value)
{
	char **kept = value ? reallocarray(set->kept, set->n_kept + 1, sizeof(*kept)) : NULL;
	if (!kept) {
		free(value);
		return NULL;
	}
	kept[set->n_kept++] = value;
	set->kept = kept;
	return value;
}

bool parse_go_bool(const char *text, bool *ret)
{
	static const char *const words[2][6] = {
	        {"0", "f", "F", "false", "FALSE", "False"},
	        {"1", "t", "T", "true", "TRUE", "True"},
	};
	for (int value = 0; value < 2; value++) {
		for (size_t i = 0; i < 6; i++) {
			if (strcmp(text, words[value][i]) == 0) {
				*ret = value;
				return true;
			}
		}
	}
	return false;
}

void option_set_done(struct option_set *set)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		free(set->values[i].items);
	for (size_t i = 0; i < set->n_kept; i++)
		free(set->kept[i]);
	free(set->kept);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t sorted_operands(const struct invocation *in, const char ***ret)
{
	const char **sorted = calloc(in->n_operands + 1, sizeof(*sorted));
	size_t n = 0;
	if (!sorted)
		return 0;
	memcpy(sorted, in->operands, in->n_operands * sizeof(*sorted));
	qsort(sorted, in->n_operands, sizeof(*sorted), by_bytes);
	for (size_t i = 0; i < in->n_operands; i++)
		if (n == 0 || strcmp(sorted[n - 1], sorted[i]) != 0)
			sorted[n++] = sorted[i];
	*ret = sorted;
	return n;
}

bool is_repeated_operand(const struct invocation *in, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(in->operands[i], in->operands[index]) == 0)
			return true;
	return false;
}
