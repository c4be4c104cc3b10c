/* SPDX-License-Identifier: Apache-2.0 */
/* Making IDs, and the check that keeps a caller's ID from naming anything but a directory of its
 * own. */
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <sys/random.h>

int random_bytes(void *buffer, size_t n, cst_error **error)
{
	unsigned char *p = buffer;
	while (n) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_sys(error, errno, "reading random bytes");
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

int id_generate(char ret[ID_HEX_LEN + 1], cst_error **error)
{
	static const char hex[] = "0123456789abcdef";
	char id[ID_HEX_LEN + 1] = "";
	do {
		unsigned char bytes[ID_HEX_LEN / 2];
		int r = random_bytes(bytes, sizeof(bytes), error);
		if (r < 0)
			return r;
		for (size_t i = 0; i < sizeof(bytes); i++) {
			id[2 * i] = hex[bytes[i] >> 4];
			id[2 * i + 1] = hex[bytes[i] & 15];
		}
		/* The Go tools show the first 12 digits of an ID, and these must not look like a
		 * number. */
	} while (strspn(id, "0123456789") >= 12);
	memcpy(ret, id, sizeof(id));
	return 0;
}

bool id_is_hex64(const char *id)
{
	return strlen(id) == ID_HEX_LEN && strspn(id, "0123456789abcdef") == ID_HEX_LEN;
}

static const char *id_problem(const char *id)
{
	static const char *const reserved[] = {"l", "staging", "tempdirs", "backingFsBlockDev",
	                                       "tmp"};
	static const char *const endings[] = {".lock", ".json", ".tar-split.gz"};
	if (!*id)
		return "it is empty";
	if (strlen(id) > 200)
		return "it is longer than 200 bytes";
	if (*id == '.')
		return "it starts with a dot";
	for (const char *p = id; *p; p++) {
		if (*p == '/')
			return "it contains a slash";
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return "it contains a blank or control character";
	}
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		if (streq(id, reserved[i]))
			return "the store uses that name itself";
	}
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		if (has_suffix(id, endings[i]))
			return "it ends like a file of the store";
	}
	return NULL;
}

/* docs/format/store.md, "IDs" */
int id_check_new(const char *kind, const char *id, cst_error **error)
{
	const char *problem = id_problem(id);
	if (!problem)
		return 0;
	return error_set(error, CST_EINVAL, "%s ID \"%.210s\" cannot be used: %s", kind, id,
	                 problem);
}

int id_for_new(const char *kind, const char *given, struct arena *arena, const char **ret,
               cst_error **error)
{
	char fresh[ID_HEX_LEN + 1];
	bool chosen = given && *given;
	int r = chosen ? id_check_new(kind, given, error) : id_generate(fresh, error);
	if (r < 0)
		return r;
	*ret = arena_strdup(arena, chosen ? given : fresh);
	return *ret ? 0 : error_oom(error);
}
