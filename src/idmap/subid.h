/* SPDX-License-Identifier: Apache-2.0 */
/* Subordinate ids and where they come from (docs/format/config.md, "Sub-IDs"). */
#ifndef CST_IDMAP_SUBID_H
#define CST_IDMAP_SUBID_H

#include "idmap/idmap.h"

struct subid_range_item {
	uint64_t start, count;
};
/* Ranges of host ids of a user, in any order. */
struct subid_ranges {
	struct subid_range_item *items;
	size_t len, capacity;
};
bool subid_add(struct subid_ranges *ranges, uint64_t start, uint64_t count);
void subid_free_ranges(struct subid_ranges *ranges);
#define _cleanup_subids_ _cleanup_(subid_free_ranges)

/* Reads the text of an /etc/subuid: the lines of `user`, by name or by `uid` (its decimal form;
 * NULL: the user has none). `user` "ALL": every line. `path` is for messages. */
int subid_parse(char *text, const char *user, const char *uid, const char *path,
                struct subid_ranges *ranges, cst_error **error);

/* Where the ids begin that a new line of this text can have. CST_EINVAL: there is no room, or it is not understood. */
int subid_free_start(char *text, uint64_t *ret);

/* Sorts the ranges by start and appends them to the map, with container ids from 0 on. */
int subid_to_map(struct subid_ranges *ranges, struct idmap *map, cst_error **error);

/* Does this nsswitch.conf name another source than files? */
bool subid_nsswitch_names_other(const char *text);

/* Asks libsubid, which is loaded now. *available false: there is no such library. */
int subid_ask_library(const char *user, const char *uid, bool group, struct subid_ranges *ranges,
                      bool *available, cst_error **error);

#endif
