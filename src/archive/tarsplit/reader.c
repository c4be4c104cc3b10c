/* SPDX-License-Identifier: Apache-2.0 */
/* Rebuilds a layer's tar from its tar-split file (docs/format/archive.md, "Reassembly"). */
#include "archive/tar/tar.h"
#include "archive/tarsplit/ahead.h"
#include "archive/tarsplit/recipe.h"
#include "base/fs.h"
#include "base/hash_set.h"
#include "base/hashmap.h"
#include "base/str.h"
#include <errno.h>
#include <sys/random.h>

struct reassembly {
	struct recipe *recipe;
	struct ahead *out;
	uint64_t total;        /* bytes put in so far */
	struct hash_set names; /* met so far */
	uint64_t hash_key[2];
	char header_type; /* of the header block that ended the last segment */
	bool headers_only;
};

static void reassembly_free(struct reassembly *re)
{
	if (re->recipe)
		recipe_free(re->recipe);
	if (re->out)
		ahead_free(re->out);
	hash_set_free(&re->names);
}

/* A name may stand for a file once only: two entries of one path would have one content. */
static int note_name(struct reassembly *re, const char *name, cst_error **error)
{
	_cleanup_free_ char *clean = path_clean(name);
	if (!clean)
		return error_oom(error);
	uint64_t hash = siphash24(clean, strlen(clean), re->hash_key);
	if (hash_set_get(&re->names, hash, NULL))
		return error_set(error, CST_ECORRUPT, "duplicates of file paths not supported");
	return hash_set_put(&re->names, hash, 0) ? 0 : error_oom(error);
}

static bool payload_crc(const struct recipe_entry *entry, uint64_t *ret)
{
	const unsigned char *bytes = entry->payload;
	if (entry->payload_len != 8)
		return false;
	*ret = 0;
	for (unsigned i = 0; i < 8; i++)
		*ret = *ret << 8 | bytes[i];
	return true;
}

/* Links, devices and directories have no body, whatever size their header claims: the Go writer
 * records that size with the sum of nothing. */
static bool has_no_body(const struct reassembly *re, uint64_t crc)
{
	return crc == 0 && re->header_type >= '1' && re->header_type <= '6';
}

static int put_file(struct reassembly *re, const struct recipe_entry *entry, cst_error **error)
{
	int r = note_name(re, entry->name, error);
	uint64_t crc;
	if (r < 0 || entry->size <= 0)
		return r;
	if (!payload_crc(entry, &crc))
		return ahead_checksum_error(entry->name, error);
	if (has_no_body(re, crc))
		return 0;
	re->total += (uint64_t)entry->size;
	return re->headers_only ? ahead_zeros(re->out, (uint64_t)entry->size, error)
	                        : ahead_file(re->out, entry->name, entry->size, crc, error);
}

/* The type flag is byte 156 of a block, and blocks begin at multiples of their size. */
static int put_segment(struct reassembly *re, const struct recipe_entry *entry, cst_error **error)
{
	const char *data = entry->payload;
	re->total += entry->payload_len;
	size_t back = (size_t)((re->total - 157) % TAR_BLOCK);
	if (back < entry->payload_len)
		re->header_type = data[entry->payload_len - 1 - back];
	return ahead_write(re->out, data, entry->payload_len, error);
}

static int put_entries(struct reassembly *re, cst_error **error)
{
	for (;;) {
		struct recipe_entry entry;
		bool end;
		int r = recipe_next(re->recipe, &entry, &end, error);
		if (r == 0 && end)
			return 0;
		if (r == 0 && entry.type == RECIPE_FILE)
			r = put_file(re, &entry, error);
		else if (r == 0 && entry.type == RECIPE_SEGMENT)
			r = put_segment(re, &entry, error);
		if (r < 0)
			return r;
	}
}

int tarsplit_reassemble(int tarsplit_fd, const struct tarsplit_reading *reading,
                        const cst_sink *sink, cst_error **error)
{
	_cleanup_(reassembly_free) struct reassembly re = {.headers_only = !reading->open_file};
	_cleanup_error_ cst_error *problem = NULL;
	if (getrandom(re.hash_key, sizeof(re.hash_key), 0) != (ssize_t)sizeof(re.hash_key))
		return error_sys(error, errno, "getrandom");
	int r = ahead_new(reading, sink, &re.out, error);
	if (r == 0)
		r = recipe_open(tarsplit_fd, &re.recipe, error);
	if (r < 0)
		return r;
	int later = put_entries(&re, &problem);
	r = ahead_finish(re.out, error);
	return r == 0 && later < 0 ? error_propagate(error, steal_ptr(&problem)) : r;
}
