/* SPDX-License-Identifier: Apache-2.0 */
/* Collects small writes in a buffer and gives them to the sink in one piece. */
#include "base/sink_buffer.h"
#include "base/types.h"

int sink_buffer_init(struct sink_buffer *buffer, const cst_sink *sink, cst_error **error)
{
	char *data = malloc(SINK_BUFFER_SIZE);
	if (!data)
		return error_oom(error);
	*buffer = (struct sink_buffer){.sink = sink, .data = data};
	return 0;
}

int sink_buffer_flush(struct sink_buffer *buffer, cst_error **error)
{
	size_t n = buffer->len;
	buffer->len = 0;
	return n ? sink_write(buffer->sink, buffer->data, n, error) : 0;
}

int sink_buffer_write(struct sink_buffer *buffer, const void *data, size_t n, cst_error **error)
{
	int r;
	if (n > SINK_BUFFER_SIZE - buffer->len && (r = sink_buffer_flush(buffer, error)) < 0)
		return r;
	buffer->total += n;
	if (n >= SINK_BUFFER_SIZE)
		return sink_write(buffer->sink, data, n, error);
	memcpy(buffer->data + buffer->len, data, n);
	buffer->len += n;
	return 0;
}

int sink_buffer_zeros(struct sink_buffer *buffer, size_t n, cst_error **error)
{
	while (n > 0) {
		void *room;
		size_t size;
		int r = sink_buffer_room(buffer, &room, &size, error);
		if (r < 0)
			return r;
		size = MIN(size, n);
		memset(room, 0, size);
		sink_buffer_commit(buffer, size);
		n -= size;
	}
	return 0;
}

int sink_buffer_room(struct sink_buffer *buffer, void **ret, size_t *ret_n, cst_error **error)
{
	if (buffer->len == SINK_BUFFER_SIZE) {
		int r = sink_buffer_flush(buffer, error);
		if (r < 0)
			return r;
	}
	*ret = buffer->data + buffer->len;
	*ret_n = SINK_BUFFER_SIZE - buffer->len;
	return 0;
}

void sink_buffer_commit(struct sink_buffer *buffer, size_t n)
{
	buffer->len += n;
	buffer->total += n;
}

void sink_buffer_free(struct sink_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct sink_buffer){0};
}
