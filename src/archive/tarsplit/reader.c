/* SPDX-License-Identifier: Apache-2.0 */
/* Rebuilds a layer's tar from its tar-split file (docs/format/archive.md, "Reassembly"). */
#include "archive/tar/tar.h"
#include "archive/tarsplit/recipe.h"
#include "archive/tarsplit/tarsplit.h"
#include "base/checksum.h"
#include "base/fs.h"
#include "base/hash_set.h"
#include "base/hashmap.h"
#include "base/sink_buffer.h"
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

struct reassembly {
	struct recipe *recipe;
	struct sink_buffer out;
	struct hash_set names; /* met so far */
	uint64_t hash_key[2];
	char header_type; /* of the header block that ended the last segment */
	tarsplit_open_file open_file;
	void *userdata;
};

static void reassembly_free(struct reassembly *re)
{
	if (re->recipe)
		recipe_free(re->recipe);
	sink_buffer_free(&re->out);
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

/* A name in double quotes, safe to print. */
static int checksum_error(const char *name, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf quoted = {0};
	for (const char *p = name; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c == '"' || c == '\\')
			strbuf_addf(&quoted, "\\%c", c);
		else if (c == '\n' || c == '\t' || c == '\r')
			strbuf_adds(&quoted, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
		else if (c < 0x20 || c == 0x7f)
			strbuf_addf(&quoted, "\\x%02x", c);
		else
			strbuf_addc(&quoted, (char)c);
	}
	return error_set(error, CST_ECORRUPT, "file integrity checksum failed for \"%s\"",
	                 strbuf_str(&quoted));
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

/* Copies the content; the last piece is kept back until the sum is known to be right. */
static int copy_content(struct reassembly *re, int fd, const struct recipe_entry *entry,
                        uint64_t wanted, cst_error **error)
{
	uint64_t left = (uint64_t)entry->size, crc = 0;
	while (left > 0) {
		void *room;
		size_t n;
		int r = sink_buffer_room(&re->out, &room, &n, error);
		if (r < 0)
			return r;
		n = (size_t)MIN((uint64_t)n, left);
		ssize_t got = fs_read_full(fd, room, n);
		if (got < 0)
			return error_sys(error, errno, "read %s", entry->name);
		crc = crc64_iso(crc, room, (size_t)got);
		left -= (uint64_t)got;
		if ((size_t)got < n || (left == 0 && crc != wanted))
			return checksum_error(entry->name, error);
		sink_buffer_commit(&re->out, n);
	}
	return 0;
}

/* Links, devices and directories have no body, whatever size their header claims: the Go writer
 * records that size with the sum of nothing. */
static bool has_no_body(const struct reassembly *re, uint64_t crc)
{
	return crc == 0 && re->header_type >= '1' && re->header_type <= '6';
}

static int put_zeros(struct reassembly *re, uint64_t left, cst_error **error)
{
	while (left > 0) {
		void *room;
		size_t n;
		int r = sink_buffer_room(&re->out, &room, &n, error);
		if (r < 0)
			return r;
		n = (size_t)MIN((uint64_t)n, left);
		memset(room, 0, n);
		sink_buffer_commit(&re->out, n);
		left -= n;
	}
	return 0;
}

static int put_file(struct reassembly *re, const struct recipe_entry *entry, cst_error **error)
{
	int r = note_name(re, entry->name, error);
	uint64_t crc;
	if (r < 0 || entry->size <= 0)
		return r;
	if (!payload_crc(entry, &crc))
		return checksum_error(entry->name, error);
	if (has_no_body(re, crc))
		return 0;
	if (!re->open_file)
		return put_zeros(re, (uint64_t)entry->size, error);
	_cleanup_close_ int fd = re->open_file(re->userdata, entry->name, entry->size, error);
	if (fd < 0)
		return error && *error ? cst_error_code(*error) : CST_ECORRUPT;
	return copy_content(re, fd, entry, crc, error);
}

/* The type flag is byte 156 of a block, and blocks begin at multiples of their size. */
static int put_segment(struct reassembly *re, const struct recipe_entry *entry, cst_error **error)
{
	const char *data = entry->payload;
	uint64_t end = re->out.total + entry->payload_len;
	size_t back = (size_t)((end - 157) % TAR_BLOCK);
	if (back < entry->payload_len)
		re->header_type = data[entry->payload_len - 1 - back];
	return entry->payload_len ? sink_buffer_write(&re->out, data, entry->payload_len, error)
	                          : 0;
}

int tarsplit_reassemble(int tarsplit_fd, tarsplit_open_file open_file, void *userdata,
                        const cst_sink *sink, cst_error **error)
{
	_cleanup_(reassembly_free) struct reassembly re = {.open_file = open_file,
	                                                   .userdata = userdata};
	if (getrandom(re.hash_key, sizeof(re.hash_key), 0) != (ssize_t)sizeof(re.hash_key))
		return error_sys(error, errno, "getrandom");
	int r = sink_buffer_init(&re.out, sink, error);
	if (r == 0)
		r = recipe_open(tarsplit_fd, &re.recipe, error);
	while (r == 0) {
		struct recipe_entry entry;
		bool end;
		r = recipe_next(re.recipe, &entry, &end, error);
		if (r < 0)
			return r;
		if (end)
			return sink_buffer_flush(&re.out, error);
		if (entry.type == RECIPE_FILE)
			r = put_file(&re, &entry, error);
		else if (entry.type == RECIPE_SEGMENT)
			r = put_segment(&re, &entry, error);
	}
	return r;
}
