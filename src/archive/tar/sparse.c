/* SPDX-License-Identifier: Apache-2.0 */
/* Sparse files: PAX 0.x with the map in records, PAX 1.0 with the map in front of the data, and old
 * GNU headers (docs/format/archive.md, "Accepted tar dialect"). */
#include "archive/tar/reader_internal.h"

/* A body of `physical` bytes follows; with a sparse map all of them must be the map's. */
static int give_file(struct tar_reader *r, int64_t physical, enum tar_event *event,
                     cst_error **error)
{
	struct tar_header *h = &r->header;
	uint64_t data;

	h->body_size = (uint64_t)physical;
	if (!h->is_sparse) {
		h->size = h->body_size;
		r->pairs.len = 0;
		return tar_reader_give_entry(r, event, error);
	}
	if (!tar_pairs_valid(&r->pairs, h->size, &data))
		return invalid_header(error);
	if (data > h->body_size)
		return error_set(error, CST_EARCHIVE,
		                 "archive/tar: sparse file references non-existent data");
	if (data < h->body_size)
		return error_set(error, CST_EARCHIVE,
		                 "archive/tar: sparse file contains unreferenced data");
	return tar_reader_give_entry(r, event, error);
}

/* ---- PAX 1.0: the map is lines of decimal numbers in whole blocks in front of the data ---- */

/* One more line of the map; `text` holds it. */
static bool map_line(struct tar_reader *r, const char *text)
{
	int64_t number;

	if (!tar_parse_int(text, &number))
		return false;
	if (r->map_count < 0) {
		r->map_count = number;
		return number >= 0 && number <= META_MAX;
	}
	if (r->map_lines++ % 2 == 1)
		return tar_pairs_add(&r->pairs, r->map_offset, number);
	r->map_offset = number;
	return true;
}

/* 1: complete, 0: more blocks are needed, -1: wrong. Goes on where the last call stopped. */
static int parse_body_map(struct tar_reader *r)
{
	while (r->map_count < 0 || r->map_lines < 2 * r->map_count) {
		const char *line = (const char *)r->raw.data + r->map_position;
		const char *newline = memchr(line, '\n', r->raw.len - r->map_position);
		char text[32];
		size_t len = newline ? (size_t)(newline - line) : r->raw.len - r->map_position;
		if (len >= sizeof(text))
			return -1;
		if (!newline)
			return 0;
		memcpy(text, line, len);
		text[len] = '\0';
		if (strlen(text) != len || !map_line(r, text))
			return -1;
		r->map_position += len + 1;
	}
	return 1;
}

static int begin_sparse_map(struct tar_reader *r, int64_t physical, cst_error **error)
{
	r->physical = physical;
	r->pairs.len = 0;
	r->map_count = -1;
	r->map_lines = 0;
	r->map_position = r->raw.len;
	if (physical < TAR_BLOCK)
		return unexpected_eof(error);
	return tar_reader_expect(r, READ_SPARSE_MAP, TAR_BLOCK, error);
}

int tar_sparse_continue_map(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	int64_t n = (int64_t)(r->raw.len - r->part);
	int parsed = parse_body_map(r);

	if (parsed < 0)
		return invalid_header(error);
	if (parsed > 0)
		return give_file(r, r->physical - n, event, error);
	if (n + TAR_BLOCK > r->physical)
		return unexpected_eof(error);
	if (n >= META_MAX)
		return error_set(error, CST_EARCHIVE, "archive/tar: sparse map too long");
	r->wanted = r->raw.len + TAR_BLOCK;
	return 0;
}

/* ---- sparse versions ---- */

static bool pax_is(const char *value, const char *wanted)
{
	return value && streq(value, wanted);
}

enum sparse_version { SPARSE_NONE, SPARSE_LIST, SPARSE_IN_BODY };

static enum sparse_version sparse_version(const struct tar_pax *pax)
{
	if (pax_is(pax->sparse_major, "0") &&
	    (pax_is(pax->sparse_minor, "0") || pax_is(pax->sparse_minor, "1")))
		return SPARSE_LIST;
	if (pax_is(pax->sparse_major, "1") && pax_is(pax->sparse_minor, "0"))
		return SPARSE_IN_BODY;
	if (pax->sparse_major || pax->sparse_minor)
		return SPARSE_NONE;
	return pax->sparse_map ? SPARSE_LIST : SPARSE_NONE; /* the first versions did not say */
}

/* The body's size and place are known; what remains are sparse maps. */
int tar_sparse_finish_file(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	struct tar_header *h = &r->header;
	enum sparse_version version = sparse_version(&r->pax);
	int64_t physical = is_header_only(h->type) ? 0 : h->recorded_size, size, blocks;

	if (version == SPARSE_NONE)
		return give_file(r, physical, event, error);
	if (is_header_only(h->type))
		return invalid_header(error);
	if (r->pax.sparse_name)
		h->name = r->pax.sparse_name;
	size = physical;
	const char *text = r->pax.sparse_size ? r->pax.sparse_size : r->pax.sparse_realsize;
	if ((text && !tar_parse_int(text, &size)) || size < 0)
		return invalid_header(error);
	h->is_sparse = true;
	h->size = (uint64_t)size;
	if (version == SPARSE_IN_BODY)
		return begin_sparse_map(r, physical, error);
	if (!r->pax.sparse_blocks || !tar_parse_int(r->pax.sparse_blocks, &blocks) || blocks < 0 ||
	    !tar_parse_sparse_list(strempty(r->pax.sparse_map), blocks, &r->pairs))
		return invalid_header(error);
	return give_file(r, physical, event, error);
}

/* ---- old GNU sparse headers ---- */

static bool add_old_sparse(struct tar_reader *r, const uint8_t *field, size_t n)
{
	for (size_t i = 0; i < n; i++, field += 24) {
		int64_t offset, length;
		if (field[0] == 0)
			break;
		if (!tar_parse_number(field, 12, &offset) ||
		    !tar_parse_number(field + 12, 12, &length) ||
		    !tar_pairs_add(&r->pairs, offset, length))
			return false;
	}
	return true;
}

int tar_sparse_begin_old(struct tar_reader *r, const uint8_t *block, enum tar_event *event,
                         cst_error **error)
{
	struct tar_header *h = &r->header;
	int64_t real;

	r->pairs.len = 0;
	if (tar_block_format(block) != TAR_GNU || !tar_parse_number(block + 483, 12, &real) ||
	    real < 0 || !add_old_sparse(r, block + 386, 4))
		return invalid_header(error);
	h->type = '0';
	h->is_sparse = true;
	h->size = (uint64_t)real;
	r->physical = h->recorded_size;
	if (block[482])
		return tar_reader_expect(r, READ_OLD_SPARSE, TAR_BLOCK, error);
	return give_file(r, r->physical, event, error);
}

int tar_sparse_continue_old(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	const uint8_t *block = r->raw.data + r->part;

	if (!add_old_sparse(r, block, 21))
		return invalid_header(error);
	if (!block[504])
		return give_file(r, r->physical, event, error);
	if (r->raw.len > (size_t)META_MAX)
		return error_set(error, CST_EARCHIVE, "archive/tar: sparse map too long");
	return tar_reader_expect(r, READ_OLD_SPARSE, TAR_BLOCK, error);
}
