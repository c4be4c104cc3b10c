/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as Go's encoder writes it, with HTML escapes (docs/format/command.md, "JSON"). */
#include "command.h"
#include <stdio.h>
#include <string.h>

/* Writes an escape; two of them for what needs more than 16 bits. */
static void put_escape(FILE *to, uint32_t point)
{
	if (point < 0x10000)
		fprintf(to, "\\u%04x", point);
	else
		fprintf(to, "\\u%04x\\u%04x", 0xd7c0 + (point >> 10), 0xdc00 + (point & 0x3ff));
}

static void put_ascii(FILE *to, unsigned char c)
{
	static const char letters[] = "\b\f\n\r\t\"\\", escapes[] = "bfnrt\"\\";
	const char *special = c ? strchr(letters, c) : NULL;
	if (special)
		fprintf(to, "\\%c", escapes[special - letters]);
	else if (c < 0x20 || c == '<' || c == '>' || c == '&')
		fprintf(to, "\\u%04x", c);
	else
		putc_unlocked(c, to);
}

static void write_bytes(FILE *to, const char *text, size_t length)
{
	bool escape = is_terminal(to);
	putc_unlocked('"', to);
	for (size_t i = 0; i < length;) {
		uint32_t point = 0;
		size_t n = utf8_decode(text + i, length - i, &point);
		if (n == 0)
			fputs("\\ufffd", to);
		else if (escape && point >= 0x7f && !is_printable(point))
			put_escape(to, point);
		else if (n == 1)
			put_ascii(to, (unsigned char)point);
		else if (point == 0x2028 || point == 0x2029) /* line and paragraph separators */
			fprintf(to, "\\u%04x", point);
		else
			fwrite(text + i, 1, n, to);
		i += n ? n : 1;
	}
	putc_unlocked('"', to);
}

/* The JSON is complete, so all that it must escape is escaped. Characters beyond ASCII are only
 * inside of strings. */
void json_print_raw(const char *json, size_t size)
{
	if (!is_terminal(stdout)) {
		fwrite(json, 1, size, stdout);
		return;
	}
	for (size_t i = 0; i < size;) {
		uint32_t point = 0;
		size_t n = utf8_decode(json + i, size - i, &point);
		if (n == 0)
			fputs("\\ufffd", stdout);
		else if (is_printable(point) || point == '\n')
			fwrite(json + i, 1, n, stdout);
		else
			put_escape(stdout, point);
		i += n ? n : 1;
	}
}

void json_write_string(FILE *to, const char *text)
{
	write_bytes(to, text, strlen(text));
}

void json_print_bytes(const char *text, size_t length)
{
	write_bytes(stdout, text, length);
}

void json_print_string(const char *text)
{
	json_print_bytes(text, strlen(text));
}

void json_print_names(const char *const *names, size_t n)
{
	if (n == 0) {
		fputs("null", stdout);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		putchar_unlocked(i ? ',' : '[');
		json_print_string(names[i]);
	}
	putchar_unlocked(']');
}

void json_print_strings(const cst_strings *strings, const char *if_empty)
{
	size_t n = cst_strings_size(strings);
	for (size_t i = 0; i < n; i++) {
		putchar_unlocked(i ? ',' : '[');
		json_print_string(cst_strings_get(strings, i));
	}
	fputs(n ? "]" : if_empty, stdout);
}

void json_print_pairs(const cst_pairs *pairs)
{
	putchar_unlocked('[');
	for (size_t i = 0; i < cst_pairs_size(pairs); i++) {
		fputs(i ? ",[" : "[", stdout);
		json_print_string(cst_pairs_key(pairs, i));
		putchar_unlocked(',');
		json_print_string(cst_pairs_value(pairs, i));
		putchar_unlocked(']');
	}
	putchar_unlocked(']');
}

/* Prints what a cst_*_json() function made. */
static int put_record(const struct invocation *in, int result, char *json, size_t size,
                      const cst_error *error)
{
	if (result < 0)
		return fail(in, error);
	json_print_raw(json, size);
	cst_free(json);
	return 0;
}

int json_print_layer(const struct invocation *in, const cst_layer *layer)
{
	_cleanup_error_ cst_error *error = NULL;
	char *json = NULL;
	size_t size = 0;
	int result = cst_layer_json(layer, &json, &size, &error);
	return put_record(in, result, json, size, error);
}

int json_print_image(const struct invocation *in, const cst_image *image)
{
	_cleanup_error_ cst_error *error = NULL;
	char *json = NULL;
	size_t size = 0;
	int result = cst_image_json(image, &json, &size, &error);
	return put_record(in, result, json, size, error);
}

int json_print_container(const struct invocation *in, const cst_container *container)
{
	_cleanup_error_ cst_error *error = NULL;
	char *json = NULL;
	size_t size = 0;
	int result = cst_container_json(container, &json, &size, &error);
	return put_record(in, result, json, size, error);
}

void json_print_base64(const void *data, size_t size)
{
	static const char digits[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *bytes = data;
	putchar_unlocked('"');
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? bytes[i + 1] << 8 : 0) |
		                 (left > 2 ? bytes[i + 2] : 0);
		putchar_unlocked(digits[group >> 18]);
		putchar_unlocked(digits[group >> 12 & 63]);
		putchar_unlocked(left > 1 ? digits[group >> 6 & 63] : '=');
		putchar_unlocked(left > 2 ? digits[group & 63] : '=');
	}
	putchar_unlocked('"');
}
