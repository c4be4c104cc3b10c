/* SPDX-License-Identifier: Apache-2.0 */
/* The content of one regular file into another, by the cheapest way the file systems allow. */
#ifndef CST_ARCHIVE_TREE_COPY_DATA_H
#define CST_ARCHIVE_TREE_COPY_DATA_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What did not work for this pair of file systems is not tried again. Zero-initialised is fresh. */
struct copy_ways {
	bool no_clone, no_range;
	/* Called after each part of a file with the bytes copied of it; what it fails with ends the
	 * copy. NULL: nobody wants to know. */
	int (*copied)(void *userdata, uint64_t bytes, cst_error **error);
	void *userdata;
};

/* `to` is empty and gets exactly `size` bytes; holes stay holes. A source that is shorter fails
 * with CST_ECORRUPT. */
int copy_data(int from, int to, off_t size, struct copy_ways *ways, const char *shown,
              cst_error **error);

#endif
