/* SPDX-License-Identifier: Apache-2.0 */
/* Another store: its layers give their archives back. */
#include "base/fs.h"
#include "base/types.h"
#include "lock/tempdir.h"
#include "store/change/trash.h"
#include "store/check/place.h"
#include <errno.h>
#include <unistd.h>

#define SCRATCH "archive"

static int list(struct place *place, cst_error **error)
{
	cst_layer_list *layers = NULL;
	/* The digests are given by the other store: content proves itself when it is unpacked. */
	place->measured = true;
	int r = cst_store_layers(place->theirs, &layers, error);
	for (size_t i = 0; r == 0 && i < cst_layer_list_size(layers); i++) {
		const cst_layer *layer = cst_layer_list_get(layers, i);
		struct blob *blob;
		r = place_add(place, cst_layer_id(layer), &blob, error);
		if (r < 0)
			break;
		blob->named = "";
		blob->plain = arena_strdup(&place->arena, cst_layer_diff_digest(layer));
		r = blob->plain ? 0 : error_oom(error);
	}
	cst_layer_list_free(layers);
	return r;
}

struct bounded {
	cst_sink to;
	uint64_t left;
};

/* What gives the archive back may be damaged, and give without end. */
static int write_bounded(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct bounded *bounded = userdata;
	if (n > bounded->left)
		return error_set(error, CST_EARCHIVE,
		                 "it is longer than any layer that is looked for");
	bounded->left -= n;
	return sink_write(&bounded->to, data, n, error);
}

/* The archive is given, and has to be taken: it waits in a file without a name. */
static int open_blob(struct place *place, const struct blob *blob, struct blob_reader *ret,
                     cst_error **error)
{
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	options.compression = CST_PLAIN;
	options.progress = place->progress;
	int r = metadata_stage(place->ours, &place->scratch, error);
	if (r < 0)
		return r;
	ret->fd = sys_openat(place->scratch->fd, SCRATCH, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
	                     0600);
	if (ret->fd < 0 || sys_unlinkat(place->scratch->fd, SCRATCH, 0) < 0)
		return error_sys(error, errno, "open %s/%s", place->scratch->shown, SCRATCH);
	struct bounded bounded = {.to = cst_sink_fd(ret->fd), .left = place->plain_max};
	const cst_sink sink = {.write = write_bounded, .userdata = &bounded};
	r = cst_store_diff(place->theirs, NULL, blob->name, &options, &sink, error);
	if (r == 0 && lseek(ret->fd, 0, SEEK_SET) < 0)
		r = error_sys(error, errno, "seek in a temporary file");
	ret->source = cst_source_fd(ret->fd);
	return r;
}

const struct place_kind store_place = {.list = list, .open = open_blob};
