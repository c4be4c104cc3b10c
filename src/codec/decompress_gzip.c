/* SPDX-License-Identifier: Apache-2.0 */
/* gzip: member headers are read here, as Go reads them; ISA-L or zlib inflates the data and checks
 * the trailer. */
#include "base/checksum.h"
#include "base/mem.h"
#include "codec/decompress.h"
#include "config.h"
#if HAVE_ISAL
#include "base/isal.h"
#else
#include <zlib.h>
#endif

/* The parts of a member. The inflating library gets GZIP_DATA, which includes the trailer. */
enum gzip_part {
	GZIP_FIXED, /* ten bytes: magic, method, flags, time, XFL, OS */
	GZIP_EXTRA_LENGTH,
	GZIP_EXTRA,
	GZIP_NAME,
	GZIP_COMMENT,
	GZIP_HEADER_CRC,
	GZIP_DATA, /* with the trailer */
};
enum { FLAG_HEADER_CRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16 };

struct gzip_state {
	enum gzip_part part;
	unsigned have;   /* bytes of this part so far */
	unsigned wanted; /* GZIP_EXTRA: its length */
	unsigned char fixed[10], pair[2];
	uint32_t header_crc;
	bool first; /* no member was read yet */
#if HAVE_ISAL
	const struct isal *isal;
	struct inflate_state inflate;
#else
	z_stream inflate;
#endif
};

/* ---- the inflating library ---- */

enum inflate_result { INFLATE_MORE, INFLATE_END, INFLATE_FAILED };

#if HAVE_ISAL
static int inflate_create(struct gzip_state *g, cst_error **error)
{
	int r = isal_load(&g->isal, error);
	if (r == 0)
		g->isal->inflate_init(&g->inflate);
	return r;
}

static void inflate_destroy(struct gzip_state *g)
{
}

static void inflate_begin(struct gzip_state *g)
{
	g->isal->inflate_reset(&g->inflate);
	g->inflate.crc_flag = ISAL_GZIP_NO_HDR_VER;
}

static enum inflate_result inflate_run(struct gzip_state *g, struct decode_step *step,
                                       cst_error **error)
{
	g->inflate.next_in = (uint8_t *)step->in;
	g->inflate.avail_in = (uint32_t)MIN((size_t)(step->in_end - step->in), (size_t)1 << 30);
	g->inflate.next_out = step->out;
	g->inflate.avail_out = (uint32_t)MIN((size_t)(step->out_end - step->out), (size_t)1 << 30);
	int r = g->isal->inflate(&g->inflate);
	step->in = g->inflate.next_in;
	step->out = g->inflate.next_out;
	if (r == ISAL_INCORRECT_CHECKSUM) {
		error_set(error, CST_EARCHIVE, "gzip: invalid checksum");
		return INFLATE_FAILED;
	}
	if (r < 0) {
		error_set(error, CST_EARCHIVE, "flate: corrupt input");
		return INFLATE_FAILED;
	}
	return g->inflate.block_state == ISAL_BLOCK_FINISH ? INFLATE_END : INFLATE_MORE;
}
#else
static int inflate_create(struct gzip_state *g, cst_error **error)
{
	return inflateInit2(&g->inflate, 15 + 16) == Z_OK ? 0 : error_oom(error);
}

static void inflate_destroy(struct gzip_state *g)
{
	inflateEnd(&g->inflate);
}

static void inflate_begin(struct gzip_state *g)
{
	static unsigned char plain_header[10] = {0x1f, 0x8b, 8};
	unsigned char nothing;

	/* zlib checks the trailer only behind a header, so it gets the shortest one. */
	inflateReset(&g->inflate);
	g->inflate.next_in = plain_header;
	g->inflate.avail_in = sizeof(plain_header);
	g->inflate.next_out = &nothing;
	g->inflate.avail_out = 0;
	inflate(&g->inflate, Z_NO_FLUSH);
}

static enum inflate_result inflate_run(struct gzip_state *g, struct decode_step *step,
                                       cst_error **error)
{
	g->inflate.next_in = (unsigned char *)step->in;
	g->inflate.avail_in = (uInt)MIN((size_t)(step->in_end - step->in), (size_t)1 << 30);
	g->inflate.next_out = step->out;
	g->inflate.avail_out = (uInt)MIN((size_t)(step->out_end - step->out), (size_t)1 << 30);
	int r = inflate(&g->inflate, Z_NO_FLUSH);
	step->in = g->inflate.next_in;
	step->out = g->inflate.next_out;
	if (r == Z_STREAM_END)
		return INFLATE_END;
	if (r == Z_OK || r == Z_BUF_ERROR)
		return INFLATE_MORE;
	const char *text = g->inflate.msg;
	if (r == Z_MEM_ERROR)
		error_oom(error);
	else if (text && (strcmp(text, "incorrect data check") == 0 ||
	                  strcmp(text, "incorrect length check") == 0))
		error_set(error, CST_EARCHIVE, "gzip: invalid checksum");
	else
		error_set(error, CST_EARCHIVE, "flate: corrupt input");
	return INFLATE_FAILED;
}
#endif

/* ---- member headers ---- */

static void next_part(struct gzip_state *g, enum gzip_part part)
{
	unsigned flags = g->fixed[3];

	g->have = 0;
	if (part == GZIP_EXTRA_LENGTH && !(flags & FLAG_EXTRA))
		part = GZIP_NAME;
	if (part == GZIP_NAME && !(flags & FLAG_NAME))
		part = GZIP_COMMENT;
	if (part == GZIP_COMMENT && !(flags & FLAG_COMMENT))
		part = GZIP_HEADER_CRC;
	if (part == GZIP_HEADER_CRC && !(flags & FLAG_HEADER_CRC))
		part = GZIP_DATA;
	g->part = part;
	if (part == GZIP_DATA)
		inflate_begin(g);
}

static bool fixed_part_valid(const struct gzip_state *g)
{
	return g->fixed[0] == 0x1f && g->fixed[1] == 0x8b && g->fixed[2] == 8;
}

/* One byte of the header; false when the header is wrong. */
static bool header_byte(struct gzip_state *g, unsigned char byte)
{
	if (g->part != GZIP_HEADER_CRC)
		g->header_crc = crc32_gzip(g->header_crc, &byte, 1);
	switch (g->part) {
	case GZIP_FIXED:
		g->fixed[g->have++] = byte;
		if (g->have < sizeof(g->fixed))
			return true;
		next_part(g, GZIP_EXTRA_LENGTH);
		return fixed_part_valid(g);
	case GZIP_EXTRA_LENGTH:
		g->pair[g->have++] = byte;
		if (g->have == 2) {
			g->wanted = g->pair[0] | (unsigned)g->pair[1] << 8;
			next_part(g, g->wanted > 0 ? GZIP_EXTRA : GZIP_NAME);
		}
		return true;
	case GZIP_EXTRA:
		if (++g->have == g->wanted)
			next_part(g, GZIP_NAME);
		return true;
	case GZIP_NAME:
	case GZIP_COMMENT:
		if (byte == 0)
			next_part(g, g->part == GZIP_NAME ? GZIP_COMMENT : GZIP_HEADER_CRC);
		return true;
	default:
		g->pair[g->have++] = byte;
		if (g->have < 2)
			return true;
		next_part(g, GZIP_DATA);
		return (g->pair[0] | (unsigned)g->pair[1] << 8) == (g->header_crc & 0xffff);
	}
}

static void begin_member(struct gzip_state *g)
{
	g->part = GZIP_FIXED;
	g->have = 0;
	g->header_crc = 0;
}

/* ---- the decoder ---- */

static void gzip_destroy(void *state)
{
	inflate_destroy(state);
	free(state);
}

static int gzip_create(void **ret, cst_error **error)
{
	_cleanup_free_ struct gzip_state *g = calloc(1, sizeof(*g));

	if (!g)
		return error_oom(error);
	int r = inflate_create(g, error);
	if (r < 0)
		return r;
	g->first = true;
	begin_member(g);
	*ret = steal_ptr(&g);
	return 0;
}

/* The input has ended, between members or inside of one. */
static int at_end(const struct gzip_state *g, struct decode_step *step, cst_error **error)
{
	if (!step->last)
		return 0;
	if (g->part == GZIP_FIXED && g->have == 0 && !g->first) {
		step->done = true;
		return 0;
	}
	return decode_error_eof(error);
}

static int run_members(struct gzip_state *g, struct decode_step *step, cst_error **error)
{
	for (;;) {
		while (g->part != GZIP_DATA) {
			if (step->in == step->in_end)
				return at_end(g, step, error);
			if (!header_byte(g, *step->in++))
				return error_set(error, CST_EARCHIVE, "gzip: invalid header");
		}
		const uint8_t *in = step->in, *out = step->out;
		switch (inflate_run(g, step, error)) {
		case INFLATE_FAILED: return error ? cst_error_code(*error) : CST_EARCHIVE;
		case INFLATE_END:
			g->first = false;
			begin_member(g);
			if (step->stop)
				return 0;
			continue;
		case INFLATE_MORE: break;
		}
		if (step->out == step->out_end)
			return 0;
		if (step->in == step->in_end &&
		    (!step->last || (in == step->in && out == step->out)))
			return at_end(g, step, error);
	}
}

static int gzip_run(void *state, struct decode_step *step, cst_error **error)
{
	struct gzip_state *g = state;
	int r = run_members(g, step, error);

	step->between = g->part == GZIP_FIXED && g->have == 0;
	return r;
}

const struct decoder decoder_gzip = {
        gzip_create, gzip_run, gzip_destroy, {0x1f, 0x8b, 8}, 3,
};
