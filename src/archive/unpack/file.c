/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies into files, on all cores; whoever writes the last piece finishes the file. */
#include "archive/unpack/file.h"
#include "archive/unpack/directories.h"
#include "base/sys.h"
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

/* From this size on, write-back of a file starts when it is complete; smaller ones are left to the
 * final barrier. */
#define EARLY_WRITEBACK ((uint64_t)64 << 10)

/* For what is opened besides, for a moment: the way to a directory, a file, an old file's content.
 */
#define DESCRIPTOR_RESERVE 8
#define OPEN_FILES_MAX     128

struct write_item {
	struct out_file *file;
	const struct op *first; /* OP_BODY ops up to `end` */
	const struct op *end;
};
#define BATCH_ITEMS 16
#define BATCH_BYTES ((size_t)128 * 1024)
struct write_batch {
	struct task task;
	struct writers *writers;
	struct chunk *chunk;
	size_t n, bytes;
	struct write_item items[BATCH_ITEMS];
};

/* Files that are being written or wait for their write-back, and directories that are kept open, share what the limit on
 * descriptors leaves. The lowest free number tells how many are in use, but for gaps. */
void writers_share_descriptors(struct writers *w, int root_fd, size_t *ret_directories)
{
	struct rlimit limit = {.rlim_cur = 1024};
	int lowest = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	size_t used = lowest < 0 ? 0 : (size_t)lowest;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	closep(&lowest);
	size_t left = limit.rlim_cur > used + DESCRIPTOR_RESERVE
	                      ? (size_t)limit.rlim_cur - used - DESCRIPTOR_RESERVE
	                      : 0;
	writeback_init(&w->writeback, (unsigned)MIN(left / 8, (size_t)WRITEBACK_FILES));
	left -= w->writeback.max;
	*ret_directories = directory_slots(left / 3);
	left = left > *ret_directories ? left - *ret_directories : 0;
	w->open_files_max = left / 2 < OPEN_FILES_MAX ? (unsigned)(left / 2) : OPEN_FILES_MAX;
	if (w->open_files_max == 0)
		w->open_files_max = 1;
}

/* Lives in the arena of the chunk that holds the entry, which it keeps. NULL: out of memory. */
struct out_file *out_file_new(struct writers *w, struct chunk *chunk, struct entry *entry,
                              int parent_fd, int fd)
{
	struct out_file *file = arena_alloc(&chunk->arena, sizeof(*file));

	if (!file)
		return NULL;
	*file = (struct out_file){
	        .writers = w, .fd = fd, .entry = entry, .parent_fd = parent_fd, .home = chunk};
	atomic_init(&file->parts, 1);
	chunk_ref(chunk);
	pthread_mutex_lock(&w->work->lock);
	w->open_files++;
	pthread_mutex_unlock(&w->work->lock);
	return file;
}

/* ---- bodies ---- */

static int write_piece(int fd, const struct entry *e, const void *data, size_t n, uint64_t offset,
                       cst_error **error)
{
	if (sys_pwrite_all(fd, data, n, (off_t)offset) < 0)
		return error_sys(error, errno, "write /%s", e->path);
	return 0;
}

/* Bytes [at, at + n) of a sparse body go where the map says. */
static int write_sparse(int fd, const struct entry *e, const uint8_t *data, size_t n, uint64_t at,
                        cst_error **error)
{
	uint64_t start = 0; /* of this piece of the map, in the body */
	int r = 0;

	for (size_t i = 0; i < e->header.n_sparse && n > 0 && r == 0; i++) {
		const struct tar_sparse *piece = &e->header.sparse[i];
		if (at < start + piece->size) {
			uint64_t inside = at - start;
			size_t len = (size_t)MIN((uint64_t)n, piece->size - inside);
			r = write_piece(fd, e, data, len, piece->offset + inside, error);
			data += len;
			at += len;
			n -= len;
		}
		start += piece->size;
	}
	return r;
}

static int write_op(const struct out_file *file, const struct op *op, cst_error **error)
{
	const struct entry *e = file->entry;

	if (e->header.is_sparse)
		return write_sparse(file->fd, e, op->data, op->len, op->offset, error);
	return write_piece(file->fd, e, op->data, op->len, op->offset, error);
}

/* ---- the end of a file ---- */

static int finish_file(struct out_file *file, cst_error **error)
{
	struct writers *w = file->writers;
	const struct entry *e = file->entry;

	if (e->header.is_sparse && sys_ftruncate(file->fd, (off_t)e->header.size) < 0)
		return error_sys(error, errno, "truncate /%s", e->path);
	int r = file->linked ? 0 : metadata_file(w->metadata, e, file->fd, error);
	if (r < 0)
		return r;
	if (w->sync && !file->linked && e->header.body_size >= EARLY_WRITEBACK)
		writeback_add(&w->writeback, file->fd);
	if (sys_close_checked(steal_fd(&file->fd)) < 0)
		return error_sys(error, errno, "close /%s", e->path);
	if (place_settle(w->making, file->parent_fd, e->base, PLACE_REPLACE) < 0)
		return error_sys(error, errno, "rename /%s", e->path);
	return 0;
}

static void file_done(struct writers *w)
{
	pthread_mutex_lock(&w->work->lock);
	struct task *resume = --w->open_files == 0 ? steal_ptr(&w->waiting) : NULL;
	pthread_mutex_unlock(&w->work->lock);
	if (!resume)
		return;
	work_begin_task(w->work);
	pool_submit(w->work->pool, resume);
}

bool writers_wait(struct writers *w, struct task *task)
{
	pthread_mutex_lock(&w->work->lock);
	bool wait = w->open_files > 0;
	if (wait)
		w->waiting = task;
	pthread_mutex_unlock(&w->work->lock);
	return wait;
}

void out_file_release(struct out_file *file)
{
	struct writers *w = file->writers;
	struct chunk *home = file->home;
	cst_error *error = NULL;

	if (atomic_fetch_sub_explicit(&file->parts, 1, memory_order_acq_rel) > 1)
		return;
	if (!work_failed(w->work, file->entry->number) && finish_file(file, &error) < 0)
		work_fail(w->work, file->entry->number, error);
	if (file->fd >= 0)
		close(steal_fd(&file->fd));
	file_done(w);
	chunk_unref(home);
}

/* ---- batches ---- */

static void run_item(const struct write_item *item)
{
	struct writers *w = item->file->writers;
	uint64_t number = item->file->entry->number;
	cst_error *error = NULL;
	int r = 0;

	for (const struct op *op = item->first;
	     op != item->end && r == 0 && !work_failed(w->work, number); op = op->next)
		if (op->kind == OP_BODY && !item->file->cloned)
			r = write_op(item->file, op, &error);
	if (r < 0)
		work_fail(w->work, number, error);
	out_file_release(item->file);
}

static void run_batch(struct task *task)
{
	struct write_batch *batch =
	        (struct write_batch *)((char *)task - offsetof(struct write_batch, task));
	struct writers *w = batch->writers;

	for (size_t i = 0; i < batch->n; i++)
		run_item(&batch->items[i]);
	chunk_unref(batch->chunk); /* the batch is gone with it */
	work_end_task(w->work);
}

void writers_flush(struct writers *w)
{
	struct write_batch *batch = steal_ptr(&w->batch);

	if (!batch)
		return;
	pthread_mutex_lock(&w->work->lock);
	bool busy = w->open_files >= w->open_files_max;
	pthread_mutex_unlock(&w->work->lock);
	work_begin_task(w->work);
	if (busy)
		run_batch(&batch->task);
	else
		pool_submit(w->work->pool, &batch->task);
}

/* Before the first piece is written. */
static void begin_content(struct out_file *file)
{
	const struct unpack_clone *clone = file->writers->metadata->options->clone;
	const struct tar_header *h = &file->entry->header;

	if (!file->begun && clone && !h->is_sparse)
		file->cloned =
		        clone->clone(clone->userdata, h->name, (uint64_t)h->body_size, file->fd);
	file->begun = true;
}

int out_file_add(struct writers *w, struct chunk *chunk, struct out_file *file,
                 const struct op *first, const struct op *end, size_t bytes)
{
	if (!w->batch) {
		struct write_batch *batch = arena_alloc(&chunk->arena, sizeof(*batch));
		if (!batch)
			return CST_ENOMEM;
		batch->task.run = run_batch;
		batch->writers = w;
		batch->chunk = chunk;
		chunk_ref(chunk);
		w->batch = batch;
	}
	begin_content(file);
	w->batch->items[w->batch->n++] = (struct write_item){file, first, end};
	w->batch->bytes += bytes;
	/* The files of a batch stay open until it was run. */
	bool many = w->batch->n == BATCH_ITEMS || w->batch->n * 4 > w->open_files_max;
	if (many || w->batch->bytes >= BATCH_BYTES)
		writers_flush(w);
	return 0;
}
