/* SPDX-License-Identifier: Apache-2.0 */
/* Loads libzstd. Its soname and the functions that this library needs of it are here only. */
#include "codec/zstd_library.h"
#include "base/library.h"

LIBRARY_NOTE("zstd", "required", "[\"libzstd.so.1\"]");

static struct zstd_library zstd;

static const struct library_symbol symbols[] = {
        {"ZSTD_createCCtx", &zstd.createCCtx},
        {"ZSTD_freeCCtx", &zstd.freeCCtx},
        {"ZSTD_CCtx_setParameter", &zstd.CCtx_setParameter},
        {"ZSTD_CCtx_reset", &zstd.CCtx_reset},
        {"ZSTD_CStreamOutSize", &zstd.CStreamOutSize},
        {"ZSTD_compressBound", &zstd.compressBound},
        {"ZSTD_compressStream2", &zstd.compressStream2},
        {"ZSTD_createDCtx", &zstd.createDCtx},
        {"ZSTD_freeDCtx", &zstd.freeDCtx},
        {"ZSTD_DCtx_setParameter", &zstd.DCtx_setParameter},
        {"ZSTD_decompressStream", &zstd.decompressStream},
        {"ZSTD_isError", &zstd.isError},
        {"ZSTD_getErrorCode", &zstd.getErrorCode},
        {"ZSTD_getErrorName", &zstd.getErrorName},
        {NULL, NULL},
};

static struct library library = {
        .needed_for = "to read and write zstd",
        .sonames = (const char *const[]){"libzstd.so.1", NULL},
        .symbols = symbols,
};

int zstd_load(const struct zstd_library **ret, cst_error **error)
{
	int r = library_load(&library, error);
	if (r == 0)
		*ret = &zstd;
	return r;
}
