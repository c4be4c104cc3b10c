/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data items of images and containers whose size or digest is recorded wrongly. Of record and file, which one is right? The file
 * is, if it has the digest that something else than the wrong member says: the key of the item ("sha256:<hex>",
 * "manifest-sha256:<hex>"), the recorded digest, or that of the image for its "manifest". A record without size and digest
 * contradicts no file. In any other case the file may be the damaged one, so the record stays.
 */
#include "base/digest.h"
#include "store/check/data_digest.h"
#include "store/check/menders.h"
#include "store/core/edit.h"
#include "store/core/hold.h"
#include "store/core/lookup.h"
#include <errno.h>
#include <sys/stat.h>

/* A data item as it is now. */
struct seen {
	struct stat st;
	char digest[DIGEST_TEXT_MAX];
};

/* `wanted`: the digest that it may have; its algorithm is used. */
static int see(cst_store *store, const struct found_item *owner, const char *key,
               const char *wanted, struct seen *ret, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = cst_store_open_data(store, owner->kind->id, record_id(owner->record), key, &fd,
	                            error);
	if (r == 0 && fstat(fd, &ret->st) < 0)
		r = error_sys(error, errno, "stat %s", key);
	return r == 0 ? data_digest(fd, key, wanted, ret->digest, error) : r;
}

/* Does something prove that the file is right? */
static bool is_proven(const struct found_item *owner, const struct data_item *item,
                      const char *digest)
{
	const char *named = data_key_digest(item->name);
	if (named)
		return streq(named, digest);
	if (isempty(item->digest))
		return item->size < 0;
	return streq(item->digest, digest) ||
	       (owner->kind->id == CST_KIND_IMAGE && streq(item->name, "manifest") &&
	        streq(((const cst_image *)owner->record)->digest, digest));
}

static const struct data_item *item_named(const struct data_items *items, const char *name)
{
	for (size_t i = 0; i < items->len; i++) {
		if (streq(items->items[i].name, name))
			return &items->items[i];
	}
	return NULL;
}

/* Whoever changed the item meanwhile recorded it, too. */
static bool is_unchanged(const struct set *set, const char *id, const struct data_item *item,
                         const struct seen *seen)
{
	_cleanup_free_ char *file = data_file_name(item->name), *path = NULL;
	const void *record = record_set_get(set->table, id);
	struct stat st;
	if (!record || !file || !(path = path_join(id, file)))
		return false;
	const struct data_items items = record_data(set->kind, record);
	const struct data_item *now = item_named(&items, item->name);
	return now && now->size == item->size && streq(now->digest, item->digest) &&
	       fstatat(set->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fs_same_content(&st, &seen->st);
}

static int record_again(cst_store *store, const struct found_item *owner,
                        const struct data_item *item, const struct seen *seen, bool *done,
                        cst_error **error)
{
	_cleanup_hold_ struct hold hold = {0};
	const char *id = record_id(owner->record);
	struct set *set = set_of(store, owner->kind->id);
	int r = hold_write(store, owner->kind->id, &hold, error);
	if (r < 0 || !is_unchanged(set, id, item, seen))
		return r;
	const struct data_item right = {
	        .name = item->name, .size = (int64_t)seen->st.st_size, .digest = seen->digest};
	r = record_put_data(set, id, &right, error);
	if (r == 0)
		r = set_save(set, error);
	*done = r == 0;
	return r;
}

static int mend_item(cst_store *store, const struct found_item *owner, const struct data_item *item,
                     struct strbuf *done, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	struct seen seen;
	bool mended = false;
	const char *named = data_key_digest(item->name);
	/* What cannot be read is another finding's affair. */
	if (see(store, owner, item->name, named ? named : item->digest, &seen, &problem) < 0)
		return 0;
	bool right = item->size == (int64_t)seen.st.st_size && streq(item->digest, seen.digest);
	if (right || !is_proven(owner, item, seen.digest))
		return 0;
	int r = record_again(store, owner, item, &seen, &mended, error);
	if (r == 0 && mended)
		strbuf_addf(done, "%s\"%s\"", done->len ? ", " : "", item->name);
	return r;
}

int mend_data_record(struct mending *mending, const struct cst_finding *finding, char **done,
                     cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	_cleanup_found_item_ struct found_item owner = {0};
	int r = item_read(mending->store, finding->about.kind, finding->about.id, &owner, error);
	if (r < 0)
		return r;
	const struct data_items items = record_data(owner.kind, owner.record);
	for (size_t i = 0; r == 0 && i < items.len; i++)
		r = mend_item(mending->store, &owner, &items.items[i], &text, error);
	if (r < 0 || !text.len)
		return r < 0 ? r : MEND_NOT;
	_cleanup_free_ char *names = strbuf_steal(&text);
	*done = names ? str_join("size and digest are recorded again of data item ", names) : NULL;
	return *done ? MEND_DONE : error_oom(error);
}
