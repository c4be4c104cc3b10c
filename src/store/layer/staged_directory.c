/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a staged layer with a copy of a directory: what packs it and what unpacks it are two threads. */
#include "archive/pack/pack.h"
#include "base/thread.h"
#include "store/core/store.h"
#include "store/layer/staged.h"
#include <errno.h>
#include <unistd.h>

/* ---- packing ---- */

/* A thread packs the directory into a pipe, whose other end is unpacked. */
struct packing {
	int dirfd, read_fd, write_fd;
	pthread_t thread;
	bool joined;
	int result;
	cst_error *problem;
};

static int write_pipe(void *userdata, const void *data, size_t n, cst_error **error)
{
	const struct packing *packing = userdata;
	return sys_write_all(packing->write_fd, data, n) < 0
	               ? error_sys(error, errno, "passing on the packed directory")
	               : 0;
}

/* The reader may go away early. SIGPIPE is blocked as in every thread of the library, so the write fails instead. */
static void *pack(void *arg)
{
	struct packing *packing = arg;
	const cst_sink sink = {.write = write_pipe, .userdata = packing};
	const struct pack_options options = {.with_whiteouts = true};
	packing->result = pack_tree(packing->dirfd, &options, &sink, &packing->problem);
	closep(&packing->write_fd);
	packing->write_fd = -1;
	return NULL;
}

static int join(struct packing *packing)
{
	if (!packing->joined)
		pthread_join(packing->thread, NULL);
	packing->joined = true;
	return packing->result;
}

/* The end of the pipe is the end of the archive only if packing succeeded. */
static int64_t read_packed(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct packing *packing = userdata;
	ssize_t n = read(packing->read_fd, buffer, size);
	if (n < 0)
		return error_sys(error, errno, "read the packed directory");
	return n == 0 && join(packing) < 0 ? error_propagate(error, steal_ptr(&packing->problem))
	                                   : n;
}

static int start_packing(struct packing *packing, cst_error **error)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(error, errno, "pipe");
	packing->read_fd = fds[0];
	packing->write_fd = fds[1];
	int errnum = thread_start(&packing->thread, pack, packing);
	if (errnum == 0)
		return 0;
	closep(&packing->read_fd);
	closep(&packing->write_fd);
	return error_sys(error, errnum, "starting a thread");
}

/* ---- the directory ---- */

static int unpack(cst_staged_layer *staged, const cst_source *source,
                  const cst_staged_apply_options *options, cst_error **error)
{
	cst_staged_apply_options plain = CST_STAGED_APPLY_OPTIONS_INIT;
	plain.progress = options->progress;
	return staged_unpack(staged, source, NULL, &plain,
	                     options->with_toc ? TOC_OF_BLOB : TOC_AS_CONFIGURED, error);
}

static int unpack_directory(cst_staged_layer *staged, int dirfd,
                            const cst_staged_apply_options *options, cst_error **error)
{
	struct packing packing = {.dirfd = dirfd};
	int r = start_packing(&packing, error);
	if (r < 0)
		return r;
	r = unpack(staged, &(cst_source){.read = read_packed, .userdata = &packing}, options,
	           error);
	closep(&packing.read_fd);
	(void)join(&packing);
	cst_error_free(packing.problem);
	return r;
}

/* An archive of no bytes, as the Go command makes of a directory that it cannot find. */
static int unpack_nothing(cst_staged_layer *staged, const cst_staged_apply_options *options,
                          cst_error **error)
{
	cst_memory nothing = {0};
	const cst_source source = cst_source_memory(&nothing);
	return unpack(staged, &source, options, error);
}

/* No blob was there, so that none is noted. */
static void forget_blob(cst_layer *record)
{
	record->compressed_digest = "";
	record->compressed_size = 0;
	record->compression = CST_PLAIN;
}

int cst_staged_layer_apply_directory(cst_staged_layer *staged, int dirfd,
                                     const cst_staged_apply_options *given, cst_error **error)
{
	cst_staged_apply_options options;
	int r = staged_begin_apply(staged, given, &options, error);
	if (r < 0)
		return r;
	r = dirfd < 0 ? unpack_nothing(staged, &options, error)
	              : unpack_directory(staged, dirfd, &options, error);
	if (r == 0)
		forget_blob(&staged->layer.record);
	return r;
}
