/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for blobs in the places of a user (blobs.h): by name first, then by what is in them. */
#include "store/check/blobs.h"
#include "base/log.h"
#include "base/types.h"
#include "driver/option.h"
#include "lock/tempdir.h"
#include "store/check/place.h"
#include "store/core/store.h"
#include <errno.h>

struct blobs {
	struct place *places;
	size_t n;
	uint64_t bytes_read;
};

static void place_done(struct place *place)
{
	closep(&place->fd);
	cst_store_close(place->theirs);
	tempdir_free(place->scratch);
	free(place->blobs);
	arena_clear(&place->arena);
}

void blobs_free(struct blobs *blobs)
{
	for (size_t i = 0; blobs && i < blobs->n; i++)
		place_done(&blobs->places[i]);
	if (blobs)
		free(blobs->places);
	free(blobs);
}
DEFINE_CLEANUP(struct blobs *, blobs_free)

/* ---- places ---- */

static bool is_store(int fd)
{
	for (const char *const *name = driver_names; *name; name++) {
		_cleanup_free_ char *layers = str_join(*name, "-layers");
		if (layers && fs_exists(fd, layers))
			return true;
	}
	return false;
}

/* Only to be read, so that its run root, which nobody has named, does not matter. */
static int open_theirs(struct place *place, cst_error **error)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	_cleanup_free_ char *path = path_absolute(place->path);
	if (!path)
		return error_oom(error);
	options.graph_root = path;
	options.run_root = place->ours->run_root;
	options.read_only = true;
	place->kind = &store_place;
	return cst_store_open(&options, &place->theirs, error);
}

static int place_open(struct place *place, cst_error **error)
{
	struct stat st;
	place->fd = open(place->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (place->fd < 0 || fstat(place->fd, &st) < 0)
		return error_sys(error, errno, "open %s", place->path);
	if (S_ISDIR(st.st_mode) && is_store(place->fd))
		return open_theirs(place, error);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return error_set(
		        error, CST_EINVAL,
		        "%s is neither a directory nor an archive, so there are no blobs in "
		        "it",
		        place->path);
	place->kind = S_ISDIR(st.st_mode) ? &directory_place : &archive_place;
	return 0;
}

int blobs_new(cst_store *store, const struct blobs_options *options, struct blobs **ret,
              cst_error **error)
{
	_cleanup_(blobs_freep) struct blobs *blobs = new0(struct blobs, 1);
	if (!blobs || !(blobs->places = new0(struct place, options->n_places + 1)))
		return error_oom(error);
	for (size_t i = 0; i < options->n_places; i++) {
		struct place *place = &blobs->places[blobs->n++];
		*place = (struct place){.path = options->places[i],
		                        .fd = -1,
		                        .ours = store,
		                        .plain_max = options->plain_max,
		                        .progress = options->progress,
		                        .bytes_read = &blobs->bytes_read};
		int r = place_open(place, error);
		if (r < 0)
			return r;
	}
	*ret = steal_ptr(&blobs);
	return 0;
}

/* ---- content ---- */

static int measure(struct place *place, struct blob *blob, uint64_t plain_max, cst_error **error)
{
	_cleanup_blob_reader_ struct blob_reader reader = BLOB_READER_INIT;
	_cleanup_blob_sum_ struct blob_sum sum = {0};
	_cleanup_free_ char *buffer = malloc(SUM_BUFFER);
	int r = buffer ? place->kind->open(place, blob, &reader, error) : error_oom(error);
	if (r == 0)
		r = blob_sum_begin(&sum, digest_algorithm_of(blob->named), plain_max, error);
	while (r == 0) {
		int64_t n = source_read(&reader.source, buffer, SUM_BUFFER, error);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return place_sum_end(place, &sum, blob, error);
		r = place_sum(place, &sum, buffer, (size_t)n, error);
	}
	return r;
}

/* ---- the search ---- */

struct search {
	const struct wanted_blob *wanted;
	blob_use use;
	void *arg;
	struct strbuf why; /* of each blob that did not serve */
	int errnum; /* of the first that could not be read, so that nobody knows what it is; 0: none */
	bool found;
	char *found_name;
};

static bool ends_search(int code)
{
	return code == CST_ENOMEM || code == CST_ECANCELED;
}

static void note(struct search *search, const struct place *place, const struct blob *blob,
                 const char *reason)
{
	strbuf_addf(&search->why, "%s%s%s%s: %s", search->why.len ? "; " : "", place->path,
	            blob ? "/" : "", blob ? blob->name : "", reason);
}

static void note_problem(struct search *search, const struct place *place, const struct blob *blob,
                         const cst_error *problem)
{
	if (!search->errnum)
		search->errnum = cst_error_errno(problem);
	note(search, place, blob, cst_error_message(problem));
}

static bool is_wanted(const struct search *search, const char *digest)
{
	return *digest &&
	       (streq(digest, search->wanted->compressed) || streq(digest, search->wanted->plain));
}

static int try_blob(struct search *search, struct place *place, struct blob *blob,
                    cst_error **error)
{
	_cleanup_blob_reader_ struct blob_reader reader = BLOB_READER_INIT;
	_cleanup_error_ cst_error *problem = NULL;
	blob->tried = true;
	int r = place->kind->open(place, blob, &reader, &problem);
	bool opened = r == 0;
	if (opened)
		r = search->use(search->arg, &reader.source, &problem);
	if (ends_search(r) || (opened && r == CST_ESYS)) /* another blob would not help */
		return error_propagate(error, steal_ptr(&problem));
	search->found = r == 0;
	if (r == 0)
		search->found_name = path_join(place->path, blob->name);
	else
		note_problem(search, place, blob, problem);
	return 0;
}

/* The name says that it is the one. */
static int try_named(struct search *search, struct place *place, struct blob *blob,
                     cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = *blob->digest ? 0 : measure(place, blob, 0, &problem);
	if (ends_search(r))
		return error_propagate(error, steal_ptr(&problem));
	if (r == 0 && streq(blob->digest, blob->named))
		return try_blob(search, place, blob, error);
	blob->tried = !is_wanted(search, blob->digest);
	if (r < 0)
		note_problem(search, place, blob, problem);
	else if (blob->tried)
		note(search, place, blob,
		     "it is damaged: its content has not the digest of its name");
	return 0;
}

static int search_names(struct search *search, struct place *place, const char *digest,
                        cst_error **error)
{
	int r = 0;
	for (size_t i = 0; *digest && r == 0 && !search->found && i < place->len; i++) {
		struct blob *blob = &place->blobs[i];
		if (!blob->tried && streq(blob->named, digest))
			r = try_named(search, place, blob, error);
	}
	return r;
}

/* Reads all blobs, once. What cannot be read is none. */
static int measure_all(struct search *search, struct place *place, cst_error **error)
{
	for (size_t i = 0; !place->measured && i < place->len; i++) {
		_cleanup_error_ cst_error *problem = NULL;
		struct blob *blob = &place->blobs[i];
		int r = *blob->plain ? 0 : measure(place, blob, place->plain_max, &problem);
		if (ends_search(r))
			return error_propagate(error, steal_ptr(&problem));
		if (r == CST_ESYS && !blob->tried)
			note_problem(search, place, blob, problem);
	}
	place->measured = true;
	return 0;
}

static int search_content(struct search *search, struct place *place, cst_error **error)
{
	int r = measure_all(search, place, error);
	for (size_t i = 0; r == 0 && !search->found && i < place->len; i++) {
		struct blob *blob = &place->blobs[i];
		if (!blob->tried && (is_wanted(search, blob->digest) ||
		                     (*blob->plain && streq(blob->plain, search->wanted->plain))))
			r = try_blob(search, place, blob, error);
	}
	return r;
}

static int search_place(struct search *search, struct place *place, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = place->listed ? 0 : place->kind->list(place, &problem);
	if (ends_search(r))
		return error_propagate(error, steal_ptr(&problem));
	if (r < 0) /* what was listed before counts */
		note_problem(search, place, NULL, problem);
	place->listed = true;
	for (size_t i = 0; i < place->len; i++)
		place->blobs[i].tried = false;
	r = search_names(search, place, search->wanted->compressed, error);
	if (r == 0 && !search->found)
		r = search_names(search, place, search->wanted->plain, error);
	return r == 0 && !search->found ? search_content(search, place, error) : r;
}

static int not_found(const struct search *search, cst_error **error)
{
	static const char words[] = "there is no blob for it in the places that were given";
	const char *colon = search->why.len ? ": " : "";
	if (search->errnum)
		return error_sys(error, search->errnum, "%s%s%s", words, colon,
		                 strbuf_str(&search->why));
	return error_set(error, CST_EDATA_UNKNOWN, "%s%s%s", words, colon,
	                 strbuf_str(&search->why));
}

int blobs_find(struct blobs *blobs, const struct wanted_blob *wanted, blob_use use, void *arg,
               char **ret, cst_error **error)
{
	struct search search = {.wanted = wanted, .use = use, .arg = arg};
	int r = 0;
	for (size_t i = 0; r == 0 && !search.found && i < blobs->n; i++)
		r = search_place(&search, &blobs->places[i], error);
	if (r == 0 && (search.why.failed || (search.found && !search.found_name)))
		r = error_oom(error);
	if (search.found && search.why.len)
		log_warning("another blob served: %s", strbuf_str(&search.why));
	if (r == 0 && !search.found)
		r = not_found(&search, error);
	strbuf_free(&search.why);
	*ret = search.found_name;
	return r;
}
