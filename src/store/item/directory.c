/* SPDX-License-Identifier: Apache-2.0 */
/* The private directories of images and containers, and files in them. The tools that run
 * containers keep files of their own there, and a program in a container may write there too. So
 * every path, and every link on it, is resolved below the directory. */
#include "store/item/directory.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include <errno.h>
#include <unistd.h>

/* ---- the directories ---- */

/* Makes a directory whose name is durable. */
static int make_durably(int dirfd, const char *name, const char *shown, cst_error **error)
{
	if (sys_mkdirat(dirfd, name, 0700) < 0)
		return errno == EEXIST ? 0 : error_sys(error, errno, "mkdir %s/%s", shown, name);
	return fs_fsync_dir(dirfd, shown, error);
}

/* Opens <dirfd>/<name>. A symlink there could lead out of the store. */
static int open_below(int dirfd, const char *name, const char *shown, int *fd, cst_error **error)
{
	*fd = fs_open_dir_below(dirfd, name, O_RDONLY);
	return *fd < 0 ? error_sys(error, errno, "open %s/%s without following a symlink", shown,
	                           name)
	               : 0;
}

/* Makes <dirfd>/<id>/userdata (0700) if it is missing. The caller holds the lock of the record, so
 * that no other process deletes the item meanwhile. */
static int make_userdata(int dirfd, const char *dir, const char *id, cst_error **error)
{
	_cleanup_close_ int own = -1;
	_cleanup_free_ char *shown = path_join(dir, id);
	int r = shown ? make_durably(dirfd, id, dir, error) : error_oom(error);
	if (r == 0)
		r = open_below(dirfd, id, dir, &own, error);
	return r == 0 ? make_durably(own, USERDATA, shown, error) : r;
}

/* The directory is <root>/<drv>-images/<id>/userdata: in the graph root, even if the images are in
 * an image store (docs/format/store.md, "Split image store"). */
static int open_userdata(const char *dir, const char *id, bool make, char **path, int *fd,
                         cst_error **error)
{
	_cleanup_close_ int dirfd = -1;
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *inner = path_join(id, USERDATA),
	                    *joined = inner ? path_join(dir, inner) : NULL;
	if (!joined)
		return error_oom(error);
	int r = make ? fs_mkdir_p(dir, 0700, &problem) : 0;
	if (r == 0)
		r = fs_open_dir(dir, &dirfd, &problem);
	if (r == 0 && make)
		r = make_userdata(dirfd, dir, id, &problem);
	if (r == 0)
		r = open_below(dirfd, inner, dir, fd, &problem);
	/* Another user's run root cannot be looked into. */
	bool hidden = cst_error_errno(problem) == ENOENT || cst_error_errno(problem) == EACCES;
	if (r < 0 && (make || !hidden))
		return error_propagate(error, steal_ptr(&problem));
	*path = steal_ptr(&joined);
	return 0;
}

int private_directory(cst_store *store, enum cst_kind kind, const char *id,
                      enum cst_directory directory, bool make, char **path, int *fd,
                      cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	const char *root = directory == CST_RUN_DIRECTORY ? store->run_root : store->graph_root;
	_cleanup_free_ char *dir = set_path(root, store, kind_of(kind)->files);
	int r = dir ? hold_read_locked(store, kind, &held, error) : error_oom(error);
	const void *record = r == 0 ? item_find(store, kind, id, NULL) : NULL;
	if (r == 0 && !record)
		r = kind_unknown(kind, id, error);
	return r == 0 ? open_userdata(dir, record_id(record), make && !store->read_only, path, fd,
	                              error)
	              : r;
}

/* In a store that is only read the directory must be there already. */
static int directory_path(cst_store *store, enum cst_kind kind, const char *id,
                          enum cst_directory directory, char **ret, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *path = NULL;
	int r = private_directory(store, kind, id, directory, true, &path, &fd, error);
	if (r == 0 && fd < 0)
		r = error_prefix(error, error_about(error, CST_ESTORE_READ_ONLY, store->graph_root),
		                 "making %s", path);
	if (r == 0)
		*ret = steal_ptr(&path);
	return r;
}

int cst_store_container_directory(cst_store *store, const char *id, char **path, cst_error **error)
{
	return directory_path(store, CST_KIND_CONTAINER, id, CST_DIRECTORY, path, error);
}

int cst_store_container_run_directory(cst_store *store, const char *id, char **path,
                                      cst_error **error)
{
	return directory_path(store, CST_KIND_CONTAINER, id, CST_RUN_DIRECTORY, path, error);
}

int cst_store_image_directory(cst_store *store, const char *id, char **path, cst_error **error)
{
	return directory_path(store, CST_KIND_IMAGE, id, CST_DIRECTORY, path, error);
}

int cst_store_image_run_directory(cst_store *store, const char *id, char **path, cst_error **error)
{
	return directory_path(store, CST_KIND_IMAGE, id, CST_RUN_DIRECTORY, path, error);
}

/* ---- files in them ---- */

/* A path needs at least one component, and none may be empty, "." or "..". */
static int check_path(const char *file, cst_error **error)
{
	_cleanup_strv_ struct strv parts = {0};
	bool good = !isempty(file);
	if (good && !strv_split(&parts, file, '/'))
		return error_oom(error);
	strv_foreach (part, &parts)
		good = good && path_is_component(part);
	return good ? 0
	            : error_set(error, CST_EINVAL,
	                        "\"%s\" is not the name of a file below a directory",
	                        strempty(file));
}

static int open_directory(cst_store *store, enum cst_kind kind, const char *id,
                          enum cst_directory directory, const char *file, bool make, char **path,
                          int *fd, cst_error **error)
{
	const struct kind *what = kind_of(kind);
	int r = check_path(file, error);
	if (r < 0)
		return r;
	if (directory != CST_DIRECTORY && directory != CST_RUN_DIRECTORY)
		return error_set(error, CST_EINVAL, "unknown directory: %d", (int)directory);
	if (!what || !what->has_private_directories)
		return error_set(error, CST_EINVAL,
		                 "only images and containers have private directories");
	return private_directory(store, kind, id, directory, make, path, fd, error);
}

/* Opens the directory that `file` is in, and makes what is missing of it. */
static int make_parents(int dirfd, const char *dir, const char *file, int *ret, cst_error **error)
{
	_cleanup_free_ char *parents = strndup(file, (size_t)(path_base(file) - file));
	_cleanup_close_ int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	if (!parents)
		return error_oom(error);
	for (char *rest = NULL, *part = strtok_r(parents, "/", &rest); at >= 0 && part;
	     part = strtok_r(NULL, "/", &rest)) {
		if (sys_mkdirat(at, part, 0700) < 0 && errno != EEXIST)
			return error_sys(error, errno, "mkdir %s/%s", dir, part);
		int inner = fs_open_beneath(at, part, O_RDONLY | O_DIRECTORY);
		if (inner < 0)
			return error_sys(error, errno, "open %s/%s", dir, part);
		int r = fs_fsync_dir(at, dir, error);
		close(at);
		at = inner;
		if (r < 0)
			return r;
	}
	if (at < 0)
		return error_sys(error, errno, "open %s", dir);
	*ret = steal_fd(&at);
	return 0;
}

/* Writers of files take turns, so that the next writer of a file finds and uses what a killed one
 * left. */
static int replace_file(cst_store *store, enum cst_kind kind, int dirfd, const char *name,
                        const void *data, size_t size, const char *shown, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	int r = hold_write(store, kind, &held, error);
	return r < 0 ? r
	             : fs_replace_file(dirfd, name, data, size, 0600, FS_DURABLE | FS_LOCKED, shown,
	                               error);
}

int cst_store_set_directory_file(cst_store *store, enum cst_kind kind, const char *id,
                                 enum cst_directory directory, const char *file, const void *data,
                                 size_t size, cst_error **error)
{
	_cleanup_free_ char *dir = NULL, *shown = NULL;
	_cleanup_close_ int dirfd = -1, parent = -1;
	if (store->read_only)
		return error_about(error, CST_ESTORE_READ_ONLY, store->graph_root);
	int r = open_directory(store, kind, id, directory, file, true, &dir, &dirfd, error);
	if (r == 0 && !(shown = path_join(dir, file)))
		r = error_oom(error);
	if (r == 0)
		r = make_parents(dirfd, dir, file, &parent, error);
	return r < 0 ? r
	             : replace_file(store, kind, parent, path_base(file), data, size, shown, error);
}

int cst_store_directory_file(cst_store *store, enum cst_kind kind, const char *id,
                             enum cst_directory directory, const char *file, void **data,
                             size_t *size, cst_error **error)
{
	_cleanup_free_ char *dir = NULL, *shown = NULL, *content = NULL;
	_cleanup_close_ int dirfd = -1, fd = -1;
	struct stat st;
	size_t len = 0;
	int r = open_directory(store, kind, id, directory, file, false, &dir, &dirfd, error);
	if (r == 0 && !(shown = path_join(dir, file)))
		r = error_oom(error);
	if (r < 0)
		return r;
	if (dirfd >= 0)
		fd = fs_open_beneath(dirfd, file, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (dirfd < 0 || (fd < 0 && errno == ENOENT))
		return error_set(error, CST_EDATA_UNKNOWN, "open %s: %s", shown,
		                 errno_text(ENOENT));
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(error, errno, "open %s", shown);
	if (!S_ISREG(st.st_mode))
		return error_set(error, CST_EINVAL, "%s is not a regular file", shown);
	r = fs_read_fd(fd, shown, SIZE_MAX / 4, &content, &len, error);
	if (r < 0)
		return r;
	*data = steal_ptr(&content);
	*size = len;
	return 0;
}
