/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of one size, in three steps, each of them tasks of the pool:
 *
 *     look    where each is on the disk: those that share all their blocks are one class, and equal
 *     hash    one file of each class, unless its hash is known
 *     share   of classes with one hash the largest keeps its blocks, and the files of the others are to share them
 */
#include "archive/tree/extents.h"
#include "archive/tree/usage_scan.h"
#include "base/checksum.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include "store/dedup/dedup.h"

#define READ_AT_ONCE ((size_t)256 << 10)
/* So many contents with one hash are told apart at most: somebody may have made them, to keep us busy. */
#define MAX_KEPT 32

struct group;

struct class
{ /* files that share all their blocks */
	struct task task;
	struct group *group;
	struct dedup_file *files;
	size_t n;
	uint64_t hash;
	bool failed;     /* no hash could be had */
	size_t n_behind; /* share: classes of this hash, this one among them */
};

struct group {
	struct task task;
	struct dedup *dedup;
	struct dedup_file *files;
	size_t n;
	struct class *classes;
	size_t n_classes;
	_Atomic size_t n_left; /* tasks of this step, and who submits them */
};

#define task_of(type, t) ((type *)((char *)(t)-offsetof(type, task)))

static void group_over(struct group *g)
{
	struct dedup *d = g->dedup;
	free(g->classes);
	free(g);
	atomic_fetch_sub(&d->n_running, 1);
}

/* ---- share ---- */

/* All files of a class. Returns how many share the blocks of `from` now; 0: the first does not. */
static int share_class(struct dedup *d, const struct dedup_file *from, const struct class *class,
                       size_t *shared, cst_error **error)
{
	uint64_t freed = 0;
	*shared = 0;
	for (size_t i = 0; i < class->n; i++) {
		int r = dedup_share(d, from, &class->files[i], &freed, error);
		if (r < 0)
			return r;
		if (r == 0 && i == 0)
			return 0;
		*shared += r > 0;
		if (r > 0)
			atomic_fetch_add(&d->freed, freed);
	}
	return 0;
}

/* The class finds an equal one among those that keep their blocks, or becomes one of them. */
static int place_class(struct dedup *d, struct class **kept, size_t *n_kept, struct class *class,
                       cst_error **error)
{
	size_t shared = 0;
	for (size_t i = 0; i < *n_kept && shared == 0; i++) {
		int r = share_class(d, kept[i]->files, class, &shared, error);
		if (r < 0)
			return r;
	}
	size_t equal = shared ? shared : class->n - 1;
	atomic_fetch_add(&d->equal, equal * class->files->size);
	if (shared == 0 && (*n_kept < MAX_KEPT || d->options.method == CST_DEDUP_SIZE))
		kept[(*n_kept)++] = class;
	return dedup_progress(d, class->n * class->files->size, error);
}

static int share_classes(struct dedup *d, struct class *first, cst_error **error)
{
	_cleanup_free_ struct class **kept = new0(struct class *, first->n_behind);
	size_t n_kept = 0;
	int r = kept ? 0 : error_oom(error);
	for (size_t i = 0; r == 0 && i < first->n_behind; i++)
		r = place_class(d, kept, &n_kept, &first[i], error);
	return r;
}

/* What the first class does not have of the blocks of all would be free. */
static int estimate_classes(struct dedup *d, const struct class *first, cst_error **error)
{
	_cleanup_pieces_ struct usage_pieces pieces = {0};
	uint64_t kept = 0;
	size_t n = 0;
	for (size_t i = 0; i < first->n_behind; i++) {
		struct stat st;
		_cleanup_close_ int fd = dedup_open(d, first[i].files, &st);
		if (fd >= 0 && !usage_pieces_of_file(&pieces, fd, st.st_dev))
			return error_oom(error);
		kept = i == 0 ? usage_pieces_merge(&pieces, 0) : kept;
		n += first[i].n;
	}
	uint64_t all = usage_pieces_merge(&pieces, 0);
	atomic_fetch_add(&d->freed, all - kept);
	atomic_fetch_add(&d->equal, (n - 1) * first->files->size);
	return dedup_progress(d, n * first->files->size, error);
}

static void share(struct task *task)
{
	struct class *first = task_of(struct class, task);
	struct group *g = first->group;
	cst_error *error = NULL;
	int r = g->dedup->options.dry_run ? estimate_classes(g->dedup, first, &error)
	                                  : share_classes(g->dedup, first, &error);
	if (r < 0)
		dedup_fail(g->dedup, r, error);
	if (atomic_fetch_sub(&g->n_left, 1) == 1)
		group_over(g);
}

/* The first layer keeps its blocks, so that two processes at once choose the same. */
static int by_layer(const struct dedup_file *left, const struct dedup_file *right)
{
	return (left->layer > right->layer) - (left->layer < right->layer);
}

static int by_hash(const void *a, const void *b)
{
	const struct class *left = a, *right = b;
	if (left->failed != right->failed)
		return left->failed - right->failed;
	if (left->hash != right->hash && !left->failed)
		return left->hash < right->hash ? -1 : 1;
	if (left->n != right->n)
		return left->n < right->n ? 1 : -1;
	return by_layer(left->files, right->files);
}

static void share_all(struct group *g)
{
	qsort(g->classes, g->n_classes, sizeof(*g->classes), by_hash);
	atomic_store(&g->n_left, 1);
	for (size_t i = 0; i < g->n_classes; i += g->classes[i].n_behind) {
		struct class *first = &g->classes[i];
		first->n_behind = 1;
		while (!first->failed && i + first->n_behind < g->n_classes &&
		       !first[first->n_behind].failed && first[first->n_behind].hash == first->hash)
			first->n_behind++;
	}
	for (size_t i = 0, next; i < g->n_classes; i = next) {
		struct class *first = &g->classes[i];
		next = i + first->n_behind;
		first->task.run = share;
		atomic_fetch_add(&g->n_left, 1);
		if (first->n_behind == 1)
			share(&first->task);
		else
			pool_submit(g->dedup->pool, &first->task);
	}
	if (atomic_fetch_sub(&g->n_left, 1) == 1)
		group_over(g);
}

/* ---- hash ---- */

struct hashing {
	int method;
	uint64_t crc;
	struct digester *digester;
};

static int hash_content(struct dedup *d, int fd, uint64_t size, struct hashing *hashing,
                        bool *whole, cst_error **error)
{
	_cleanup_free_ char *buffer = malloc(READ_AT_ONCE);
	uint64_t done = 0;
	if (!buffer)
		return error_oom(error);
	while (done < size) {
		int r = dedup_progress(d, 0, error);
		if (r < 0)
			return r;
		ssize_t n = fs_read_full(fd, buffer, READ_AT_ONCE);
		if (n <= 0)
			break;
		if (hashing->method == CST_DEDUP_SHA256)
			digester_update(hashing->digester, buffer, (size_t)n);
		else
			hashing->crc = crc64_iso(hashing->crc, buffer, (size_t)n);
		done += (uint64_t)n;
	}
	*whole = done == size;
	atomic_fetch_add(&d->hashed, done);
	return 0;
}

/* A hash of 64 bits is enough to find what may be equal. */
static int finish_hash(const struct dedup *d, struct hashing *hashing, uint64_t *ret,
                       cst_error **error)
{
	char text[DIGEST_TEXT_MAX];
	*ret = hashing->crc;
	if (hashing->method != CST_DEDUP_SHA256)
		return 0;
	int r = digester_finish(hashing->digester, text, error);
	if (r == 0)
		*ret = siphash24(text, strlen(text), d->known.key);
	return r;
}

/* *file is hashed if it could be read and did not change meanwhile. */
static int hash_file(struct dedup *d, struct dedup_file *file, cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	struct stat before, after;
	_cleanup_close_ int fd = dedup_open(d, file, &before);
	bool whole = false;
	int r = 0;
	if (fd < 0)
		return 0;
	if (d->options.method == CST_DEDUP_SHA256)
		r = digester_new(DIGEST_SHA256, &digester, error);
	struct hashing hashing = {.method = d->options.method, .digester = digester};
	if (r == 0)
		r = hash_content(d, fd, file->size, &hashing, &whole, error);
	if (r == 0)
		r = finish_hash(d, &hashing, &file->hash, error);
	if (r < 0 || !whole || fstat(fd, &after) < 0)
		return r;
	uint64_t key = known_key(&d->known, &after, d->options.method);
	if (key == known_key(&d->known, &before, d->options.method)) {
		file->has_hash = true;
		known_put(&d->known, key, file->hash);
	}
	return 0;
}

static void hash(struct task *task)
{
	struct class *class = task_of(struct class, task);
	struct group *g = class->group;
	cst_error *error = NULL;
	for (size_t i = 0; i < class->n && class->failed; i++) {
		int r = hash_file(g->dedup, &class->files[i], &error);
		class->failed = !class->files[i].has_hash;
		class->hash = class->files[i].hash;
		if (r < 0) {
			dedup_fail(g->dedup, r, error);
			break;
		}
	}
	if (atomic_fetch_sub(&g->n_left, 1) == 1)
		share_all(g);
}

static void hash_all(struct group *g)
{
	atomic_store(&g->n_left, 1);
	for (size_t i = 0; i < g->n_classes; i++) {
		struct class *class = &g->classes[i];
		for (size_t k = 0; k < class->n && class->failed; k++) {
			class->failed = !class->files[k].has_hash;
			class->hash = class->files[k].hash;
		}
		if (!class->failed)
			continue;
		class->task.run = hash;
		atomic_fetch_add(&g->n_left, 1);
		pool_submit(g->dedup->pool, &class->task);
	}
	if (atomic_fetch_sub(&g->n_left, 1) == 1)
		share_all(g);
}

/* ---- look ---- */

/* A small file whose content is among the metadata has no block to share. Its content stands for its place. */
static void place_inline(struct dedup *d, struct dedup_file *file, int fd)
{
	char content[4096];
	ssize_t n = file->size <= sizeof(content) ? fs_pread_full(fd, content, file->size, 0) : -1;
	if (n == (ssize_t)file->size)
		file->places = siphash24(content, file->size, d->known.key);
}

static void look_at_file(struct dedup *d, struct dedup_file *file)
{
	struct extents_sum sum;
	struct stat st;
	_cleanup_close_ int fd = dedup_open(d, file, &st);
	file->gone = fd < 0;
	if (file->gone)
		return;
	file->has_hash =
	        known_get(&d->known, known_key(&d->known, &st, d->options.method), &file->hash);
	if (!extents_sum(fd, &st, d->known.key, &sum))
		return;
	file->places = sum.places;
	if (sum.is_inline)
		place_inline(d, file, fd);
}

static int by_places(const void *a, const void *b)
{
	const struct dedup_file *left = a, *right = b;
	if (left->gone != right->gone)
		return left->gone - right->gone;
	if (left->places != right->places)
		return left->places < right->places ? -1 : 1;
	return by_layer(left, right);
}

/* What is not known to share with another is a class by itself. */
static bool make_classes(struct group *g)
{
	g->classes = new0(struct class, g->n);
	if (!g->classes)
		return false;
	for (size_t i = 0; i < g->n && !g->files[i].gone; i++) {
		struct class *last = g->n_classes ? &g->classes[g->n_classes - 1] : NULL;
		const struct dedup_file *file = &g->files[i];
		if (last && file->places && file->places == last->files->places)
			last->n++;
		else
			g->classes[g->n_classes++] = (struct class){
			        .group = g, .files = &g->files[i], .n = 1, .failed = true};
	}
	return true;
}

static void look(struct task *task)
{
	struct group *g = task_of(struct group, task);
	struct dedup *d = g->dedup;
	cst_error *error = NULL;
	for (size_t i = 0; i < g->n && !atomic_load(&d->stop); i++)
		look_at_file(d, &g->files[i]);
	qsort(g->files, g->n, sizeof(*g->files), by_places);
	int r = atomic_load(&d->stop) ? dedup_progress(d, 0, &error)
	        : make_classes(g)     ? 0
	                              : error_oom(&error);
	if (r < 0) {
		dedup_fail(d, r, error);
		group_over(g);
		return;
	}
	/* The kernel compares whole files if nothing else is asked for. Nobody compares in a dry run. */
	bool by_size = d->options.method == CST_DEDUP_SIZE && !d->options.dry_run;
	for (size_t i = 0; i < g->n_classes && (by_size || g->n_classes == 1); i++)
		g->classes[i].failed = false;
	if (by_size || g->n_classes == 1)
		share_all(g);
	else
		hash_all(g);
}

void dedup_group(struct dedup *d, struct dedup_file *files, size_t n)
{
	struct group *g = new0(struct group, 1);
	if (!g) {
		cst_error *error = NULL;
		int r = error_oom(&error);
		dedup_fail(d, r, error);
		return;
	}
	*g = (struct group){.task.run = look, .dedup = d, .files = files, .n = n};
	atomic_fetch_add(&d->n_running, 1);
	pool_submit(d->pool, &g->task);
}
