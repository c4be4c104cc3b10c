/* SPDX-License-Identifier: Apache-2.0 */
/* What operands name: layers, images and containers, of the kinds that a verb takes. */
#ifndef CST_CLI_OBJECTS_H
#define CST_CLI_OBJECTS_H

#include "command.h"

typedef void (*object_visitor)(enum kinds kind, const char *id, const char *const *names, size_t n_names, void *userdata);
/* Visits all items of these kinds, but none of a kind of which there are more than `most`. Those that cannot be read are
 * skipped. */
void each_object(cst_store *store, unsigned kinds, size_t most, object_visitor visit, void *userdata);
/* Of which of these kinds is there an item that `text` names? */
unsigned object_kinds(cst_store *store, unsigned kinds, const char *text);
/* "layer, image or container" */
const char *kinds_text(unsigned kinds);

/* Prints what to do about an operand that names nothing of these kinds: a line on stderr. */
void hint_unknown(const struct invocation *in, unsigned kinds, const char *text);
/* Reports that there is no such item, with a hint. containers-storage leaves that to the exit
 * code. */
void complain_unknown(const struct invocation *in, const char *operand);

/* The layer that an operand names; in cstorage a container means its layer. The caller frees it.
 * NULL: out of memory. */
char *layer_of_operand(const struct invocation *in, const char *operand);

#endif
