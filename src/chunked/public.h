/* SPDX-License-Identifier: Apache-2.0 */
/* What the public functions of this floor and of the store share. */
#ifndef CST_CHUNKED_PUBLIC_H
#define CST_CHUNKED_PUBLIC_H

#include "chunked/writer.h"

/* Takes the caller's options over the defaults, and checks the result struct. CST_EINVAL. */
int chunked_options_take(cst_chunked_options *options, const cst_chunked_options *given, const cst_chunked_result *result,
			 cst_error **error);
void chunked_result_give(const struct chunked_written *from, cst_chunked_result *to); /* `to` NULL: does nothing */

#endif
