/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to a directory, one component after the other. Symlinks are followed inside the root. A directory that is missing here
 * may be there in the layers below: then it is made with the attributes that it has below. One that is nowhere is made if
 * the archive names it; a symlink to nothing leads nowhere, as in a full tree (docs/format/archive.md, "One meaning on all drivers").
 */
#include "archive/unpack/way.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel: MAXSYMLINKS */

void way_end(struct way *way)
{
	closep(&way->fd);
	strbuf_free(&way->path);
	free(way->rest);
	*way = (struct way)WAY_INIT;
}

static int fail(int errnum)
{
	errno = errnum;
	return -1;
}

/* ---- making a directory ---- */

/* `below`: the directory whose attributes it gets; -1: none. `opaque`: what is below stays hidden. Returns its descriptor. */
static int make_directory(struct way *way, const char *name, int below, bool opaque)
{
	struct target *t = way->target;
	struct place place = place_of(&t->making, way->fd, name);

	if (sys_mkdirat(place.fd, place.name, 0755) < 0)
		return -1;
	_cleanup_close_ int fd =
	        openat(place.fd, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if ((below < 0 ? metadata_default(&t->metadata, fd)
	               : metadata_inherit(&t->metadata, fd, below)) < 0)
		return -1;
	if (opaque && mark_opaque(t->options, fd) < 0)
		return -1;
	if (place_settle(&t->making, way->fd, name, PLACE_NEW) < 0)
		return -1;
	return steal_fd(&fd);
}

/* ---- one component ---- */

static bool is_hidden(const struct way *way)
{
	return way->path.len >= way->hidden_at;
}

/* Goes on to the child. Takes over fd. */
static int enter(struct way *way, const char *name, int fd, bool hidden)
{
	bool known = is_hidden(way);

	if (way->path.len > 0)
		strbuf_add(&way->path, "/", 1);
	strbuf_adds(&way->path, name);
	closep(&way->fd);
	way->fd = fd;
	if (way->path.failed)
		return fail(ENOMEM);
	const struct unpack_options *options = way->target->options;
	if (!known && (hidden || (options->below && mark_is_opaque(options, fd))))
		way->hidden_at = way->path.len;
	return 0;
}

static int enter_new(struct way *way, const char *name, int below, bool opaque)
{
	int fd = make_directory(way, name, below, opaque);

	if (fd < 0 && errno == EEXIST) /* Another process, in a layer that is in use, was faster. */
		fd = openat(way->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (enter(way, name, fd, below < 0) < 0)
		return -1;
	return sync_list_add(&way->target->sync, strbuf_str(&way->path), way->path.len, NULL) < 0
	               ? fail(ENOMEM)
	               : 0;
}

static int go_up(struct way *way)
{
	const char *slash = way->path.len ? strrchr(strbuf_str(&way->path), '/') : NULL;
	int root = way->target->root_fd;

	way->path.len = slash ? (size_t)(slash - way->path.data) : 0;
	if (way->path.data)
		way->path.data[way->path.len] = '\0';
	if (!is_hidden(way))
		way->hidden_at = SIZE_MAX;
	int fd = way->path.len ? fs_open_in_root(root, way->path.data, O_RDONLY | O_DIRECTORY)
	                       : openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	closep(&way->fd);
	way->fd = fd;
	return 0;
}

/* What the symlink says comes before the rest of the way. */
static int follow(struct way *way, int dirfd, const char *name)
{
	if (way->itself && !way->rest[way->at])
		return fail(ENOENT);
	_cleanup_free_ char *text = fs_readlink(dirfd, name);
	if (!text)
		return -1;
	if (++way->links > LINKS_MAX)
		return fail(ELOOP);
	if (!*text)
		return fail(ENOENT);
	char *rest = str_join(text, "/", way->rest + way->at);
	if (!rest)
		return fail(ENOMEM);
	way->named = MIN(way->named, strlen(way->rest + way->at));
	free(way->rest);
	way->rest = rest;
	way->at = 0;
	if (*text != '/')
		return 0;
	strbuf_reset(&way->path);
	return go_up(way);
}

/* What the layers below show at a path; -1 and ENOENT: nothing. */
static int open_below(const struct way *way, const char *path)
{
	const struct unpack_below *below = way->target->options->below;

	return below && !is_hidden(way) ? below->open(below->userdata, path) : fail(ENOENT);
}

static int look_below(const struct way *way, const char *name)
{
	if (mark_hides(way->target->options, way->fd, name))
		return fail(ENOENT);
	_cleanup_free_ char *path = way->path.len ? path_join(way->path.data, name) : strdup(name);
	return path ? open_below(way, path) : fail(ENOMEM);
}

bool way_is_merged(struct way *way)
{
	struct stat st;

	if (way->target->options->below && way->merged == WAY_UNKNOWN) {
		_cleanup_close_ int fd = open_below(way, strbuf_str(&way->path));
		bool alone = fd < 0 ? errno == ENOENT : fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode);
		way->merged = alone ? WAY_ALONE : WAY_MERGED;
	}
	return way->merged != WAY_ALONE;
}

/* Whether the component may be made where it is nowhere. The components of a symlink's target may not. */
static bool may_make(const struct way *way)
{
	return way->missing == DIRECTORY_CREATE && strlen(way->rest + way->at) < way->named;
}

/* Nothing has the name here. */
static int go_below(struct way *way, const char *name)
{
	_cleanup_close_ int below = look_below(way, name);
	const struct unpack_options *options = way->target->options;
	struct stat st;

	if (below < 0 && errno != ENOENT)
		return -1;
	if (below < 0) {
		/* Where the layers below are not known, they may have what a mark is in. */
		bool unknown = way->missing == DIRECTORY_EXISTING && !options->below &&
		               options->whiteouts == UNPACK_WHITEOUT_OVERLAY;
		return may_make(way) || unknown ? enter_new(way, name, -1, false) : fail(ENOENT);
	}
	if (fstat(below, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return enter_new(way, name, below, false);
	/* A file must be found by its name in this layer alone: there a directory hides the symlink. Marks have no content. */
	bool link = S_ISLNK(st.st_mode);
	if (link && way->missing == DIRECTORY_EXISTING)
		return follow(way, below, "");
	bool make = may_make(way) || (link && way->missing == DIRECTORY_CREATE);
	return make ? enter_new(way, name, -1, false) : fail(ENOTDIR);
}

/* Something that is no directory has the name here. An entry replaces it, as any entry would, but not what this archive
 * brought. What it hid stays hidden. */
static int go_through(struct way *way, const char *name)
{
	struct target *t = way->target;
	struct stat st;

	if (fstatat(way->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (S_ISLNK(st.st_mode))
		return follow(way, way->fd, name);
	bool whiteout = mark_is_whiteout(t->options, &st);
	if (!may_make(way))
		return fail(whiteout ? ENOENT : ENOTDIR);
	struct directory here;
	if (directory_at(&t->own, way->fd, &here) < 0)
		return -1;
	if (!whiteout && own_has(&t->own, &here, name, NULL))
		return fail(ENOTDIR);
	if (sys_unlinkat(way->fd, name, 0) < 0)
		return -1;
	return enter_new(way, name, -1, true);
}

static int step(struct way *way)
{
	const char *start = way->rest + way->at;
	size_t len = strcspn(start, "/");
	char name[NAME_MAX + 1];

	if (len > NAME_MAX)
		return fail(ENAMETOOLONG);
	memcpy(name, start, len);
	name[len] = '\0';
	way->at += len + strspn(start + len, "/");
	if (len == 0 || streq(name, "."))
		return 0;
	if (streq(name, ".."))
		return go_up(way);
	int fd = openat(way->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return enter(way, name, fd, false);
	if (errno == ENOENT)
		return go_below(way, name);
	return errno == ENOTDIR || errno == ELOOP ? go_through(way, name) : -1;
}

int way_go(struct target *t, const char *path, size_t n, enum directory_missing missing,
           struct way *way)
{
	way->target = t;
	way->missing = missing;
	way->rest = strndup(path, n);
	way->named = SIZE_MAX;
	way->fd = openat(t->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!way->rest || way->fd < 0)
		return way->rest ? -1 : fail(ENOMEM);
	while (way->rest[way->at])
		if (step(way) < 0)
			return -1;
	return 0;
}
