/* SPDX-License-Identifier: Apache-2.0 */
/* For the JSON reader: escapes in strings. */
#ifndef CST_BASE_JSON_ESCAPE_H
#define CST_BASE_JSON_ESCAPE_H

#include <stddef.h>

/* Length of the valid escape at p (a backslash), 0 if it is none. */
size_t json_escape_length(const char *p, const char *end);
/* Decodes the content of a string whose escapes are valid. Returns the length, which is never larger than `len`. */
size_t json_unescape(const char *p, size_t len, char *to);

#endif
