/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the files that make up the configuration (docs/format/config.md, "File search, generation
 * C"). */
#include "base/fs.h"
#include "config/storage_conf.h"
#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#define SYSTEM_DIRECTORY "/usr/share/containers"
#define ADMIN_DIRECTORY  "/etc/containers"

/* The drop-ins of a directory: `names` are base names, and `files` has an entry for each. */
struct drop_ins {
	struct strv names;
	struct conf_files files;
};

void conf_files_free(struct conf_files *files)
{
	for (size_t i = 0; i < files->len; i++)
		free(files->items[i].path);
	free(files->items);
	*files = (struct conf_files){0};
}

static void drop_ins_free(struct drop_ins *found)
{
	strv_free(&found->names);
	conf_files_free(&found->files);
}

/* Takes ownership of the path, also on failure. NULL fails. */
static bool conf_files_take(struct conf_files *files, char *path, bool shared)
{
	_cleanup_free_ char *owned = path;
	struct conf_source *grown =
	        grow_array(files->items, &files->capacity, files->len + 1, sizeof(*grown));
	if (!owned || !grown)
		return false;
	files->items = grown;
	grown[files->len++] = (struct conf_source){steal_ptr(&owned), shared};
	return true;
}

uid_t config_user(void)
{
	uint64_t outer;
	const char *text = getenv("_CONTAINERS_ROOTLESS_UID");
	if (text && parse_u64(text, UINT32_MAX - 1, &outer))
		return (uid_t)outer;
	return getuid();
}

int config_home(uid_t user, char **home, cst_error **error)
{
	const char *given = getenv("HOME");
	if (!isempty(given)) {
		char *copy = strdup(given);
		if (!copy)
			return error_oom(error);
		*home = copy;
		return 0;
	}
	_cleanup_free_ char *buffer = NULL;
	struct passwd entry, *found = NULL;
	int code = ERANGE;
	for (size_t size = 1024; code == ERANGE && size <= 1024 * 1024; size *= 4) {
		free(buffer);
		buffer = malloc(size);
		if (!buffer)
			return error_oom(error);
		code = getpwuid_r(user, &entry, buffer, size, &found);
	}
	if (!found || isempty(found->pw_dir))
		return error_set(error, CST_EINVAL,
		                 "unable to resolve HOME directory: user: unknown userid %u",
		                 (unsigned)user);
	char *copy = strdup(found->pw_dir);
	if (!copy)
		return error_oom(error);
	*home = copy;
	return 0;
}

/* $XDG_CONFIG_HOME/containers or ~/.config/containers. An empty variable counts as unset: the Go
 * tools would look below the current directory. */
static int user_directory(uid_t user, char **ret, cst_error **error)
{
	_cleanup_free_ char *home = NULL;
	const char *config = getenv("XDG_CONFIG_HOME");
	char *path;
	if (!isempty(config)) {
		path = path_join(config, "containers");
	} else {
		int code = config_home(user, &home, error);
		if (code < 0)
			return code;
		path = path_join3(home, ".config", "containers");
	}
	if (!path)
		return error_oom(error);
	*ret = path;
	return 0;
}

/* The first file that exists: the user's own, then those of the system. Only "no such file" makes
 * it look at the next. */
static int find_main_file(const char *own, struct conf_files *files, cst_error **error)
{
	const char *const directories[] = {own, ADMIN_DIRECTORY, SYSTEM_DIRECTORY};
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		_cleanup_free_ char *path = path_join(directories[i], "storage.conf");
		if (!path)
			return error_oom(error);
		if (access(path, F_OK) < 0 && errno == ENOENT)
			continue;
		return conf_files_take(files, steal_ptr(&path), i > 0) ? 0 : error_oom(error);
	}
	return 0;
}

/* Adds it, or replaces the one with the same base name. */
static bool put_drop_in(struct drop_ins *found, const char *directory, const char *name,
                        bool shared)
{
	_cleanup_free_ char *path = path_join(directory, name);
	if (!path)
		return false;
	for (size_t i = 0; i < found->names.len; i++) {
		if (streq(found->names.items[i], name)) {
			free(found->files.items[i].path);
			found->files.items[i] = (struct conf_source){steal_ptr(&path), shared};
			return true;
		}
	}
	return strv_add(&found->names, name) &&
	       conf_files_take(&found->files, steal_ptr(&path), shared);
}

static int add_drop_ins(struct drop_ins *found, const char *directory, bool shared,
                        cst_error **error)
{
	_cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "open %s", directory);
	_cleanup_strv_ struct strv names = {0};
	int code = fs_list_dir(fd, ".", &names, directory, error);
	if (code < 0)
		return code;
	strv_foreach (name, &names) {
		struct stat st;
		if (!has_suffix(name, ".conf"))
			continue;
		/* A directory is no drop-in. A dangling link is ignored. A link to a directory is
		 * an error when it is read. */
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode) ||
		    (S_ISLNK(st.st_mode) && fstatat(fd, name, &st, 0) < 0 && errno == ENOENT))
			continue;
		if (!put_drop_in(found, directory, name, shared))
			return error_oom(error);
	}
	return 0;
}

/* Adds DIR/storage.conf.d, then the directory for root or for users. */
static int add_directory(struct drop_ins *found, const char *directory, uid_t user,
                         cst_error **error)
{
	_cleanup_free_ char *all = path_join(directory, "storage.conf.d");
	_cleanup_free_ char *some =
	        path_join(directory, user ? "storage.rootless.conf.d" : "storage.rootful.conf.d");
	_cleanup_free_ char *own = user && some ? str_printf("%s/%u", some, (unsigned)user) : NULL;
	if (!all || !some || (user && !own))
		return error_oom(error);
	int code = add_drop_ins(found, all, true, error);
	if (code == 0)
		code = add_drop_ins(found, some, false, error);
	if (code == 0 && own)
		code = add_drop_ins(found, own, false, error);
	return code;
}

/* Adds them in byte order of their base names, whatever directories they are in. */
static bool take_sorted(struct drop_ins *found, struct conf_files *files)
{
	_cleanup_strv_ struct strv sorted = {0};
	if (!strv_copy(&sorted, &found->names))
		return false;
	strv_sort(&sorted);
	strv_foreach (name, &sorted) {
		size_t i = 0;
		while (!streq(found->names.items[i], name))
			i++;
		struct conf_source *source = &found->files.items[i];
		if (!conf_files_take(files, steal_ptr(&source->path), source->shared))
			return false;
	}
	return true;
}

static int search_files(uid_t user, struct conf_files *files, cst_error **error)
{
	_cleanup_free_ char *own = NULL, *own_drop_ins = NULL;
	_cleanup_(drop_ins_free) struct drop_ins found = {0};
	int code = user_directory(user, &own, error);
	if (code < 0)
		return code;
	own_drop_ins = path_join(own, "storage.conf.d");
	if (!own_drop_ins)
		return error_oom(error);
	code = find_main_file(own, files, error);
	if (code == 0)
		code = add_directory(&found, SYSTEM_DIRECTORY, user, error);
	if (code == 0)
		code = add_directory(&found, ADMIN_DIRECTORY, user, error);
	if (code == 0)
		code = add_drop_ins(&found, own_drop_ins, false, error);
	if (code < 0)
		return code;
	return take_sorted(&found, files) ? 0 : error_oom(error);
}

int config_find_files(const char *file, uid_t user, struct conf_files *files, cst_error **error)
{
	_cleanup_(conf_files_free) struct conf_files found = {0};
	const char *override = getenv("CONTAINERS_STORAGE_CONF_OVERRIDE");
	if (!file)
		file = getenv("CONTAINERS_STORAGE_CONF");
	if (!isempty(file)) {
		if (!conf_files_take(&found, strdup(file), false))
			return error_oom(error);
	} else {
		int code = search_files(user, &found, error);
		if (code < 0)
			return code;
	}
	if (!isempty(override) && !conf_files_take(&found, strdup(override), false))
		return error_oom(error);
	*files = found;
	found = (struct conf_files){0};
	return 0;
}
