/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of additional layer stores (docs/format/drivers.md, "Additional layer stores"): directories that another program makes,
 * each with a layer's content, its description and its blob. Such a layer of ours has a symlink for `diff`, and a file that
 * names the directory. Nothing is ever written there; what changes something is a message to the program by which it counts
 * the users of its layers.
 */
#include "base/base64.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "driver/overlay/staged.h"
#include <errno.h>
#include <unistd.h>

/* ---- finding ---- */

/* `digest` "": the directory with the layers. */
static int layer_path(const struct overlay_layer_store *store, const char *digest,
                      const char *reference, char **ret, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	strbuf_addf(&path, "%s/", store->path);
	if (store->with_reference) {
		base64_encode(&path, reference, strlen(reference));
		strbuf_addc(&path, '/');
	}
	strbuf_adds(&path, digest);
	*ret = path.failed ? NULL : path_clean(strbuf_str(&path));
	return *ret ? 0 : error_oom(error);
}

/* Has the directory all that a layer needs? */
static int look(const char *path, cst_error **error)
{
	static const struct {
		const char *name;
		int flags;
	} parts[] = {{"diff", O_PATH | O_DIRECTORY}, {"info", O_PATH}, {"blob", O_PATH}};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_free_ char *part = path_join(path, parts[i].name);
		_cleanup_close_ int fd = -1;
		if (!part)
			return error_oom(error);
		int errnum = overlay_ask(OVERLAY_ASK_OPEN, part, parts[i].flags, &fd, NULL);
		if (errnum)
			return error_sys(error, errnum, "additional layer store: open %s", part);
	}
	return 0;
}

int overlay_foreign_find(struct driver *d, const char *digest, const char *reference, char **ret,
                         cst_error **error)
{
	const struct overlay_options *options = &overlay_of(d)->options;
	_cleanup_error_ cst_error *first = NULL;
	int r = digest_validate(digest, error);
	for (size_t i = 0; r == 0 && i < options->n_layer_stores; i++) {
		_cleanup_error_ cst_error *problem = NULL;
		_cleanup_free_ char *path = NULL;
		r = layer_path(&options->layer_stores[i], digest, reference, &path, error);
		if (r < 0)
			return r;
		if (look(path, &problem) == 0) {
			*ret = steal_ptr(&path);
			return 0;
		}
		log_debug("%s", cst_error_message(problem));
		if (!first && cst_error_errno(problem) != ENOENT)
			first = steal_ptr(&problem);
	}
	if (r == 0 && first) /* nobody knows what that store has */
		return error_propagate(error, steal_ptr(&first));
	return r < 0 ? r
	             : error_set(error, CST_ELAYER_UNKNOWN,
	                         "additional layer (\"%s\", \"%s\") not found: unknown layer",
	                         digest, reference);
}

static int add_digests(char *names, struct strv *digests, cst_error **error)
{
	char *rest = names;
	for (char *name; (name = strsep(&rest, "\n"));)
		if (digest_validate(name, NULL) == 0 && !strv_contains(digests, name) &&
		    !strv_add(digests, name))
			return error_oom(error);
	return 0;
}

int overlay_foreign_list(struct driver *d, const char *reference, struct strv *digests,
                         cst_error **error)
{
	const struct overlay_options *options = &overlay_of(d)->options;
	int r = 0;
	for (size_t i = 0; r == 0 && i < options->n_layer_stores; i++) {
		_cleanup_free_ char *path = NULL, *names = NULL;
		r = layer_path(&options->layer_stores[i], "", reference, &path, error);
		if (r < 0)
			return r;
		int errnum = overlay_ask(OVERLAY_ASK_NAMES, path, 0, NULL, &names);
		if (errnum == 0)
			r = add_digests(names, digests, error);
		else if (errnum != ENOENT) /* of an image it has nothing of */
			r = error_sys(error, errnum, "additional layer store: list %s", path);
	}
	return r;
}

/* ---- what a directory there has ---- */

int overlay_foreign_info(const char *path, char **ret, cst_error **error)
{
	_cleanup_free_ char *info = path_join(path, "info");
	if (!info)
		return error_oom(error);
	int errnum = overlay_ask(OVERLAY_ASK_TEXT, info, 0, NULL, ret);
	return errnum ? error_sys(error, errnum, "read %s", info) : 0;
}

int overlay_foreign_blob(const char *path, int *ret_fd, cst_error **error)
{
	_cleanup_free_ char *blob = path_join(path, "blob");
	_cleanup_close_ int fd = -1;
	if (!blob)
		return error_oom(error);
	int errnum = overlay_ask(OVERLAY_ASK_OPEN, blob, O_RDONLY, &fd, NULL);
	int r = errnum ? error_sys(error, errnum, "open %s", blob)
	               : fs_must_be_regular(fd, blob, error);
	if (r == 0 && fcntl(fd, F_SETFL, 0) < 0) /* no O_NONBLOCK, which a FUSE program may heed */
		r = error_sys(error, errno, "fcntl %s", blob);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

int overlay_foreign_open(const char *path, int flags, int *ret_fd, cst_error **error)
{
	int errnum = overlay_ask(OVERLAY_ASK_OPEN, path, flags | O_DIRECTORY, ret_fd, NULL);
	return errnum ? error_sys(error, errnum,
	                          "the content of an additional layer store: open %s", path)
	              : 0;
}

/* ---- counting its users ---- */

/* A release removes a directory where the store is none that answers. So it is only sent to what can be a layer there. */
static bool is_layer_path(const char *path)
{
	return *path == '/' && digest_validate(path_base(path), NULL) == 0;
}

static int tell(const char *path, bool use)
{
	_cleanup_free_ char *file = path_join(path, "use");
	if (!file)
		return ENOMEM;
	if (!is_layer_path(path)) {
		log_warning("\"%s\" is no directory of an additional layer store", path);
		return EINVAL;
	}
	int errnum = use ? overlay_ask(OVERLAY_ASK_CREATE, file, 0, NULL, NULL)
	                 : overlay_ask(OVERLAY_ASK_RMDIR, path, 0, NULL, NULL);
	if (errnum != ENOENT) /* which is how a store answers that counts */
		log_debug("the additional layer store does not count the %s of %s: %s",
		          use ? "use" : "release", path,
		          errnum ? errno_text(errnum) : "it took it for a file");
	return errnum;
}

void overlay_foreign_release(const char *path, bool *hangs)
{
	if (*hangs || tell(path, false) != ETIMEDOUT)
		return;
	*hangs = true;
	log_warning("an additional layer store does not answer, and is not told of all layers that "
	            "are not used any more");
}

/* What is owed to a store is a file in a temporary directory, which has the path and is called as the one of a layer, maybe with a
 * number before it. Whoever removes the directory tells the store. The file goes first: a process that dies right behind that has
 * not told, and the store counts one user too many. The other way round it would be told twice, and could remove what is in use. */
void overlay_foreign_settle(int area_fd, void *hangs)
{
	_cleanup_strv_ struct strv names = {0};
	(void)fs_list_dir(area_fd, ".", &names, "a temporary directory", NULL);
	strv_foreach (name, &names) {
		_cleanup_free_ char *path = NULL;
		size_t len;
		if (has_suffix(name, OVERLAY_POINTER) &&
		    fs_read_file(area_fd, name, OVERLAY_SHORT_FILE, &path, &len, NULL) == 0 &&
		    sys_unlinkat(area_fd, name, 0) == 0)
			overlay_foreign_release(path, hangs);
	}
}

static int write_owed(int area_fd, const char *path)
{
	_cleanup_close_ int fd = sys_openat(area_fd, OVERLAY_POINTER ".new",
	                                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t len = strlen(path);
	return fd >= 0 && sys_write(fd, path, len) == (ssize_t)len ? 0 : -1;
}

/* Without the file the store is told, too, if only by this process. */
static void use(const char *path, int area_fd)
{
	bool owed = area_fd >= 0 && write_owed(area_fd, path) == 0;
	(void)tell(path, true);
	if (owed)
		(void)sys_renameat(area_fd, OVERLAY_POINTER ".new", area_fd, OVERLAY_POINTER);
}

/* False: the file stays, and so whoever cleans up will tell the store. */
static bool forget_owed(int area_fd)
{
	return area_fd < 0 || sys_unlinkat(area_fd, OVERLAY_POINTER, 0) == 0 || errno == ENOENT;
}

void overlay_foreign_begin(struct driver *d, const char *path, struct tempdir **held)
{
	const struct overlay *o = overlay_of(d);
	_cleanup_free_ char *root = o->read_only ? NULL : overlay_staging_path(o, 0);
	if (root)
		(void)tempdir_new_for_trash(root, TEMPDIR_STAGING, held, NULL);
	use(path, *held ? (*held)->fd : -1);
}

void overlay_foreign_end(const char *path, struct tempdir *held)
{
	bool hangs = false;
	if (forget_owed(held ? held->fd : -1))
		overlay_foreign_release(path, &hangs);
	tempdir_free(held);
}

/* ---- a layer of ours ---- */

int overlay_foreign_path(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                         const char *id, char **ret, cst_error **error)
{
	_cleanup_free_ char *path = NULL;
	int r = overlay_read_layer_file(o, dirs, home, id, OVERLAY_POINTER, &path, error);
	if (r == 0 && path && *path != '/')
		return error_set(error, CST_ECORRUPT,
		                 "%s/%s/" OVERLAY_POINTER ": \"%s\" is not absolute",
		                 o->homes[home].path, id, path);
	if (r == 0)
		*ret = steal_ptr(&path);
	return r;
}

int overlay_foreign_of(struct driver *d, const char *id, char **ret, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	const struct overlay *o = overlay_of(d);
	ssize_t home = -1;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_find(o, &dirs, id, &home, error);
	return r < 0 || home < 0 ? r : overlay_foreign_path(o, &dirs, (size_t)home, id, ret, error);
}

int overlay_stage_foreign(struct driver_staged *staged, const char *path, cst_error **error)
{
	_cleanup_free_ char *diff = path_join(path, "diff");
	if (!diff || !(staged->foreign = strdup(path)))
		return error_oom(error);
	use(path, staged->temp->fd);
	int r = fs_write_file(staged->dir_fd, OVERLAY_POINTER, path, strlen(path), 0644,
	                      staged->path, error);
	if (r < 0)
		return r;
	closep(&staged->diff_fd);
	staged->diff_fd = -1;
	if (sys_unlinkat(staged->dir_fd, "diff", AT_REMOVEDIR) < 0)
		return error_sys(error, errno, "rmdir %s/diff", staged->path);
	if (sys_symlinkat(diff, staged->dir_fd, "diff") < 0)
		return error_sys(error, errno, "symlink %s %s/diff", diff, staged->path);
	return 0;
}

void overlay_stage_foreign_end(struct driver_staged *staged)
{
	bool hangs = false;
	if (staged->foreign && forget_owed(staged->temp->fd))
		overlay_foreign_release(staged->foreign, &hangs);
	free(steal_ptr(&staged->foreign));
}

int overlay_stage_foreign_commit(struct driver_staged *staged, cst_error **error)
{
	return !staged->foreign || forget_owed(staged->temp->fd)
	               ? 0
	               : error_sys(error, errno, "unlink " OVERLAY_POINTER " of %s", staged->path);
}
