/* SPDX-License-Identifier: Apache-2.0 */
/* Turns tar events into what is to be done for each entry (parse.h). */
#include "archive/unpack/parse.h"
#include "base/hashmap.h"
#include "base/id.h"

#define WHITEOUT_PREFIX ".wh."
#define AUFS_PREFIX     ".wh..wh."
#define OPAQUE_NAME     ".wh..wh..opq"

int unpack_parser_init(struct unpack_parser *parser, const struct unpack_options *options,
                       cst_error **error)
{
	*parser = (struct unpack_parser){.options = options};
	int r = random_bytes(parser->hash_key, sizeof(parser->hash_key), error);
	return r < 0 ? r : tar_reader_new(&parser->reader, error);
}

void unpack_parser_free(struct unpack_parser *parser)
{
	tar_reader_free(parser->reader);
	hash_set_free(&parser->names);
	idset_free(&parser->uids);
	idset_free(&parser->gids);
}

/* ---- what a name and type mean ---- */

static int classify_whiteout(struct entry *e, cst_error **error)
{
	const char *target = e->base + strlen(WHITEOUT_PREFIX);

	if (has_prefix(e->path, AUFS_PREFIX) && !streq(e->path, OPAQUE_NAME)) {
		e->action = ENTRY_IGNORE; /* metadata of aufs, at the root only */
		return 0;
	}
	if (!has_prefix(e->base, WHITEOUT_PREFIX))
		return 0;
	if (streq(e->base, OPAQUE_NAME)) {
		e->action = ENTRY_OPAQUE;
		return 0;
	}
	/* These would act on the directory itself or on its parent. */
	if (streq(target, "") || streq(target, ".") || streq(target, ".."))
		return error_set(error, CST_EARCHIVE, "invalid whiteout \"%s\"", e->header.name);
	e->action = ENTRY_WHITEOUT;
	return 0;
}

static int classify(const struct unpack_parser *parser, struct entry *e, cst_error **error)
{
	const struct tar_header *h = &e->header;

	e->action = ENTRY_CREATE;
	if (h->type == 'g' || h->type == 'V') {
		e->action = ENTRY_IGNORE;
	} else if (!*e->path) {
		if (h->type != '5')
			return error_set(error, CST_EARCHIVE, "open /: is a directory");
	} else if (parser->options->whiteouts != UNPACK_WHITEOUT_KEEP) {
		int r = classify_whiteout(e, error);
		if (r < 0)
			return r;
	}
	e->write_body = e->action == ENTRY_CREATE && h->type == '0';
	e->record_raw = h->body_size > 0 && (!e->write_body || h->is_sparse);
	if (parser->options->tarsplit_fd >= 0 && e->record_raw && h->body_size > RAW_BODY_MAX)
		return error_set(error, CST_EARCHIVE,
		                 "%s: %llu bytes that no file will hold: too many to record",
		                 h->name, (unsigned long long)h->body_size);
	return 0;
}

/* A name may have one file line only, or Go's readers refuse the tar-split. Directories and global
 * headers do come twice in the wild; their header is recorded without a line. */
static int note_name(struct unpack_parser *parser, struct entry *e, uint32_t form,
                     cst_error **error)
{
	enum { NAME_OTHER, NAME_DIRECTORY, NAME_GLOBAL };
	uint32_t kind = e->header.type == '5'   ? NAME_DIRECTORY
	                : e->header.type == 'g' ? NAME_GLOBAL
	                                        : NAME_OTHER;
	uint32_t before;
	uint64_t key[2] = {parser->hash_key[0], parser->hash_key[1] ^ form};

	e->record_line = true;
	if (parser->options->tarsplit_fd < 0)
		return 0;
	uint64_t hash = siphash24(e->path, strlen(e->path), key);
	if (!hash_set_get(&parser->names, hash, &before))
		return hash_set_put(&parser->names, hash, kind) ? 0 : error_oom(error);
	if (kind == NAME_OTHER || kind != before)
		return error_set(error, CST_EARCHIVE, "duplicates of file paths not supported");
	e->record_line = false;
	return 0;
}

static int note_ids(struct unpack_parser *parser, const struct entry *e, cst_error **error)
{
	uint32_t uid = e->header.uid, gid = e->header.gid;

	if (has_prefix(e->base, WHITEOUT_PREFIX))
		return 0;
	if (parser->ids_seen && uid == parser->last_uid && gid == parser->last_gid)
		return 0;
	if (!idset_add(&parser->uids, uid) || !idset_add(&parser->gids, gid))
		return error_oom(error);
	parser->last_uid = uid;
	parser->last_gid = gid;
	parser->ids_seen = true;
	return 0;
}

/* ---- copies for the op's consumers ---- */

static void copy_header(struct entry *e, const struct tar_header *h, struct arena *arena)
{
	struct tar_header *copy = &e->header;

	*copy = *h;
	copy->name = arena_strdup(arena, h->name);
	copy->linkname = arena_strdup(arena, strempty(h->linkname));
	copy->uname = copy->gname = "";
	if (h->n_xattrs > 0) {
		struct tar_xattr *xattrs = arena_alloc(arena, h->n_xattrs * sizeof(*xattrs));
		for (size_t i = 0; xattrs && i < h->n_xattrs; i++)
			xattrs[i] = (struct tar_xattr){
			        arena_strdup(arena, h->xattrs[i].name),
			        arena_strndup(arena, h->xattrs[i].value, h->xattrs[i].len),
			        h->xattrs[i].len,
			};
		copy->xattrs = xattrs;
	}
	if (h->n_sparse > 0) {
		struct tar_sparse *map = arena_alloc(arena, h->n_sparse * sizeof(*map));
		if (map)
			memcpy(map, h->sparse, h->n_sparse * sizeof(*map));
		copy->sparse = map;
	}
}

static struct op *op_new(struct arena *arena, enum op_kind kind)
{
	struct op *op = arena_alloc(arena, sizeof(*op));

	if (op)
		op->kind = kind;
	return op;
}

static int give_raw(struct unpack_parser *parser, struct op_sink *sink, cst_error **error)
{
	const void *data;
	size_t len;

	if (parser->options->tarsplit_fd < 0)
		return 0;
	bool stays = tar_reader_raw(parser->reader, &data, &len);
	if (len == 0)
		return 0;
	struct op *op = op_new(sink->arena, OP_RAW);
	if (op) /* as long as the chunk that is parsed */
		op->data = stays ? data : arena_strndup(sink->arena, data, len);
	if (sink->arena->failed)
		return error_oom(error);
	op->len = len;
	return sink->take(sink, op, error);
}

static int give_entry(struct unpack_parser *parser, struct op_sink *sink, cst_error **error)
{
	const struct tar_header *h = tar_reader_header(parser->reader);
	uint32_t form;

	parser->entries++;
	int r = give_raw(parser, sink, error);
	if (r < 0)
		return r;
	struct op *op = op_new(sink->arena, OP_ENTRY);
	struct entry *e = arena_alloc(sink->arena, sizeof(*e));
	char *path = arena_alloc(sink->arena, strlen(h->name) + 1);
	if (e)
		copy_header(e, h, sink->arena);
	if (sink->arena->failed)
		return error_oom(error);
	unpack_clean_name(h->name, path, &form);
	e->path = path;
	e->base = unpack_base_name(path);
	e->number = parser->entries;
	e->root_by_dot = !*path && form == 0;
	op->entry = e;
	r = classify(parser, e, error);
	if (r == 0)
		r = note_name(parser, e, form, error);
	if (r == 0)
		r = note_ids(parser, e, error);
	if (r < 0)
		return r;
	/* A body without a file line has no place in a file either. */
	e->record_raw |= !e->record_line && h->body_size > 0;
	if (e->write_body && !e->record_raw && h->body_size > 0)
		e->body_number = ++parser->bodies;
	parser->body_offset = 0;
	return sink->take(sink, op, error);
}

static int give_body(struct unpack_parser *parser, const void *data, size_t len,
                     struct op_sink *sink, cst_error **error)
{
	struct op *op = op_new(sink->arena, OP_BODY);

	if (!op)
		return error_oom(error);
	op->data = data;
	op->len = len;
	op->offset = parser->body_offset;
	parser->body_offset += len;
	return sink->take(sink, op, error);
}

/* Bytes behind the end marker are kept by the tar-split, nothing else. */
static int give_trailer(struct unpack_parser *parser, const void *data, size_t len,
                        struct op_sink *sink, cst_error **error)
{
	struct op *op = op_new(sink->arena, OP_TRAILER);

	if (!op)
		return error_oom(error);
	op->data = data;
	op->len = len;
	return sink->take(sink, op, error);
}

int unpack_parse(struct unpack_parser *parser, const void *data, size_t n, struct op_sink *sink,
                 cst_error **error)
{
	tar_reader_feed(parser->reader, data, n);
	for (;;) {
		enum tar_event event;
		const void *piece;
		size_t len;
		struct op *op;

		int r = tar_reader_next(parser->reader, &event, &piece, &len, error);
		if (r < 0) {
			parser->entries++; /* the entry that could not be read is the one that
			                      failed */
			parser->damaged = r == CST_EARCHIVE;
			return r;
		}
		switch (event) {
		case TAR_NEED_DATA: return 0;
		case TAR_ENTRY: r = give_entry(parser, sink, error); break;
		case TAR_BODY: r = give_body(parser, piece, len, sink, error); break;
		case TAR_BODY_END:
			op = op_new(sink->arena, OP_BODY_END);
			r = op ? sink->take(sink, op, error) : error_oom(error);
			break;
		case TAR_END: r = give_raw(parser, sink, error); break;
		case TAR_TRAILER: r = give_trailer(parser, piece, len, sink, error); break;
		}
		if (r < 0)
			return r;
	}
}

int unpack_parse_end(struct unpack_parser *parser, struct op_sink *sink, cst_error **error)
{
	int r = tar_reader_end(parser->reader, error);

	if (r < 0) {
		parser->entries++;
		parser->damaged = r == CST_EARCHIVE;
		return r;
	}
	return give_raw(parser, sink, error);
}
