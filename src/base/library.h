/* SPDX-License-Identifier: Apache-2.0 */
/* Shared libraries that this process loads when it first needs them. Most runs need none, and
 * mapping and relocating them is most of the time that a small program takes to start. Each library
 * is also named in an ELF note, where packagers find it (the "ELF dlopen metadata" of the UAPI
 * group). */
#ifndef CST_BASE_LIBRARY_H
#define CST_BASE_LIBRARY_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

struct library_symbol {
	const char *name;
	void *pointer; /* the address of the function pointer that is set */
};

struct library {
	const char *needed_for;               /* completes "is needed ...": "to read xz" */
	const char *const *sonames;           /* tried in turn; NULL ends */
	const struct library_symbol *symbols; /* a NULL name ends */
	bool loaded;
};

/* Loads the library and sets every function pointer, once for the process; it stays loaded.
 * CST_ENOTSUP: none of the sonames can be loaded, or one lacks a function. Thread-safe. */
int library_load(struct library *library, cst_error **error);
static inline bool library_is_loaded(const struct library *library)
{
	return __atomic_load_n(&library->loaded, __ATOMIC_ACQUIRE);
}

#define LIBRARY_NOTE_TYPE 0x407c0c0a
/* `feature` and `sonames` are written as in the note's JSON: LIBRARY_NOTE("zstd", "recommended",
 * "[\"libzstd.so.1\"]"). At most one in a file. */
#define LIBRARY_NOTE(feature, priority, sonames)                                   \
	LIBRARY_NOTE_TEXT("[{\"feature\":\"" feature "\",\"priority\":\"" priority \
	                  "\",\"soname\":" sonames "}]")
#define LIBRARY_NOTE_TEXT(text)                                                          \
	__attribute__((used, section(".note.dlopen"), aligned(4))) static const struct { \
		uint32_t name_size, text_size, type;                                     \
		char name[4];                                                            \
		char json[sizeof(text)] __attribute__((aligned(4)));                     \
	} library_note = {4, sizeof(text), LIBRARY_NOTE_TYPE, "FDO", text}

#endif
