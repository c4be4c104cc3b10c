/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: their prefixes, the filter of their names, and those that inodes share. */
#include "base/str.h"
#include "erofs/tree.h"

static const struct {
	const char *prefix;
	uint8_t index;
} prefixes[] = {
        {"user.", 1},
        {"system.posix_acl_access", 2},
        {"system.posix_acl_default", 3},
        {"trusted.", 4},
        {"security.", 6},
};

uint8_t xattr_prefix(const char *name, const char **rest)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (has_prefix(name, prefixes[i].prefix)) {
			*rest = name + strlen(prefixes[i].prefix);
			return prefixes[i].index;
		}
	*rest = name;
	return 0;
}

size_t xattr_size(const struct xattr *xattr)
{
	const char *rest;
	xattr_prefix(xattr->name, &rest);
	return (sizeof(struct erofs_xattr_entry) + strlen(rest) + xattr->len + 3) & ~(size_t)3;
}

size_t node_shared(const struct node *node)
{
	size_t n = 0;
	for (uint32_t i = 0; i < node->n_xattrs; i++)
		n += node->xattrs[i].shared_at >= 0;
	return n;
}

/* ---- the filter: XXH32 of the name without its prefix ---- */

#define PRIME_1 2654435761u
#define PRIME_2 2246822519u
#define PRIME_3 3266489917u
#define PRIME_4 668265263u
#define PRIME_5 374761393u

static uint32_t rotate(uint32_t n, unsigned bits)
{
	return n << bits | n >> (32 - bits);
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t n;
	memcpy(&n, p, sizeof(n));
	return n;
}

/* Stripes of 16 bytes go into four lanes. */
static uint32_t hash_stripes(const uint8_t **p, size_t n, uint32_t seed)
{
	uint32_t lanes[4] = {seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1};
	for (; n >= 16; n -= 16)
		for (unsigned i = 0; i < 4; i++, *p += 4)
			lanes[i] = rotate(lanes[i] + load32(*p) * PRIME_2, 13) * PRIME_1;
	return rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) +
	       rotate(lanes[3], 18);
}

static uint32_t xxh32(const char *text, size_t n, uint32_t seed)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + n;
	uint32_t hash = n >= 16 ? hash_stripes(&p, n, seed) : seed + PRIME_5;
	hash += (uint32_t)n;
	for (; end - p >= 4; p += 4)
		hash = rotate(hash + load32(p) * PRIME_3, 17) * PRIME_4;
	for (; p < end; p++)
		hash = rotate(hash + *p * PRIME_5, 11) * PRIME_1;
	hash = (hash ^ hash >> 15) * PRIME_2;
	hash = (hash ^ hash >> 13) * PRIME_3;
	return hash ^ hash >> 16;
}

uint32_t xattr_filter(const struct node *node)
{
	uint32_t names = 0;
	for (uint32_t i = 0; i < node->n_xattrs; i++) {
		const char *rest;
		uint8_t prefix = xattr_prefix(node->xattrs[i].name, &rest);
		names |= 1u << (xxh32(rest, strlen(rest), EROFS_FILTER_SEED + prefix) & 31);
	}
	return ~names;
}

/* ---- sharing ---- */

static int by_name_and_value(const void *a, const void *b)
{
	const struct xattr *x = *(struct xattr *const *)a, *y = *(struct xattr *const *)b;
	int order = strcmp(y->name, x->name);
	if (order == 0 && x->len != y->len)
		order = x->len < y->len ? 1 : -1;
	return order || x->len == 0 ? order : memcmp(y->value, x->value, x->len);
}

static void give_places(struct erofs_writer *writer, struct xattr **all, size_t n)
{
	for (size_t i = 0, next; i < n; i = next) {
		for (next = i + 1; next < n && by_name_and_value(&all[i], &all[next]) == 0; next++)
			;
		if (next - i < 2)
			continue;
		for (size_t k = i; k < next; k++)
			all[k]->shared_at = (int64_t)writer->shared_size;
		writer->shared_size += xattr_size(all[i]);
		writer->shared[writer->n_shared++] = all[i];
	}
}

/* An inode says in one byte how many of its attributes are shared. */
static void limit_shared(struct erofs_writer *writer)
{
	for (size_t i = 0; i < writer->n_inodes; i++) {
		struct node *node = writer->inodes[i];
		size_t n = 0;
		for (uint32_t k = 0; k < node->n_xattrs; k++)
			if (node->xattrs[k].shared_at >= 0 && n++ >= EROFS_SHARED_MAX)
				node->xattrs[k].shared_at = -1;
	}
}

int share_xattrs(struct erofs_writer *writer, cst_error **error)
{
	size_t n = 0;
	for (size_t i = 0; i < writer->n_inodes; i++)
		n += writer->inodes[i]->n_xattrs;
	_cleanup_free_ struct xattr **all = new0(struct xattr *, n + 1);
	writer->shared = new0(struct xattr *, n / 2 + 1);
	if (!all || !writer->shared)
		return error_oom(error);
	n = 0;
	for (size_t i = 0; i < writer->n_inodes; i++)
		for (uint32_t k = 0; k < writer->inodes[i]->n_xattrs; k++) {
			all[n] = &writer->inodes[i]->xattrs[k];
			all[n++]->shared_at = -1;
		}
	qsort(all, n, sizeof(struct xattr *), by_name_and_value);
	give_places(writer, all, n);
	limit_shared(writer);
	return 0;
}
