/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the kernel about mounts, and reading its table of them. */
#include "driver/mountinfo.h"
#include "base/fs.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifndef STATX_TYPE /* musl before 1.2.5 has no statx */
#include <linux/stat.h>
#endif

/* From linux/stat.h and linux/mount.h of Linux 6.8. Debian 12 has older headers. */
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x00001000U
#endif
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x00002000
#endif
#define MNT_ID_UNIQUE       0x00004000U
#define MNT_ID_OFFSET       0x90 /* where stx_mnt_id is; the structs of older libcs do not name it */
#define STATMOUNT_MNT_BASIC 0x00000002U
#ifndef SYS_statmount
#define SYS_statmount 457 /* the same number on every architecture */
#endif
#define MOUNT_IS_PRIVATE (1UL << 18) /* MS_PRIVATE */

struct statmount_request {
	uint32_t size, spare;
	uint64_t mount_id, param;
};

struct statmount_reply {
	uint32_t size, spare1;
	uint64_t mask;
	uint32_t device_major, device_minor;
	uint64_t magic;
	uint32_t super_flags, type;
	uint64_t id, parent_id;
	uint32_t old_id, old_parent_id;
	uint64_t attributes, propagation, peer_group, master, propagate_from;
	uint32_t root, mount_point;
	uint64_t spare2[50];
};

static int statx_mount(int dirfd, const char *path, unsigned mask, struct statx *ret)
{
	return (int)syscall(SYS_statx, dirfd, path,
	                    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC |
	                            (*path ? 0 : AT_EMPTY_PATH),
	                    mask, ret);
}

static uint64_t statx_mount_id(const struct statx *stx)
{
	uint64_t id;

	_Static_assert(sizeof(*stx) >= MNT_ID_OFFSET + sizeof(id), "struct statx is cut");
	memcpy(&id, (const char *)stx + MNT_ID_OFFSET, sizeof(id));
	return id;
}

int mountinfo_is_mount_point(int dirfd, const char *path)
{
	struct statx stx;

	if (statx_mount(dirfd, path, STATX_TYPE, &stx) < 0)
		return -1;
	if (!(stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)) { /* Linux before 5.8 */
		errno = ENOSYS;
		return -1;
	}
	return (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* Linux 6.8 and later tell the propagation of one mount. -1 and errno: this kernel does not. */
static int private_by_statmount(int fd)
{
	struct statmount_request request = {.size = sizeof(request), .param = STATMOUNT_MNT_BASIC};
	struct statmount_reply reply = {0};
	struct statx stx;

	if (statx_mount(fd, "", MNT_ID_UNIQUE, &stx) < 0)
		return -1;
	if (!(stx.stx_mask & MNT_ID_UNIQUE)) {
		errno = ENOSYS;
		return -1;
	}
	request.mount_id = statx_mount_id(&stx);
	if (syscall(SYS_statmount, &request, &reply, sizeof(reply), 0) < 0)
		return -1;
	if (!(reply.mask & STATMOUNT_MNT_BASIC)) {
		errno = ENOSYS;
		return -1;
	}
	return reply.propagation == MOUNT_IS_PRIVATE;
}

struct find_by_id {
	unsigned long id;
	int is_private; /* -1: no line had the ID yet */
};

static bool match_id(const struct mountinfo_entry *entry, void *userdata)
{
	struct find_by_id *find = userdata;

	if (entry->id != find->id)
		return true;
	find->is_private = entry->is_private;
	return false;
}

int mountinfo_is_private(int fd)
{
	_cleanup_error_ cst_error *error = NULL;
	struct find_by_id find = {.is_private = -1};
	struct statx stx;
	int r = private_by_statmount(fd);
	if (r >= 0)
		return r;
	if (statx_mount(fd, "", STATX_MNT_ID, &stx) < 0)
		return -1;
	find.id = (unsigned long)statx_mount_id(&stx);
	if (mountinfo_scan(match_id, &find, &error) < 0) {
		errno = cst_error_errno(error) ? cst_error_errno(error) : ENOMEM;
		return -1;
	}
	if (find.is_private < 0)
		errno = ENOENT;
	return find.is_private;
}

/* Decodes \040 and its like in place. The kernel writes space, tab, newline, backslash and '#' so (fs/proc_namespace.c). */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

static char *next_field(char **rest)
{
	char *field = *rest;
	char *end;

	if (!field || !*field)
		return NULL;
	end = strchr(field, ' ');
	if (end)
		*end++ = '\0';
	*rest = end;
	return field;
}

static bool parse_id(const char *text, unsigned long *ret)
{
	uint64_t value;

	if (!text || !parse_u64(text, UINT32_MAX, &value))
		return false;
	*ret = (unsigned long)value;
	return true;
}

/* The fields of a line, proc_pid_mountinfo(5): ID, parent, major:minor, root, mount point, options, optional fields, "-",
 * type, source, superblock options. */
bool mountinfo_parse_line(char *line, struct mountinfo_entry *ret)
{
	struct mountinfo_entry entry = {.is_private = true};
	char *root, *mount_point, *type, *source, *super_options, *field;
	char *rest = line;

	line[strcspn(line, "\n")] = '\0';
	if (!parse_id(next_field(&rest), &entry.id) ||
	    !parse_id(next_field(&rest), &entry.parent_id))
		return false;
	if (!next_field(&rest))
		return false;
	root = next_field(&rest);
	mount_point = next_field(&rest);
	entry.options = next_field(&rest);
	while ((field = next_field(&rest)) && !streq(field, "-"))
		entry.is_private = false;
	if (!field)
		return false;
	type = next_field(&rest);
	source = next_field(&rest);
	super_options = next_field(&rest);
	if (!type)
		return false;
	unescape(root);
	unescape(mount_point);
	if (source)
		unescape(source);
	if (super_options)
		unescape(super_options);
	entry.root = root;
	entry.mount_point = mount_point;
	entry.type = type;
	entry.source = source ? source : "";
	entry.super_options = super_options ? super_options : "";
	*ret = entry;
	return true;
}

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

int mountinfo_scan(bool (*visit)(const struct mountinfo_entry *entry, void *userdata),
                   void *userdata, cst_error **error)
{
	__attribute__((cleanup(close_file))) FILE *file = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (!file)
		return error_sys(error, errno, "open /proc/self/mountinfo");
	for (;;) {
		struct mountinfo_entry entry;

		errno = 0;
		if (getline(&line, &size, file) < 0)
			break;
		if (mountinfo_parse_line(line, &entry) && !visit(&entry, userdata))
			return 0;
	}
	if (errno || ferror(file))
		return error_sys(error, errno ? errno : EIO, "read /proc/self/mountinfo");
	return 0;
}

struct find_description {
	unsigned long id;
	char *type, *options;
	bool found;
};

static bool match_description(const struct mountinfo_entry *entry, void *userdata)
{
	struct find_description *find = userdata;
	if (entry->id != find->id)
		return true;
	find->found = true;
	find->type = strdup(entry->type);
	find->options = strdup(entry->super_options);
	return false;
}

int mountinfo_describe(int fd, char **ret_type, char **ret_options, cst_error **error)
{
	struct find_description find = {0};
	struct statx stx;
	if (statx_mount(fd, "", STATX_MNT_ID, &stx) < 0)
		return error_sys(error, errno, "statx a mount point");
	find.id = (unsigned long)statx_mount_id(&stx);
	int r = mountinfo_scan(match_description, &find, error);
	_cleanup_free_ char *type = find.type, *options = find.options;
	if (r < 0)
		return r;
	if (!find.found)
		return error_sys(error, ENOENT, "looking for a mount in /proc/self/mountinfo");
	if (!type || !options)
		return error_oom(error);
	*ret_type = steal_ptr(&type);
	*ret_options = steal_ptr(&options);
	return 0;
}

struct find_below {
	const char *path;
	size_t len;
	const char *const *except;
	bool found;
};

static bool is_in_any(const char *below, const char *const *names)
{
	for (; names && *names; names++) {
		size_t len = strlen(*names);

		if (strncmp(below, *names, len) == 0 && (below[len] == '/' || !below[len]))
			return true;
	}
	return false;
}

static bool match_below(const struct mountinfo_entry *entry, void *userdata)
{
	struct find_below *find = userdata;

	find->found = strncmp(entry->mount_point, find->path, find->len) == 0 &&
	              entry->mount_point[find->len] == '/' &&
	              !is_in_any(entry->mount_point + find->len + 1, find->except);
	return !find->found;
}

int mountinfo_any_below(const char *path, const char *const *except, bool *ret, cst_error **error)
{
	struct find_below find = {.path = path, .len = strlen(path), .except = except};
	int r = mountinfo_scan(match_below, &find, error);
	if (r == 0)
		*ret = find.found;
	return r;
}
