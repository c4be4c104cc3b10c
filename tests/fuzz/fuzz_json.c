/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader and writer: what was read and written anew reads as the same, and does not change
 * a second time. */
#include "fuzz.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"

static bool normal(const char *data, size_t size, struct strbuf *out)
{
	_cleanup_arena_ struct arena arena = {0};
	struct json_reader reader;
	struct json_writer writer;
	bool fits = true;
	json_reader_init(&reader, data, size, &arena);
	json_writer_init(&writer, out, JSON_STORE);
	return json_copy_normal(&reader, &writer, &fits) && json_finish(&reader);
}

static bool valid(const char *data, size_t size)
{
	struct json_reader reader;
	json_reader_init(&reader, data, size, NULL);
	return json_skip(&reader) && json_finish(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	_cleanup_strbuf_ struct strbuf once = {0};
	_cleanup_strbuf_ struct strbuf twice = {0};
	_cleanup_strbuf_ struct strbuf thrice = {0};
	bool good = valid(text, size);
	if (!normal(text, size, &once))
		return 0;
	MUST(good);
	MUST(valid(once.data, once.len));
	MUST(normal(once.data, once.len, &twice));
	MUST(normal(twice.data, twice.len, &thrice));
	MUST(twice.len == thrice.len && memcmp(twice.data, thrice.data, twice.len) == 0);
	return 0;
}
