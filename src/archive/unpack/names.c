/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning names as Go does, and the sets. */
#include "archive/unpack/names.h"

/* Drops the last component that was written; false if there is none. */
static bool drop_component(const char *start, char **end)
{
	if (*end == start)
		return false;
	char *p = *end;
	while (p > start && p[-1] != '/')
		p--;
	*end = p > start ? p - 1 : p;
	return true;
}

void unpack_clean_name(const char *name, char *ret, uint32_t *form)
{
	bool absolute = name[0] == '/';
	uint32_t above = 0;
	char *end = ret;

	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			if (!drop_component(ret, &end) && !absolute)
				above++;
		} else if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (end > ret)
				*end++ = '/';
			memmove(end, p, n);
			end += n;
		}
		p += n;
		p += *p == '/';
	}
	*end = '\0';
	*form = absolute ? UINT32_MAX : above;
}

const char *unpack_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* ---- hash set: open addressing, a key of 0 is a free slot ---- */

static size_t find_slot(const struct hash_set *set, uint64_t key)
{
	size_t mask = set->capacity - 1, i = key & mask;

	while (set->keys[i] && set->keys[i] != key)
		i = (i + 1) & mask;
	return i;
}

static bool grow(struct hash_set *set)
{
	struct hash_set larger = {.len = set->len,
	                          .capacity = set->capacity ? set->capacity * 2 : 256};

	larger.keys = calloc(larger.capacity, sizeof(*larger.keys));
	larger.values = calloc(larger.capacity, sizeof(*larger.values));
	if (!larger.keys || !larger.values) {
		hash_set_free(&larger);
		return false;
	}
	for (size_t i = 0; i < set->capacity; i++) {
		if (!set->keys[i])
			continue;
		size_t slot = find_slot(&larger, set->keys[i]);
		larger.keys[slot] = set->keys[i];
		larger.values[slot] = set->values[i];
	}
	hash_set_free(set);
	*set = larger;
	return true;
}

bool hash_set_put(struct hash_set *set, uint64_t key, uint32_t value)
{
	key += key == 0;
	if ((set->len + 1) * 4 > set->capacity * 3 && !grow(set))
		return false;
	size_t slot = find_slot(set, key);
	set->len += set->keys[slot] == 0;
	set->keys[slot] = key;
	set->values[slot] = value;
	return true;
}

bool hash_set_get(const struct hash_set *set, uint64_t key, uint32_t *ret)
{
	key += key == 0;
	if (set->len == 0)
		return false;
	size_t slot = find_slot(set, key);
	if (!set->keys[slot])
		return false;
	if (ret)
		*ret = set->values[slot];
	return true;
}

void hash_set_free(struct hash_set *set)
{
	free(set->keys);
	free(set->values);
	*set = (struct hash_set){0};
}
