/* SPDX-License-Identifier: Apache-2.0 */
/* Times of directories, set when everything is in place. */
#ifndef CST_ARCHIVE_UNPACK_TIMES_H
#define CST_ARCHIVE_UNPACK_TIMES_H

#include "archive/unpack/entry.h"
#include "archive/unpack/target.h"
#include "base/str.h"

struct directory_times {
	int root_fd;
	struct strbuf records;
	size_t last; /* where the last one of them begins */
	int spill_fd; /* -1 until it is needed */
};
int directory_times_add(struct directory_times *times, const struct entry *entry, const struct directory *directory,
			cst_error **error);
int directory_times_apply(struct directory_times *times, struct target *target, cst_error **error);
void directory_times_free(struct directory_times *times);

#endif
