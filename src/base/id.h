/* SPDX-License-Identifier: Apache-2.0 */
/* IDs of layers, images and containers, and random bytes. */
#ifndef CST_BASE_ID_H
#define CST_BASE_ID_H

#include "base/error.h"
#include "base/mem.h"
#include <stdbool.h>
#include <stddef.h>

#define ID_HEX_LEN 64

/* Random bytes from the kernel (getrandom). 0 or CST_ESYS. */
int random_bytes(void *buffer, size_t n, cst_error **error);
/* 64 lower-case hex digits of which the first 12 are not all decimal. `ret` holds 65 bytes. */
int id_generate(char ret[ID_HEX_LEN + 1], cst_error **error);
bool id_is_hex64(const char *id);
/* May a new layer, image or container have this ID? CST_EINVAL with a message that names the ID and
 * the reason: empty, over 200 bytes, '/', a blank or control byte, a leading '.', or a reserved
 * name or ending. Such an ID could leave its directory or clash with a file of the store
 * (docs/format/store.md, "IDs"). `kind` is "layer", "image" or "container". */
int id_check_new(const char *kind, const char *id, cst_error **error);
/* The ID of a new item: the given one, which is checked, or if that is empty a fresh one. *ret is in the arena. */
int id_for_new(const char *kind, const char *given, struct arena *arena, const char **ret, cst_error **error);

#endif
