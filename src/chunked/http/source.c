/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs on an HTTP server (<cstorage/http.h>). Several transfers run at the same time; they are read in their order. Bytes only move
 * while somebody reads: there is no thread. */
#include "base/types.h"
#include "chunked/http/transfer.h"
#include <cstorage/http.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#define MANY_MIN     8  /* from so many ranges on, several are asked for in one request */
#define MANY_MAX     64 /* ranges in a request: servers limit the length of a header */
#define RETRIES_MAX  3
#define POLL_MAX     1000 /* milliseconds */
#define TRANSFER_MAX 64

struct cst_http_blob {
	struct server server;
	uint64_t min_speed, stall_seconds;
	unsigned max; /* transfers at the same time */

	/* The current request. */
	const cst_range *ranges;
	size_t n, next;    /* the first range that no transfer asks for, */
	uint64_t position; /* and where in it */
	unsigned retries;
	struct transfer *first, **end;
	unsigned running;

	/* Does the server send several ranges in one answer? */
	enum { MANY_UNKNOWN, MANY_SENT, MANY_REFUSED } many;

	/* Waiting for the server, as long as it was too slow. */
	uint64_t waited, waited_from; /* milliseconds; server.received when it began */
};

static void http_blob_freep(cst_http_blob **blob)
{
	cst_http_blob_free(*blob);
}

static void abandon(cst_http_blob *blob)
{
	while (blob->first) {
		struct transfer *t = blob->first;
		blob->first = t->next;
		transfer_free(t);
	}
	blob->end = &blob->first;
	blob->running = 0;
}

/* ---- transfers ---- */

static void look_for_ends(cst_http_blob *blob)
{
	const struct curl_functions *curl = blob->server.curl;
	struct curl_message *message;
	int left;
	while ((message = curl->multi_info_read(blob->server.multi, &left))) {
		struct transfer *t = NULL;
		if (message->kind == CURLMSG_DONE &&
		    curl->easy_getinfo(message->transfer, CURLINFO_PRIVATE, &t) == 0 && t)
			transfer_end(t, message->data.result);
	}
}

static int perform(cst_http_blob *blob, cst_error **error)
{
	int running;
	if (blob->server.curl->multi_perform(blob->server.multi, &running) != 0)
		return error_set(error, CST_EIO_CALLBACK, "%s: libcurl gives up",
		                 blob->server.shown);
	look_for_ends(blob);
	return 0;
}

static uint64_t milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for the server, at most a second. Only such time counts against it: the reader may be slow. */
static int wait_for_server(cst_http_blob *blob, cst_error **error)
{
	const struct server *server = &blob->server;
	uint64_t before = milliseconds(), limit = blob->stall_seconds * 1000;
	server->curl->multi_poll(server->multi, NULL, 0, (int)MIN(limit, POLL_MAX), NULL);
	blob->waited += milliseconds() - before;
	int r = perform(blob, error);
	if (r < 0 || blob->waited < limit)
		return r;
	uint64_t came = server->received - blob->waited_from;
	if (came / blob->stall_seconds < blob->min_speed)
		return error_set(error, CST_EIO_CALLBACK,
		                 "%s: the server sent %" PRIu64 " bytes in %" PRIu64 " seconds",
		                 server->shown, came, blob->stall_seconds);
	blob->waited = 0;
	blob->waited_from = server->received;
	return 0;
}

/* How many ranges the next transfer asks for. */
static size_t next_group(const cst_http_blob *blob)
{
	size_t left = blob->n - blob->next;
	return left < MANY_MIN || blob->many == MANY_REFUSED ? 1 : MIN(left, MANY_MAX);
}

/* Starts as many as may run. Only one, as long as it is not known if the server sends several ranges. */
static int start(cst_http_blob *blob, cst_error **error)
{
	while (blob->next < blob->n && blob->running < blob->max &&
	       !(blob->first && blob->first->n > 1 && blob->many == MANY_UNKNOWN)) {
		size_t n = next_group(blob);
		struct transfer *t;
		int r = transfer_start(&blob->server, blob->ranges + blob->next, n, blob->position,
		                       &t, error);
		if (r < 0)
			return r;
		*blob->end = t;
		blob->end = &t->next;
		blob->running++;
		blob->next += n;
		if (blob->next < blob->n)
			blob->position = blob->ranges[blob->next].offset;
	}
	return perform(blob, error);
}

/* The first one is read. */
static int retire(cst_http_blob *blob, cst_error **error)
{
	struct transfer *t = blob->first;
	if (t->n > 1)
		blob->many = MANY_SENT;
	blob->first = t->next;
	if (!blob->first)
		blob->end = &blob->first;
	blob->running--;
	/* The rest of its answer makes its connection free for another. */
	int r = t->done ? 0 : perform(blob, error);
	transfer_free(t);
	return r < 0 ? r : start(blob, error);
}

/* The first one ended, and is not whole. What it lacks is asked for again if there is hope, together with all behind it. */
static int settle(cst_http_blob *blob, cst_error **error)
{
	const struct transfer *t = blob->first;
	bool again = transfer_broke_off(t) && blob->retries < RETRIES_MAX;
	if (again)
		blob->retries++;
	else if (t->n == 1 || t->data.failed)
		return transfer_fail(t, error);
	else
		blob->many = MANY_REFUSED;
	blob->next = (size_t)(t->ranges - blob->ranges) + t->current;
	blob->position = t->position;
	abandon(blob);
	return start(blob, error);
}

/* ---- the source ---- */

static int request(void *userdata, const cst_range *ranges, size_t n, cst_error **error)
{
	cst_http_blob *blob = userdata;
	abandon(blob);
	blob->ranges = ranges;
	blob->n = n;
	blob->next = 0;
	blob->position = n > 0 ? ranges->offset : 0;
	blob->retries = 0;
	blob->waited = 0;
	blob->waited_from = blob->server.received;
	return start(blob, error);
}

static int64_t read_ranges(void *userdata, void *buffer, size_t size, cst_error **error)
{
	cst_http_blob *blob = userdata;
	while (blob->first) {
		struct transfer *t = blob->first;
		size_t n = transfer_take(t, buffer, size);
		int r = 0;
		if (n > 0)
			return (int64_t)n;
		if (transfer_is_whole(t))
			r = retire(blob, error);
		else if (t->paused)
			transfer_resume(t);
		else if (t->done)
			r = settle(blob, error);
		else
			r = wait_for_server(blob, error);
		if (r < 0)
			return r;
	}
	return 0;
}

cst_range_source cst_http_blob_source(cst_http_blob *blob)
{
	return (cst_range_source){.blob_size = blob->server.blob_size,
	                          .request = request,
	                          .read = read_ranges,
	                          .userdata = blob};
}

/* ---- opening ---- */

/* Without user, password and what is behind the path. */
static char *shown_url(const char *url)
{
	const char *host = strstr(url, "://") + 3;
	size_t path = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', path);
	const char *rest = at ? at + 1 : host;
	return str_printf("%.*s%.*s", (int)(host - url), url, (int)strcspn(rest, "?#"), rest);
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			return true;
	return false;
}

static int add_headers(struct server *server, const cst_http_options *options, cst_error **error)
{
	for (size_t i = 0; i < options->n_headers; i++) {
		const char *header = options->headers[i];
		if (*header == ':' || !strchr(header, ':') || has_control(header))
			return error_set(error, CST_EINVAL,
			                 "header %zu is not of the form NAME: VALUE", i + 1);
		struct curl_slist *grown = server->curl->slist_append(server->headers, header);
		if (!grown)
			return error_oom(error);
		server->headers = grown;
	}
	return 0;
}

static int set_up(cst_http_blob *blob, const char *url, const cst_http_options *options,
                  cst_error **error)
{
	struct server *server = &blob->server;
	blob->min_speed = options->min_speed ? options->min_speed : 1000;
	blob->stall_seconds = options->stall_seconds ? options->stall_seconds : 30;
	blob->max = options->transfers ? MIN(options->transfers, TRANSFER_MAX) : 4;
	server->connect_seconds = options->connect_seconds ? options->connect_seconds : 30;
	server->blob_size = options->blob_size;
	server->url = strdup(url);
	server->shown = shown_url(url);
	server->ca_file = isempty(options->ca_file) ? NULL : strdup(options->ca_file);
	server->multi = server->curl->multi_init();
	if (!server->url || !server->shown || !server->multi ||
	    (!isempty(options->ca_file) && !server->ca_file))
		return error_oom(error);
	return add_headers(server, options, error);
}

/* By its first byte. The answer to that says how many there are, even if all are sent; what a HEAD answers is another matter. */
static int ask_for_size(cst_http_blob *blob, cst_error **error)
{
	static const cst_range first = {0, 1};
	int r = request(blob, &first, 1, error);
	while (r == 0 && !blob->first->began && !blob->first->done)
		r = wait_for_server(blob, error);
	if (r < 0)
		return r;
	const struct transfer *t = blob->first;
	const struct answer *answer = &t->answer;
	if (t->began && (answer->status == 200 || answer->status == 206) && answer->total > 0)
		blob->server.blob_size = answer->total;
	else if (*answer->reason || !t->began)
		r = transfer_fail(t, error);
	else
		r = error_set(error, CST_EIO_CALLBACK,
		              "%s: the server does not say how large the blob is",
		              blob->server.shown);
	abandon(blob);
	return r;
}

int cst_http_blob_open(const char *url, const cst_http_options *given, cst_http_blob **ret,
                       cst_error **error)
{
	cst_http_options options = CST_HTTP_OPTIONS_INIT;
	_cleanup_(http_blob_freep) cst_http_blob *blob = new0(cst_http_blob, 1);
	if (!blob)
		return error_oom(error);
	blob->end = &blob->first;
	int r = options_take(&options, sizeof(options), given, "cst_http_options", error);
	if (r < 0)
		return r;
	if (!url || (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0) ||
	    has_control(url))
		return error_set(error, CST_EINVAL, "\"%s\" is no http:// or https:// URL",
		                 strempty(url));
	if (options.blob_size > INT64_MAX)
		return error_set(error, CST_EINVAL, "no blob is so large");
	r = curl_load(&blob->server.curl, error);
	if (r == 0)
		r = set_up(blob, url, &options, error);
	if (r == 0 && blob->server.blob_size == 0)
		r = ask_for_size(blob, error);
	if (r == 0)
		*ret = steal_ptr(&blob);
	return r;
}

void cst_http_blob_free(cst_http_blob *blob)
{
	if (!blob)
		return;
	struct server *server = &blob->server;
	abandon(blob);
	if (server->multi)
		server->curl->multi_cleanup(server->multi);
	if (server->headers)
		server->curl->slist_free_all(server->headers);
	free(server->url);
	free(server->shown);
	free(server->ca_file);
	free(blob);
}
