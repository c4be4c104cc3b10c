/* SPDX-License-Identifier: Apache-2.0 */
/* What create-layer and import-layer share. */
#ifndef CST_CLI_CREATE_H
#define CST_CLI_CREATE_H

#include "command.h"

struct id_maps {
	bool host_uids, host_gids;
	cst_idmap *uids, *gids;
	size_t n_uids, n_gids;
};
void id_maps_done(struct id_maps *maps);
#define _cleanup_id_maps_ __attribute__((cleanup(id_maps_done)))

/* Appends ranges that the library made, which it frees, to those of a malloc'ed list. False: out of memory. */
bool append_ranges(cst_idmap **list, size_t *n, cst_idmap *ranges, size_t n_ranges);

/* What --userns asks for. */
struct auto_userns {
	cst_auto_userns_options options;
	cst_idmap *uids, *gids;
};
void auto_userns_done(struct auto_userns *userns);
#define _cleanup_auto_userns_ __attribute__((cleanup(auto_userns_done)))
/* Sets *options of a container to it, if it is asked for. Returns an exit code. */
int auto_userns_from_options(const struct invocation *in, struct auto_userns *userns,
                             cst_container_options *options);

/* The maps that --uidmap, --subuidmap and the like ask for. Returns an exit code. */
int id_maps_from_options(const struct invocation *in, struct id_maps *maps);
/* The options borrow from the invocation and the maps. */
void layer_options_from(const struct invocation *in, const struct id_maps *maps,
                        cst_layer_options *options);
int print_new_layer(const struct invocation *in, const cst_layer *layer);

#endif
