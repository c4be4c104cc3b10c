/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making errors. The convention everywhere:
 *
 *     if (sys_renameat(a, old, b, new) < 0)
 *             return error_sys(error, errno, "rename %s %s", old, new);
 *
 * gives the message "rename old new: no such file or directory", worded like Go's, and returns
 * CST_ESYS. Each maker returns the code it was given, so that it can stand in a return statement;
 * error may be NULL.
 */
#ifndef CST_BASE_ERROR_H
#define CST_BASE_ERROR_H

#include <cstorage/error.h>
#include <stdarg.h>

#define CST_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* "MESSAGE" with any code but CST_ESYS and CST_ENOMEM. */
int error_set(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* "MESSAGE: <text of errnum>", code CST_ESYS. */
int error_sys(cst_error **error, int errnum, const char *format, ...) CST_PRINTF(3, 4);

/* Only the text of errnum, code CST_ESYS. */
int error_errno(cst_error **error, int errnum);

/* Out of memory: needs none itself. Returns CST_ENOMEM. */
int error_oom(cst_error **error);

/* The fixed text of `code` alone: "layer not known". */
int error_code(cst_error **error, int code);

/* "MESSAGE: <fixed text of code>": "locating image with ID "x": image not known". */
int error_wrap_code(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* Puts "MESSAGE: " in front of an error that was set for a failure with this code; returns the
 * code. */
int error_prefix(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* The same, "MESSAGE" behind it without any separator. */
int error_suffix(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* Moves `from` into *error (freeing it if error is NULL); returns its code. Takes ownership. */
int error_propagate(cst_error **error, cst_error *from);

/* The text of an errno as Go's syscall package words it: "no such file or directory". Static
 * storage. */
const char *errno_text(int errnum);

void error_freep(cst_error **error);
#define _cleanup_error_ __attribute__((cleanup(error_freep)))

#endif
