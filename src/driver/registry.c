/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers of this build, and which of them a store has (docs/format/drivers.md, "Selection"). */
#include "base/fs.h"
#include "base/log.h"
#include "driver/driver.h"
#include "driver/option.h"
#include "lock/tempdir.h"

static const struct driver_ops *const drivers[] = {&overlay_driver, &overlay2_driver, &btrfs_driver,
                                                   &zfs_driver, &vfs_driver};

static const char *const default_priority[] = {"overlay", "btrfs", "zfs", "vfs"};
static const char *const removed_drivers[] = {"aufs", "devicemapper"};

static const struct driver_ops *find_driver(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (streq(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}

static bool exists_in(const char *root, const char *name)
{
	_cleanup_free_ char *path = path_join(root, name);

	return path && fs_exists(AT_FDCWD, path);
}

/* ---- selection ---- */

/* "overlay2" is a second name of overlay. Some old stores have a home of that name, and for those it is the name; the user's
 * choice between the two does not count. */
static const char *canonical_name(const char *name, const char *graph_root)
{
	if (!streq(name, "overlay") && !streq(name, "overlay2"))
		return name;
	return exists_in(graph_root, "overlay2/l") && !exists_in(graph_root, "overlay/l")
	               ? "overlay2"
	               : "overlay";
}

static int named_driver(const char *name, const char *graph_root, const struct driver_ops **ret,
                        cst_error **error)
{
	const struct driver_ops *ops = find_driver(canonical_name(name, graph_root));

	if (!ops) {
		log_error("Failed to GetDriver graph %s %s", name, graph_root);
		return error_set(error, CST_ENOTSUP,
		                 "failed to GetDriver graph %s %s: driver not supported", name,
		                 graph_root);
	}
	*ret = ops;
	return 0;
}

/* The driver that no release has any more, and whose data are in this root; NULL: none. */
static const char *removed_driver(const char *graph_root)
{
	for (size_t i = 0; i < ARRAY_SIZE(removed_drivers); i++) {
		_cleanup_free_ char *layers = str_join(removed_drivers[i], "-layers/layers.json");

		if (exists_in(graph_root, removed_drivers[i]) ||
		    (layers && exists_in(graph_root, layers)))
			return removed_drivers[i];
	}
	return NULL;
}

/* The drivers that have a home in this root, sorted by name. */
static int prior_drivers(const char *graph_root, struct strv *ret, cst_error **error)
{
	for (const char *const *name = driver_names; *name; name++)
		if (exists_in(graph_root, *name) && !strv_add(ret, *name))
			return error_oom(error);
	return 0;
}

static int several_drivers(const char *graph_root, const struct strv *prior, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf names = {0};

	for (size_t i = 0; i < prior->len; i++)
		strbuf_addf(&names, "%s%s", i ? ", " : "", prior->items[i]);
	if (names.failed)
		return error_oom(error);
	return error_set(error, CST_EINVAL,
	                 "%s contains several valid graphdrivers: %s; Please cleanup or explicitly "
	                 "choose storage driver (-s <DRIVER>)",
	                 graph_root, names.data);
}

/* Does the error mean that the driver cannot work here? Then detection goes on with the next one. A CST_ENOTSUP about an
 * option of the user's does not mean that. */
static bool is_not_here(const cst_error *error)
{
	int code = cst_error_code(error);

	return code == CST_EPREREQ || code == CST_EBACKINGFS ||
	       (code == CST_ENOTSUP &&
	        has_suffix(cst_error_message(error), "driver not supported"));
}

/* Finds out whether the driver would work in this root, in a directory that is removed afterwards: a store that this process
 * only reads must not get a home of the driver. The directory is where vfs has its temporary directories; so if this process
 * is killed, the next process that opens vfs removes it. */
static int try_aside(const struct driver_ops *ops, const struct driver_config *config,
                     cst_error **error)
{
	_cleanup_free_ char *areas = path_join(config->graph_root, "vfs/tempdirs"), *path = NULL;
	_cleanup_(tempdir_freep) struct tempdir *area = NULL;
	int r = areas ? tempdir_new(areas, TEMPDIR_PAIR, &area, error) : error_oom(error);

	if (r < 0)
		return r;
	path = path_join(areas, area->name);
	if (!path)
		return error_oom(error);
	struct driver_config aside = *config;
	aside.graph_root = aside.run_root = path;
	aside.image_store = NULL;
	aside.read_only = false;
	return ops->probe(&aside, error);
}

static int probe(const struct driver_ops *ops, const struct driver_config *config,
                 cst_error **error)
{
	if (!ops->probe)
		return 0;
	if (!config->read_only)
		return ops->probe(config, error);
	return config->as_upstream && exists_in(config->graph_root, "vfs")
	               ? try_aside(ops, config, error)
	               : 0;
}

/* 0 with *ret NULL: the driver is not in this build, or does not work here. */
static int try_driver(const char *name, const struct driver_config *config,
                      const struct driver_ops **ret, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	const struct driver_ops *ops = find_driver(name);

	if (!ops)
		return 0;
	int r = probe(ops, config, &problem);
	if (r == 0)
		*ret = ops;
	if (r == 0 || is_not_here(problem))
		return 0;
	return error_propagate(error, steal_ptr(&problem));
}

static int first_that_works(const char *const *priority, size_t n, bool by_user,
                            const struct driver_config *config, const struct driver_ops **ret,
                            cst_error **error)
{
	const struct driver_ops *ops = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && !ops && i < n; i++)
		if (by_user || !streq(priority[i], "vfs"))
			r = try_driver(priority[i], config, &ops, error);
	for (size_t i = 0; r == 0 && !ops && i < ARRAY_SIZE(drivers); i++)
		r = try_driver(drivers[i]->name, config, &ops, error);
	if (r < 0)
		return r;
	if (!ops)
		return error_set(error, CST_ENOTSUP, "no supported storage backend found");
	*ret = ops;
	return 0;
}

static int detect(const char *const *priority, size_t n, const struct driver_config *config,
                  const struct driver_ops **ret, cst_error **error)
{
	const char *root = config->graph_root, *removed;
	bool by_user = n > 0;
	_cleanup_strv_ struct strv prior = {0};

	if (!by_user) {
		priority = default_priority;
		n = ARRAY_SIZE(default_priority);
	}
	int r = prior_drivers(root, &prior, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		const char *name = canonical_name(priority[i], root);

		if ((!by_user && streq(name, "vfs")) || !strv_contains(&prior, name))
			continue;
		return prior.len > 1 ? several_drivers(root, &prior, error)
		                     : named_driver(name, root, ret, error);
	}
	removed = removed_driver(root);
	if (removed && prior.len == 0)
		return error_set(error, CST_ENOTSUP,
		                 "%s was created by the removed storage driver \"%s\": driver not "
		                 "supported; export the images with a release that supports it, or "
		                 "choose a driver explicitly (-s <DRIVER>)",
		                 root, removed);
	/* Here 1.64 makes a second store, of the first driver that works, and then fails because there are two. */
	if (!config->as_upstream && prior.len == 1 && streq(prior.items[0], "vfs"))
		return named_driver("vfs", root, ret, error);
	return first_that_works(priority, n, by_user, config, ret, error);
}

int driver_select(const char *name, const char *const *priority, size_t n_priority,
                  const struct driver_config *config, const struct driver_ops **ret,
                  cst_error **error)
{
	const char *removed;

	if (isempty(name))
		return detect(priority, n_priority, config, ret, error);
	removed = removed_driver(config->graph_root);
	if (removed && find_driver(name))
		log_warning("%s also holds data of the removed storage driver \"%s\"",
		            config->graph_root, removed);
	return named_driver(name, config->graph_root, ret, error);
}
