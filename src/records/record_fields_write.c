/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the members of records as the Go tools do. */
#include "records/record_fields.h"

void put_text(struct json_writer *w, const char *key, const char *value)
{
	json_put_key(w, key);
	json_put_string(w, strempty(value));
}

void put_text_optional(struct json_writer *w, const char *key, const char *value)
{
	if (!isempty(value))
		put_text(w, key, value);
}

void put_int64_optional(struct json_writer *w, const char *key, int64_t value)
{
	if (!value)
		return;
	json_put_key(w, key);
	json_put_int64(w, value);
}

void put_time(struct json_writer *w, const char *key, const struct timestamp *time)
{
	char text[TIMESTAMP_MAX];
	timestamp_format(time, text);
	put_text(w, key, text);
}

void put_strings_optional(struct json_writer *w, const char *key, const struct strings *strings)
{
	if (!strings->len)
		return;
	json_put_key(w, key);
	json_put_strings(w, strings->items, strings->len);
}

void put_uint32s_optional(struct json_writer *w, const char *key, const struct uint32s *numbers)
{
	if (!numbers->len)
		return;
	json_put_key(w, key);
	json_array_open(w);
	for (size_t i = 0; i < numbers->len; i++)
		json_put_int64(w, numbers->items[i]);
	json_array_close(w);
}

void put_idranges_optional(struct json_writer *w, const char *key, const struct idranges *ranges)
{
	if (!ranges->len)
		return;
	json_put_key(w, key);
	json_array_open(w);
	for (size_t i = 0; i < ranges->len; i++) {
		json_object_open(w);
		json_put_key(w, "container_id");
		json_put_int64(w, ranges->items[i].container_id);
		json_put_key(w, "host_id");
		json_put_int64(w, ranges->items[i].host_id);
		json_put_key(w, "size");
		json_put_int64(w, ranges->items[i].size);
		json_object_close(w);
	}
	json_array_close(w);
}

static int compare_flags(const void *a, const void *b)
{
	return strcmp((*(const struct raw_member *const *)a)->key,
	              (*(const struct raw_member *const *)b)->key);
}

/* The values have the form of the store's files; what is printed differs in a few escapes and
 * exponents. */
static void put_flag_value(struct json_writer *w, const struct raw_member *flag)
{
	if (w->dialect == JSON_STORE) {
		json_put_raw(w, flag->json, flag->len);
		return;
	}
	_cleanup_arena_ struct arena arena = {0};
	struct json_reader r;
	bool fits;
	json_reader_init(&r, flag->json, flag->len, &arena);
	if (!json_copy_normal(&r, w, &fits))
		w->out->failed = true;
}

void put_flags_optional(struct json_writer *w, const struct raw_members *flags)
{
	if (!flags->len)
		return;
	_cleanup_free_ const struct raw_member **sorted =
	        new0(const struct raw_member *, flags->len);
	if (!sorted) {
		w->out->failed = true;
		return;
	}
	for (size_t i = 0; i < flags->len; i++)
		sorted[i] = &flags->items[i];
	qsort(sorted, flags->len, sizeof(*sorted), compare_flags);
	json_put_key(w, "flags");
	json_object_open(w);
	for (size_t i = 0; i < flags->len; i++) {
		json_put_key(w, sorted[i]->key);
		put_flag_value(w, sorted[i]);
	}
	json_object_close(w);
}

static int compare_items(const void *a, const void *b)
{
	return strcmp((*(const struct data_item *const *)a)->name,
	              (*(const struct data_item *const *)b)->name);
}

static void put_sizes(struct json_writer *w, const struct data_item *const *sorted, size_t n)
{
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		if (sorted[i]->size < 0 || (i && streq(sorted[i]->name, sorted[i - 1]->name)))
			continue;
		if (!any) {
			json_put_key(w, "big-data-sizes");
			json_object_open(w);
		}
		any = true;
		json_put_key(w, sorted[i]->name);
		json_put_int64(w, sorted[i]->size);
	}
	if (any)
		json_object_close(w);
}

static void put_digests(struct json_writer *w, const struct data_item *const *sorted, size_t n)
{
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		if (isempty(sorted[i]->digest) ||
		    (i && streq(sorted[i]->name, sorted[i - 1]->name)))
			continue;
		if (!any) {
			json_put_key(w, "big-data-digests");
			json_object_open(w);
		}
		any = true;
		put_text(w, sorted[i]->name, sorted[i]->digest);
	}
	if (any)
		json_object_close(w);
}

void put_data_optional(struct json_writer *w, const struct data_items *items)
{
	if (!items->len)
		return;
	_cleanup_free_ const struct data_item **sorted = new0(const struct data_item *, items->len);
	if (!sorted) {
		w->out->failed = true;
		return;
	}
	json_put_key(w, "big-data-names");
	json_array_open(w);
	for (size_t i = 0; i < items->len; i++) {
		sorted[i] = &items->items[i];
		json_put_string(w, sorted[i]->name);
	}
	json_array_close(w);
	qsort(sorted, items->len, sizeof(*sorted), compare_items);
	put_sizes(w, sorted, items->len);
	put_digests(w, sorted, items->len);
}

void put_unknown(struct json_writer *w, const struct raw_members *unknown)
{
	for (size_t i = 0; i < unknown->len; i++) {
		json_put_key(w, unknown->items[i].key);
		json_put_raw(w, unknown->items[i].json, unknown->items[i].len);
	}
}
