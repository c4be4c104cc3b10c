/* SPDX-License-Identifier: Apache-2.0 */
/* Which files make up the configuration (docs/format/config.md, "File search, generation C"). */
#include "base/fs.h"
#include "config/storage_conf.h"
#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#define SYSTEM_DIRECTORY "/usr/share/containers"
#define ADMIN_DIRECTORY  "/etc/containers"

/* A directory's drop-ins: `names` are base names, paths in step with them. */
struct drop_ins {
	struct strv names, paths;
};

static void drop_ins_free(struct drop_ins *found)
{
	strv_free(&found->names);
	strv_free(&found->paths);
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

/* $XDG_CONFIG_HOME/containers or ~/.config/containers. An empty variable is as none: the Go tools
 * then look below the current directory. */
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

/* The first that exists. Only "no such file" leads on to the next. */
static int find_main_file(const char *const *directories, size_t n, struct strv *paths,
                          cst_error **error)
{
	for (size_t i = n; i-- > 0;) {
		_cleanup_free_ char *path = path_join(directories[i], "storage.conf");
		if (!path)
			return error_oom(error);
		if (access(path, F_OK) < 0 && errno == ENOENT)
			continue;
		return strv_take(paths, steal_ptr(&path)) ? 0 : error_oom(error);
	}
	return 0;
}

/* Adds or replaces by base name. */
static bool put_drop_in(struct drop_ins *found, const char *directory, const char *name)
{
	_cleanup_free_ char *path = path_join(directory, name);
	if (!path)
		return false;
	for (size_t i = 0; i < found->names.len; i++) {
		if (streq(found->names.items[i], name)) {
			free(found->paths.items[i]);
			found->paths.items[i] = steal_ptr(&path);
			return true;
		}
	}
	return strv_add(&found->names, name) && strv_take(&found->paths, steal_ptr(&path));
}

static int add_drop_ins(struct drop_ins *found, const char *directory, cst_error **error)
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
		/* a directory is no drop-in; a link to one is an error when it is read, a dangling
		 * one nothing */
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode) ||
		    (S_ISLNK(st.st_mode) && fstatat(fd, name, &st, 0) < 0 && errno == ENOENT))
			continue;
		if (!put_drop_in(found, directory, name))
			return error_oom(error);
	}
	return 0;
}

/* DIR/storage.conf.d, then the ones for root or for users. */
static int add_directory(struct drop_ins *found, const char *directory, uid_t user,
                         cst_error **error)
{
	_cleanup_free_ char *all = path_join(directory, "storage.conf.d");
	_cleanup_free_ char *some =
	        path_join(directory, user ? "storage.rootless.conf.d" : "storage.rootful.conf.d");
	_cleanup_free_ char *own = user && some ? str_printf("%s/%u", some, (unsigned)user) : NULL;
	if (!all || !some || (user && !own))
		return error_oom(error);
	int code = add_drop_ins(found, all, error);
	if (code == 0)
		code = add_drop_ins(found, some, error);
	if (code == 0 && own)
		code = add_drop_ins(found, own, error);
	return code;
}

/* In byte order of the base names, whatever directories they are from. */
static bool take_sorted(struct drop_ins *found, struct strv *paths)
{
	_cleanup_strv_ struct strv sorted = {0};
	if (!strv_copy(&sorted, &found->names))
		return false;
	strv_sort(&sorted);
	strv_foreach (name, &sorted) {
		size_t i = 0;
		while (!streq(found->names.items[i], name))
			i++;
		if (!strv_add(paths, found->paths.items[i]))
			return false;
	}
	return true;
}

static int search_files(uid_t user, struct strv *paths, cst_error **error)
{
	_cleanup_free_ char *own = NULL, *own_drop_ins = NULL;
	_cleanup_(drop_ins_free) struct drop_ins found = {0};
	int code = user_directory(user, &own, error);
	if (code < 0)
		return code;
	const char *directories[] = {SYSTEM_DIRECTORY, ADMIN_DIRECTORY, own};
	own_drop_ins = path_join(own, "storage.conf.d");
	if (!own_drop_ins)
		return error_oom(error);
	code = find_main_file(directories, ARRAY_SIZE(directories), paths, error);
	if (code == 0)
		code = add_directory(&found, SYSTEM_DIRECTORY, user, error);
	if (code == 0)
		code = add_directory(&found, ADMIN_DIRECTORY, user, error);
	if (code == 0)
		code = add_drop_ins(&found, own_drop_ins, error);
	if (code < 0)
		return code;
	return take_sorted(&found, paths) ? 0 : error_oom(error);
}

int config_find_files(const char *file, uid_t user, struct strv *paths, cst_error **error)
{
	_cleanup_strv_ struct strv found = {0};
	const char *override = getenv("CONTAINERS_STORAGE_CONF_OVERRIDE");
	if (!file)
		file = getenv("CONTAINERS_STORAGE_CONF");
	if (!isempty(file)) {
		if (!strv_add(&found, file))
			return error_oom(error);
	} else {
		int code = search_files(user, &found, error);
		if (code < 0)
			return code;
	}
	if (!isempty(override) && !strv_add(&found, override))
		return error_oom(error);
	*paths = found;
	found = (struct strv){0};
	return 0;
}
