/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of a layer. `merged` may be missing: older releases remove it with each unmount. A symlink `diff` with an
 * absolute target leads into an additional layer store.
 */
#include "base/fs.h"
#include "driver/overlay/inspect.h"
#include <errno.h>
#include <sys/stat.h>

static const struct row {
	const char *name;
	bool may_be_missing, only_of_base;
} rows[] = {
        {"diff", false, false},
        {"work", false, false},
        {"merged", true, false},
        {"empty", false, true},
};

static bool leads_elsewhere(const struct inspection *in, const char *name)
{
	_cleanup_free_ char *target = streq(name, "diff") ? fs_readlink(in->layer_fd, name) : NULL;
	return target && *target == '/';
}

/* `diff` is as that of the parent, all others belong to the owner of `diff`. */
static int attributes_of(const struct inspection *in, const char *name, struct root_attributes *ret,
                         cst_error **error)
{
	const struct driver_stage_options options = {
	        .parent = in->parents.len ? in->parents.items[0] : NULL,
	        .maps = in->options->maps,
	        .parent_maps = in->options->maps};
	struct stat st;
	if (streq(name, "diff"))
		return overlay_root_attributes(in->o, in->dirs, &options, ret, error);
	if (fstatat(in->layer_fd, "diff", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(error, errno, "stat %s/diff", in->id);
	*ret = (struct root_attributes){st.st_uid, st.st_gid, 0700};
	return 0;
}

static int mend_directory(struct inspection *in, const char *name, cst_error **error)
{
	struct root_attributes attributes = {0};
	int r = attributes_of(in, name, &attributes, error);
	if (r == 0)
		r = inspect_need_temp(in, error);
	if (r == 0)
		r = overlay_make_dir(in->temp->fd, name, &attributes, attributes.mode, NULL, in->id,
		                     error);
	if (r == 0 && sys_unlinkat(in->layer_fd, name, 0) < 0 && errno != ENOENT)
		r = error_sys(error, errno, "unlink %s of %s", name, in->id);
	if (r == 0 && sys_renameat(in->temp->fd, name, in->layer_fd, name) < 0)
		r = error_sys(error, errno, "rename %s of %s", name, in->id);
	return r;
}

static int inspect_directory(struct inspection *in, const struct row *row, cst_error **error)
{
	struct stat st;
	bool there = fstatat(in->layer_fd, row->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!there && errno != ENOENT)
		return error_sys(error, errno, "stat %s/%s", in->id, row->name);
	if (there ? S_ISDIR(st.st_mode) || leads_elsewhere(in, row->name) : row->may_be_missing)
		return 0;
	bool mend = in->options->mend && in->parents_known;
	int r = mend ? mend_directory(in, row->name, error) : 0;
	if (r < 0)
		return r;
	return driver_flaws_add(in->flaws, DRIVER_DIRECTORIES, mend,
	                        str_printf("its directory \"%s\" is %s", row->name,
	                                   there ? "something else" : "missing"),
	                        error);
}

int inspect_directories(struct inspection *in, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].only_of_base || (in->parents_known && !in->parents.len))
			r = inspect_directory(in, &rows[i], error);
	}
	return r;
}
