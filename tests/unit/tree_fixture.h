/* SPDX-License-Identifier: Apache-2.0 */
/* Small trees for tests: each test has a fresh directory, and what it makes is reached from its
 * descriptor. */
#ifndef CST_TESTS_TREE_FIXTURE_H
#define CST_TESTS_TREE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/tar/tar.h"
#include "base/fs.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static inline bool is_root(void)
{
	return geteuid() == 0;
}

#define NEEDS_ROOT()                                            \
	do {                                                    \
		if (!is_root()) {                               \
			print_message("skipped: needs root\n"); \
			skip();                                 \
		}                                               \
	} while (0)

struct fixture {
	char path[64];
	int fd;
};

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	snprintf(f->path, sizeof(f->path), "/var/tmp/cst-unit-XXXXXX");
	if (!mkdtemp(f->path))
		return -1;
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return f->fd < 0 ? -1 : 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	close(f->fd);
	fs_remove_tree(AT_FDCWD, f->path, NULL, NULL);
	free(f);
	return 0;
}

static inline int make_dir(int at, const char *path)
{
	assert_int_equal(mkdirat(at, path, 0755), 0);
	assert_int_equal(fchmodat(at, path, 0755, 0), 0);
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void add_dir(int at, const char *path)
{
	close(make_dir(at, path));
}

static inline void set_mtime(int at, const char *path, time_t sec, long nsec)
{
	const struct timespec times[2] = {{.tv_sec = sec}, {.tv_sec = sec, .tv_nsec = nsec}};
	assert_int_equal(utimensat(at, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* A file with a fixed time, so that copies of it are the same. */
static inline void add_file(int at, const char *path, const char *content)
{
	int fd = openat(at, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	assert_int_equal(fchmod(fd, 0644), 0);
	close(fd);
	set_mtime(at, path, 1000000000, 0);
}

static inline void add_whiteout(int at, const char *path)
{
	assert_int_equal(mknodat(at, path, S_IFCHR, makedev(0, 0)), 0);
	set_mtime(at, path, 1000000000, 0);
}

static inline void set_opaque(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0), 0);
	close(fd);
}

/* DEPTH directories named "d" in each other below `at`, a file "x" in the innermost. */
static inline void add_deep(int at, unsigned depth)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < depth; i++) {
		int next = make_dir(fd, "d");
		close(fd);
		fd = next;
	}
	add_file(fd, "x", "deep");
	close(fd);
}

static inline unsigned count_open(void)
{
	struct strv names = {0};
	assert_int_equal(fs_list_dir(AT_FDCWD, "/proc/self/fd", &names, NULL, NULL), 0);
	unsigned n = (unsigned)names.len;
	strv_free(&names);
	return n;
}

/* "TYPE MODE SIZE NAME[ -> LINK]" lines of a tar, and the bodies in brackets behind. */
static inline char *list_tar(const char *data, size_t size)
{
	struct tar_reader *r;
	struct strbuf out = {0};
	enum tar_event event;
	const void *piece;
	size_t n;
	bool ended = false;
	assert_int_equal(tar_reader_new(&r, NULL), 0);
	tar_reader_feed(r, data, size);
	for (;;) {
		assert_int_equal(tar_reader_next(r, &event, &piece, &n, NULL), 0);
		if (event == TAR_NEED_DATA)
			break;
		if (event == TAR_END)
			ended = true;
		if (event == TAR_BODY) {
			out.len--;
			strbuf_adds(&out, " [");
			strbuf_add(&out, piece, n);
			strbuf_adds(&out, "]\n");
		}
		if (event != TAR_ENTRY)
			continue;
		const struct tar_header *h = tar_reader_header(r);
		strbuf_addf(&out, "%c %04o %" PRIu64 " %s", h->type, h->mode, h->size, h->name);
		if (*strempty(h->linkname))
			strbuf_addf(&out, " -> %s", h->linkname);
		for (size_t i = 0; i < h->n_xattrs; i++)
			strbuf_addf(&out, " %s", h->xattrs[i].name);
		strbuf_addc(&out, '\n');
	}
	assert_true(ended);
	tar_reader_free(r);
	return strbuf_steal(&out);
}

#endif
