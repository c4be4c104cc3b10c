/* SPDX-License-Identifier: Apache-2.0 */
/* What the layers below a staged layer show. */
#ifndef CST_DRIVER_OVERLAY_BELOW_H
#define CST_DRIVER_OVERLAY_BELOW_H

#include "driver/overlay/staged.h"

#define BELOW_LEVELS 16

/* For unpack_options.below of a staged layer. One thread at a time may use it. It reads nothing before it is asked. */
struct overlay_below {
	struct unpack_below unpack;
	const struct driver_staged *staged;
	const struct driver_unpack_policy *policy;
	bool ready, rootless;
	bool files; /* of layers that a mount program shows: marks may be files, as in archives */
	struct strv roots;       /* paths of the lowers, top first */
	struct overlay_detached whole; /* where there are images among them, all are mounted, and count as one */
	cst_error *problem;      /* why they are not known */
	struct strbuf directory; /* the one that was looked at last */
	struct below_level {
		size_t len;     /* of its path, which is the beginning of `directory` */
		size_t seen;    /* so many lowers were looked at: most of the time the first one that has it tells enough */
		char **places;  /* where each of them has it; NULL: it is not seen there */
		char *redirect; /* where the next one has it, if not under its name */
		bool hidden;    /* in those further down */
	} levels[BELOW_LEVELS]; /* that directory comes last; before it those that it is in, the nearest ones */
	size_t n_levels;
};
void overlay_below_init(struct overlay_below *below, const struct driver_staged *staged,
                        const struct driver_unpack_policy *policy);
void overlay_below_free(struct overlay_below *below);

#endif
