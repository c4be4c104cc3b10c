/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the files that hold data items (docs/format/store.md, "Big data file names"). */
#include "base/base64.h"
#include "base/fs.h"
#include "records/record.h"

/* Bytes of the first character, as Go decodes it: one for what is not UTF-8. */
static size_t rune_length(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = p[0] >= 0xf0 && p[0] <= 0xf4  ? 4
	             : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
	             : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
	                                           : 1;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 1;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
	}
	return len;
}

/* Go's scan stops at the first odd character and encodes only if something follows it: an odd last
 * one stays. */
char *data_file_name(const char *key)
{
	const char *p = key;
	while ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || *p == '.')
		p++;
	if (!*p || !p[rune_length(p)])
		return strdup(key);
	struct strbuf name = {0};
	strbuf_addc(&name, '=');
	base64_encode(&name, key, strlen(key));
	return strbuf_steal(&name);
}

int data_check_key(const char *kind, const char *key, cst_error **error)
{
	if (isempty(key))
		return error_wrap_code(error, CST_EINVALID_BIG_DATA_NAME,
		                       "can't set empty name for %s big data item", kind);
	_cleanup_free_ char *name = data_file_name(key);
	if (!name)
		return error_oom(error);
	/* An escaped name begins with "=", which no other does but "=" itself: only a slash can
	 * make two keys meet. */
	if (!path_is_component(name) || streq(name, "userdata"))
		return error_set(error, CST_EINVAL,
		                 "%s big data item \"%s\": its file name \"%s\" is not possible",
		                 kind, key, name);
	return 0;
}
