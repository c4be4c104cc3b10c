/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer tar into a directory: the parts, and what flows between them.
 *
 *   stream.c      the caller's thread: reads, decompresses, feeds the parser
 *   parse.c       tar events to ops
 *   record.c      strands: digest of the plain stream; body CRCs and tar-split
 *   namespace.c   in archive order: names come and go
 *   file.c        in parallel: bodies, and what finishes a file
 *   writeback.c   a thread: files that are complete begin to go to the disk
 *   work.c        what these share: pool, first error, pieces of the stream
 *
 *   target.h      the directory that is filled, of which namespace.c uses, from top to bottom
 *   whiteout.c    deletion marks                  rewrite.c     bodies that the archive itself replaced
 *   directories.c those that are open, walking    way.c         the way to one
 *   place.c       where things are made           own.c         what this archive brought
 *   share.c       files that another layer has, too
 *   metadata.c    owner, mode, times, xattrs      times.c       of directories, at the end
 *   sync.c        durability
 *
 * docs/format/archive.md, "Applying a layer tar".
 */
#include "archive/unpack/unpack.h"
#include "archive/pack/pack.h"
#include "archive/unpack/directories.h"
#include "archive/unpack/stream.h"
#include "base/id.h"
#include "base/log.h"

struct unpacker {
	struct work work;
	struct target target;
	struct directory_times times;
	struct saved_bodies saved;
	struct writers writers;
	struct recording recording;
	struct namespace namespace;
	struct stream stream;
};

/* ---- set up, wait, clean up ---- */

static int begin_recording(struct unpacker *u, cst_error **error)
{
	const struct unpack_options *options = u->target.options;
	bool digest = !options->uncompressed_digest ||
	              (u->stream.kind == CST_PLAIN && !options->original_digest);
	u->recording.copy = options->copy;
	int r = digest ? digester_new(DIGEST_SHA256, &u->recording.plain_digest, error) : 0;
	if (r == 0 && options->tarsplit_fd >= 0)
		r = tarsplit_writer_new(options->tarsplit_fd, &u->recording.recorder.writer, error);
	return r;
}

static int unpacker_init(struct unpacker *u, int root_fd, const cst_source *source,
                         const struct unpack_options *options, struct pool *pool, cst_error **error)
{
	struct target *t = &u->target;

	work_init(&u->work, pool);
	t->root_fd = root_fd;
	t->options = options;
	t->making = (struct making){.in_use = options->in_use,
	                            .root_fd = root_fd,
	                            .own = &t->own,
	                            .private = FS_PRIVATE_INIT};
	t->metadata.options = options;
	t->sync = (struct sync_list){.root_fd = root_fd,
	                             .wanted = options->sync && !options->sync_later};
	u->times = (struct directory_times){.root_fd = root_fd, .spill_fd = -1};
	u->saved.target = t;
	u->writers = (struct writers){.work = &u->work,
	                              .metadata = &t->metadata,
	                              .making = &t->making,
	                              .sync = options->sync};
	writers_share_descriptors(&u->writers, root_fd, &t->directories.n_slots);
	recording_init(&u->recording, &u->work);
	u->namespace = (struct namespace){.work = &u->work,
	                                  .target = t,
	                                  .writers = &u->writers,
	                                  .times = &u->times,
	                                  .saved = options->tarsplit_fd >= 0 ? &u->saved : NULL};
	namespace_init(&u->namespace);
	u->stream.work = &u->work;
	u->stream.recording = &u->recording;
	u->stream.namespace = &u->namespace;
	u->stream.options = options;
	u->stream.source = source;
	int r = random_bytes(t->own.hash_key, sizeof(t->own.hash_key), error);
	if (r == 0)
		r = stream_open(&u->stream, error);
	return r == 0 ? begin_recording(u, error) : r;
}

static void unpacker_free(struct unpacker *u)
{
	stream_free(&u->stream);
	writeback_free(&u->writers.writeback);
	namespace_free(&u->namespace);
	recording_free(&u->recording);
	saved_bodies_free(&u->saved);
	directory_times_free(&u->times);
	directory_cache_clear(&u->target);
	sync_list_give_up(&u->target.sync);
	making_free(&u->target.making);
	hash_set_free(&u->target.own.names);
	work_free(&u->work);
}

static bool is_idle(void *arg)
{
	struct unpacker *u = arg;

	/* A strand is looked at after its last task ended: "running" alone would free it too early.
	 */
	return atomic_load_explicit(&u->work.running, memory_order_acquire) == 0 &&
	       recording_is_idle(&u->recording) && !u->stream.input_strand.scheduled;
}

/* Everything that was started ends here, whatever happened. */
static void drain(struct unpacker *u)
{
	pool_wait(u->work.pool, is_idle, u);
	if (u->namespace.current) { /* the archive ended inside its body */
		out_file_release(steal_ptr(&u->namespace.current));
		pool_wait(u->work.pool, is_idle, u);
	}
}

static int finish_tree(struct unpacker *u, cst_error **error)
{
	struct target *t = &u->target;

	if (atomic_load(&t->metadata.xattrs_ignored))
		log_warning(
		        "ignored xattrs in archive: underlying filesystem doesn't support them");
	int r = making_end(&t->making, error);
	if (r == 0 && u->recording.recorder.writer)
		r = tarsplit_finish(u->recording.recorder.writer, error);
	if (r == 0)
		r = saved_bodies_rewrite(&u->saved, error);
	if (r == 0 && !u->namespace.root_named)
		r = metadata_override_root(&t->metadata, t->root_fd, error);
	if (r == 0)
		r = directory_times_apply(&u->times, &u->target, error);
	return r < 0 ? r : sync_content(&t->sync, error);
}

static void take_digest(char ret[DIGEST_TEXT_MAX], const char *text)
{
	size_t n = MIN(strlen(text), (size_t)DIGEST_TEXT_MAX - 1);

	memcpy(ret, text, n);
	ret[n] = '\0';
}

static int fill_result(struct unpacker *u, struct unpack_result *ret, cst_error **error)
{
	struct stream *s = &u->stream;
	const struct unpack_options *options = s->options;
	struct unpack_result result = {
	        .compression = s->kind,
	        .compressed_size = (int64_t)s->bytes_in,
	        .diff_size = (int64_t)s->bytes_out,
	        .content_size = u->namespace.content_size,
	        .entries = s->parser.entries,
	        .root_named = u->namespace.root_named,
	};
	char plain[DIGEST_TEXT_MAX] = "", input[DIGEST_TEXT_MAX] = "";
	int r = 0;

	if (u->namespace.content_size_unknown)
		r = usage_tree(u->target.root_fd, &result.content_size, &(int64_t){0}, error);
	if (r == 0 && u->recording.plain_digest)
		r = digester_finish(u->recording.plain_digest, plain, error);
	if (r == 0 && s->input_digest)
		r = digester_finish(s->input_digest, input, error);
	if (r < 0)
		return r;
	take_digest(result.diff_digest,
	            options->uncompressed_digest ? options->uncompressed_digest : plain);
	take_digest(result.compressed_digest, options->original_digest ? options->original_digest
	                                      : s->kind == CST_PLAIN   ? plain
	                                                               : input);
	result.uids = s->parser.uids;
	result.gids = s->parser.gids;
	s->parser.uids = s->parser.gids = (struct idset){0};
	*ret = result;
	return 0;
}

static int unpack_with_pool(int root_fd, const cst_source *source,
                            const struct unpack_options *options, struct pool *pool,
                            struct unpack_result *ret, cst_error **error)
{
	_cleanup_(unpacker_free) struct unpacker u = {0};

	ret->fault = UNPACK_NO_INPUT;
	int r = unpacker_init(&u, root_fd, source, options, pool, error);
	if (r < 0)
		return r;
	ret->fault = UNPACK_TARGET;
	if ((r = making_begin(&u.target.making, error)) < 0)
		return r;
	stream_run(&u.stream);
	drain(&u);
	if (u.work.error) {
		if (atomic_load(&u.work.failed_at) == u.stream.fault_at)
			ret->fault = u.stream.fault;
		return error_propagate(error, steal_ptr(&u.work.error));
	}
	r = finish_tree(&u, error);
	return r < 0 ? r : fill_result(&u, ret, error);
}

int unpack_layer(int root_fd, const cst_source *source, const struct unpack_options *options,
                 struct unpack_result *ret, cst_error **error)
{
	_cleanup_pool_ struct pool *own = NULL;

	if (!options->pool) { /* the same tasks, run while waiting for them */
		int r = pool_new(0, &own, error);
		if (r < 0)
			return r;
	}
	return unpack_with_pool(root_fd, source, options, options->pool ? options->pool : own, ret,
	                        error);
}

void unpack_result_free(struct unpack_result *result)
{
	idset_free(&result->uids);
	idset_free(&result->gids);
}
