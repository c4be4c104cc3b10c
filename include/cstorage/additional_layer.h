/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of additional layer stores: directories outside of the store, in which another program offers layers that are unpacked
 * already (`additionallayerstores` of storage.conf; overlay only). A layer is looked up there, and put into the store without
 * a copy: the new layer's content stays where it is.
 *
 *     cst_store_additional_layers       what there is, as far as the other program shows it
 *     cst_store_find_additional_layer   by its digest
 *     cst_additional_layer_put          a layer of the store, as often as wanted
 *     cst_additional_layer_free         the other program is told that nobody looks at it any more
 *
 * The other program is told of every use and its end, so that it knows what it may remove. It gets 30 seconds for each answer.
 * A layer that was put is read only: it is mounted without write access, and nothing of it is ever written or deleted there.
 * The object belongs to its store object, and is freed before that is closed. One thread at a time may use it.
 */
#ifndef CSTORAGE_ADDITIONAL_LAYER_H
#define CSTORAGE_ADDITIONAL_LAYER_H

#include <cstorage/records.h>
#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cst_additional_layer cst_additional_layer;

/* `digest` is that of the layer's TOC, or of its plain tar, as the other program knows the layer by; `image` is the reference of
 * the image that is pulled, which some stores go by (NULL or "": none). The first store that has the layer counts.
 * CST_ELAYER_UNKNOWN: none has it, or there is none; CST_EINVAL (digest); CST_ECORRUPT: what it says of the layer cannot be
 * read, or is of another layer; CST_ESYS: the store fails, ETIMEDOUT if it does not answer. No lock. */
CST_PUBLIC int cst_store_find_additional_layer(cst_store *store, const char *digest, const char *image,
					       cst_additional_layer **layer, cst_error **error);
/* The digests of the layers that the stores show, sorted; of those that go by images, the layers of `image` (NULL or "": none). A store
 * that makes layers when they are asked for may show none. *digests is the caller's. CST_ESYS: a store fails. No lock. */
CST_PUBLIC int cst_store_additional_layers(cst_store *store, const char *image, cst_strings **digests, cst_error **error);
/* What the store says of it: digests, sizes, compression. It has neither ID nor parent nor names. It belongs to the object. */
CST_PUBLIC const cst_layer *cst_additional_layer_record(const cst_additional_layer *layer);
/* Bytes of the blob; 0: unknown. A store may tell them without the digest of the blob. */
CST_PUBLIC int64_t cst_additional_layer_compressed_size(const cst_additional_layer *layer);
CST_PUBLIC const char *cst_additional_layer_path(const cst_additional_layer *layer); /* its directory there */
/* The blob, to read; compressed as the record says. The caller closes *fd. A read may wait until the other program has fetched
 * it. Nobody has looked at the digest. */
CST_PUBLIC int cst_additional_layer_open_blob(const cst_additional_layer *layer, int *fd, cst_error **error);

typedef struct cst_additional_layer_options {
	size_t size; /* sizeof(cst_additional_layer_options), set by CST_ADDITIONAL_LAYER_OPTIONS_INIT */
	const char *id;     /* NULL or "": a random one */
	const char *parent; /* ID, name or prefix; NULL or "": none */
	const char *const *names;
	size_t n_names;
} cst_additional_layer_options;
#define CST_ADDITIONAL_LAYER_OPTIONS_INIT { .size = sizeof(cst_additional_layer_options) }

/* Makes a layer of it. `options` and `ret` may be NULL. CST_EDUPLICATE_ID, CST_EDUPLICATE_NAME, CST_ELAYER_UNKNOWN (parent),
 * CST_EPARENT_IS_CONTAINER, CST_ENOTSUP (the layer would have to get other owners), CST_ESTORE_READ_ONLY. L r, C r, then L w. */
CST_PUBLIC int cst_additional_layer_put(cst_additional_layer *layer, const cst_additional_layer_options *options,
					cst_layer **ret, cst_error **error);
CST_PUBLIC void cst_additional_layer_free(cst_additional_layer *layer); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
