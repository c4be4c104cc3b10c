/* SPDX-License-Identifier: Apache-2.0 */
/* Puts back the content of a layer from the blob that it was unpacked from. */
#include "store/check/blobs.h"
#include "store/check/check.h"
#include "store/check/menders.h"
#include "store/layer/reextract.h"

DEFINE_CLEANUP(cst_layer *, cst_layer_free)

/* A blob may be so long whatever is recorded, since a record may be wrong. */
#define PLAIN_MIN ((uint64_t)256 << 20)

int mend_open_blobs(cst_store *store, const cst_repair_options *options, struct blobs **ret,
                    cst_error **error)
{
	cst_layer_list *layers = NULL;
	struct blobs_options places = {.places = options->from,
	                               .n_places = options->n_from,
	                               .progress = options->progress};
	if (!options->n_from)
		return 0;
	int r = cst_store_layers(store, &layers, error);
	places.plain_max = PLAIN_MIN;
	for (size_t i = 0; i < cst_layer_list_size(layers); i++) {
		int64_t size = cst_layer_list_get(layers, i)->diff_size;
		if (size > (int64_t)places.plain_max)
			places.plain_max = (uint64_t)size;
	}
	cst_layer_list_free(layers);
	return r == 0 ? blobs_new(store, &places, ret, error) : r;
}

/* Findings about a layer's content, which its blob mends. */
static bool is_of_content(enum cst_finding_code code)
{
	return code == CST_FINDING_CONTENT_UNREADABLE || code == CST_FINDING_CONTENT_DIGEST ||
	       code == CST_FINDING_CONTENT_SIZE || code == CST_FINDING_TREE_CHANGED ||
	       code == CST_FINDING_TREE_UNREADABLE || code == CST_FINDING_NO_TARSPLIT;
}

static bool is_damaged(const struct cst_findings *findings, const char *id)
{
	for (size_t i = 0; i < findings->len; i++) {
		const struct cst_finding *finding = &findings->items[i];
		if (finding->about.kind == CST_KIND_LAYER && is_of_content(finding->code) &&
		    streq(finding->about.id, id))
			return true;
	}
	return false;
}

/* What seemed wrong may have been its parent's, which was mended: its tar-split or its files are needed to look at it. */
int mend_still_damaged(struct mending *mending, const struct cst_finding *finding, bool *ret,
                       cst_error **error)
{
	struct cst_findings one = {.options = mending->findings->options};
	cst_findings *again = NULL;
	*ret = true;
	if (!mending->mended)
		return 0;
	const struct cst_findings alone = {.items = (struct cst_finding *)finding, .len = 1};
	findings_copy(&one, &alone, NULL);
	int r = one.failed ? error_oom(error)
	                   : check_again(mending->store, &one, NULL, &again, error);
	findings_done(&one);
	if (r < 0)
		return r;
	*ret = is_damaged(again, finding->about.id);
	cst_findings_free(again);
	return 0;
}

struct use {
	struct mending *mending;
	const char *id;
	bool in_use, busy;
};

static int use_blob(void *arg, const cst_source *blob, cst_error **error)
{
	struct use *use = arg;
	int r = layer_reextract(use->mending->store, use->id, blob, use->mending->options->progress,
	                        &use->in_use, error);
	use->busy = r == CST_EBUSY;
	return use->busy ? 0 : r; /* it is the right blob */
}

/* On a driver whose layers are whole trees: begins with files that are wrong. */
static bool has_damaged_parent(const struct mending *mending, const cst_layer *layer)
{
	return (mending->store->driver->ops->capabilities & DRIVER_WHOLE_TREES) && *layer->parent &&
	       is_damaged(mending->findings, layer->parent) &&
	       !strv_contains(mending->sound, layer->parent);
}

static int unpack_again(struct mending *mending, const cst_layer *layer, char **done,
                        cst_error **error)
{
	struct use use = {.mending = mending, .id = layer->id};
	const struct wanted_blob wanted = {layer->compressed_digest, layer->diff_digest};
	_cleanup_free_ char *from = NULL;
	int r = blobs_find(mending->blobs, &wanted, use_blob, &use, &from, error);
	if (r < 0)
		return r;
	if (use.busy)
		*done = str_printf("left as it is while it is in use: %s would mend it", from);
	else if (use.in_use)
		*done = str_printf(
		        "tar-split written anew from %s; its files stay, since they are in use",
		        from);
	else
		*done = str_printf("unpacked again from %s", from);
	return !*done ? error_oom(error) : use.busy ? MEND_LEFT : MEND_DONE;
}

int mend_from_blob(struct mending *mending, const struct cst_finding *finding, char **done,
                   cst_error **error)
{
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	bool still;
	if (!mending->blobs)
		return MEND_NOT;
	int r = mend_still_damaged(mending, finding, &still, error);
	if (r == 0 && !still)
		return strv_add(mending->sound, finding->about.id) ? MEND_NOT : error_oom(error);
	if (r == 0)
		r = layer_to_reextract(mending->store, finding->about.id, &layer, error);
	if (r < 0)
		return r;
	if (has_damaged_parent(mending, layer))
		return error_set(error, CST_ECORRUPT,
		                 "its files begin with those of its parent %s, which is damaged",
		                 layer->parent);
	r = unpack_again(mending, layer, done, error);
	if (r == MEND_DONE && !strv_add(mending->sound, layer->id))
		return error_oom(error);
	return r;
}

/* The record has to say what the layer gives: every tool that pushes, saves or commits holds the bytes against it. */
int mend_by_packing(struct mending *mending, const struct cst_finding *finding, char **done,
                    cst_error **error)
{
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_free_ char *digest = NULL;
	const char *id = finding->about.id;
	bool still;
	if (strv_contains(mending->sound, id) || strv_contains(mending->left, id))
		return MEND_NOT;
	int r = mend_still_damaged(mending, finding, &still, error);
	if (r < 0 || !still)
		return r < 0 ? r : MEND_NOT;
	r = layer_to_reextract(mending->store, id, &layer, &problem);
	if (r == 0)
		r = layer_repack(mending->store, id, &digest, &problem);
	if (r < 0 && finding->code != CST_FINDING_NO_TARSPLIT && r != CST_ENOMEM &&
	    r != CST_ECANCELED)
		return MEND_NOT; /* it was not the tar-split */
	if (r < 0)
		return error_propagate(error, steal_ptr(&problem));
	*done = streq(digest, layer->diff_digest)
	                ? strdup("tar-split made anew from its files, which give the recorded "
	                         "digest")
	                : str_printf("tar-split made anew from its files, but its archive is no "
	                             "longer byte "
	                             "for byte what it was: the diff digest is now %s. Images with "
	                             "it can "
	                             "be pushed, but whoever pulls one whose configuration says %s "
	                             "refuses "
	                             "it",
	                             digest, layer->diff_digest);
	return *done && strv_add(mending->sound, id) ? MEND_DONE : error_oom(error);
}
