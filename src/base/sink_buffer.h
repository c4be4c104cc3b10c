/* SPDX-License-Identifier: Apache-2.0 */
/* Collects small writes in front of a sink. Freeing it drops what was not flushed. */
#ifndef CST_BASE_SINK_BUFFER_H
#define CST_BASE_SINK_BUFFER_H

#include "base/error.h"
#include "base/mem.h"
#include <cstorage/types.h>

#define SINK_BUFFER_SIZE ((size_t)256 << 10)

struct sink_buffer {
	const cst_sink *sink;
	char *data; /* SINK_BUFFER_SIZE bytes */
	size_t len;
	uint64_t total; /* bytes put in so far */
};

int sink_buffer_init(struct sink_buffer *buffer, const cst_sink *sink, cst_error **error);
int sink_buffer_write(struct sink_buffer *buffer, const void *data, size_t n, cst_error **error);
int sink_buffer_zeros(struct sink_buffer *buffer, size_t n, cst_error **error);
int sink_buffer_flush(struct sink_buffer *buffer, cst_error **error);

/* Room to read into directly: at least one byte. Then call sink_buffer_commit() with how much of it
 * was filled. */
int sink_buffer_room(struct sink_buffer *buffer, void **ret, size_t *ret_n, cst_error **error);
void sink_buffer_commit(struct sink_buffer *buffer, size_t n);

void sink_buffer_free(struct sink_buffer *buffer);
#define _cleanup_sink_buffer_ _cleanup_(sink_buffer_free)

#endif
