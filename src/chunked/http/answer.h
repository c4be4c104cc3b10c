/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of an HTTP server to a request for parts of a blob: which bytes of the blob its body has. Nothing that a server sends is
 * believed before it was looked at. */
#ifndef CST_CHUNKED_HTTP_ANSWER_H
#define CST_CHUNKED_HTTP_ANSWER_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

#define ANSWER_LINE_MAX   1024
#define ANSWER_REASON_MAX 160

enum answer_body {
	BODY_PLAIN,     /* one run of bytes, from `at` on */
	BODY_LINE,      /* multipart: a line between two parts is read */
	BODY_PART_HEAD, /* a header of a part */
	BODY_PART,      /* `left` bytes of a part, from `at` on */
	BODY_END,       /* what follows does not matter */
};

struct answer {
	uint64_t blob_size; /* that the blob should have; 0: not known */
	/* From the headers. */
	int status;
	char status_text[64];
	bool has_range, has_length, multipart;
	uint64_t first, end, total; /* Content-Range; total 0: the server does not know it */
	uint64_t length;            /* Content-Length */
	char boundary[80];
	size_t header_bytes;
	/* From the body. */
	enum answer_body state;
	uint64_t at, left;
	char line[ANSWER_LINE_MAX];
	size_t line_len;
	uint64_t junk; /* bytes of a multipart body that are no content */
	char reason[ANSWER_REASON_MAX]; /* why it is no good; "": it is */
};

/* A line of the headers. A status line begins a new answer: that of a redirect was before. False: `reason` tells. */
bool answer_header(struct answer *answer, const char *line, size_t n);
/* All headers are there. `whole`: the request was not for parts. False: `reason` tells. */
bool answer_begin(struct answer *answer, bool whole);
/* Is the next run of content in these bytes of the body? Returns how many of them were looked at; *content and *n are the run, which
 * begins at byte *offset of the blob; *n is 0 if there is none. -1: `reason` tells. */
int64_t answer_body(struct answer *answer, const char *data, size_t size, const char **content, size_t *n, uint64_t *offset);

#endif
