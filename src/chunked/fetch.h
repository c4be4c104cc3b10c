/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a blob, asked for in one request and read from its beginning to its end. */
#ifndef CST_CHUNKED_FETCH_H
#define CST_CHUNKED_FETCH_H

#include "base/error.h"
#include "base/mem.h"
#include <cstorage/pull.h>

#define FETCH_RANGES_MAX 1024 /* in a request, as the Go tools ask */
#define FETCH_GAP        1024 /* smaller gaps are fetched, too, and dropped: that is cheaper than another range */

struct fetch {
	const cst_range_source *source;
	cst_range *ranges;
	size_t n, capacity, max;
	size_t current;    /* range that is being read */
	uint64_t position; /* the next byte that the source gives */
	uint64_t bytes, requests, n_ranges; /* for the caller's statistics */
};
void fetch_init(struct fetch *fetch, const cst_range_source *source);
void fetch_done(struct fetch *fetch);
#define _cleanup_fetch_ _cleanup_(fetch_done)

/* A new list of parts, in ascending order. */
void fetch_begin(struct fetch *fetch);
int fetch_add(struct fetch *fetch, uint64_t offset, uint64_t end, cst_error **error);
/* Asks for what is in the list, if there is any. With fewer ranges if the source says it cannot. */
int fetch_request(struct fetch *fetch, cst_error **error);
/* Reads all n bytes at `offset`, which lie in one part, behind all that were read before. */
int fetch_read(struct fetch *fetch, uint64_t offset, void *buffer, size_t n, cst_error **error);
/* The next bytes, at most `size`; 0 at the end of the parts. */
int64_t fetch_some(struct fetch *fetch, void *buffer, size_t size, cst_error **error);

#endif
