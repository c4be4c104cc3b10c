/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct cst_error {
	int code, errnum;
	char *message; /* NULL: the fixed text of the code */
};

/* Needs no memory; never freed. */
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

void cst_error_free(cst_error *error)
{
	if (!error || error == &out_of_memory)
		return;
	free(error->message);
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

int error_errno(cst_error **error, int errnum)
{
	return error_make(error, CST_ESYS, errnum, error ? strdup(errno_text(errnum)) : NULL);
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

int error_code(cst_error **error, int code)
{
	return error_make(error, code, 0, error ? strdup(cst_strerror(code)) : NULL);
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

int error_prefix(cst_error **error, int code, const char *format, ...)
{
	if (!error || !*error)
		return code;
	cst_error *old = *error;
	int errnum = old->errnum;
	va_list args;
	va_start(args, format);
	error_make_suffixed(error, code, errnum, format, args, cst_error_message(old));
	va_end(args);
	if (*error != old)
		cst_error_free(old);
	return code;
}

int error_suffix(cst_error **error, int code, const char *format, ...)
{
	if (!error || !*error)
		return code;
	cst_error *old = *error;
	va_list args;
	va_start(args, format);
	_cleanup_free_ char *suffix = format_message(format, args);
	va_end(args);
	error_make(error, code, old->errnum,
	           suffix ? str_printf("%s%s", cst_error_message(old), suffix) : NULL);
	if (*error != old)
		cst_error_free(old);
	return code;
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

/* Wording: docs/format/store.md, "Error values". */
const char *cst_strerror(int code)
{
	switch (code) {
	case CST_OK: return "success";
	case CST_ENOMEM: return "out of memory";
	case CST_ESYS: return "system call failed";
	case CST_EINVAL: return "invalid argument";
	case CST_ECANCELED: return "operation was cancelled";
	case CST_ECORRUPT: return "the store holds something that cannot be understood";
	case CST_EARCHIVE: return "damaged archive";
	case CST_ENOTSUP: return "not supported";
	case CST_EBUSY: return "locked by somebody else";
	case CST_EPREREQ: return "prerequisites for driver not satisfied (wrong filesystem?)";
	case CST_EBACKINGFS: return "backing file system is unsupported for this graph driver";
	case CST_EIO_CALLBACK: return "a stream of the caller failed";
	case CST_ELAYER_UNKNOWN: return "layer not known";
	case CST_EIMAGE_UNKNOWN: return "image not known";
	case CST_ECONTAINER_UNKNOWN: return "container not known";
	case CST_EDUPLICATE_ID: return "that ID is already in use";
	case CST_EDUPLICATE_NAME: return "that name is already in use";
	case CST_EDUPLICATE_IMAGE_NAMES:
		return "read-only image store assigns the same name to multiple images";
	case CST_EDUPLICATE_LAYER_NAMES:
		return "read-only layer store assigns the same name to multiple layers";
	case CST_EIMAGE_USED_BY_CONTAINER: return "image is in use by a container";
	case CST_ELAYER_HAS_CHILDREN: return "layer has children";
	case CST_ELAYER_USED_BY_IMAGE: return "layer is in use by an image";
	case CST_ELAYER_USED_BY_CONTAINER: return "layer is in use by a container";
	case CST_ELAYER_NOT_MOUNTED: return "layer is not mounted";
	case CST_ENOT_A_CONTAINER: return "identifier is not a container";
	case CST_ENOT_A_LAYER: return "identifier is not a layer";
	case CST_ENOT_AN_IMAGE: return "identifier is not an image";
	case CST_ENOT_AN_ID: return "identifier is not a layer, image, or container";
	case CST_EPARENT_IS_CONTAINER: return "would-be parent layer is a container";
	case CST_EPARENT_UNKNOWN: return "parent of layer not known";
	case CST_ESTORE_READ_ONLY: return "called a write method on a read-only store";
	case CST_EDIGEST_UNKNOWN: return "could not compute digest of item";
	case CST_ESIZE_UNKNOWN: return "size is not known";
	case CST_EINVALID_BIG_DATA_NAME: return "not a valid name for a big data item";
	case CST_EINCOMPLETE_OPTIONS: return "missing necessary StoreOptions";
	case CST_EINVALID_MAPPINGS: return "invalid mappings specified";
	case CST_ENO_AVAILABLE_IDS: return "not enough unused IDs in user namespace";
	case CST_EDATA_UNKNOWN: return "file does not exist";
	case CST_EID_UNKNOWN: return "ID does not exist";
	case CST_EID_AMBIGUOUS: return "multiple IDs found with provided prefix";
	default: return "unknown error";
	}
}
