/* SPDX-License-Identifier: Apache-2.0 */
/* IDs of layers, images and containers: making them, judging them, and finding one by the first digits of it. */
#ifndef CSTORAGE_IDS_H
#define CSTORAGE_IDS_H

#include <cstorage/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CST_ID_SIZE = 65 }; /* bytes of a full ID with its NUL */

/* A random ID: 64 lower-case hexadecimal digits, of which the first 12 are not all decimal, so that the short form never
 * looks like a number. `id` holds CST_ID_SIZE bytes. CST_ESYS: the kernel gives no random bytes. */
CST_PUBLIC int cst_id_generate(char *id, cst_error **error);
/* Is it a full ID, 64 lower-case hexadecimal digits? */
CST_PUBLIC bool cst_id_is_full(const char *id);
/* May a new item be given this ID? Other forms than the full one are allowed, but not what would leave its directory or be
 * taken for a file of the store: CST_EINVAL with the reason. */
CST_PUBLIC int cst_id_check(const char *id, cst_error **error);

/* A set of IDs that finds one by any beginning of it that fits no other. Many threads may use it. */
typedef struct cst_id_index cst_id_index;

/* An empty index; *index is the caller's, to be given to cst_id_index_free. CST_ENOMEM. */
CST_PUBLIC int cst_id_index_new(cst_id_index **index, cst_error **error);
CST_PUBLIC void cst_id_index_free(cst_id_index *index); /* NULL allowed */
/* Puts a copy of the ID in. CST_EDUPLICATE_ID (it is there), CST_EINVAL (empty, or with a blank), CST_ENOMEM. */
CST_PUBLIC int cst_id_index_add(cst_id_index *index, const char *id, cst_error **error);
/* Takes a whole ID out. CST_EID_UNKNOWN: it is not there. */
CST_PUBLIC int cst_id_index_delete(cst_id_index *index, const char *id, cst_error **error);
/* The one ID that begins with `prefix`, copied: the caller frees *id with cst_free. CST_EID_UNKNOWN: none does;
 * CST_EID_AMBIGUOUS: several do, also if `prefix` itself is one of them; CST_EINVAL: the prefix is empty; CST_ENOMEM. */
CST_PUBLIC int cst_id_index_get(cst_id_index *index, const char *prefix, char **id, cst_error **error);
CST_PUBLIC size_t cst_id_index_size(cst_id_index *index); /* how many IDs there are */

#ifdef __cplusplus
}
#endif
#endif
