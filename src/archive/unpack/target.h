/* SPDX-License-Identifier: Apache-2.0 */
/* The directory that is filled, as the parts know it that work on names; one thread at a time. */
#ifndef CST_ARCHIVE_UNPACK_TARGET_H
#define CST_ARCHIVE_UNPACK_TARGET_H

#include "archive/unpack/metadata.h"
#include "archive/unpack/own.h"
#include "archive/unpack/place.h"
#include "archive/unpack/sync.h"

#define DIRECTORY_SLOTS 256
#define DIRECTORY_SLOTS_MIN 3 /* of one entry: its parent, that of a link's target, and itself */
#define DIRECTORY_WAYS  8 /* how many slots a path may be in */
struct directory_slot {
	char *path;
	uint64_t hash, used;
	struct directory directory;
};
struct directory_cache {
	struct directory_slot slots[DIRECTORY_SLOTS];
	size_t n_slots; /* of them are used, as the limit on descriptors allows: see directory_slots() */
	uint64_t clock;
	bool stale; /* directory_paths_changed() */
};

struct target {
	int root_fd;
	const struct unpack_options *options;
	struct own_names own;
	struct making making;
	struct metadata metadata;
	struct sync_list sync;
	struct directory_cache directories;
};

enum directory_missing {
	DIRECTORY_MUST_EXIST,
	DIRECTORY_EXISTING, /* made here if the layers below have it */
	DIRECTORY_CREATE,   /* also in the place of what this archive did not bring */
};

#endif
