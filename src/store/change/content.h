/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New content for a layer that exists. What must follow once the content is in place, the tar-split
 * and the record, is announced with the identity of the content and the inode of the tar-split. An
 * opener that finds the one in place, and the other waiting or in place, finishes; one that does not
 * undoes. The layers are held for writing.
 */
#ifndef CST_STORE_CHANGE_CONTENT_H
#define CST_STORE_CHANGE_CONTENT_H

#include "store/core/set.h"

struct trash;

/* Where the new tar-split waits between announcement and exchange, below the graph root: in the
 * directory that only we look at, under a name of its own, since a dead process may have announced
 * one too. The caller's; NULL when out of memory. */
char *content_waiting_tarsplit(const char *id, const char *content);
/* The same of a data item that comes with the content; `file` is the name of its file. */
char *content_waiting_data(const char *id, const char *content, const char *file);

/* The tar-split and the data items take their places, and the record says of the content what `described` does. */
int content_finish(cst_store *store, const cst_layer *described, const char *content,
                   cst_error **error);

/* The rule: finishes or undoes an announced change of content. *done: it is finished. */
int content_settle(cst_store *store, const struct intent *intent, struct trash *trash, bool *done,
                   cst_error **error);

/* What is known of a layer's content: digests, sizes, owners. The strings stay those of `from`. */
void layer_take_digests(const cst_layer *from, cst_layer *to);

#endif
