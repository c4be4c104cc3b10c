/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock files that are no regular files. Who needs such a lock is refused. If it is that of a set, nothing else can be looked at.
 * A repair moves away what nobody can have locked. Through anything else, such as a symlink, another tool may hold the lock: then
 * a new file in its place would be a second lock for the same thing.
 */
#include "store/check/check.h"
#include "store/check/lost.h"
#include "store/check/menders.h"
#include <errno.h>

/* A name of the type, or NULL: it is a regular file, or not there. */
static const char *wrong_type(const char *path, mode_t *type)
{
	struct stat st;
	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	*type = st.st_mode & S_IFMT;
	switch (*type) {
	case S_IFREG: return NULL;
	case S_IFDIR: return "a directory";
	case S_IFLNK: return "a symlink";
	case S_IFSOCK: return "a socket";
	default: return "a FIFO or a device";
	}
}

/* The locks that a look at the store takes. The layers may not be open yet, and with such a lock they cannot be. */
static int needed_locks(const cst_store *store, struct strv *ret, cst_error **error)
{
	const char *files = kind_of(CST_KIND_LAYER)->files;
	const struct place {
		const char *root, *name;
	} places[] = {{store->graph_root, "layers.lock"},
	              {store->image_store, "layers.lock"},
	              {store->read_only ? NULL : store->run_root, "mountpoints.lock"}};
	bool ok = strv_add(ret, lockfile_path(store->graph_lock)) &&
	          strv_add(ret, lockfile_path(store->sets.images.lock)) &&
	          strv_add(ret, lockfile_path(store->sets.containers.lock));
	for (size_t i = 0; ok && i < ARRAY_SIZE(places); i++) {
		if (isempty(places[i].root))
			continue;
		_cleanup_free_ char *dir = set_path(places[i].root, store, files),
		                    *path = dir ? path_join(dir, places[i].name) : NULL;
		ok = path && strv_add(ret, path);
	}
	return ok ? 0 : error_oom(error);
}

static bool look_at(struct check *check, const char *path)
{
	mode_t type;
	const char *name = wrong_type(path, &type);
	if (!name)
		return true;
	const struct subject about = {.kind = FILE_SUBJECT, .id = path};
	findings_add(check->findings, CST_FINDING_LOCK_FILE, &about, NULL,
	             str_printf("it is %s, so it cannot be a lock file", name), strdup(""));
	return false;
}

int check_lock_files(struct check *check, bool *goes_on, cst_error **error)
{
	_cleanup_strv_ struct strv needed = {0};
	int r = needed_locks(check->store, &needed, error);
	if (r < 0)
		return r;
	*goes_on = true;
	strv_foreach (path, &needed)
		*goes_on = look_at(check, path) && *goes_on;
	(void)look_at(check, lockfile_path(check->store->userns_lock));
	return check->findings->failed ? error_oom(error) : 0;
}

bool lock_files_hide_records(const cst_store *store, const struct cst_finding *finding)
{
	return finding->code == CST_FINDING_LOCK_FILE &&
	       !streq(finding->about.id, lockfile_path(store->userns_lock));
}

int mend_lock_file(struct mending *mending, const struct cst_finding *finding, char **done,
                   cst_error **error)
{
	(void)mending;
	const char *path = finding->about.id;
	char when[RECORDS_WHEN_MAX];
	mode_t type;
	const char *name = wrong_type(path, &type);
	if (!name)
		return MEND_NOT;
	if (type != S_IFDIR && type != S_IFSOCK) {
		*done = str_printf("another tool may hold the lock through %s; remove it when no "
		                   "tool is at work in the store",
		                   name);
		return *done ? MEND_LEFT : error_oom(error);
	}
	records_when(when);
	_cleanup_free_ char *aside = str_printf("%s.damaged-%s", path, when);
	if (!aside)
		return error_oom(error);
	if (sys_renameat(AT_FDCWD, path, AT_FDCWD, aside) < 0)
		return error_sys(error, errno, "rename %s %s", path, aside);
	*done = str_printf("it is moved to %s, and who takes the lock makes the file", aside);
	return *done ? MEND_DONE : error_oom(error);
}
