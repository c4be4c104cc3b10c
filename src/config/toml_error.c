/* SPDX-License-Identifier: Apache-2.0 */
/* TOML errors, and how keys and values are written in them (docs/format/config.md, "TOML"). */
#include "config/toml_reader.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void toml_key_quote(const char *text, size_t len, struct strbuf *out)
{
	bool bare = len > 0;
	for (size_t i = 0; i < len && bare; i++)
		bare = text[i] && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		                         "0123456789-_",
		                         text[i]);
	if (bare) {
		strbuf_add(out, text, len);
		return;
	}
	strbuf_addc(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\')
			strbuf_addf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			strbuf_addf(out, "\\u%04x", c);
		else
			strbuf_addc(out, (char)c);
	}
	strbuf_addc(out, '"');
}

void toml_path(const struct toml_node *node, struct strbuf *path)
{
	const struct toml_node *keys[2 * TOML_MAX_DEPTH + 2];
	size_t n = 0;
	for (; node && n < ARRAY_SIZE(keys); node = node->parent) {
		if (node->key)
			keys[n++] = node;
	}
	while (n--) {
		if (path->len)
			strbuf_addc(path, '.');
		toml_key_quote(keys[n]->key, keys[n]->key_len, path);
	}
}

int toml_set_error(cst_error **error, unsigned line, const char *key, const char *message)
{
	if (isempty(key))
		return error_set(error, CST_EINVAL, "toml: line %u: %s", line, message);
	/* The key is quoted once more, as a Go string. */
	_cleanup_strbuf_ struct strbuf quoted = {0};
	for (const char *s = key; *s; s++) {
		if (*s == '"' || *s == '\\')
			strbuf_addc(&quoted, '\\');
		strbuf_addc(&quoted, *s);
	}
	return error_set(error, CST_EINVAL, "toml: line %u (last key \"%s\"): %s", line,
	                 strbuf_str(&quoted), message);
}

bool toml_fail(struct toml_reader *r, const char *format, ...)
{
	_cleanup_strbuf_ struct strbuf key = {0};
	_cleanup_free_ char *message = NULL;
	va_list args;
	va_start(args, format);
	if (r->bad_text && r->pos == r->end)
		message = str_printf(r->bad_text, r->bad_byte);
	else if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	if (!message)
		return toml_fail_memory(r);
	if (r->context)
		toml_path(r->context, &key);
	for (const struct toml_key *part = r->pending; part; part = part->next) {
		if (key.len)
			strbuf_addc(&key, '.');
		toml_key_quote(part->text, part->len, &key);
		if (part == r->pending_end)
			break;
	}
	/* The end of the file counts to the line of its last byte. */
	unsigned line = r->line;
	if (r->pos == r->end && !r->bad_text && line > 1 && r->end[-1] == '\n')
		line--;
	r->code = toml_set_error(r->error, line, strbuf_str(&key), message);
	return false;
}

bool toml_fail_memory(struct toml_reader *r)
{
	r->code = error_oom(r->error);
	return false;
}

const char *toml_seen(const struct toml_reader *r, char buffer[TOML_SEEN_MAX])
{
	if (r->pos == r->end)
		return strcpy(buffer, "end of file");
	unsigned char c = (unsigned char)*r->pos;
	if (c == '\n' || c == '\r')
		return strcpy(buffer, "'\\n'");
	if (c == '\t')
		return strcpy(buffer, "'\\t'");
	/* The first byte tells how long the character is; that it is UTF-8 was checked. */
	size_t n = 1;
	if (c >= 0xf0)
		n = 4;
	else if (c >= 0xe0)
		n = 3;
	else if (c >= 0x80)
		n = 2;
	n = MIN(n, (size_t)(r->end - r->pos));
	snprintf(buffer, TOML_SEEN_MAX, "'%.*s'", (int)n, r->pos);
	return buffer;
}

int toml_error(const struct toml_node *node, cst_error **error, const char *format, ...)
{
	_cleanup_strbuf_ struct strbuf key = {0};
	_cleanup_free_ char *message = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	toml_path(node, &key);
	if (!message || key.failed)
		return error_oom(error);
	return toml_set_error(error, node->line, strbuf_str(&key), message);
}

const char *toml_type_text(enum toml_type type)
{
	switch (type) {
	case TOML_STRING: return "string";
	case TOML_INTEGER: return "int64";
	case TOML_FLOAT: return "float64";
	case TOML_BOOL: return "bool";
	case TOML_DATETIME:
	case TOML_LOCAL_DATETIME:
	case TOML_LOCAL_DATE:
	case TOML_LOCAL_TIME: return "time.Time";
	case TOML_ARRAY: return "[]any";
	case TOML_TABLE: return "map[string]any";
	}
	return "unknown";
}

static int compare_keys(const void *a, const void *b)
{
	const struct toml_node *x = *(struct toml_node *const *)a;
	const struct toml_node *y = *(struct toml_node *const *)b;
	int order = memcmp(x->key, y->key, MIN(x->key_len, y->key_len));
	return order ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* Go prints maps in the order of their keys. */
static void print_table(const struct toml_node *table, struct strbuf *out)
{
	size_t n = 0;
	_cleanup_free_ struct toml_node **sorted = new0(struct toml_node *, table->count + 1);
	if (!sorted) {
		out->failed = true;
		return;
	}
	for (struct toml_node *node = table->first; node; node = node->next)
		sorted[n++] = node;
	qsort(sorted, n, sizeof(sorted[0]), compare_keys);
	strbuf_adds(out, "map[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			strbuf_addc(out, ' ');
		strbuf_add(out, sorted[i]->key, sorted[i]->key_len);
		strbuf_addc(out, ':');
		toml_print(sorted[i], out);
	}
	strbuf_addc(out, ']');
}

void toml_print(const struct toml_node *node, struct strbuf *out)
{
	switch (node->type) {
	case TOML_INTEGER: strbuf_addf(out, "%" PRId64, node->integer); break;
	case TOML_FLOAT: strbuf_addf(out, "%g", node->real); break;
	case TOML_BOOL: strbuf_adds(out, node->boolean ? "true" : "false"); break;
	case TOML_TABLE: print_table(node, out); break;
	case TOML_ARRAY:
		strbuf_addc(out, '[');
		for (struct toml_node *item = node->first; item; item = item->next) {
			if (item != node->first)
				strbuf_addc(out, ' ');
			toml_print(item, out);
		}
		strbuf_addc(out, ']');
		break;
	default: strbuf_add(out, node->text, node->len); break;
	}
}
