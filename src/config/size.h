/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes with units in options. */
#ifndef CST_CONFIG_SIZE_H
#define CST_CONFIG_SIZE_H

#include "base/error.h"
#include <stdint.h>

/* Reads "10G", "1.5 MiB" or "512" as a number of bytes; units are of 1024. CST_EINVAL: `invalid
 * size: 'x'`, `invalid suffix: 'q'` (docs/format/config.md, "Environment, expansion, validation,
 * driver options"). */
int size_parse(const char *text, uint64_t *ret, cst_error **error);

#endif
