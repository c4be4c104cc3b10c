/* SPDX-License-Identifier: Apache-2.0 */
/* The push parser of layer tars (tar.h). */
#include "archive/tar/reader_internal.h"

static int failed_or_oom(struct tar_reader *r, cst_error **error)
{
	return arena_of(r)->failed ? error_oom(error) : invalid_header(error);
}

int tar_reader_new(struct tar_reader **ret, cst_error **error)
{
	struct tar_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return error_oom(error);
	r->wanted = TAR_BLOCK;
	*ret = r;
	return 0;
}

void tar_reader_free(struct tar_reader *r)
{
	if (!r)
		return;
	strbuf_free(&r->kept);
	tar_pax_free(&r->pax);
	free(r->pairs.items);
	arena_clear(&r->arenas[0]);
	arena_clear(&r->arenas[1]);
	free(r);
}

void tar_reader_freep(struct tar_reader **r)
{
	tar_reader_free(*r);
}

void tar_reader_feed(struct tar_reader *r, const void *data, size_t n)
{
	r->data = data;
	r->len = n;
}

const struct tar_header *tar_reader_header(const struct tar_reader *r)
{
	return &r->shown;
}

bool tar_reader_raw(struct tar_reader *r, const void **data, size_t *len)
{
	*data = r->raw.len > 0 ? r->raw.data : (const uint8_t *)"";
	*len = r->raw.len;
	return r->raw.len > 0 && r->kept.len == 0;
}

/* Moves up to n bytes of input to raw. False: out of memory. */
static bool collect(struct tar_reader *r, size_t n)
{
	n = MIN(n, r->len);
	if (r->kept.len > 0) {
		strbuf_add(&r->kept, r->data, n);
		r->raw.data = (const uint8_t *)r->kept.data;
	} else if (r->raw.len == 0) {
		r->raw.data = r->data;
	}
	r->raw.len += n;
	r->data += n;
	r->len -= n;
	return !r->kept.failed;
}

/* What was fed ends before the part does. */
static int keep_raw(struct tar_reader *r, cst_error **error)
{
	if (r->raw.len == 0 || r->kept.len > 0)
		return 0;
	strbuf_add(&r->kept, r->raw.data, r->raw.len);
	r->raw.data = (const uint8_t *)r->kept.data;
	return r->kept.failed ? error_oom(error) : 0;
}

/* Goes on with a part of `n` bytes at the end of raw. */
int tar_reader_expect(struct tar_reader *r, enum reader_state state, size_t n, cst_error **error)
{
	if (r->raw.len + n > ENTRY_RAW_MAX)
		return error_set(error, CST_EARCHIVE, "archive/tar: header field too long");
	r->state = state;
	r->part = r->raw.len;
	r->wanted = r->raw.len + n;
	return 0;
}

static size_t padding_of(uint64_t size)
{
	return (size_t)(-size & (TAR_BLOCK - 1));
}

/* ---- complete entries ---- */

int tar_reader_give_entry(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	struct tar_xattr *xattrs = NULL;

	/* The strings are in the arena being read; the arrays are the parser's and are copied. */
	if (r->header.n_xattrs > 0) {
		xattrs = arena_alloc(arena_of(r), r->header.n_xattrs * sizeof(*xattrs));
		if (xattrs)
			memcpy(xattrs, r->header.xattrs, r->header.n_xattrs * sizeof(*xattrs));
	}
	r->header.xattrs = xattrs;
	if (r->header.is_sparse && r->pairs.len > 0) {
		struct tar_sparse *map = arena_alloc(arena_of(r), r->pairs.len * sizeof(*map));
		if (map)
			memcpy(map, r->pairs.items, r->pairs.len * sizeof(*map));
		r->header.sparse = map;
		r->header.n_sparse = r->pairs.len;
	}
	if (arena_of(r)->failed)
		return error_oom(error);
	r->shown = r->header;
	r->reading ^= 1;
	arena_clear(arena_of(r));
	tar_pax_reset(&r->pax);
	r->long_name = r->long_link = NULL;
	r->left = r->shown.body_size;
	r->body_end = r->left == 0;
	r->state = r->left > 0 ? READ_BODY : READ_PADDING;
	r->clear_raw = true;
	*event = TAR_ENTRY;
	return 1;
}

/* ---- states ---- */

static int begin_meta(struct tar_reader *r, cst_error **error)
{
	int64_t size = r->header.recorded_size;

	if (size < 0)
		return invalid_header(error);
	if (size > META_MAX)
		return error_set(error, CST_EARCHIVE, "archive/tar: header field too long");
	r->meta_type = r->header.type;
	r->meta_size = size;
	return tar_reader_expect(r, READ_META, (size_t)size, error);
}

static int finish_header(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	struct tar_header *h = &r->header;
	const uint8_t *block = r->raw.data + r->part;

	if (tar_block_is_zero(block))
		return tar_reader_expect(r, READ_SECOND_ZERO, TAR_BLOCK, error);
	if (!tar_header_parse(r, block))
		return failed_or_oom(r, error);
	if (h->type == 'x' || h->type == 'g' || h->type == 'L' || h->type == 'K')
		return begin_meta(r, error);
	if (!tar_header_merge_pax(r))
		return failed_or_oom(r, error);
	h->name = r->long_name ? r->long_name : h->name;
	h->linkname = r->long_link ? r->long_link : h->linkname;
	if (h->type == '\0')
		h->type = has_suffix(h->name, "/") ? '5' : '0';
	else if (h->type == '7')
		h->type = '0'; /* contiguous */
	if (!is_header_only(h->type) && h->recorded_size < 0)
		return invalid_header(error);
	if (!tar_header_merge_ids(r))
		return invalid_header(error);
	if (h->type == 'S')
		return tar_sparse_begin_old(r, block, event, error);
	if (h->type != '0' && h->type != 'V' && !is_header_only(h->type))
		return error_set(error, CST_ENOTSUP, "unhandled tar header type %d",
		                 (unsigned char)h->type);
	return tar_sparse_finish_file(r, event, error);
}

/* A global header is an entry of its own, without effect on others. */
static int finish_global(struct tar_reader *r, const char *body, enum tar_event *event,
                         cst_error **error)
{
	const char *name = r->header.name;

	if (!tar_pax_parse(&r->pax, body, (size_t)r->meta_size, arena_of(r)) ||
	    !tar_header_merge_pax(r))
		return failed_or_oom(r, error);
	r->header = (struct tar_header){
	        .name = name, .linkname = "", .uname = "", .gname = "", .type = 'g'};
	r->pairs.len = 0;
	int given = tar_reader_give_entry(r, event, error);
	r->left = padding_of((uint64_t)r->meta_size);
	return given;
}

static int finish_meta(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	const char *body = (const char *)r->raw.data + r->part;

	if (r->meta_type == 'g')
		return finish_global(r, body, event, error);
	if (r->meta_type == 'x') {
		if (!tar_pax_parse(&r->pax, body, (size_t)r->meta_size, arena_of(r)))
			return failed_or_oom(r, error);
	} else {
		const char *text =
		        tar_parse_text(arena_of(r), (const uint8_t *)body, (size_t)r->meta_size);
		if (!text)
			return error_oom(error);
		*(r->meta_type == 'L' ? &r->long_name : &r->long_link) = text;
	}
	r->left = padding_of((uint64_t)r->meta_size);
	r->state = READ_PADDING;
	return 0;
}

static void end_body(struct tar_reader *r)
{
	r->left = padding_of(r->shown.body_size); /* a map in front of it is whole blocks */
	r->state = READ_PADDING;
	r->body_end = true;
}

bool tar_reader_skip(struct tar_reader *r, uint64_t n)
{
	if (r->state != READ_BODY || n > r->left)
		return false;
	r->left -= n;
	if (r->left == 0)
		end_body(r);
	return true;
}

/* Body bytes go out as they are, and are never kept. */
static void give_body(struct tar_reader *r, enum tar_event *event, const void **data, size_t *len)
{
	size_t n = (size_t)MIN(r->left, (uint64_t)r->len);

	*event = TAR_BODY;
	*data = r->data;
	*len = n;
	r->data += n;
	r->len -= n;
	r->left -= n;
	if (r->left == 0)
		end_body(r);
}

/* The block or body that was wanted is there: 1 with an event, 0 to go on. */
static int finish_part(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	switch (r->state) {
	case READ_HEADER: return finish_header(r, event, error);
	case READ_META: return finish_meta(r, event, error);
	case READ_OLD_SPARSE: return tar_sparse_continue_old(r, event, error);
	case READ_SPARSE_MAP: return tar_sparse_continue_map(r, event, error);
	default: /* READ_SECOND_ZERO */
		if (!tar_block_is_zero(r->raw.data + r->part))
			return invalid_header(error);
		r->state = READ_TRAILER;
		r->clear_raw = true;
		*event = TAR_END;
		return 1;
	}
}

static int step(struct tar_reader *r, enum tar_event *event, const void **data, size_t *len,
                cst_error **error)
{
	switch (r->state) {
	case READ_BODY: give_body(r, event, data, len); return 1;
	case READ_TRAILER:
		*event = TAR_TRAILER;
		*data = r->data;
		*len = r->len;
		r->len = 0;
		return 1;
	case READ_PADDING: {
		size_t n = (size_t)MIN(r->left, (uint64_t)r->len);
		if (!collect(r, n))
			return error_oom(error);
		r->left -= n;
		return r->left > 0 ? 0 : tar_reader_expect(r, READ_HEADER, TAR_BLOCK, error);
	}
	default:
		if (!collect(r, r->wanted - r->raw.len))
			return error_oom(error);
		return r->raw.len < r->wanted ? 0 : finish_part(r, event, error);
	}
}

/* Nothing more is needed from the input to go on: a part of length 0, or padding of none. */
static bool ready_without_data(const struct tar_reader *r)
{
	if (r->state == READ_PADDING)
		return r->left == 0;
	return r->state == READ_META && r->raw.len == r->wanted;
}

int tar_reader_next(struct tar_reader *r, enum tar_event *event, const void **data, size_t *len,
                    cst_error **error)
{
	int result = 0;

	if (r->body_end) {
		r->body_end = false;
		*event = TAR_BODY_END;
		return 0;
	}
	if (r->clear_raw) {
		r->raw.len = 0;
		strbuf_reset(&r->kept);
		r->clear_raw = false;
	}
	while (result == 0) {
		if (r->len == 0 && !ready_without_data(r)) {
			*event = TAR_NEED_DATA;
			return keep_raw(r, error);
		}
		result = step(r, event, data, len, error);
	}
	return MIN(result, 0);
}

int tar_reader_end(struct tar_reader *r, cst_error **error)
{
	switch (r->state) {
	case READ_TRAILER: return 0;
	case READ_PADDING: return 0; /* of the last body: may be cut */
	case READ_HEADER:
	case READ_SECOND_ZERO: /* at a block's boundary: the end marker may be missing or half */
		return r->raw.len == r->part ? 0 : unexpected_eof(error);
	default: return unexpected_eof(error);
	}
}
