/* SPDX-License-Identifier: Apache-2.0 */
/* Starts write-back of files (writeback.h). */
#include "archive/unpack/writeback.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/thread.h"
#include <fcntl.h>
#include <unistd.h>

void writeback_init(struct writeback *w, unsigned max)
{
	*w = (struct writeback){.max = MIN(max, WRITEBACK_FILES)};
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->change, NULL);
}

static int take_file(struct writeback *w)
{
	int fd = w->files[w->first];

	w->first = (w->first + 1) % WRITEBACK_FILES;
	w->n--;
	return fd;
}

static void *run(void *argument)
{
	struct writeback *w = argument;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->n == 0 && !w->ending)
			pthread_cond_wait(&w->change, &w->lock);
		if (w->ending)
			break;
		int fd = take_file(w);
		pthread_mutex_unlock(&w->lock);
		(void)sys_sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		close(fd);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

void writeback_add(struct writeback *w, int fd)
{
	pthread_mutex_lock(&w->lock);
	if (!w->started && w->max > 0) {
		w->started = thread_start(&w->thread, run, w) == 0;
		if (!w->started)
			w->max = 0;
	}
	int copy = w->n < w->max ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (copy >= 0) {
		w->files[(w->first + w->n++) % WRITEBACK_FILES] = copy;
		pthread_cond_signal(&w->change);
	}
	pthread_mutex_unlock(&w->lock);
}

void writeback_free(struct writeback *w)
{
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_cond_signal(&w->change);
	pthread_mutex_unlock(&w->lock);
	if (w->started)
		pthread_join(w->thread, NULL);
	while (w->n > 0)
		close(take_file(w));
	pthread_cond_destroy(&w->change);
	pthread_mutex_destroy(&w->lock);
}
