/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that this version does not have: their command lines are checked, and then they fail. */
#include "command.h"
#include <string.h>

int run_unsupported(struct invocation *in)
{
	complain(in, "%s: not supported by this version", in->word);
	return 1;
}

int run_dedup(struct invocation *in)
{
	static const char *const methods[] = {"crc", "size", "sha256"};
	const char *method = text_of(in, OPT_HASH_METHOD);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(method, methods[i]) == 0)
			return run_unsupported(in);
	complain(in, "invalid hash method: %s", method);
	return 1;
}
