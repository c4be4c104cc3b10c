/* SPDX-License-Identifier: Apache-2.0 */
/* libzstd, loaded at first use. */
#ifndef CST_CODEC_ZSTD_LIBRARY_H
#define CST_CODEC_ZSTD_LIBRARY_H

#include "base/error.h"
#include <zstd.h>
#include <zstd_errors.h>

struct zstd_library {
	__typeof__(ZSTD_createCCtx) *createCCtx;
	__typeof__(ZSTD_freeCCtx) *freeCCtx;
	__typeof__(ZSTD_CCtx_setParameter) *CCtx_setParameter;
	__typeof__(ZSTD_CCtx_reset) *CCtx_reset;
	__typeof__(ZSTD_CStreamOutSize) *CStreamOutSize;
	__typeof__(ZSTD_compressBound) *compressBound;
	__typeof__(ZSTD_compressStream2) *compressStream2;
	__typeof__(ZSTD_createDCtx) *createDCtx;
	__typeof__(ZSTD_freeDCtx) *freeDCtx;
	__typeof__(ZSTD_DCtx_setParameter) *DCtx_setParameter;
	__typeof__(ZSTD_decompressStream) *decompressStream;
	__typeof__(ZSTD_isError) *isError;
	__typeof__(ZSTD_getErrorCode) *getErrorCode;
	__typeof__(ZSTD_getErrorName) *getErrorName;
};

/* CST_ENOTSUP: it cannot be loaded. */
int zstd_load(const struct zstd_library **ret, cst_error **error);

#endif
