/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_BASE_ID_H
#define CST_BASE_ID_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define ID_HEX_LEN 64

/* Random bytes from the kernel (getrandom). 0 or CST_ESYS. */
int random_bytes(void *buffer, size_t n, cst_error **error);
/* 64 lower-case hex digits of which the first 12 are not all decimal. `ret` holds 65 bytes. */
int id_generate(char ret[ID_HEX_LEN + 1], cst_error **error);
bool id_is_hex64(const char *id);
/* May a new layer, image or container be given this ID? Refuses what would escape its directory or clash with a file of
 * the store: empty, over 200 bytes, '/', blank or control bytes, leading '.', reserved names and endings
 * (docs/format/store.md, "IDs"). CST_EINVAL with a message naming the ID and the reason. `kind`: "layer", ... */
int id_check_new(const char *kind, const char *id, cst_error **error);

#endif
