/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between layers, images and containers: one table with a row for each. Because a row
 * says it, names, metadata, data items, deletion, recovery and holding a set are single functions
 * over a kind. */
#ifndef CST_STORE_CORE_KIND_H
#define CST_STORE_CORE_KIND_H

#include "records/record.h"
#include <cstorage/store.h>

#define KINDS 3 /* in the order of their locks: layers, images, containers */

struct kind {
	enum cst_kind id;
	const char *name;    /* "layer": in messages and journals */
	const char *files;   /* "layers": as in <drv>-layers, layers.lock */
	const char *journal; /* "layers.intent" */
	int unknown;         /* the error code for an ID that no such item has */
	int not_one;         /* the same, where that item was to be deleted */
	const char *unknown_words; /* what messages say before it, with the ID; NULL: nothing */
	/* What messages say if a data item is missing: a format with key and ID. NULL: they name the missing file, and
	 * an empty key is refused. */
	const char *no_item_words;
	bool in_driver;            /* the driver has content for it, the metadata a tar-split */
	bool has_private_directories;
	bool hides; /* an item of this store hides the one with its ID in an additional store, and its names */
	bool first_manifest_names_it; /* its digest is that of the first data item "manifest..." */
	/* Offsets in the record. 0: it has no such member. */
	size_t size; /* of the record */
	size_t names, metadata, names_history, data, data_names;
};

const struct kind *kind_of(enum cst_kind id);           /* NULL: no kind has this number */
const struct kind *kind_named(const char *name);        /* NULL: no kind has this name */
int kind_check(enum cst_kind id, cst_error **error);    /* CST_EINVAL */
/* Sets the error for an ID that no item of this kind has, and returns its code. */
int kind_unknown(enum cst_kind id, const char *item, cst_error **error);

/* A copy of a record to be edited; its strings stay the record's. */
union any_record {
	cst_layer layer;
	cst_image image;
	cst_container container;
};

const char *record_id(const void *record);
/* What a record has at one of the offsets above; NULL if it has no such member. */
void *record_member(void *record, size_t offset);
const void *record_const_member(const void *record, size_t offset);
/* The data items with size and digest. For a layer it is empty, since a layer has only their
 * names. */
struct data_items record_data(const struct kind *kind, const void *record);
/* The names of the data items. The record must not be one that is being edited. */
struct strings record_data_names(const struct kind *kind, const void *record);

#endif
