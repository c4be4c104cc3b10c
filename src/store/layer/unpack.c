/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacks an archive into a staged layer, and words its errors as the Go command does. */
#include "base/digest.h"
#include "base/str.h"
#include "store/core/driver.h"
#include "store/layer/create.h"
#include <errno.h>

/* The Go command unpacks in a second process. That process sees only that a failing input ends, so
 * the message is about both: the process and the input. */
static int untar_words(enum unpack_fault fault, int code, const char *cause, cst_error **error)
{
	const char *status = "exit status 1", *output = cause;
	if (fault == UNPACK_INPUT_AT_ENTRY) {
		status = cause;
		output = "";
	} else if (fault == UNPACK_INPUT_CUT) {
		output = "unexpected EOF";
	}
	const char *words = fault == UNPACK_TARGET ? "unpacking failed (error: %s; output: %s)"
	                                           : "unpacking failed (error: %s; output: %s)\n"
	                                             "exhausting input failed (error: %s)";
	return error_go_words(error, code, NULL, words, status, output, cause);
}

static int apply_words(enum unpack_fault fault, int code, const char *cause, cst_error **error)
{
	if (fault == UNPACK_INPUT_AT_ENTRY)
		return error_go_words(error, code, NULL,
		                      "ApplyLayer stdout: {\"layerSize\":0}\n stderr: %s", cause);
	return error_go_words(error, code, NULL, "ApplyLayer stdout:  stderr: %s exit status 1",
	                      cause);
}

/* The Go command has a process for each way to unpack, and names it in messages
 * (docs/format/archive.md, "Two extractors", "Error texts"). About a full disk it says only
 * that. */
static int word_unpack_error(const struct driver_ops *ops, const char *archive,
                             enum unpack_fault fault, int code, cst_error **error)
{
	if (!error || !*error)
		return code;
	if (code == CST_ECANCELED || code == CST_ENOMEM || fault == UNPACK_NO_INPUT)
		return code;
	_cleanup_free_ char *cause = strdup(cst_error_go_message(*error));
	int r = cause ? error_prefix(error, code, "unpacking %s", archive) : error_oom(error);
	if (r != code)
		return r;
	if (cst_error_errno(*error) == ENOSPC)
		return error_go_words(error, code, NULL, "%s", errno_text(ENOSPC));
	return ops->capabilities & DRIVER_WHOLE_TREES ? apply_words(fault, code, cause, error)
	                                              : untar_words(fault, code, cause, error);
}

static struct uint32s copy_ids(struct arena *arena, const struct idset *set)
{
	uint32_t *items = arena_alloc(arena, (set->len + 1) * sizeof(uint32_t));
	if (items && set->len)
		memcpy(items, set->sorted, set->len * sizeof(uint32_t));
	return (struct uint32s){.items = items, .len = items ? set->len : 0};
}

/* Notes in the record what docs/format/archive.md, "What is recorded", lists. */
static int note_result(const struct unpack_result *result, struct arena *arena, cst_layer *record,
                       cst_error **error)
{
	record->compressed_digest = arena_strdup(arena, result->compressed_digest);
	record->compressed_size = result->compressed_size;
	record->diff_digest = arena_strdup(arena, result->diff_digest);
	record->diff_size = result->diff_size;
	record->compression = result->compression;
	record->uids = copy_ids(arena, &result->uids);
	record->gids = copy_ids(arena, &result->gids);
	return arena->failed ? error_oom(error) : 0;
}

static int check_content(const cst_layer_options *options, const cst_layer *record,
                         cst_error **error)
{
	const char *expected = options->expected_diff_digest, *either = options->expected_digest;
	if (!isempty(either) && !streq(either, record->diff_digest) &&
	    !streq(either, record->compressed_digest))
		return error_set(error, CST_EARCHIVE,
		                 "the archive has the digest %s, and as plain tar %s, but %s is "
		                 "expected",
		                 record->compressed_digest, record->diff_digest, either);
	if (isempty(expected) || streq(expected, record->diff_digest))
		return 0;
	return error_set(error, CST_EARCHIVE,
	                 "the layer's content has the digest %s, but %s is expected",
	                 record->diff_digest, expected);
}

static const char *trusted(const char *digest)
{
	return !isempty(digest) && digest_is_sha256(digest) ? digest : NULL;
}

static int sync_tarsplit(const struct layer_unpacking *how, int fd, cst_error **error)
{
	if (how->sync_later || sys_fsync(fd) == 0)
		return 0;
	return error_sys(error, errno, "fsync %s/%s/%s", how->metadata->shown, how->metadata->name,
	                 how->tarsplit);
}

int layer_unpack(cst_store *store, const struct layer_unpacking *how, struct arena *arena,
                 cst_layer *record, cst_error **error)
{
	const cst_layer_options *options = how->options;
	const struct driver_ops *ops = how->driver->ops;
	struct driver_unpack_policy policy = {
	        .pool = how->pool,
	        .progress = options->progress,
	        .clone = how->clone,
	        .copy = how->copy,
	        .original_digest = trusted(options->original_digest),
	        .uncompressed_digest = trusted(options->uncompressed_digest),
	        .sync = how->driver->sync_content,
	        .await_parent = how->await_parent,
	        .await_userdata = how->await_userdata,
	};
	struct unpack_result result = {0};
	int r = how->pool ? 0 : store_pool(store, &policy.pool, error);
	if (r < 0)
		return r;
	_cleanup_close_ int tarsplit = sys_openat(how->metadata->fd, how->tarsplit,
	                                          O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (tarsplit < 0)
		return error_sys(error, errno, "open %s/%s/%s", how->metadata->shown,
		                 how->metadata->name, how->tarsplit);
	policy.tarsplit_fd = tarsplit;
	r = ops->stage_unpack(how->staged, how->diff, &policy, &result, error);
	if (r < 0)
		return word_unpack_error(
		        ops, isempty(options->archive_name) ? "the archive" : options->archive_name,
		        result.fault, r, error);
	r = note_result(&result, arena, record, error);
	if (!isempty(options->original_digest) && options->original_size >= 0)
		record->compressed_size = options->original_size;
	unpack_result_free(&result);
	if (r == 0)
		r = check_content(options, record, error);
	return r == 0 ? sync_tarsplit(how, tarsplit, error) : r;
}
