/* SPDX-License-Identifier: Apache-2.0 */
/* One request for ranges of a blob, and what has come of them. */
#ifndef CST_CHUNKED_HTTP_TRANSFER_H
#define CST_CHUNKED_HTTP_TRANSFER_H

#include "base/str.h"
#include "chunked/http/answer.h"
#include "chunked/http/curl.h"
#include <cstorage/pull.h>

/* Where all requests for a blob go. */
struct server {
	const struct curl_functions *curl;
	CURLM *multi;
	char *url, *shown; /* shown: what messages say of it */
	char *ca_file;     /* NULL: those of the system */
	struct curl_slist *headers;
	long connect_seconds;
	uint64_t blob_size; /* 0: not known */
	uint64_t received;  /* bytes of all bodies */
};

struct transfer {
	struct server *server;
	CURL *curl;
	struct transfer *next;
	const cst_range *ranges;
	size_t n, current;
	uint64_t position; /* of the next byte that is wanted, in the current range */
	bool whole;        /* it asks for all of the blob */
	bool began;        /* the headers of the answer were looked at */
	bool paused, done;
	int result;               /* done: what libcurl says */
	char problem[CURL_ERROR_SIZE];
	struct answer answer;
	struct strbuf data;
	size_t taken; /* of data */
};

/* Begins at byte `position` of the first range. */
int transfer_start(struct server *server, const cst_range *ranges, size_t n, uint64_t position, struct transfer **ret,
		   cst_error **error);
void transfer_free(struct transfer *transfer);
DEFINE_CLEANUP(struct transfer *, transfer_free)

/* Is all there that was asked for? */
static inline bool transfer_is_whole(const struct transfer *t)
{
	return t->current == t->n;
}
/* Hands out bytes that have come, at most `size`. */
size_t transfer_take(struct transfer *transfer, void *buffer, size_t size);
/* What has come was taken: more may come. */
void transfer_resume(struct transfer *transfer);
/* libcurl is done with it. */
void transfer_end(struct transfer *transfer, int result);
/* Did the way to the server break, or the answer break off, which the next try may not? */
bool transfer_broke_off(const struct transfer *transfer);
/* Sets the error of a transfer that is done and not whole. */
int transfer_fail(const struct transfer *transfer, cst_error **error);

#endif
