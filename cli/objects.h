/* SPDX-License-Identifier: Apache-2.0 */
/* What operands name: layers, images and containers, of the kinds that a verb takes. */
#ifndef CST_CLI_OBJECTS_H
#define CST_CLI_OBJECTS_H

#include "command.h"

typedef void (*object_visitor)(enum kinds kind, const char *id, const char *const *names, size_t n_names, void *userdata);
/* Visits all of these kinds. Those that cannot be read are passed over. */
void each_object(cst_store *store, unsigned kinds, object_visitor visit, void *userdata);
/* The kinds, out of these, of which there is one that `text` stands for. */
unsigned object_kinds(cst_store *store, unsigned kinds, const char *text);
/* "layer, image or container" */
const char *kinds_text(unsigned kinds);

/* What to do about an operand that stands for nothing of these kinds: a line on stderr. */
void hint_unknown(const struct invocation *in, unsigned kinds, const char *text);
/* cstorage says that there is no such thing, and gives a hint; containers-storage leaves it to the exit code. */
void complain_unknown(const struct invocation *in, const char *operand);

/* The layer that an operand means: in cstorage a container stands for its own. The caller frees it; NULL: out of memory. */
char *layer_of_operand(const struct invocation *in, const char *operand);

#endif
