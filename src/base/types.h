/* SPDX-License-Identifier: Apache-2.0 */
/* The library's side of the small public types of <cstorage/types.h>. */
#ifndef CST_BASE_TYPES_H
#define CST_BASE_TYPES_H

#include "base/str.h"
#include <cstorage/types.h>

/* Moves the strings of v into a public list, leaving v empty. `ret` NULL: nothing. Out of memory: v is kept. */
int strings_give(struct strv *v, cst_strings **ret, cst_error **error);

/* The same for a list of key, value, key, value. */
int pairs_give(struct strv *v, cst_pairs **ret, cst_error **error);

/* One read of a caller's source, checked: 0..size, or the error. A callback that fails without saying why gets
 * CST_EIO_CALLBACK. */
int64_t source_read(const cst_source *source, void *buffer, size_t size, cst_error **error);
int sink_write(const cst_sink *sink, const void *data, size_t size, cst_error **error);

/* Tells a caller's progress where things are; NULL, or one without a callback, is told nothing. CST_ECANCELED: it asked to
 * stop. */
int progress_tell(const cst_progress *progress, const cst_progress_state *state, cst_error **error);

/* Copies the options that a caller knew when it was compiled over the defaults for those it did not know. NULL: only the
 * defaults. CST_EINVAL: not initialised, or with members set that we do not know. `name` is the type's, for the message. */
int options_take(void *to, size_t size, const void *given, const char *name, cst_error **error);

/* The other direction: a struct of the caller's that begins with its size is filled as far as both reach, which its size says then.
 * result_check comes before the work (CST_EINVAL: not initialised). NULL: nothing. */
int result_check(const void *to, const char *name, cst_error **error);
void result_give(void *to, const void *from, size_t size);

#endif
