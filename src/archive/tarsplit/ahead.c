/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of batches (ahead.h). The caller's thread fills one with bytes and with places for the content of files, and queues it; a
 * task reads the files into their places and sums them. The caller's thread takes the oldest batch as soon as it is read, compares
 * the sums, has a strand hash it if that is wanted, and gives it to the sink. It fills a batch again when it is hashed.
 */
#include "archive/tarsplit/ahead.h"
#include "base/checksum.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/types.h"
#include <errno.h>
#include <stdatomic.h>

#define BATCH_SIZE  ((size_t)256 << 10)
#define THREADS_MAX 4 /* they feed more compressing threads than there are */
#define BATCHES_MAX (2 * THREADS_MAX + 2)
/* A file up to this size is in one batch, so that a task can open it; for a larger one the caller's thread does. */
#define SMALL_FILE ((int64_t)(BATCH_SIZE / 4))

/* A place in a batch for one piece of a file's content. */
struct place {
	const char *name; /* in the batch's arena */
	int64_t size;     /* of the file */
	uint64_t from, crc;
	uint64_t sum; /* of this piece, as it was read */
	size_t at, n; /* in the batch */
	int fd;       /* -1: the task opens the file. The place of the last piece owns it. */
	bool complete, last;
	cst_error *problem;
};

struct batch {
	struct task read, hash;
	struct ahead *ahead;
	unsigned char *data;
	size_t len;
	struct place *places;
	size_t n_places, places_capacity;
	struct arena arena;
	atomic_bool was_read, was_hashed;
};

struct ahead {
	const struct tarsplit_reading *reading;
	const cst_sink *sink;
	unsigned threads;
	struct pool *pool;
	struct strand hashing;
	atomic_bool cancelled;
	bool failed;  /* a batch could not be taken */
	int fd;       /* of the file that is being put in, until its last piece has a place */
	uint64_t crc; /* of the file whose pieces are being taken */
	/* The oldest batch is at first % n_batches, the one that is being filled at (first + in_flight) % n_batches. */
	struct batch batches[BATCHES_MAX];
	unsigned n_batches, first, in_flight;
};

/* ---- in any thread ---- */

static void read_place(const struct batch *batch, struct place *place)
{
	const struct tarsplit_reading *reading = batch->ahead->reading;
	_cleanup_close_ int own = -1;
	int fd = place->fd;
	if (fd < 0)
		fd = own = reading->open_file(reading->userdata, place->name, place->size,
		                              &place->problem);
	if (fd < 0)
		return;
	ssize_t got = fs_pread_full(fd, batch->data + place->at, place->n, (off_t)place->from);
	if (got < 0)
		error_sys(&place->problem, errno, "read %s", place->name);
	place->complete = got == (ssize_t)place->n;
	if (place->complete)
		place->sum = crc64_iso(0, batch->data + place->at, place->n);
}

static void run_read(struct task *task)
{
	struct batch *batch = (struct batch *)((char *)task - offsetof(struct batch, read));
	for (size_t i = 0; i < batch->n_places; i++) {
		if (atomic_load_explicit(&batch->ahead->cancelled, memory_order_relaxed))
			break;
		read_place(batch, &batch->places[i]);
	}
	atomic_store_explicit(&batch->was_read, true, memory_order_release);
}

static void run_hash(struct task *task)
{
	struct batch *batch = (struct batch *)((char *)task - offsetof(struct batch, hash));
	digester_update(batch->ahead->reading->digester, batch->data, batch->len);
	atomic_store_explicit(&batch->was_hashed, true, memory_order_release);
}

/* ---- in the caller's ---- */

static bool was_read(void *arg)
{
	struct batch *batch = arg;
	return atomic_load_explicit(&batch->was_read, memory_order_acquire);
}

static bool was_hashed(void *arg)
{
	struct batch *batch = arg;
	return atomic_load_explicit(&batch->was_hashed, memory_order_acquire);
}

static bool strand_idle(void *arg)
{
	const struct strand *strand = arg;
	return !strand->scheduled;
}

static struct batch *filling(struct ahead *a)
{
	return &a->batches[(a->first + a->in_flight) % a->n_batches];
}

/* A name in double quotes, safe to print. */
int ahead_checksum_error(const char *name, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf quoted = {0};
	for (const char *p = name; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c == '"' || c == '\\')
			strbuf_addf(&quoted, "\\%c", c);
		else if (c == '\n' || c == '\t' || c == '\r')
			strbuf_adds(&quoted, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
		else if (c < 0x20 || c == 0x7f)
			strbuf_addf(&quoted, "\\x%02x", c);
		else
			strbuf_addc(&quoted, (char)c);
	}
	return error_set(error, CST_ECORRUPT, "file integrity checksum failed for \"%s\"",
	                 strbuf_str(&quoted));
}

static int check_place(struct ahead *a, struct place *place, cst_error **error)
{
	if (place->problem)
		return error_propagate(error, steal_ptr(&place->problem));
	a->crc = place->from == 0 ? place->sum : crc64_iso_join(a->crc, place->sum, place->n);
	if (!place->complete || (place->last && a->crc != place->crc))
		return ahead_checksum_error(place->name, error);
	return 0;
}

static void forget_places(struct batch *batch)
{
	for (size_t i = 0; i < batch->n_places; i++) {
		if (batch->places[i].last)
			closep(&batch->places[i].fd);
		cst_error_free(batch->places[i].problem);
	}
	batch->n_places = 0;
	arena_clear(&batch->arena);
}

static int take_oldest(struct ahead *a, cst_error **error)
{
	struct batch *batch = &a->batches[a->first % a->n_batches];
	int r = 0;
	pool_wait(a->pool, was_read, batch);
	a->first++;
	a->in_flight--;
	for (size_t i = 0; r == 0 && i < batch->n_places; i++)
		r = check_place(a, &batch->places[i], error);
	forget_places(batch);
	if (r < 0)
		return r;
	if (a->reading->digester) {
		atomic_store(&batch->was_hashed, false);
		strand_submit(&a->hashing, &batch->hash);
	}
	return batch->len ? sink_write(a->sink, batch->data, batch->len, error) : 0;
}

static int drain(struct ahead *a, unsigned keep, cst_error **error)
{
	int r = 0;
	while (r == 0 && a->in_flight > keep)
		r = take_oldest(a, error);
	a->failed = r < 0;
	return r;
}

/* What is in one batch is not worth a thread. */
static int start_pool(struct ahead *a, bool last, cst_error **error)
{
	if (a->pool)
		return 0;
	int r = pool_new(last ? 0 : a->threads, &a->pool, error);
	if (r == 0)
		strand_init(&a->hashing, a->pool);
	return r;
}

static int prepare_batch(struct ahead *a, cst_error **error)
{
	struct batch *batch = filling(a);
	if (a->pool)
		pool_wait(a->pool, was_hashed, batch);
	if (!batch->data)
		batch->data = malloc(BATCH_SIZE);
	batch->ahead = a;
	batch->read = (struct task){.run = run_read};
	batch->hash = (struct task){.run = run_hash};
	batch->len = 0;
	atomic_store(&batch->was_read, false);
	return batch->data ? 0 : error_oom(error);
}

static int submit(struct ahead *a, bool last, cst_error **error)
{
	int r = start_pool(a, last, error);
	if (r < 0)
		return r;
	struct batch *batch = filling(a);
	a->in_flight++;
	pool_submit(a->pool, &batch->read);
	r = drain(a, last ? 0 : a->n_batches - 1, error);
	return r < 0 || last ? r : prepare_batch(a, error);
}

/* Room in the batch that is being filled: at least one byte. */
static int make_room(struct ahead *a, size_t *n, cst_error **error)
{
	int r = filling(a)->len == BATCH_SIZE ? submit(a, false, error) : 0;
	*n = BATCH_SIZE - filling(a)->len;
	return r;
}

/* The next bytes: a copy of `data`, or zeros. */
static int add_bytes(struct ahead *a, const unsigned char *data, uint64_t n, cst_error **error)
{
	while (n > 0) {
		size_t part;
		int r = make_room(a, &part, error);
		if (r < 0)
			return r;
		struct batch *batch = filling(a);
		part = (size_t)MIN((uint64_t)part, n);
		if (data)
			memcpy(batch->data + batch->len, data, part);
		else
			memset(batch->data + batch->len, 0, part);
		data = data ? data + part : NULL;
		batch->len += part;
		n -= part;
	}
	return 0;
}

int ahead_write(struct ahead *a, const void *data, size_t n, cst_error **error)
{
	return add_bytes(a, data, n, error);
}

int ahead_zeros(struct ahead *a, uint64_t n, cst_error **error)
{
	return add_bytes(a, NULL, n, error);
}

/* A place for the next piece of a file. */
static int add_place(struct ahead *a, struct place place, size_t *ret_n, cst_error **error)
{
	size_t room;
	int r = make_room(a, &room, error);
	if (r < 0)
		return r;
	struct batch *batch = filling(a);
	struct place *grown = grow_array(batch->places, &batch->places_capacity,
	                                 batch->n_places + 1, sizeof(place));
	if (grown)
		batch->places = grown;
	place.name = arena_strdup(&batch->arena, place.name);
	if (!grown || !place.name)
		return error_oom(error);
	uint64_t left = (uint64_t)place.size - place.from;
	place.at = batch->len;
	place.n = (size_t)MIN((uint64_t)room, left);
	place.last = left == place.n;
	place.fd = place.last ? steal_fd(&a->fd) : a->fd;
	batch->places[batch->n_places++] = place;
	batch->len += place.n;
	*ret_n = place.n;
	return 0;
}

/* With no threads, all files before it are read first, and so opened first. */
static int open_large(struct ahead *a, const char *name, int64_t size, cst_error **error)
{
	int r = a->threads ? 0 : submit(a, false, error);
	if (r < 0)
		return r;
	a->fd = a->reading->open_file(a->reading->userdata, name, size, error);
	if (a->fd >= 0)
		return 0;
	return error && *error ? cst_error_code(*error) : CST_ECORRUPT;
}

int ahead_file(struct ahead *a, const char *name, int64_t size, uint64_t crc, cst_error **error)
{
	struct place place = {.name = name, .size = size, .crc = crc};
	int r = 0;
	if (size > SMALL_FILE)
		r = open_large(a, name, size, error);
	else if ((size_t)size > BATCH_SIZE - filling(a)->len)
		r = submit(a, false, error);
	while (r == 0 && place.from < (uint64_t)size) {
		size_t n = 0;
		r = add_place(a, place, &n, error);
		place.from += n;
	}
	return r;
}

int ahead_finish(struct ahead *a, cst_error **error)
{
	if (a->failed)
		return 0;
	int r = submit(a, true, error);
	if (r == 0)
		pool_wait(a->pool, strand_idle, &a->hashing);
	return r;
}

int ahead_new(const struct tarsplit_reading *reading, const cst_sink *sink, struct ahead **ret,
              cst_error **error)
{
	_cleanup_(ahead_freep) struct ahead *a = new0(struct ahead, 1);
	if (!a)
		return error_oom(error);
	a->reading = reading;
	a->sink = sink;
	a->fd = -1;
	a->threads =
	        reading->threads == TARSPLIT_ALL_CPUS ? pool_cpu_count() - 1 : reading->threads;
	a->threads = MIN(a->threads, (unsigned)THREADS_MAX);
	a->n_batches = a->threads ? 2 * a->threads + 2 : 1;
	for (unsigned i = 0; i < BATCHES_MAX; i++)
		atomic_init(&a->batches[i].was_hashed, true);
	int r = prepare_batch(a, error);
	if (r == 0)
		*ret = steal_ptr(&a);
	return r;
}

void ahead_free(struct ahead *a)
{
	atomic_store(&a->cancelled, true);
	pool_free(a->pool);
	for (unsigned i = 0; i < a->n_batches; i++) {
		forget_places(&a->batches[i]);
		free(a->batches[i].places);
		free(a->batches[i].data);
	}
	closep(&a->fd);
	free(a);
}
