/* SPDX-License-Identifier: Apache-2.0 */
/* libsubid, loaded at first use: it brings a dozen libraries that most runs never need. */
#include "base/library.h"
#include "base/log.h"
#include "idmap/subid.h"
#include <pthread.h>
#include <stdio.h>

/* The library's own type (shadow/subid.h). */
struct library_range {
	unsigned long start, count;
};
typedef int (*get_ranges)(const char *owner, struct library_range **ranges);

LIBRARY_NOTE("subid", "suggested", "[\"libsubid.so.5\",\"libsubid.so.4\"]");

static struct {
	pthread_once_t once;
	bool (*init)(const char *program, FILE *log);
	get_ranges uids, gids;
} subid = {.once = PTHREAD_ONCE_INIT};

static const struct library_symbol symbols[] = {
        {"subid_init", &subid.init},
        {"subid_get_uid_ranges", &subid.uids},
        {"subid_get_gid_ranges", &subid.gids},
        {NULL, NULL},
};

/* The names since version 4. Before that the functions had other names and types. */
static struct library library = {
        .needed_for = "to ask for subordinate IDs",
        .sonames = (const char *const[]){"libsubid.so.5", "libsubid.so.4", NULL},
        .symbols = symbols,
};

static void initialise(void)
{
	/* NULL: its messages are not printed. */
	subid.init("cstorage", NULL);
}

int subid_ask_library(const char *user, const char *uid, bool group, struct subid_ranges *ranges,
                      bool *available, cst_error **error)
{
	_cleanup_free_ struct library_range *found = NULL;
	if (library_load(&library, NULL) < 0) {
		*available = false;
		return 0;
	}
	pthread_once(&subid.once, initialise);
	get_ranges get = group ? subid.gids : subid.uids;
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
