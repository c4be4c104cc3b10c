/* SPDX-License-Identifier: Apache-2.0 */
/* Removes the subtrees of a large tree on all processors: the kernel unlinks in different directories at the same time. The
 * directories near the top stay, for the caller, who also meets again what could not be removed here, and says why. */
#include "base/fs_remove.h"
#include "base/pool.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* So many subtrees for each thread, that none has to wait long for the last one; and so many directories are open meanwhile. */
#define SUBTREES_EACH 16
#define OPEN_MAX      64

struct crew;

struct subtree {
	struct task task;
	struct crew *crew;
	int dirfd; /* of the directory that it is in */
	char *name;
};

struct crew {
	int open[OPEN_MAX];
	size_t n_open;
	struct subtree *subtrees;
	size_t n, capacity;
	size_t n_divided; /* of which what is in them was added */
	const struct fs_watch *watch;
	pthread_t caller;
	_Atomic uint64_t untold; /* removed by other threads than the caller's */
	_Atomic size_t left;
};

static void crew_free(struct crew *crew)
{
	for (size_t i = 0; i < crew->n; i++)
		free(crew->subtrees[i].name);
	free(crew->subtrees);
	for (size_t i = 0; i < crew->n_open; i++)
		close(crew->open[i]);
}

/* ---- which subtrees ---- */

static bool add_subtree(struct crew *crew, int dirfd, const char *name)
{
	struct subtree *grown =
	        grow_array(crew->subtrees, &crew->capacity, crew->n + 1, sizeof(*grown));
	if (!grown)
		return false;
	crew->subtrees = grown;
	grown[crew->n] = (struct subtree){.crew = crew, .dirfd = dirfd, .name = strdup(name)};
	if (!grown[crew->n].name)
		return false;
	crew->n++;
	return true;
}

/* Adds the directories in <dirfd>/<name>, which stays open. What has no type in the list is left to the caller, and so is what
 * cannot be opened. False: there is no memory for more. */
static bool divide(struct crew *crew, int dirfd, const char *name)
{
	int fd = fs_open_same_mount(dirfd, name);
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	bool ok = true;
	if (fd >= 0)
		crew->open[crew->n_open++] = fd;
	if (!list) {
		closep(&copy);
		return true;
	}
	for (struct dirent *entry; ok && (entry = readdir(list));) {
		if (entry->d_type == DT_DIR && !streq(entry->d_name, ".") &&
		    !streq(entry->d_name, ".."))
			ok = add_subtree(crew, fd, entry->d_name);
	}
	closedir(list);
	return ok;
}

/* Level by level. False: there is nothing that several could do. */
static bool find_subtrees(struct crew *crew, int dirfd, const char *name, size_t wanted)
{
	bool ok = divide(crew, dirfd, name);
	while (ok && crew->n - crew->n_divided < wanted && crew->n_divided < crew->n &&
	       crew->n_open < OPEN_MAX) {
		const struct subtree *next = &crew->subtrees[crew->n_divided++];
		ok = divide(crew, next->dirfd, next->name);
	}
	crew->left = crew->n - crew->n_divided;
	return ok && crew->left > 1;
}

/* ---- removing them ---- */

static void tell(struct crew *crew)
{
	for (uint64_t n = atomic_exchange(&crew->untold, 0); n > 0; n--)
		crew->watch->removed(crew->watch->userdata);
}

static void note_removed(void *userdata)
{
	struct crew *crew = userdata;
	atomic_fetch_add(&crew->untold, 1);
	if (pthread_equal(pthread_self(), crew->caller))
		tell(crew);
}

static void remove_subtree(struct task *task)
{
	struct subtree *subtree = (struct subtree *)((char *)task - offsetof(struct subtree, task));
	struct crew *crew = subtree->crew;
	const struct fs_watch watch = {.removed = note_removed, .userdata = crew};
	(void)fs_remove_alone(subtree->dirfd, subtree->name, crew->watch ? &watch : NULL);
	atomic_fetch_sub(&crew->left, 1);
}

static bool none_left(void *userdata)
{
	const struct crew *crew = userdata;
	return atomic_load(&crew->left) == 0;
}

void fs_remove_many(int dirfd, const char *name, const struct fs_watch *watch)
{
	const unsigned cpus = pool_cpu_count();
	_cleanup_(crew_free) struct crew crew = {.watch = watch, .caller = pthread_self()};
	_cleanup_pool_ struct pool *pool = NULL;
	if (cpus == 1 || !find_subtrees(&crew, dirfd, name, (size_t)cpus * SUBTREES_EACH) ||
	    pool_new(cpus - 1, &pool, NULL) < 0)
		return;
	for (size_t i = crew.n_divided; i < crew.n; i++) {
		crew.subtrees[i].task.run = remove_subtree;
		pool_submit(pool, &crew.subtrees[i].task);
	}
	pool_wait(pool, none_left, &crew);
	if (watch)
		tell(&crew);
}
