/* SPDX-License-Identifier: Apache-2.0 */
/* libsubid, loaded at first use: it pulls in a dozen libraries which most runs never need. */
#include "base/log.h"
#include "idmap/subid.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

/* The library's own type (shadow/subid.h). */
struct library_range {
	unsigned long start, count;
};
typedef int (*get_ranges)(const char *owner, struct library_range **ranges);
typedef bool (*initialise)(const char *program, FILE *log);

static struct {
	pthread_once_t once;
	get_ranges uids, gids;
} library = {.once = PTHREAD_ONCE_INIT};

static void load_library(void)
{
	/* 4 and later; before 4 the functions were named and typed differently */
	static const char *const names[] = {"libsubid.so.5", "libsubid.so.4"};
	void *handle = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(names) && !handle; i++)
		handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return;
	initialise init = (initialise)dlsym(handle, "subid_init");
	get_ranges uids = (get_ranges)dlsym(handle, "subid_get_uid_ranges");
	get_ranges gids = (get_ranges)dlsym(handle, "subid_get_gid_ranges");
	if (!init || !uids || !gids) {
		dlclose(handle);
		return;
	}
	init("cstorage", NULL); /* NULL: it keeps its messages to itself */
	library.uids = uids;
	library.gids = gids;
}

int subid_ask_library(const char *user, const char *uid, bool group, struct subid_ranges *ranges,
                      bool *available, cst_error **error)
{
	_cleanup_free_ struct library_range *found = NULL;
	pthread_once(&library.once, load_library);
	get_ranges get = group ? library.gids : library.uids;
	if (!get) {
		*available = false;
		return 0;
	}
	if (streq(user, "ALL"))
		return error_set(error, CST_EINVAL, "username ALL not supported");
	int n = get(user, &found);
	if (n <= 0 && uid) {
		free(found);
		found = NULL;
		n = get(uid, &found);
	}
	if (n < 0)
		return error_set(error, CST_EINVAL, "cannot read subids");
	for (int i = 0; i < n; i++) {
		if (!subid_add(ranges, found[i].start, found[i].count))
			return error_oom(error);
	}
	*available = true;
	return 0;
}
