/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of a store: finds and makes them, and says where the path of one comes from that
 * cannot be used. */
#include "store/core/roots.h"
#include "config/storage_conf.h"
#include <errno.h>

static bool set_root(char **root, char **root_origin, const char *path, const char *origin)
{
	*root = path_absolute(path);
	*root_origin = origin ? strdup(origin) : NULL;
	return *root && (!origin || *root_origin);
}

/* `defaults` has the roots that `options` leave out. */
static int set_roots(struct cst_store *store, const cst_store_options *options,
                     const cst_store_options *defaults, cst_error **error)
{
	const cst_store_options *graph = isempty(options->graph_root) ? defaults : options,
	                        *run = isempty(options->run_root) ? defaults : options;
	if (graph->graph_root[0] != '/' || run->run_root[0] != '/')
		return error_set(error, CST_EINVAL,
		                 "the roots of a store must be absolute paths: \"%s\", \"%s\"",
		                 graph->graph_root, run->run_root);
	store->image_store =
	        isempty(options->image_store) ? strdup("") : path_absolute(options->image_store);
	if (!store->image_store ||
	    !set_root(&store->graph_root, &store->graph_root_origin, graph->graph_root,
	              graph->graph_root_origin) ||
	    !set_root(&store->run_root, &store->run_root_origin, run->run_root,
	              run->run_root_origin))
		return error_oom(error);
	if (*store->image_store && streq(store->graph_root, store->image_store))
		return error_set(
		        error, CST_EINVAL,
		        "imagestore %s must either be not set or be different than graphroot",
		        store->image_store);
	return 0;
}

int store_find_roots(cst_store *store, const cst_store_options *options, cst_error **error)
{
	cst_config *config = NULL;
	if (isempty(options->graph_root) && isempty(options->run_root))
		return error_wrap_code(error, CST_EINCOMPLETE_OPTIONS,
		                       "no storage runroot or graphroot specified");
	if (!isempty(options->graph_root) && !isempty(options->run_root))
		return set_roots(store, options, options, error);
	int r = options->as_upstream ? cst_config_load_as_upstream(NULL, &config, error)
	                             : cst_config_load(NULL, &config, error);
	if (r < 0)
		return r;
	r = set_roots(store, options, &config->options, error);
	cst_config_free(config);
	return r;
}

/* Adds to the message of a failure where the path of the root comes from. */
static int root_failed(const char *name, const char *origin, int code, cst_error **error)
{
	return origin ? error_suffix(error, code, " (the %s, %s)", name, origin) : code;
}

/* mkdir -p. The new name is made durable in its parent. */
static int make_root(const char *path, cst_error **error)
{
	struct stat st;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	int r = fs_mkdir_p(path, 0700, error);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = -1;
	r = fs_open_dir(path, &fd, error);
	if (r < 0)
		return r;
	_cleanup_close_ int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A parent that this process may not read belongs to another user: it is not synced. */
	return parent < 0 ? 0 : fs_fsync_dir(parent, path, error);
}

/* A store that is only read must be there already. */
static int need_root(const char *path, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	return fs_open_dir(path, &fd, error);
}

int store_open_roots(cst_store *store, cst_error **error)
{
	int r = store->read_only ? 0 : make_root(store->run_root, error);
	if (r < 0)
		return root_failed("run root", store->run_root_origin, r, error);
	r = store->read_only ? need_root(store->graph_root, error)
	                     : make_root(store->graph_root, error);
	return r < 0 ? root_failed("graph root", store->graph_root_origin, r, error) : 0;
}

int store_blame_root(const cst_store *store, int code, cst_error **error)
{
	if (code != CST_ESYS || store->read_only)
		return code;
	if (!config_can_write(store->graph_root))
		return root_failed("graph root", store->graph_root_origin, code, error);
	if (!config_can_write(store->run_root))
		return root_failed("run root", store->run_root_origin, code, error);
	return code;
}
