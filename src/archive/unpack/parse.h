/* SPDX-License-Identifier: Apache-2.0 */
/* Tar events to ops: what each entry means by its name and type alone. */
#ifndef CST_ARCHIVE_UNPACK_PARSE_H
#define CST_ARCHIVE_UNPACK_PARSE_H

#include "archive/unpack/entry.h"
#include "archive/unpack/names.h"
#include "archive/unpack/unpack.h"
#include "base/hash_set.h"

/* Larger bodies that no file will hold are not recorded but refused. */
#define RAW_BODY_MAX ((uint64_t)64 << 20)

struct op_sink {
	/* Takes the op; it and what it points at live in `arena`, or in the input. */
	int (*take)(struct op_sink *sink, struct op *op, cst_error **error);
	struct arena *arena; /* may be changed between calls of unpack_parse */
};
struct unpack_parser {
	const struct unpack_options *options;
	struct tar_reader *reader;
	struct hash_set names; /* as the tar-split knows them */
	uint64_t hash_key[2];
	uint64_t entries, body_offset;
	uint32_t bodies;
	struct idset uids, gids;
	uint32_t last_uid, last_gid;
	bool ids_seen;
	bool damaged; /* the tar itself, not what an entry asks for */
};
int unpack_parser_init(struct unpack_parser *parser, const struct unpack_options *options, cst_error **error);
int unpack_parse(struct unpack_parser *parser, const void *data, size_t n, struct op_sink *sink, cst_error **error);
int unpack_parse_end(struct unpack_parser *parser, struct op_sink *sink, cst_error **error);
void unpack_parser_free(struct unpack_parser *parser);

#endif
