/* SPDX-License-Identifier: Apache-2.0 */
/* Loads ISA-L. Its soname and the functions that this library needs of it are here only. */
#include "base/isal.h"
#include "base/library.h"

LIBRARY_NOTE("gzip", "required", "[\"libisal.so.2\"]");

static struct isal isal;

static const struct library_symbol symbols[] = {
        {"isal_inflate", &isal.inflate},
        {"isal_inflate_init", &isal.inflate_init},
        {"isal_inflate_reset", &isal.inflate_reset},
        {"isal_deflate", &isal.deflate},
        {"isal_deflate_init", &isal.deflate_init},
        {"crc32_gzip_refl", &isal.crc32},
        {"crc64_iso_refl", &isal.crc64_iso},
        {NULL, NULL},
};

static struct library library = {
        .needed_for = "to read and write gzip",
        .sonames = (const char *const[]){"libisal.so.2", NULL},
        .symbols = symbols,
};

int isal_load(const struct isal **ret, cst_error **error)
{
	int r = library_load(&library, error);
	if (r == 0)
		*ret = &isal;
	return r;
}

bool isal_is_loaded(void)
{
	return library_is_loaded(&library);
}
