/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the known word that is nearest to a mistyped one. */
#ifndef CST_CLI_NEAREST_H
#define CST_CLI_NEAREST_H

#include <stddef.h>

struct nearest {
	const char *word;  /* as it was typed */
	char *found;       /* the nearest of those offered; NULL: none is near enough */
	size_t distance;   /* of `found` */
};
void nearest_offer(struct nearest *nearest, const char *candidate);
void nearest_done(struct nearest *nearest);
#define _cleanup_nearest_ __attribute__((cleanup(nearest_done)))

#endif
