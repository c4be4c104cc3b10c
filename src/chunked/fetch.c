/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for ranges of a blob, and reads them (fetch.h). */
#include "chunked/fetch.h"
#include "base/types.h"
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#define DROP_SIZE ((size_t)16 << 10)

void fetch_init(struct fetch *fetch, const cst_range_source *source)
{
	*fetch = (struct fetch){.source = source, .max = FETCH_RANGES_MAX};
}

void fetch_done(struct fetch *fetch)
{
	free(fetch->ranges);
}

/* ---- which ranges ---- */

void fetch_begin(struct fetch *fetch)
{
	fetch->n = 0;
}

int fetch_add(struct fetch *fetch, uint64_t offset, uint64_t end, cst_error **error)
{
	cst_range *grown =
	        grow_array(fetch->ranges, &fetch->capacity, fetch->n + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	fetch->ranges = grown;
	grown[fetch->n++] = (cst_range){offset, end - offset};
	return 0;
}

static uint64_t gap_before(const cst_range *range)
{
	return range->offset - (range[-1].offset + range[-1].length);
}

static void merge_gaps(struct fetch *fetch, uint64_t limit)
{
	size_t n = 0;
	for (size_t i = 0; i < fetch->n; i++) {
		cst_range range = fetch->ranges[i];
		cst_range *last = n > 0 ? &fetch->ranges[n - 1] : NULL;
		if (last && range.offset - (last->offset + last->length) <= limit)
			last->length = range.offset + range.length - last->offset;
		else
			fetch->ranges[n++] = range;
	}
	fetch->n = n;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Merges over the smallest gaps until there are no more ranges than may be asked for. */
static int merge(struct fetch *fetch, cst_error **error)
{
	merge_gaps(fetch, FETCH_GAP);
	if (fetch->n <= fetch->max)
		return 0;
	_cleanup_free_ uint64_t *gaps = new0(uint64_t, fetch->n);
	if (!gaps)
		return error_oom(error);
	for (size_t i = 1; i < fetch->n; i++)
		gaps[i] = gap_before(&fetch->ranges[i]);
	qsort(gaps + 1, fetch->n - 1, sizeof(*gaps), by_size);
	merge_gaps(fetch, gaps[fetch->n - fetch->max]);
	return 0;
}

int fetch_request(struct fetch *fetch, cst_error **error)
{
	const cst_range_source *source = fetch->source;
	for (;;) {
		cst_error *problem = NULL;
		int r = merge(fetch, error);
		if (r < 0 || fetch->n == 0)
			return r;
		fetch->current = 0;
		fetch->position = fetch->ranges[0].offset;
		fetch->requests++;
		fetch->n_ranges += fetch->n;
		r = source->request(source->userdata, fetch->ranges, fetch->n, &problem);
		if (r == 0)
			return 0;
		if (r != CST_ENOTSUP || fetch->n == 1)
			return problem ? error_propagate(error, problem)
			               : error_set(error, CST_EIO_CALLBACK,
			                           "ranges of the blob cannot be asked for");
		cst_error_free(problem);
		fetch->max = fetch->n / 2;
	}
}

/* ---- reading ---- */

/* At least a byte, or it fails. */
static int64_t read_source(struct fetch *fetch, void *buffer, size_t size, cst_error **error)
{
	const cst_source stream = {.read = fetch->source->read,
	                           .userdata = fetch->source->userdata};
	int64_t n = source_read(&stream, buffer, size, error);
	if (n == 0)
		return error_set(error, CST_EARCHIVE,
		                 "the source of the blob ends early, at byte %" PRIu64,
		                 fetch->position);
	if (n > 0) {
		fetch->position += (uint64_t)n;
		fetch->bytes += (uint64_t)n;
	}
	return n;
}

static uint64_t end_of(const struct fetch *fetch)
{
	return fetch->ranges[fetch->current].offset + fetch->ranges[fetch->current].length;
}

/* Past the end of a range is the begin of the next one. */
static void advance(struct fetch *fetch)
{
	while (fetch->current < fetch->n && fetch->position == end_of(fetch))
		if (++fetch->current < fetch->n)
			fetch->position = fetch->ranges[fetch->current].offset;
}

int64_t fetch_some(struct fetch *fetch, void *buffer, size_t size, cst_error **error)
{
	advance(fetch);
	if (fetch->current == fetch->n || size == 0)
		return 0;
	return read_source(fetch, buffer,
	                   (size_t)MIN((uint64_t)size, end_of(fetch) - fetch->position), error);
}

static int drop_until(struct fetch *fetch, uint64_t offset, cst_error **error)
{
	char dropped[DROP_SIZE];
	for (;;) {
		advance(fetch);
		if (fetch->current == fetch->n || fetch->position >= offset)
			return 0;
		uint64_t left = MIN(offset, end_of(fetch)) - fetch->position;
		int64_t n =
		        fetch_some(fetch, dropped, (size_t)MIN((uint64_t)DROP_SIZE, left), error);
		if (n < 0)
			return (int)n;
	}
}

int fetch_read(struct fetch *fetch, uint64_t offset, void *buffer, size_t n, cst_error **error)
{
	int r = drop_until(fetch, offset, error);
	for (size_t done = 0; r == 0 && done < n;) {
		int64_t got = fetch_some(fetch, (char *)buffer + done, n - done, error);
		if (got < 0)
			return (int)got;
		if (got == 0 || fetch->position != offset + done + (uint64_t)got)
			return error_set(error, CST_EARCHIVE,
			                 "byte %" PRIu64 " of the blob was not asked for",
			                 offset + done);
		done += (size_t)got;
	}
	return r;
}

/* ---- a file ---- */

static int request_file(void *userdata, const cst_range *ranges, size_t n, cst_error **error)
{
	cst_range_file *file = userdata;
	file->ranges = ranges;
	file->n = n;
	file->done = 0;
	return 0;
}

static int64_t read_file(void *userdata, void *buffer, size_t size, cst_error **error)
{
	cst_range_file *file = userdata;
	while (file->n > 0 && file->done == file->ranges->length) {
		file->ranges++;
		file->n--;
		file->done = 0;
	}
	if (file->n == 0)
		return 0;
	ssize_t n;
	do
		n = pread(file->fd, buffer,
		          (size_t)MIN((uint64_t)size, file->ranges->length - file->done),
		          (off_t)(file->ranges->offset + file->done));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_sys(error, errno, "read blob");
	file->done += (uint64_t)n;
	return n;
}

int cst_range_source_fd(int fd, cst_range_file *file, cst_range_source *ret, cst_error **error)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat blob");
	if (!S_ISREG(st.st_mode))
		return error_set(error, CST_EINVAL, "the blob is not a regular file");
	*file = (cst_range_file){.fd = fd};
	*ret = (cst_range_source){.blob_size = (uint64_t)st.st_size,
	                          .request = request_file,
	                          .read = read_file,
	                          .userdata = file};
	return 0;
}
