/* SPDX-License-Identifier: Apache-2.0 */
/* Compares a TOC with the headers of its tar (match.h). */
#include "chunked/match.h"
#include "archive/tar/tar.h"

struct toc_match {
	const struct toc *toc;
	struct tar_reader *tar;
	bool content, *met; /* by number of the entry */
	size_t n_met;
	const struct toc_entry *entry; /* the current one; NULL: it is the format's own */
	struct digester *digester;     /* of its content; NULL: it has none */
};

int toc_match_new(const struct toc *toc, bool content, struct toc_match **ret, cst_error **error)
{
	_cleanup_(toc_match_freep) struct toc_match *match = new0(struct toc_match, 1);
	if (!match)
		return error_oom(error);
	match->toc = toc;
	match->content = content;
	match->met = new0(bool, toc->n_entries + 1);
	if (!match->met)
		return error_oom(error);
	int r = tar_reader_new(&match->tar, error);
	if (r == 0)
		*ret = steal_ptr(&match);
	return r;
}

void toc_match_free(struct toc_match *match)
{
	if (!match)
		return;
	tar_reader_free(match->tar);
	digester_free(match->digester);
	free(match->met);
	free(match);
}

/* ---- one header ---- */

static bool is_zero(const struct toc_time *time)
{
	return !time->known || (time->nsec == 0 && (time->sec == 0 || time->sec == TOC_TIME_ZERO));
}

/* Absent, zero and the beginning of 1970 are the same: not all writers could tell them from each other. */
static bool time_differs(const struct toc_time *time, const struct timespec *of_tar, bool known)
{
	const struct toc_time other = {of_tar->tv_sec, (uint32_t)of_tar->tv_nsec, known};
	if (is_zero(time) || is_zero(&other))
		return is_zero(time) != is_zero(&other);
	return time->sec != other.sec || time->nsec != other.nsec;
}

static bool xattrs_differ(const struct toc_entry *entry, const struct tar_header *h)
{
	if (entry->n_xattrs == 0 || h->n_xattrs == 0)
		return entry->n_xattrs != h->n_xattrs;
	_cleanup_free_ struct toc_xattr *sorted = new0(struct toc_xattr, h->n_xattrs);
	for (size_t i = 0; sorted && i < h->n_xattrs; i++)
		sorted[i] =
		        (struct toc_xattr){h->xattrs[i].name, h->xattrs[i].value, h->xattrs[i].len};
	if (!sorted || toc_sort_xattrs(sorted, h->n_xattrs) != entry->n_xattrs)
		return true;
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		const struct toc_xattr *a = &entry->xattrs[i], *b = &sorted[i];
		if (!streq(a->name, b->name) || a->len != b->len ||
		    (a->len > 0 && memcmp(a->value, b->value, a->len) != 0))
			return true;
	}
	return false;
}

/* NULL: nothing. What eStargz has is coarser: whole seconds, and attributes of files only. */
static const char *what_differs(const struct toc *toc, const struct toc_entry *entry,
                                const struct tar_header *h)
{
	bool fine = toc->format == CST_TOC_ZSTD_CHUNKED;
	if (entry->type != h->type)
		return "type";
	if (!streq(entry->linkname, h->linkname))
		return "target";
	if (fine ? entry->mode != h->recorded_mode
	         : (entry->mode & 07777) != (h->recorded_mode & 07777))
		return "mode";
	if (entry->size != (uint64_t)h->recorded_size && (fine || h->type == '0'))
		return "size";
	if (entry->uid != h->uid || entry->gid != h->gid)
		return "owner";
	if (entry->devmajor != h->devmajor || entry->devminor != h->devminor)
		return "device number";
	if (fine && (time_differs(&entry->mtime, &h->mtime, true) ||
	             time_differs(&entry->atime, &h->atime, h->has_atime) ||
	             time_differs(&entry->ctime, &h->ctime, h->has_ctime)))
		return "time";
	return fine && xattrs_differ(entry, h) ? "set of extended attributes" : NULL;
}

static int look_at_header(struct toc_match *match, const struct tar_header *h, cst_error **error)
{
	const struct toc *toc = match->toc;
	const struct toc_entry *entry = match->entry = toc_find_name(toc, h->name);
	if (!entry && toc_is_of_the_format(toc, h->name))
		return 0;
	if (!entry)
		return error_set(error, CST_EARCHIVE, "the tar has \"%s\", and the TOC has not",
		                 h->name);
	if (match->met[entry - toc->entries])
		return error_set(error, CST_EARCHIVE, "the tar has \"%s\" twice", h->name);
	match->met[entry - toc->entries] = true;
	match->n_met++;
	const char *differs = h->is_sparse ? "sparseness" : what_differs(toc, entry, h);
	if (differs)
		return error_set(error, CST_EARCHIVE,
		                 "\"%s\": the tar and the TOC tell of another %s", h->name,
		                 differs);
	return match->content && h->body_size > 0
	               ? digester_new(DIGEST_SHA256, &match->digester, error)
	               : 0;
}

static int end_content(struct toc_match *match, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX], wanted[TOC_DIGEST_TEXT];
	if (!match->digester)
		return 0;
	int r = digester_finish(match->digester, digest, error);
	digester_free(match->digester);
	match->digester = NULL;
	if (r < 0)
		return r;
	toc_digest_format(match->entry->digest, wanted);
	if (streq(digest, wanted))
		return 0;
	return error_set(error, CST_EARCHIVE,
	                 "\"%s\": its content has the digest %s in the tar, and %s in the TOC",
	                 match->entry->name, digest, wanted);
}

/* ---- the stream ---- */

static int take_events(struct toc_match *match, cst_error **error)
{
	for (;;) {
		enum tar_event event;
		const void *data;
		size_t n;
		int r = tar_reader_next(match->tar, &event, &data, &n, error);
		if (r < 0 || event == TAR_NEED_DATA)
			return r;
		if (event == TAR_ENTRY)
			r = look_at_header(match, tar_reader_header(match->tar), error);
		else if (event == TAR_BODY && match->digester)
			digester_update(match->digester, data, n);
		else if (event == TAR_BODY_END)
			r = end_content(match, error);
		if (r < 0)
			return r;
	}
}

int toc_match_feed(struct toc_match *match, const void *data, size_t n, cst_error **error)
{
	tar_reader_feed(match->tar, data, n);
	return take_events(match, error);
}

int toc_match_finish(struct toc_match *match, cst_error **error)
{
	int r = tar_reader_end(match->tar, error);
	if (r < 0 || match->n_met == match->toc->n_entries)
		return r;
	size_t i = 0;
	while (match->met[i])
		i++;
	return error_set(error, CST_EARCHIVE, "the TOC has \"%s\", and the tar has not",
	                 match->toc->entries[i].name);
}

/* ---- a tar-split ---- */

/* The content of a file, as its line has it. Links, devices and directories have none, whatever size they claim. */
static int skip_content(struct toc_match *match, const struct recipe_entry *file, cst_error **error)
{
	const struct tar_header *h = match->n_met ? tar_reader_header(match->tar) : NULL;
	if (file->size <= 0 || !h || h->body_size == 0)
		return 0;
	if (!tar_reader_skip(match->tar, (uint64_t)file->size))
		return error_set(error, CST_EARCHIVE,
		                 "tar-split: \"%s\": more content than its header says",
		                 file->name);
	return take_events(match, error);
}

int toc_match_recipe(const struct toc *toc, struct recipe *recipe, cst_error **error)
{
	_cleanup_(toc_match_freep) struct toc_match *match = NULL;
	int r = toc_match_new(toc, false, &match, error);
	while (r == 0) {
		struct recipe_entry entry;
		bool end;
		r = recipe_next(recipe, &entry, &end, error);
		if (r == 0 && end)
			return toc_match_finish(match, error);
		if (r == 0 && entry.type == RECIPE_SEGMENT)
			r = toc_match_feed(match, entry.payload, entry.payload_len, error);
		else if (r == 0 && entry.type == RECIPE_FILE)
			r = skip_content(match, &entry, error);
	}
	return r;
}
