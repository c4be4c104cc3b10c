/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of ids as ranges, and finding ids in them that nobody uses (docs/format/config.md, "Automatic
 * user namespaces"). */
#ifndef CST_IDMAP_INTERVALS_H
#define CST_IDMAP_INTERVALS_H

#include "idmap/idmap.h"

struct interval {
	uint64_t start, end; /* the first id, and the one behind the last */
};
/* Zero-initialised is empty. All but intervals_add() want and leave ranges that are sorted and apart. */
struct intervals {
	struct interval *items;
	size_t len, capacity;
};
void intervals_free(struct intervals *set);
#define _cleanup_intervals_ _cleanup_(intervals_free)

/* Appends ids in any order; intervals_join() follows the last of them. What is beyond the last id that a process can have is
 * left out. False: out of memory. */
bool intervals_add(struct intervals *set, uint64_t start, uint64_t count);
void intervals_join(struct intervals *set);
uint64_t intervals_count(const struct intervals *set);
bool intervals_subtract(const struct intervals *from, const struct intervals *what, struct intervals *ret);

/* The ids of one kind, uids or gids, that a container wants. */
struct id_request {
	uint32_t size; /* container ids from 0 on */
	const struct intervals *available, *used;
	const struct idmap *additional; /* for these ids; their host ids are not given out */
};
struct id_shortage {
	uint64_t needed, free;
};
/* Maps the container ids to the lowest host ids that are available and not used; the additional ranges follow.
 * CST_ENOMEM; CST_ENO_AVAILABLE_IDS with the numbers. */
int id_request_map(const struct id_request *request, struct idmap *ret, struct id_shortage *shortage);

/* The largest id that a passwd file, or a group file, has. The names nobody and nogroup and the id 65534 do not count, nor does what is
 * no id of 32 bits. False: there is none. */
bool passwd_largest_id(const char *text, size_t len, bool group, uint32_t *ret);

/* The ids that this process can use: those that its user namespace maps, under the numbers that they have in it. `initial`: it is the
 * namespace of the machine, which has all. */
int intervals_of_process(bool group, struct intervals *ret, bool *initial, cst_error **error);

#endif
