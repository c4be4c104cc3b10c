/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount counts of layers that no kernel mount belongs to: the process died between unmounting and saving, or somebody unmounted
 * by hand. A mount may be in the mount namespace of another process, which this process does not see; so those of all
 * processes are looked through. A count above the number of its mounts is not wrong: each who mounts adds one.
 */
#include "base/fs.h"
#include "store/check/check.h"
#include "store/check/menders.h"
#include "store/core/driver.h"
#include "store/core/hold.h"

#define MOUNTINFO_MAX (64 << 20) /* longer tables are not read: then the mount may be there */

/* ---- the namespaces of all processes ---- */

static bool is_number(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

/* What the table of a namespace has that has the mount: the mount point by the record; the layer's directory, from the root or from
 * the driver's home on, as part of the options. Characters that the table escapes make a path useless; then the ID has to do, which a
 * copy of the store has, too. */
static int needles_of(const cst_store *store, const cst_layer *layer, struct strv *ret,
                      cst_error **error)
{
	_cleanup_free_ char *dir = str_join(store->driver->home, "/", layer->id, "/");
	_cleanup_free_ char *upper = str_join("upperdir=", layer->id, "/");
	_cleanup_free_ char *by_id = str_join("/", layer->id, "/");
	if (!dir || !upper || !by_id)
		return error_oom(error);
	bool plain = !strpbrk(dir, " \t\n\\,") && !strpbrk(layer->mount_point, " \t\n\\,");
	bool ok = plain ? strv_add(ret, dir) && strv_add(ret, upper) &&
	                          strv_add(ret, layer->mount_point)
	                : strv_add(ret, by_id);
	return ok ? 0 : error_oom(error);
}

static bool has_any(const char *table, const struct strv *needles)
{
	bool any = false;
	strv_foreach (needle, needles)
		any = any || strstr(table, needle);
	return any;
}

/* *ret stays false if the process is gone, or another one of its namespace was looked at. */
static int process_has(int proc_fd, const char *pid, const struct strv *needles, struct strv *seen,
                       bool *ret, cst_error **error)
{
	_cleanup_free_ char *ns_path = path_join(pid, "ns/mnt"),
	                    *path = path_join(pid, "mountinfo"), *table = NULL;
	size_t len;
	if (!ns_path || !path)
		return error_oom(error);
	_cleanup_free_ char *ns = fs_readlink(proc_fd, ns_path);
	if (ns && strv_contains(seen, ns))
		return 0;
	if (ns && !strv_add(seen, ns))
		return error_oom(error);
	_cleanup_close_ int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	_cleanup_error_ cst_error *problem = NULL;
	int r = fs_read_fd(fd, path, MOUNTINFO_MAX, &table, &len, &problem);
	if (r == CST_ENOMEM)
		return error_oom(error);
	*ret = r == 0 ? has_any(table, needles) : r == CST_EINVAL /* too long */;
	return 0;
}

static int anybody_has(const cst_store *store, const cst_layer *layer, bool *ret, cst_error **error)
{
	_cleanup_strv_ struct strv pids = {0}, seen = {0}, needles = {0};
	_cleanup_close_ int proc_fd = -1;
	int r = needles_of(store, layer, &needles, error);
	if (r == 0)
		r = fs_open_dir("/proc", &proc_fd, error);
	if (r == 0)
		r = fs_list_dir(proc_fd, ".", &pids, "/proc", error);
	for (size_t i = 0; r == 0 && !*ret && i < pids.len; i++) {
		if (is_number(pids.items[i]))
			r = process_has(proc_fd, pids.items[i], &needles, &seen, ret, error);
	}
	return r;
}

/* ---- the count of one layer; the layers are held ---- */

static int is_stale(cst_store *store, const cst_layer *layer, bool *ret, cst_error **error)
{
	bool mounted = true;
	if (!layer || !layer->mount_count)
		return 0;
	int r = driver_is_mounted(store->driver, layer->id, layer->mount_point, &mounted, error);
	if (r == 0 && !mounted)
		r = anybody_has(store, layer, &mounted, error);
	*ret = r == 0 && !mounted;
	return r;
}

int check_mount(struct checked *item, cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	cst_store *store = item->check->store;
	bool stale = false;
	if (!((const cst_layer *)item->record)->mount_count)
		return 0;
	int r = hold_read_locked(store, CST_KIND_LAYER, &layers, error);
	if (r < 0)
		return r;
	const cst_layer *layer = record_set_get(store->sets.layers.table, item->about.id);
	r = is_stale(store, layer, &stale, error);
	if (r == 0 && stale)
		findings_add(
		        &item->found, CST_FINDING_MOUNT, &item->about, NULL,
		        str_printf("it counts as mounted %d times at %s, but is not mounted there",
		                   layer->mount_count, layer->mount_point),
		        strdup(""));
	return r;
}

int mend_mount(struct mending *mending, const struct cst_finding *finding, char **done,
               cst_error **error)
{
	_cleanup_hold_ struct hold layers = {0};
	_cleanup_unlock_ struct lockfile *mounts = NULL;
	cst_store *store = mending->store;
	struct record_set *table = NULL;
	const cst_layer *layer = NULL;
	bool stale = false;
	int r = hold_write(store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = lockfile_hold(store->mounts_lock, LOCKFILE_WRITE, &mounts, error);
	if (r == 0)
		r = layer_table_load_mounts(table = store->sets.layers.table, mounts, error);
	if (r == 0)
		r = is_stale(store, layer = record_set_get(table, finding->about.id), &stale,
		             error);
	if (r < 0 || !stale)
		return r < 0 ? r : MEND_NOT;
	*done = str_printf("its mount count is 0 instead of %d", layer->mount_count);
	if (!*done || !layer_table_set_mount(table, layer->id, "", 0))
		return error_oom(error);
	r = layer_table_save_mounts(table, mounts, error);
	return r < 0 ? r : MEND_DONE;
}
