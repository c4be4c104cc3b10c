/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay driver: opens and closes it, tells its status, and has its table of operations. */
#include "driver/overlay/overlay.h"
#include "base/fs.h"
#include "base/log.h"
#include "driver/backing.h"
#include "driver/rootless.h"
#include <errno.h>
#include <unistd.h>

void overlay_free(struct overlay *o)
{
	for (size_t i = 0; i < o->n_homes; i++)
		free(o->homes[i].path);
	free(o->homes);
	for (size_t i = 0; i < o->n_namespaces; i++) {
		free(o->namespaces[i].key);
		closep(&o->namespaces[i].fd);
	}
	free(o->namespaces);
	overlay_options_free(&o->options);
	free(o->program);
	pthread_mutex_destroy(&o->lock);
	free(o->base.home);
	free(o->base.run_home);
	free(o);
}

static int add_home(struct overlay *o, const char *root, const char *name, bool writable,
                    cst_error **error)
{
	char *path = path_join(root, name);

	if (!path)
		return error_oom(error);
	o->homes[o->n_homes++] = (struct overlay_home){.path = path, .writable = writable};
	return 0;
}

static int set_homes(struct overlay *o, const struct driver_config *config, const char *name,
                     cst_error **error)
{
	bool has_image_store = !isempty(config->image_store);

	o->homes = new0(struct overlay_home, 2 + o->options.image_stores.len);
	o->base.home = path_join(config->graph_root, name);
	o->base.run_home = path_join(config->run_root, name);
	if (!o->homes || !o->base.home || !o->base.run_home)
		return error_oom(error);
	int r = add_home(o, config->graph_root, name, !config->read_only, error);
	if (r == 0 && has_image_store)
		r = add_home(o, config->image_store, name, !config->read_only, error);
	o->read_only_home = has_image_store ? 1 : 0;
	for (size_t i = 0; r == 0 && i < o->options.image_stores.len; i++)
		r = add_home(o, o->options.image_stores.items[i], name, false, error);
	return r;
}

/* Makes a handle, with what can be found out without changing anything. */
static int overlay_new(const struct driver_config *config, const char *name, struct overlay **ret,
                       cst_error **error)
{
	_cleanup_(overlay_freep) struct overlay *o = new0(struct overlay, 1);

	if (!o)
		return error_oom(error);
	pthread_mutex_init(&o->lock, NULL);
	o->base.ops = streq(name, overlay2_driver.name) ? &overlay2_driver : &overlay_driver;
	o->read_only = config->read_only;
	int r = overlay_options_parse(config, name, &o->options, error);
	if (r == 0)
		r = set_homes(o, config, name, error);
	if (r == 0)
		r = backing_magic(config->graph_root, &o->magic, error);
	if (r < 0)
		return r;
	o->base.sync_content = !o->options.no_sync;
	*ret = steal_ptr(&o);
	return 0;
}

/* Removes what a failed first start made. An empty home would count as a store of this driver from then on. */
static void unmake_home(const struct overlay *o)
{
	static const char *const dirs[] = {OVERLAY_STAGING_DIR, OVERLAY_LINK_DIR};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = path_join(o->base.home, dirs[i]);

		if (path)
			(void)sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
	}
	_cleanup_free_ char *flag = path_join(o->base.home, ".has-mount-program");
	if (flag)
		(void)sys_unlinkat(AT_FDCWD, flag, 0);
	(void)sys_unlinkat(AT_FDCWD, o->base.home, AT_REMOVEDIR);
}

/* The results of the probes are gone after a boot, and on a full disk nothing can be tried. A store that was there before was
 * made by an overlay that works, so this one is taken to work; features that only make things faster are not used. */
static int probe(struct overlay *o, bool was_there, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = overlay_probe(o, &problem);
	if (r == 0)
		return 0;
	if (was_there && error_is_full(problem)) {
		log_debug("overlay is taken to work as before: %s", cst_error_message(problem));
		return 0;
	}
	return error_propagate(error, steal_ptr(&problem));
}

/* Layers on a network filesystem belong to one user there, who may not give files to others. */
static void force_mask_on_network(struct overlay *o)
{
	if (!driver_is_rootless() || !backing_is_network(o->magic) || o->options.force_mask >= 0)
		return;
	o->options.force_mask = 0700;
	log_warning("Network file system detected as backing store.  Enforcing overlay option "
	            "`force_mask=\"700\"`.  Add it to storage.conf to silence this warning");
}

static void use_program(struct overlay *o)
{
	o->base.marks_are_files = true;
	force_mask_on_network(o);
	overlay_probe_none(o);
}

/* Decides who makes the mounts, and finds out what they can do. */
static int choose(struct overlay *o, bool was_there, cst_error **error)
{
	cst_error *problem = NULL;
	int r = overlay_choose_program(o, error);
	if (r == 0 && !o->program && probe(o, was_there, &problem) < 0)
		r = overlay_fall_back(o, problem, error);
	if (r < 0 || !o->program)
		return r;
	use_program(o);
	return overlay_note_program(o, error);
}

/* A limit that the user configured is kept, or the store does not open. */
static int check_quota(struct overlay *o, cst_error **error)
{
	const struct driver_quota *quota = &o->options.quota;
	_cleanup_error_ cst_error *problem = NULL;
	if (o->read_only || (!quota->bytes && !quota->inodes) || overlay_has_quotas(o, &problem))
		return 0;
	return error_set(error, CST_ENOTSUP,
	                 "storage options overlay.size and overlay.inodes not supported. "
	                 "Filesystem does not support Project Quota: %s",
	                 cst_error_message(problem));
}

/* The part of opening that two processes may do at the same time: all but the mount of the home. */
static int prepare(struct overlay *o, cst_error **error)
{
	cst_error *problem = NULL;
	bool created = false;
	int r = overlay_check_backing(o, &problem);
	if (r < 0)
		r = overlay_fall_back(o, problem, error);
	if (r == 0 && !o->read_only)
		r = overlay_make_home(o, &created, error);
	if (r == 0)
		r = check_quota(o, error);
	if (r == 0)
		r = choose(o, !created, error);
	if (r < 0 && created)
		unmake_home(o);
	return r;
}

static int open_as(const char *name, const struct driver_config *config, struct driver **ret,
                   cst_error **error)
{
	_cleanup_(overlay_freep) struct overlay *o = NULL;
	int r = overlay_new(config, name, &o, error);
	if (r == 0)
		r = prepare(o, error);
	if (r == 0)
		r = overlay_mount_home(o, error);
	if (r < 0)
		return r;
	*ret = &o->base;
	o = NULL;
	return 0;
}

static int probe_as(const char *name, const struct driver_config *config, cst_error **error)
{
	_cleanup_(overlay_freep) struct overlay *o = NULL;
	int r = overlay_new(config, name, &o, error);
	return r < 0 ? r : prepare(o, error);
}

/* Is everything known that choose() would find out? */
static bool is_ready(struct overlay *o)
{
	if (!o->program)
		return overlay_check_backing(o, NULL) == 0 && overlay_probe_cached(o);
	use_program(o);
	return overlay_program_noted(o) && fs_exists(AT_FDCWD, o->base.run_home);
}

static int open_ready_as(const char *name, const struct driver_config *config, struct driver **ret,
                         cst_error **error)
{
	_cleanup_(overlay_freep) struct overlay *o = NULL;
	int r = overlay_new(config, name, &o, error);
	if (r < 0 || !overlay_home_ready(o))
		return r;
	r = check_quota(o, error);
	if (r == 0)
		r = overlay_choose_program(o, error);
	if (r < 0 || !is_ready(o))
		return r;
	*ret = &o->base;
	o = NULL;
	return 0;
}

static void close_driver(struct driver *d)
{
	if (d)
		overlay_free(overlay_of(d));
}

/* ---- shutdown and recovery ---- */

/* What another program left is not believed to owe anything to a store. */
static int settle_owed(int area_fd, const char *number, void *hangs, cst_error **error)
{
	if (tempdir_is_ours(number))
		overlay_foreign_settle(area_fd, hangs);
	return 0;
}

static int recover_area(const struct overlay *o, size_t home, const char *name,
                        enum tempdir_layout layout, cst_error **error)
{
	_cleanup_free_ char *root = path_join(o->homes[home].path, name);
	_cleanup_error_ cst_error *problem = NULL;
	bool hangs = false;
	int r = root ? tempdir_recover_with(root, layout, settle_owed, &hangs, &problem)
	             : error_oom(&problem);
	int errnum = cst_error_errno(problem);
	if (errnum != ENOTDIR && errnum != ELOOP)
		return r < 0 ? error_propagate(error, steal_ptr(&problem)) : 0;
	log_warning("%s is not a directory: remove it, or no layer can be made", root);
	return 0;
}

static int recover(struct driver *d, cst_error **error)
{
	struct overlay *o = overlay_of(d);
	int r = 0;

	for (size_t i = 0; r == 0 && i <= o->read_only_home && !o->read_only; i++) {
		r = recover_area(o, i, OVERLAY_STAGING_DIR, TEMPDIR_STAGING, error);
		if (r == 0)
			r = recover_area(o, i, OVERLAY_TEMP_DIR, TEMPDIR_PAIR, error);
	}
	return r;
}

/* Is anything in this area? recover() has removed what no living process holds. Files in tempdirs that are no temporary
 * directories belong to another tool; they do not count. */
static int is_busy(const struct overlay *o, enum tempdir_layout layout, bool *ret,
                   cst_error **error)
{
	_cleanup_free_ char *path = path_join(o->homes[0].path, overlay_area_of(layout));
	_cleanup_strv_ struct strv names = {0};

	if (!path)
		return error_oom(error);
	if (!fs_exists(AT_FDCWD, path))
		return 0;
	int r = fs_list_dir(AT_FDCWD, path, &names, NULL, error);
	strv_foreach (name, &names)
		*ret = *ret || layout == TEMPDIR_STAGING || has_prefix(name, "temp-dir-");
	return r;
}

/* While another process fills a layer the mount of the home stays: without it that process could not rename the layer into
 * place. */
static int cleanup(struct driver *d, cst_error **error)
{
	struct overlay *o = overlay_of(d);
	bool busy = false;
	int r = recover(d, error);

	if (r == 0)
		r = is_busy(o, TEMPDIR_STAGING, &busy, error);
	if (r == 0)
		r = is_busy(o, TEMPDIR_PAIR, &busy, error);
	return r < 0 || busy ? r : overlay_unmount_home(o, error);
}

/* ---- looking ---- */

static int exists(struct driver *d, const char *id, bool *ret, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	ssize_t home = -1;
	int r = overlay_dirs_open(overlay_of(d), &dirs, error);
	if (r == 0)
		r = overlay_find(overlay_of(d), &dirs, id, &home, error);
	if (r == 0)
		*ret = home >= 0;
	return r;
}

static int list_home(const struct overlay *o, int fd, size_t home, struct strv *ids,
                     cst_error **error)
{
	_cleanup_strv_ struct strv names = {0};
	struct stat st;
	int r = fs_list_dir(fd, ".", &names, o->homes[home].path, error);
	for (size_t i = 0; r == 0 && i < names.len; i++) {
		const char *name = names.items[i];

		if (overlay_id_ok(name) && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode) && !strv_add(ids, name))
			r = error_oom(error);
	}
	return r;
}

static int list(struct driver *d, struct strv *ids, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_strv_ struct strv found = {0};
	struct overlay *o = overlay_of(d);
	int r = overlay_dirs_open(o, &dirs, error);
	for (size_t i = 0; r == 0 && i <= o->read_only_home; i++)
		if (dirs.fds[i] >= 0)
			r = list_home(o, dirs.fds[i], i, &found, error);
	if (r < 0)
		return r;
	strv_sort(&found);
	*ids = found;
	found = (struct strv){0};
	return 0;
}

static int overlay_status(struct driver *d, struct strv *pairs, cst_error **error)
{
	struct overlay *o = overlay_of(d);
	bool shifting = false;
	int r = overlay_supports_shifting(d, NULL, &shifting, error);

	if (r < 0)
		return r;
	const struct {
		const char *key, *value;
	} rows[] = {
	        {"Backing Filesystem", backing_name(o->magic)},
	        {"Supports d_type", "true"}, /* without it the driver does not open */
	        {"Native Overlay Diff", overlay_bool_text(o->native_diff)},
	        {"Using metacopy", overlay_bool_text(o->metacopy)},
	        {"Supports shifting", overlay_bool_text(shifting)},
	        {"Supports volatile", overlay_bool_text(overlay_supports_volatile(o))},
	};
	_cleanup_strv_ struct strv found = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strv_add(&found, rows[i].key) || !strv_add(&found, rows[i].value))
			return error_oom(error);
	*pairs = found;
	found = (struct strv){0};
	return 0;
}

static const struct strv *image_stores(struct driver *d)
{
	return &overlay_of(d)->options.image_stores;
}

/* ---- the tables ---- */

static int missing(struct driver *d, const char *name, bool as_parent, cst_error **error)
{
	if (as_parent)
		return error_sys(error, ENOENT, "Stat %s/%s/diff", d->home, name);
	return error_sys(error, ENOENT, "faccessat %s/%s", d->home, name);
}

static int open_overlay(const struct driver_config *config, struct driver **ret, cst_error **error)
{
	return open_as("overlay", config, ret, error);
}

static int probe_overlay(const struct driver_config *config, cst_error **error)
{
	return probe_as("overlay", config, error);
}

static int open_ready_overlay(const struct driver_config *config, struct driver **ret,
                              cst_error **error)
{
	return open_ready_as("overlay", config, ret, error);
}

static int open_overlay2(const struct driver_config *config, struct driver **ret, cst_error **error)
{
	return open_as("overlay2", config, ret, error);
}

static int probe_overlay2(const struct driver_config *config, cst_error **error)
{
	return probe_as("overlay2", config, error);
}

static int open_ready_overlay2(const struct driver_config *config, struct driver **ret,
                               cst_error **error)
{
	return open_ready_as("overlay2", config, ret, error);
}

#define COMMON_OPERATIONS                                                                         \
	.capabilities = DRIVER_REOWNS_PARENT | DRIVER_DEDUP, .close = close_driver,               \
	.cleanup = cleanup, .recover = recover, .stage = overlay_stage,                           \
	.stage_copy = overlay_stage_copy, .stage_in_place = overlay_stage_in_place,               \
	.stage_unpack = overlay_stage_unpack, .stage_sync = overlay_stage_sync,                   \
	.stage_as_image = overlay_stage_as_image, .stage_open = overlay_stage_open,               \
	.stage_settle = overlay_stage_settle, .stage_barrier = overlay_stage_barrier,             \
	.stage_commit = overlay_stage_commit, .stage_note = overlay_stage_note,                   \
	.stage_replace = overlay_stage_replace, .replace_recover = overlay_replace_recover,       \
	.staged_identity = overlay_staged_identity, .content_identity = overlay_content_identity, \
	.stage_free = overlay_stage_free, .staged_id = overlay_staged_id,                         \
	.stage_keep = overlay_stage_keep, .stage_list = overlay_stage_list,                       \
	.stage_adopt = overlay_stage_adopt, .stage_unkeep = overlay_stage_unkeep,                 \
	.stage_resolve = overlay_stage_resolve, .foreign_find = overlay_foreign_find,             \
	.foreign_list = overlay_foreign_list, .foreign_info = overlay_foreign_info,               \
	.foreign_blob = overlay_foreign_blob, .foreign_begin = overlay_foreign_begin,             \
	.foreign_end = overlay_foreign_end, .stage_foreign = overlay_stage_foreign,               \
	.foreign_of = overlay_foreign_of, .remove = overlay_remove,                               \
	.trash_count = naive_trash_count, .trash_empty = overlay_trash_empty,                     \
	.trash_free = overlay_trash_free, .exists = exists, .list = list,                         \
	.status = overlay_status, .paths = overlay_paths, .inspect = overlay_inspect,             \
	.ancestors = overlay_ancestors, .content_open = overlay_content_open,                     \
	.names_open = overlay_names_open, .objects_open = overlay_objects_open,                   \
	.image_stores = image_stores, .missing = missing,                                         \
	.supports_shifting = overlay_supports_shifting, .usage = overlay_usage,                   \
	.shareable = overlay_shareable, .get = overlay_get, .put = overlay_put,                   \
	.mount_open = overlay_mount_open, .view_open = overlay_view_open,                         \
	.view_diff = overlay_view_diff, .view_changes = overlay_view_changes,                     \
	.view_size = overlay_view_size, .view_open_content = overlay_view_open_content,           \
	.view_tree = overlay_view_tree, .view_close = overlay_view_close

const struct driver_ops overlay_driver = {
        .name = "overlay",
        .open = open_overlay,
        .probe = probe_overlay,
        .open_ready = open_ready_overlay,
        COMMON_OPERATIONS,
};

const struct driver_ops overlay2_driver = {
        .name = "overlay2",
        .open = open_overlay2,
        .probe = probe_overlay2,
        .open_ready = open_ready_overlay2,
        COMMON_OPERATIONS,
};
