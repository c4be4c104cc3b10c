/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tree/copy_files.h"
#include "archive/tree/copy_data.h"
#include "archive/tree/xattrs.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/sys.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define ALONE   64 /* so many files are filled before other threads are worth starting */
#define BATCH   4  /* files of a task */
#define RUNNING 4  /* tasks at most */
/* Descriptors that other threads may hold, and some for the walk. */
#define DESCRIPTORS (2 * BATCH * (RUNNING + 1) + 16)

struct batch {
	struct task task;
	struct copy_files *files;
	struct copy_file items[BATCH];
	size_t n;
};

struct copy_files {
	bool sync;
	rlim_t limit;       /* of descriptors */
	struct pool *pool;  /* NULL: not yet */
	struct batch *next; /* being collected */
	size_t seen;
	atomic_uint running;
	atomic_uint_fast64_t bytes;
	pthread_mutex_t lock; /* of: */
	struct copy_ways ways;
	cst_error *problem; /* the first */
};

void copy_file_done(struct copy_file *file)
{
	closep(&file->from);
	closep(&file->to);
	free(file->path);
	*file = (struct copy_file){.from = -1, .to = -1};
}

/* ---- one file ---- */

/* overlay's notes about other inodes would be lies in a copy (kernel:
 * Documentation/filesystems/overlayfs.rst). */
static bool is_copied(const char *name)
{
	static const char *const bookkeeping[] = {"origin", "impure", "uuid", "nlink", "upper"};
	const char *rest = has_prefix(name, "trusted.overlay.") ? name + 16
	                   : has_prefix(name, "user.overlay.")  ? name + 13
	                                                        : NULL;
	for (size_t i = 0; rest && i < ARRAY_SIZE(bookkeeping); i++)
		if (streq(rest, bookkeeping[i]))
			return false;
	return true;
}

/* A new file may have inherited attributes (ACLs, labels). */
int copy_xattrs(int from_dir, int to_dir, const char *name, int to, const char *shown,
                cst_error **error)
{
	_cleanup_xattrs_ struct xattrs xattrs = {0}, inherited = {0};
	int r = xattrs_read(from_dir, name, is_copied, &xattrs, shown, error);
	if (r < 0 || (r = xattrs_read(to_dir, name, is_copied, &inherited, shown, error)) < 0)
		return r;
	if (xattrs_equal(&xattrs, &inherited))
		return 0;
	for (size_t i = 0; i < xattrs.len; i++) {
		const struct tar_xattr *item = &xattrs.items[i];
		if (sys_fsetxattr(to, item->name, item->value, item->len, 0) == 0)
			continue;
		if (errno != EOPNOTSUPP &&
		    !(errno == EPERM && has_prefix(item->name, "trusted.")) &&
		    !streq(item->name, "security.selinux"))
			return error_sys(error, errno, "lsetxattr %s of %s", item->name, shown);
		log_warning("attribute %s of %s is not copied: %s", item->name, shown,
		            errno_text(errno));
	}
	return 0;
}

/* What one thread found out about the ways of copying, the others need not try. */
static int fill_content(struct copy_files *files, const struct copy_file *file, cst_error **error)
{
	pthread_mutex_lock(&files->lock);
	struct copy_ways ways = files->ways;
	pthread_mutex_unlock(&files->lock);
	int r = copy_data(file->from, file->to, file->stat.st_size, &ways, file->path, error);
	pthread_mutex_lock(&files->lock);
	files->ways.no_clone |= ways.no_clone;
	files->ways.no_range |= ways.no_range;
	pthread_mutex_unlock(&files->lock);
	return r;
}

/* The mode comes after the owner, so that set-id bits outlive that. */
static int fill(struct copy_files *files, struct copy_file *file, cst_error **error)
{
	const struct stat *st = &file->stat;
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	int r = st->st_size > 0 ? fill_content(files, file, error) : 0;
	if (r < 0)
		return r;
	if (sys_fchown(file->to, file->uid, file->gid) < 0)
		return error_sys(error, errno, "chown %s", file->path);
	r = copy_xattrs(file->from, file->to, NULL, file->to, file->path, error);
	if (r < 0)
		return r;
	if (sys_fchmod(file->to, st->st_mode & 07777) < 0)
		return error_sys(error, errno, "chmod %s", file->path);
	if (sys_futimens(file->to, times) < 0)
		return error_sys(error, errno, "futimens %s", file->path);
	if (files->sync)
		(void)sys_sync_file_range(file->to, 0, 0, 2 /* SYNC_FILE_RANGE_WRITE */);
	atomic_fetch_add(&files->bytes, (uint64_t)st->st_size);
	return sys_close_checked(steal_fd(&file->to)) < 0
	               ? error_sys(error, errno, "close %s", file->path)
	               : 0;
}

/* ---- many ---- */

static void fill_and_note(struct copy_files *files, struct copy_file *file)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (fill(files, file, &problem) < 0) {
		pthread_mutex_lock(&files->lock);
		if (!files->problem)
			files->problem = steal_ptr(&problem);
		pthread_mutex_unlock(&files->lock);
	}
	copy_file_done(file);
}

static void run_batch(struct task *task)
{
	struct batch *batch = (struct batch *)task;
	struct copy_files *files = batch->files;
	for (size_t i = 0; i < batch->n; i++)
		fill_and_note(files, &batch->items[i]);
	free(batch);
	atomic_fetch_sub(&files->running, 1);
}

static bool has_room(void *arg)
{
	struct copy_files *files = arg;
	return atomic_load(&files->running) < RUNNING;
}

static bool is_idle(void *arg)
{
	struct copy_files *files = arg;
	return atomic_load(&files->running) == 0;
}

static void submit(struct copy_files *files)
{
	if (!files->next)
		return;
	pool_wait(files->pool, has_room, files);
	atomic_fetch_add(&files->running, 1);
	pool_submit(files->pool, &steal_ptr(&files->next)->task);
}

static void drain(struct copy_files *files)
{
	if (!files->pool)
		return;
	submit(files);
	pool_wait(files->pool, is_idle, files);
}

static int first_problem(struct copy_files *files, cst_error **error)
{
	pthread_mutex_lock(&files->lock);
	cst_error *problem = steal_ptr(&files->problem);
	pthread_mutex_unlock(&files->lock);
	return problem ? error_propagate(error, problem) : 0;
}

/* Without other threads the caller goes on alone. */
static void start_threads(struct copy_files *files)
{
	struct rlimit limit = {0};
	unsigned n = pool_cpu_count();
	if (n > 1 && getrlimit(RLIMIT_NOFILE, &limit) == 0)
		(void)pool_new(n, &files->pool, NULL);
	files->limit = limit.rlim_cur;
}

/* A new descriptor gets the lowest number that is free. So there are this many more, at least. */
static bool has_descriptors(const struct copy_files *files, const struct copy_file *file)
{
	return files->limit > (rlim_t)MAX(file->from, file->to) + DESCRIPTORS;
}

/* Puts it with others for a thread. */
static int collect(struct copy_files *files, struct copy_file *file, cst_error **error)
{
	if (!files->next) {
		files->next = new0(struct batch, 1);
		if (!files->next)
			return error_oom(error);
		files->next->task.run = run_batch;
		files->next->files = files;
	}
	files->next->items[files->next->n++] = *file;
	*file = (struct copy_file){.from = -1, .to = -1};
	if (files->next->n == BATCH)
		submit(files);
	return 0;
}

int copy_files_add(struct copy_files *files, struct copy_file *file, cst_error **error)
{
	int r = 0;
	if (files->seen++ == ALONE)
		start_threads(files);
	if (files->pool && has_descriptors(files, file)) {
		r = collect(files, file, error);
	} else {
		drain(files);
		fill_and_note(files, file);
	}
	return r < 0 ? r : first_problem(files, error);
}

int copy_files_wait(struct copy_files *files, cst_error **error)
{
	drain(files);
	return first_problem(files, error);
}

uint64_t copy_files_bytes(struct copy_files *files)
{
	return atomic_load(&files->bytes);
}

int copy_files_new(bool sync, struct copy_files **ret, cst_error **error)
{
	struct copy_files *files = new0(struct copy_files, 1);
	if (!files)
		return error_oom(error);
	files->sync = sync;
	pthread_mutex_init(&files->lock, NULL);
	*ret = files;
	return 0;
}

void copy_files_free(struct copy_files *files)
{
	if (!files)
		return;
	drain(files);
	pool_free(files->pool);
	pthread_mutex_destroy(&files->lock);
	error_freep(&files->problem);
	free(files);
}
