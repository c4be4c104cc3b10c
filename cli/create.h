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

/* The maps that --uidmap, --subuidmap and the like ask for. Returns an exit code. */
int id_maps_from_options(const struct invocation *in, struct id_maps *maps);
/* The options borrow from the invocation and the maps. */
void layer_options_from(const struct invocation *in, const struct id_maps *maps,
                        cst_layer_options *options);
int print_new_layer(const struct invocation *in, const cst_layer *layer);

#endif
