/* SPDX-License-Identifier: Apache-2.0 */
/* --format of a list: text with fields in braces. */
#include "list.h"
#include <string.h>

#define NO_ROW SIZE_MAX

static int print_field_of(struct listing *listing, size_t row, size_t field)
{
	if (print_value(listing, row, field))
		return 0;
	complain(listing->list->in, "out of memory");
	return 1;
}

/* Prints the field "{NAME}" at *at, and moves *at behind it. NO_ROW: only looks whether there is
 * such a field. */
static int print_braces(struct listing *listing, const char **at, size_t row)
{
	const struct invocation *in = listing->list->in;
	const char *name = *at + 1;
	size_t length = strcspn(name, "}");
	if (!name[length]) {
		complain(in, "--format: '{' without '}' behind it; '{{' stands for the character");
		return EXIT_USAGE;
	}
	size_t field = list_field(listing->list, "--format", name, length);
	if (field == NO_FIELD)
		return EXIT_USAGE;
	*at = name + length + 1;
	return row == NO_ROW ? 0 : print_field_of(listing, row, field);
}

static void put(char c, size_t row)
{
	if (row != NO_ROW)
		putchar(c);
}

/* Replaces "\t" and "\n" as C does, and "{{" and "}}" by single braces. */
static int print_row(struct listing *listing, const char *format, size_t row)
{
	int code = 0;
	for (const char *at = format; *at && code == 0;) {
		bool doubled = (*at == '{' || *at == '}') && at[1] == *at;
		if (*at == '{' && !doubled) {
			code = print_braces(listing, &at, row);
		} else if (at[0] == '\\' && (at[1] == 't' || at[1] == 'n')) {
			put(at[1] == 't' ? '\t' : '\n', row);
			at += 2;
		} else {
			put(*at, row);
			at += doubled ? 2 : 1;
		}
	}
	put('\n', row);
	return code;
}

int list_print_format(struct listing *listing, const char *format)
{
	int code = print_row(listing, format, NO_ROW);
	for (size_t i = 0; i < listing->n && code == 0; i++)
		code = print_row(listing, format, listing->rows[i]);
	return code;
}
