/* SPDX-License-Identifier: Apache-2.0 */
/* Records that cannot be used, and stay in their file as they are. */
#include "records/record_set.h"

struct slot *record_set_unusable_slot(const struct record_set *set, size_t i)
{
	if (i >= set->unusable)
		return NULL;
	for (unsigned f = 0; f < set->n_files; f++) {
		for (size_t s = 0; s < set->content[f].len; s++) {
			struct slot *slot = set->content[f].items[s];
			if (!slot->record && i-- == 0)
				return slot;
		}
	}
	return NULL;
}

bool record_set_unusable(const struct record_set *set, size_t i, const char **id, const char **why)
{
	const struct slot *slot = record_set_unusable_slot(set, i);
	if (!slot)
		return false;
	*id = slot->id;
	*why = slot->why;
	return true;
}

bool record_set_knows(const struct record_set *set, const char *id)
{
	const char *other, *why;
	bool known = record_set_get(set, id);
	for (size_t i = 0; !known && record_set_unusable(set, i, &other, &why); i++)
		known = streq(other, id);
	return known;
}

bool record_why_is_circle(const char *why)
{
	return streq(why, RECORD_IS_CIRCLE);
}

bool record_set_read_unusable(const struct record_set *set, size_t i, struct arena *arena,
                              void *record)
{
	const struct slot *slot = record_set_unusable_slot(set, i);
	struct json_reader json;
	struct record_reader r = {.json = &json, .arena = arena};
	if (!slot)
		return false;
	json_reader_init(&json, slot->raw, slot->raw_len, arena);
	set->kind->read(&r, record);
	bool ok = json_ok(&json) && !r.bad && !arena->failed;
	record_reader_free(&r);
	return ok;
}
