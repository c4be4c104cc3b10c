/* SPDX-License-Identifier: Apache-2.0 */
/* Files that the user names: read whole, or written so that nobody sees one that is half
 * written. */
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every reader of the store holds metadata and data items in memory as a whole, so they must be
 * bounded. */
#define WHOLE_FILE_MAX ((size_t)1 << 30)

static int read_all(int fd, char **ret, size_t *ret_size)
{
	_cleanup_text_ char *data = NULL;
	size_t size = 0, allocated = 0;
	for (;;) {
		if (size + 1 >= allocated) {
			allocated = allocated ? allocated * 2 : 65536;
			char *grown =
			        allocated > 2 * WHOLE_FILE_MAX ? NULL : realloc(data, allocated);
			if (!grown)
				return allocated > 2 * WHOLE_FILE_MAX ? EFBIG : ENOMEM;
			data = grown;
		}
		ssize_t n = read(fd, data + size, allocated - size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		size += (size_t)n;
	}
	data[size] = '\0';
	*ret = data;
	*ret_size = size;
	data = NULL;
	return 0;
}

bool is_standard_stream(const struct invocation *in, const char *path)
{
	return !path || !path[0] || (in->personality == GNU_STYLE && strcmp(path, "-") == 0);
}

int read_whole_file(const struct invocation *in, const char *path, char **ret, size_t *ret_size)
{
	bool from_stdin = is_standard_stream(in, path);
	int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(in, errno, "open", path);
	int errnum = read_all(fd, ret, ret_size);
	if (!from_stdin)
		close(fd);
	return errnum ? fail_errno(in, errnum, "read", from_stdin ? "/dev/stdin" : path) : 0;
}

/* ---- output ---- */

static char *staged_name(const char *target)
{
	const char *slash = strrchr(target, '/');
	char *name = NULL;
	if (asprintf(&name, "%.*s.cstorage-XXXXXX", slash ? (int)(slash + 1 - target) : 0, target) <
	    0)
		return NULL;
	return name;
}

/* Makes a new file beside the target, with the owner and mode that the target has or would get.
 * False: that is not possible here. */
static bool open_staged(struct output *output, const char *path, const struct stat *existing)
{
	_cleanup_text_ char *target = existing ? realpath(path, NULL) : strdup(path);
	_cleanup_text_ char *staged = target ? staged_name(target) : NULL;
	int fd = staged ? mkostemp(staged, O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	mode_t mask = umask(0);
	umask(mask);
	bool same = !existing || (existing->st_nlink == 1 &&
	                          fchown(fd, existing->st_uid, existing->st_gid) == 0);
	if (!same || fchmod(fd, existing ? existing->st_mode & 07777 : 0666 & ~mask) < 0) {
		unlink(staged);
		close(fd);
		return false;
	}
	*output = (struct output){.fd = fd, .shown = path, .target = target, .staged = staged};
	target = staged = NULL;
	return true;
}

int output_open(const struct invocation *in, const char *path, struct output *output)
{
	*output = (struct output){.fd = STDOUT_FILENO, .shown = "/dev/stdout"};
	if (is_standard_stream(in, path))
		return 0;
	struct stat status;
	bool exists = stat(path, &status) == 0;
	/* Opens these as they are: devices, pipes, hard links, and files in directories that this
	 * process cannot write to. */
	if ((!exists && errno == ENOENT) ||
	    (exists && S_ISREG(status.st_mode) && access(path, W_OK) == 0))
		if (open_staged(output, path, exists ? &status : NULL))
			return 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return fail_errno(in, errno, "open", path);
	*output = (struct output){.fd = fd, .shown = path};
	return 0;
}

int output_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	struct output *output = userdata;
	const char *at = data;
	if (output->fd == STDOUT_FILENO && is_terminal(stdout)) {
		show_content(stdout, data, size);
		return 0;
	}
	while (size > 0) {
		if (interrupted_by())
			return cst_error_set(error, CST_ECANCELED, 0, "interrupted");
		ssize_t n = write(output->fd, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int errnum = errno;
			char message[512];
			snprintf(message, sizeof(message), "write %s: %s", output->shown,
			         errno_words(errnum));
			return cst_error_set(error, CST_ESYS, errnum, message);
		}
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int output_commit(const struct invocation *in, struct output *output)
{
	if (output->fd == STDOUT_FILENO)
		return 0;
	int closed = close(output->fd) < 0 ? errno : 0;
	output->fd = -1;
	if (closed)
		return fail_errno(in, closed, "close", output->shown);
	if (output->staged && rename(output->staged, output->target) < 0)
		return fail_errno(in, errno, "open", output->shown);
	free(output->staged);
	output->staged = NULL;
	return 0;
}

void output_abandon(struct output *output)
{
	if (output->fd >= 0 && output->fd != STDOUT_FILENO)
		close(output->fd);
	if (output->staged)
		unlink(output->staged);
	free(output->staged);
	free(output->target);
}
