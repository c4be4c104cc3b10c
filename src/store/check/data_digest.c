/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of data items. */
#include "store/check/data_digest.h"
#include "base/str.h"
#include <errno.h>
#include <unistd.h>

const char *data_key_digest(const char *key)
{
	static const char manifest[] = "manifest-";
	const char *digest = has_prefix(key, manifest) ? key + sizeof(manifest) - 1 : key;
	return digest_validate(digest, NULL) == 0 ? digest : NULL;
}

int data_digest(int fd, const char *key, const char *wanted, char ret[DIGEST_TEXT_MAX],
                cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	char buffer[65536];
	ssize_t n = 0;
	int r = digester_new(digest_algorithm_of(wanted), &digester, error);
	while (r == 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
		digester_update(digester, buffer, (size_t)n);
	if (r == 0 && n < 0)
		r = error_sys(error, errno, "read %s", key);
	return r == 0 ? digester_finish(digester, ret, error) : r;
}
