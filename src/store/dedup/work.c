/* SPDX-License-Identifier: Apache-2.0 */
/* What the tasks share (dedup.h). */
#include "base/fs.h"
#include "base/log.h"
#include "base/types.h"
#include "driver/backing.h"
#include "store/dedup/dedup.h"
#include <errno.h>

int dedup_progress(struct dedup *d, uint64_t bytes, cst_error **error)
{
	cst_progress_state state = {
	        .size = sizeof(state), .what = "dedup", .bytes_total = d->bytes_total};
	state.bytes_done = atomic_fetch_add(&d->bytes_done, bytes) + bytes;
	if (atomic_load(&d->stop))
		return error_set(error, CST_ECANCELED, "canceled");
	if (!pthread_equal(pthread_self(), d->caller))
		return 0;
	return progress_tell(d->options.progress, &state, error);
}

void dedup_fail(struct dedup *d, int code, cst_error *error)
{
	pthread_mutex_lock(&d->lock);
	if (d->result == 0) {
		d->result = code;
		d->error = steal_ptr(&error);
	}
	pthread_mutex_unlock(&d->lock);
	cst_error_free(error);
	atomic_store(&d->stop, true);
}

struct waiting {
	struct dedup *dedup;
	size_t n;
};

static bool few_are_left(void *arg)
{
	const struct waiting *waiting = arg;
	return atomic_load(&waiting->dedup->n_running) <= waiting->n;
}

void dedup_wait(struct dedup *d, size_t n)
{
	struct waiting waiting = {.dedup = d, .n = n};
	pool_wait(d->pool, few_are_left, &waiting);
}

/* A file that is read for this has its time of access as before, where the kernel lets us. */
static int open_quietly(int dirfd, const char *name)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(dirfd, name, flags | O_NOATIME);
	return fd >= 0 || errno != EPERM ? fd : openat(dirfd, name, flags);
}

void dedup_leave(struct dedup *d, const struct dedup_file *file, int errnum)
{
	log_warning("%s/%s/%s/%s is left as it is: %s", file->layer->root->path, file->layer->path,
	            file->directory, file->name, errno_text(errnum));
	atomic_fetch_add(&d->left, 1);
}

int dedup_open(struct dedup *d, const struct dedup_file *file, struct stat *st)
{
	_cleanup_free_ char *path = path_join(file->layer->path, file->directory);
	_cleanup_close_ int dir = -1, fd = -1;
	dir = path ? fs_open_dir_below(file->layer->root->fd, path, O_PATH) : -1;
	fd = dir < 0 ? -1 : open_quietly(dir, file->name);
	if (fd < 0 || fstat(fd, st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			dedup_leave(d, file, errno);
		return -1;
	}
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == file->size ? steal_fd(&fd) : -1;
}

int dedup_cannot(const struct dedup_root *root, cst_error **error)
{
	uint32_t magic = 0;
	int r = backing_magic(root->path, &magic, error);
	if (r < 0)
		return r;
	return error_set(error, CST_ENOTSUP,
	                 "the file system of %s (%s) cannot let files share blocks; btrfs can, and "
	                 "xfs that was made with reflink=1",
	                 root->path, backing_name(magic));
}
