/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what inspect() of a driver found. */
#include "driver/driver.h"

int driver_flaws_add(struct driver_flaws *flaws, enum driver_part part, bool mended, char *text,
                     cst_error **error)
{
	struct driver_flaw *grown =
	        text ? grow_array(flaws->items, &flaws->capacity, flaws->len + 1, sizeof(*grown))
	             : NULL;
	if (!grown) {
		free(text);
		return error_oom(error);
	}
	flaws->items = grown;
	grown[flaws->len++] = (struct driver_flaw){.part = part, .mended = mended, .text = text};
	return 0;
}

void driver_flaws_free(struct driver_flaws *flaws)
{
	for (size_t i = 0; i < flaws->len; i++)
		free(flaws->items[i].text);
	free(flaws->items);
	*flaws = (struct driver_flaws){0};
}
