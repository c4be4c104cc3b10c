/* SPDX-License-Identifier: Apache-2.0 */
/* The tar reader from inside: tar_reader.c walks through the archive, tar_header.c understands one
 * header, tar_sparse.c the three ways in which a sparse file's map comes. */
#ifndef CST_ARCHIVE_TAR_READER_INTERNAL_H
#define CST_ARCHIVE_TAR_READER_INTERNAL_H

#include "archive/tar/fields.h"

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
	/* All bytes since the last body byte: in what was fed, as long as that has them all, else in `kept`. */
	struct tar_raw {
		const uint8_t *data;
		size_t len;
	} raw;
	struct strbuf kept;
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

static inline struct arena *arena_of(struct tar_reader *r)
{
	return &r->arenas[r->reading];
}

/* Types that never have a body, whatever the size field says. */
static inline bool is_header_only(char type)
{
	return type >= '1' && type <= '6';
}

static inline int invalid_header(cst_error **error)
{
	error_set(error, CST_EARCHIVE, "it is no tar, or a damaged one: a header in it is not valid");
	return error_go_words(error, CST_EARCHIVE, NULL, "archive/tar: invalid tar header");
}

static inline int unexpected_eof(cst_error **error)
{
	error_set(error, CST_EARCHIVE, "the tar ends early");
	return error_go_words(error, CST_EARCHIVE, NULL, "unexpected EOF");
}

/* ---- tar_reader.c ---- */

/* Goes on with a part of `n` bytes at the end of raw. */
int tar_reader_expect(struct tar_reader *r, enum reader_state state, size_t n, cst_error **error);
/* Gives the entry out as it is in r->header: 1, with the event. */
int tar_reader_give_entry(struct tar_reader *r, enum tar_event *event, cst_error **error);

/* ---- tar_header.c; false: not a header that can be used ---- */

/* The fields of one block; the numbers that PAX records may replace stay in the reader. */
bool tar_header_parse(struct tar_reader *r, const uint8_t *block);
bool tar_header_merge_pax(struct tar_reader *r);
bool tar_header_merge_ids(struct tar_reader *r);

/* ---- tar_sparse.c: 1 with an event, 0 when more of the archive is needed ---- */

/* The body's size and place are known; what remains are sparse maps. */
int tar_sparse_finish_file(struct tar_reader *r, enum tar_event *event, cst_error **error);
int tar_sparse_continue_map(struct tar_reader *r, enum tar_event *event, cst_error **error);
int tar_sparse_begin_old(struct tar_reader *r, const uint8_t *block, enum tar_event *event,
                         cst_error **error);
int tar_sparse_continue_old(struct tar_reader *r, enum tar_event *event, cst_error **error);

#endif
