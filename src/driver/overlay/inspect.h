/* SPDX-License-Identifier: Apache-2.0 */
/* A layer that is inspected: its link, its lists of parents, its directories (docs/format/drivers.md, "Layer directory"). */
#ifndef CST_DRIVER_OVERLAY_INSPECT_H
#define CST_DRIVER_OVERLAY_INSPECT_H

#include "driver/overlay/staged.h"

struct inspection {
	struct overlay *o;
	const struct overlay_dirs *dirs;
	size_t home;
	const char *id;
	int layer_fd; /* O_PATH */
	const struct driver_inspection *options;
	struct strv parents;     /* what the layer is built on; it is found out from both lists */
	bool parents_known;
	struct tempdir *temp;    /* where what is missing is made, before it takes its place by rename; NULL: not needed yet */
	struct driver_flaws *flaws;
};

int inspect_link(struct inspection *in, cst_error **error);
int inspect_parents(struct inspection *in, cst_error **error);
int inspect_directories(struct inspection *in, cst_error **error);

/* The place for new things, durable, of which one rename makes a part of the layer. */
int inspect_need_temp(struct inspection *in, cst_error **error);
/* Makes <layer>/<name> anew with this text. */
int inspect_write(struct inspection *in, const char *name, const char *text, mode_t mode, cst_error **error);
/* As overlay_read_layer_file(); but what cannot be read as a file counts as missing. */
int inspect_read(const struct inspection *in, const char *name, char **ret, cst_error **error);

#endif
