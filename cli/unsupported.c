/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that this version does not have: their command lines are checked, and then they fail. */
#include "command.h"

int run_unsupported(struct invocation *in)
{
	complain(in, "%s: not supported by this version", in->word);
	return 1;
}
