/* SPDX-License-Identifier: Apache-2.0 */
/* EROFS on disk, as far as composefs uses it: docs/format/chunked.md, "The image", and the kernel's Documentation/filesystems/erofs.
 * All numbers are little-endian, which is the order of every machine this library is built for. */
#ifndef CST_EROFS_FORMAT_H
#define CST_EROFS_FORMAT_H

#include <stdint.h>

#define EROFS_BLOCK          4096
#define EROFS_BLOCK_BITS     12
#define EROFS_SLOT           32 /* an inode number is its place in the image, divided by this */
#define EROFS_SUPER_AT       1024
#define EROFS_MAGIC          0xe0f5e1e2u
#define EROFS_COMPAT_MTIME   2u /* an inode's time is its mtime */
#define EROFS_COMPAT_FILTER  4u /* the attributes of an inode have a name filter */
#define EROFS_NO_BLOCK       UINT32_MAX /* of a chunk: a hole */
#define EROFS_NAME_MAX       255
#define EROFS_SHARED_MAX     128 /* shared attributes of one inode */
#define EROFS_FILTER_SEED    0x25bbe08fu
#define EROFS_CHUNK_BITS_MAX 31 /* a chunk has at most 2^31 blocks */
#define EROFS_PREFIXES       7  /* indexes of attribute name prefixes */

#define COMPOSEFS_MAGIC       0xd078629au
#define COMPOSEFS_VERSION     1u
#define COMPOSEFS_HAS_ACL     1u
#define COMPOSEFS_DIGEST      32  /* bytes of a SHA-256 */
#define COMPOSEFS_CHUNKS_MAX  1024 /* of one file */
#define COMPOSEFS_CONTENT_MAX 5000 /* bytes of a file that are in the image itself */

struct composefs_header {
	uint32_t magic, version, flags, composefs_version, unused[4];
};

struct erofs_super {
	uint32_t magic, checksum, compat;
	uint8_t block_bits, extra_slots;
	uint16_t root;
	uint64_t inodes, build_time;
	uint32_t build_time_nsec, blocks, inodes_block, xattrs_block;
	uint8_t uuid[16], volume[16];
	uint32_t incompat;
	uint8_t unused[44];
};

/* How an inode's data are kept: bits 1 to 3 of its format. Bit 0: it has the large form. */
enum erofs_layout { EROFS_PLAIN = 0, EROFS_INLINE = 2, EROFS_CHUNKS = 4 };

struct erofs_small_inode {
	uint16_t format, xattr_count, mode, nlink;
	uint32_t size, unused, where, number;
	uint16_t uid, gid;
	uint32_t unused2;
};

struct erofs_large_inode {
	uint16_t format, xattr_count, mode, unused;
	uint64_t size;
	uint32_t where, number, uid, gid;
	uint64_t mtime;
	uint32_t mtime_nsec, nlink;
	uint8_t unused2[16];
};

/* Before the attributes of an inode; the places of the shared ones follow, then the others. A set bit of the filter says that no
 * attribute has a name with this hash. */
struct erofs_xattrs {
	uint32_t filter;
	uint8_t n_shared, unused[7];
};

struct erofs_xattr_entry {
	uint8_t name_len, prefix;
	uint16_t value_len;
};

struct erofs_dirent {
	uint64_t inode;
	uint16_t name_at;
	uint8_t type, unused;
} __attribute__((packed));

_Static_assert(sizeof(struct composefs_header) == 32, "on disk");
_Static_assert(sizeof(struct erofs_super) == 128, "on disk");
_Static_assert(sizeof(struct erofs_small_inode) == 32, "on disk");
_Static_assert(sizeof(struct erofs_large_inode) == 64, "on disk");
_Static_assert(sizeof(struct erofs_xattrs) == 12, "on disk");
_Static_assert(sizeof(struct erofs_dirent) == 12, "on disk");

/* What overlay says by attributes. */
#define OVERLAY_ATTRIBUTES  "trusted.overlay."
#define OVERLAY_ESCAPED     "trusted.overlay.overlay."
#define OVERLAY_USER        "user.overlay."
#define OVERLAY_REDIRECT    "trusted.overlay.redirect"
#define OVERLAY_METACOPY    "trusted.overlay.metacopy"
#define OVERLAY_OPAQUE      "trusted.overlay.opaque"

#endif
