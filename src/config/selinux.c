/* SPDX-License-Identifier: Apache-2.0 */
/* SELinux by its files: the kernel's, and those of the policy. */
#include "config/selinux.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/sys.h"
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define FILE_LIMIT (1 << 20)
#define USUAL      "/sys/fs/selinux"

static char *read_text(const char *path)
{
	_cleanup_error_ cst_error *ignored = NULL;
	char *text = NULL;
	size_t len;
	return fs_read_file(AT_FDCWD, path, FILE_LIMIT, &text, &len, &ignored) < 0 ? NULL : text;
}

/* ---- the kernel ---- */

static bool is_selinuxfs(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && (uint32_t)fs.f_type == SELINUX_MAGIC &&
	       !(fs.f_flags & ST_RDONLY);
}

/* Where it is mounted; the caller's. NULL: nowhere. */
static char *find_selinuxfs(void)
{
	if (is_selinuxfs(USUAL))
		return strdup(USUAL);
	_cleanup_free_ char *known = read_text("/proc/filesystems");
	if (!known || !strstr(known, "\tselinuxfs\n"))
		return NULL;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char room[4096], *found = NULL;
	while (mounts && !found && getmntent_r(mounts, &entry, room, sizeof(room)))
		if (streq(entry.mnt_type, "selinuxfs") && is_selinuxfs(entry.mnt_dir))
			found = strdup(entry.mnt_dir);
	if (mounts)
		endmntent(mounts);
	return found;
}

bool selinux_is_enabled(void)
{
	_cleanup_free_ char *at = find_selinuxfs(), *own = NULL;
	if (!at)
		return false;
	own = read_text("/proc/thread-self/attr/current");
	return !own || !streq(own, "kernel"); /* the label of all processes without a policy */
}

bool selinux_is_valid(const char *label)
{
	_cleanup_free_ char *at = find_selinuxfs();
	_cleanup_free_ char *path = at ? path_join(at, "context") : NULL;
	_cleanup_close_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	return fd >= 0 && sys_write(fd, label, strlen(label)) == (ssize_t)strlen(label);
}

/* ---- the policy ---- */

static char *trimmed(const char *from, const char *to, const char *what)
{
	while (from < to && strchr(what, *from))
		from++;
	while (from < to && strchr(what, to[-1]))
		to--;
	return strndup(from, (size_t)(to - from));
}

char *selinux_value(const char *text, const char *key)
{
	static const char blanks[] = " \t\r\v\f";
	for (const char *line = text, *next; *line; line = next) {
		const char *end = line + strcspn(line, "\n"),
		           *equals = memchr(line, '=', (size_t)(end - line));
		next = *end ? end + 1 : end;
		if (!equals)
			continue;
		_cleanup_free_ char *name = trimmed(line, equals, blanks);
		if (!name)
			return NULL;
		if (!streq(name, key)) /* those of comments begin with # or ; */
			continue;
		_cleanup_free_ char *value = trimmed(equals + 1, end, blanks);
		return value ? trimmed(value, value + strlen(value), "\"") : NULL;
	}
	return strdup("");
}

static char *read_contexts(void)
{
	char *text = read_text("/usr/share/containers/selinux/contexts");
	if (text)
		return text;
	_cleanup_free_ char *configuration = read_text("/etc/selinux/config");
	_cleanup_free_ char *policy = selinux_value(strempty(configuration), "SELINUXTYPE");
	_cleanup_free_ char *path =
	        policy ? str_printf("/etc/selinux/%s/contexts/lxc_contexts", policy) : NULL;
	return path ? read_text(path) : NULL;
}

/* The defaults for a process and its files, as the policy says them. */
static int read_defaults(char **process, char **file, cst_error **error)
{
	_cleanup_free_ char *contexts = selinux_is_enabled() ? read_contexts() : NULL;
	*process = selinux_value(strempty(contexts), "process");
	*file = selinux_value(strempty(contexts), "file");
	return *process && *file ? 0 : error_oom(error);
}

/* ---- labels ---- */

#define CATEGORIES 1024u
#define TRIES      1000000u
/* No container that is confined gets this one. */
#define UNCONFINED_LEVEL "s0:c1022,c1023"

enum { USER, ROLE, TYPE, LEVEL, N_PARTS };
struct label {
	char *parts[N_PARTS];
};

static void label_free(struct label *label)
{
	for (size_t i = 0; i < N_PARTS; i++)
		free(label->parts[i]);
}
#define _cleanup_label_ _cleanup_(label_free)

/* user:role:type[:level]; the level has colons itself. */
static int label_parse(const char *text, struct label *ret, cst_error **error)
{
	const char *rest = text;
	for (size_t i = USER; i < LEVEL; i++) {
		size_t len = strcspn(rest, ":");
		if (i < TYPE && !rest[len])
			return error_set(error, CST_EINVAL,
			                 "\"%s\" in SELinux's contexts of containers is no label",
			                 text);
		ret->parts[i] = strndup(rest, len);
		rest += len + (rest[len] != '\0');
	}
	ret->parts[LEVEL] = strdup(rest);
	for (size_t i = 0; i < N_PARTS; i++)
		if (!ret->parts[i])
			return error_oom(error);
	return 0;
}

static char *label_text(const struct label *label)
{
	char *const *parts = label->parts;
	return str_printf("%s:%s:%s%s%s", parts[USER], parts[ROLE], parts[TYPE],
	                  *parts[LEVEL] ? ":" : "", parts[LEVEL]);
}

static int set_part(struct label *label, int part, const char *value, cst_error **error)
{
	char *copy = strdup(value);
	if (!copy)
		return error_oom(error);
	free(label->parts[part]);
	label->parts[part] = copy;
	return 0;
}

const char *selinux_level(const char *label)
{
	for (size_t i = USER; i < LEVEL; i++) {
		label += strcspn(label, ":");
		label += *label != '\0';
	}
	return label;
}

static int choose_level(selinux_taken taken, void *userdata, struct label *process,
                        struct label *mount, cst_error **error)
{
	for (unsigned i = 0; i < TRIES; i++) {
		uint32_t n[2];
		char level[sizeof("s0:c1023,c1023")];
		int r = random_bytes(n, sizeof(n), error);
		if (r < 0)
			return r;
		uint32_t one = n[0] % CATEGORIES, other = n[1] % CATEGORIES;
		snprintf(level, sizeof(level), "s0:c%u,c%u", MIN(one, other), MAX(one, other));
		if (one == other || streq(level, UNCONFINED_LEVEL) || taken(level, userdata))
			continue;
		r = set_part(process, LEVEL, level, error);
		return r == 0 ? set_part(mount, LEVEL, level, error) : r;
	}
	return error_set(error, CST_EBUSY,
	                 "every pair of SELinux's categories belongs to a container");
}

static int apply_option(const char *option, struct label *process, struct label *mount,
                        cst_error **error)
{
	static const char *const names[N_PARTS] = {"user:", "role:", "type:", "level:"};
	if (has_prefix(option, "filetype:"))
		return set_part(mount, TYPE, strchr(option, ':') + 1, error);
	for (int i = USER; i < N_PARTS; i++) {
		if (!has_prefix(option, names[i]))
			continue;
		const char *value = option + strlen(names[i]);
		int r = set_part(process, i, value, error);
		return r == 0 && (i == USER || i == LEVEL) ? set_part(mount, i, value, error) : r;
	}
	return error_set(error, CST_EINVAL,
	                 "\"%s\" is no option for SELinux labels: those are disable, and user, "
	                 "role, type, level and filetype with a colon and a value",
	                 option);
}

static int give(char *process, char *mount, struct selinux_labels *ret, cst_error **error)
{
	ret->process = process;
	ret->mount = mount;
	return process && mount ? 0 : error_oom(error);
}

void selinux_labels_free(struct selinux_labels *labels)
{
	free(labels->process);
	free(labels->mount);
}

static int unconfined(const char *file, struct selinux_labels *ret, cst_error **error)
{
	_cleanup_label_ struct label of_files = {0};
	int r = label_parse(file, &of_files, error);
	if (r == 0)
		r = set_part(&of_files, LEVEL, UNCONFINED_LEVEL, error);
	return r == 0 ? give(strdup(""), label_text(&of_files), ret, error) : r;
}

int selinux_labels_from(const char *process, const char *file, const char *const *options, size_t n,
                        selinux_taken taken, void *userdata, struct selinux_labels *ret,
                        cst_error **error)
{
	_cleanup_label_ struct label of_process = {0}, of_files = {0};
	if (!*process || !*file)
		return give(strdup(""), strdup(file), ret, error);
	int r = label_parse(process, &of_process, error);
	if (r == 0)
		r = label_parse(file, &of_files, error);
	bool chosen = r == 0 && *of_process.parts[LEVEL];
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (streq(options[i], "disable"))
			return unconfined(file, ret, error);
		chosen = chosen && !has_prefix(options[i], "level:");
		r = apply_option(options[i], &of_process, &of_files, error);
	}
	if (r == 0 && chosen)
		r = choose_level(taken, userdata, &of_process, &of_files, error);
	ret->level_is_chosen = chosen;
	return r == 0 ? give(label_text(&of_process), label_text(&of_files), ret, error) : r;
}

int selinux_container_labels(const char *const *options, size_t n, selinux_taken taken,
                             void *userdata, struct selinux_labels *ret, cst_error **error)
{
	_cleanup_free_ char *process = NULL, *file = NULL;
	int r = read_defaults(&process, &file, error);
	return r == 0 ? selinux_labels_from(process, file, options, n, taken, userdata, ret, error)
	              : r;
}

int selinux_shared_label(char **ret, cst_error **error)
{
	static const char *const options[] = {"level:s0"};
	_cleanup_labels_ struct selinux_labels labels = {0};
	int r = selinux_container_labels(options, 1, NULL, NULL, &labels, error);
	if (r == 0)
		*ret = steal_ptr(&labels.mount);
	return r;
}
