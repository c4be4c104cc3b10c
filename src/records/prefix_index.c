/* SPDX-License-Identifier: Apache-2.0 */
/* IDs in sorted order, to find the one that begins with given digits. */
#include "records/prefix_index.h"

uint64_t prefix_head(const char *id)
{
	unsigned char bytes[8] = {0};
	for (size_t i = 0; i < 8 && id[i]; i++)
		bytes[i] = (unsigned char)id[i];
	uint64_t head;
	memcpy(&head, bytes, 8);
	return __builtin_bswap64(head);
}

static int compare(const void *a, const void *b)
{
	const struct prefix_entry *left = a, *right = b;
	if (left->head != right->head)
		return left->head < right->head ? -1 : 1;
	return strcmp(left->id, right->id);
}

void prefix_index_sort(struct prefix_index *index)
{
	if (index->len > 1 && !index->sorted)
		qsort(index->items, index->len, sizeof(*index->items), compare);
	index->sorted = true;
}

/* The first entry that is not below `id`. */
static size_t lower_bound(const struct prefix_index *index, const char *id)
{
	struct prefix_entry wanted = {.head = prefix_head(id), .id = id};
	size_t low = 0, high = index->len;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare(&index->items[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool prefix_is_searched(const char *id)
{
	return *id && !strchr(id, ' ');
}

bool prefix_index_add(struct prefix_index *index, const char *id, void *value)
{
	if (!prefix_is_searched(id))
		return true;
	struct prefix_entry *grown =
	        grow_array(index->items, &index->capacity, index->len + 1, sizeof(*grown));
	if (!grown)
		return false;
	index->items = grown;
	size_t at = index->sorted ? lower_bound(index, id) : index->len;
	memmove(&grown[at + 1], &grown[at], (index->len - at) * sizeof(*grown));
	grown[at] = (struct prefix_entry){.head = prefix_head(id), .id = id, .value = value};
	index->len++;
	return true;
}

void prefix_index_remove(struct prefix_index *index, const char *id)
{
	size_t at = 0;
	if (index->sorted) {
		at = lower_bound(index, id);
	} else {
		while (at < index->len && strcmp(index->items[at].id, id) != 0)
			at++;
	}
	if (at == index->len || strcmp(index->items[at].id, id) != 0)
		return;
	index->len--;
	memmove(&index->items[at], &index->items[at + 1],
	        (index->len - at) * sizeof(*index->items));
}

void prefix_index_clear(struct prefix_index *index)
{
	index->len = 0;
	index->sorted = false;
}

static bool begins_with(const char *id, const char *prefix)
{
	return strncmp(id, prefix, strlen(prefix)) == 0;
}

void *prefix_index_find(const struct prefix_index *index, const char *prefix)
{
	if (!*prefix)
		return NULL;
	size_t at = lower_bound(index, prefix);
	if (at == index->len || !begins_with(index->items[at].id, prefix))
		return NULL;
	if (at + 1 < index->len && begins_with(index->items[at + 1].id, prefix))
		return NULL;
	return index->items[at].value;
}

size_t prefix_index_count(const struct prefix_index *index, const char *prefix, size_t most)
{
	size_t at = lower_bound(index, prefix), n = 0;
	while (*prefix && n < most && at + n < index->len &&
	       begins_with(index->items[at + n].id, prefix))
		n++;
	return n;
}

void prefix_index_free(struct prefix_index *index)
{
	free(index->items);
	*index = (struct prefix_index){0};
}
