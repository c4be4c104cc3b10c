/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the lines of a tar-split file (recipe.h). */
#include "archive/tarsplit/recipe.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/types.h"
#include <errno.h>
#include <unistd.h>

#define INPUT_SIZE ((size_t)64 << 10)
#define TEXT_STEP  ((size_t)256 << 10)
/* What is kept whole. The longest name is 1 MiB, and six times that in JSON. */
#define VALUE_MAX ((size_t)8 << 20)
/* So every writer begins a segment. A longer one is given out in parts. */
#define SEGMENT "{\"type\":2,\"payload\":\""

struct recipe {
	cst_source source;
	int fd; /* of recipe_open() */
	struct decompressor *decompressor;
	char *input;
	size_t input_pos, input_len;
	uint64_t input_total;
	bool input_end, text_end;
	uint64_t text_max; /* bytes of text that may still come */

	char *text; /* decompressed, [text_pos, text_len) not yet used */
	size_t text_pos, text_len, text_capacity;

	struct arena arena; /* of the current entry */
};

void recipe_free(struct recipe *recipe)
{
	if (recipe->decompressor)
		decompressor_free(recipe->decompressor);
	free(recipe->input);
	free(recipe->text);
	arena_clear(&recipe->arena);
	free(recipe);
}

static int64_t read_fd(void *userdata, void *buffer, size_t size, cst_error **error)
{
	const struct recipe *recipe = userdata;
	ssize_t n;
	do
		n = read(recipe->fd, buffer, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_sys(error, errno, "read tar-split") : n;
}

int recipe_open(int fd, struct recipe **ret, cst_error **error)
{
	const cst_source source = {.read = read_fd};
	int r = recipe_open_source(&source, CST_GZIP, ret, error);
	if (r < 0)
		return r;
	(*ret)->fd = fd;
	(*ret)->source.userdata = *ret;
	return 0;
}

int recipe_open_source(const cst_source *source, enum cst_compression compression,
                       struct recipe **ret, cst_error **error)
{
	_cleanup_(recipe_freep) struct recipe *recipe = new0(struct recipe, 1);
	if (!recipe)
		return error_oom(error);
	recipe->source = *source;
	recipe->text_max = UINT64_MAX;
	recipe->input = malloc(INPUT_SIZE);
	if (!recipe->input)
		return error_oom(error);
	int r = decompressor_new(compression, &recipe->decompressor, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&recipe);
	return 0;
}

static int ends_early(const char *go_words, cst_error **error)
{
	error_set(error, CST_ECORRUPT, "tar-split: it ends early");
	return error_go_words(error, CST_ECORRUPT, NULL, "%s", go_words);
}

void recipe_limit(struct recipe *recipe, uint64_t size)
{
	recipe->text_max = size;
}

static int damaged(const cst_error *problem, cst_error **error)
{
	error_set(error, CST_ECORRUPT, "tar-split: %s", cst_error_message(problem));
	return error_go_words(error, CST_ECORRUPT, NULL, "%s", cst_error_go_message(problem));
}

static int read_input(struct recipe *recipe, cst_error **error)
{
	int64_t n = source_read(&recipe->source, recipe->input, INPUT_SIZE, error);
	if (n < 0)
		return (int)n;
	if (n == 0 && recipe->input_total == 0)
		return ends_early("EOF", error);
	recipe->input_pos = 0;
	recipe->input_len = (size_t)n;
	recipe->input_total += (uint64_t)n;
	recipe->input_end = n == 0;
	return 0;
}

/* Room behind the text: what was used is moved out of the way first. */
static int make_room(struct recipe *recipe, cst_error **error)
{
	if (recipe->text_pos > 0) {
		recipe->text_len -= recipe->text_pos;
		memmove(recipe->text, recipe->text + recipe->text_pos, recipe->text_len);
		recipe->text_pos = 0;
	}
	if (recipe->text_capacity - recipe->text_len >= TEXT_STEP / 2)
		return 0;
	char *grown =
	        grow_array(recipe->text, &recipe->text_capacity, recipe->text_len + TEXT_STEP, 1);
	if (!grown)
		return error_oom(error);
	recipe->text = grown;
	return 0;
}

/* More text; sets text_end when there is none. */
static int read_text(struct recipe *recipe, cst_error **error)
{
	int r = make_room(recipe, error);
	while (r == 0 && !recipe->text_end) {
		if (recipe->input_pos == recipe->input_len && !recipe->input_end &&
		    (r = read_input(recipe, error)) < 0)
			return r;
		size_t used = 0, got = 0;
		_cleanup_error_ cst_error *problem = NULL;
		r = decompressor_run(recipe->decompressor, recipe->input + recipe->input_pos,
		                     recipe->input_len - recipe->input_pos, &used,
		                     recipe->input_end, recipe->text + recipe->text_len,
		                     recipe->text_capacity - recipe->text_len, &got,
		                     &recipe->text_end, &problem);
		if (r == CST_EARCHIVE)
			return damaged(problem, error);
		if (r < 0)
			return error_propagate(error, steal_ptr(&problem));
		recipe->input_pos += used;
		recipe->text_len += got;
		if (got > recipe->text_max)
			return error_set(error, CST_ECORRUPT,
			                 "tar-split: it is larger than it is said to be");
		recipe->text_max -= got;
		if (got > 0)
			return 0;
	}
	return r;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Goes to the next value. *end: only white space was left. */
static int skip_space(struct recipe *recipe, bool *end, cst_error **error)
{
	for (;;) {
		while (recipe->text_pos < recipe->text_len &&
		       is_space(recipe->text[recipe->text_pos]))
			recipe->text_pos++;
		*end = recipe->text_pos == recipe->text_len;
		if (!*end || recipe->text_end)
			break;
		int r = read_text(recipe, error);
		if (r < 0)
			return r;
	}
	if (!*end && recipe->text[recipe->text_pos] != '{')
		return error_set(error, CST_ECORRUPT,
		                 "invalid character '%c' looking for beginning of value",
		                 recipe->text[recipe->text_pos]);
	return 0;
}

/* How far the search for the end of a value got. */
struct scan {
	size_t at, depth; /* `at` counts from text_pos */
	bool in_string;
};

/* Goes on inside of a string; false when what follows a backslash is not here yet. */
static bool scan_string(const char *text, size_t len, struct scan *scan)
{
	const char *quote = memchr(text + scan->at, '"', len - scan->at), *escape;
	size_t limit = quote ? (size_t)(quote - text) : len;
	while (scan->at < limit && (escape = memchr(text + scan->at, '\\', limit - scan->at))) {
		scan->at = (size_t)(escape - text);
		if (scan->at + 1 == len)
			return false;
		scan->at += 2;
	}
	if (scan->at > limit)
		return true; /* that quote was escaped */
	scan->in_string = !quote;
	scan->at = quote ? limit + 1 : len;
	return true;
}

/* True when the value is complete and ends before scan->at. */
static bool scan_value(const struct recipe *recipe, struct scan *scan)
{
	const char *text = recipe->text + recipe->text_pos;
	size_t len = recipe->text_len - recipe->text_pos;
	while (scan->at < len) {
		if (scan->in_string) {
			if (!scan_string(text, len, scan))
				return false;
			continue;
		}
		char c = text[scan->at++];
		scan->in_string = c == '"';
		if (c == '{' || c == '[')
			scan->depth++;
		else if ((c == '}' || c == ']') && --scan->depth == 0)
			return true;
	}
	return false;
}

/* How much of the segment at text_pos can be taken before it is here to its end: whole groups of base64. 0: it is none, or
 * the payload is not what makes it long. */
static size_t segment_part(const struct recipe *recipe)
{
	const char *payload = recipe->text + recipe->text_pos + strlen(SEGMENT);
	const char *end = recipe->text + recipe->text_len;
	if (memcmp(payload - strlen(SEGMENT), SEGMENT, strlen(SEGMENT)) != 0)
		return 0;
	const char *quote = memchr(payload, '"', (size_t)(end - payload));
	size_t n = (size_t)((quote ? quote : end) - payload) / 4 * 4;
	return n > VALUE_MAX / 2 ? n : 0;
}

/* The value at text_pos; *len 0: too long to be kept whole. */
static int find_value(struct recipe *recipe, size_t *len, cst_error **error)
{
	struct scan scan = {0};
	while (!scan_value(recipe, &scan)) {
		*len = 0;
		if (recipe->text_len - recipe->text_pos > VALUE_MAX)
			return 0;
		int r = recipe->text_end ? ends_early("unexpected EOF", error)
		                         : read_text(recipe, error);
		if (r < 0)
			return r;
	}
	*len = scan.at;
	return 0;
}

/* Decodes a base64 string in its place. */
static int decode_in_place(char *text, size_t len, struct recipe_entry *entry, cst_error **error)
{
	size_t bad;
	entry->payload = text;
	if (!base64_decode(text, len, (unsigned char *)text, &entry->payload_len, &bad))
		return error_set(error, CST_ECORRUPT, "illegal base64 data at input byte %zu", bad);
	return 0;
}

static int decode_payload(struct recipe *recipe, struct json_reader *json,
                          struct recipe_entry *entry, cst_error **error)
{
	const char *text;
	size_t len;
	if (json_peek(json) != JSON_STRING || !json_raw(json, &text, &len)) {
		json_skip(json);
		return 0;
	}
	if (memchr(text, '\\', len)) { /* rare: a writer that escapes the slash */
		struct json_reader again;
		json_reader_init(&again, text, len, &recipe->arena);
		if (!json_bytes(&again, &text, &len))
			return json_error(&again, "tar-split", error);
		return decode_in_place((char *)text, len, entry, error);
	}
	return decode_in_place((char *)text + 1, len - 2, entry, error);
}

/* The first part of a segment that is too long. What is left becomes a segment, too. */
static int take_part(struct recipe *recipe, struct recipe_entry *entry, cst_error **error)
{
	size_t n = segment_part(recipe);
	if (n == 0)
		return error_set(error, CST_ECORRUPT,
		                 "tar-split: an entry is longer than the %zu bytes that are read",
		                 VALUE_MAX);
	char *text = recipe->text + recipe->text_pos, *payload = text + strlen(SEGMENT);
	*entry = (struct recipe_entry){.type = RECIPE_SEGMENT, .name = ""};
	int r = decode_in_place(payload, n, entry, error);
	/* Behind the bytes, which take less room than their text did. */
	memcpy(text + n, SEGMENT, strlen(SEGMENT));
	recipe->text_pos += n;
	return r;
}

/* A name in base64, for what is not UTF-8. */
static int decode_raw_name(struct recipe *recipe, struct json_reader *json, const char **ret,
                           cst_error **error)
{
	const char *text = "";
	size_t len = 0, bad, n;
	if (!json_bytes(json, &text, &len) || len == 0)
		return 0;
	char *name = arena_alloc(&recipe->arena, len / 4 * 3 + 4);
	if (!name)
		return error_oom(error);
	if (!base64_decode(text, len, (unsigned char *)name, &n, &bad))
		return error_set(error, CST_ECORRUPT, "illegal base64 data at input byte %zu", bad);
	name[n] = '\0';
	if (strlen(name) != n)
		return error_set(error, CST_ECORRUPT, "tar-split: NUL in a name");
	*ret = name;
	return 0;
}

static int parse_entry(struct recipe *recipe, struct json_reader *json, struct recipe_entry *entry,
                       cst_error **error)
{
	const char *key, *raw_name = "";
	*entry = (struct recipe_entry){.name = ""};
	if (!json_object_begin(json))
		return json_error(json, "tar-split", error);
	while (json_object_next(json, &key)) {
		int r = 0;
		if (json_key_is(key, "type"))
			json_int64(json, &entry->type);
		else if (json_key_is(key, "size"))
			json_int64(json, &entry->size);
		else if (json_key_is(key, "name"))
			json_string(json, &entry->name);
		else if (json_key_is(key, "name_raw"))
			r = decode_raw_name(recipe, json, &raw_name, error);
		else if (json_key_is(key, "payload"))
			r = decode_payload(recipe, json, entry, error);
		else
			json_skip(json);
		if (r < 0)
			return r;
	}
	if (!json_ok(json))
		return json_error(json, "tar-split", error);
	if (*raw_name)
		entry->name = raw_name;
	return 0;
}

int recipe_next(struct recipe *recipe, struct recipe_entry *entry, bool *end, cst_error **error)
{
	size_t len = 0;
	int r = skip_space(recipe, end, error);
	if (r < 0 || *end)
		return r;
	r = find_value(recipe, &len, error);
	if (r < 0)
		return r;
	if (len == 0)
		return take_part(recipe, entry, error);
	struct json_reader json;
	arena_clear(&recipe->arena);
	json_reader_init(&json, recipe->text + recipe->text_pos, len, &recipe->arena);
	recipe->text_pos += len;
	return parse_entry(recipe, &json, entry, error);
}
