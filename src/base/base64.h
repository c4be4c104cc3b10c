/* SPDX-License-Identifier: Apache-2.0 */
/* Standard base64 with padding. */
#ifndef CST_BASE_BASE64_H
#define CST_BASE_BASE64_H

#include "base/mem.h"
#include "base/str.h"

void base64_encode(struct strbuf *out, const void *data, size_t n); /* appends */
/* Into `out`, which has room for len / 4 * 3 bytes and may be where the text is. False: *bad is the
 * index of what does not belong there. */
bool base64_decode(const char *text, size_t len, unsigned char *out, size_t *out_len, size_t *bad);

#endif
