/* SPDX-License-Identifier: Apache-2.0 */
/* Names of filesystems by their magic number, and which of them are on a network. */
#include "driver/backing.h"
#include "base/fs.h"
#include <errno.h>
#include <sys/vfs.h>

static const struct {
	uint32_t magic;
	char name[12];
} names[] = {
        {BACKING_AUFS, "aufs"}, {BACKING_BTRFS, "btrfs"},
        {0x28CD3D45, "cramfs"}, {BACKING_ECRYPTFS, "ecryptfs"},
        {0xE0F5E1E2, "erofs"},  {BACKING_EXT4, "extfs"},
        {0xF2F52010, "f2fs"},   {0x47504653, "gpfs"},
        {0x72B6, "jffs2"},      {0x3153464A, "jfs"},
        {0x6969, "nfs"},        {BACKING_OVERLAY, "overlayfs"},
        {0x858458F6, "ramfs"},  {0x52654973, "reiserfs"},
        {0x517B, "smb"},        {0x73717368, "squashfs"},
        {0x01021994, "tmpfs"},  {0xA501FCF5, "vxfs"},
        {BACKING_XFS, "xfs"},   {BACKING_ZFS, "zfs"},
};

/* In this order: nfs, smb, acfs, afs, ceph, cifs, gpfs, ibrix, kafs, lustre, ncp, nfsd, ocfs2, panfs, prlfs,
 * smb2, snfs, vboxsf, vxfs. */
static const uint32_t networks[] = {
        0x6969,     0x517B,     0x61636673, 0x5346414F, 0x00C36400, 0xFF534D42, 0x47504653,
        0x013111A8, 0x6B414653, 0x0BD00BD0, 0x564C,     0x6E667364, 0x7461636F, 0xAAD7AAEA,
        0x7C7C6673, 0xFE534D42, 0xBEEFDEAD, 0x786F4256, 0xA501FCF5,
};

int backing_magic(const char *path, uint32_t *ret, cst_error **error)
{
	_cleanup_free_ char *dir = path_clean(path);
	struct statfs st;
	char *slash;

	if (!dir)
		return error_oom(error);
	while (statfs(dir, &st) < 0) {
		slash = strrchr(dir, '/');
		if (errno != ENOENT || !slash || streq(dir, "/"))
			return error_sys(error, errno, "statfs %s", dir);
		slash[slash == dir ? 1 : 0] = '\0';
	}
	*ret = (uint32_t)st.f_type;
	return 0;
}

const char *backing_name(uint32_t magic)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].magic == magic)
			return names[i].name;
	return "<unknown>";
}

bool backing_is_network(uint32_t magic)
{
	for (size_t i = 0; i < ARRAY_SIZE(networks); i++)
		if (networks[i] == magic)
			return true;
	return false;
}
