/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people: sizes, names, columns. */
#include "command.h"
#include <stdarg.h>
#include <string.h>
#include <strings.h>

const char *size_text(char text[SIZE_TEXT_MAX], double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t unit = 0;
	for (; bytes >= 1024 && unit < 5; unit++)
		bytes /= 1024;
	snprintf(text, SIZE_TEXT_MAX, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return text;
}

size_t text_columns(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

char *joined_names(const char *const *names, size_t n)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "", to);
		fputs(names[i], to);
	}
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

bool is_utf8_locale(void)
{
	static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < 3; i++) {
		const char *value = getenv(variables[i]);
		if (value && value[0])
			return strcasestr(value, "UTF-8") || strcasestr(value, "UTF8");
	}
	return false;
}

void table_add(struct table *table, const char *format, ...)
{
	va_list args;
	_cleanup_text_ char *text = NULL;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	char *cell = text ? plain_text(text) : NULL;
	char **cells = cell ? reallocarray(table->cells, table->n_cells + 1, sizeof(*cells)) : NULL;
	if (!cells) {
		table->failed = true;
		free(cell);
		return;
	}
	cells[table->n_cells++] = cell;
	table->cells = cells;
}

void table_add_size(struct table *table, uint64_t bytes)
{
	char text[SIZE_TEXT_MAX];
	table_add(table, "%s", size_text(text, (double)bytes));
}

static size_t width_of(const struct table *table, size_t column)
{
	size_t width = 0;
	for (size_t i = column; i < table->n_cells; i += table->n_columns) {
		size_t columns = text_columns(table->cells[i]);
		width = columns > width ? columns : width;
	}
	return width;
}

static void print_cell(const struct table *table, size_t index, size_t width)
{
	const char *text = table->cells[index];
	size_t column = index % table->n_columns;
	int padding = (int)(width - text_columns(text));
	bool right = table->right >> column & 1, last = column + 1 == table->n_columns;
	bool end = column + 2 == table->n_columns && !table->cells[index + 1][0];
	printf("%*s%s", right ? padding : 0, "", text);
	if (end)
		return;
	if (last)
		putchar('\n');
	else
		printf("%*s", (right ? 0 : padding) + 2, "");
}

int table_print(const struct invocation *in, struct table *table)
{
	size_t *widths = calloc(table->n_columns, sizeof(*widths));
	bool ok = widths && !table->failed;
	for (size_t i = 0; ok && i < table->n_columns; i++)
		widths[i] = width_of(table, i);
	for (size_t i = 0; ok && i < table->n_cells; i++)
		print_cell(table, i, widths[i % table->n_columns]);
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(widths);
	*table = (struct table){.n_columns = table->n_columns, .right = table->right};
	if (!ok)
		complain(in, "out of memory");
	return ok ? 0 : 1;
}
