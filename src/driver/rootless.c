/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out whether this process lacks what root of the machine may do. */
#include "driver/rootless.h"
#include "base/fs.h"
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ID_MAP_LIMIT 65536 /* a map has at most 340 lines */

static bool has_sys_admin(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

/* Only the initial user namespace maps all IDs, which its map says in one line. */
static bool has_all_ids(void)
{
	_cleanup_error_ cst_error *ignored = NULL;
	_cleanup_free_ char *map = NULL;
	size_t len;

	if (fs_read_file(AT_FDCWD, "/proc/self/uid_map", ID_MAP_LIMIT, &map, &len, &ignored) < 0)
		return false;
	return strstr(map, "4294967295") != NULL;
}

bool driver_is_rootless(void)
{
	const char *outer = getenv("_CONTAINERS_ROOTLESS_UID");

	if (geteuid() != 0 || (!isempty(outer) && !streq(outer, "0")))
		return true;
	if (!isempty(getenv("_CONTAINERS_USERNS_CONFIGURED")))
		return true;
	return !has_sys_admin() || !has_all_ids();
}
