/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of blobs that are read in parts. */
#ifndef CST_CLI_PULL_H
#define CST_CLI_PULL_H

#include "command.h"

/* Of a blob in a regular file. */
int pull_from_file(const struct invocation *in, const cst_layer_options *layer, int fd, cst_layer **ret, cst_error **error);
/* Of the blob at --url. An exit code, of what was told of already, or a negative one of the library. */
int pull_from_url(const struct invocation *in, const cst_layer_options *layer, cst_layer **ret, cst_error **error);

#endif
