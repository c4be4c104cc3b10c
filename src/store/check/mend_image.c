/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the image of a layer that is kept as one anew, of its TOC, its tar-split and its objects. Those are named by the digest of
 * what they hold, so a damaged one is noticed, and named. */
#include "base/fs.h"
#include "chunked/cache.h"
#include "chunked/toc_stream.h"
#include "store/check/menders.h"
#include "store/layer/reextract.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

DEFINE_CLEANUP(cst_layer *, cst_layer_free)
#define TARSPLIT_MAX ((size_t)1 << 30)
#define OBJECT_NAME  80

struct remake {
	int objects_fd;
	char missing[OBJECT_NAME]; /* the first that is missing, or has another size; "": none */
	char opened[OBJECT_NAME];  /* the last that was */
};

static void object_name(const uint8_t digest[TOC_DIGEST_SIZE], char ret[OBJECT_NAME])
{
	char text[TOC_DIGEST_TEXT];
	toc_digest_format(digest, text);
	const char *hex = strchr(text, ':') + 1;
	snprintf(ret, OBJECT_NAME, "%.2s/%s", hex, hex + 2);
}

static bool has_object(void *userdata, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size)
{
	struct remake *remake = userdata;
	char name[OBJECT_NAME];
	struct stat st;
	object_name(digest, name);
	bool has = fstatat(remake->objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	           S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
	if (!has && !*remake->missing)
		strcpy(remake->missing, name);
	return has;
}

static int open_object(void *userdata, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size,
                       uint64_t *offset)
{
	struct remake *remake = userdata;
	object_name(digest, remake->opened);
	*offset = 0;
	return openat(remake->objects_fd, remake->opened,
	              O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* There is no blob to fetch from: whoever asks for it has not found the content of an object. */
static int refuse(void *userdata, const cst_range *ranges, size_t n, cst_error **error)
{
	const struct remake *remake = userdata;
	if (*remake->missing)
		return error_set(error, CST_ECORRUPT,
		                 "the object %s is missing, or has another size than its TOC says",
		                 remake->missing);
	return error_set(error, CST_ECORRUPT, "the object %s has another digest than its name says",
	                 remake->opened);
}

static int64_t read_nothing(void *userdata, void *buffer, size_t size, cst_error **error)
{
	return 0;
}

static int read_toc(cst_store *store, const char *id, struct toc **ret, cst_error **error)
{
	char *json = NULL;
	size_t size;
	int r = cst_store_data(store, CST_KIND_LAYER, id, MANIFEST_KEY, (void **)&json, &size,
	                       error);
	return r == 0 ? toc_parse(json, size, CST_TOC_ZSTD_CHUNKED, UINT64_MAX, ret, error) : r;
}

static int remake(struct mending *mending, struct remake *remake, const char *id, bool *in_use,
                  cst_error **error)
{
	const struct stream_donors donors = {
	        .has = has_object, .open = open_object, .userdata = remake};
	const cst_range_source nowhere = {.blob_size = INT64_MAX,
	                                  .request = refuse,
	                                  .read = read_nothing,
	                                  .userdata = remake};
	_cleanup_(toc_freep) struct toc *toc = NULL;
	_cleanup_(toc_stream_freep) struct toc_stream *stream = NULL;
	_cleanup_free_ char *name = str_printf("%s.tar-split.gz", id), *packed = NULL;
	struct fetch fetch;
	cst_memory tarsplit = {0};
	int r = name ? read_toc(mending->store, id, &toc, error) : error_oom(error);
	if (r == 0)
		r = fs_read_file(mending->store->sets.layers.fd, name, TARSPLIT_MAX, &packed,
		                 &tarsplit.size, error);
	tarsplit.data = packed;
	fetch_init(&fetch, &nowhere);
	if (r == 0)
		r = toc_stream_new(toc, &tarsplit, CST_GZIP, &fetch, &donors, STREAM_SURE, &stream,
		                   error);
	if (r == 0)
		r = layer_reextract(mending->store, id,
		                    &(cst_source){.read = toc_stream_read, .userdata = stream},
		                    mending->options->progress, in_use, error);
	fetch_done(&fetch);
	return r;
}

int mend_image(struct mending *mending, const struct cst_finding *finding, char **done,
               cst_error **error)
{
	const struct driver_ops *ops = mending->store->driver->ops;
	const char *id = finding->about.id;
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_close_ int objects_fd = -1;
	bool still, in_use = false;
	if (!ops->objects_open || strv_contains(mending->sound, id) ||
	    ops->objects_open(mending->store->driver, id, &objects_fd, NULL) < 0)
		return MEND_NOT;
	int r = mend_still_damaged(mending, finding, &still, error);
	if (r < 0 || !still)
		return r < 0 ? r : MEND_NOT;
	struct remake how = {.objects_fd = objects_fd};
	r = layer_to_reextract(mending->store, id, &layer, &problem);
	if (r == 0)
		r = remake(mending, &how, id, &in_use, &problem);
	if (r == CST_EBUSY || r == CST_EDATA_UNKNOWN || in_use)
		return MEND_NOT; /* it may not be touched, or has no TOC */
	if (r < 0)
		return error_propagate(error, steal_ptr(&problem));
	*done = strdup("its composefs image made anew of its TOC and its objects");
	return *done && strv_add(mending->sound, id) ? MEND_DONE : error_oom(error);
}
