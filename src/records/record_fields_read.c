/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the members of records, and keeps those that this version does not know. */
#include "records/record_fields.h"

void record_reader_free(struct record_reader *r)
{
	free(r->list.items);
	free(r->unknown.items);
	strbuf_free(&r->text);
}

/* Room for one more element of that size; NULL makes the reader fail. */
static void *scratch_add(struct record_reader *r, struct scratch *scratch, size_t element)
{
	void *grown =
	        grow_array(scratch->items, &scratch->capacity, (scratch->len + 1) * element, 1);
	if (!grown) {
		r->arena->failed = true;
		json_fail(r->json, "out of memory");
		return NULL;
	}
	scratch->items = grown;
	return (char *)grown + element * scratch->len++;
}

/* What was gathered, as an array in the arena. */
static const void *scratch_take(struct record_reader *r, struct scratch *scratch, size_t element)
{
	void *items = scratch->len ? arena_alloc(r->arena, scratch->len * element) : NULL;
	if (items)
		memcpy(items, scratch->items, scratch->len * element);
	return items;
}

void read_text(struct record_reader *r, void *field)
{
	const char *text = NULL;
	size_t len = 0;
	if (!json_bytes(r->json, &text, &len) || !text)
		return;
	if (r->json->escaped && memchr(text, '\0', len))
		r->bad = "NUL character in a string";
	*(const char **)field = text;
}

void read_int64(struct record_reader *r, void *field)
{
	json_int64(r->json, field);
}

void read_time(struct record_reader *r, void *field)
{
	const char *text = NULL;
	size_t len = 0;
	if (json_passing(r->json, &text, &len) && text && !timestamp_parse(text, len, field))
		r->bad = "invalid time";
}

static void add_string(struct record_reader *r, const char *value)
{
	const char **item = scratch_add(r, &r->list, sizeof(*item));
	if (item)
		*item = value;
}

void read_strings(struct record_reader *r, void *field)
{
	r->list.len = 0;
	if (json_array_begin(r->json)) {
		while (json_array_next(r->json)) {
			const char *text = "";
			read_text(r, &text);
			add_string(r, text);
		}
	}
	*(struct strings *)field = (struct strings){
	        .items = scratch_take(r, &r->list, sizeof(const char *)), .len = r->list.len};
}

void read_uint32s(struct record_reader *r, void *field)
{
	r->list.len = 0;
	if (json_array_begin(r->json)) {
		while (json_array_next(r->json)) {
			uint32_t value = 0, *item;
			if (json_uint32(r->json, &value) &&
			    (item = scratch_add(r, &r->list, sizeof(*item))))
				*item = value;
		}
	}
	*(struct uint32s *)field = (struct uint32s){
	        .items = scratch_take(r, &r->list, sizeof(uint32_t)), .len = r->list.len};
}

static void read_range(struct record_reader *r, cst_idmap *range)
{
	const char *key;
	if (!json_object_begin(r->json))
		return;
	while (json_object_next(r->json, &key)) {
		int64_t value = 0;
		uint32_t *field = json_key_is(key, "container_id") ? &range->container_id
		                  : json_key_is(key, "host_id")    ? &range->host_id
		                  : json_key_is(key, "size")       ? &range->size
		                                                   : NULL;
		if (!field) {
			json_skip(r->json);
			continue;
		}
		if (!json_int64(r->json, &value))
			return;
		if (value < 0 || value > UINT32_MAX)
			r->bad = "ID map out of range"; /* Go reads an int */
		*field = (uint32_t)value;
	}
}

void read_idranges(struct record_reader *r, void *field)
{
	r->list.len = 0;
	if (json_array_begin(r->json)) {
		while (json_array_next(r->json)) {
			cst_idmap range = {0}, *item;
			read_range(r, &range);
			if ((item = scratch_add(r, &r->list, sizeof(*item))))
				*item = range;
		}
	}
	*(struct idranges *)field = (struct idranges){
	        .items = scratch_take(r, &r->list, sizeof(cst_idmap)), .len = r->list.len};
}

/* ---- maps: sorted by key, the last of equal keys ---- */

static int compare_members(const void *a, const void *b)
{
	const struct raw_member *left = a, *right = b;
	int order = strcmp(left->key, right->key);
	/* all point into one text, in order */
	return order ? order : (left->json > right->json) - (left->json < right->json);
}

static bool read_members(struct record_reader *r)
{
	const char *key;
	if (json_object_begin(r->json)) {
		while (json_object_next(r->json, &key)) {
			struct raw_member *item = scratch_add(r, &r->list, sizeof(*item));
			if (!item)
				return false;
			*item = (struct raw_member){.key = key};
			json_raw(r->json, &item->json, &item->len);
		}
	}
	return json_ok(r->json);
}

/* Reads an object's members raw into `list`, sorted and unique; none if the input is bad. */
static void read_map(struct record_reader *r)
{
	r->list.len = 0;
	if (!read_members(r)) {
		r->list.len = 0;
		return;
	}
	struct raw_member *items = r->list.items;
	if (r->list.len > 1)
		qsort(items, r->list.len, sizeof(*items), compare_members);
	size_t kept = 0;
	for (size_t i = 0; i < r->list.len; i++) {
		if (i + 1 == r->list.len || !streq(items[i].key, items[i + 1].key))
			items[kept++] = items[i];
	}
	r->list.len = kept;
}

/* Each value in the form Go gives it. */
static bool normalize(struct record_reader *r, struct raw_member *member)
{
	struct json_reader value;
	struct json_writer w;
	bool fits = true;
	json_reader_init(&value, member->json, member->len, r->arena);
	strbuf_reset(&r->text);
	json_writer_init(&w, &r->text, JSON_STORE);
	if (!json_copy_normal(&value, &w, &fits) || r->text.failed) {
		r->arena->failed |= r->text.failed;
		return json_fail(r->json, value.problem ? value.problem : "out of memory");
	}
	if (!fits)
		r->bad = "number of a flag out of range";
	member->json = arena_strndup(r->arena, r->text.data, r->text.len);
	member->len = r->text.len;
	return member->json;
}

static void take_map(struct record_reader *r, struct raw_members *ret)
{
	*ret = (struct raw_members){.items = scratch_take(r, &r->list, sizeof(struct raw_member)),
	                            .len = r->list.len};
}

void read_flags(struct record_reader *r, void *field)
{
	read_map(r);
	struct raw_member *items = r->list.items;
	for (size_t i = 0; i < r->list.len && json_ok(r->json); i++)
		normalize(r, &items[i]);
	take_map(r, field);
}

/* Checks a member of big-data-sizes. The number stays text until the list is built. */
void read_sizes(struct record_reader *r, void *field)
{
	read_map(r);
	struct raw_member *items = r->list.items;
	for (size_t i = 0; i < r->list.len && json_ok(r->json); i++) {
		struct json_reader value;
		int64_t size;
		json_reader_init(&value, items[i].json, items[i].len, r->arena);
		if (!json_int64(&value, &size))
			json_fail(r->json, value.problem);
	}
	take_map(r, field);
}

void read_digests(struct record_reader *r, void *field)
{
	read_map(r);
	struct raw_member *items = r->list.items;
	for (size_t i = 0; i < r->list.len && json_ok(r->json); i++) {
		struct json_reader value;
		const char *digest = "";
		json_reader_init(&value, items[i].json, items[i].len, r->arena);
		if (!json_bytes(&value, &digest, &items[i].len))
			json_fail(r->json, value.problem);
		else if (memchr(digest, '\0', items[i].len))
			r->bad = "NUL character in a string";
		items[i].json = digest;
	}
	take_map(r, field);
}

static const struct raw_member *find_member(const struct raw_members *members, const char *key)
{
	size_t low = 0, high = members->len;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(members->items[middle].key, key);
		if (order == 0)
			return &members->items[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool data_items_build(struct arena *arena, const struct data_fields *fields, struct data_items *ret)
{
	size_t n = fields->names.len;
	struct data_item *items = n ? arena_alloc(arena, n * sizeof(*items)) : NULL;
	if (n && !items)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *name = fields->names.items[i];
		const struct raw_member *size = find_member(&fields->sizes, name);
		const struct raw_member *digest = find_member(&fields->digests, name);
		items[i] = (struct data_item){
		        .name = name, .size = -1, .digest = digest ? digest->json : ""};
		if (size) {
			struct json_reader value;
			json_reader_init(&value, size->json, size->len, NULL);
			json_int64(&value, &items[i].size);
		}
	}
	*ret = (struct data_items){.items = items, .len = n, .names = fields->names.items};
	return true;
}

/* ---- the record ---- */

/* Programs write the members in one order, so the search goes on behind the last one. NULL: it is not written as they write. */
static const struct member *next_as_written(struct record_reader *r, const struct member *members,
                                            size_t n, size_t from)
{
	for (size_t i = from; i < n; i++) {
		if (json_object_next_is(r->json, members[i].name, members[i].length))
			return &members[i];
	}
	return NULL;
}

static const struct member *find_member_called(const struct member *members, size_t n,
                                               const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (json_key_is(key, members[i].name))
			return &members[i];
	}
	return NULL;
}

static void keep_unknown(struct record_reader *r, const char *key)
{
	struct raw_member *item = scratch_add(r, &r->unknown, sizeof(*item));
	if (!item)
		return;
	*item = (struct raw_member){.key = key};
	if (json_raw(r->json, &item->json, &item->len))
		item->json = arena_strndup(r->arena, item->json, item->len);
}

void record_read(struct record_reader *r, const struct member *members, size_t n, void *record,
                 struct raw_members *unknown)
{
	size_t from = 0;
	const char *key = NULL;
	r->bad = NULL;
	r->unknown.len = 0;
	if (!json_object_begin(r->json))
		return;
	for (;;) {
		if (r->as_written && !(~r->unwanted >> from)) {
			json_leave(r->json);
			break;
		}
		const struct member *member = next_as_written(r, members, n, from);
		if (!member) {
			if (!json_object_next(r->json, &key))
				break;
			member = find_member_called(members, n, key);
		}
		from = member ? (size_t)(member - members) + 1 : from;
		if (member ? r->unwanted >> (from - 1) & 1 : r->unwanted != 0)
			json_skip(r->json);
		else if (member)
			member->read(r, (char *)record + member->offset);
		else
			keep_unknown(r, key);
	}
	*unknown = (struct raw_members){
	        .items = scratch_take(r, &r->unknown, sizeof(struct raw_member)),
	        .len = r->unknown.len};
}
