/* SPDX-License-Identifier: Apache-2.0 */
/* Headers and multipart bodies of an HTTP server (answer.h). */
#include "chunked/http/answer.h"
#include "base/str.h"
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define HEADERS_MAX ((size_t)256 << 10)
#define JUNK_MAX    ((uint64_t)256 << 10)

static bool bad(struct answer *answer, const char *format, ...) CST_PRINTF(2, 3);
static bool bad(struct answer *answer, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(answer->reason, sizeof(answer->reason), format, args);
	va_end(args);
	return false;
}

/* ---- headers ---- */

/* The value of the header `name` in the line; NULL: it is another. */
static const char *value_of(const char *line, const char *name)
{
	size_t n = strlen(name);
	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	return line + n + 1 + strspn(line + n + 1, " \t");
}

/* Digits, and `after` behind them. */
static bool take_number(const char **text, const char *after, uint64_t *ret)
{
	char digits[24];
	size_t n = strspn(*text, "0123456789");
	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, *text, n);
	digits[n] = '\0';
	*text += n;
	if (!parse_u64(digits, INT64_MAX, ret) || !has_prefix(*text, after))
		return false;
	*text += strlen(after);
	return true;
}

/* "bytes FIRST-LAST/TOTAL". */
static bool take_content_range(struct answer *answer, const char *value)
{
	uint64_t first, last, total = 0;
	if (strncasecmp(value, "bytes ", 6) != 0)
		return false;
	value += 6;
	if (!take_number(&value, "-", &first) || !take_number(&value, "/", &last) || last < first)
		return false;
	if (!streq(value, "*") && !take_number(&value, "", &total))
		return false;
	answer->first = first;
	answer->end = last + 1;
	answer->total = total;
	answer->has_range = true;
	return true;
}

static void take_content_type(struct answer *answer, const char *value)
{
	const char *boundary = strcasestr(value, "boundary=");
	if (strncasecmp(value, "multipart/byteranges", 20) != 0 || !boundary)
		return;
	boundary += strlen("boundary=");
	bool quoted = *boundary == '"';
	boundary += quoted;
	size_t n = strcspn(boundary, quoted ? "\"" : "; \t");
	if (n == 0 || n >= sizeof(answer->boundary))
		return;
	memcpy(answer->boundary, boundary, n);
	answer->boundary[n] = '\0';
	answer->multipart = true;
}

static void take_status(struct answer *answer, const char *line)
{
	const char *status = line + strcspn(line, " ");
	*answer = (struct answer){.blob_size = answer->blob_size};
	answer->status = atoi(status);
	status += strspn(status, " ");
	status += strcspn(status, " ");
	status += strspn(status, " ");
	size_t n = MIN(strlen(status), sizeof(answer->status_text) - 1);
	for (size_t i = 0; i < n; i++)
		answer->status_text[i] =
		        (char)(status[i] >= ' ' && status[i] < 127 ? status[i] : '?');
}

bool answer_header(struct answer *answer, const char *data, size_t n)
{
	char line[ANSWER_LINE_MAX];
	const char *value;
	size_t bytes = answer->header_bytes + n;
	while (n > 0 && strchr("\r\n", data[n - 1]))
		n--;
	n = MIN(n, sizeof(line) - 1); /* none that matters is so long */
	memcpy(line, data, n);
	line[n] = '\0';
	if (has_prefix(line, "HTTP/"))
		take_status(answer, line);
	else if ((value = value_of(line, "Content-Range")))
		take_content_range(answer, value);
	else if ((value = value_of(line, "Content-Type")))
		take_content_type(answer, value);
	else if ((value = value_of(line, "Content-Length")))
		answer->has_length = take_number(&value, "", &answer->length);
	answer->header_bytes = bytes;
	return bytes <= HEADERS_MAX ||
	       bad(answer, "the headers of the answer have more than %zu bytes", HEADERS_MAX);
}

static bool check_range(struct answer *answer)
{
	if (answer->blob_size && answer->total && answer->total != answer->blob_size)
		return bad(answer, "it has %" PRIu64 " bytes there, and should have %" PRIu64,
		           answer->total, answer->blob_size);
	return true;
}

bool answer_begin(struct answer *answer, bool whole)
{
	if (answer->status == 206 && answer->multipart) {
		answer->state = BODY_LINE;
		return true;
	}
	answer->state = BODY_PLAIN;
	if (answer->status == 206 && answer->has_range) {
		answer->at = answer->first;
		return check_range(answer);
	}
	if (answer->status == 206)
		return bad(answer, "the server does not say which part it sends");
	if (answer->status != 200)
		return bad(answer, "the server answers %d%s%s", answer->status,
		           *answer->status_text ? " " : "", answer->status_text);
	answer->total = answer->has_length ? answer->length : 0;
	return whole ? check_range(answer)
	             : bad(answer, "the server sends no parts, only all of it");
}

/* ---- multipart/byteranges (RFC 9110, 14.6) ---- */

static bool end_line(struct answer *answer)
{
	const char *line = answer->line, *value;
	size_t n = strlen(answer->boundary);
	if (answer->state == BODY_LINE) {
		if (!has_prefix(line, "--") || strncmp(line + 2, answer->boundary, n) != 0)
			return true;
		answer->state = has_prefix(line + 2 + n, "--") ? BODY_END : BODY_PART_HEAD;
		answer->has_range = false;
		return true;
	}
	if ((value = value_of(line, "Content-Range")))
		return take_content_range(answer, value)
		               ? check_range(answer)
		               : bad(answer,
		                     "the server sends a part with a range that makes no sense");
	if (*line)
		return true;
	if (!answer->has_range)
		return bad(answer, "the server does not say which part it sends");
	answer->state = BODY_PART;
	answer->at = answer->first;
	answer->left = answer->end - answer->first;
	return true;
}

/* Returns how many bytes belong to the line. */
static int64_t take_line(struct answer *answer, const char *data, size_t size)
{
	const char *newline = memchr(data, '\n', size);
	size_t n = newline ? (size_t)(newline - data) : size;
	answer->junk += n + 1;
	if (answer->junk > JUNK_MAX || n >= ANSWER_LINE_MAX - answer->line_len) {
		bad(answer, "the parts that the server sends have too much between them");
		return -1;
	}
	memcpy(answer->line + answer->line_len, data, n);
	answer->line_len += n;
	if (!newline)
		return (int64_t)n;
	if (answer->line_len > 0 && answer->line[answer->line_len - 1] == '\r')
		answer->line_len--;
	answer->line[answer->line_len] = '\0';
	answer->line_len = 0;
	return end_line(answer) ? (int64_t)n + 1 : -1;
}

int64_t answer_body(struct answer *answer, const char *data, size_t size, const char **content,
                    size_t *n, uint64_t *offset)
{
	*n = 0;
	if (answer->state == BODY_END)
		return (int64_t)size;
	if (answer->state == BODY_LINE || answer->state == BODY_PART_HEAD)
		return take_line(answer, data, size);
	*content = data;
	*offset = answer->at;
	*n = answer->state == BODY_PART ? (size_t)MIN((uint64_t)size, answer->left) : size;
	answer->at += *n;
	if (answer->state == BODY_PART && (answer->left -= *n) == 0)
		answer->state = BODY_LINE;
	return (int64_t)*n;
}
