/* SPDX-License-Identifier: Apache-2.0 */
/* The ids that the user namespace of this process has (kernel: user_namespaces(7)). */
#include "base/fs.h"
#include "idmap/intervals.h"
#include <inttypes.h>
#include <stdio.h>

#define ID_MAP_LIMIT 65536 /* a map has at most 340 lines */

int intervals_of_process(bool group, struct intervals *ret, bool *initial, cst_error **error)
{
	const char *path = group ? "/proc/self/gid_map" : "/proc/self/uid_map";
	_cleanup_intervals_ struct intervals ids = {0};
	_cleanup_free_ char *text = NULL;
	uint64_t inside, outside, count;
	size_t len;
	int r = fs_read_file(AT_FDCWD, path, ID_MAP_LIMIT, &text, &len, error);
	if (r < 0)
		return r;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &count) !=
		    3)
			return error_set(error, CST_ECORRUPT, "%s is not understood", path);
		if (!intervals_add(&ids, inside, count))
			return error_oom(error);
	}
	intervals_join(&ids);
	*initial = intervals_count(&ids) == UINT32_MAX;
	*ret = ids;
	ids = (struct intervals){0};
	return 0;
}
