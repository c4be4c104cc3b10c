/* SPDX-License-Identifier: Apache-2.0 */
/* What a record is found by. */
#include "records/record_set.h"

struct strings *record_names(const struct record_set *set, void *record)
{
	return (struct strings *)((char *)record + set->kind->names);
}

bool record_visit_keys(const struct record_set *set, const void *record,
                       const struct key_visitor *visitor)
{
	const struct strings *names = record_names(set, (void *)record);
	bool goes_on = visitor->visit(visitor->userdata, KEY_ID, *(const char *const *)record);
	for (size_t i = 0; goes_on && i < names->len; i++)
		goes_on = visitor->visit(visitor->userdata, KEY_NAME, names->items[i]);
	return goes_on && set->kind->keys(record, visitor);
}

uint32_t record_key_hash(const uint64_t secret[2], enum record_key key, const char *text)
{
	const uint64_t own[2] = {secret[0] + (unsigned)__builtin_ctz(key), secret[1]};
	return (uint32_t)siphash24(text, strlen(text), own);
}

struct wanted_key {
	unsigned keys;
	const char *text;
};

static bool is_other_key(void *userdata, enum record_key key, const char *text)
{
	const struct wanted_key *wanted = userdata;
	return !(key & wanted->keys) || !streq(text, wanted->text);
}

bool record_has_key(const struct record_set *set, const void *record, unsigned keys,
                    const char *text)
{
	struct wanted_key wanted = {.keys = keys, .text = text};
	const struct key_visitor visitor = {.visit = is_other_key, .userdata = &wanted};
	return !record_visit_keys(set, record, &visitor);
}
