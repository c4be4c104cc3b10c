/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes one overlay mount, on any kernel. Linux 6.13 and later take each lower as a descriptor, so neither the number of the
 * lowers, nor the length of their paths, nor the characters in them matter. Older kernels take strings. They get paths below
 * /proc/self/fd, which are short and have no character that mount(2) would want quoted.
 */
#include "base/fs.h"
#include "base/log.h"
#include "base/thread.h"
#include "driver/mount_api.h"
#include "driver/mountinfo.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

enum {
	ATTRIBUTE_RDONLY = 0x1,
	ATTRIBUTE_NOSUID = 0x2,
	ATTRIBUTE_NODEV = 0x4,
	ATTRIBUTE_NOEXEC = 0x8,
	ATTRIBUTE_NOATIME = 0x10,
	ATTRIBUTE_STRICTATIME = 0x20,
	ATTRIBUTE_NODIRATIME = 0x80,
};
enum { MOVE_FROM_EMPTY = 0x4, MOVE_TO_EMPTY = 0x40 };

#define FD_PATH_SIZE 32

static void fd_path(int fd, char ret[FD_PATH_SIZE])
{
	snprintf(ret, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
}

/* ---- messages ---- */

static bool is_data(const struct overlay_mount *m, size_t i)
{
	return m->lowers->items[i].kind == DRIVER_CONTENT_DATA;
}

/* What is in front of a lower in a list of them. */
static const char *separator(const struct overlay_mount *m, size_t i)
{
	if (i == 0)
		return "lowerdir=";
	return is_data(m, i) ? "::" : ":";
}

static void add_quoted(struct strbuf *text, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			strbuf_addc(text, '\\');
		strbuf_addc(text, *s);
	}
}

static void add_rest(struct strbuf *text, const struct overlay_mount *m, const struct strv *words)
{
	for (size_t i = 0; i < words->len; i++)
		strbuf_addf(text, ",%s", words->items[i]);
	if (!isempty(m->label)) {
		strbuf_adds(text, ",context=\"");
		add_quoted(text, m->label);
		strbuf_addc(text, '"');
	}
	if (m->verity)
		strbuf_addf(text, ",verity=%s", m->verity);
}

/* The mount as one string of data, which is how the Go tools show it. `words` are m->options->words for a message, or the data of
 * them. Caller frees; NULL: out of memory. */
static char *describe(const struct overlay *o, const struct overlay_mount *m,
                      const struct strv *words)
{
	_cleanup_strbuf_ struct strbuf text = {0};

	for (size_t i = 0; i < m->lowers->len; i++) {
		_cleanup_free_ char *path = overlay_lower_shown(o, &m->lowers->items[i]);

		strbuf_adds(&text, separator(m, i));
		strbuf_adds(&text, strempty(path));
	}
	if (m->upper_fd >= 0)
		strbuf_addf(&text, ",upperdir=%s,workdir=%s", m->upper, m->work);
	add_rest(&text, m, words);
	return strbuf_steal(&text);
}

void overlay_mount_tell(const struct overlay *o, const struct overlay_mount *m)
{
	_cleanup_free_ char *data =
	        log_enabled(CST_LOG_DEBUG) ? describe(o, m, &m->options->words) : NULL;

	if (data)
		log_debug("overlay: mount_data=%s", data);
}

/* The same for a message, where it stands between quotation marks, as Go's %q has it. */
static char *describe_quoted(const struct overlay *o, const struct overlay_mount *m)
{
	_cleanup_free_ char *data = describe(o, m, &m->options->words);
	_cleanup_strbuf_ struct strbuf text = {0};
	add_quoted(&text, strempty(data));
	return data ? strbuf_steal(&text) : NULL;
}

static int mount_error(const struct overlay *o, const struct overlay_mount *m, const char *target,
                       int errnum, const char *kernel, cst_error **error)
{
	_cleanup_free_ char *data = describe_quoted(o, m);

	if (!data)
		return error_oom(error);
	int r = error_sys(error, errnum, "creating overlay mount to %s, mount_data=\"%s\"", target,
	                  data);
	if (isempty(kernel))
		return r;
	error_suffix(error, r, " (%s)", kernel);
	return error_go_words(error, r, NULL, "creating overlay mount to %s, mount_data=\"%s\": %s",
	                      target, data, errno_text(errnum));
}

/* Reads what the kernel logged about this context, lines of "e overlay: ...", without the "e ". */
static void read_kernel_words(int fs_fd, char *ret, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len + 2 < size && (n = read(fs_fd, ret + len, size - len - 1)) > 0) {
		char *line = ret + len;

		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0' && line[1] == ' ')
			memmove(line, line + 2, strlen(line + 2) + 1);
		len += strlen(line);
		if (len + 2 < size) {
			ret[len++] = ';';
			ret[len++] = ' ';
		}
	}
	ret[len >= 2 ? len - 2 : 0] = '\0';
}

/* ---- fsopen ---- */

static int open_lower(const struct overlay *o, const struct overlay_mount *m, size_t i, int *ret_fd,
                      cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	const struct overlay_lower *lower = &m->lowers->items[i];
	bool image = m->image_fds && m->image_fds[i] >= 0;
	if (m->fds || image) {
		*ret_fd = fcntl(image ? m->image_fds[i] : m->fds[i], F_DUPFD_CLOEXEC, 0);
		return *ret_fd >= 0 ? 0 : error_sys(error, errno, "dup %s", lower->path);
	}
	bool data = lower->kind == DRIVER_CONTENT_DATA && m->data_dirs;
	int r = overlay_lower_open(o, data ? m->data_dirs : m->dirs, lower, O_PATH, ret_fd,
	                           &problem);
	if (r != CST_ESYS)
		return r == 0 ? 0 : error_propagate(error, steal_ptr(&problem));
	_cleanup_free_ char *path = overlay_lower_shown(o, lower);
	return error_sys(error, cst_error_errno(problem),
	                 "can't stat (or find?) lower layer \"%s\": stat %s", strempty(path),
	                 strempty(path));
}

static int set_directory(int fs_fd, const char *key, int fd, enum overlay_mount_interface interface)
{
	char path[FD_PATH_SIZE];

	if (interface == OVERLAY_MOUNT_FD)
		return sys_fsconfig(fs_fd, CONFIG_FD, key, NULL, fd);
	fd_path(fd, path);
	return sys_fsconfig(fs_fd, CONFIG_STRING, key, path, 0);
}

static int set_option(int fs_fd, const char *option)
{
	const char *equals = strchr(option, '=');
	_cleanup_free_ char *key = NULL;

	if (!equals)
		return sys_fsconfig(fs_fd, CONFIG_FLAG, option, NULL, 0);
	key = strndup(option, (size_t)(equals - option));
	if (!key) {
		errno = ENOMEM;
		return -1;
	}
	return sys_fsconfig(fs_fd, CONFIG_STRING, key, equals + 1, 0);
}

/* Sets everything but the lowers. 0, or -1 and errno. */
static int set_rest(int fs_fd, const struct overlay_mount *m,
                    enum overlay_mount_interface interface)
{
	static const struct {
		unsigned long flag;
		const char *word;
	} of_superblock[] = {
	        {MS_RDONLY, "ro"},
	        {MS_SYNCHRONOUS, "sync"},
	        {MS_DIRSYNC, "dirsync"},
	        {MS_MANDLOCK, "mand"},
	};
	unsigned long flags = m->options->flags;

	if (sys_fsconfig(fs_fd, CONFIG_STRING, "source", "overlay", 0) < 0)
		return -1;
	if (m->upper_fd >= 0 && (set_directory(fs_fd, "upperdir", m->upper_fd, interface) < 0 ||
	                         set_directory(fs_fd, "workdir", m->work_fd, interface) < 0))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(of_superblock); i++)
		if ((flags & of_superblock[i].flag) &&
		    sys_fsconfig(fs_fd, CONFIG_FLAG, of_superblock[i].word, NULL, 0) < 0)
			return -1;
	for (size_t i = 0; i < m->options->data.len; i++)
		if (set_option(fs_fd, m->options->data.items[i]) < 0)
			return -1;
	if (!isempty(m->label) && sys_fsconfig(fs_fd, CONFIG_STRING, "context", m->label, 0) < 0)
		return -1;
	return m->verity ? sys_fsconfig(fs_fd, CONFIG_STRING, "verity", m->verity, 0) : 0;
}

/* The flags of mount(2) as attributes of fsmount(2), which takes only one of strictatime and noatime. */
static unsigned mount_attributes(unsigned long flags)
{
	static const struct {
		unsigned long flag;
		unsigned attribute;
	} rows[] = {
	        {MS_RDONLY, ATTRIBUTE_RDONLY},
	        {MS_NOSUID, ATTRIBUTE_NOSUID},
	        {MS_NODEV, ATTRIBUTE_NODEV},
	        {MS_NOEXEC, ATTRIBUTE_NOEXEC},
	        {MS_NODIRATIME, ATTRIBUTE_NODIRATIME},
	        {MS_NOATIME, ATTRIBUTE_NOATIME},
	        {MS_STRICTATIME, ATTRIBUTE_STRICTATIME},
	};
	unsigned attributes = 0;

	if (flags & MS_STRICTATIME)
		flags &= ~(unsigned long)MS_NOATIME;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (flags & rows[i].flag)
			attributes |= rows[i].attribute;
	return attributes;
}

/* Does this kernel not take lowers this way at all? Then it refuses the parameter, with the first lower. Before Linux 6.13
 * fsconfig(2) takes no O_PATH descriptor for any parameter, and calls it a bad one. */
static bool is_unknown_parameter(int errnum, const char *kernel)
{
	return errnum == EBADF ||
	       (errnum == EINVAL &&
	        (isempty(kernel) || strstr(kernel, "Unknown parameter 'lowerdir+'") ||
	         strstr(kernel, "Bad value for 'lowerdir+'")));
}

/* Makes a detached mount. 1: this kernel lacks the interface. 2: it lacks them all; before Linux 6.5 overlay takes descriptors
 * of no kind, and any string, of which it says as late as at the mount that it does not know it. */
static int mount_by_context(const struct overlay *o, const struct overlay_mount *m,
                            const char *target, enum overlay_mount_interface interface, int *ret_fd,
                            cst_error **error)
{
	_cleanup_close_ int fs_fd = sys_fsopen("overlay", FSOPEN_CLOEXEC), mount_fd = -1;
	char kernel[512] = "";

	if (fs_fd < 0)
		return errno == ENOSYS || errno == EPERM
		               ? 1
		               : mount_error(o, m, target, errno, NULL, error);
	for (size_t i = 0; i < m->lowers->len; i++) {
		_cleanup_close_ int lower = -1;
		int errnum, r = open_lower(o, m, i, &lower, error);

		if (r < 0)
			return r;
		if (set_directory(fs_fd, is_data(m, i) ? "datadir+" : "lowerdir+", lower,
		                  interface) == 0)
			continue;
		errnum = errno;
		if (i == 0 && errnum == EOPNOTSUPP)
			return 2;
		read_kernel_words(fs_fd, kernel, sizeof(kernel));
		if (i == 0 && is_unknown_parameter(errnum, kernel))
			return 1;
		return mount_error(o, m, target, errnum, kernel, error);
	}
	if (set_rest(fs_fd, m, interface) == 0 &&
	    sys_fsconfig(fs_fd, CONFIG_CREATE, NULL, NULL, 0) == 0)
		mount_fd = sys_fsmount(fs_fd, FSMOUNT_CLOEXEC, mount_attributes(m->options->flags));
	if (mount_fd < 0) {
		int errnum = errno;

		read_kernel_words(fs_fd, kernel, sizeof(kernel));
		return mount_error(o, m, target, errnum, kernel, error);
	}
	*ret_fd = steal_fd(&mount_fd);
	return 0;
}

/* ---- mount(2) ---- */

static bool has_special(const char *path)
{
	return path[strcspn(path, ":,\\")] != '\0';
}

struct classic {
	int *fds; /* the lowers */
	size_t n;
};

static void classic_close(struct classic *c)
{
	for (size_t i = 0; i < c->n; i++)
		closep(&c->fds[i]);
	free(c->fds);
}

static int classic_open(const struct overlay *o, const struct overlay_mount *m, struct classic *c,
                        cst_error **error)
{
	c->fds = new0(int, m->lowers->len + 1);
	if (!c->fds)
		return error_oom(error);
	int r = 0;
	for (; r == 0 && c->n < m->lowers->len; c->n++) {
		c->fds[c->n] = -1;
		r = open_lower(o, m, c->n, &c->fds[c->n], error);
	}
	return r;
}

/* The mount as one string of data, with each directory as `prefix` and the number of its descriptor. */
static char *data_by_number(const struct overlay_mount *m, const struct classic *c,
                            const char *prefix)
{
	_cleanup_strbuf_ struct strbuf text = {0};

	for (size_t i = 0; i < c->n; i++)
		strbuf_addf(&text, "%s%s%d", separator(m, i), prefix, c->fds[i]);
	if (m->upper_fd >= 0)
		strbuf_addf(&text, ",upperdir=%s%d,workdir=%s%d", prefix, m->upper_fd, prefix,
		            m->work_fd);
	add_rest(&text, m, &m->options->data);
	return strbuf_steal(&text);
}

struct mount_call {
	const char *target, *data;
	unsigned long flags;
	int errnum;
};

/* Runs in a thread of its own. It gives itself a working directory of its own, /proc/self/fd, where a bare number is the path of
 * a descriptor; that of the process stays as it is. */
static void *mount_in_fd_directory(void *userdata)
{
	struct mount_call *call = userdata;

	call->errnum = 0;
	if (unshare(CLONE_FS) < 0 || chdir("/proc/self/fd") < 0 ||
	    sys_mount("overlay", call->target, "overlay", call->flags, call->data) < 0)
		call->errnum = errno;
	return NULL;
}

static int mount_from_thread(struct mount_call *call)
{
	pthread_t thread;
	int r = thread_start(&thread, mount_in_fd_directory, call);
	if (r != 0)
		return r;
	pthread_join(thread, NULL);
	return call->errnum;
}

static int mount_classic(const struct overlay *o, const struct overlay_mount *m, const char *target,
                         cst_error **error)
{
	_cleanup_(classic_close) struct classic c = {0};
	_cleanup_free_ char *data = describe(o, m, &m->options->data);
	size_t limit = (size_t)sysconf(_SC_PAGESIZE);
	struct mount_call call = {.target = target, .flags = m->options->flags};
	bool plain =
	        !m->mapped && !m->fds && !m->image_fds && (m->upper_fd < 0 || m->upper[0] == '/');
	int r, errnum = 0;

	if (!data)
		return error_oom(error);
	for (size_t i = 0; i < o->n_homes; i++)
		plain = plain && !has_special(o->homes[i].path);
	if (!plain || strlen(data) >= limit) {
		r = classic_open(o, m, &c, error);
		if (r < 0)
			return r;
		free(data);
		data = data_by_number(m, &c, "/proc/self/fd/");
		if (!data)
			return error_oom(error);
	}
	if (strlen(data) >= limit) {
		free(data);
		data = data_by_number(m, &c, "");
		if (!data)
			return error_oom(error);
		if (strlen(data) >= limit)
			return error_set(
			        error, CST_ENOTSUP,
			        "cannot mount layer, mount data %s too large %zu >= page size %zu",
			        data, strlen(data), limit);
		call.data = data;
		errnum = mount_from_thread(&call);
	} else if (sys_mount("overlay", target, "overlay", m->options->flags, data) < 0) {
		errnum = errno;
	}
	return errnum ? mount_error(o, m, target, errnum, NULL, error) : 0;
}

/* ---- the mount program ---- */

static void add_map(struct strbuf *data, const char *kind, const struct idmap *map)
{
	if (map->len == 1 && map->ranges[0].size == 1) {
		strbuf_addf(data, ",squash_to_%s=%u", kind, map->ranges[0].host_id);
		return;
	}
	strbuf_addf(data, ",%smapping=", kind);
	for (size_t i = 0; i < map->len; i++)
		strbuf_addf(data, ":%u:%u:%u", map->ranges[i].container_id, map->ranges[i].host_id,
		            map->ranges[i].size);
}

/* The options are those that the Go tools give; flags of mount(2) are not among them (docs/format/drivers.md, "Mount program"). */
static int mount_by_program(const struct overlay *o, const struct overlay_mount *m,
                            const char *target, cst_error **error)
{
	_cleanup_free_ char *shown = describe_quoted(o, m);
	_cleanup_free_ char *given = describe(o, m, &m->options->data);
	_cleanup_strbuf_ struct strbuf data = {0};
	strbuf_adds(&data, strempty(given));
	if (m->maps) {
		add_map(&data, "uid", &m->maps->uids);
		add_map(&data, "gid", &m->maps->gids);
	}
	if (o->options.force_mask >= 0)
		strbuf_adds(&data, ",xattr_permissions=2");
	if (!shown || !given || data.failed)
		return error_oom(error);
	int r = overlay_program_mount(o, data.data, target, error);
	return r == 0 ? 0
	              : error_prefix(error, r, "creating overlay mount to %s, mount_data=\"%s\"",
	                             target, shown);
}

/* ---- the two ways to have it ---- */

/* Tries the interfaces that make a detached mount, the best first. 1: this kernel has none of them, only mount(2). */
static int mount_detached(const struct overlay *o, const struct overlay_mount *m,
                          const char *target, int *ret_fd, cst_error **error)
{
	int r = 1;

	for (unsigned i = o->interface; r == 1 && i < OVERLAY_MOUNT_CLASSIC; i++)
		r = mount_by_context(o, m, target, (enum overlay_mount_interface)i, ret_fd, error);
	return r > 0 ? 1 : r;
}

struct mount_target {
	int fd;
	const char *path;
};

static int mount_at(const struct overlay *o, const struct overlay_mount *mount, void *userdata,
                    cst_error **error)
{
	const struct mount_target *at = userdata;
	const char *target = at->path;
	_cleanup_close_ int mount_fd = -1;

	if (o->program)
		return mount_by_program(o, mount, target, error);
	if (mount->options->flags &
	    (MS_BIND | MS_REMOUNT | MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE))
		return mount_error(o, mount, target, EINVAL,
		                   "an option that is no option of a new mount", error);
	int r = mount_detached(o, mount, target, &mount_fd, error);
	if (r == 1)
		return mount_classic(o, mount, target, error);
	if (r < 0)
		return r;
	if (sys_move_mount(mount_fd, "", at->fd, "", MOVE_FROM_EMPTY | MOVE_TO_EMPTY) < 0)
		return mount_error(o, mount, target, errno, "move_mount", error);
	return 0;
}

int overlay_mount_at(const struct overlay *o, const struct overlay_mount *mount, int target_fd,
                     const char *target, cst_error **error)
{
	struct mount_target at = {.fd = target_fd, .path = target};
	return overlay_with_images(o, mount, mount_at, &at, error);
}

/* mount(2) and a mount program need a directory to mount on: one in the staging area. The mount is taken off it at once, and lives on by the
 * descriptor of its root. */
static int detach_attached(const struct overlay *o, const struct overlay_mount *m, int *ret_fd,
                           cst_error **error)
{
	_cleanup_free_ char *root = overlay_staging_path(o, 0), *target = NULL;
	_cleanup_(tempdir_freep) struct tempdir *temp = NULL;
	_cleanup_close_ int fd = -1;

	if (!root)
		return error_oom(error);
	int r = tempdir_new(root, TEMPDIR_STAGING, &temp, error);
	if (r < 0)
		return r;
	target = path_join3(root, temp->name, "merged");
	if (!target)
		return error_oom(error);
	if (sys_mkdirat(temp->fd, "merged", 0700) < 0)
		return error_sys(error, errno, "mkdir %s", target);
	r = o->program ? mount_by_program(o, m, target, error) : mount_classic(o, m, target, error);
	if (r < 0)
		return r;
	r = fs_open_dir(target, &fd, error);
	if (sys_umount2(target, MNT_DETACH) < 0 && r == 0)
		r = error_sys(error, errno, "unmounting %s", target);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

static int detach(const struct overlay *o, const struct overlay_mount *mount, void *userdata,
                  cst_error **error)
{
	struct overlay_detached *ret = userdata;
	_cleanup_detached_ struct overlay_detached detached = {.mount_fd = -1, .root_fd = -1};
	int r = o->program ? 1 : mount_detached(o, mount, o->base.home, &detached.mount_fd, error);
	if (r == 1 && o->read_only) /* a directory would have to be made */
		return error_set(
		        error, CST_ENOTSUP,
		        "these layers of %s cannot be compared without writing to it: that takes "
		        "%s",
		        o->base.home,
		        o->program ? "a mount of the mount program"
		                   : "an overlay mount, which root can make on Linux 5.2 or newer");
	if (r == 1)
		r = detach_attached(o, mount, &detached.root_fd, error);
	if (r < 0)
		return r;
	if (detached.root_fd < 0)
		detached.root_fd =
		        openat(detached.mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (detached.root_fd < 0)
		return error_sys(error, errno, "open a mount of %s", o->base.home);
	*ret = detached;
	detached = (struct overlay_detached){.mount_fd = -1, .root_fd = -1};
	return 0;
}

int overlay_mount_detached(const struct overlay *o, const struct overlay_mount *mount,
                           struct overlay_detached *ret, cst_error **error)
{
	return overlay_with_images(o, mount, detach, ret, error);
}

void overlay_detached_close(struct overlay_detached *detached)
{
	closep(&detached->root_fd);
	closep(&detached->mount_fd);
	*detached = (struct overlay_detached){.mount_fd = -1, .root_fd = -1};
}
