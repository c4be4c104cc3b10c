/* SPDX-License-Identifier: Apache-2.0 */
/* Expands variables in paths, and knows where a store is by default (docs/format/config.md,
 * "Rootless defaults"). */
#include "base/fs.h"
#include "config/storage_conf.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define ROOT_GRAPH_ROOT "/var/lib/containers/storage"
#define ROOT_RUN_ROOT   "/run/containers/storage"

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* A one-character name of a shell. No environment has it, so it becomes nothing. */
static bool is_special(char c)
{
	return c && strchr("*#$@!?-0123456789", c);
}

/* Finds the name behind a dollar sign at s: *len bytes from *name. Returns how many bytes of s it
 * took. 0: there is no name, and the dollar stays. *len 0: what was taken becomes nothing. */
static size_t variable_name(const char *s, const char **name, size_t *len)
{
	*name = s;
	*len = 0;
	if (*s == '{') {
		const char *end = strchr(s, '}');
		if (!end)
			return 1;
		*name = s + 1;
		*len = (size_t)(end - s - 1);
		return *len + 2;
	}
	if (is_special(*s))
		return 1;
	while (is_name_char(s[*len]))
		(*len)++;
	return *len;
}

static void add_variable(struct strbuf *out, const char *name, size_t len)
{
	_cleanup_free_ char *copy = strndup(name, len);
	if (!copy) {
		out->failed = true;
		return;
	}
	strbuf_adds(out, strempty(getenv(copy)));
}

static void expand_variables(const char *text, struct strbuf *out)
{
	while (*text) {
		if (*text != '$') {
			strbuf_addc(out, *text++);
			continue;
		}
		const char *name;
		size_t len, taken = variable_name(text + 1, &name, &len);
		if (!taken)
			strbuf_addc(out, '$');
		else if (len)
			add_variable(out, name, len);
		text += 1 + taken;
	}
}

char *config_expand(const char *text, uid_t user)
{
	/* $UID is replaced first, also where it is only the beginning of a longer name, as the Go
	 * tools do. */
	_cleanup_strbuf_ struct strbuf with_uid = {0}, out = {0};
	for (const char *found; (found = strstr(text, "$UID")); text = found + strlen("$UID")) {
		strbuf_add(&with_uid, text, (size_t)(found - text));
		strbuf_addf(&with_uid, "%u", (unsigned)user);
	}
	strbuf_adds(&with_uid, text);
	if (with_uid.failed)
		return NULL;
	expand_variables(strbuf_str(&with_uid), &out);
	return strbuf_steal(&out);
}

int config_expand_path(const char *text, uid_t user, const char *what, char **path,
                       cst_error **error)
{
	_cleanup_free_ char *expanded = config_expand(text, user);
	if (!expanded)
		return error_oom(error);
	if (expanded[0] != '/')
		return error_set(error, CST_EINVAL,
		                 "%s \"%s\" must be an absolute path, but expands to \"%s\"", what,
		                 text, expanded);
	char *resolved = realpath(expanded, NULL);
	if (!resolved)
		resolved = path_clean(expanded);
	if (!resolved)
		return error_oom(error);
	*path = resolved;
	return 0;
}

bool config_can_write(const char *path)
{
	_cleanup_free_ char *place = strdup(path);
	while (place && *place) {
		if (faccessat(AT_FDCWD, place, W_OK | X_OK, AT_EACCESS) == 0)
			return true;
		char *slash = strrchr(place, '/');
		if (errno != ENOENT || !slash)
			return false;
		*slash = '\0';
	}
	return place && faccessat(AT_FDCWD, "/", W_OK | X_OK, AT_EACCESS) == 0;
}

const char *config_default_graph_root_origin(uid_t user)
{
	if (user == 0)
		return "the default";
	if (!isempty(getenv("XDG_DATA_HOME")))
		return "from $XDG_DATA_HOME";
	return isempty(getenv("HOME")) ? "from the user database" : "from $HOME";
}

int config_default_graph_root(uid_t user, char **path, cst_error **error)
{
	_cleanup_free_ char *home = NULL, *data = NULL;
	char *root;
	if (user == 0) {
		root = strdup(ROOT_GRAPH_ROOT);
	} else {
		const char *given = getenv("XDG_DATA_HOME");
		if (isempty(given)) {
			int code = config_home(user, &home, error);
			if (code < 0)
				return code;
			data = path_join(home, ".local/share");
		} else {
			data = strdup(given);
		}
		root = data ? path_join(data, "containers/storage") : NULL;
	}
	if (!root)
		return error_oom(error);
	*path = root;
	return 0;
}

/* Does the directory belong to this user, and can nobody else write to it? Makes it if it is
 * missing and the parent allows that. */
static bool is_private_directory(const char *path)
{
	struct stat st;
	(void)sys_mkdirat(AT_FDCWD, path, 0700);
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 0722) == 0700;
}

static int runtime_directory(uid_t user, char **ret, cst_error **error)
{
	const char *given = getenv("XDG_RUNTIME_DIR");
	if (!isempty(given)) {
		char *resolved = realpath(given, NULL);
		if (!resolved)
			return errno == ENOMEM ? error_oom(error)
			                       : error_sys(error, errno, "lstat %s", given);
		*ret = resolved;
		return 0;
	}
	_cleanup_free_ char *run = str_printf("/run/user/%u", (unsigned)user);
	if (!run)
		return error_oom(error);
	if (is_private_directory(run)) {
		*ret = steal_ptr(&run);
		return 0;
	}
	const char *temporary = getenv("TMPDIR");
	if (isempty(temporary))
		temporary = "/tmp";
	_cleanup_free_ char *path = str_printf("%s/storage-run-%u", temporary, (unsigned)user);
	if (!path)
		return error_oom(error);
	if (!is_private_directory(path))
		return error_set(
		        error, CST_EINVAL,
		        "path \"%s\" exists and it is not writeable only by the current user",
		        path);
	*ret = steal_ptr(&path);
	return 0;
}

const char *config_default_run_root_origin(uid_t user)
{
	if (user == 0)
		return "the default";
	return isempty(getenv("XDG_RUNTIME_DIR")) ? "the default without $XDG_RUNTIME_DIR"
	                                          : "from $XDG_RUNTIME_DIR";
}

int config_default_run_root(uid_t user, char **path, cst_error **error)
{
	_cleanup_free_ char *runtime = NULL;
	char *root;
	if (user == 0) {
		root = strdup(ROOT_RUN_ROOT);
	} else {
		int code = runtime_directory(user, &runtime, error);
		if (code < 0)
			return code;
		root = path_join(runtime, "containers");
	}
	if (!root)
		return error_oom(error);
	*path = root;
	return 0;
}
