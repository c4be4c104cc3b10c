/* SPDX-License-Identifier: Apache-2.0 */
/* ISA-L: inflate, deflate and checksums with SIMD code, loaded at first use. */
#ifndef CST_BASE_ISAL_H
#define CST_BASE_ISAL_H

#include "base/error.h"
#include <isa-l.h>
#include <stdbool.h>

struct isal {
	__typeof__(isal_inflate) *inflate;
	__typeof__(isal_inflate_init) *inflate_init;
	__typeof__(isal_inflate_reset) *inflate_reset;
	__typeof__(isal_deflate) *deflate;
	__typeof__(isal_deflate_init) *deflate_init;
	__typeof__(crc32_gzip_refl) *crc32;
	__typeof__(crc64_iso_refl) *crc64_iso;
};

/* CST_ENOTSUP: it cannot be loaded. */
int isal_load(const struct isal **ret, cst_error **error);
bool isal_is_loaded(void);

#endif
