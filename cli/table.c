/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people: sizes, ages, names, columns. */
#include "command.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

const char *size_text(char text[SIZE_TEXT_MAX], double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t unit = 0;
	for (; bytes >= 1024 && unit < 5; unit++)
		bytes /= 1024;
	snprintf(text, SIZE_TEXT_MAX, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return text;
}

const char *age_text(char text[SIZE_TEXT_MAX], int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *one, *many;
	} units[] = {{INT64_C(365) * 86400, "year", "years"},
	             {INT64_C(30) * 86400, "month", "months"},
	             {7 * 86400, "week", "weeks"},
	             {86400, "day", "days"},
	             {3600, "hour", "hours"},
	             {60, "min", "min"}};
	size_t unit = 0, n = sizeof(units) / sizeof(units[0]);
	while (unit < n && seconds < units[unit].seconds)
		unit++;
	if (unit == n) {
		snprintf(text, SIZE_TEXT_MAX, "%" PRId64 " s", seconds > 0 ? seconds : 0);
	} else {
		int64_t count = seconds / units[unit].seconds;
		snprintf(text, SIZE_TEXT_MAX, "%" PRId64 " %s", count,
		         count == 1 ? units[unit].one : units[unit].many);
	}
	return text;
}

size_t text_characters(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* How many columns a text takes; in *fits, how many of its bytes fit `limit` columns. */
static size_t text_columns(const char *text, size_t limit, size_t *fits)
{
	size_t columns = 0, at = 0;
	while (text[at]) {
		uint32_t point = 0;
		size_t length = utf8_decode(text + at, strnlen(text + at, 4), &point);
		size_t width = length ? character_columns(point) : 1;
		if (columns + width > limit)
			break;
		columns += width;
		at += length ? length : 1;
	}
	if (fits)
		*fits = at;
	return columns;
}

static size_t cell_columns(const char *text)
{
	return text_columns(text, SIZE_MAX, NULL);
}

size_t terminal_columns(void)
{
	struct winsize size;
	if (!is_terminal(stdout))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
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

#define GAP       2
#define NARROWEST 12 /* of a column that is cut short */

static size_t width_of(const struct table *table, size_t column)
{
	size_t width = 0;
	for (size_t i = column; i < table->n_cells; i += table->n_columns) {
		size_t columns = cell_columns(table->cells[i]);
		width = columns > width ? columns : width;
	}
	return width;
}

/* Makes the widest flexible columns narrower until the table fits, or none can become narrower. */
static void fit(const struct table *table, size_t *widths)
{
	size_t total = table->n_columns * GAP - GAP;
	for (size_t i = 0; i < table->n_columns; i++)
		total += widths[i];
	while (table->limit && total > table->limit) {
		size_t widest = SIZE_MAX;
		for (size_t i = 0; i < table->n_columns; i++)
			if (table->flexible >> i & 1 && widths[i] > NARROWEST &&
			    (widest == SIZE_MAX || widths[i] > widths[widest]))
				widest = i;
		if (widest == SIZE_MAX)
			return;
		widths[widest]--;
		total--;
	}
}

static void print_text(const char *text, size_t width, bool right, bool last)
{
	size_t columns = cell_columns(text), length = strlen(text);
	const char *dots = "";
	if (columns > width) {
		dots = is_utf8_locale() ? "\u2026" : "...";
		size_t room = width - (is_utf8_locale() ? 1 : 3);
		columns = width - room + text_columns(text, room, &length);
	}
	int padding = (int)(width - columns);
	printf("%*s%.*s%s%*s", right ? padding : 0, "", (int)length, text, dots,
	       right || last ? 0 : padding, "");
}

/* Prints a row without blanks behind its last cell that is not empty. */
static void print_row(const struct table *table, char *const *cells, const size_t *widths)
{
	size_t n = table->n_columns;
	while (n > 0 && !cells[n - 1][0])
		n--;
	for (size_t i = 0; i < n; i++) {
		print_text(cells[i], widths[i], table->right >> i & 1, i + 1 == n);
		fputs(i + 1 < n ? "  " : "", stdout);
	}
	putchar('\n');
}

int table_print(const struct invocation *in, struct table *table)
{
	size_t *widths = calloc(table->n_columns, sizeof(*widths));
	bool ok = widths && !table->failed;
	for (size_t i = 0; ok && i < table->n_columns; i++)
		widths[i] = width_of(table, i);
	if (ok)
		fit(table, widths);
	for (size_t i = 0; ok && i < table->n_cells; i += table->n_columns)
		print_row(table, table->cells + i, widths);
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(widths);
	table->cells = NULL;
	table->n_cells = 0;
	if (!ok)
		complain(in, "out of memory");
	return ok ? 0 : 1;
}
