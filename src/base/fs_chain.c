/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the directories on the way down a tree open, or opens them again (fs_chain.h). */
#include "base/fs_chain.h"
#include "base/fs.h"
#include <errno.h>
#include <unistd.h>

static void close_link(struct fs_chain *chain, size_t at)
{
	closep(&chain->links[chain->open[at]].fd);
	chain->links[chain->open[at]].fd = -1;
	chain->n_open--;
	memmove(&chain->open[at], &chain->open[at + 1], (chain->n_open - at) * sizeof(size_t));
}

/* Closes one if there are too many: the one whose absence leaves the smallest gap for its distance
 * from the innermost. */
static void thin_out(struct fs_chain *chain)
{
	size_t last = chain->n_open - 1, best = 0, best_gap = 0, best_distance = 1;
	if (last <= chain->limit)
		return;
	for (size_t i = 1; i < last; i++) {
		size_t gap = chain->open[i + 1] - chain->open[i - 1];
		size_t distance = chain->open[last] - chain->open[i + 1] + 1;
		if (best == 0 || gap * best_distance < best_gap * distance) {
			best = i;
			best_gap = gap;
			best_distance = distance;
		}
	}
	close_link(chain, best);
}

static void note_open(struct fs_chain *chain, size_t index, int fd)
{
	chain->links[index].fd = fd;
	chain->open[chain->n_open++] = index;
	thin_out(chain);
}

int fs_chain_push(struct fs_chain *chain, int fd, size_t path_len)
{
	struct stat st;
	struct fs_chain_link *grown =
	        grow_array(chain->links, &chain->capacity, chain->len + 1, sizeof(*grown));
	if (grown)
		chain->links = grown;
	else
		errno = ENOMEM;
	if (!grown || fstat(fd, &st) < 0) {
		if (chain->len > 0)
			closep(&fd);
		return -1;
	}
	grown[chain->len] = (struct fs_chain_link){.dev = st.st_dev, st.st_ino, path_len};
	note_open(chain, chain->len++, fd);
	return 0;
}

/* Opens the directory at `index` by name from the one at `from`, which is above it and open. */
static int open_again(const struct fs_chain *chain, size_t from, size_t index, char *path)
{
	const struct fs_chain_link *above = &chain->links[from], *link = &chain->links[index];
	const char *start = path + above->path_len + (above->path_len > 0);
	char behind = path[link->path_len];
	path[link->path_len] = '\0';
	_cleanup_close_ int fd = fs_open_dir_below(above->fd, start, O_RDONLY);
	path[link->path_len] = behind;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (st.st_dev == link->dev && st.st_ino == link->ino)
		return steal_fd(&fd);
	errno = ESTALE;
	return -1;
}

int fs_chain_pop(struct fs_chain *chain, char *path)
{
	if (chain->len == 1)
		chain->n_open = 0; /* the caller's */
	else
		close_link(chain, chain->n_open - 1);
	chain->len--;
	for (size_t from;
	     chain->len > 0 && (from = chain->open[chain->n_open - 1]) < chain->len - 1;) {
		/* Half of the way stays open: the next ones begin there. */
		size_t index = from + (chain->len - from) / 2;
		int fd = open_again(chain, from, index, path);
		if (fd < 0)
			return -1;
		note_open(chain, index, fd);
	}
	return 0;
}

void fs_chain_free(struct fs_chain *chain)
{
	while (chain->n_open > 1)
		close_link(chain, chain->n_open - 1);
	free(chain->links);
	*chain = (struct fs_chain){0};
}
