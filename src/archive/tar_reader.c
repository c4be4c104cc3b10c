/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tar_fields.h"

/* Go's limits: bodies of x, g, L and K headers, and the headers that carry a sparse map
 * (docs/format/archive.md, "Accepted tar dialect"). */
#define META_MAX ((int64_t)1 << 20)
/* All headers of one entry; Go has no such limit, but also keeps them all in memory. */
#define ENTRY_RAW_MAX ((size_t)6 << 20)

enum reader_state {
	READ_HEADER,
	READ_META,       /* body of an x, g, L or K header, with padding */
	READ_OLD_SPARSE, /* continuation blocks of an old GNU sparse header */
	READ_SPARSE_MAP, /* blocks in front of a PAX 1.0 sparse body */
	READ_BODY,
	READ_PADDING, /* of a body; may be missing at the end */
	READ_SECOND_ZERO,
	READ_TRAILER,
};

struct tar_reader {
	const uint8_t *data; /* what was fed and not yet consumed */
	size_t len;
	enum reader_state state;
	struct strbuf raw; /* since the last body byte */
	bool clear_raw;    /* it was given out with the last event */
	bool body_end;     /* TAR_BODY_END comes next */
	size_t wanted;     /* bytes of raw to reach */
	size_t part;       /* where the block or body being collected starts in raw */
	uint64_t left;     /* bytes of body or padding */
	size_t padding;    /* behind the body */

	char meta_type; /* READ_META */
	int64_t meta_size;
	struct tar_pax pax;
	const char *long_name, *long_link; /* of L and K headers */

	struct tar_pairs pairs;
	int64_t physical; /* sparse: bytes of body with the map */
	int64_t map_count, map_lines,
	        map_offset;     /* READ_SPARSE_MAP: pairs, lines read behind that, last offset */
	size_t map_position;    /* in raw */
	struct arena arenas[2]; /* the entry given out, and the one being read */
	unsigned reading;
	struct tar_header header, shown;
	int64_t uid, gid, devmajor, devminor;
};

static int invalid_header(cst_error **error)
{
	return error_set(error, CST_EARCHIVE, "archive/tar: invalid tar header");
}

static int unexpected_eof(cst_error **error)
{
	return error_set(error, CST_EARCHIVE, "unexpected EOF");
}

static struct arena *arena_of(struct tar_reader *r)
{
	return &r->arenas[r->reading];
}

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
	strbuf_free(&r->raw);
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

void tar_reader_raw(struct tar_reader *r, const void **data, size_t *len)
{
	*data = r->raw.len > 0 ? r->raw.data : "";
	*len = r->raw.len;
}

/* Moves up to n bytes of input to raw. False: out of memory. */
static bool collect(struct tar_reader *r, size_t n)
{
	n = MIN(n, r->len);
	strbuf_add(&r->raw, r->data, n);
	r->data += n;
	r->len -= n;
	return !r->raw.failed;
}

/* Goes on with a part of `n` bytes at the end of raw. */
static int expect(struct tar_reader *r, enum reader_state state, size_t n, cst_error **error)
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

/* Types that never have a body, whatever the size field says. */
static bool is_header_only(char type)
{
	return type >= '1' && type <= '6';
}

/* ---- one header block ---- */

static bool parse_common(struct tar_reader *r, const uint8_t *block)
{
	struct tar_header *h = &r->header;
	int64_t mode, seconds;

	h->name = tar_parse_text(arena_of(r), block, 100);
	h->linkname = tar_parse_text(arena_of(r), block + 157, 100);
	h->uname = h->gname = "";
	h->type = (char)block[156];
	if (!h->name || !h->linkname || !tar_parse_number(block + 100, 8, &mode) ||
	    !tar_parse_number(block + 108, 8, &r->uid) ||
	    !tar_parse_number(block + 116, 8, &r->gid) ||
	    !tar_parse_number(block + 124, 12, &h->recorded_size) ||
	    !tar_parse_number(block + 136, 12, &seconds))
		return false;
	h->mode = (mode_t)mode & 07777;
	h->mtime = (struct timespec){.tv_sec = seconds};
	return true;
}

static bool parse_prefix(struct tar_reader *r, const uint8_t *field, size_t n)
{
	const char *prefix = tar_parse_text(arena_of(r), field, n);

	if (!prefix)
		return false;
	if (!*prefix)
		return true;
	size_t prefix_len = strlen(prefix), name_len = strlen(r->header.name);
	char *joined = arena_alloc(arena_of(r), prefix_len + name_len + 2);
	if (!joined)
		return false;
	memcpy(joined, prefix, prefix_len);
	joined[prefix_len] = '/';
	memcpy(joined + prefix_len + 1, r->header.name, name_len);
	r->header.name = joined;
	return true;
}

static bool is_ascii(const uint8_t *field, size_t n)
{
	for (size_t i = 0; i < n && field[i]; i++)
		if (field[i] >= 0x80)
			return false;
	return true;
}

/* GNU headers hold times where ustar has its prefix; old Go versions wrote a prefix there
 * nevertheless. */
static bool parse_gnu_times(struct tar_reader *r, const uint8_t *block)
{
	int64_t atime = 0, ctime;

	if ((!block[345] || tar_parse_number(block + 345, 12, &atime)) &&
	    (!block[357] || tar_parse_number(block + 357, 12, &ctime))) {
		if (block[345]) {
			r->header.atime = (struct timespec){.tv_sec = atime};
			r->header.has_atime = true;
		}
		return true;
	}
	return !is_ascii(block + 345, 155) || parse_prefix(r, block + 345, 155);
}

static bool parse_extended(struct tar_reader *r, const uint8_t *block, enum tar_format format)
{
	struct tar_header *h = &r->header;
	int64_t atime, ctime;

	h->uname = tar_parse_text(arena_of(r), block + 265, 32);
	h->gname = tar_parse_text(arena_of(r), block + 297, 32);
	if (!h->uname || !h->gname || !tar_parse_number(block + 329, 8, &r->devmajor) ||
	    !tar_parse_number(block + 337, 8, &r->devminor))
		return false;
	switch (format) {
	case TAR_USTAR: return parse_prefix(r, block + 345, 155);
	case TAR_GNU: return parse_gnu_times(r, block);
	case TAR_STAR:
		if (!tar_parse_number(block + 476, 12, &atime) ||
		    !tar_parse_number(block + 488, 12, &ctime))
			return false;
		h->atime = (struct timespec){.tv_sec = atime};
		h->has_atime = true;
		return parse_prefix(r, block + 345, 131);
	default: return true;
	}
}

static bool parse_block(struct tar_reader *r, const uint8_t *block)
{
	enum tar_format format = tar_block_format(block);

	r->header = (struct tar_header){0};
	r->uid = r->gid = r->devmajor = r->devminor = 0;
	return tar_block_checksum_ok(block) && parse_common(r, block) &&
	       (format == TAR_V7 || parse_extended(r, block, format));
}

/* ---- PAX records over the header ---- */

static bool merge_number(const char *text, int64_t *ret)
{
	return !text || tar_parse_int(text, ret);
}

static bool merge_time(const char *text, struct timespec *ret)
{
	return !text || tar_parse_time(text, ret);
}

static bool merge_pax(struct tar_reader *r)
{
	struct tar_header *h = &r->header;
	const struct tar_pax *pax = &r->pax;
	struct timespec ctime;

	h->name = pax->path ? pax->path : h->name;
	h->linkname = pax->linkpath ? pax->linkpath : h->linkname;
	h->uname = pax->uname ? pax->uname : h->uname;
	h->gname = pax->gname ? pax->gname : h->gname;
	if (!merge_number(pax->uid, &r->uid) || !merge_number(pax->gid, &r->gid) ||
	    !merge_number(pax->size, &h->recorded_size) || !merge_time(pax->mtime, &h->mtime) ||
	    !merge_time(pax->atime, &h->atime) || !merge_time(pax->ctime, &ctime))
		return false;
	h->has_atime |= pax->atime != NULL;
	h->xattrs = pax->xattrs;
	h->n_xattrs = pax->n_xattrs;
	return true;
}

/* Ids are 32 bits in the kernel, and -1 means "leave the owner": neither may come in through a
 * header. */
static bool merge_ids(struct tar_reader *r)
{
	struct tar_header *h = &r->header;

	if (r->uid < 0 || r->uid >= UINT32_MAX || r->gid < 0 || r->gid >= UINT32_MAX)
		return false;
	if ((h->type == '3' || h->type == '4') && (r->devmajor < 0 || r->devmajor > UINT32_MAX ||
	                                           r->devminor < 0 || r->devminor > UINT32_MAX))
		return false;
	h->uid = (uint32_t)r->uid;
	h->gid = (uint32_t)r->gid;
	h->devmajor = (uint32_t)r->devmajor;
	h->devminor = (uint32_t)r->devminor;
	return true;
}

/* ---- complete entries ---- */

static int give_entry(struct tar_reader *r, enum tar_event *event, cst_error **error)
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
		return give_entry(r, event, error);
	}
	if (!tar_pairs_valid(&r->pairs, h->size, &data))
		return invalid_header(error);
	if (data > h->body_size)
		return error_set(error, CST_EARCHIVE,
		                 "archive/tar: sparse file references non-existent data");
	if (data < h->body_size)
		return error_set(error, CST_EARCHIVE,
		                 "archive/tar: sparse file contains unreferenced data");
	return give_entry(r, event, error);
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
		const char *line = r->raw.data + r->map_position;
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
	return expect(r, READ_SPARSE_MAP, TAR_BLOCK, error);
}

static int continue_sparse_map(struct tar_reader *r, enum tar_event *event, cst_error **error)
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
static int finish_file(struct tar_reader *r, enum tar_event *event, cst_error **error)
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
	if (!merge_number(text, &size) || size < 0)
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

static int begin_old_sparse(struct tar_reader *r, const uint8_t *block, enum tar_event *event,
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
		return expect(r, READ_OLD_SPARSE, TAR_BLOCK, error);
	return give_file(r, r->physical, event, error);
}

static int continue_old_sparse(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	const uint8_t *block = (const uint8_t *)r->raw.data + r->part;

	if (!add_old_sparse(r, block, 21))
		return invalid_header(error);
	if (!block[504])
		return give_file(r, r->physical, event, error);
	if (r->raw.len > (size_t)META_MAX)
		return error_set(error, CST_EARCHIVE, "archive/tar: sparse map too long");
	return expect(r, READ_OLD_SPARSE, TAR_BLOCK, error);
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
	return expect(r, READ_META, (size_t)size, error);
}

static int finish_header(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	struct tar_header *h = &r->header;
	const uint8_t *block = (const uint8_t *)r->raw.data + r->part;

	if (tar_block_is_zero(block))
		return expect(r, READ_SECOND_ZERO, TAR_BLOCK, error);
	if (!parse_block(r, block))
		return failed_or_oom(r, error);
	if (h->type == 'x' || h->type == 'g' || h->type == 'L' || h->type == 'K')
		return begin_meta(r, error);
	if (!merge_pax(r))
		return failed_or_oom(r, error);
	h->name = r->long_name ? r->long_name : h->name;
	h->linkname = r->long_link ? r->long_link : h->linkname;
	if (h->type == '\0')
		h->type = has_suffix(h->name, "/") ? '5' : '0';
	else if (h->type == '7')
		h->type = '0'; /* contiguous */
	if (!is_header_only(h->type) && h->recorded_size < 0)
		return invalid_header(error);
	if (!merge_ids(r))
		return invalid_header(error);
	if (h->type == 'S')
		return begin_old_sparse(r, block, event, error);
	if (h->type != '0' && h->type != 'V' && !is_header_only(h->type))
		return error_set(error, CST_EARCHIVE, "unhandled tar header type %d",
		                 (unsigned char)h->type);
	return finish_file(r, event, error);
}

/* A global header is an entry of its own, without effect on others. */
static int finish_global(struct tar_reader *r, const char *body, enum tar_event *event,
                         cst_error **error)
{
	const char *name = r->header.name;

	if (!tar_pax_parse(&r->pax, body, (size_t)r->meta_size, arena_of(r)) || !merge_pax(r))
		return failed_or_oom(r, error);
	r->header = (struct tar_header){
	        .name = name, .linkname = "", .uname = "", .gname = "", .type = 'g'};
	r->pairs.len = 0;
	int given = give_entry(r, event, error);
	r->left = padding_of((uint64_t)r->meta_size);
	return given;
}

static int finish_meta(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	const char *body = r->raw.data + r->part;

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
	if (r->left > 0)
		return;
	r->left = padding_of(r->shown.body_size); /* a map in front of it is whole blocks */
	r->state = READ_PADDING;
	r->body_end = true;
}

/* The block or body that was wanted is there: 1 with an event, 0 to go on. */
static int finish_part(struct tar_reader *r, enum tar_event *event, cst_error **error)
{
	switch (r->state) {
	case READ_HEADER: return finish_header(r, event, error);
	case READ_META: return finish_meta(r, event, error);
	case READ_OLD_SPARSE: return continue_old_sparse(r, event, error);
	case READ_SPARSE_MAP: return continue_sparse_map(r, event, error);
	default: /* READ_SECOND_ZERO */
		if (!tar_block_is_zero((const uint8_t *)r->raw.data + r->part))
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
		return r->left > 0 ? 0 : expect(r, READ_HEADER, TAR_BLOCK, error);
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
		strbuf_reset(&r->raw);
		r->clear_raw = false;
	}
	while (result == 0) {
		if (r->len == 0 && !ready_without_data(r)) {
			*event = TAR_NEED_DATA;
			return 0;
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
