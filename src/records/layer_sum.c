/* SPDX-License-Identifier: Apache-2.0 */
/* Sums the sizes of layers by the index of their records. */
#include "records/record_base.h"

/* NULL: there is none, or the index is damaged. */
static const struct index_entry *find_entry(struct index_file *index, const char *id)
{
	const uint32_t hash = record_key_hash(index_secret(index), KEY_ID, id);
	const uint64_t sum = index_sum(index_secret(index), id, strlen(id));
	size_t at;
	if (!index_first_key(index, hash, 0, &at))
		return NULL;
	for (; at < index_keys(index); at++) {
		const struct index_key *key = index_key_at(index, at);
		if (!key || key->hash != hash || key->number >= index_entries(index))
			return NULL;
		const struct index_entry *entry = index_entry_at(index, key->number);
		if (!entry || entry->id == sum)
			return entry;
	}
	return NULL;
}

static bool sum_up(struct index_file *index, const char *id, int64_t *ret)
{
	const struct index_entry *entry = find_entry(index, id);
	int64_t sum = 0;
	for (size_t n = 0; entry && entry->size >= 0 && n < index_entries(index); n++) {
		if (__builtin_add_overflow(sum, entry->size, &sum))
			return false;
		if (entry->parent == INDEX_NO_PARENT) {
			*ret = sum;
			return true;
		}
		entry = entry->parent < index_entries(index) ? index_entry_at(index, entry->parent)
		                                             : NULL;
	}
	return false;
}

bool layer_table_sum(const struct record_set *layers, const char *id, int64_t *sum)
{
	struct record_set *set = (struct record_set *)layers; /* for what look-ups read */
	if (!set->index_dir)
		return false;
	pthread_mutex_lock(&set->lazy);
	bool ok = set->base && !set->base->prepared && sum_up(set->base->index, id, sum);
	pthread_mutex_unlock(&set->lazy);
	return ok;
}
