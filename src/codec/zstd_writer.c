/* SPDX-License-Identifier: Apache-2.0 */
/* Compresses with libzstd's threads (zstd_writer.h). */
#include "codec/zstd_writer.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/types.h"
#include "codec/zstd_library.h"
#include <pthread.h>
#include <signal.h>

#define LEVEL 3 /* the library's default, as the Go tools use theirs */

/* libzstd cuts the input into jobs, and gives each the end of the one before as a dictionary. For
 * this level it would take jobs of 8 MiB, and 70 MiB of memory for two threads. With these it takes
 * about 20 MiB, and the output is 0.4 % larger. */
#define JOB_SIZE    (2 << 20)
#define OVERLAP_LOG 7 /* a quarter of the window of 2 MiB */
#define THREADS_MAX 8 /* what one reader can feed; each takes 5 MiB */

struct zstd_writer {
	cst_sink sink;
	const struct zstd_library *library;
	ZSTD_CCtx *context;
	char *out;
	size_t out_size;
};

static int set_parameters(struct zstd_writer *w, cst_error **error)
{
	static const struct {
		ZSTD_cParameter name;
		int value;
	} parameters[] = {{ZSTD_c_compressionLevel, LEVEL}, {ZSTD_c_checksumFlag, 1}};
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		size_t r = w->library->CCtx_setParameter(w->context, parameters[i].name,
		                                         parameters[i].value);
		if (w->library->isError(r))
			return error_set(error, CST_ENOTSUP, "zstd: %s",
			                 w->library->getErrorName(r));
	}
	return 0;
}

/* The first call of compressStream2 starts the threads. They must not take the signals of the user
 * of the library. */
static bool start_threads(struct zstd_writer *w)
{
	ZSTD_inBuffer in = {"", 0, 0};
	ZSTD_outBuffer out = {w->out, w->out_size, 0};
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	size_t r = w->library->compressStream2(w->context, &out, &in, ZSTD_e_continue);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return !w->library->isError(r);
}

/* Without threads it is slower, but works: libzstd may be built so, or the process may be at its
 * limit. */
static void try_threads(struct zstd_writer *w, unsigned threads)
{
	size_t r = w->library->CCtx_setParameter(w->context, ZSTD_c_nbWorkers, (int)threads);
	if (w->library->isError(r))
		return;
	w->library->CCtx_setParameter(w->context, ZSTD_c_jobSize, JOB_SIZE);
	w->library->CCtx_setParameter(w->context, ZSTD_c_overlapLog, OVERLAP_LOG);
	if (start_threads(w))
		return;
	w->library->CCtx_reset(w->context, ZSTD_reset_session_only);
	w->library->CCtx_setParameter(w->context, ZSTD_c_nbWorkers, 0);
}

int zstd_writer_new(unsigned threads, const cst_sink *sink, struct zstd_writer **ret,
                    cst_error **error)
{
	const struct zstd_library *library;
	int r = zstd_load(&library, error);
	if (r < 0)
		return r;
	_cleanup_(zstd_writer_freep) struct zstd_writer *w = new0(struct zstd_writer, 1);
	if (!w)
		return error_oom(error);
	w->sink = *sink;
	w->library = library;
	w->context = library->createCCtx();
	w->out_size = library->CStreamOutSize();
	w->out = malloc(w->out_size);
	if (!w->context || !w->out)
		return error_oom(error);
	r = set_parameters(w, error);
	if (r < 0)
		return r;
	try_threads(w, MIN(threads ? threads : pool_cpu_count(), (unsigned)THREADS_MAX));
	*ret = steal_ptr(&w);
	return 0;
}

/* Goes on until all input is taken, and with ZSTD_e_end until the frame is complete. */
static int run(struct zstd_writer *w, const void *data, size_t n, ZSTD_EndDirective directive,
               cst_error **error)
{
	ZSTD_inBuffer in = {data, n, 0};
	size_t left;
	do {
		ZSTD_outBuffer out = {w->out, w->out_size, 0};
		left = w->library->compressStream2(w->context, &out, &in, directive);
		if (w->library->isError(left))
			return error_set(error, CST_EARCHIVE, "zstd: %s",
			                 w->library->getErrorName(left));
		int r = out.pos ? sink_write(&w->sink, w->out, out.pos, error) : 0;
		if (r < 0)
			return r;
	} while (directive == ZSTD_e_end ? left > 0 : in.pos < in.size);
	return 0;
}

int zstd_writer_write(struct zstd_writer *w, const void *data, size_t n, cst_error **error)
{
	return run(w, data, n, ZSTD_e_continue, error);
}

int zstd_writer_finish(struct zstd_writer *w, cst_error **error)
{
	return run(w, NULL, 0, ZSTD_e_end, error);
}

void zstd_writer_free(struct zstd_writer *w)
{
	if (!w)
		return;
	w->library->freeCCtx(w->context);
	free(w->out);
	free(w);
}

void zstd_writer_freep(struct zstd_writer **w)
{
	zstd_writer_free(*w);
}
