/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table of the keys of edited records. A key that a record lost stays: who finds it looks at the record. */
#include "records/record_edited.h"
#include "records/record_base.h"

#define FIRST_ROWS 64

static const uint64_t *secret_of(const struct record_set *set)
{
	return index_secret(set->base->index);
}

/* ---- putting ---- */

static bool more_rows(struct edited *edited)
{
	size_t n = MAX(2 * edited->n_rows, (size_t)FIRST_ROWS);
	uint32_t *rows = new0(uint32_t, n);
	if (!rows)
		return false;
	for (size_t i = 0; i < edited->n_keys; i++) {
		uint32_t *row = &rows[edited->keys[i].hash & (n - 1)];
		edited->keys[i].next = *row;
		*row = (uint32_t)i + 1;
	}
	free(edited->rows);
	edited->rows = rows;
	edited->n_rows = n;
	return true;
}

struct putting {
	struct edited *edited;
	const uint64_t *secret;
	uint32_t order;
};

static bool put_key(void *userdata, enum record_key key, const char *text)
{
	const struct putting *putting = userdata;
	struct edited *edited = putting->edited;
	if (edited->n_keys == edited->n_rows && !more_rows(edited))
		return false;
	struct edited_key *grown =
	        grow_array(edited->keys, &edited->capacity, edited->n_keys + 1, sizeof(*grown));
	if (!grown)
		return false;
	edited->keys = grown;
	const uint32_t hash = record_key_hash(putting->secret, key, text);
	uint32_t *row = &edited->rows[hash & (edited->n_rows - 1)];
	const struct edited_key *newest = *row ? &grown[*row - 1] : NULL;
	if (newest && newest->hash == hash && newest->order == putting->order)
		return true;
	grown[edited->n_keys++] =
	        (struct edited_key){.hash = hash, .order = putting->order, .next = *row};
	*row = (uint32_t)edited->n_keys;
	return true;
}

bool edited_put(struct edited *edited, const struct record_set *set, struct slot *slot)
{
	struct slots *slots = &edited->slots;
	if (!slot->edited) {
		slot->order = (uint32_t)slots->len;
		if (!record_slots_insert(slots, slots->len, slot))
			return false;
		slot->edited = true;
		if (slot->number == UINT32_MAX && !prefix_index_add(&edited->added, slot->id, slot))
			return false;
	}
	struct putting putting = {.edited = edited, .secret = secret_of(set), .order = slot->order};
	const struct key_visitor visitor = {.visit = put_key, .userdata = &putting};
	return record_visit_keys(set, slot->record, &visitor);
}

void edited_removed(struct edited *edited, struct slot *slot)
{
	if (slot->number == UINT32_MAX)
		prefix_index_remove(&edited->added, slot->id);
}

/* ---- finding ---- */

struct slot *edited_find(const struct edited *edited, const struct record_set *set, unsigned keys,
                         const char *text, const struct slot *after)
{
	struct slot *found = NULL;
	for (unsigned left = edited->n_keys ? keys : 0; left; left &= left - 1) {
		uint32_t hash =
		        record_key_hash(secret_of(set), (enum record_key)(left & -left), text);
		uint32_t at = edited->rows[hash & (edited->n_rows - 1)];
		for (; at; at = edited->keys[at - 1].next) {
			const struct edited_key *key = &edited->keys[at - 1];
			struct slot *slot = edited->slots.items[key->order];
			if (key->hash != hash || !slot->record ||
			    (after && key->order <= after->order) ||
			    (found && key->order >= found->order) ||
			    !record_has_key(set, slot->record, keys, text))
				continue;
			found = slot;
		}
	}
	return found;
}

size_t edited_find_prefix(struct edited *edited, const char *prefix, struct slot **ret)
{
	prefix_index_sort(&edited->added);
	size_t n = prefix_index_count(&edited->added, prefix, 2);
	if (n == 1)
		*ret = prefix_index_find(&edited->added, prefix);
	return n;
}

/* ---- the end ---- */

void edited_clear(struct edited *edited)
{
	for (size_t i = 0; i < edited->slots.len; i++) {
		struct slot *slot = edited->slots.items[i];
		if (slot->number == UINT32_MAX && !slot->record)
			record_slot_free(slot);
	}
	edited->slots.len = edited->n_keys = 0;
	if (edited->n_rows)
		memset(edited->rows, 0, edited->n_rows * sizeof(*edited->rows));
	prefix_index_clear(&edited->added);
}

void edited_free(struct edited *edited)
{
	for (size_t i = 0; i < edited->slots.len; i++) {
		if (edited->slots.items[i]->number == UINT32_MAX)
			record_slot_free(
			        edited->slots.items[i]); /* the others are among the slots */
	}
	free(edited->slots.items);
	free(edited->keys);
	free(edited->rows);
	prefix_index_free(&edited->added);
}
