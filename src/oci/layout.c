/* SPDX-License-Identifier: Apache-2.0 */
/* Reads files and blobs of an OCI layout. No byte of a blob is believed before its digest fits. */
#include "oci/layout.h"
#include "base/fs.h"
#include <errno.h>
#include <unistd.h>

/* The bound of containers/image for manifests and configurations. */
#define SMALL_BLOB_MAX (4u << 20)

/* Opens a file of the layout. It neither waits nor follows a symlink out of the layout. */
static int open_file(const struct layout *layout, const char *name, int *ret, cst_error **error)
{
	struct stat st;
	_cleanup_close_ int fd = fs_open_beneath(layout->fd, name, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(error, errno, "open %s/%s", layout->path, name);
	if (!S_ISREG(st.st_mode))
		return error_set(error, CST_EARCHIVE, "%s/%s is not a regular file", layout->path,
		                 name);
	*ret = steal_fd(&fd);
	return 0;
}

static int read_file(const struct layout *layout, const char *name, char **ret, size_t *ret_len,
                     cst_error **error)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *shown = path_join(layout->path, name);
	int r = shown ? open_file(layout, name, &fd, error) : error_oom(error);
	return r < 0 ? r : fs_read_fd(fd, shown, SMALL_BLOB_MAX, ret, ret_len, error);
}

int layout_open(const char *path, struct layout *ret, cst_error **error)
{
	_cleanup_free_ char *marker = NULL;
	size_t len = 0;
	_cleanup_layout_ struct layout layout = {.fd = -1, .path = path};
	int r = fs_open_dir(path, &layout.fd, error);
	if (r == 0)
		r = read_file(&layout, "oci-layout", &marker, &len, error);
	if (r < 0)
		return error_prefix(error, r, "%s is not an OCI image layout", path);
	*ret = layout;
	layout.fd = -1;
	return 0;
}

void layout_close(struct layout *layout)
{
	closep(&layout->fd);
}

int layout_read_index(const struct layout *layout, char **ret, size_t *ret_len, cst_error **error)
{
	return read_file(layout, "index.json", ret, ret_len, error);
}

/* The path of a blob: blobs/sha256/0123... for "sha256:0123...". The caller frees it. NULL: the
 * error is set. */
static char *blob_name(const struct descriptor *blob, cst_error **error)
{
	if (digest_validate(blob->digest, error) < 0) {
		error_prefix(error, CST_EINVAL, "the digest \"%s\"", blob->digest);
		return NULL;
	}
	const char *colon = strchr(blob->digest, ':');
	char *name =
	        str_printf("blobs/%.*s/%s", (int)(colon - blob->digest), blob->digest, colon + 1);
	if (!name)
		error_oom(error);
	return name;
}

/* Do the bytes that were read fit the descriptor? */
static int hold_against(const struct layout *layout, const struct descriptor *blob, int64_t size,
                        const char *digest, cst_error **error)
{
	if (blob->size >= 0 && size != blob->size)
		return error_set(error, CST_EARCHIVE,
		                 "the blob %s in %s has %lld bytes, but %lld are expected",
		                 blob->digest, layout->path, (long long)size,
		                 (long long)blob->size);
	if (!streq(digest, blob->digest))
		return error_set(error, CST_EARCHIVE,
		                 "the blob %s in %s is damaged: its content has the digest %s",
		                 blob->digest, layout->path, digest);
	return 0;
}

int layout_read_blob(const struct layout *layout, const struct descriptor *blob, char **ret,
                     size_t *ret_len, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX];
	_cleanup_free_ char *data = NULL;
	size_t len = 0;
	_cleanup_free_ char *name = blob_name(blob, error);
	if (!name)
		return CST_EINVAL;
	int r = read_file(layout, name, &data, &len, error);
	if (r == 0)
		r = digest_buffer(digest_algorithm_of(blob->digest), data, len, digest, error);
	if (r == 0)
		r = hold_against(layout, blob, (int64_t)len, digest, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(&data);
	*ret_len = len;
	return 0;
}

/* ---- a layer's blob ---- */

static int end_of_blob(struct blob_stream *stream, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX];
	stream->ended = true;
	closep(&stream->fd);
	stream->fd = -1;
	int r = digester_finish(stream->digester, digest, error);
	return r == 0 ? hold_against(stream->layout, stream->blob, stream->done, digest, error) : r;
}

static int start(struct blob_stream *stream, cst_error **error)
{
	_cleanup_free_ char *name = blob_name(stream->blob, error);
	if (!name)
		return CST_EINVAL;
	int r = open_file(stream->layout, name, &stream->fd, error);
	return r == 0 ? digester_new(digest_algorithm_of(stream->blob->digest), &stream->digester,
	                             error)
	              : r;
}

static int64_t blob_read(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct blob_stream *stream = userdata;
	ssize_t n;
	int r = stream->digester || stream->ended ? 0 : start(stream, error);
	if (r < 0 || stream->ended)
		return r;
	do
		n = read(stream->fd, buffer, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_sys(error, errno, "read the blob %s in %s", stream->blob->digest,
		                 stream->layout->path);
	if (n == 0)
		return end_of_blob(stream, error);
	digester_update(stream->digester, buffer, (size_t)n);
	stream->done += n;
	return n;
}

void blob_stream_init(const struct layout *layout, const struct descriptor *blob,
                      struct blob_stream *ret)
{
	*ret = (struct blob_stream){.fd = -1,
	                            .layout = layout,
	                            .blob = blob,
	                            .source = {.read = blob_read, .userdata = ret}};
}

void blob_stream_close(struct blob_stream *stream)
{
	closep(&stream->fd);
	digester_free(stream->digester);
}
