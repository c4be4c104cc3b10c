/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TOML reader: a whole document becomes a tree of nodes in the caller's arena. Time and memory
 * grow with the size of the document only, which is bounded, as are nesting and the number of keys
 * in a table.
 */
#ifndef CST_CONFIG_TOML_H
#define CST_CONFIG_TOML_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define TOML_MAX_SIZE  (1024 * 1024) /* bytes of a document */
#define TOML_MAX_DEPTH 100           /* tables and arrays inside each other */
#define TOML_MAX_KEYS  1024          /* in one table: look-up is a walk */

/* 1.1 also has inline tables over several lines and with a final comma, \e and \xHH, and times
 * without seconds. The Go tools read 1.1 from 1.57 on. */
enum toml_version { TOML_1_0, TOML_1_1 };

enum toml_type {
	TOML_STRING,
	TOML_INTEGER,
	TOML_FLOAT,
	TOML_BOOL,
	TOML_DATETIME, /* with offset; the text of dates and times is kept as written */
	TOML_LOCAL_DATETIME,
	TOML_LOCAL_DATE,
	TOML_LOCAL_TIME,
	TOML_ARRAY, /* of tables too: [[name]] */
	TOML_TABLE,
};

struct toml_node {
	enum toml_type type;
	unsigned line;
	const char *key; /* NULL in an array and for the root */
	size_t key_len;
	struct toml_node *parent, *next; /* next: in order of the document */
	union {
		/* Strings, dates and times. A NUL follows; a string may have NULs inside. */
		struct {
			const char *text;
			size_t len;
		};
		int64_t integer;
		double real;
		bool boolean;
		struct { /* arrays and tables */
			struct toml_node *first, *last;
			unsigned count;
			unsigned origin; /* for the reader: what made it, and so what may still be added */
		};
	};
};

/* *root becomes a table. CST_EINVAL: `toml: line 2 (last key "a.b"): what is wrong`. */
int toml_parse(const char *data, size_t len, enum toml_version version, struct arena *arena,
               struct toml_node **root, cst_error **error);

/* The key must match exactly. NULL: there is none. */
struct toml_node *toml_get(const struct toml_node *table, const char *key);
void toml_path(const struct toml_node *node, struct strbuf *path); /* a."b c".d */

/* CST_EINVAL with the line and key of `node` in front, in the words of toml_parse(). */
int toml_error(const struct toml_node *node, cst_error **error, const char *format, ...)
        CST_PRINTF(3, 4);

/* The type in the Go tools' words: "string", "int64", "map[string]any". */
const char *toml_type_text(enum toml_type type);
/* Prints a value as Go's %v does: [1 map[a:true]]. */
void toml_print(const struct toml_node *node, struct strbuf *out);

#endif
