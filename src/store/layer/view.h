/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer against another one, opened under the lock and read without it: whoever reads may be slow, or wait for that
 * lock. Nobody is kept from deleting the layer or applying a diff to it meanwhile; layer_view_explain() finds that out.
 */
#ifndef CST_STORE_LAYER_VIEW_H
#define CST_STORE_LAYER_VIEW_H

#include "store/core/store.h"

struct layer_view {
	struct driver *driver;
	struct driver_view *driver_view;
	int tarsplit_fd;      /* -1: none, or not against the parent */
	struct stat tarsplit; /* zero: none */
	struct timestamp created;
	enum cst_compression compression;
	char *id, *diff_digest, *compressed_digest;
	int64_t diff_size, compressed_size; /* as recorded; 0 or -1: unknown */
	bool in_parts;                      /* a TOC's digest is recorded */
	char *foreign; /* the directory of an additional layer store that has the layer's blob; NULL: none, or not against the parent */
};
#define LAYER_VIEW_INIT {.tarsplit_fd = -1}

/* Against the layer `from`; "" or NULL: against its parent. CST_ELAYER_UNKNOWN. */
int layer_view_open(cst_store *store, const char *from, const char *id, struct layer_view *ret, cst_error **error);
/* Of a layer of this store that has no record, and belongs to no other ids. The layers are held. `parent` "": none. */
int layer_view_open_unrecorded(cst_store *store, const char *id, const char *parent, struct layer_view *view,
			       cst_error **error);
void layer_view_done(struct layer_view *view);
#define _cleanup_layer_view_ _cleanup_(layer_view_done)

/* The plain tar: as the tar-split says, with so many threads besides the caller's (tarsplit.h), or if there is none made anew.
 * `digester`, which must be NULL if there is neither a tar-split nor a blob, gets it, too; the digest is not looked at. */
int layer_view_write_tar(struct layer_view *view, unsigned threads, struct digester *digester, const cst_sink *sink,
			 cst_error **error);

/* The blob of a layer that has one (`foreign`), byte for byte. `digester` may be NULL. */
int layer_view_write_blob(const struct layer_view *view, struct digester *digester, const cst_sink *sink, cst_error **error);

/* Reading failed with `code` and *problem, which is taken. If the layer was deleted or got another content meanwhile,
 * that is the error, whatever was missed of its files. */
int layer_view_explain(cst_store *store, const struct layer_view *view, int code, cst_error **problem,
		       cst_error **error);

#endif
