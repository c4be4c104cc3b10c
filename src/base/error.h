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

/* Out of memory: needs none itself. Returns CST_ENOMEM. */
int error_oom(cst_error **error);

/* "MESSAGE: <fixed text of code>": "locating image with ID "x": image not known". */
int error_wrap_code(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* About one object (an ID, a name, a path), which the error keeps. Our text names it: `there is no layer "x"`; the Go
 * command's is the fixed text of the code, which does not. */
int error_about(cst_error **error, int code, const char *object);

/* The same where the Go command says more: "MESSAGE: <fixed text of code>". */
int error_about_go(cst_error **error, int code, const char *object, const char *format, ...) CST_PRINTF(4, 5);

/* The same where an item of any kind was looked for, whatever kind the code speaks of. */
int error_about_any(cst_error **error, int code, const char *object);

/* Gives an error that was just set its object (NULL: none) and what the Go command says instead of its message; returns the
 * code. */
int error_go_words(cst_error **error, int code, const char *object, const char *format, ...) CST_PRINTF(4, 5);

/* Puts "MESSAGE: " in front of what the Go command says, and not of our own message, which needs it not. */
int error_go_prefix(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* Our text of a code about an object; the caller frees it. NULL: out of memory. */
char *error_text_about(int code, const char *object);

/* Puts "MESSAGE: " in front of both texts of an error that was set for a failure with this code; returns the code. */
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
