/* SPDX-License-Identifier: Apache-2.0 */
/* Parses a layer tar as unpacking does, and records it (split.h). */
#include "archive/unpack/split.h"
#include "archive/unpack/parse.h"
#include "archive/unpack/record.h"

struct tar_split {
	struct unpack_options options;
	struct unpack_parser parser;
	struct recorder recorder;
	struct digester *digester;
	struct op_sink ops;
	struct arena arena;
	int64_t size;
};

void tar_split_free(struct tar_split *split)
{
	unpack_parser_free(&split->parser);
	recorder_free(&split->recorder);
	digester_free(split->digester);
	arena_clear(&split->arena);
	free(split);
}

static int take_op(struct op_sink *sink, struct op *op, cst_error **error)
{
	struct tar_split *split =
	        (struct tar_split *)((char *)sink - offsetof(struct tar_split, ops));
	return recorder_take(&split->recorder, op, error);
}

int tar_split_new(int fd, struct tar_split **ret, cst_error **error)
{
	_cleanup_(tar_split_freep) struct tar_split *split = new0(struct tar_split, 1);
	if (!split)
		return error_oom(error);
	split->options =
	        (struct unpack_options){.whiteouts = UNPACK_WHITEOUT_APPLY, .tarsplit_fd = fd};
	split->ops = (struct op_sink){.take = take_op, .arena = &split->arena};
	int r = unpack_parser_init(&split->parser, &split->options, error);
	if (r == 0)
		r = tarsplit_writer_new(fd, &split->recorder.writer, error);
	if (r == 0)
		r = digester_new(DIGEST_SHA256, &split->digester, error);
	if (r == 0)
		*ret = steal_ptr(&split);
	return r;
}

int tar_split_write(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct tar_split *split = userdata;
	digester_update(split->digester, data, n);
	split->size += (int64_t)n;
	int r = unpack_parse(&split->parser, data, n, &split->ops, error);
	arena_clear(&split->arena); /* nothing but the current ops was in it */
	return r;
}

int tar_split_finish(struct tar_split *split, char digest[DIGEST_TEXT_MAX], int64_t *size,
                     uint64_t *entries, cst_error **error)
{
	int r = unpack_parse_end(&split->parser, &split->ops, error);
	if (r == 0)
		r = tarsplit_finish(split->recorder.writer, error);
	if (r == 0)
		r = digester_finish(split->digester, digest, error);
	if (r == 0) {
		*size = split->size;
		*entries = split->parser.entries;
	}
	return r;
}
