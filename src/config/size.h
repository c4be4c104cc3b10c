/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_CONFIG_SIZE_H
#define CST_CONFIG_SIZE_H

#include "base/error.h"
#include <stdint.h>

/* "10G", "1.5 MiB", "512": a size in bytes, units of 1024. CST_EINVAL: `invalid size: 'x'`,
 * `invalid suffix: 'q'` (docs/format/config.md, "Environment, expansion, validation, driver
 * options"). */
int size_parse(const char *text, uint64_t *ret, cst_error **error);

#endif
