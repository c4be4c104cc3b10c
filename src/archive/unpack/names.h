/* SPDX-License-Identifier: Apache-2.0 */
/* Names as extraction sees them, and sets of names that cost the same whatever their lengths. */
#ifndef CST_ARCHIVE_UNPACK_NAMES_H
#define CST_ARCHIVE_UNPACK_NAMES_H

#include "base/mem.h"
#include "base/str.h"

/* `name` as extraction sees it: cleaned lexically, ".." stopped at the root, no leading "/"; "" is
 * the root itself. `ret` has room for strlen(name) + 1. *form tells "x", "/x" and "../x" apart, as
 * Go's cleaned names do. */
void unpack_clean_name(const char *name, char *ret, uint32_t *form);
const char *unpack_base_name(const char *path); /* behind the last "/" */

/* Keyed 64-bit hashes to small values: bounded memory per entry whatever the names.
 * Zero-initialised is empty. */
struct hash_set {
	uint64_t *keys;
	uint32_t *values;
	size_t len, capacity;
};
bool hash_set_put(struct hash_set *set, uint64_t key, uint32_t value); /* replaces; false: out of memory */
bool hash_set_get(const struct hash_set *set, uint64_t key, uint32_t *ret); /* ret may be NULL */
void hash_set_free(struct hash_set *set);

#endif
