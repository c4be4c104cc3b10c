/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the table of layers share. */
#ifndef CST_RECORDS_LAYER_TABLE_INTERNAL_H
#define CST_RECORDS_LAYER_TABLE_INTERNAL_H

#include "records/chain_index.h"

enum layer_chain { CHAIN_PARENT, CHAIN_DIGESTS }; /* from CHAIN_DIGESTS on: enum layer_digest */
#define LAYER_CHAINS (CHAIN_DIGESTS + LAYER_DIGESTS)

struct mount_state {
	const char *path;
	int count;
};

/* An element of mountpoints.json. */
struct mount_record {
	const char *id, *path;
	int64_t count;
};

struct layer_table {
	struct record_set set;         /* first: the kind's functions get this address */
	unsigned file_of[LAYER_FILES]; /* number of the file in the set; of the stable one if it is missing */
	enum layer_file kind_of[LAYER_FILES];
	struct chain_index chains[LAYER_CHAINS];
	bool chained; /* the chains are built: at the first look-up */

	/* mount_table.c */
	struct record_file mounts;
	char *mounts_home; /* NULL: mount points may be anywhere */
	struct mount_record *foreign_mounts; /* of another store; the strings in the arena */
	size_t n_foreign_mounts, foreign_mounts_capacity;
	struct arena foreign_memory;
	bool has_mounts, mounts_loaded, mounts_dirty;
	struct lock_token mounts_token;
	size_t mounted;                     /* layers with mount state */
	const struct mount_state *mounting; /* what the edit under way sets */
};

#endif
