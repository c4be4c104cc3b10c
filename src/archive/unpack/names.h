/* SPDX-License-Identifier: Apache-2.0 */
/* Names as extraction sees them. */
#ifndef CST_ARCHIVE_UNPACK_NAMES_H
#define CST_ARCHIVE_UNPACK_NAMES_H

#include "base/mem.h"

/* `name` as extraction sees it: cleaned lexically, ".." stopped at the root, no leading "/"; "" is
 * the root itself. `ret` has room for strlen(name) + 1. *form tells "x", "/x" and "../x" apart, as
 * Go's cleaned names do. */
void unpack_clean_name(const char *name, char *ret, uint32_t *form);
const char *unpack_base_name(const char *path); /* behind the last "/" */

#endif
