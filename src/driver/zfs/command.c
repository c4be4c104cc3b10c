/* SPDX-License-Identifier: Apache-2.0 */
/* What the program `zfs` does for the driver. */
#include "base/fs.h"
#include "driver/run.h"
#include "driver/zfs/zfs.h"
#include <errno.h>
#include <stdio.h>

#define NAME_MAX_LEN 255 /* of a dataset, with those that it is in */

_Atomic int zfs_program_limit_ms = 120000;

int zfs_dataset(const struct zfs *zfs, const char *name, char **ret, cst_error **error)
{
	static const char allowed[] =
	        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
	_cleanup_free_ char *dataset = path_join(zfs->fsname, name);
	if (!dataset)
		return error_oom(error);
	if (!*name || name[strspn(name, allowed)] || strlen(dataset) > NAME_MAX_LEN)
		return error_set(error, CST_EINVAL,
		                 "the layer ID \"%s\" cannot be used with the driver zfs: a "
		                 "dataset's name has letters, digits and \"-_.:\", "
		                 "and \"%s/<ID>\" at most %d characters",
		                 name, zfs->fsname, NAME_MAX_LEN);
	*ret = steal_ptr(&dataset);
	return 0;
}

/* ---- running it ---- */

static char *shown_command(const char *const *args)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	for (size_t i = 0; args[i]; i++)
		strbuf_addf(&text, "%s%s", i ? " " : "", args[i]);
	return strbuf_steal(&text);
}

/* The program tells its failures apart by its messages only. */
static int failed(const char *const *args, const struct run *run, cst_error **error)
{
	static const struct {
		const char *words;
		int errnum;
	} known[] = {
	        {"does not exist", ENOENT},  {"could not find any snapshots", ENOENT},
	        {"already exists", EEXIST},  {"is busy", EBUSY},
	        {"dependent clones", EBUSY}, {"out of space", ENOSPC},
	        {"quota exceeded", EDQUOT},  {"permission denied", EPERM},
	};
	const char *said = run->said.len ? run->said.data : "it says nothing";
	_cleanup_free_ char *command = shown_command(args);
	if (!command)
		return error_oom(error);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcasestr(said, known[i].words))
			return error_sys(error, known[i].errnum, "%s: %s", command, said);
	return run->status < 0
	               ? error_set(error, CST_EINVAL, "%s: a signal ended it: %s", command, said)
	               : error_set(error, CST_EINVAL, "%s: %s (exit status %d)", command, said,
	                           run->status);
}

static int zfs_run(const char *const *args, struct run *ret, cst_error **error)
{
	/* Its messages are compared, so they must not be translated. */
	const struct run_options options = {
	        .limit_ms = zfs_program_limit_ms, .set = "LC_ALL=C", .said_max = 4096};
	int r = run((char *const *)args, &options, ret, error);
	if (r < 0)
		return r;
	run_trim(ret);
	if (ret->status == RUN_STATUS_UNKNOWN) /* one that fails says why */
		ret->status = ret->said.len > 0;
	return ret->status != 0 ? failed(args, ret, error) : 0;
}

static int zfs_do(const char *const *args, cst_error **error)
{
	_cleanup_run_ struct run run = {0};
	return zfs_run(args, &run, error);
}

/* What is gone is gone, whoever did it. */
static int unless_gone(int r, cst_error *problem, cst_error **error)
{
	if (r == 0)
		return 0;
	if (cst_error_errno(problem) != ENOENT)
		return error_propagate(error, problem);
	cst_error_free(problem);
	return 0;
}

/* ---- making and taking away ---- */

/* The properties that a new dataset has: "-o", "name=value", ... */
struct properties {
	char *home, *quota;
};

static void properties_free(struct properties *p)
{
	free(p->home);
	free(p->quota);
}

static int properties_of(const struct zfs *zfs, uint64_t limit, struct properties *ret,
                         cst_error **error)
{
	ret->home = str_join(ZFS_HOME "=", zfs->trees.base.home);
	ret->quota =
	        limit ? str_printf("quota=%llu", (unsigned long long)limit) : strdup("quota=none");
	return ret->home && ret->quota ? 0 : error_oom(error);
}

int zfs_create(const struct zfs *zfs, const char *dataset, uint64_t limit, cst_error **error)
{
	_cleanup_(properties_free) struct properties p = {0};
	int r = properties_of(zfs, limit, &p, error);
	const char *args[] = {"zfs",   "create", "-o", "mountpoint=legacy", "-o", p.home, "-o",
	                      p.quota, dataset,  NULL};
	return r == 0 ? zfs_do(args, error) : r;
}

int zfs_clone(const struct zfs *zfs, const char *snapshot, const char *dataset, uint64_t limit,
              cst_error **error)
{
	_cleanup_(properties_free) struct properties p = {0};
	int r = properties_of(zfs, limit, &p, error);
	const char *args[] = {"zfs",    "clone", "-o", "mountpoint=legacy",
	                      "-o",     p.home,  "-o", p.quota,
	                      snapshot, dataset, NULL};
	return r == 0 ? zfs_do(args, error) : r;
}

int zfs_snapshot(const char *snapshot, cst_error **error)
{
	const char *args[] = {"zfs", "snapshot", snapshot, NULL};
	return zfs_do(args, error);
}

int zfs_forget_snapshot(const char *snapshot, cst_error **error)
{
	const char *args[] = {"zfs", "destroy", "-d", snapshot, NULL};
	cst_error *problem = NULL;
	int r = zfs_do(args, &problem);
	return unless_gone(r, problem, error);
}

int zfs_rename(const char *from, const char *to, cst_error **error)
{
	const char *args[] = {"zfs", "rename", from, to, NULL};
	return zfs_do(args, error);
}

int zfs_destroy(const char *dataset, cst_error **error)
{
	const char *args[] = {"zfs", "destroy", "-r", dataset, NULL};
	cst_error *problem = NULL;
	int r = zfs_do(args, &problem);
	return unless_gone(r, problem, error);
}

int zfs_promote(const char *dataset, cst_error **error)
{
	const char *args[] = {"zfs", "promote", dataset, NULL};
	return zfs_do(args, error);
}

/* ---- asking ---- */

/* Splits the lines of an answer, each with its end. */
static int split_lines(const struct run *run, struct strv *ret, cst_error **error)
{
	const char *at = strbuf_str(&run->out), *end;
	for (; (end = strchr(at, '\n')); at = end + 1)
		if (!strv_addn(ret, at, (size_t)(end - at)))
			return error_oom(error);
	return 0;
}

static int read_one(const char *const *args, const char *what, const char *properties,
                    struct strv *ret, cst_error **error)
{
	_cleanup_run_ struct run run = {0};
	_cleanup_strv_ struct strv lines = {0}, values = {0};
	size_t wanted = 1;
	for (const char *c = properties; *c; c++)
		wanted += *c == ',';
	int r = zfs_run(args, &run, error);
	if (r == 0)
		r = split_lines(&run, &lines, error);
	if (r < 0)
		return r;
	if (lines.len && !strv_split(&values, lines.items[0], '\t'))
		return error_oom(error);
	if (lines.len != 1 || values.len != wanted)
		return error_set(error, CST_ECORRUPT,
		                 "%s: `%s` does not answer with the properties %s in one line",
		                 what, args[0], properties);
	*ret = values;
	values = (struct strv){0};
	return 0;
}

int zfs_read(const char *dataset, const char *properties, struct strv *ret, cst_error **error)
{
	const char *args[] = {"zfs", "list", "-Hp", "-o", properties, dataset, NULL};
	return read_one(args, dataset, properties, ret, error);
}

int zfs_read_pool(const char *pool, const char *properties, struct strv *ret, cst_error **error)
{
	const char *args[] = {"zpool", "list", "-Hp", "-o", properties, pool, NULL};
	return read_one(args, pool, properties, ret, error);
}

/* The name below fsname of a line "HOME<tab>DATASET" of the list, if the dataset is this store's. What somebody else keeps there,
 * another store or the Go tools, has no property of ours, or another home. What is built or taken away has the number of a
 * temporary directory in its name, and may be of the Go tools. */
static const char *our_name(const struct zfs *zfs, const char *line)
{
	const char *name = strchr(line, '\t');
	size_t home_len = name ? (size_t)(name - line) : 0, fsname_len = strlen(zfs->fsname);
	if (!name || strncmp(++name, zfs->fsname, fsname_len) != 0 || name[fsname_len] != '/')
		return NULL;
	name += fsname_len + 1;
	bool same_home = strlen(zfs->trees.base.home) == home_len &&
	                 memcmp(line, zfs->trees.base.home, home_len) == 0;
	return same_home || has_prefix(name, ZFS_OURS) ? name : NULL;
}

int zfs_list_all(const struct zfs *zfs, struct strv *ret, cst_error **error)
{
	const char *args[] = {"zfs", "list", "-Hp",       "-t", "filesystem",     "-d",
	                      "1",   "-S",   "createtxg", "-o", ZFS_HOME ",name", zfs->fsname,
	                      NULL};
	_cleanup_run_ struct run run = {0};
	_cleanup_strv_ struct strv lines = {0};
	int r = zfs_run(args, &run, error);
	if (r == 0)
		r = split_lines(&run, &lines, error);
	strv_foreach (line, &lines) {
		const char *name = our_name(zfs, line);
		if (r == 0 && name && !strv_add(ret, name))
			r = error_oom(error);
	}
	return r;
}
