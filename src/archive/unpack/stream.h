/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's thread: reads, decompresses, parses, and hands chunks on. */
#ifndef CST_ARCHIVE_UNPACK_STREAM_H
#define CST_ARCHIVE_UNPACK_STREAM_H

#include "archive/unpack/namespace.h"
#include "archive/unpack/parse.h"
#include "archive/unpack/record.h"
#include "codec/compress.h"

#define INPUT_COUNT 4

struct input { /* a piece of the compressed stream, being digested */
	struct task task;
	struct stream *stream;
	_Atomic bool busy;
	size_t len;
	uint8_t *data;
};

struct stream {
	struct work *work;
	struct recording *recording;
	struct namespace *namespace;
	const struct unpack_options *options;
	const cst_source *source;
	enum cst_compression kind;
	struct decompressor *decompressor; /* NULL: plain */
	struct unpack_parser parser;
	struct op_sink ops;
	struct chunk *filling; /* what ops of the parser go to */

	uint8_t detected[COMPRESSION_DETECT_SIZE]; /* read to find out the compression, not yet used */
	size_t n_detected;
	uint64_t bytes_in, bytes_out;

	struct strand input_strand;
	struct digester *input_digest;
	struct input inputs[INPUT_COUNT];
	unsigned next_input;

	enum unpack_fault fault; /* of the failure at this entry */
	uint64_t fault_at;
};
/* The members above `kind` are the caller's. */
int stream_open(struct stream *s, cst_error **error);
/* All of the source, until its end or a failure, which goes to work_fail(). */
void stream_run(struct stream *s);
void stream_free(struct stream *s);

#endif
