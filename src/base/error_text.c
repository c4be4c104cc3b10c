/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the error codes: the Go library's, which name no object, and ours, which name it. */
#include "base/error.h"
#include "base/str.h"

/* The wording is the Go library's: docs/format/store.md, "Error values". */
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
	case CST_ETIMEOUT: return "the lock was not free in time";
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

/* Our text is `before`, the object, `after`. `after` NULL: the quoted object, then the fixed text
 * of the code. */
struct text_about {
	const char *before, *after;
};

static struct text_about text_about(int code)
{
	switch (code) {
	case CST_ECANCELED: return (struct text_about){"", " was cancelled"};
	case CST_ELAYER_UNKNOWN:
	case CST_ENOT_A_LAYER: return (struct text_about){"there is no layer \"", "\""};
	case CST_EIMAGE_UNKNOWN:
	case CST_ENOT_AN_IMAGE: return (struct text_about){"there is no image \"", "\""};
	case CST_ECONTAINER_UNKNOWN:
	case CST_ENOT_A_CONTAINER: return (struct text_about){"there is no container \"", "\""};
	case CST_ENOT_AN_ID:
		return (struct text_about){"there is no layer, image or container \"", "\""};
	case CST_EDUPLICATE_ID: return (struct text_about){"the ID \"", "\" is already in use"};
	case CST_EDUPLICATE_NAME: return (struct text_about){"the name \"", "\" is already in use"};
	case CST_EDUPLICATE_IMAGE_NAMES:
		return (struct text_about){"several images have the same name in ", ""};
	case CST_EDUPLICATE_LAYER_NAMES:
		return (struct text_about){"several layers have the same name in ", ""};
	case CST_EPARENT_IS_CONTAINER:
		return (struct text_about){"the parent layer \"", "\" belongs to a container"};
	case CST_ELAYER_NOT_MOUNTED:
		return (struct text_about){"the layer \"", "\" is not mounted"};
	case CST_ESTORE_READ_ONLY: return (struct text_about){"", " was opened to be read only"};
	case CST_EDIGEST_UNKNOWN:
		return (struct text_about){"no digest is recorded for the data item \"", "\""};
	case CST_ESIZE_UNKNOWN:
		return (struct text_about){"no size is recorded for the data item \"", "\""};
	case CST_EDATA_UNKNOWN: return (struct text_about){"there is no data item \"", "\""};
	case CST_EID_UNKNOWN: return (struct text_about){"no ID begins with \"", "\""};
	case CST_EID_AMBIGUOUS: return (struct text_about){"several IDs begin with \"", "\""};
	default: return (struct text_about){"\"", NULL};
	}
}

char *error_text_about(int code, const char *object)
{
	const struct text_about text = text_about(code);
	return text.after ? str_join(text.before, object, text.after)
	                  : str_join(text.before, object, "\": ", cst_strerror(code));
}
