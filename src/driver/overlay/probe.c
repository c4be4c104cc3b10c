/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out what this kernel's overlay does on this filesystem, by trying it. The answers are kept in the run home, under the
 * names of the Go tools, which read and write them too (docs/format/drivers.md, "Feature probes"). An answer is not kept if it
 * only says that this process may not try, or that something ran out.
 */
#include "base/fs.h"
#include "base/log.h"
#include "config/selinux.h"
#include "driver/backing.h"
#include "driver/overlay/probe_scratch.h"
#include "driver/quota.h"
#include "driver/rootless.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- the cache ---- */

static char *cache_name(const char *feature, bool yes)
{
	_cleanup_free_ char *name = str_join(feature, yes ? "-true" : "-false");

	if (!name || strchr(name, '/') || strlen(name) > NAME_MAX) {
		errno = name ? ENAMETOOLONG : ENOMEM;
		return NULL;
	}
	return steal_ptr(&name);
}

static enum overlay_known cache_read(const struct overlay *o, const char *feature)
{
	for (int yes = 1; yes >= 0; yes--) {
		_cleanup_free_ char *name = cache_name(feature, yes);
		_cleanup_free_ char *path = name ? path_join(o->base.run_home, name) : NULL;

		struct stat st;
		if (path && fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			return yes ? OVERLAY_YES : OVERLAY_NO;
	}
	return OVERLAY_UNKNOWN;
}

/* The Go tools cannot read a directory, a FIFO or a device in the place of an answer. The run home is of this boot only. */
static int clear_place(int fd, const char *name, cst_error **error)
{
	struct stat st;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode))
		return 0;
	return fs_remove_tree(fd, name, name, error);
}

/* If the answer cannot be written, the next process tries again; that is no reason to fail. */
static void cache_write(const struct overlay *o, const char *feature, bool yes, const char *reason)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *name = cache_name(feature, yes);
	_cleanup_close_ int fd = -1;

	if (!name || o->read_only)
		return;
	if (fs_open_dir(o->base.run_home, &fd, &problem) < 0 ||
	    clear_place(fd, name, &problem) < 0 ||
	    fs_replace_file(fd, name, reason, strlen(reason), 0644, 0, NULL, &problem) < 0)
		log_debug("recording %s: %s", name, cst_error_message(problem));
}

static bool is_lasting(const cst_error *error)
{
	switch (cst_error_errno(error)) {
	case EPERM:
	case EACCES:
	case ENOSPC:
	case EDQUOT:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EINTR:
	case EIO: return false;
	default: return cst_error_code(error) != CST_ENOMEM;
	}
}

static char *feature_with_options(const struct overlay *o, const char *feature)
{
	return str_join(feature, "(", strempty(o->options.mount_options), ")");
}

/* ---- what was found, in the words of the Go tools' debug lines ---- */

struct feature {
	const char *yes, *no;
};
static const struct feature overlay_feature = {"overlay is supported", "overlay is not supported"},
                            metacopy_feature = {"metacopy is being used",
                                                "metacopy is not being used"},
                            native_diff_feature = {"native-diff is usable",
                                                   "native-diff is not being used"},
                            volatile_feature = {"volatile is being used",
                                                "volatile is not being used"},
                            idmapped_feature = {"idmapped mounts for overlay are supported",
                                                "idmapped mounts for overlay are not supported"};

static void tell_cached(const struct feature *feature, enum overlay_known known)
{
	log_debug("Cached value indicated that %s",
	          known == OVERLAY_YES ? feature->yes : feature->no);
}

static void tell_tested(const struct feature *feature, bool yes)
{
	log_debug("overlay: test mount indicated that %s", yes ? feature->yes : feature->no);
}

static void tell_options(const struct overlay *o)
{
	strv_foreach (option, &o->options.told)
		log_debug("overlay: %s", option);
}

static enum overlay_known recall(struct overlay *o, const enum overlay_known *known)
{
	enum overlay_known answer;

	pthread_mutex_lock(&o->lock);
	answer = *known;
	pthread_mutex_unlock(&o->lock);
	return answer;
}

static void remember(struct overlay *o, enum overlay_known *known, bool yes)
{
	pthread_mutex_lock(&o->lock);
	*known = yes ? OVERLAY_YES : OVERLAY_NO;
	pthread_mutex_unlock(&o->lock);
}

bool overlay_has_quotas(struct overlay *o, cst_error **error)
{
	enum overlay_known answer = recall(o, &o->quotas);
	if (answer == OVERLAY_YES || (answer == OVERLAY_NO && !error))
		return answer == OVERLAY_YES;
	bool yes = quota_probe(o->base.home, error) == 0;
	remember(o, &o->quotas, yes);
	return yes;
}

static void tell_probed(struct overlay *o)
{
	/* As upstream, which looks for them on xfs only. */
	bool quotas = o->magic == BACKING_XFS && overlay_has_quotas(o, NULL);
	log_debug("backingFs=%s, projectQuotaSupported=%s, useNativeDiff=%s, usingMetacopy=%s",
	          backing_name(o->magic), overlay_bool_text(quotas),
	          overlay_bool_text(o->native_diff), overlay_bool_text(o->metacopy));
}

/* ---- overlay itself ---- */

static const char *xattr_name(const struct overlay *o, const char *trusted, const char *user)
{
	return driver_is_rootless() ? user : trusted;
}

static int check_d_type(const struct overlay *o, const struct probe_scratch *s, cst_error **error)
{
	int fd = openat(s->temp->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool known = true;

	if (!dir) {
		int errnum = errno;

		closep(&fd);
		return error_sys(error, errnum, "open %s", s->path);
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		known = known && entry->d_type != DT_UNKNOWN;
	closedir(dir);
	if (known)
		return 0;
	return error_set(error, CST_ENOTSUP,
	                 "overlay: the backing %s filesystem is formatted without d_type support, "
	                 "which leads to incorrect behavior.%s Running without d_type is not "
	                 "supported.: driver not supported",
	                 backing_name(o->magic),
	                 o->magic == BACKING_XFS
	                         ? " Reformat the filesystem with ftype=1 to enable d_type support."
	                         : "");
}

/* A mount that a user makes may have trouble with a label (Linux 5.11), so the first one that is tried has one. The caller's; NULL: none. */
static char *probe_label(void)
{
	static const char *const options[] = {"disable"};
	_cleanup_labels_ struct selinux_labels labels = {0};
	_cleanup_error_ cst_error *problem = NULL;
	if (selinux_container_labels(options, 1, NULL, NULL, &labels, &problem) < 0)
		log_debug("overlay: tried without a label: %s", cst_error_message(problem));
	return !isempty(labels.mount) && selinux_is_valid(labels.mount) ? steal_ptr(&labels.mount)
	                                                                : NULL;
}

static int try_overlay(struct overlay *o, cst_error **error)
{
	_cleanup_scratch_ struct probe_scratch s = PROBE_SCRATCH_INIT;
	_cleanup_detached_ struct overlay_detached mount = {.mount_fd = -1, .root_fd = -1};
	int r = probe_scratch_open(o, &s, error);
	if (r == 0)
		r = check_d_type(o, &s, error);
	if (r == 0)
		r = probe_scratch_mkdir(&s, "lower2/subdir", NULL, error);
	if (r == 0)
		r = fs_write_file(s.temp->fd, "lower2/subdir/file", "", 0, 0644, s.path, error);
	s.label = probe_label();
	if (r == 0)
		r = probe_scratch_mount(o, &s, NULL, &mount, error);
	if (r < 0)
		return r;
	if (sys_mknodat(s.upper_fd, "whiteout", S_IFCHR, 0) < 0)
		return error_sys(error, errno, "mknod %s/upper/whiteout", s.path);
	return fs_remove_tree(mount.root_fd, "subdir", s.path, error);
}

static int probe_overlay(struct overlay *o, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;

	if (cache_read(o, "overlay") == OVERLAY_YES) {
		tell_cached(&overlay_feature, OVERLAY_YES);
		return 0;
	}
	if (o->read_only)
		return 0;
	/* A recorded "no" is tried again: a Go tool records one if its own mount string is too long for the path. */
	int r = try_overlay(o, &problem);
	if (r == 0) {
		log_debug("overlay: test mount with multiple lowers succeeded");
		cache_write(o, "overlay", true, "");
		return 0;
	}
	if (is_lasting(problem))
		cache_write(o, "overlay", false, cst_error_message(problem));
	if (r == CST_ENOTSUP || r == CST_ENOMEM || error_is_full(problem))
		return error_propagate(error, steal_ptr(&problem));
	log_debug("overlay does not work in %s: %s", o->base.home, cst_error_message(problem));
	return error_wrap_code(
	        error, CST_EBACKINGFS,
	        "kernel does not support overlay fs: 'overlay' is not supported over %s at \"%s\"",
	        backing_name(o->magic), o->base.home);
}

/* ---- metacopy, native diff ---- */

/* Gives a probe's answer, and in *reason why it is no. < 0: the probe could not find out. */
typedef int (*probe_function)(struct overlay *o, bool *yes, char **reason, cst_error **error);

static int try_metacopy(struct overlay *o, bool *yes, char **reason, cst_error **error)
{
	_cleanup_scratch_ struct probe_scratch s = PROBE_SCRATCH_INIT;
	_cleanup_detached_ struct overlay_detached mount = {.mount_fd = -1, .root_fd = -1};
	_cleanup_error_ cst_error *problem = NULL;
	int r = probe_scratch_open(o, &s, error);
	if (r == 0)
		r = fs_write_file(s.temp->fd, "lower1/file", "\377", 1, 0700, s.path, error);
	if (r < 0)
		return r;
	r = probe_scratch_mount(o, &s, o->options.mount_options, &mount, &problem);
	if (r < 0 && cst_error_errno(problem) == EINVAL) {
		log_warning("mount options \"%s\": %s", strempty(o->options.mount_options),
		            cst_error_message(problem));
		*yes = false;
		tell_tested(&metacopy_feature, *yes);
		return 0;
	}
	if (r < 0)
		return error_propagate(error, steal_ptr(&problem));
	_cleanup_close_ int fd = openat(mount.root_fd, "file", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || sys_fchmod(fd, 0600) < 0)
		return error_sys(error, errno, "chmod %s/merged/file", s.path);
	*yes = overlay_has_xattr(s.upper_fd, "file",
	                         xattr_name(o, "trusted.overlay.metacopy", "user.overlay.metacopy"),
	                         NULL);
	tell_tested(&metacopy_feature, *yes);
	return 0;
}

/* Makes the directories of the native-diff probe: d in both lowers, opaque in the upper one of them; d1 in one. */
static int fill_native_diff(const struct overlay *o, const struct probe_scratch *s,
                            cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = probe_scratch_mkdir(s, "lower2/d", NULL, error);
	if (r == 0)
		r = probe_scratch_mkdir(s, "lower2/d1", NULL, error);
	if (r == 0)
		r = probe_scratch_mkdir(s, "lower1/d", &fd, error);
	if (r < 0)
		return r;
	if (sys_fsetxattr(fd, xattr_name(o, "trusted.overlay.opaque", "user.overlay.opaque"), "y",
	                  1, 0) < 0)
		return error_sys(error, errno,
		                 "failed to set opaque flag on middle layer: setxattr %s/lower1/d",
		                 s->path);
	return 0;
}

static int try_native_diff(struct overlay *o, bool *yes, char **reason, cst_error **error)
{
	static const char prefix[] = "Not using native diff for overlay, this may cause degraded "
	                             "performance for building images: ";
	_cleanup_scratch_ struct probe_scratch s = PROBE_SCRATCH_INIT;
	_cleanup_detached_ struct overlay_detached mount = {.mount_fd = -1, .root_fd = -1};
	const char *why = NULL;
	int r = probe_scratch_open(o, &s, error);
	if (r == 0)
		r = fill_native_diff(o, &s, error);
	if (r == 0)
		r = probe_scratch_mount(o, &s, o->options.mount_options, &mount, error);
	if (r == 0) /* the kernel copies "d" up for it */
		r = fs_write_file(mount.root_fd, "d/f", "", 0, 0644, s.path, error);
	if (r < 0)
		return r;
	if (overlay_has_xattr(s.upper_fd, "d",
	                      xattr_name(o, "trusted.overlay.opaque", "user.overlay.opaque"), "y"))
		why = "opaque flag erroneously copied up, consider update to kernel 4.8 or later "
		      "to fix";
	else if (sys_renameat(mount.root_fd, "d1", mount.root_fd, "d2") == 0 &&
	         overlay_has_xattr(
	                 s.upper_fd, "d2",
	                 xattr_name(o, "trusted.overlay.redirect", "user.overlay.redirect"), "d1"))
		why = "kernel has CONFIG_OVERLAY_FS_REDIRECT_DIR enabled";
	*yes = !why;
	if (why) {
		*reason = str_join(prefix, why);
		return *reason ? 0 : error_oom(error);
	}
	return 0;
}

/* The cached answer, or else a fresh one. `otherwise`: the answer if none can be had. */
static bool probe_feature(struct overlay *o, const char *feature, const struct feature *words,
                          probe_function try, bool otherwise)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *reason = NULL;
	enum overlay_known known = cache_read(o, feature);
	bool yes = otherwise;

	if (known != OVERLAY_UNKNOWN)
		tell_cached(words, known);
	if (known != OVERLAY_UNKNOWN || o->read_only)
		return known == OVERLAY_UNKNOWN ? otherwise : known == OVERLAY_YES;
	if (try(o, &yes, &reason, &problem) < 0) {
		log_debug("finding out about %s: %s", feature, cst_error_message(problem));
		if (is_lasting(problem))
			cache_write(o, feature, false, cst_error_message(problem));
		return otherwise && !is_lasting(problem);
	}
	if (reason)
		log_warning("%s", reason);
	cache_write(o, feature, yes, strempty(reason));
	return yes;
}

int overlay_probe(struct overlay *o, cst_error **error)
{
	_cleanup_free_ char *metacopy = feature_with_options(o, "metacopy");
	_cleanup_free_ char *native_diff = feature_with_options(o, "native-diff");

	if (!metacopy || !native_diff)
		return error_oom(error);
	tell_options(o);
	int r = probe_overlay(o, error);
	if (r < 0)
		return r;
	o->metacopy = probe_feature(o, metacopy, &metacopy_feature, try_metacopy, false);
	o->native_diff =
	        probe_feature(o, native_diff, &native_diff_feature, try_native_diff, o->read_only);
	tell_probed(o);
	return 0;
}

void overlay_probe_none(struct overlay *o)
{
	o->metacopy = o->native_diff = false;
	tell_options(o);
	tell_probed(o);
}

bool overlay_probe_cached(struct overlay *o)
{
	_cleanup_free_ char *metacopy = feature_with_options(o, "metacopy");
	_cleanup_free_ char *native_diff = feature_with_options(o, "native-diff");
	enum overlay_known copies, diffs;

	if (cache_read(o, "overlay") != OVERLAY_YES)
		return false;
	_cleanup_free_ char *longest = native_diff ? cache_name(native_diff, false) : NULL;
	/* The name would be too long for a file, so the answer can never be cached. Trying needs no lock. */
	if (native_diff && !longest && errno == ENAMETOOLONG)
		return overlay_probe(o, NULL) == 0;
	copies = metacopy ? cache_read(o, metacopy) : OVERLAY_UNKNOWN;
	diffs = native_diff ? cache_read(o, native_diff) : OVERLAY_UNKNOWN;
	o->metacopy = copies == OVERLAY_YES;
	o->native_diff = diffs == OVERLAY_YES;
	if (copies == OVERLAY_UNKNOWN || diffs == OVERLAY_UNKNOWN)
		return false;
	tell_options(o);
	tell_cached(&overlay_feature, OVERLAY_YES);
	tell_cached(&metacopy_feature, copies);
	tell_cached(&native_diff_feature, diffs);
	tell_probed(o);
	return true;
}

/* ---- asked for later ---- */

static int try_volatile(struct overlay *o, bool *yes, char **reason, cst_error **error)
{
	_cleanup_scratch_ struct probe_scratch s = PROBE_SCRATCH_INIT;
	_cleanup_detached_ struct overlay_detached mount = {.mount_fd = -1, .root_fd = -1};
	int r = probe_scratch_open(o, &s, error);
	if (r == 0)
		r = probe_scratch_mount(o, &s, "volatile", &mount, error);
	*yes = r == 0;
	if (r == 0)
		tell_tested(&volatile_feature, *yes);
	return r;
}

static int try_idmapped(struct overlay *o, bool *yes, cst_error **error)
{
	cst_idmap range = {.container_id = 0, .host_id = 0, .size = 1};
	const struct idmaps maps = {.uids = {&range, 1}, .gids = {&range, 1}};
	_cleanup_scratch_ struct probe_scratch s = PROBE_SCRATCH_INIT;
	_cleanup_mount_options_ struct mount_options options = {0};
	_cleanup_free_ char *target = NULL;
	_cleanup_close_ int target_fd = -1;
	struct overlay_mount mount;
	int r = probe_scratch_open(o, &s, error);
	if (r == 0)
		r = probe_scratch_mkdir(&s, "merged", &target_fd, error);
	if (r == 0)
		r = probe_scratch_options(o, NULL, &options, error);
	if (r < 0)
		return r;
	target = path_join(s.path, "merged");
	if (!target)
		return error_oom(error);
	mount = probe_scratch_overlay(&s, &options);
	r = overlay_mount_idmapped_at(o, &mount, &maps, s.temp->fd, s.path, target_fd, target,
	                              error);
	*yes = r == 0;
	return r < 0 ? r : overlay_unmount(s.temp->fd, "merged", target, error);
}

/* No lock is held, so the shutdown of another process may take the mount of the home away, and the scratch directory with it. What
 * is below that mount has room for another one: try again. */
static int try_idmapped_again(struct overlay *o, bool *yes, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;

	for (int attempt = 0; attempt < 10; attempt++) {
		cst_error_free(steal_ptr(&problem));
		if (try_idmapped(o, yes, &problem) == 0)
			return 0;
		if (cst_error_errno(problem) != ENOENT)
			break;
	}
	return error_propagate(error, steal_ptr(&problem));
}

bool overlay_supports_volatile(struct overlay *o)
{
	enum overlay_known answer = o->program ? OVERLAY_YES : recall(o, &o->supports_volatile);

	if (answer == OVERLAY_UNKNOWN) {
		bool yes = probe_feature(o, "volatile", &volatile_feature, try_volatile, false);

		remember(o, &o->supports_volatile, yes);
		return yes;
	}
	return answer == OVERLAY_YES;
}

/* Does the error come from this kernel, this filesystem or the rights of this process? Any other may be gone the next time. */
static bool is_refusal(const cst_error *error)
{
	int errnum = cst_error_errno(error);

	return errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP || errnum == EPERM ||
	       errnum == EACCES;
}

/* The owners of files in layers that are made and mounted depend on the answer. So no answer is an error, not a no. */
int overlay_supports_idmapped_lowers(struct overlay *o, bool *ret, cst_error **error)
{
	static const char feature[] = "idmapped-lower-dir";
	_cleanup_error_ cst_error *problem = NULL;
	enum overlay_known answer = recall(o, &o->idmapped_lowers);
	bool yes = false;

	if (answer == OVERLAY_UNKNOWN && geteuid() == 0) {
		answer = cache_read(o, feature);
		if (answer != OVERLAY_UNKNOWN)
			tell_cached(&idmapped_feature, answer);
	}
	if (answer != OVERLAY_UNKNOWN || geteuid() != 0 || o->read_only) {
		*ret = answer == OVERLAY_YES;
		return 0;
	}
	if (try_idmapped_again(o, &yes, &problem) == 0) {
		cache_write(o, feature, yes, "");
	} else if (is_refusal(problem)) {
		log_debug("finding out about %s: %s", feature, cst_error_message(problem));
		yes = false;
		if (is_lasting(problem))
			cache_write(o, feature, false, cst_error_message(problem));
	} else {
		int code = error_propagate(error, steal_ptr(&problem));
		return error_prefix(error, code, "finding out if ids can be mapped at mount time");
	}
	remember(o, &o->idmapped_lowers, yes);
	*ret = yes;
	return 0;
}
