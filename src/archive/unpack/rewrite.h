/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that the archive itself replaced, for the tar-split. */
#ifndef CST_ARCHIVE_UNPACK_REWRITE_H
#define CST_ARCHIVE_UNPACK_REWRITE_H

#include "archive/unpack/target.h"

struct saved_body {
	uint32_t number;
	int fd;
};
#define SAVED_BODIES_MAX 64
struct saved_bodies {
	const struct target *target;
	struct saved_body items[SAVED_BODIES_MAX];
	size_t n;
};
int saved_bodies_keep(struct saved_bodies *saved, const struct directory *doomed, cst_error **error);
int saved_bodies_rewrite(struct saved_bodies *saved, cst_error **error);
void saved_bodies_free(struct saved_bodies *saved);

#endif
