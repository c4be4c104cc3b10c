/* SPDX-License-Identifier: Apache-2.0 */
/* The library's side of the small public types of <cstorage/types.h>. */
#ifndef CST_BASE_TYPES_H
#define CST_BASE_TYPES_H

#include "base/str.h"
#include <cstorage/types.h>

/* Moves the strings of v into a public list and leaves v empty. `ret` NULL: does nothing. If memory
 * runs out, v keeps them. */
int strings_give(struct strv *v, cst_strings **ret, cst_error **error);

/* The same for a list of key, value, key, value. */
int pairs_give(struct strv *v, cst_pairs **ret, cst_error **error);

/* Reads once from a caller's source and checks the result: 0..size, or the error. If the callback
 * fails without an error of its own, that is CST_EIO_CALLBACK. */
int64_t source_read(const cst_source *source, void *buffer, size_t size, cst_error **error);
int sink_write(const cst_sink *sink, const void *data, size_t size, cst_error **error);

/* Reports to the caller's progress callback, if there is one. CST_ECANCELED: the callback asked to
 * stop. */
int progress_tell(const cst_progress *progress, const cst_progress_state *state, cst_error **error);

/* Reads a source to its end into a file, hashes it (`digester` NULL: not), and reports an import to `progress` (NULL: not).
 * `shown` names the file in messages. */
struct digester;
int source_to_file(const cst_source *source, int fd, const char *shown, struct digester *digester,
                   const cst_progress *progress, int64_t *size, cst_error **error);

/* Copies the options of the caller over our defaults, as far as the struct reached when the caller
 * was compiled. `given` NULL: the defaults. CST_EINVAL: the struct is not initialised, or members
 * are set that this library does not know. `name` is the name of the type, for the message. */
int options_take(void *to, size_t size, const void *given, const char *name, cst_error **error);

/* Checks a result struct of the caller before the work: CST_EINVAL if it is not initialised. NULL
 * is fine. result_give() then fills it as far as both the caller's struct and ours reach, and its
 * size says how far. */
int result_check(const void *to, const char *name, cst_error **error);
void result_give(void *to, const void *from, size_t size);

#endif
