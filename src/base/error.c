/* SPDX-License-Identifier: Apache-2.0 */
/* The error object: a code, an errno, our message, the Go command's message, and the object that
 * failed. Making one never fails: without memory the error is the static one of CST_ENOMEM. */
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct cst_error {
	int code, errnum;
	char *message;  /* NULL: the fixed text of the code */
	char *go_words; /* what the Go command says instead; NULL: the same as ours */
	char *object;   /* NULL: none */
};

/* Reports that memory ran out. It is static, so it needs no memory and is never freed. */
static cst_error out_of_memory = {.code = CST_ENOMEM, .errnum = ENOMEM};

int cst_error_code(const cst_error *error)
{
	return error ? error->code : CST_OK;
}

int cst_error_errno(const cst_error *error)
{
	return error ? error->errnum : 0;
}

const char *cst_error_message(const cst_error *error)
{
	if (!error)
		return "success";
	return error->message ? error->message : cst_strerror(error->code);
}

const char *cst_error_go_message(const cst_error *error)
{
	return error && error->go_words ? error->go_words : cst_error_message(error);
}

const char *cst_error_object(const cst_error *error)
{
	return error ? strempty(error->object) : "";
}

void cst_error_free(cst_error *error)
{
	if (!error || error == &out_of_memory)
		return;
	free(error->message);
	free(error->go_words);
	free(error->object);
	free(error);
}

void error_freep(cst_error **error)
{
	cst_error_free(*error);
}

int error_oom(cst_error **error)
{
	if (error)
		*error = &out_of_memory;
	return CST_ENOMEM;
}

/* Takes ownership of message, which may be NULL when out of memory. */
static int error_make(cst_error **error, int code, int errnum, char *message)
{
	_cleanup_free_ char *owned = message;
	if (!error)
		return code;
	cst_error *made = owned ? new0(cst_error, 1) : NULL;
	if (!made)
		return error_oom(error);
	*made = (cst_error){.code = code, .errnum = errnum, .message = steal_ptr(&owned)};
	*error = made;
	return code;
}

int cst_error_set(cst_error **error, int code, int errnum, const char *message)
{
	return error_make(error, code, errnum, strdup(message));
}

static char *format_message(const char *format, va_list args)
{
	char *message = NULL;
	return vasprintf(&message, format, args) < 0 ? NULL : message;
}

int error_set(cst_error **error, int code, const char *format, ...)
{
	if (!error)
		return code;
	va_list args;
	va_start(args, format);
	char *message = format_message(format, args);
	va_end(args);
	return error_make(error, code, 0, message);
}

static int error_make_suffixed(cst_error **error, int code, int errnum, const char *format,
                               va_list args, const char *text)
{
	_cleanup_free_ char *prefix = format_message(format, args);
	return error_make(error, code, errnum, prefix ? str_printf("%s: %s", prefix, text) : NULL);
}

int error_sys(cst_error **error, int errnum, const char *format, ...)
{
	if (!error)
		return CST_ESYS;
	va_list args;
	va_start(args, format);
	int code = error_make_suffixed(error, CST_ESYS, errnum, format, args, errno_text(errnum));
	va_end(args);
	return code;
}

bool errno_is_full(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT;
}

bool error_is_full(const cst_error *error)
{
	return errno_is_full(cst_error_errno(error));
}

int error_wrap_code(cst_error **error, int code, const char *format, ...)
{
	if (!error)
		return code;
	va_list args;
	va_start(args, format);
	error_make_suffixed(error, code, 0, format, args, cst_strerror(code));
	va_end(args);
	return code;
}

/* Takes ownership of the three texts; each may be NULL when out of memory. */
static int make_about(cst_error **error, int code, char *message, char *go_words, char *object)
{
	_cleanup_free_ char *text = message, *words = go_words, *owned = object;
	if (!text || !words || !owned)
		return error_oom(error);
	int r = error_make(error, code, 0, steal_ptr(&text));
	if (*error != &out_of_memory) {
		(*error)->go_words = steal_ptr(&words);
		(*error)->object = steal_ptr(&owned);
	}
	return r;
}

int error_about(cst_error **error, int code, const char *object)
{
	if (!error)
		return code;
	return make_about(error, code, error_text_about(code, object), strdup(cst_strerror(code)),
	                  strdup(object));
}

int error_about_any(cst_error **error, int code, const char *object)
{
	if (!error)
		return code;
	return make_about(error, code, error_text_about(CST_ENOT_AN_ID, object),
	                  strdup(cst_strerror(code)), strdup(object));
}

int error_about_go(cst_error **error, int code, const char *object, const char *format, ...)
{
	if (!error)
		return code;
	va_list args;
	va_start(args, format);
	_cleanup_free_ char *words = format_message(format, args);
	va_end(args);
	return make_about(error, code, error_text_about(code, object),
	                  words ? str_join(words, ": ", cst_strerror(code)) : NULL, strdup(object));
}

/* Takes ownership of `made`. NULL: there was no memory for it, and the error becomes that. */
static int replace_text(cst_error **error, char **text, char *made)
{
	if (!made) {
		cst_error_free(*error);
		return error_oom(error);
	}
	free(*text);
	*text = made;
	return 0;
}

/* Is there an error whose texts can be changed? */
static bool is_own(cst_error **error)
{
	return error && *error && *error != &out_of_memory;
}

int error_go_words(cst_error **error, int code, const char *object, const char *format, ...)
{
	if (!is_own(error))
		return code;
	va_list args;
	va_start(args, format);
	int r = replace_text(error, &(*error)->go_words, format_message(format, args));
	va_end(args);
	if (r == 0 && object)
		r = replace_text(error, &(*error)->object, strdup(object));
	return r < 0 ? r : code;
}

/* PREFIX: TEXT; the caller frees it. */
static char *prefixed(const char *text, const char *format, va_list args)
{
	_cleanup_free_ char *prefix = format_message(format, args);
	return prefix ? str_join(prefix, ": ", text) : NULL;
}

int error_go_prefix(cst_error **error, int code, const char *format, ...)
{
	if (!is_own(error))
		return code;
	va_list args;
	va_start(args, format);
	int r = replace_text(error, &(*error)->go_words,
	                     prefixed(cst_error_go_message(*error), format, args));
	va_end(args);
	return r < 0 ? r : code;
}

int error_own_prefix(cst_error **error, int code, const char *format, ...)
{
	if (!is_own(error))
		return code;
	int r = error_go_words(error, code, NULL, "%s", cst_error_go_message(*error));
	if (r != code)
		return r;
	va_list args;
	va_start(args, format);
	r = replace_text(error, &(*error)->message,
	                 prefixed(cst_error_message(*error), format, args));
	va_end(args);
	return r < 0 ? r : code;
}

int error_prefix(cst_error **error, int code, const char *format, ...)
{
	if (!is_own(error))
		return code;
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	char *message = prefixed(cst_error_message(*error), format, args);
	int r = replace_text(error, &(*error)->message, message);
	if (r == 0 && (*error)->go_words)
		r = replace_text(error, &(*error)->go_words,
		                 prefixed((*error)->go_words, format, again));
	va_end(again);
	va_end(args);
	if (r == 0)
		(*error)->code = code;
	return r < 0 ? r : code;
}

int error_suffix(cst_error **error, int code, const char *format, ...)
{
	if (!is_own(error))
		return code;
	va_list args;
	va_start(args, format);
	_cleanup_free_ char *suffix = format_message(format, args);
	va_end(args);
	int r = replace_text(error, &(*error)->message,
	                     suffix ? str_join(cst_error_message(*error), suffix) : NULL);
	if (r == 0 && (*error)->go_words)
		r = replace_text(error, &(*error)->go_words, str_join((*error)->go_words, suffix));
	return r < 0 ? r : code;
}

int error_propagate(cst_error **error, cst_error *from)
{
	int code = cst_error_code(from);
	if (error)
		*error = from;
	else
		cst_error_free(from);
	return code;
}
