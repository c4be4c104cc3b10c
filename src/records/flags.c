/* SPDX-License-Identifier: Apache-2.0 */
#include "records/record.h"

static const struct raw_member *find_flag(const struct raw_members *flags, const char *key)
{
	for (size_t i = 0; i < flags->len; i++) {
		if (streq(flags->items[i].key, key))
			return &flags->items[i];
	}
	return NULL;
}

bool flags_get_bool(const struct raw_members *flags, const char *key)
{
	const struct raw_member *flag = find_flag(flags, key);
	return flag && flag->len == 4 && memcmp(flag->json, "true", 4) == 0;
}

const char *flags_get_string(struct arena *arena, const struct raw_members *flags, const char *key)
{
	const struct raw_member *flag = find_flag(flags, key);
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
