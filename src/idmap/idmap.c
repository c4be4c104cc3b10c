/* SPDX-License-Identifier: Apache-2.0 */
/* Id maps: looking ids up, parsing, and refusing maps whose ranges overlap. Sums of ids are
 * checked, so that none wraps. */
#include "idmap/idmap.h"
#include <stdio.h>

bool idmap_copy(struct idmap *to, const cst_idmap *from, size_t n)
{
	if (!n)
		return true;
	cst_idmap *copy = new0(cst_idmap, n);
	if (!copy)
		return false;
	memcpy(copy, from, n * sizeof(*copy));
	*to = (struct idmap){copy, n};
	return true;
}

bool idmaps_copy(struct idmaps *to, const struct idmaps *from)
{
	return !from || (idmap_copy(&to->uids, from->uids.ranges, from->uids.len) &&
	                 idmap_copy(&to->gids, from->gids.ranges, from->gids.len));
}

bool idmap_equal(const struct idmap *a, const struct idmap *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++) {
		const cst_idmap *x = &a->ranges[i], *y = &b->ranges[i];
		if (x->container_id != y->container_id || x->host_id != y->host_id ||
		    x->size != y->size)
			return false;
	}
	return true;
}

bool idmaps_equal(const struct idmaps *a, const struct idmaps *b)
{
	static const struct idmaps none = {0};
	a = a ? a : &none;
	b = b ? b : &none;
	return idmap_equal(&a->uids, &b->uids) && idmap_equal(&a->gids, &b->gids);
}

void idmap_free(struct idmap *map)
{
	free(map->ranges);
	*map = (struct idmap){0};
}

void idmaps_free(struct idmaps *maps)
{
	idmap_free(&maps->uids);
	idmap_free(&maps->gids);
}

/* The id that is `offset` behind `start`. False: it would be beyond the last id, so it is not
 * mapped. */
static bool step_into(uint32_t start, uint32_t offset, uint32_t *ret)
{
	if (offset > UINT32_MAX - start)
		return false;
	*ret = start + offset;
	return true;
}

bool idmap_to_host(const struct idmap *map, uint32_t id, uint32_t *ret)
{
	for (size_t i = 0; i < map->len; i++) {
		const cst_idmap *range = &map->ranges[i];
		if (id >= range->container_id && id - range->container_id < range->size)
			return step_into(range->host_id, id - range->container_id, ret);
	}
	if (!map->len)
		*ret = id;
	return !map->len;
}

bool idmap_to_container(const struct idmap *map, uint32_t id, uint32_t *ret)
{
	for (size_t i = 0; i < map->len; i++) {
		const cst_idmap *range = &map->ranges[i];
		if (id >= range->host_id && id - range->host_id < range->size)
			return step_into(range->container_id, id - range->host_id, ret);
	}
	if (!map->len)
		*ret = id;
	return !map->len;
}

static int not_mapped(uint32_t id, cst_error **error)
{
	return error_set(error, CST_EINVAL, "container ID %u cannot be mapped to a host ID", id);
}

int idmaps_to_host(const struct idmaps *maps, uint32_t uid, uint32_t gid, uint32_t *ret_uid,
                   uint32_t *ret_gid, cst_error **error)
{
	uint32_t host_uid, host_gid;
	if (!idmap_to_host(&maps->uids, uid, &host_uid))
		return not_mapped(uid, error);
	if (!idmap_to_host(&maps->gids, gid, &host_gid))
		return not_mapped(gid, error);
	*ret_uid = host_uid;
	*ret_gid = host_gid;
	return 0;
}

static bool root_of(const struct idmap *map, uint32_t *ret)
{
	if (map->len == 1 && map->ranges[0].size == 1) {
		*ret = map->ranges[0].host_id;
		return true;
	}
	return idmap_to_host(map, 0, ret);
}

int idmaps_root(const struct idmaps *maps, uint32_t *ret_uid, uint32_t *ret_gid, cst_error **error)
{
	uint32_t uid, gid;
	if (!root_of(&maps->uids, &uid) || !root_of(&maps->gids, &gid))
		return not_mapped(0, error);
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

/* ---- "C:H:S:C:H:S" ---- */

/* Reads decimal digits up to ":" or the end, and moves *text behind the ":". */
static bool read_number(const char **text, uint32_t *ret)
{
	uint64_t value = 0;
	const char *s = *text;
	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		value = value * 10 + (uint64_t)(*s - '0');
		if (value > UINT32_MAX)
			return false;
	}
	if (*s && *s != ':')
		return false;
	*ret = (uint32_t)value;
	*text = s;
	return true;
}

/* Reads a triple, and stops at the ":" before the next one or at the end. */
static bool read_triple(const char **text, cst_idmap *range)
{
	return read_number(text, &range->container_id) && *(*text)++ == ':' &&
	       read_number(text, &range->host_id) && *(*text)++ == ':' &&
	       read_number(text, &range->size);
}

static int add_range(struct idmap *map, size_t *capacity, const cst_idmap *range)
{
	cst_idmap *grown = grow_array(map->ranges, capacity, map->len + 1, sizeof(*grown));
	if (!grown)
		return CST_ENOMEM;
	map->ranges = grown;
	map->ranges[map->len++] = *range;
	return 0;
}

int idmap_append(struct idmap *map, const struct idmap *more, cst_error **error)
{
	if (!more->len)
		return 0;
	cst_idmap *grown = map->len > SIZE_MAX / sizeof(*grown) - more->len
	                           ? NULL
	                           : realloc(map->ranges, (map->len + more->len) * sizeof(*grown));
	if (!grown)
		return error_oom(error);
	memcpy(grown + map->len, more->ranges, more->len * sizeof(*grown));
	map->ranges = grown;
	map->len += more->len;
	return 0;
}

int idmap_parse(const char *text, const char *what, struct idmap *map, cst_error **error)
{
	_cleanup_(idmap_free) struct idmap parsed = {0};
	size_t capacity = 0;
	const char *s = text;
	while (*s) {
		cst_idmap range;
		if (!read_triple(&s, &range) || (*s == ':' && !s[1]))
			return error_set(
			        error, CST_EINVAL,
			        "initializing ID mappings: %s setting is malformed expected "
			        "[\"uint32:uint32:uint32\"]: [\"%s\"]",
			        what, text);
		if (add_range(&parsed, &capacity, &range) < 0)
			return error_oom(error);
		s += *s == ':';
	}
	return idmap_append(map, &parsed, error);
}

/* ---- overlap ---- */

static bool ranges_meet(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return a_size && b_size && a < (uint64_t)b + b_size && b < (uint64_t)a + a_size;
}

static bool meets_earlier(const struct idmap *map, size_t index)
{
	const cst_idmap *range = &map->ranges[index];
	for (size_t i = 0; i < index; i++) {
		const cst_idmap *other = &map->ranges[i];
		if (ranges_meet(range->container_id, range->size, other->container_id,
		                other->size) ||
		    ranges_meet(range->host_id, range->size, other->host_id, other->size))
			return true;
	}
	return false;
}

/* Checks the uids alone, then the gids alone. The first kind with a conflict is reported. */
static int check_overlap(const struct idmap *map, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf conflicts = {0};
	size_t n = 0;
	for (size_t i = 0; i < map->len; i++) {
		const cst_idmap *range = &map->ranges[i];
		if (meets_earlier(map, i))
			strbuf_addf(&conflicts, "%s%u:%u:%u", n++ ? ", " : "", range->container_id,
			            range->host_id, range->size);
	}
	if (!n)
		return 0;
	return error_wrap_code(error, CST_EINVALID_MAPPINGS,
	                       n == 1 ? "the specified UID and/or GID mapping %s conflicts with "
	                                "other mappings"
	                              : "the specified UID and/or GID mappings %s conflict with "
	                                "other mappings",
	                       strbuf_str(&conflicts));
}

int idmap_check_overlap(const struct idmaps *maps, cst_error **error)
{
	int code = check_overlap(&maps->uids, error);
	return code < 0 ? code : check_overlap(&maps->gids, error);
}
