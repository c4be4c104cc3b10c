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
#include <stdbool.h>

#define CST_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* "MESSAGE" with any code but CST_ESYS and CST_ENOMEM. */
int error_set(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* "MESSAGE: <text of errnum>", code CST_ESYS. */
int error_sys(cst_error **error, int errnum, const char *format, ...) CST_PRINTF(3, 4);

/* Out of memory. Making this error needs no memory. Returns CST_ENOMEM. */
int error_oom(cst_error **error);

/* "MESSAGE: <fixed text of code>": "locating image with ID "x": image not known". */
int error_wrap_code(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* An error about one object (an ID, a name, a path), which the error keeps. Our text names the
 * object: `there is no layer "x"`. The Go command's text is the fixed text of the code, which does
 * not name it. */
int error_about(cst_error **error, int code, const char *object);

/* The same; the Go command's text is "MESSAGE: <fixed text of code>". */
int error_about_go(cst_error **error, int code, const char *object, const char *format, ...) CST_PRINTF(4, 5);

/* The same, for an object that was looked up among all kinds: our text says "layer, image or
 * container" whatever the code is. */
int error_about_any(cst_error **error, int code, const char *object);

/* Gives an error that was just set its object (NULL: none) and the text that the Go command prints
 * instead of our message. Returns the code. */
int error_go_words(cst_error **error, int code, const char *object, const char *format, ...) CST_PRINTF(4, 5);

/* Puts "MESSAGE: " in front of the Go command's text only. Our message stays. */
int error_go_prefix(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* Puts "MESSAGE: " in front of our message only. The Go command's text stays. */
int error_own_prefix(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* Our text of a code about an object; the caller frees it. NULL: out of memory. */
char *error_text_about(int code, const char *object);

/* Puts "MESSAGE: " in front of both texts of an error that was just set with this code. Returns the
 * code. */
int error_prefix(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* Appends "MESSAGE" to both texts, without a separator. Returns the code. */
int error_suffix(cst_error **error, int code, const char *format, ...) CST_PRINTF(3, 4);

/* Moves `from` into *error (frees it if error is NULL) and returns its code. Takes ownership of
 * `from`. */
int error_propagate(cst_error **error, cst_error *from);

/* Is there no room left, on the disk or in the user's quota? NULL is no error. */
bool error_is_full(const cst_error *error);
bool errno_is_full(int errnum);

/* The text of an errno as Go's syscall package words it: "no such file or directory". Static
 * storage. */
const char *errno_text(int errnum);

void error_freep(cst_error **error);
#define _cleanup_error_ __attribute__((cleanup(error_freep)))

#endif
