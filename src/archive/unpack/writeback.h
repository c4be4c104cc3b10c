/* SPDX-License-Identifier: Apache-2.0 */
/* Write-back of files that are complete starts early, on a thread of its own: the kernel makes whoever starts it wait for the disk. */
#ifndef CST_ARCHIVE_UNPACK_WRITEBACK_H
#define CST_ARCHIVE_UNPACK_WRITEBACK_H

#include <pthread.h>
#include <stdbool.h>

#define WRITEBACK_FILES 64

struct writeback {
	pthread_mutex_t lock;
	pthread_cond_t change;
	pthread_t thread;
	bool started, ending;
	int files[WRITEBACK_FILES]; /* a ring */
	unsigned first, n, max;
};
void writeback_init(struct writeback *w, unsigned max); /* at most so many descriptors are kept; 0: nothing starts early */
/* Keeps a copy of the descriptor. A file for which there is no room is left to whoever waits for all of them. */
void writeback_add(struct writeback *w, int fd);
void writeback_free(struct writeback *w);

#endif
