/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the content of a damaged layer back, from the archive that it was made of. Everything is unpacked beside the layer, as
 * for a new one, and proven by the digest of the record before the layers are locked. */
#include "store/layer/reextract.h"
#include "archive/tarsplit/tarsplit.h"
#include "archive/unpack/split.h"
#include "base/digest.h"
#include "store/core/lookup.h"
#include "store/core/store.h"
#include "store/layer/create.h"
#include "store/layer/replace.h"
#include "store/layer/view.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

struct reextraction {
	struct new_content content; /* the record is the layer's of before */
	cst_layer before;           /* the record as it was */
	cst_layer parent;           /* id "": it has none */
	struct arena unpacked_arena;
	cst_layer unpacked; /* what the archive says of itself */
};

static void reextraction_free(struct reextraction *re)
{
	new_content_free(&re->content);
	arena_clear(&re->unpacked_arena);
}

/* ---- which layer ---- */

/* L r and C r are held. */
static int check_layer(cst_store *store, const char *id, const cst_layer **ret, cst_error **error)
{
	const cst_layer *layer = layer_table_get(store->sets.layers.table, id);
	if (!layer)
		return error_about(error, CST_ELAYER_UNKNOWN, id);
	if (container_table_by_layer(store->sets.containers.table, id))
		return error_set(error, CST_ELAYER_USED_BY_CONTAINER,
		                 "layer %s has what a container wrote, which is in no archive", id);
	if (!digest_is_sha256(layer->diff_digest))
		return error_set(error, CST_ENOTSUP,
		                 "no archive can be found for layer %s, because its record has no "
		                 "sha256 diff digest",
		                 id);
	*ret = layer;
	return 0;
}

int layer_to_reextract(cst_store *store, const char *id, cst_layer **ret, cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	const cst_layer *layer;
	int r = hold_sets(store, hold_three(HOLD_READ, HOLD_NOT, HOLD_READ), &held, error);
	if (r == 0)
		r = check_layer(store, id, &layer, error);
	return r == 0 ? layer_give(layer, ret, error) : r;
}

/* Records may be cyclic. */
static bool is_built_on(const struct record_set *layers, const cst_layer *layer, const char *id)
{
	for (size_t i = 0; layer && i < record_set_size(layers); i++) {
		if (streq(layer->id, id))
			return true;
		layer = *layer->parent ? layer_table_get(layers, layer->parent) : NULL;
	}
	return false;
}

/* Where a mount has the content of several layers, it is in use with any layer that is built on it. */
static int find_user(cst_store *store, const char *id, const cst_layer **ret, cst_error **error)
{
	const struct record_set *layers = store->sets.layers.table;
	bool whole = store->driver->ops->capabilities & DRIVER_WHOLE_TREES, in_use = false;
	int r = 0;
	*ret = NULL;
	for (size_t i = 0; r == 0 && !in_use && i < record_set_size(layers); i++) {
		const cst_layer *layer = layer_table_at(layers, i);
		if (!(whole ? streq(layer->id, id) : is_built_on(layers, layer, id)))
			continue;
		r = layer_in_use(store, layer, &in_use, error);
		if (in_use)
			*ret = layer;
	}
	return r;
}

static int plan(cst_store *store, const char *id, struct reextraction *re, bool *in_use,
                cst_error **error)
{
	_cleanup_hold_ struct hold held = {0};
	const cst_layer *layer = NULL, *user = NULL;
	int r = hold_sets(store, hold_three(HOLD_READ, HOLD_NOT, HOLD_READ), &held, error);
	if (r == 0)
		r = check_layer(store, id, &layer, error);
	if (r == 0)
		r = find_user(store, id, &user, error);
	if (r < 0)
		return r;
	const cst_layer *parent = *layer->parent ? layer_get(store, layer->parent, NULL) : NULL;
	if (*layer->parent && !parent)
		return error_about(error, CST_ELAYER_UNKNOWN, layer->parent);
	*in_use = user;
	re->parent = (cst_layer){.id = ""};
	if (!layer_copy(&re->content.arena, layer, &re->content.record) ||
	    (parent && !layer_copy(&re->content.arena, parent, &re->parent)))
		return error_oom(error);
	re->before = re->unpacked = re->content.record;
	return 0;
}

/* ---- unpacking, without a lock ---- */

/* The digest proves the archive. So if it has another size than the record says, the record is wrong. */
static int unpack(cst_store *store, const cst_source *archive, const cst_progress *progress,
                  struct reextraction *re, cst_error **error)
{
	struct new_content *content = &re->content;
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	options.progress = progress;
	options.expected_diff_digest = content->record.diff_digest;
	int r = metadata_stage(store, &content->metadata, error);
	const struct layer_unpacking how = {
	        .options = &options,
	        .diff = archive,
	        .driver = content->driver,
	        .staged = content->staged,
	        .metadata = content->metadata,
	        .tarsplit = TARSPLIT_STAGED,
	};
	bool is_image;
	if (r == 0)
		r = layer_unpack(store, &how, &re->unpacked_arena, &re->unpacked, error);
	if (r == 0 && content->driver->ops->stage_as_image)
		r = content->driver->ops->stage_as_image(content->staged, content->record.id,
		                                         &is_image, error);
	if (r == 0)
		r = content->driver->ops->stage_sync(content->staged, error);
	if (r < 0)
		return r;
	content->record.diff_size = re->unpacked.diff_size;
	content->record.uids = re->unpacked.uids;
	content->record.gids = re->unpacked.gids;
	return 0;
}

/* ---- a layer that is in use ---- */

static int hash(void *userdata, const void *data, size_t n, cst_error **error)
{
	(void)error;
	digester_update(userdata, data, n);
	return 0;
}

static int digest_by(struct layer_view *view, char digest[DIGEST_TEXT_MAX], cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	int r = digester_new(DIGEST_SHA256, &digester, error);
	if (r == 0)
		r = layer_view_write_tar(view, 0, NULL,
		                         &(cst_sink){.write = hash, .userdata = digester}, error);
	return r == 0 ? digester_finish(digester, digest, error) : r;
}

static int busy(const cst_layer *layer, cst_error **error)
{
	return error_set(error, CST_EBUSY,
	                 "layer %s is mounted, or one that is built on it: it is left alone until "
	                 "that is unmounted",
	                 layer->id);
}

static int gives_archive(struct layer_view *view, const cst_layer *record, bool *ret,
                         cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	char digest[DIGEST_TEXT_MAX];
	int r = view->tarsplit_fd < 0 ? CST_ECORRUPT : digest_by(view, digest, &problem);
	if (r == CST_ENOMEM)
		return error_propagate(error, steal_ptr(&problem));
	*ret = r == 0 && streq(digest, record->diff_digest);
	return 0;
}

/* Do the files that are there give the archive back by the new tar-split, and not by the old one? Then the tar-split is all
 * that was lost. */
static int check_present(cst_store *store, struct reextraction *re, cst_error **error)
{
	_cleanup_layer_view_ struct layer_view view = LAYER_VIEW_INIT;
	struct new_content *content = &re->content;
	bool before = false, now = false;
	if (layer_view_open(store, NULL, content->record.id, &view, NULL) < 0)
		return busy(&content->record, error);
	int r = gives_archive(&view, &content->record, &before, error);
	closep(&view.tarsplit_fd);
	view.tarsplit_fd =
	        openat(content->metadata->fd, TARSPLIT_STAGED, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (r == 0 && !before)
		r = gives_archive(&view, &content->record, &now, error);
	if (r == 0 && !now)
		r = busy(&content->record, error);
	if (r < 0)
		return r;
	content->in_place = true;
	content->driver->ops->stage_free(steal_ptr(&content->staged)); /* now, not under the lock */
	return 0;
}

/* ---- into place ---- */

static int check_again(cst_store *store, struct reextraction *re, cst_error **error)
{
	const cst_layer *layer, *user, *record = &re->before;
	int r = check_layer(store, record->id, &layer, error);
	if (r < 0)
		return r;
	if (!timestamp_equal(&layer->created, &record->created) ||
	    !streq(layer->diff_digest, record->diff_digest))
		return error_wrap_code(error, CST_ELAYER_UNKNOWN,
		                       "the layer \"%s\" was deleted or changed meanwhile",
		                       record->id);
	re->content.record.metadata = layer->metadata; /* of now: others may set it at any time */
	re->content.record.data_names = layer->data_names;
	r = find_user(store, record->id, &user, error);
	return r == 0 && user && !re->content.in_place ? busy(record, error) : r;
}

/* The tar-split goes to the content that is there. */
static int stage_present(struct new_content *content, cst_error **error)
{
	return content->driver->ops->stage_in_place(content->driver, content->record.id, NULL,
	                                            &content->staged, error);
}

static int put(cst_store *store, struct reextraction *re, cst_error **error)
{
	_cleanup_change_ struct change change = {.durable = true};
	int r = change_hold(&change, store, hold_three(HOLD_WRITE, HOLD_NOT, HOLD_READ), error);
	if (r == 0)
		r = check_again(store, re, error);
	if (r == 0 && re->content.in_place)
		r = stage_present(&re->content, error);
	if (r == 0)
		r = new_content_add(&change, &re->content, error);
	return r == 0 ? change_commit(&change, error) : r;
}

/* ---- packing what is there ---- */

/* Headers are longer or shorter than they were; files are not. */
#define SLACK_OF_ENTRY   1536  /* two headers more, and attributes */
#define SLACK_OF_ARCHIVE 10240 /* what programs pad the end to */

struct limited {
	uint64_t left;
};

static int drop(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct limited *limited = userdata;
	(void)data;
	if (n > limited->left)
		return error_set(error, CST_ECORRUPT, "it is longer than the archive was");
	limited->left -= n;
	return 0;
}

/* Of a tar-split that can be read it is not known that it is to blame. It may name files without end. */
static int check_tarsplit_lost(const struct layer_view *view, const cst_layer *record,
                               cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	struct limited limited = {(uint64_t)MAX(record->diff_size, (int64_t)0)};
	if (view->tarsplit_fd < 0)
		return 0;
	int r = tarsplit_reassemble(view->tarsplit_fd, &(struct tarsplit_reading){0},
	                            &(cst_sink){.write = drop, .userdata = &limited}, &problem);
	if (r == CST_ENOMEM || r == CST_ESYS)
		return error_propagate(error, steal_ptr(&problem));
	return r < 0 ? 0
	             : error_set(error, CST_EINVAL, "the tar-split of layer %s can be read",
	                         record->id);
}

/* Without its tar-split nobody can say if a layer's files are all there and unchanged, but for what the size tells. */
static int check_size(const cst_layer *record, int64_t size, uint64_t entries, cst_error **error)
{
	int64_t differs =
	        size > record->diff_size ? size - record->diff_size : record->diff_size - size;
	if (record->diff_size > 0 &&
	    (uint64_t)differs <= entries * SLACK_OF_ENTRY + SLACK_OF_ARCHIVE)
		return 0;
	return error_set(
	        error, CST_ECORRUPT,
	        "the tar-split of layer %s is lost, and its files make an archive of %" PRId64
	        " bytes, where there were %" PRId64 ": they are not all there",
	        record->id, size, record->diff_size);
}

/* What the record says of the blob is dropped: this layer cannot be taken for that blob any more, and a tool that finds it by
 * the blob's digest would find another diff digest than the blob's image has. */
static int describe_packed(struct reextraction *re, const char *digest, int64_t size,
                           cst_error **error)
{
	cst_layer *record = &re->content.record;
	record->diff_size = size;
	if (streq(digest, record->diff_digest))
		return 0;
	record->diff_digest = arena_strdup(&re->content.arena, digest);
	record->compressed_digest = "";
	record->compressed_size = 0;
	record->compression = CST_PLAIN;
	return record->diff_digest ? 0 : error_oom(error);
}

static int pack(cst_store *store, struct reextraction *re, cst_error **error)
{
	_cleanup_layer_view_ struct layer_view view = LAYER_VIEW_INIT;
	_cleanup_(tar_split_freep) struct tar_split *split = NULL;
	_cleanup_close_ int fd = -1;
	char digest[DIGEST_TEXT_MAX];
	int64_t size = 0;
	uint64_t entries = 0;
	int r = layer_view_open(store, NULL, re->before.id, &view, error);
	if (r == 0)
		r = check_tarsplit_lost(&view, &re->before, error);
	if (r == 0)
		r = metadata_stage(store, &re->content.metadata, error);
	if (r < 0)
		return r;
	closep(&view.tarsplit_fd);
	view.tarsplit_fd = -1;
	fd = sys_openat(re->content.metadata->fd, TARSPLIT_STAGED,
	                O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(error, errno, "open %s", TARSPLIT_STAGED);
	r = tar_split_new(fd, &split, error);
	if (r == 0)
		r = layer_view_write_tar(&view, 0, NULL,
		                         &(cst_sink){.write = tar_split_write, .userdata = split},
		                         error);
	if (r == 0)
		r = tar_split_finish(split, digest, &size, &entries, error);
	if (r == 0)
		r = check_size(&re->before, size, entries, error);
	if (r == 0)
		r = describe_packed(re, digest, size, error);
	return r == 0 && sys_fsync(fd) < 0 ? error_sys(error, errno, "fsync %s", TARSPLIT_STAGED)
	                                   : r;
}

int layer_repack(cst_store *store, const char *id, char **digest, cst_error **error)
{
	_cleanup_(reextraction_free) struct reextraction re = {.content.driver = store->driver,
	                                                       .content.in_place = true};
	bool in_use;
	int r = plan(store, id, &re, &in_use, error);
	if (r == 0)
		r = pack(store, &re, error);
	_cleanup_free_ char *now = r == 0 ? strdup(re.content.record.diff_digest) : NULL;
	if (r == 0)
		r = now ? put(store, &re, error) : error_oom(error);
	if (r == 0)
		*digest = steal_ptr(&now);
	return r;
}

/* ---- unpacking the archive ---- */

int layer_reextract(cst_store *store, const char *id, const cst_source *archive,
                    const cst_progress *progress, bool *in_use, cst_error **error)
{
	_cleanup_(reextraction_free) struct reextraction re = {.content.driver = store->driver};
	_cleanup_lock_wait_ bool listening = lock_wait_listen(progress);
	int r = plan(store, id, &re, in_use, error);
	if (r == 0)
		r = new_content_stage(store, &re.content.record, &re.parent, re.content.driver,
		                      &re.content.staged, error);
	if (r == 0)
		r = unpack(store, archive, progress, &re, error);
	if (r == 0 && *in_use)
		r = check_present(store, &re, error);
	listening = lock_wait_listen(progress);
	return r == 0 ? put(store, &re, error) : r;
}
