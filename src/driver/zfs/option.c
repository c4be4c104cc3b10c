/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the driver and of layers, and the dataset that is meant if none is named. */
#include "config/size.h"
#include "driver/mountinfo.h"
#include "driver/zfs/zfs.h"
#include <errno.h>
#include <sys/stat.h>

static int replace(char **to, const char *value, cst_error **error)
{
	char *copy = strdup(value);
	if (!copy)
		return error_oom(error);
	free(*to);
	*to = copy;
	return 0;
}

/* The Go driver has no `size`, although its own configuration hands it over. */
int zfs_option(struct trees *trees, const char *key, const char *value, bool *known,
               cst_error **error)
{
	struct zfs *zfs = zfs_of(&trees->base);
	*known = true;
	if (streq(key, "fsname"))
		return replace(&zfs->fsname, value, error);
	if (streq(key, "mountopt"))
		return replace(&zfs->mountopt, value, error);
	if (streq(key, "size") && !zfs->as_upstream)
		return size_parse(value, &zfs->size, error);
	*known = false;
	return 0;
}

int zfs_limit_of(const struct zfs *zfs, const struct driver_stage_options *options, uint64_t *ret,
                 cst_error **error)
{
	bool given;
	*ret = zfs->size;
	return trees_size_of(options, ": the driver zfs takes \"size\"", &given, ret, error);
}

struct search {
	dev_t device;
	char *source;
	bool failed;
};

static bool look_at_mount(const struct mountinfo_entry *entry, void *userdata)
{
	struct search *search = userdata;
	struct stat st;
	if (!streq(entry->type, "zfs") || stat(entry->mount_point, &st) < 0 ||
	    st.st_dev != search->device)
		return true;
	search->source = strdup(entry->source);
	search->failed = !search->source;
	return false;
}

int zfs_dataset_of_path(const char *path, char **ret, cst_error **error)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return error_sys(error, errno, "stat %s", path);
	struct search search = {.device = st.st_dev};
	int r = mountinfo_scan(look_at_mount, &search, error);
	if (r == 0 && search.failed)
		r = error_oom(error);
	if (r == 0 && !search.source)
		r = error_set(error, CST_EPREREQ,
		              "failed to find zfs dataset mounted on '%s' in /proc/mounts", path);
	if (r == 0)
		*ret = search.source;
	return r;
}
