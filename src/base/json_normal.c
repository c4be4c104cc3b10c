/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a value as Go gives it back after it was read into `map[string]any`. The Go tools do that
 * to the flags of a record at every load and save, and our records must have the same bytes. */
#include "base/json.h"

struct member {
	const char *key; /* decoded */
	const char *json;
	size_t len;
	/* In the input. If two members have one name, the later one counts. */
	size_t position;
};

struct members {
	struct member *items;
	size_t len, capacity;
};

static void members_free(struct members *members)
{
	free(members->items);
}
#define _cleanup_members_ _cleanup_(members_free)

struct normal {
	struct json_writer *w;
	unsigned depth;
	bool fits;
};

static bool copy_value(struct json_reader *r, struct normal *n);

static int compare_members(const void *a, const void *b)
{
	const struct member *left = a, *right = b;
	int order = strcmp(left->key, right->key);
	return order ? order
	             : (left->position > right->position) - (left->position < right->position);
}

static bool read_members(struct json_reader *r, struct members *members)
{
	const char *key;
	if (json_object_begin(r)) {
		while (json_object_next(r, &key)) {
			struct member *grown = grow_array(members->items, &members->capacity,
			                                  members->len + 1, sizeof(*grown));
			if (!grown)
				return json_fail(r, "out of memory");
			members->items = grown;
			struct member *member = &grown[members->len];
			*member = (struct member){.key = key, .position = members->len};
			if (!json_raw(r, &member->json, &member->len))
				return false;
			members->len++;
		}
	}
	return json_ok(r);
}

static bool copy_object(struct json_reader *r, struct normal *n)
{
	_cleanup_members_ struct members members = {0};
	if (!read_members(r, &members))
		return false;
	if (members.len > 1)
		qsort(members.items, members.len, sizeof(*members.items), compare_members);
	json_object_open(n->w);
	for (size_t i = 0; i < members.len; i++) {
		const struct member *member = &members.items[i];
		if (i + 1 < members.len && streq(member->key, member[1].key))
			continue;
		struct json_reader inner;
		json_reader_init(&inner, member->json, member->len, r->arena);
		json_put_key(n->w, member->key);
		if (!copy_value(&inner, n))
			return json_fail(r, inner.problem);
	}
	json_object_close(n->w);
	return true;
}

static bool copy_array(struct json_reader *r, struct normal *n)
{
	json_array_open(n->w);
	if (json_array_begin(r)) {
		while (json_array_next(r)) {
			if (!copy_value(r, n))
				return false;
		}
	}
	json_array_close(n->w);
	return json_ok(r);
}

static bool copy_raw(struct json_reader *r, struct normal *n)
{
	const char *start;
	size_t len;
	if (!json_raw(r, &start, &len))
		return false;
	json_put_raw(n->w, start, len);
	return true;
}

static bool copy_number(struct json_reader *r, struct normal *n)
{
	const char *start;
	size_t len;
	double value;
	if (!json_raw(r, &start, &len))
		return false;
	if (json_parse_double(start, len, &value)) {
		json_put_double(n->w, value);
	} else {
		n->fits = false;
		json_put_raw(n->w, start, len);
	}
	return true;
}

static bool copy_string(struct json_reader *r, struct normal *n)
{
	const char *s;
	size_t len;
	if (!json_bytes(r, &s, &len))
		return false;
	json_put_bytes(n->w, s, len);
	return true;
}

static bool copy_nested(struct json_reader *r, struct normal *n, bool object)
{
	if (n->depth >= JSON_NORMAL_DEPTH)
		return copy_raw(r, n);
	n->depth++;
	bool ok = object ? copy_object(r, n) : copy_array(r, n);
	n->depth--;
	return ok;
}

static bool copy_value(struct json_reader *r, struct normal *n)
{
	switch (json_peek(r)) {
	case JSON_NUMBER: return copy_number(r, n);
	case JSON_STRING: return copy_string(r, n);
	case JSON_ARRAY: return copy_nested(r, n, false);
	case JSON_OBJECT: return copy_nested(r, n, true);
	default: return copy_raw(r, n);
	}
}

bool json_copy_normal(struct json_reader *r, struct json_writer *w, bool *fits)
{
	struct normal normal = {.w = w, .fits = true};
	if (!copy_value(r, &normal))
		return false;
	*fits = normal.fits;
	return true;
}
