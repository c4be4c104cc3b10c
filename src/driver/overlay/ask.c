/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks an additional layer store for something, and waits for the answer a limited time. Such a store is often a FUSE file system
 * that fetches from a registry, so every system call on one of its paths may hang.
 */
#include "base/fs.h"
#include "base/timed.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

_Atomic int overlay_ask_limit_ms = 30 * 1000;

struct question {
	enum overlay_ask what;
	char *path;
	int flags;
	int fd; /* the answer */
	char *text;
};

static void question_free(void *userdata)
{
	struct question *q = userdata;
	closep(&q->fd);
	free(q->path);
	free(q->text);
	free(q);
}

static int read_text(struct question *q)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_close_ int fd =
	        open(q->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	size_t len;
	if (fd < 0)
		return errno;
	int r = fs_must_be_regular(fd, q->path, &problem);
	if (r == 0)
		r = fs_read_fd(fd, q->path, OVERLAY_SHORT_FILE, &q->text, &len, &problem);
	if (r == 0)
		return 0;
	return cst_error_errno(problem) ? cst_error_errno(problem) : EFBIG;
}

static int read_names(struct question *q)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_strv_ struct strv names = {0};
	_cleanup_strbuf_ struct strbuf text = {0};
	if (fs_list_dir(AT_FDCWD, q->path, &names, NULL, &problem) < 0)
		return cst_error_errno(problem) ? cst_error_errno(problem) : ENOMEM;
	for (size_t i = 0; i < names.len; i++)
		strbuf_addf(&text, "%s\n", names.items[i]);
	q->text = strbuf_steal(&text);
	return q->text ? 0 : ENOMEM;
}

static int make_call(void *userdata)
{
	struct question *q = userdata;
	switch (q->what) {
	case OVERLAY_ASK_OPEN:
		q->fd = open(q->path, q->flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		return q->fd < 0 ? errno : 0;
	case OVERLAY_ASK_TEXT: return read_text(q);
	case OVERLAY_ASK_NAMES: return read_names(q);
	case OVERLAY_ASK_CREATE:
		q->fd = sys_openat(AT_FDCWD, q->path,
		                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (q->fd < 0)
			return errno;
		return sys_unlinkat(AT_FDCWD, q->path, 0) < 0 ? errno : 0;
	case OVERLAY_ASK_RMDIR:
		return sys_unlinkat(AT_FDCWD, q->path, AT_REMOVEDIR) < 0 ? errno : 0;
	}
	return EINVAL;
}

static struct question *question_new(enum overlay_ask what, const char *path, int flags)
{
	struct question *q = new0(struct question, 1);
	char *copy = strdup(path);
	if (!q || !copy) {
		free(q);
		free(copy);
		return NULL;
	}
	*q = (struct question){.what = what, .path = copy, .flags = flags, .fd = -1};
	return q;
}

int overlay_ask(enum overlay_ask what, const char *path, int flags, int *ret_fd, char **ret_text)
{
	struct question *q = question_new(what, path, flags);
	int errnum;
	if (!q)
		return ENOMEM;
	if (!timed_call(make_call, question_free, q, overlay_ask_limit_ms, &errnum))
		return ETIMEDOUT;
	if (errnum == 0 && ret_fd)
		*ret_fd = steal_fd(&q->fd);
	if (errnum == 0 && ret_text)
		*ret_text = steal_ptr(&q->text);
	question_free(q);
	return errnum;
}
