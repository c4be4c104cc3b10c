/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared libraries that are loaded when they are first needed. Most runs need none of them, and to
 * map and relocate them is most of what the start of a small program costs. Each is named in an ELF
 * note as well, where packagers find it (the "ELF dlopen metadata" of the UAPI group).
 */
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

/* Sets every function pointer, once for the process; the library stays loaded. CST_ENOTSUP: none of
 * the sonames can be loaded, or one lacks a function. Thread-safe. */
int library_load(struct library *library, cst_error **error);

#define LIBRARY_NOTE_TYPE 0x407c0c0a
/* `feature` and `sonames` as in the note's JSON: LIBRARY_NOTE("zstd", "recommended",
 * "[\"libzstd.so.1\"]"). One to a file. */
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
