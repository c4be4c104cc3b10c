/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of strings in options and records. */
#ifndef CST_STORE_CORE_NAMES_H
#define CST_STORE_CORE_NAMES_H

#include "base/error.h"
#include "base/str.h"
#include "records/record.h"

/* Appends the names, each only once. */
int names_unique(const char *const *names, size_t n, struct strv *ret, cst_error **error);
bool strings_contain(const struct strings *strings, const char *string);
struct strings strings_of(const struct strv *v);

/* Puts the names of an image in front of its history, the last name first. */
int names_history(const struct strings *old, const struct strv *names, struct strv *ret,
                  cst_error **error);

#endif
