/* SPDX-License-Identifier: Apache-2.0 */
#include "idmap/intervals.h"

#define NO_ID UINT32_MAX /* (uid_t)-1 means "no id" to the kernel */

void intervals_free(struct intervals *set)
{
	free(set->items);
	*set = (struct intervals){0};
}

bool intervals_add(struct intervals *set, uint64_t start, uint64_t count)
{
	if (!count || start >= NO_ID)
		return true;
	struct interval *grown =
	        grow_array(set->items, &set->capacity, set->len + 1, sizeof(*grown));
	if (!grown)
		return false;
	set->items = grown;
	grown[set->len++] = (struct interval){start, start + MIN(count, NO_ID - start)};
	return true;
}

static int compare_starts(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;
	return (x->start > y->start) - (x->start < y->start);
}

void intervals_join(struct intervals *set)
{
	size_t n = 0;
	if (!set->len)
		return;
	qsort(set->items, set->len, sizeof(*set->items), compare_starts);
	for (size_t i = 1; i < set->len; i++) {
		struct interval *last = &set->items[n], *next = &set->items[i];
		if (next->start <= last->end)
			last->end = MAX(last->end, next->end);
		else
			set->items[++n] = *next;
	}
	set->len = n + 1;
}

uint64_t intervals_count(const struct intervals *set)
{
	uint64_t count = 0;
	for (size_t i = 0; i < set->len; i++)
		count += set->items[i].end - set->items[i].start;
	return count;
}

bool intervals_subtract(const struct intervals *from, const struct intervals *what,
                        struct intervals *ret)
{
	size_t k = 0;
	for (size_t i = 0; i < from->len; i++) {
		uint64_t at = from->items[i].start, end = from->items[i].end;
		while (k < what->len && what->items[k].end <= at)
			k++;
		for (size_t j = k; j < what->len && what->items[j].start < end; j++) {
			const struct interval *hole = &what->items[j];
			if (hole->start > at && !intervals_add(ret, at, hole->start - at))
				return false;
			at = MAX(at, hole->end);
		}
		if (at < end && !intervals_add(ret, at, end - at))
			return false;
	}
	return true;
}

/* ---- a map ---- */

/* The ids of one side of a map, less those of `from`. */
static bool subtract_map(const struct intervals *from, const struct idmap *map, bool host,
                         struct intervals *ret)
{
	_cleanup_intervals_ struct intervals side = {0};
	for (size_t i = 0; i < map->len; i++) {
		const cst_idmap *range = &map->ranges[i];
		if (!intervals_add(&side, host ? range->host_id : range->container_id, range->size))
			return false;
	}
	intervals_join(&side);
	return intervals_subtract(from, &side, ret);
}

/* Puts the ids of both sets together, range by range, as long as there are container ids. */
static int zip(const struct intervals *containers, const struct intervals *hosts, struct idmap *ret)
{
	cst_idmap *ranges = new0(cst_idmap, containers->len + hosts->len + 1);
	size_t n = 0, h = 0;
	uint64_t host = hosts->len ? hosts->items[0].start : 0;
	if (!ranges)
		return CST_ENOMEM;
	for (size_t c = 0; c < containers->len; c++) {
		uint64_t at = containers->items[c].start, end = containers->items[c].end;
		while (at < end) {
			if (host == hosts->items[h].end)
				host = hosts->items[++h].start;
			uint64_t size = MIN(end - at, hosts->items[h].end - host);
			ranges[n++] = (cst_idmap){(uint32_t)at, (uint32_t)host, (uint32_t)size};
			at += size;
			host += size;
		}
	}
	*ret = (struct idmap){.ranges = ranges, .len = n};
	return 0;
}

int id_request_map(const struct id_request *request, struct idmap *ret,
                   struct id_shortage *shortage)
{
	_cleanup_intervals_ struct intervals all = {0}, wanted = {0}, unused = {0}, free_ids = {0};
	_cleanup_(idmap_free) struct idmap made = {0};
	if (!intervals_add(&all, 0, request->size) ||
	    !subtract_map(&all, request->additional, false, &wanted) ||
	    !intervals_subtract(request->available, request->used, &unused) ||
	    !subtract_map(&unused, request->additional, true, &free_ids))
		return CST_ENOMEM;
	*shortage = (struct id_shortage){intervals_count(&wanted), intervals_count(&free_ids)};
	if (shortage->needed > shortage->free)
		return CST_ENO_AVAILABLE_IDS;
	int r = zip(&wanted, &free_ids, &made);
	if (r == 0)
		r = idmap_append(&made, request->additional, NULL);
	if (r == 0) {
		*ret = made;
		made = (struct idmap){0};
	}
	return r;
}
