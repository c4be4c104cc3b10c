/* SPDX-License-Identifier: Apache-2.0 */
#include "driver/quota.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/sys.h"
#include "config/size.h"
#include "driver/option.h"
#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/random.h>

#define PROJECT_QUOTA 2 /* PRJQUOTA of linux/quota.h */
#define BLOCK         512
#define NODE          "backingFsBlockDev"

/* ---- quotactl ---- */

/* The node of the home's device, for kernels without quotactl_fd(). The Go tools make it anew whenever they start. Another process
 * may be making it at this moment. */
static int make_node(const char *home, const char *node)
{
	struct stat st;
	if (stat(home, &st) < 0)
		return -1;
	int r = sys_mknodat(AT_FDCWD, node, S_IFBLK | 0600, st.st_dev);
	return r < 0 && errno == EEXIST ? 0 : r;
}

static int control(const char *home, int command, uint32_t id, void *argument)
{
	_cleanup_close_ int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -1 : sys_quotactl_fd(fd, QCMD(command, PROJECT_QUOTA), id, argument);
	if (r == 0 || fd < 0 || errno != ENOSYS)
		return r;
	_cleanup_free_ char *node = path_join(home, NODE);
	if (!node)
		return -1;
	r = sys_quotactl(node, QCMD(command, PROJECT_QUOTA), id, argument);
	if (r == 0 || errno != ENOENT || make_node(home, node) < 0)
		return r;
	return sys_quotactl(node, QCMD(command, PROJECT_QUOTA), id, argument);
}

static int set_limits(const char *home, uint32_t id, const struct driver_quota *limits)
{
	struct fs_disk_quota quota = {
	        .d_version = FS_DQUOT_VERSION,
	        .d_id = id,
	        .d_flags = FS_PROJ_QUOTA,
	        .d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT | FS_DQ_IHARD | FS_DQ_ISOFT,
	        .d_blk_hardlimit = limits->bytes / BLOCK,
	        .d_blk_softlimit = limits->bytes / BLOCK,
	        .d_ino_hardlimit = limits->inodes,
	        .d_ino_softlimit = limits->inodes,
	};
	return control(home, Q_XSETQLIM, id, &quota);
}

/* A project that the file system never heard of is an empty one. */
static int look_up(const char *home, uint32_t id, struct fs_disk_quota *ret)
{
	*ret = (struct fs_disk_quota){0};
	int r = control(home, Q_XGETQUOTA, id, ret);
	return r < 0 && errno == ENOENT ? 0 : r;
}

/* ---- the project of a directory ---- */

/* 0: it has none. */
static int project_of(int fd, uint32_t *ret)
{
	struct fsxattr attributes = {0};
	if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0)
		return -1;
	*ret = attributes.fsx_projid;
	return 0;
}

static int set_project(int fd, uint32_t id)
{
	struct fsxattr attributes = {0};
	if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0)
		return -1;
	attributes.fsx_projid = id;
	attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	return sys_set_project(fd, &attributes);
}

/* The number from which on the Go tools give out the projects of this home. */
static int first_of_go(const char *home, uint32_t *ret)
{
	_cleanup_close_ int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	uint32_t own = 0;
	if (fd < 0 || fstat(fd, &st) < 0 || project_of(fd, &own) < 0)
		return -1;
	*ret = own ? own : (uint32_t)(10000 + st.st_ino * 10000 % (UINT64_C(0xffffffff) - 10000));
	return 0;
}

/* A number of ours that nobody uses. */
static int choose(const char *home, uint32_t end, uint32_t *ret)
{
	uint32_t begin = MIN(end / 2, UINT32_C(10000)), random;
	for (unsigned tries = 0; tries < 100; tries++) {
		struct fs_disk_quota found;
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -1;
		*ret = begin + random % (end - begin);
		if (*ret == 0)
			continue;
		if (look_up(home, *ret, &found) < 0)
			return -1;
		if (!found.d_bcount && !found.d_icount && !found.d_blk_hardlimit &&
		    !found.d_ino_hardlimit)
			return 0;
	}
	errno = EUSERS;
	return -1;
}

/* ---- directories that layers are moved into ---- */

/* An administrator may give the home a project, and with it everything that was in there. Into a directory that passes its project
 * on nothing of another project can be moved: EXDEV. */
static int pass_on_no_project(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct fsxattr attributes = {0};
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0)
		return -1;
	if (!(attributes.fsx_xflags & FS_XFLAG_PROJINHERIT))
		return 0;
	attributes.fsx_xflags &= ~(uint32_t)FS_XFLAG_PROJINHERIT;
	return sys_set_project(fd, &attributes);
}

static int prepare_home(const char *home, cst_error **error)
{
	static const char *const places[] = {"", "dir", "staging", "tempdirs"};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = path_join(home, places[i]);
		if (!path)
			return error_oom(error);
		if (pass_on_no_project(path) < 0)
			return error_sys(error, errno,
			                 "failed to strip project inherit flag from %s", path);
	}
	return 0;
}

/* ---- what drivers call ---- */

int quota_parse(const struct driver_stage_options *options, struct driver_quota *ret,
                cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < options->n_storage_options; i++) {
		const char *option = options->storage_options[i], *value;
		_cleanup_free_ char *key = NULL;
		r = driver_split_layer_option(option, &key, &value, error);
		if (r < 0)
			return r;
		bool size = streq(key, "size");
		if (!value || (!size && !streq(key, "inodes")))
			return error_set(error, CST_EINVAL, "unknown option %s", key);
		if (!options->writable)
			return error_set(error, CST_EINVAL,
			                 "--storage-opt %s is only supported for ReadWrite Layers",
			                 key);
		r = size ? size_parse(value, &ret->bytes, error)
		         : driver_parse_number("ParseUint", value, 10, UINT64_MAX, &ret->inodes,
		                               error);
	}
	return r;
}

int quota_probe(const char *home, cst_error **error)
{
	struct fs_quota_stat state = {0};
	uint32_t id;
	if (first_of_go(home, &id) < 0)
		return error_wrap_code(error, CST_ENOTSUP, "failed to get projid for %s", home);
	if (control(home, Q_XGETQSTAT, 0, &state) == 0 && state.qs_flags & FS_QUOTA_PDQ_ENFD)
		return prepare_home(home, error);
	return error_set(error, CST_ENOTSUP,
	                 "failed to set quota limit for projid %u on %s/" NODE ": %s", id, home,
	                 errno_text(state.qs_version ? ESRCH : errno));
}

int quota_assign(const char *home, int dirfd, const struct driver_quota *limits, cst_error **error)
{
	uint32_t end, id;
	struct fs_disk_quota found;
	int r = first_of_go(home, &end);
	do {
		r = r < 0 ? r : choose(home, end, &id);
		r = r < 0 ? r : set_project(dirfd, id);
		r = r < 0 ? r : look_up(home, id, &found);
		/* Another process took the same number at this moment. */
	} while (r == 0 && found.d_icount > 1);
	r = r < 0 ? r : set_limits(home, id, limits);
	return r < 0 ? error_sys(error, errno, "set the quota of a new layer in %s", home) : 0;
}

int quota_share(int from_fd, int to_fd, const char *shown, cst_error **error)
{
	uint32_t id = 0;
	if (project_of(from_fd, &id) < 0 || id == 0)
		return 0;
	if (set_project(to_fd, id) < 0)
		return error_sys(error, errno, "set the project of %s", shown);
	return 0;
}

void quota_release(const char *home, int dirfd)
{
	static const struct driver_quota none = {0};
	_cleanup_close_ int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t id = 0, own = 0;
	if (project_of(dirfd, &id) < 0 || id == 0)
		return;
	/* Of the home's own project an administrator says what it may hold. */
	if (fd < 0 || project_of(fd, &own) < 0 || id == own)
		return;
	if (set_limits(home, id, &none) < 0)
		log_warning("the limits of project %u in %s stay: %s", id, home, errno_text(errno));
}
