/* SPDX-License-Identifier: Apache-2.0 */
/* --filter and --sort of a list. */
#include "list.h"
#include "nearest.h"
#include <fnmatch.h>
#include <math.h>
#include <string.h>
#include <strings.h>

size_t list_field(const struct list *list, const char *option, const char *name, size_t length)
{
	_cleanup_text_ char *word = strndup(name, length);
	_cleanup_nearest_ struct nearest nearest = {.word = word ? word : ""};
	for (size_t i = 0; i < list->n_fields; i++) {
		if (word && strcmp(list->fields[i].name, word) == 0)
			return i;
		nearest_offer(&nearest, list->fields[i].name);
	}
	_cleanup_text_ char *known = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&known, &size);
	for (size_t i = 0; to && i < list->n_fields; i++)
		fprintf(to, "%s%s", i ? ", " : "", list->fields[i].name);
	if (to)
		fclose(to);
	if (nearest.found)
		complain(list->in, "%s: there is no field '%s'; did you mean '%s'?", option,
		         nearest.word, nearest.found);
	else
		complain(list->in, "%s: there is no field '%s' but %s", option, nearest.word,
		         known ? known : "");
	return NO_FIELD;
}

/* ---- --filter ---- */

enum operator{ EQUAL, DIFFERENT, LESS, MORE };

struct filter {
	size_t field;
	enum operator operator;
	const char *wanted;
	double number; /* `wanted` as one */
};

static double unit_of(enum field_type type, const char *unit)
{
	static const struct {
		enum field_type type;
		const char *name;
		double factor;
	} units[] = {
	        {FIELD_SIZE, "B", 1},
	        {FIELD_SIZE, "K", 1024},
	        {FIELD_SIZE, "M", 1048576},
	        {FIELD_SIZE, "G", 1073741824},
	        {FIELD_SIZE, "T", 1099511627776},
	        {FIELD_SIZE, "KiB", 1024},
	        {FIELD_SIZE, "MiB", 1048576},
	        {FIELD_SIZE, "GiB", 1073741824},
	        {FIELD_SIZE, "TiB", 1099511627776},
	        {FIELD_AGE, "s", 1},
	        {FIELD_AGE, "m", 60},
	        {FIELD_AGE, "min", 60},
	        {FIELD_AGE, "h", 3600},
	        {FIELD_AGE, "d", 86400},
	        {FIELD_AGE, "w", 604800},
	        {FIELD_AGE, "y", 31536000},
	};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].type == type && strcasecmp(units[i].name, unit) == 0)
			return units[i].factor;
	return unit[0] ? -1 : 1;
}

static bool is_number(enum field_type type)
{
	return type == FIELD_NUMBER || type == FIELD_SIZE || type == FIELD_AGE;
}

static bool parse_number(enum field_type type, const char *text, double *ret)
{
	char *end;
	double number = strtod(text, &end), unit = unit_of(type, end);
	*ret = number * unit;
	return end != text && isfinite(number) && unit > 0;
}

/* Reads FIELD=VALUE, FIELD!=VALUE, FIELD<VALUE or FIELD>VALUE. Returns an exit code. */
static int parse_filter(const struct list *list, const char *text, struct filter *ret)
{
	size_t length = strcspn(text, "!=<>");
	bool different = text[length] == '!' && text[length + 1] == '=';
	if (!text[length] || (text[length] == '!' && !different)) {
		complain(
		        list->in,
		        "--filter takes FIELD=VALUE, FIELD!=VALUE, FIELD<VALUE or FIELD>VALUE, not "
		        "'%s'",
		        text);
		return EXIT_USAGE;
	}
	ret->field = list_field(list, "--filter", text, length);
	if (ret->field == NO_FIELD)
		return EXIT_USAGE;
	ret->operator= EQUAL;
	if (different)
		ret->operator= DIFFERENT;
	else if (text[length] == '<')
		ret->operator= LESS;
	else if (text[length] == '>')
		ret->operator= MORE;
	ret->wanted = text + length + (different ? 2 : 1);
	enum field_type type = list->fields[ret->field].type;
	bool ordered = is_number(type) || type == FIELD_TIME;
	if (!ordered && (ret->operator== LESS || ret->operator== MORE)) {
		complain(list->in, "--filter: '%s' has no order; '=' and '!=' can be asked",
		         list->fields[ret->field].name);
		return EXIT_USAGE;
	}
	if (is_number(type) && !parse_number(type, ret->wanted, &ret->number)) {
		const char *example = "";
		if (type == FIELD_SIZE)
			example = " such as 10M";
		else if (type == FIELD_AGE)
			example = " such as 12h or 7d";
		complain(list->in, "--filter: '%s' takes a number%s, not '%s'",
		         list->fields[ret->field].name, example, ret->wanted);
		return EXIT_USAGE;
	}
	return 0;
}

/* Compares with a shell pattern. For an ID its beginning is enough. */
static bool fits_text(enum field_type type, const char *wanted, const char *text)
{
	if (type == FIELD_ID && wanted[0] && strncmp(text, wanted, strlen(wanted)) == 0)
		return true;
	return fnmatch(wanted, text, 0) == 0;
}

static bool is_equal(const struct field *field, const struct value *value, const char *wanted)
{
	if (field->type != FIELD_TEXTS) {
		_cleanup_text_room_ struct text_room room = {0};
		const char *text = value_text(field, value, &room);
		return text && fits_text(field->type, wanted, text);
	}
	for (size_t i = 0; i < value->n_texts; i++)
		if (fits_text(field->type, wanted, value->texts[i]))
			return true;
	return value->n_texts == 0 && !wanted[0];
}

/* -1, 0 or 1: the value is less, equal or more. Times are compared as text. */
static int order_of(const struct field *field, const struct value *value,
                    const struct filter *filter)
{
	if (field->type == FIELD_TIME) {
		_cleanup_text_room_ struct text_room room = {0};
		const char *text = value_text(field, value, &room);
		return strncmp(text, filter->wanted, strlen(filter->wanted));
	}
	return (double)value->number < filter->number ? -1 : (double)value->number > filter->number;
}

static bool passes(struct listing *listing, size_t row, const struct filter *filter)
{
	const struct field *field = &listing->list->fields[filter->field];
	const struct value *value = listing_value(listing, row, filter->field);
	bool ordered = is_number(field->type) || field->type == FIELD_TIME;
	if (field->type == FIELD_SIZE && value->number < 0) /* unknown */
		return filter->operator== DIFFERENT;
	bool equal = ordered ? order_of(field, value, filter) == 0
	                     : is_equal(field, value, filter->wanted);
	switch (filter->operator) {
	case LESS: return order_of(field, value, filter) < 0;
	case MORE: return order_of(field, value, filter) > 0;
	case DIFFERENT: return !equal;
	default: return equal;
	}
}

int list_filter(struct listing *listing)
{
	const struct option_value *texts = value_of(listing->list->in, OPT_FILTER);
	for (size_t i = 0; i < texts->n_items; i++) {
		struct filter filter = {0};
		int code = parse_filter(listing->list, texts->items[i], &filter);
		if (code)
			return code;
		size_t n = 0;
		for (size_t r = 0; r < listing->n; r++)
			if (passes(listing, listing->rows[r], &filter))
				listing->rows[n++] = listing->rows[r];
		listing->n = n;
	}
	return 0;
}

/* ---- --sort ---- */

struct order {
	struct listing *listing;
	size_t field;
	bool reversed;
};

static const char *first_text(const struct value *value)
{
	if (value->text)
		return value->text;
	return value->n_texts ? value->texts[0] : "";
}

/* Rows that are equal keep their order. */
static int by_field(const void *a, const void *b, void *userdata)
{
	const struct order *order = userdata;
	const size_t *left = a, *right = b;
	const struct field *field = &order->listing->list->fields[order->field];
	const struct value *one = listing_value(order->listing, *left, order->field);
	const struct value *other = listing_value(order->listing, *right, order->field);
	int result = one->number < other->number ? -1 : one->number > other->number;
	if (field->type <= FIELD_TEXTS)
		result = strcmp(first_text(one), first_text(other));
	if (result)
		return order->reversed ? -result : result;
	return *left < *right ? -1 : *left > *right;
}

int list_sort(struct listing *listing)
{
	const char *name = text_of(listing->list->in, OPT_SORT);
	if (!name || !name[0])
		return 0;
	struct order order = {.listing = listing, .reversed = name[0] == '-'};
	name += order.reversed;
	order.field = list_field(listing->list, "--sort", name, strlen(name));
	if (order.field == NO_FIELD)
		return EXIT_USAGE;
	qsort_r(listing->rows, listing->n, sizeof(*listing->rows), by_field, &order);
	return 0;
}
