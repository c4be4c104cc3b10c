/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: chooses the form to print, and prints the table. list_choose.c chooses rows; list_format.c
 * does --format. */
#include "list.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

static size_t count_values(const struct list *list, bool one_at_a_time)
{
	return (one_at_a_time ? 1 : list->n_rows) * list->n_fields;
}

static void forget_values(struct listing *listing, size_t next)
{
	size_t n = count_values(listing->list, listing->one_at_a_time);
	for (size_t i = 0; i < n; i++) {
		if (listing->known[i])
			free(listing->values[i].owned);
		listing->known[i] = false;
	}
	listing->row = next;
}

const struct value *listing_value(struct listing *listing, size_t row, size_t field)
{
	const struct list *list = listing->list;
	if (listing->one_at_a_time && listing->row != row)
		forget_values(listing, row);
	size_t at = (listing->one_at_a_time ? 0 : row) * list->n_fields + field;
	struct value *value = &listing->values[at];
	if (!listing->known[at]) {
		*value = (struct value){0};
		if (list->fields[field].type == FIELD_AGE) {
			list->find(list, row, field, value);
			value->number = listing->now - value->number;
		} else {
			list->find(list, row, field, value);
		}
		listing->known[at] = true;
	}
	return value;
}

static void listing_done(struct listing *listing)
{
	if (listing->values && listing->known)
		forget_values(listing, 0);
	free(listing->values);
	free(listing->known);
	free(listing->rows);
}
#define _cleanup_listing_ __attribute__((cleanup(listing_done)))

static bool listing_start(struct listing *listing, const struct list *list)
{
	const char *sort = text_of(list->in, OPT_SORT);
	bool one_at_a_time = !sort || !sort[0];
	size_t n = count_values(list, one_at_a_time);
	*listing = (struct listing){
	        .list = list, .n = list->n_rows, .now = time(NULL), .one_at_a_time = one_at_a_time};
	listing->values = calloc(n + 1, sizeof(*listing->values));
	listing->known = calloc(n + 1, sizeof(*listing->known));
	listing->rows = calloc(list->n_rows + 1, sizeof(*listing->rows));
	for (size_t i = 0; listing->rows && i < list->n_rows; i++)
		listing->rows[i] = i;
	return listing->values && listing->known && listing->rows;
}

/* ---- what lists are made of ---- */

static const char *number_text(int64_t number, struct text_room *room)
{
	uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	char *at = room->number + sizeof(room->number) - 1;
	*at = '\0';
	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (number < 0)
		*--at = '-';
	return at;
}

void users_add(struct users *users, const char *kind, size_t n, const char *id,
               const char *const *names, size_t n_names)
{
	struct text_room room;
	bool named = n == 1 && (n_names > 0 || id[0]);
	const char *name = n_names > 0 ? names[0] : id;
	size_t name_length = n_names > 0 ? strlen(name) : strnlen(name, SHORT_ID);
	if (n == 0 || users->failed)
		return;
	size_t most = users->length + strlen(kind) + name_length + sizeof(room.number);
	char *longer = realloc(users->text, most);
	users->failed = !longer;
	if (!longer)
		return;
	char *to = longer + users->length;
	if (users->text)
		to = stpcpy(to, ", ");
	if (!named)
		to = stpcpy(stpcpy(to, number_text((int64_t)n, &room)), " ");
	to = stpcpy(to, kind);
	if (named)
		to = mempcpy(stpcpy(to, " "), name, name_length);
	else if (n > 1)
		*to++ = 's';
	*to = '\0';
	users->text = longer;
	users->length = (size_t)(to - longer);
}

char *users_done(struct users *users)
{
	if (!users->failed)
		return users->text ? users->text : strdup("nobody");
	free(users->text);
	return NULL;
}

int64_t layer_content_size(const struct invocation *in, const cst_layer *layer)
{
	int64_t size = -1;
	if (cst_layer_diff_digest(layer)[0] || cst_layer_toc_digest(layer)[0])
		return cst_layer_uncompressed_size(layer);
	int result = cst_store_diff_size(in->store, NULL, cst_layer_id(layer), &size, NULL);
	return result == 0 ? size : -1;
}

/* ---- values in full ---- */

#define DAY_SECONDS 86400

static char *put_digits(char *to, int number, int n)
{
	for (int i = n; i > 0; i--, number /= 10)
		to[i - 1] = (char)('0' + number % 10);
	return to + n;
}

/* "2026-01-02". RFC 3339 has years of four digits; of others nothing is shown. The rows of a list are often of one day, so the last
 * one is kept. */
static const char *date_text(int64_t day)
{
	static char text[sizeof("2026-01-02")];
	static int64_t day_of_text = INT64_MIN;
	time_t time = (time_t)(day * DAY_SECONDS);
	struct tm utc;
	if (day == day_of_text)
		return text;
	day_of_text = day;
	text[0] = '\0';
	if (gmtime_r(&time, &utc) && utc.tm_year >= -1900 && utc.tm_year < 8100) {
		char *to = put_digits(text, utc.tm_year + 1900, 4);
		*to++ = '-';
		to = put_digits(to, utc.tm_mon + 1, 2);
		*to++ = '-';
		*put_digits(to, utc.tm_mday, 2) = '\0';
	}
	return text;
}

static void write_time(int64_t seconds, char *to)
{
	int64_t day = seconds / DAY_SECONDS - (seconds % DAY_SECONDS < 0);
	int left = (int)(seconds - day * DAY_SECONDS);
	const int parts[] = {left / 3600, left / 60 % 60, left % 60};
	const char *date = date_text(day);
	to = stpcpy(to, date);
	for (size_t i = 0; *date && i < 3; i++) {
		*to++ = "T::"[i];
		to = put_digits(to, parts[i], 2);
	}
	strcpy(to, *date ? "Z" : "");
}

static char *texts_joined(const struct value *value, const char *between)
{
	char *text = NULL;
	size_t size = 0;
	if (value->n_texts < 2)
		return strdup(value->n_texts ? value->texts[0] : "");
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return NULL;
	for (size_t i = 0; i < value->n_texts; i++)
		fprintf(to, "%s%s", i ? between : "", value->texts[i]);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

const char *value_text(const struct field *field, const struct value *value, struct text_room *room)
{
	switch (field->type) {
	case FIELD_ID:
	case FIELD_TEXT: return value->text ? value->text : "";
	case FIELD_TEXTS:
		if (value->n_texts < 2)
			return value->n_texts ? value->texts[0] : "";
		return room->joined = texts_joined(value, ",");
	case FIELD_BOOL: return value->number ? "true" : "false";
	case FIELD_TIME: write_time(value->number, room->number); return room->number;
	default:
		if (field->type == FIELD_SIZE && value->number < 0)
			return "";
		return number_text(value->number, room);
	}
}

void free_text_room(struct text_room *room)
{
	free(room->joined);
}

/* ---- the table ---- */

static void add_cell(struct table *table, struct listing *listing, size_t row, size_t index)
{
	const struct field *field = &listing->list->fields[index];
	const struct value *value = listing_value(listing, row, index);
	char text[SIZE_TEXT_MAX];
	bool in_full = is_on(listing->list->in, OPT_NO_TRUNC);
	_cleanup_text_room_ struct text_room room = {0};
	const char *full;
	switch (field->type) {
	case FIELD_ID: table_add(table, "%.*s", in_full ? -1 : SHORT_ID, value->text); break;
	case FIELD_TEXTS:
		room.joined = texts_joined(value, ", ");
		table_add(table, "%s", room.joined ? room.joined : "");
		break;
	case FIELD_SIZE:
		table_add(table, "%s",
		          value->number < 0 ? "?" : size_text(text, (double)value->number));
		break;
	case FIELD_TIME:
		table_add(table, "%s", age_text(text, listing->now - value->number));
		break;
	case FIELD_BOOL: table_add(table, "%s", value->number ? "yes" : ""); break;
	default: full = value_text(field, value, &room); table_add(table, "%s", full ? full : "");
	}
}

static int print_table(struct listing *listing)
{
	const struct list *list = listing->list;
	struct table table = {0};
	bool in_full = is_on(list->in, OPT_NO_TRUNC);
	table.limit = in_full ? 0 : terminal_columns();
	for (size_t f = 0; f < list->n_fields; f++) {
		const struct field *field = &list->fields[f];
		if (!field->title)
			continue;
		if (field->type == FIELD_SIZE || field->type == FIELD_NUMBER)
			table.right |= 1u << table.n_columns;
		if (field->type == FIELD_TEXT || field->type == FIELD_TEXTS)
			table.flexible |= 1u << table.n_columns;
		table.n_columns++;
		table_add(&table, "%s", field->title);
	}
	for (size_t i = 0; i < listing->n; i++)
		for (size_t f = 0; f < list->n_fields; f++)
			if (list->fields[f].title)
				add_cell(&table, listing, listing->rows[i], f);
	return table_print(list->in, &table);
}

bool print_value(struct listing *listing, size_t row, size_t index)
{
	_cleanup_text_room_ struct text_room room = {0};
	const struct value *value = listing_value(listing, row, index);
	const char *text = value_text(&listing->list->fields[index], value, &room);
	if (text)
		show_plain(stdout, text);
	return text;
}

/* For programs: no title, tabs between fields, everything in full. */
static int print_lines(struct listing *listing)
{
	const struct list *list = listing->list;
	for (size_t i = 0; i < listing->n; i++) {
		bool first = true;
		for (size_t f = 0; f < list->n_fields; f++) {
			if (!list->fields[f].title)
				continue;
			if (!first)
				putchar_unlocked('\t');
			print_value(listing, listing->rows[i], f);
			first = false;
		}
		putchar_unlocked('\n');
	}
	return 0;
}

static int print_json(const struct listing *listing)
{
	const struct list *list = listing->list;
	for (size_t i = 0; i < listing->n; i++) {
		putchar(i ? ',' : '[');
		int code = list->print_json(list, listing->rows[i]);
		if (code)
			return code;
	}
	printf("%s\n", listing->n ? "]" : list->json_if_empty);
	return 0;
}

int list_print(const struct list *list)
{
	_cleanup_listing_ struct listing listing = {0};
	const char *format = text_of(list->in, OPT_FORMAT);
	format = format ? format : "";
	if (!listing_start(&listing, list)) {
		complain(list->in, "out of memory");
		return 1;
	}
	int code = list_filter(&listing);
	code = code ? code : list_sort(&listing);
	if (code)
		return code;
	if (is_on(list->in, OPT_JSON) || strcmp(format, "json") == 0)
		return print_json(&listing);
	if (is_on(list->in, OPT_QUIET))
		return list_print_format(&listing, "{id}");
	if (strcmp(format, "table") == 0 || (!format[0] && is_terminal(stdout)))
		return print_table(&listing);
	return format[0] ? list_print_format(&listing, format) : print_lines(&listing);
}
