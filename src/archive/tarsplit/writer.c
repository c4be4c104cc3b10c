/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the lines of a tar-split file, as the Go tools write them (tarsplit.h). */
#include "archive/tarsplit/tarsplit.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "base/types.h"
#include "codec/gzip_writer.h"
#include <errno.h>

/* Lines are gathered before they are compressed. */
#define LINES_SIZE (32 * 1024)
/* Where a segment ends and another one begins, so that no reader needs more memory than that. The headers of one entry are
 * shorter: they stay in one segment, as the Go tools write them. */
#define SEGMENT_ENOUGH ((size_t)8 << 20)

struct tarsplit_writer {
	cst_sink sink;
	struct gzip_writer *gzip; /* in front of the sink; NULL: none */
	struct strbuf lines;
	int64_t position;
	size_t segment_len;    /* of the open segment; 0: none is open */
	unsigned char held[3]; /* of the open segment: base64 takes three bytes at a time */
	unsigned n_held;
};

static int write_file(void *userdata, const void *data, size_t n, cst_error **error)
{
	int fd = (int)(intptr_t)userdata;
	return sys_write_all(fd, data, n) < 0 ? error_sys(error, errno, "write tar-split") : 0;
}

int tarsplit_writer_new(int fd, struct tarsplit_writer **ret, cst_error **error)
{
	_cleanup_(tarsplit_writer_freep) struct tarsplit_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return error_oom(error);
	w->sink = (cst_sink){.write = write_file, .userdata = (void *)(intptr_t)fd};
	int r = gzip_writer_new(&w->sink, &w->gzip, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&w);
	return 0;
}

int tarsplit_writer_new_plain(const cst_sink *sink, struct tarsplit_writer **ret, cst_error **error)
{
	struct tarsplit_writer *w = new0(struct tarsplit_writer, 1);
	if (!w)
		return error_oom(error);
	w->sink = *sink;
	*ret = w;
	return 0;
}

void tarsplit_writer_free(struct tarsplit_writer *w)
{
	if (!w)
		return;
	gzip_writer_free(w->gzip);
	strbuf_free(&w->lines);
	free(w);
}

void tarsplit_writer_freep(struct tarsplit_writer **w)
{
	tarsplit_writer_free(*w);
}

static int flush_lines(struct tarsplit_writer *w, size_t threshold, cst_error **error)
{
	if (w->lines.failed)
		return error_oom(error);
	if (w->lines.len <= threshold)
		return 0;
	int r = w->gzip ? gzip_writer_write(w->gzip, w->lines.data, w->lines.len, error)
	                : sink_write(&w->sink, w->lines.data, w->lines.len, error);
	strbuf_reset(&w->lines);
	return r;
}

static void add_number(struct tarsplit_writer *w, const char *key, int64_t n)
{
	char room[NUMBER_TEXT_MAX];
	strbuf_adds(&w->lines, key);
	strbuf_adds(&w->lines, number_text(n, room));
}

static void end_line(struct tarsplit_writer *w)
{
	add_number(w, ",\"position\":", w->position++);
	strbuf_adds(&w->lines, "}\n");
}

/* ---- segments ---- */

static int close_segment(struct tarsplit_writer *w, cst_error **error)
{
	if (w->segment_len == 0)
		return 0;
	base64_encode(&w->lines, w->held, w->n_held);
	w->n_held = 0;
	w->segment_len = 0;
	strbuf_adds(&w->lines, "\"");
	end_line(w);
	return flush_lines(w, LINES_SIZE, error);
}

int tarsplit_append_segment(struct tarsplit_writer *w, const void *data, size_t n,
                            cst_error **error)
{
	const unsigned char *p = data;

	while (n > 0) {
		int r = w->segment_len >= SEGMENT_ENOUGH ? close_segment(w, error) : 0;
		if (r < 0)
			return r;
		if (w->segment_len == 0)
			strbuf_adds(&w->lines, "{\"type\":2,\"payload\":\"");
		if (w->n_held > 0 || n < 3) {
			w->held[w->n_held++] = *p++;
			n--;
			w->segment_len++;
			if (w->n_held == 3) {
				base64_encode(&w->lines, w->held, 3);
				w->n_held = 0;
			}
			continue;
		}
		size_t piece = MIN(n - n % 3, (size_t)LINES_SIZE / 4 * 3);
		base64_encode(&w->lines, p, piece);
		p += piece;
		n -= piece;
		w->segment_len += piece;
		if ((r = flush_lines(w, LINES_SIZE, error)) < 0)
			return r;
	}
	return flush_lines(w, LINES_SIZE, error);
}

int tarsplit_add_segment(struct tarsplit_writer *w, const void *data, size_t n, cst_error **error)
{
	int r = close_segment(w, error);

	if (r == 0)
		r = tarsplit_append_segment(w, data, n, error);
	return r < 0 ? r : close_segment(w, error);
}

/* ---- files ---- */

static void add_name(struct tarsplit_writer *w, const char *name, size_t n)
{
	if (n == 0)
		return;
	if (!utf8_valid(name, n)) {
		strbuf_adds(&w->lines, ",\"name_raw\":\"");
		base64_encode(&w->lines, name, n);
		strbuf_addc(&w->lines, '"');
		return;
	}
	struct json_writer json;
	json_writer_init(&json, &w->lines, JSON_OUTPUT);
	strbuf_adds(&w->lines, ",\"name\":");
	json_put_bytes(&json, name, n);
}

int tarsplit_add_file(struct tarsplit_writer *w, const char *name, size_t name_len, int64_t size,
                      uint64_t crc, cst_error **error)
{
	unsigned char sum[8];
	int r = close_segment(w, error);

	if (r < 0)
		return r;
	strbuf_adds(&w->lines, "{\"type\":1");
	add_name(w, name, name_len);
	if (size > 0) {
		for (int i = 0; i < 8; i++)
			sum[i] = (unsigned char)(crc >> (56 - 8 * i));
		add_number(w, ",\"size\":", size);
		strbuf_adds(&w->lines, ",\"payload\":\"");
		base64_encode(&w->lines, sum, sizeof(sum));
		strbuf_adds(&w->lines, "\"");
	} else {
		strbuf_adds(&w->lines, ",\"payload\":null");
	}
	end_line(w);
	return flush_lines(w, LINES_SIZE, error);
}

int tarsplit_finish(struct tarsplit_writer *w, cst_error **error)
{
	int r = close_segment(w, error);

	if (r == 0)
		r = flush_lines(w, 0, error);
	return r == 0 && w->gzip ? gzip_writer_finish(w->gzip, error) : r;
}
