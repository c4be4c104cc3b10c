/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CSTORAGE_ERROR_H
#define CSTORAGE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CST_PUBLIC __attribute__((visibility("default")))
#else
#define CST_PUBLIC
#endif

/*
 * Every function that can fail returns an int: 0 (or a count), or one of the negative codes below, and
 * takes `cst_error **error` as its last argument. NULL is allowed. On failure *error is set to a new
 * object that the caller frees; on success it is left untouched. The message already names the object
 * and the path, and says what to do where there is something to do.
 *
 * The codes from CST_ELAYER_UNKNOWN on mirror the error values of containers/storage one to one
 * (docs/format/store.md, "Error values").
 */
typedef struct cst_error cst_error;

enum {
	CST_OK = 0,
	CST_ENOMEM = -1,     /* out of memory */
	CST_ESYS = -2,       /* a system call failed: cst_error_errno() says how */
	CST_EINVAL = -3,     /* an argument, option or name is not acceptable */
	CST_ECANCELED = -4,  /* the progress callback asked to stop, or a wait was cancelled */
	CST_ECORRUPT = -5,   /* something in the store cannot be understood; it was left untouched */
	CST_EARCHIVE = -6,   /* the archive is damaged, truncated or hostile */
	CST_ENOTSUP = -7,    /* not supported by this driver, file system or build */
	CST_EBUSY = -8,      /* a lock is held by somebody else (try-lock calls only) */
	CST_EPREREQ = -9,    /* prerequisites for driver not satisfied (wrong filesystem?) */
	CST_EBACKINGFS = -10, /* backing file system is unsupported for this graph driver */
	CST_EIO_CALLBACK = -11, /* a caller's source, sink or callback failed */
	CST_ETIMEOUT = -12,  /* a lock was not free in the time given: the message says who holds it */

	CST_ELAYER_UNKNOWN = -100,        /* layer not known */
	CST_EIMAGE_UNKNOWN = -101,        /* image not known */
	CST_ECONTAINER_UNKNOWN = -102,    /* container not known */
	CST_EDUPLICATE_ID = -103,         /* that ID is already in use */
	CST_EDUPLICATE_NAME = -104,       /* that name is already in use */
	CST_EDUPLICATE_IMAGE_NAMES = -105,
	CST_EDUPLICATE_LAYER_NAMES = -106,
	CST_EIMAGE_USED_BY_CONTAINER = -107, /* image is in use by a container */
	CST_ELAYER_HAS_CHILDREN = -108,   /* layer has children */
	CST_ELAYER_USED_BY_IMAGE = -109,  /* layer is in use by an image */
	CST_ELAYER_USED_BY_CONTAINER = -110, /* layer is in use by a container */
	CST_ELAYER_NOT_MOUNTED = -111,    /* layer is not mounted */
	CST_ENOT_A_CONTAINER = -112,      /* identifier is not a container */
	CST_ENOT_A_LAYER = -113,          /* identifier is not a layer */
	CST_ENOT_AN_IMAGE = -114,         /* identifier is not an image */
	CST_ENOT_AN_ID = -115,            /* identifier is not a layer, image, or container */
	CST_EPARENT_IS_CONTAINER = -116,  /* would-be parent layer is a container */
	CST_EPARENT_UNKNOWN = -117,       /* parent of layer not known */
	CST_ESTORE_READ_ONLY = -118,      /* called a write method on a read-only store */
	CST_EDIGEST_UNKNOWN = -119,       /* could not compute digest of item */
	CST_ESIZE_UNKNOWN = -120,         /* size is not known */
	CST_EINVALID_BIG_DATA_NAME = -121, /* not a valid name for a big data item */
	CST_EINCOMPLETE_OPTIONS = -122,   /* missing necessary StoreOptions */
	CST_EINVALID_MAPPINGS = -123,     /* invalid mappings specified */
	CST_ENO_AVAILABLE_IDS = -124,     /* not enough unused IDs in user namespace */
	CST_EDATA_UNKNOWN = -125,         /* no data item of that name: Go's os.ErrNotExist */
	CST_EID_UNKNOWN = -126,           /* ID index: no ID begins like that */
	CST_EID_AMBIGUOUS = -127,         /* ID index: several IDs begin like that */
};

/* Read an error. A NULL error has code 0, errno 0 and the message "success". The texts are UTF-8 as
 * far as the names in them are, without a final newline, and belong to the error. */
CST_PUBLIC int cst_error_code(const cst_error *error);
CST_PUBLIC int cst_error_errno(const cst_error *error);
CST_PUBLIC const char *cst_error_message(const cst_error *error);
/* The ID, name or path that was not found, is in use or the like, as the call named it; "" if the error is about no single
 * object. */
CST_PUBLIC const char *cst_error_object(const cst_error *error);
/* The same failure in the words of the containers-storage command, for programs that are read by what reads that command.
 * They name the object less often, and speak of processes that are not there. Most errors have one message for both. */
CST_PUBLIC const char *cst_error_go_message(const cst_error *error);

/* Makes an error, for the callbacks of a source, a sink or the like; a copy of `message` is shown as it is. Returns `code`,
 * which must be negative. `error` may be NULL. */
CST_PUBLIC int cst_error_set(cst_error **error, int code, int errnum, const char *message);

/* Frees an error; NULL is allowed. */
CST_PUBLIC void cst_error_free(cst_error *error);

/* The fixed text of a code, as containers/storage words it ("layer not known"). Never NULL. */
CST_PUBLIC const char *cst_strerror(int code);

#ifdef __cplusplus
}
#endif
#endif
