/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array of ids without doubles, bounded in size. */
#include "idmap/idmap.h"

/* How many ids an archive can make the set hold. An honest layer has a dozen owners. The set is
 * used to find the size of a user namespace, so of more ids than this the largest are kept. */
#define IDSET_MAX 65536

/* Where `id` is, or where it belongs. */
static size_t find_place(const struct idset *set, uint32_t id)
{
	size_t low = 0, high = set->len;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (set->sorted[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool idset_add(struct idset *set, uint32_t id)
{
	size_t place = find_place(set, id);
	if (place < set->len && set->sorted[place] == id)
		return true;
	if (set->len >= IDSET_MAX) {
		if (place == set->len)
			set->sorted[place - 1] = id;
		return true;
	}
	uint32_t *grown = grow_array(set->sorted, &set->capacity, set->len + 1, sizeof(*grown));
	if (!grown)
		return false;
	set->sorted = grown;
	memmove(grown + place + 1, grown + place, (set->len - place) * sizeof(*grown));
	grown[place] = id;
	set->len++;
	return true;
}

void idset_free(struct idset *set)
{
	free(set->sorted);
	*set = (struct idset){0};
}
