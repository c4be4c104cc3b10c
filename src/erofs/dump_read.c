/* SPDX-License-Identifier: Apache-2.0 */
/* Reads dumps. */
#include "base/str.h"
#include "base/types.h"
#include "erofs/dump.h"
#include <sys/stat.h>

/* Of a line. Attributes have at most 32767 bytes, paths 4095 each, content 5000; a byte can take four. */
#define LINE_LIMIT ((size_t)256 << 10)
#define READ_SIZE  ((size_t)64 << 10)

enum field {
	FIELD_PATH,
	FIELD_SIZE,
	FIELD_MODE,
	FIELD_NLINK,
	FIELD_UID,
	FIELD_GID,
	FIELD_RDEV,
	FIELD_MTIME,
	FIELD_PAYLOAD,
	FIELD_CONTENT,
	FIELD_DIGEST,
	FIELD_COUNT
};
static const char *const field_names[FIELD_COUNT] = {"path",    "size",    "mode",   "link count",
                                                     "uid",     "gid",     "device", "time",
                                                     "payload", "content", "digest"};

/* Escapes are undone in place, so `text` may hold NUL bytes afterwards. */
struct text {
	char *text;
	size_t len;
};

struct line {
	bool layer;
	struct text fields[FIELD_COUNT];
	struct erofs_entry entry;
	struct erofs_xattr *xattrs;
	size_t xattrs_capacity;
	uint8_t digest[COMPOSEFS_DIGEST];
};

static int bad(const char *what, const char *why, cst_error **error)
{
	return error_set(error, CST_EINVAL, "the %s %s", what, why);
}

/* ---- escapes ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that the escape behind a backslash means, -1 if it is none; *from moves behind it. */
static int unescape_byte(const char **from, const char *end)
{
	const char *p = *from;
	size_t left = (size_t)(end - p);
	int high, low;
	if (left == 0)
		return -1;
	*from = p + 1;
	switch (*p) {
	case '\\': return '\\';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	case 'x': break;
	default: return -1;
	}
	if (left < 3 || (high = hex_digit(p[1])) < 0 || (low = hex_digit(p[2])) < 0)
		return -1;
	*from = p + 3;
	return high << 4 | low;
}

/* The byte behind the text is overwritten with a NUL. */
static int unescape(struct text *text, const char *what, cst_error **error)
{
	const char *from = text->text, *end = from + text->len;
	char *to = text->text;
	while (from < end) {
		int c = (unsigned char)*from++;
		if (c == '\\' && (c = unescape_byte(&from, end)) < 0)
			return bad(what, "has an escape that is none", error);
		*to++ = (char)c;
	}
	text->len = (size_t)(to - text->text);
	*to = '\0';
	return 0;
}

/* A string without NUL bytes. */
static int unescape_string(struct text *text, const char *what, cst_error **error)
{
	int r = unescape(text, what, error);
	return r == 0 && strlen(text->text) != text->len ? bad(what, "has a NUL byte", error) : r;
}

/* ---- fields ---- */

static bool is_none(const struct text *text)
{
	return text->len == 1 && *text->text == '-';
}

static bool parse_number(const char *s, size_t n, unsigned base, uint64_t max, uint64_t *ret)
{
	uint64_t number = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned digit = (unsigned)(s[i] - '0');
		if (digit >= base || number > (max - digit) / base)
			return false;
		number = number * base + digit;
	}
	*ret = number;
	return n > 0;
}

static int take_number(const struct line *line, enum field field, uint64_t max, uint64_t *ret,
                       cst_error **error)
{
	const struct text *text = &line->fields[field];
	return parse_number(text->text, text->len, 10, max, ret)
	               ? 0
	               : bad(field_names[field], "is no number that it can be", error);
}

static int take_u32(const struct line *line, enum field field, uint32_t *ret, cst_error **error)
{
	uint64_t n;
	int r = take_number(line, field, UINT32_MAX, &n, error);
	if (r == 0)
		*ret = (uint32_t)n;
	return r;
}

/* "1.1" is one second and one nanosecond. */
static int take_time(const struct text *text, struct timespec *ret, cst_error **error)
{
	bool minus = text->len > 0 && *text->text == '-';
	const char *seconds = text->text + minus, *end = text->text + text->len;
	const char *dot = memchr(seconds, '.', (size_t)(end - seconds));
	uint64_t s, ns;
	if (!dot || !parse_number(seconds, (size_t)(dot - seconds), 10, INT64_MAX, &s) ||
	    !parse_number(dot + 1, (size_t)(end - dot - 1), 10, 999999999, &ns))
		return bad("time", "is none", error);
	ret->tv_sec = minus ? -(int64_t)s : (int64_t)s;
	ret->tv_nsec = (long)ns;
	return 0;
}

static int take_mode(struct line *line, bool *is_link, cst_error **error)
{
	const struct text *text = &line->fields[FIELD_MODE];
	uint64_t mode;
	*is_link = text->len > 0 && *text->text == '@';
	if (!parse_number(text->text + *is_link, text->len - *is_link, 8, 0177777, &mode))
		return bad("mode", "is none", error);
	line->entry.mode = (uint32_t)mode;
	return 0;
}

static int take_digest(struct line *line, cst_error **error)
{
	const struct text *text = &line->fields[FIELD_DIGEST];
	if (is_none(text))
		return 0;
	if (text->len != sizeof(line->digest) * 2)
		return bad("digest", "is no SHA-256", error);
	for (size_t i = 0; i < sizeof(line->digest); i++) {
		int high = hex_digit(text->text[2 * i]), low = hex_digit(text->text[2 * i + 1]);
		if (high < 0 || low < 0)
			return bad("digest", "is no SHA-256", error);
		line->digest[i] = (uint8_t)(high << 4 | low);
	}
	line->entry.digest = line->digest;
	return 0;
}

/* Payload and content: strings that may be missing. */
static int take_data(struct line *line, bool is_link, cst_error **error)
{
	struct text *payload = &line->fields[FIELD_PAYLOAD],
	            *content = &line->fields[FIELD_CONTENT];
	int r = 0;
	if (!is_none(payload)) {
		r = unescape_string(payload, "payload", error);
		*(is_link ? &line->entry.link : &line->entry.payload) = payload->text;
	} else if (is_link) {
		r = bad("payload", "of a hard link is missing", error);
	}
	if (r < 0 || is_link || is_none(content))
		return r;
	r = unescape(content, "content", error);
	if (r == 0 && content->len != line->entry.size)
		r = bad("content", "has not as many bytes as the size says", error);
	if (content->len > 0)
		line->entry.content = content->text;
	return r;
}

static int take_xattr(struct line *line, struct text text, cst_error **error)
{
	char *equals = memchr(text.text, '=', text.len);
	if (!equals)
		return bad("attribute", "has no \"=\"", error);
	struct text name = {text.text, (size_t)(equals - text.text)};
	struct text value = {equals + 1, text.len - name.len - 1};
	int r = unescape_string(&name, "attribute", error);
	if (r == 0)
		r = unescape(&value, "attribute", error);
	if (r < 0)
		return r;
	struct erofs_xattr *xattrs = grow_array(line->xattrs, &line->xattrs_capacity,
	                                        line->entry.n_xattrs + 1, sizeof(*xattrs));
	if (!xattrs)
		return error_oom(error);
	line->xattrs = xattrs;
	xattrs[line->entry.n_xattrs++] =
	        (struct erofs_xattr){.name = name.text, .value = value.text, .len = value.len};
	return 0;
}

/* What is for overlay in the dump of a layer. */
static void take_orders(struct line *line)
{
	struct erofs_entry *entry = &line->entry;
	size_t n = 0;
	entry->hides = !entry->link && S_ISCHR(entry->mode) && entry->rdev == 0;
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		struct erofs_xattr *xattr = &line->xattrs[i];
		if (S_ISDIR(entry->mode) && streq(xattr->name, OVERLAY_OPAQUE) && xattr->len == 1 &&
		    *(const char *)xattr->value == 'y')
			entry->opaque = true;
		else
			line->xattrs[n++] = *xattr;
	}
	entry->n_xattrs = n;
}

/* ---- lines ---- */

/* Cuts off what is before the next space. */
static struct text next_word(char **at, char *end)
{
	char *space = memchr(*at, ' ', (size_t)(end - *at));
	struct text word = {*at, (size_t)((space ? space : end) - *at)};
	*at = space ? space + 1 : end;
	return word;
}

static int take_attributes(struct line *line, cst_error **error)
{
	struct erofs_entry *entry = &line->entry;
	int r = take_number(line, FIELD_SIZE, INT64_MAX, &entry->size, error);
	if (r == 0)
		r = take_u32(line, FIELD_NLINK, &entry->nlink, error);
	if (r == 0)
		r = take_u32(line, FIELD_UID, &entry->uid, error);
	if (r == 0)
		r = take_u32(line, FIELD_GID, &entry->gid, error);
	if (r == 0)
		r = take_u32(line, FIELD_RDEV, &entry->rdev, error);
	if (r == 0)
		r = take_time(&line->fields[FIELD_MTIME], &entry->mtime, error);
	return r == 0 ? take_digest(line, error) : r;
}

/* The byte at `end` can be overwritten. */
static int take_line(struct line *line, char *at, char *end, struct erofs_writer *writer,
                     cst_error **error)
{
	bool is_link;
	line->entry = (struct erofs_entry){0};
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		if (i > 0 && at == end)
			return bad(field_names[i], "is missing", error);
		line->fields[i] = next_word(&at, end);
	}
	int r = unescape_string(&line->fields[FIELD_PATH], "path", error);
	if (r == 0)
		r = take_mode(line, &is_link, error);
	if (r == 0 && !is_link)
		r = take_attributes(line, error);
	if (r == 0)
		r = take_data(line, is_link, error);
	while (r == 0 && at < end && !is_link)
		r = take_xattr(line, next_word(&at, end), error);
	line->entry.path = line->fields[FIELD_PATH].text;
	line->entry.xattrs = line->xattrs;
	if (line->layer)
		take_orders(line);
	return r == 0 ? erofs_writer_add(writer, &line->entry, error) : r;
}

/* Takes the whole lines of the buffer, at the end of the source the last one, too, and moves the rest to its front. */
static int take_lines(struct strbuf *buffer, bool at_end, struct line *line, uint64_t *number,
                      struct erofs_writer *writer, cst_error **error)
{
	char *at = buffer->data, *end = at + buffer->len;
	while (at < end) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline && !at_end)
			break;
		++*number;
		int r = take_line(line, at, newline ? newline : end, writer, error);
		if (r < 0)
			return error_prefix(error, r, "line %llu of the dump",
			                    (unsigned long long)*number);
		at = newline ? newline + 1 : end;
	}
	buffer->len = (size_t)(end - at);
	memmove(buffer->data, at, buffer->len);
	return buffer->len <= LINE_LIMIT
	               ? 0
	               : error_set(error, CST_EINVAL, "line %llu of the dump is too long",
	                           (unsigned long long)*number + 1);
}

int dump_read(const cst_source *source, bool layer, struct erofs_writer *writer, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf buffer = {0};
	_cleanup_free_ char *piece = malloc(READ_SIZE);
	struct line line = {.layer = layer};
	uint64_t number = 0;
	int64_t n = 1;
	int r = piece ? 0 : error_oom(error);
	while (r == 0 && n > 0) {
		n = source_read(source, piece, READ_SIZE, error);
		if (n < 0)
			r = (int)n;
		if (n > 0)
			strbuf_add(&buffer, piece, (size_t)n);
		if (buffer.failed)
			r = error_oom(error);
		if (r == 0 && buffer.len > 0)
			r = take_lines(&buffer, n == 0, &line, &number, writer, error);
	}
	free(line.xattrs);
	return r;
}
