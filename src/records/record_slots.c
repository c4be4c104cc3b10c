/* SPDX-License-Identifier: Apache-2.0 */
/* Places of records, and lists of them. */
#include "records/record_set.h"

struct slot *record_slot_new(const char *id, unsigned file)
{
	size_t len = strlen(id);
	struct slot *slot = calloc(1, sizeof(*slot) + len + 1);
	if (slot) {
		memcpy(slot->id, id, len);
		slot->file = file;
		slot->number = UINT32_MAX;
	}
	return slot;
}

void record_slot_free(struct slot *slot)
{
	arena_clear(&slot->memory);
	free(slot);
}

bool record_slots_insert(struct slots *slots, size_t at, struct slot *slot)
{
	struct slot **grown =
	        grow_array(slots->items, &slots->capacity, slots->len + 1, sizeof(slot));
	if (!grown)
		return false;
	slots->items = grown;
	memmove(&grown[at + 1], &grown[at], (slots->len - at) * sizeof(slot));
	grown[at] = slot;
	slots->len++;
	return true;
}

static void remove_at(struct slots *slots, size_t i)
{
	slots->len--;
	memmove(&slots->items[i], &slots->items[i + 1], (slots->len - i) * sizeof(*slots->items));
}

void record_slots_remove(struct slots *slots, const struct slot *slot)
{
	size_t i = slots->len;
	while (i && slots->items[i - 1] != slot) /* the newest goes first, most of the time */
		i--;
	if (i)
		remove_at(slots, i - 1);
}
