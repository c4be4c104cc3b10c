/* SPDX-License-Identifier: Apache-2.0 */
/* The TOC of eStargz is a file in a tar in gzip members of its own (docs/format/chunked.md, "estargz differences"). */
#include "archive/tar/tar.h"
#include "chunked/place.h"
#include "codec/compress.h"

#define TOC_NAME  "stargz.index.json"
#define STEP_SIZE ((size_t)64 << 10)

struct unpacking {
	struct tar_reader *tar;
	struct strbuf json;
	bool complete;
};

static void unpacking_free(struct unpacking *unpacking)
{
	tar_reader_free(unpacking->tar);
	strbuf_free(&unpacking->json);
}

static int look_at_header(const struct tar_header *header, cst_error **error)
{
	if (header->type != '0' || header->is_sparse || !streq(header->name, TOC_NAME))
		return error_set(error, CST_EARCHIVE, "\"%s\" is where its " TOC_NAME " should be",
		                 header->name);
	if (header->size > TOC_SIZE_MAX)
		return error_set(
		        error, CST_ENOTSUP, "the TOC has %llu bytes: at most %llu are read",
		        (unsigned long long)header->size, (unsigned long long)TOC_SIZE_MAX);
	return 0;
}

/* Takes all that was fed to the reader, up to the end of the first member. */
static int take(struct unpacking *unpacking, cst_error **error)
{
	while (!unpacking->complete) {
		enum tar_event event;
		const void *data;
		size_t n;
		int r = tar_reader_next(unpacking->tar, &event, &data, &n, error);
		if (r < 0 || event == TAR_NEED_DATA)
			return r;
		if (event == TAR_ENTRY)
			r = look_at_header(tar_reader_header(unpacking->tar), error);
		else if (event == TAR_BODY)
			strbuf_add(&unpacking->json, data, n);
		else if (event == TAR_BODY_END)
			unpacking->complete = true;
		else
			r = error_set(error, CST_EARCHIVE, "it has no " TOC_NAME);
		if (r < 0)
			return r;
		if (unpacking->json.failed)
			return error_oom(error);
	}
	return 0;
}

static int unpack(struct unpacking *unpacking, struct decompressor *gunzip, const void *data,
                  size_t n, cst_error **error)
{
	_cleanup_free_ char *step = malloc(STEP_SIZE);
	size_t used = 0;
	bool end = false;
	if (!step)
		return error_oom(error);
	while (!unpacking->complete && !end) {
		size_t got = 0;
		int r = decompressor_run(gunzip, data, n, &used, true, step, STEP_SIZE, &got, &end,
		                         error);
		if (r < 0)
			return r;
		tar_reader_feed(unpacking->tar, step, got);
		r = take(unpacking, error);
		if (r < 0)
			return r;
	}
	return unpacking->complete ? 0 : error_set(error, CST_EARCHIVE, "its TOC ends early");
}

int estargz_unpack_toc(const void *data, size_t n, char **ret, size_t *ret_size, cst_error **error)
{
	_cleanup_(unpacking_free) struct unpacking unpacking = {0};
	_cleanup_(decompressor_freep) struct decompressor *gunzip = NULL;
	int r = tar_reader_new(&unpacking.tar, error);
	if (r == 0)
		r = decompressor_new(CST_GZIP, &gunzip, error);
	if (r == 0)
		r = unpack(&unpacking, gunzip, data, n, error);
	if (r < 0)
		return r;
	*ret_size = unpacking.json.len;
	*ret = strbuf_steal(&unpacking.json);
	return *ret ? 0 : error_oom(error);
}
