/* SPDX-License-Identifier: Apache-2.0 */
/* One request for ranges of a blob (transfer.h). What the server sends too much of is dropped, so that one that sends more than was
 * asked for is of use, too. */
#include "chunked/http/transfer.h"
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define WAITING_MAX \
	((size_t)1 << 20) /* what has come and nobody has read; then the server has to wait */
#define READ_SIZE     (128L << 10)
#define REDIRECTS_MAX 10L

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	if (t->curl) {
		t->server->curl->multi_remove_handle(t->server->multi, t->curl);
		t->server->curl->easy_cleanup(t->curl);
	}
	strbuf_free(&t->data);
	free(t);
}

/* ---- what comes ---- */

static size_t take_header(char *data, size_t one, size_t n, void *userdata)
{
	struct transfer *t = userdata;
	return answer_header(&t->answer, data, n) ? n : 0;
}

/* A run of content from byte `offset` of the blob on. False: what is wanted can come no more. */
static bool keep(struct transfer *t, const char *content, size_t n, uint64_t offset)
{
	uint64_t end = offset + n;
	while (!transfer_is_whole(t) && t->position < end) {
		const cst_range *range = &t->ranges[t->current];
		if (offset > t->position) {
			snprintf(t->answer.reason, sizeof(t->answer.reason),
			         "the server sends byte %" PRIu64 " where byte %" PRIu64
			         " should be",
			         offset, t->position);
			return false;
		}
		uint64_t stop = MIN(end, range->offset + range->length);
		strbuf_add(&t->data, content + (t->position - offset),
		           (size_t)(stop - t->position));
		t->position = stop;
		if (stop == range->offset + range->length && ++t->current < t->n)
			t->position = t->ranges[t->current].offset;
	}
	return !t->data.failed;
}

static bool begin(struct transfer *t)
{
	t->began = true;
	return answer_begin(&t->answer, t->whole);
}

static size_t take_body(char *data, size_t one, size_t size, void *userdata)
{
	struct transfer *t = userdata;
	if (t->data.len - t->taken >= WAITING_MAX) {
		t->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (!t->began && !begin(t))
		return 0;
	t->server->received += size;
	for (size_t done = 0; done < size;) {
		const char *content;
		size_t n;
		uint64_t offset;
		int64_t used =
		        answer_body(&t->answer, data + done, size - done, &content, &n, &offset);
		if (used < 0 || (n > 0 && !keep(t, content, n, offset)))
			return 0;
		done += (size_t)used;
	}
	return size;
}

/* ---- asking ---- */

/* "FIRST-LAST,..." of all ranges. */
static char *range_text(const struct transfer *t)
{
	struct strbuf text = {0};
	for (size_t i = 0; i < t->n; i++)
		strbuf_addf(&text, "%s%" PRIu64 "-%" PRIu64, i ? "," : "",
		            i ? t->ranges[i].offset : t->position,
		            t->ranges[i].offset + t->ranges[i].length - 1);
	return strbuf_steal(&text);
}

static int set_options(struct transfer *t, cst_error **error)
{
	const struct server *server = t->server;
	const struct curl_functions *curl = server->curl;
	_cleanup_free_ char *range = t->whole ? NULL : range_text(t);
	bool secure = strncasecmp(server->url, "https:", 6) == 0;
	long known = CURLPROTO_HTTPS | (secure ? 0 : CURLPROTO_HTTP);
	if (!t->whole && !range)
		return error_oom(error);
	int bad = curl->easy_setopt(t->curl, CURLOPT_URL, server->url) |
	          curl->easy_setopt(t->curl, CURLOPT_RANGE, range) |
	          curl->easy_setopt(t->curl, CURLOPT_HTTPHEADER, server->headers) |
	          curl->easy_setopt(t->curl, CURLOPT_USERAGENT, "cstorage") |
	          curl->easy_setopt(t->curl, CURLOPT_NOPROGRESS, 1L) |
	          curl->easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L) |
	          curl->easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 1L) |
	          curl->easy_setopt(t->curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX) |
	          curl->easy_setopt(t->curl, CURLOPT_PROTOCOLS, known) |
	          curl->easy_setopt(t->curl, CURLOPT_REDIR_PROTOCOLS, known | CURLPROTO_HTTPS) |
	          curl->easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT, server->connect_seconds) |
	          curl->easy_setopt(t->curl, CURLOPT_BUFFERSIZE, READ_SIZE) |
	          curl->easy_setopt(t->curl, CURLOPT_PIPEWAIT, 1L) |
	          curl->easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->problem) |
	          curl->easy_setopt(t->curl, CURLOPT_PRIVATE, t) |
	          curl->easy_setopt(t->curl, CURLOPT_HEADERDATA, t) |
	          curl->easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, take_header) |
	          curl->easy_setopt(t->curl, CURLOPT_WRITEDATA, t) |
	          curl->easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, take_body);
	if (!bad && server->ca_file)
		bad = curl->easy_setopt(t->curl, CURLOPT_CAINFO, server->ca_file);
	return bad ? error_set(error, CST_ENOTSUP, "libcurl lacks an option that is needed") : 0;
}

int transfer_start(struct server *server, const cst_range *ranges, size_t n, uint64_t position,
                   struct transfer **ret, cst_error **error)
{
	_cleanup_(transfer_freep) struct transfer *t = new0(struct transfer, 1);
	if (!t)
		return error_oom(error);
	t->server = server;
	t->ranges = ranges;
	t->n = n;
	t->position = position;
	t->answer.blob_size = server->blob_size;
	t->whole = n == 1 && position == 0 && ranges->length == server->blob_size;
	t->curl = server->curl->easy_init();
	int r = t->curl ? set_options(t, error) : error_oom(error);
	if (r == 0 && server->curl->multi_add_handle(server->multi, t->curl) != 0)
		r = error_set(error, CST_EIO_CALLBACK, "%s: libcurl takes no transfer",
		              server->shown);
	if (r == 0)
		*ret = steal_ptr(&t);
	return r;
}

/* ---- for the reader ---- */

size_t transfer_take(struct transfer *t, void *buffer, size_t size)
{
	size_t n = MIN(size, t->data.len - t->taken);
	if (n == 0)
		return 0;
	memcpy(buffer, t->data.data + t->taken, n);
	t->taken += n;
	if (t->taken == t->data.len) {
		strbuf_reset(&t->data);
		t->taken = 0;
	}
	return n;
}

void transfer_resume(struct transfer *t)
{
	t->paused = false;
	t->server->curl->easy_pause(t->curl, CURLPAUSE_CONT);
}

void transfer_end(struct transfer *t, int result)
{
	t->done = true;
	t->result = result;
	if (result == 0 && !t->began)
		begin(t);
}

bool transfer_broke_off(const struct transfer *t)
{
	if (*t->answer.reason)
		return false;
	return t->result == 0 || t->result == CURLE_PARTIAL_FILE ||
	       t->result == CURLE_GOT_NOTHING || t->result == CURLE_SEND_ERROR ||
	       t->result == CURLE_RECV_ERROR || t->result == CURLE_HTTP2_STREAM;
}

int transfer_fail(const struct transfer *t, cst_error **error)
{
	const struct server *server = t->server;
	if (t->data.failed)
		return error_oom(error);
	if (*t->answer.reason)
		return error_set(error, CST_EIO_CALLBACK, "%s: %s", server->shown,
		                 t->answer.reason);
	if (t->result == 0 || t->result == CURLE_PARTIAL_FILE)
		return error_set(error, CST_EIO_CALLBACK,
		                 "%s: the answer ends early, at byte %" PRIu64, server->shown,
		                 t->position);
	return error_set(error, CST_EIO_CALLBACK, "%s: %s", server->shown,
	                 str_or(t->problem, server->curl->easy_strerror(t->result)));
}
