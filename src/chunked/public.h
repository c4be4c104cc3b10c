/* SPDX-License-Identifier: Apache-2.0 */
/* What the public functions of this floor and of the store share. */
#ifndef CST_CHUNKED_PUBLIC_H
#define CST_CHUNKED_PUBLIC_H

#include "chunked/writer.h"

/* The frame of what makes a blob: checks options and result, and fills the result in. `put` gives the plain tar to a sink. */
int chunked_create(const cst_sink *blob, const cst_chunked_options *options, cst_chunked_result *result,
		   int (*put)(void *userdata, const cst_sink *tar, const cst_progress *progress, cst_error **error),
		   void *userdata, cst_error **error);

#endif
