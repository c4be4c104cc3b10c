/* SPDX-License-Identifier: Apache-2.0 */
/* The structure of TOML: keys, tables, arrays (https://toml.io/en/v1.0.0). A table is never made or
 * added to twice unless TOML allows it. */
#include "config/toml.h"
#include "config/toml_reader.h"
#include <stdarg.h>

/* What made a table or array. It decides what may still be added. */
enum origin {
	ORIGIN_PATH,   /* named on the way in a [header] only: open for everything */
	ORIGIN_HEADER, /* its own [header]: once */
	ORIGIN_DOTTED, /* dotted keys: further dotted keys, [headers] of tables below it */
	ORIGIN_INLINE, /* { } and [ ]: closed */
	ORIGIN_ARRAY,  /* [[header]]: array of tables */
};

/* ---- tree ---- */

static struct toml_node *find_child(const struct toml_node *table, const char *key, size_t len)
{
	for (struct toml_node *node = table->first; node; node = node->next) {
		if (node->key_len == len && memcmp(node->key, key, len) == 0)
			return node;
	}
	return NULL;
}

struct toml_node *toml_get(const struct toml_node *table, const char *key)
{
	return table->type == TOML_TABLE ? find_child(table, key, strlen(key)) : NULL;
}

static struct toml_node *add_child(struct toml_reader *r, struct toml_node *parent,
                                   const struct toml_key *key)
{
	if (key && parent->count >= TOML_MAX_KEYS) {
		toml_fail(r, "more than %d keys in one table", TOML_MAX_KEYS);
		return NULL;
	}
	struct toml_node *node = arena_alloc(r->arena, sizeof(*node));
	if (!node) {
		toml_fail_memory(r);
		return NULL;
	}
	node->parent = parent;
	node->line = r->line;
	if (key) {
		node->key = key->text;
		node->key_len = key->len;
	}
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	parent->count++;
	return node;
}

static struct toml_node *add_container(struct toml_reader *r, struct toml_node *parent,
                                       const struct toml_key *key, enum toml_type type,
                                       enum origin origin)
{
	struct toml_node *node = add_child(r, parent, key);
	if (node) {
		node->type = type;
		node->origin = origin;
	}
	return node;
}

/* ---- white space ---- */

static void skip_blanks(struct toml_reader *r)
{
	while (toml_at(r, ' ') || toml_at(r, '\t'))
		r->pos++;
}

static void skip_comment(struct toml_reader *r)
{
	if (!toml_at(r, '#'))
		return;
	const char *newline = memchr(r->pos, '\n', (size_t)(r->end - r->pos));
	r->pos = newline ? newline : r->end;
}

static bool skip_newline(struct toml_reader *r)
{
	const char *start = r->pos;
	if (toml_at(r, '\r'))
		r->pos++;
	if (!toml_at(r, '\n')) {
		r->pos = start;
		return false;
	}
	r->pos++;
	r->line++;
	return true;
}

/* Skips blanks, comments and line ends. */
static void skip_space(struct toml_reader *r)
{
	do {
		skip_blanks(r);
		skip_comment(r);
	} while (skip_newline(r));
}

static bool finish_line(struct toml_reader *r)
{
	skip_blanks(r);
	skip_comment(r);
	if (r->pos == r->end || skip_newline(r))
		return true;
	char seen[TOML_SEEN_MAX];
	return toml_fail(r,
	                 "expected a top-level item to end with a newline, comment, or EOF, "
	                 "but got %s instead",
	                 toml_seen(r, seen));
}

/* ---- keys ---- */

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static bool read_key_part(struct toml_reader *r, struct toml_key *key)
{
	if (toml_at(r, '"') || toml_at(r, '\''))
		return toml_read_string(r, false, &key->text, &key->len);
	const char *start = r->pos;
	while (r->pos < r->end && is_bare(*r->pos))
		r->pos++;
	key->len = (size_t)(r->pos - start);
	if (!key->len) {
		char seen[TOML_SEEN_MAX];
		return toml_fail(r, "unexpected %s: key name appears blank", toml_seen(r, seen));
	}
	key->text = arena_strndup(r->arena, start, key->len);
	return key->text || toml_fail_memory(r);
}

/* Reads a . "b" . c and stops at `end`, which is '=' or ']'. */
static bool read_key(struct toml_reader *r, char end, struct toml_key **ret)
{
	struct toml_key *first = NULL, **link = &first;
	for (unsigned parts = 1;; parts++) {
		if (parts > TOML_MAX_DEPTH)
			return toml_fail(r, "a key of more than %d parts", TOML_MAX_DEPTH);
		struct toml_key *key = arena_alloc(r->arena, sizeof(*key));
		if (!key)
			return toml_fail_memory(r);
		skip_blanks(r);
		if (!read_key_part(r, key))
			return false;
		*link = key;
		link = &key->next;
		skip_blanks(r);
		if (toml_at(r, '.')) {
			r->pos++;
			continue;
		}
		if (toml_at(r, end)) {
			*ret = first;
			return true;
		}
		if (end == '=' && r->pos == r->end)
			return toml_fail(r, "unexpected EOF; expected key separator '='");
		char seen[TOML_SEEN_MAX];
		toml_seen(r, seen);
		if (end == ']' && toml_at(r, '\n'))
			/* The Go tools count the line so. */
			r->line++;
		return end == '=' ? toml_fail(r, "expected '.' or '=', but got %s instead", seen)
		                  : toml_fail(r,
		                              "expected '.' or ']' to end table name, but got %s "
		                              "instead",
		                              seen);
	}
}

static const struct toml_key *last_part(const struct toml_key *key)
{
	while (key->next)
		key = key->next;
	return key;
}

/* The path of a key below `base`, up to `until`, for messages. If memory runs out it is an empty
 * name. */
static char *key_path(const struct toml_node *base, const struct toml_key *key,
                      const struct toml_key *until)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	if (base)
		toml_path(base, &path);
	for (; key; key = key->next) {
		if (path.len)
			strbuf_addc(&path, '.');
		toml_key_quote(key->text, key->len, &path);
		if (key == until)
			break;
	}
	return strbuf_steal(&path);
}

static bool fail_defined(struct toml_reader *r, const struct toml_node *base,
                         const struct toml_key *key, const struct toml_key *until, const char *how)
{
	_cleanup_free_ char *path = key_path(base, key, until);
	return toml_fail(r, "Key '%s' %s.", strempty(path), how);
}

/* ---- values ---- */

static bool read_value(struct toml_reader *r, struct toml_node *node, unsigned depth);
static bool read_pair(struct toml_reader *r, struct toml_node *table, unsigned depth);

static bool read_array(struct toml_reader *r, struct toml_node *array, unsigned depth)
{
	array->type = TOML_ARRAY;
	array->origin = ORIGIN_INLINE;
	r->pos++;
	for (bool first = true;; first = false) {
		skip_space(r);
		if (toml_at(r, ',') && first)
			return toml_fail(r, "unexpected comma");
		if (!toml_at(r, ']') && r->pos < r->end) {
			struct toml_node *item = add_child(r, array, NULL);
			if (!item || !read_value(r, item, depth))
				return false;
			skip_space(r);
		}
		if (toml_at(r, ']')) {
			r->pos++;
			return true;
		}
		if (!toml_at(r, ',')) {
			char seen[TOML_SEEN_MAX];
			return toml_fail(r,
			                 "expected a comma (',') or array terminator (']'), "
			                 "but got %s",
			                 toml_seen(r, seen));
		}
		r->pos++;
		skip_space(r);
		if (toml_at(r, ','))
			return toml_fail(r, "unexpected comma");
	}
}

static void skip_inline_space(struct toml_reader *r)
{
	if (r->version >= TOML_1_1)
		skip_space(r);
	else
		skip_blanks(r);
}

static bool read_inline_table(struct toml_reader *r, struct toml_node *table, unsigned depth)
{
	table->type = TOML_TABLE;
	table->origin = ORIGIN_PATH; /* open while it is read */
	r->pos++;
	skip_inline_space(r);
	while (!toml_at(r, '}')) {
		if (!read_pair(r, table, depth))
			return false;
		skip_inline_space(r);
		if (toml_at(r, '}'))
			break;
		if (!toml_at(r, ',')) {
			char seen[TOML_SEEN_MAX];
			return toml_fail(r,
			                 "expected a comma or an inline table terminator '}', "
			                 "but got %s instead",
			                 toml_seen(r, seen));
		}
		r->pos++;
		skip_inline_space(r);
		if (toml_at(r, '}') && r->version < TOML_1_1)
			return toml_fail(r, "trailing comma not allowed in inline tables");
	}
	r->pos++;
	return true;
}

/* Closes an inline table once it is complete: nothing can be added to what it holds. */
static void close_tables(struct toml_node *table)
{
	table->origin = ORIGIN_INLINE;
	for (struct toml_node *node = table->first; node; node = node->next) {
		if (node->type == TOML_TABLE)
			close_tables(node);
	}
}

static bool read_value(struct toml_reader *r, struct toml_node *node, unsigned depth)
{
	if (depth >= TOML_MAX_DEPTH)
		return toml_fail(r, "arrays and tables are nested too deeply");
	if (toml_at(r, '"') || toml_at(r, '\'')) {
		const char *text;
		size_t len;
		if (!toml_read_string(r, true, &text, &len))
			return false;
		node->type = TOML_STRING;
		node->text = text;
		node->len = len;
		return true;
	}
	if (toml_at(r, '['))
		return read_array(r, node, depth + 1);
	if (!toml_at(r, '{'))
		return toml_read_scalar(r, node);
	const struct toml_node *context = r->context;
	const struct toml_key *pending = r->pending, *pending_end = r->pending_end;
	if (!read_inline_table(r, node, depth + 1))
		return false;
	r->context = context;
	r->pending = pending;
	r->pending_end = pending_end;
	close_tables(node);
	return true;
}

/* The table that a dotted key's value goes into. */
static struct toml_node *open_dotted(struct toml_reader *r, struct toml_node *table,
                                     const struct toml_key *key)
{
	const struct toml_node *base = table;
	for (const struct toml_key *part = key; part->next; part = part->next) {
		struct toml_node *next = find_child(table, part->text, part->len);
		if (!next) {
			next = add_container(r, table, part, TOML_TABLE, ORIGIN_DOTTED);
			if (!next)
				return NULL;
		} else if (next->type != TOML_TABLE ||
		           (next->origin != ORIGIN_PATH && next->origin != ORIGIN_DOTTED)) {
			fail_defined(r, base, key, part, "has already been defined");
			return NULL;
		}
		next->origin = ORIGIN_DOTTED;
		table = next;
	}
	return table;
}

/* key = value. The key stays the last one for messages. */
static bool read_pair(struct toml_reader *r, struct toml_node *table, unsigned depth)
{
	struct toml_key *key;
	if (!read_key(r, '=', &key))
		return false;
	const struct toml_key *last = last_part(key);
	r->context = table;
	r->pending = key;
	r->pending_end = last;
	struct toml_node *target = open_dotted(r, table, key);
	if (!target)
		return false;
	if (find_child(target, last->text, last->len))
		return fail_defined(r, table, key, last, "has already been defined");
	struct toml_node *node = add_child(r, target, last);
	if (!node)
		return false;
	r->pos++;
	skip_blanks(r);
	unsigned parts = 0;
	for (const struct toml_key *part = key; part; part = part->next)
		parts++;
	return read_value(r, node, depth + parts);
}

/* ---- headers ---- */

/* The table above what a header names, made as far as it is missing. */
static struct toml_node *open_path(struct toml_reader *r, const struct toml_key *key)
{
	struct toml_node *table = r->root;
	for (const struct toml_key *part = key; part->next; part = part->next) {
		struct toml_node *next = find_child(table, part->text, part->len);
		if (!next) {
			next = add_container(r, table, part, TOML_TABLE, ORIGIN_PATH);
			if (!next)
				return NULL;
		} else if (next->type == TOML_ARRAY && next->origin == ORIGIN_ARRAY) {
			next = next->last;
		} else if (next->type != TOML_TABLE || next->origin == ORIGIN_INLINE) {
			fail_defined(r, NULL, key, part, "was already created as a hash");
			return NULL;
		}
		table = next;
		r->pending = key;
		r->pending_end = part;
	}
	return table;
}

static bool open_table(struct toml_reader *r, struct toml_node *above, const struct toml_key *key)
{
	const struct toml_key *last = last_part(key);
	struct toml_node *table = find_child(above, last->text, last->len);
	if (!table) {
		table = add_container(r, above, last, TOML_TABLE, ORIGIN_HEADER);
		if (!table)
			return false;
	} else if (table->type != TOML_TABLE || table->origin != ORIGIN_PATH) {
		return fail_defined(r, NULL, key, last, "has already been defined");
	}
	table->origin = ORIGIN_HEADER;
	table->line = r->line;
	r->table = table;
	return true;
}

static bool open_array_table(struct toml_reader *r, struct toml_node *above,
                             const struct toml_key *key)
{
	const struct toml_key *last = last_part(key);
	struct toml_node *array = find_child(above, last->text, last->len);
	if (!array)
		array = add_container(r, above, last, TOML_ARRAY, ORIGIN_ARRAY);
	else if (array->type != TOML_ARRAY || array->origin != ORIGIN_ARRAY)
		return fail_defined(r, NULL, key, last,
		                    "was already created and cannot be used as an array");
	r->table = array ? add_container(r, array, NULL, TOML_TABLE, ORIGIN_HEADER) : NULL;
	return r->table != NULL;
}

/* [a.b] or [[a.b]] */
static bool read_header(struct toml_reader *r)
{
	bool is_array = toml_starts(r, "[[");
	struct toml_key *key;
	r->pos += is_array ? 2 : 1;
	skip_blanks(r);
	if (toml_at(r, ']'))
		return toml_fail(r, "unexpected end of table name (table names cannot be empty)");
	if (!read_key(r, ']', &key))
		return false;
	if (is_array && !toml_starts(r, "]]"))
		return toml_fail(r, "expected end of table array name delimiter ']'");
	r->pos += is_array ? 2 : 1;
	r->context = r->root;
	r->pending = NULL; /* for messages: the parts that are already open */
	struct toml_node *above = open_path(r, key);
	if (!above || !(is_array ? open_array_table(r, above, key) : open_table(r, above, key)))
		return false;
	r->context = r->table;
	r->pending = NULL;
	return finish_line(r);
}

static bool read_line(struct toml_reader *r)
{
	if (toml_at(r, '['))
		return read_header(r);
	if (!read_pair(r, r->table, 0))
		return false;
	r->context = r->table;
	r->pending = NULL;
	return finish_line(r);
}

static bool read_document(struct toml_reader *r)
{
	for (;;) {
		skip_space(r);
		if (r->pos == r->end)
			return !r->bad_text || toml_fail(r, "unexpected end of file");
		if (!read_line(r))
			return false;
	}
}

int toml_parse(const char *data, size_t len, enum toml_version version, struct arena *arena,
               struct toml_node **root, cst_error **error)
{
	struct toml_reader r = {.pos = data,
	                        .end = data + len,
	                        .line = 1,
	                        .version = version,
	                        .arena = arena,
	                        .error = error};
	if (len > TOML_MAX_SIZE)
		return toml_set_error(error, 1, NULL, "the file is larger than 1 MiB");
	if (toml_starts(&r, "\xef\xbb\xbf"))
		r.pos += 3;
	r.root = r.table = arena_alloc(arena, sizeof(*r.root));
	if (!r.root)
		return error_oom(error);
	r.root->type = TOML_TABLE;
	r.root->line = 1;
	r.context = r.root;
	toml_check_text(&r);
	if (!read_document(&r))
		return r.code;
	*root = r.root;
	return 0;
}
