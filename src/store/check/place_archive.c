/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar of files, as `docker save` and `podman save` write it, compressed or not. All of it has to be read to know what is in
 * it, so that every file is hashed on the way. Only files that begin at some place in the archive count: whatever path or
 * link it names, nothing but the archive is opened.
 */
#include "archive/tar/tar.h"
#include "base/types.h"
#include "store/check/place.h"
#include <errno.h>
#include <unistd.h>

struct listing {
	struct place *place;
	struct tar_reader *reader;
	struct plain_source *plain;
	struct blob *blob; /* whose content is being read; NULL: none */
	struct blob_sum sum;
	char *buffer;
	uint64_t read; /* plain bytes up to the end of the buffer */
};

static void listing_free(struct listing *listing)
{
	tar_reader_free(listing->reader);
	if (listing->plain)
		plain_source_free(listing->plain);
	blob_sum_free(&listing->sum);
	free(listing->buffer);
}

static int begin_entry(struct listing *listing, cst_error **error)
{
	const struct tar_header *header = tar_reader_header(listing->reader);
	listing->blob = NULL;
	if (header->type != '0' || header->is_sparse || header->body_size == 0)
		return 0;
	int r = place_add(listing->place, header->name, &listing->blob, error);
	if (r < 0)
		return r;
	listing->blob->offset = UINT64_MAX;
	listing->blob->size = header->body_size;
	return blob_sum_begin(&listing->sum, DIGEST_SHA256, listing->place->plain_max, error);
}

static int add_body(struct listing *listing, const char *data, size_t n, size_t in_buffer,
                    cst_error **error)
{
	if (!listing->blob)
		return 0;
	if (listing->blob->offset == UINT64_MAX)
		listing->blob->offset =
		        listing->read - in_buffer + (uint64_t)(data - listing->buffer);
	return place_sum(listing->place, &listing->sum, data, n, error);
}

static int end_entry(struct listing *listing, cst_error **error)
{
	if (!listing->blob)
		return 0;
	int r = place_sum_end(listing->place, &listing->sum, listing->blob, error);
	blob_sum_free(&listing->sum);
	listing->blob = NULL;
	return r;
}

/* What is in the buffer. */
static int parse(struct listing *listing, size_t n, bool *end, cst_error **error)
{
	enum tar_event event = TAR_ENTRY;
	const void *data;
	size_t len;
	int r = 0;
	listing->read += n;
	tar_reader_feed(listing->reader, listing->buffer, n);
	while (r == 0 && !*end &&
	       (r = tar_reader_next(listing->reader, &event, &data, &len, error)) == 0 &&
	       event != TAR_NEED_DATA) {
		if (event == TAR_ENTRY)
			r = begin_entry(listing, error);
		else if (event == TAR_BODY)
			r = add_body(listing, data, len, n, error);
		else if (event == TAR_BODY_END)
			r = end_entry(listing, error);
		*end = event == TAR_END;
	}
	return r;
}

static int list(struct place *place, cst_error **error)
{
	_cleanup_(listing_free) struct listing listing = {.place = place};
	const cst_source file = cst_source_fd(place->fd);
	bool end = false;
	place->measured = true;
	if (lseek(place->fd, 0, SEEK_SET) < 0)
		return error_sys(error, errno, "seek in %s", place->path);
	listing.buffer = malloc(SUM_BUFFER);
	int r = listing.buffer ? tar_reader_new(&listing.reader, error) : error_oom(error);
	if (r == 0)
		r = plain_source_new(&file, &listing.plain, error);
	if (r == 0)
		place->compressed = plain_source_decompresses(listing.plain);
	while (r == 0 && !end) {
		int64_t n = plain_source_read(listing.plain, listing.buffer, SUM_BUFFER, error);
		if (n < 0)
			return (int)n;
		end = n == 0;
		r = end ? tar_reader_end(listing.reader, error)
		        : parse(&listing, (size_t)n, &end, error);
	}
	return r;
}

static int64_t read_part(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct blob_reader *reader = userdata;
	size_t wanted = (size_t)MIN((uint64_t)size, reader->left);
	int64_t n = reader->unpacked ? plain_source_read(reader->unpacked, buffer, wanted, error)
	                             : source_read(&reader->below, buffer, wanted, error);
	if (n > 0)
		reader->left -= (uint64_t)n;
	return n;
}

/* In a compressed archive the way to a blob leads through all that is before it. */
static int open_blob(struct place *place, const struct blob *blob, struct blob_reader *ret,
                     cst_error **error)
{
	off_t start = place->compressed ? 0 : (off_t)blob->offset;
	if (lseek(place->fd, start, SEEK_SET) < 0)
		return error_sys(error, errno, "seek");
	ret->below = cst_source_fd(place->fd);
	ret->left = blob->size;
	ret->source = (cst_source){.read = read_part, .userdata = ret};
	int r = place->compressed ? plain_source_new(&ret->below, &ret->unpacked, error) : 0;
	return r == 0 && ret->unpacked ? plain_source_skip(ret->unpacked, blob->offset, error) : r;
}

const struct place_kind archive_place = {.list = list, .open = open_blob};
