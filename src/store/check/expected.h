/* SPDX-License-Identifier: Apache-2.0 */
/* The tree that layers should make, put together from the headers of their archives, and how a real tree differs from it. */
#ifndef CST_STORE_CHECK_EXPECTED_H
#define CST_STORE_CHECK_EXPECTED_H

#include "archive/tar/tar.h"
#include "base/str.h"
#include "idmap/idmap.h"

struct expected_options {
	/* As the Go command compares: directories that an archive only implies have the attributes of the entry that implies them,
	 * times of directories that later layers changed count, symlinks among a path's directories are not followed, a
	 * difference of anything but a directory is told twice. */
	bool as_upstream;
	bool own_content; /* what one layer has, on top of other layers that are not looked at: whiteouts are devices 0:0 */
	bool marks_are_files; /* of own content: files as the archive has them, or devices and attributes */
	bool no_devices; /* a user namespace has none: they were left out */
	bool ignore_owners, ignore_modes, ignore_types; /* the store's options let files have others than their headers */
	const struct idmaps *maps; /* of the owners on disk; NULL: none */
};

struct expected;
int expected_new(const struct expected_options *options, struct expected **ret, cst_error **error);
void expected_free(struct expected *expected);
DEFINE_CLEANUP(struct expected *, expected_free)

/* The headers of one layer, in the order of its archive, and then expected_end_layer(); base layer first. */
int expected_add(struct expected *expected, const struct tar_header *header, cst_error **error);
int expected_end_layer(struct expected *expected, cst_error **error);

struct difference {
	char *text;      /* in the form of docs/format/config.md, "Content comparison" */
	size_t path_end; /* where sign and path end in it */
	bool is_whiteout; /* one is missing */
};
struct differences {
	struct difference *items;
	size_t len, capacity;
};
void differences_free(struct differences *differences);
#define _cleanup_differences_ _cleanup_(differences_free)

/* Adds the differences of the tree at root_fd, sorted. Once for each tree that was put together. */
int expected_compare(struct expected *expected, int root_fd, struct differences *ret, cst_error **error);

#endif
