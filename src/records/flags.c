/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of a record: JSON members that stay as another tool wrote them, unless they are set
 * here. */
#include "records/record.h"

const struct raw_member *flags_find(const struct raw_members *flags, const char *key)
{
	for (size_t i = 0; i < flags->len; i++) {
		if (streq(flags->items[i].key, key))
			return &flags->items[i];
	}
	return NULL;
}

bool flags_has(const struct raw_members *flags, const char *key)
{
	return flags_find(flags, key) != NULL;
}

bool flags_get_bool(const struct raw_members *flags, const char *key)
{
	const struct raw_member *flag = flags_find(flags, key);
	return flag && flag->len == 4 && memcmp(flag->json, "true", 4) == 0;
}

const char *flags_get_string(struct arena *arena, const struct raw_members *flags, const char *key)
{
	const struct raw_member *flag = flags_find(flags, key);
	if (!flag)
		return NULL;
	struct json_reader r;
	const char *value = NULL;
	json_reader_init(&r, flag->json, flag->len, arena);
	return json_string(&r, &value) ? value : NULL;
}

bool flags_set(struct arena *arena, struct raw_members *flags, const char *key, const char *json)
{
	struct raw_member *items = arena_alloc(arena, (flags->len + 1) * sizeof(*items));
	if (!items)
		return false;
	size_t n = 0;
	for (size_t i = 0; i < flags->len; i++) {
		if (!streq(flags->items[i].key, key))
			items[n++] = flags->items[i];
	}
	if (json) {
		items[n] = (struct raw_member){.key = arena_strdup(arena, key),
		                               .json = arena_strdup(arena, json),
		                               .len = strlen(json)};
		n++;
	}
	if (arena->failed)
		return false;
	*flags = (struct raw_members){.items = items, .len = n};
	return true;
}

struct strings flags_get_strings(struct arena *arena, const struct raw_members *flags,
                                 const char *key)
{
	const struct raw_member *flag = flags_find(flags, key);
	struct json_reader r;
	size_t n = 0;
	if (!flag)
		return (struct strings){0};
	json_reader_init(&r, flag->json, flag->len, arena);
	if (json_peek(&r) != JSON_ARRAY)
		return (struct strings){0};
	const char **items = arena_alloc(arena, flag->len * sizeof(*items)); /* more than it has */
	if (!items || !json_array_begin(&r))
		return (struct strings){0};
	while (json_array_next(&r)) {
		if (json_peek(&r) != JSON_STRING)
			json_skip(&r);
		else if (json_string(&r, &items[n]))
			n++;
	}
	return (struct strings){.items = items, .len = n};
}

static int normal_json(struct arena *arena, const cst_flag *flag, struct strbuf *text,
                       cst_error **error)
{
	struct json_reader r;
	struct json_writer w;
	bool fits = true;
	if (!flag->key || !flag->json)
		return error_set(error, CST_EINVAL, "a flag without key or value");
	json_reader_init(&r, flag->json, strlen(flag->json), arena);
	json_writer_init(&w, text, JSON_STORE);
	bool ok = json_copy_normal(&r, &w, &fits) && json_finish(&r);
	if (text->failed || arena->failed)
		return error_oom(error);
	if (!ok || !fits)
		return error_set(error, CST_EINVAL, "the value of the flag \"%s\": %s", flag->key,
		                 ok ? "a number out of range" : r.problem);
	return 0;
}

int flags_set_all(struct arena *arena, struct raw_members *flags, const cst_flag *given, size_t n,
                  cst_error **error)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_strbuf_ struct strbuf text = {0};
		int r = normal_json(arena, &given[i], &text, error);
		if (r < 0)
			return r;
		if (!flags_set(arena, flags, given[i].key, strbuf_str(&text)))
			return error_oom(error);
	}
	return 0;
}
