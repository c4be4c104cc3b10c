/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem that a driver home is on (docs/format/drivers.md, "Filesystem magic"). */
#ifndef CST_DRIVER_BACKING_H
#define CST_DRIVER_BACKING_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

enum backing_magic {
	BACKING_AUFS = 0x61756673,
	BACKING_BTRFS = 0x9123683E,
	BACKING_ECRYPTFS = 0xF15F,
	BACKING_EXT4 = 0xEF53, /* and ext2, ext3 */
	BACKING_OVERLAY = 0x794C7630,
	BACKING_XFS = 0x58465342,
	BACKING_ZFS = 0x2FC12FC1,
};

/* The magic number of the filesystem that `path` is on, or will be on once it is made. */
int backing_magic(const char *path, uint32_t *ret, cst_error **error);
const char *backing_name(uint32_t magic); /* as the Go tools call it: "extfs", "xfs", ...; else "<unknown>" */
bool backing_is_network(uint32_t magic);

#endif
