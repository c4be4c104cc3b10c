/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An overlay mount with id-mapped lowers (docs/format/drivers.md, "Id-mapped mounts"). The kernel maps ids per mount. So the
 * home is cloned as a detached mount that has the maps, and every ancestor is opened below that clone. The kernel takes the
 * maps from a user namespace; one is kept for each set of maps.
 */
#include "base/fs.h"
#include "base/log.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#define CLOSE_ON_EXEC   O_CLOEXEC
#define ATTRIBUTE_IDMAP 0x00100000
#define MOVE_EMPTY      (0x4 | 0x40) /* MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH */
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#define HOLDER_STACK   (64 * 1024)
#define MAX_NAMESPACES 16

/*
 * Only a process can make a user namespace, and a process with threads cannot do it by unshare(). The namespace lives as long
 * as a process is in it or a descriptor of it is open. So this process clones a child that does nothing while the parent opens
 * three of its files in /proc, which takes about 50 microseconds. A library can do that, because the child
 *   - shares the memory (CLONE_VM): nothing is copied, and no copy of a lock stays locked. It runs on a stack of its own and
 *     makes three system calls, which cannot fail here, without libc: libc's wrappers would use the thread-local storage that
 *     the child shares with this thread (pause(3) is a cancellation point);
 *   - shares the table of descriptors (CLONE_FILES): it keeps no lock and no file open after its parent died;
 *   - has all signals blocked: no signal handler of the program runs in it;
 *   - has no exit signal: the program gets no SIGCHLD, and no wait() of the program finds the child. This file kills and reaps
 *     it by its pidfd;
 *   - dies with the thread that made it.
 */
__attribute__((no_sanitize("address", "thread", "undefined"))) static int hold_namespace(
        void *parent)
{
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (syscall(SYS_getppid) != *(const pid_t *)parent)
		syscall(SYS_exit, 0);
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	return 0;
}

struct holder {
	void *stack;
	pid_t pid, parent;
	int pidfd;
};

static void holder_stop(struct holder *h)
{
	siginfo_t info;

	if (h->pidfd >= 0) {
		(void)syscall(SYS_pidfd_send_signal, h->pidfd, SIGKILL, NULL, 0);
		while (waitid((idtype_t)P_PIDFD, (id_t)h->pidfd, &info, WEXITED | __WALL) < 0 &&
		       errno == EINTR)
			;
		closep(&h->pidfd);
	}
	if (h->stack)
		munmap(h->stack, HOLDER_STACK);
}

static int holder_start(struct holder *h, cst_error **error)
{
	sigset_t all, old;
	int errnum = 0;
	void *stack;

	stack = mmap(NULL, HOLDER_STACK, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return error_oom(error);
	h->stack = stack;
	h->parent = getpid();
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	h->pid = clone(hold_namespace, (char *)stack + HOLDER_STACK,
	               CLONE_NEWUSER | CLONE_VM | CLONE_FILES | CLONE_PIDFD, &h->parent, &h->pidfd);
	if (h->pid < 0)
		errnum = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (errnum) {
		h->pidfd = -1;
		if (errnum == ENOSPC || errnum == EUSERS) /* user.max_user_namespaces */
			errnum = EPERM;
		return error_sys(error, errnum, "creating a user namespace");
	}
	return 0;
}

static int open_proc(const struct holder *h, const char *name, int flags, int *ret_fd,
                     cst_error **error)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)h->pid, name);
	*ret_fd = open(path, flags | O_CLOEXEC);
	return *ret_fd < 0 ? error_sys(error, errno, "open %s", path) : 0;
}

static int write_map(int fd, const struct idmap *map, const char *what, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};

	for (size_t i = 0; i < map->len; i++)
		strbuf_addf(&text, "%u %u %u\n", map->ranges[i].container_id,
		            map->ranges[i].host_id, map->ranges[i].size);
	if (!map->len)
		strbuf_adds(&text, "0 0 4294967295\n");
	if (text.failed)
		return error_oom(error);
	/* The kernel takes a map in a single write. */
	if (sys_write(fd, text.data, text.len) != (ssize_t)text.len)
		return error_sys(error, errno, "writing the %s map of a user namespace", what);
	return 0;
}

static int make_namespace(const struct idmaps *maps, int *ret_fd, cst_error **error)
{
	_cleanup_close_ int ns_fd = -1, uid_fd = -1, gid_fd = -1;
	struct holder h = {.pidfd = -1};
	int r = holder_start(&h, error);
	if (r == 0)
		r = open_proc(&h, "ns/user", O_RDONLY, &ns_fd, error);
	if (r == 0)
		r = open_proc(&h, "uid_map", O_WRONLY, &uid_fd, error);
	if (r == 0)
		r = open_proc(&h, "gid_map", O_WRONLY, &gid_fd, error);
	holder_stop(&h);
	if (r == 0) /* the open files keep the namespace alive */
		r = write_map(uid_fd, &maps->uids, "uid", error);
	if (r == 0)
		r = write_map(gid_fd, &maps->gids, "gid", error);
	if (r == 0)
		*ret_fd = steal_fd(&ns_fd);
	return r;
}

static char *maps_key(const struct idmaps *maps)
{
	_cleanup_strbuf_ struct strbuf text = {0};

	for (size_t i = 0; i < maps->uids.len; i++)
		strbuf_addf(&text, "u%u:%u:%u", maps->uids.ranges[i].container_id,
		            maps->uids.ranges[i].host_id, maps->uids.ranges[i].size);
	for (size_t i = 0; i < maps->gids.len; i++)
		strbuf_addf(&text, "g%u:%u:%u", maps->gids.ranges[i].container_id,
		            maps->gids.ranges[i].host_id, maps->gids.ranges[i].size);
	return strbuf_steal(&text);
}

static int find_namespace(const struct overlay *o, const char *key)
{
	for (size_t i = 0; i < o->n_namespaces; i++)
		if (streq(o->namespaces[i].key, key))
			return fcntl(o->namespaces[i].fd, F_DUPFD_CLOEXEC, 0);
	return -1;
}

/* If the namespace cannot be kept, the next mount makes another one. */
static void keep_namespace(struct overlay *o, char **key, int fd)
{
	struct overlay_userns *grown;
	int copy;

	if (o->n_namespaces >= MAX_NAMESPACES)
		return;
	grown = grow_array(o->namespaces, &o->namespaces_capacity, o->n_namespaces + 1,
	                   sizeof(*grown));
	if (!grown)
		return;
	o->namespaces = grown;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		grown[o->n_namespaces++] =
		        (struct overlay_userns){.key = steal_ptr(key), .fd = copy};
}

/* Gives a descriptor of a user namespace that has these maps. The caller closes it. */
static int get_namespace(struct overlay *o, const struct idmaps *maps, int *ret_fd,
                         cst_error **error)
{
	_cleanup_free_ char *key = maps_key(maps);
	int r = 0, fd;

	if (!key)
		return error_oom(error);
	pthread_mutex_lock(&o->lock);
	fd = find_namespace(o, key);
	if (fd < 0) {
		r = make_namespace(maps, &fd, error);
		if (r == 0)
			keep_namespace(o, &key, fd);
	}
	pthread_mutex_unlock(&o->lock);
	if (r == 0)
		*ret_fd = fd;
	return r;
}

static int clone_mapped(const char *path, int path_fd, int userns_fd, int *ret_fd,
                        cst_error **error)
{
	struct mount_attr_v0 attributes = {.attr_set = ATTRIBUTE_IDMAP,
	                                   .propagation = MS_PRIVATE,
	                                   .userns_fd = (uint64_t)userns_fd};
	_cleanup_close_ int tree =
	        sys_open_tree(path_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | CLOSE_ON_EXEC);

	if (tree < 0)
		return error_sys(error, errno, "open_tree %s", path);
	if (sys_mount_setattr(tree, "", AT_EMPTY_PATH, &attributes) < 0)
		return error_sys(error, errno, "mapping the ids of %s", path);
	*ret_fd = steal_fd(&tree);
	return 0;
}

/* Makes detached clones of the homes that map ids. */
static int clone_dirs(const struct overlay *o, const struct overlay_dirs *dirs, int userns_fd,
                      struct overlay_dirs *ret, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs clones = {.fds = new0(int, dirs->n)};
	if (!clones.fds)
		return error_oom(error);
	int r = 0;
	for (; r == 0 && clones.n < dirs->n; clones.n++) {
		clones.fds[clones.n] = -1;
		if (dirs->fds[clones.n] >= 0)
			r = clone_mapped(o->homes[clones.n].path, dirs->fds[clones.n], userns_fd,
			                 &clones.fds[clones.n], error);
	}
	if (r < 0)
		return r;
	*ret = clones;
	clones = (struct overlay_dirs){0};
	return 0;
}

/* A directory of an additional layer store is in no home, so it gets a clone of its own, behind those of the homes. */
static int clone_foreign(struct overlay_lower *lower, int userns_fd, struct overlay_dirs *clones,
                         cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int *fds = realloc(clones->fds, (clones->n + 1) * sizeof(*fds));
	if (!fds)
		return error_oom(error);
	clones->fds = fds;
	int r = overlay_foreign_open(lower->foreign, O_PATH, &fd, error);
	if (r == 0)
		r = clone_mapped(lower->foreign, fd, userns_fd, &fds[clones->n], error);
	if (r == 0)
		lower->clone = clones->n++;
	return r;
}

/* Copies the list of lowers, with their clones. */
static int clone_lowers(const struct overlay_lowers *lowers, int userns_fd,
                        struct overlay_dirs *clones, struct overlay_lowers *ret, cst_error **error)
{
	int r = 0;
	ret->items = new0(struct overlay_lower, lowers->len + 1);
	if (!ret->items)
		return error_oom(error);
	for (; r == 0 && ret->len < lowers->len; ret->len++) {
		struct overlay_lower *copy = &ret->items[ret->len];
		*copy = lowers->items[ret->len];
		copy->path = strdup(copy->path);
		if (copy->foreign)
			copy->foreign = strdup(copy->foreign);
		if (!copy->path || (copy->kind == DRIVER_CONTENT_FOREIGN && !copy->foreign)) {
			ret->len++;
			return error_oom(error);
		}
		if (copy->kind == DRIVER_CONTENT_FOREIGN)
			r = clone_foreign(copy, userns_fd, clones, error);
	}
	return r;
}

/* Linux before 6.15 refuses lowers that are attached nowhere. So the clones are attached at <layer>/mapped/<n> while the mount is
 * made. */
static int attach(const struct overlay_dirs *clones, int layer_fd, const char *layer_path,
                  cst_error **error)
{
	char name[32];

	if (sys_mkdirat(layer_fd, "mapped", 0700) < 0 && errno != EEXIST)
		return error_sys(error, errno, "mkdir %s/mapped", layer_path);
	for (size_t i = 0; i < clones->n; i++) {
		_cleanup_close_ int fd = -1;

		if (clones->fds[i] < 0)
			continue;
		snprintf(name, sizeof(name), "mapped/%zu", i);
		if (sys_mkdirat(layer_fd, name, 0700) < 0 && errno != EEXIST)
			return error_sys(error, errno, "mkdir %s/%s", layer_path, name);
		fd = openat(layer_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || sys_move_mount(clones->fds[i], "", fd, "", MOVE_EMPTY) < 0)
			return error_sys(error, errno, "mounting %s/%s", layer_path, name);
	}
	return 0;
}

void overlay_idmapped_detach(int layer_fd, const char *layer_path)
{
	_cleanup_strv_ struct strv names = {0};
	_cleanup_close_ int fd =
	        openat(layer_fd, "mapped", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_error_ cst_error *problem = NULL;

	if (fd < 0 || fs_list_dir(fd, ".", &names, layer_path, &problem) < 0)
		return;
	for (size_t i = 0; i < names.len; i++) {
		_cleanup_free_ char *path = str_printf("%s/mapped/%s", layer_path, names.items[i]);
		_cleanup_error_ cst_error *error = NULL;

		if (path && overlay_unmount(fd, names.items[i], path, &error) < 0)
			log_warning("%s", cst_error_message(error));
	}
}

int overlay_mount_idmapped_at(struct overlay *o, const struct overlay_mount *mount,
                              const struct idmaps *maps, int layer_fd, const char *layer_path,
                              int target_fd, const char *target, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_dirs_ struct overlay_dirs clones = {0};
	_cleanup_lowers_ struct overlay_lowers lowers = {0};
	_cleanup_close_ int userns_fd = -1;
	struct overlay_mount mapped = *mount;
	int r = get_namespace(o, maps, &userns_fd, error);
	if (r == 0)
		r = clone_dirs(o, mount->dirs, userns_fd, &clones, error);
	if (r == 0)
		r = clone_lowers(mount->lowers, userns_fd, &clones, &lowers, error);
	if (r < 0)
		return r;
	mapped.dirs = &clones;
	mapped.lowers = &lowers;
	mapped.data_dirs = mount->dirs;
	mapped.mapped = true;
	mapped.userns_fd = userns_fd;
	r = overlay_mount_at(o, &mapped, target_fd, target, &problem);
	if (r == 0 || cst_error_errno(problem) != EINVAL)
		return r == 0 ? 0 : error_propagate(error, steal_ptr(&problem));
	r = attach(&clones, layer_fd, layer_path, error);
	if (r == 0)
		r = overlay_mount_at(o, &mapped, target_fd, target, error);
	overlay_idmapped_detach(layer_fd, layer_path);
	return r;
}
