/* SPDX-License-Identifier: Apache-2.0 */
/* Ops to tar-split, and the digest of the plain stream, in order, beside the writing. */
#include "archive/unpack/record.h"
#include "base/checksum.h"
#include "base/types.h"

/* ---- tar-split (docs/format/archive.md, "Writing rules") ---- */

static int begin_entry(struct recorder *rec, const struct entry *e, cst_error **error)
{
	strbuf_reset(&rec->name);
	strbuf_adds(&rec->name, e->header.name);
	rec->raw = e->record_raw;
	rec->line = e->record_line;
	rec->size = e->body_number ? (int64_t)e->header.body_size : 0;
	rec->crc = 0;
	return rec->name.failed ? error_oom(error) : 0;
}

int recorder_take(struct recorder *rec, const struct op *op, cst_error **error)
{
	switch (op->kind) {
	case OP_RAW: return tarsplit_append_segment(rec->writer, op->data, op->len, error);
	case OP_TRAILER: return tarsplit_add_segment(rec->writer, op->data, op->len, error);
	case OP_ENTRY: return begin_entry(rec, op->entry, error);
	case OP_BODY:
		if (rec->raw)
			return tarsplit_append_segment(rec->writer, op->data, op->len, error);
		rec->crc = crc64_iso(rec->crc, op->data, op->len);
		return 0;
	case OP_BODY_END:
		if (!rec->line)
			return 0;
		return tarsplit_add_file(rec->writer, strbuf_str(&rec->name), rec->name.len,
		                         rec->size, rec->crc, error);
	}
	return 0;
}

void recorder_free(struct recorder *rec)
{
	tarsplit_writer_free(rec->writer);
	strbuf_free(&rec->name);
	*rec = (struct recorder){0};
}

/* ---- the strands ---- */

static void digest_chunk(struct task *task)
{
	struct chunk *chunk = (struct chunk *)((char *)task - offsetof(struct chunk, digest_task));
	struct work *work = chunk->recording->work;

	digester_update(chunk->recording->plain_digest, chunk->data, chunk->len);
	chunk_unref(chunk);
	work_end_task(work);
}

static void record_chunk(struct task *task)
{
	struct chunk *chunk = (struct chunk *)((char *)task - offsetof(struct chunk, record_task));
	struct recording *recording = chunk->recording;
	struct work *work = recording->work;
	cst_error *error = NULL;
	int r = 0;

	if (recording->copy && !work_failed(work, chunk->number))
		(void)sink_write(recording->copy, chunk->data, chunk->len, NULL);
	if (recording->recorder.writer && !work_failed(work, chunk->number))
		for (const struct op *op = chunk->first; op && r == 0; op = op->next)
			r = recorder_take(&recording->recorder, op, &error);
	if (r < 0)
		work_fail(work, chunk->number, error);
	chunk_unref(chunk);
	work_end_task(work);
}

static void submit(struct strand *strand, struct chunk *chunk, struct task *task,
                   void (*run)(struct task *task))
{
	task->run = run;
	chunk_ref(chunk);
	work_begin_task(chunk->recording->work);
	strand_submit(strand, task);
}

void recording_submit(struct recording *recording, struct chunk *chunk)
{
	chunk->recording = recording;
	if (recording->plain_digest)
		submit(&recording->digest_strand, chunk, &chunk->digest_task, digest_chunk);
	if (recording->recorder.writer || recording->copy)
		submit(&recording->strand, chunk, &chunk->record_task, record_chunk);
}

void recording_init(struct recording *recording, struct work *work)
{
	*recording = (struct recording){.work = work};
	strand_init(&recording->strand, work->pool);
	strand_init(&recording->digest_strand, work->pool);
	recording->digest_strand.urgent = true;
}

bool recording_is_idle(const struct recording *recording)
{
	return !recording->strand.scheduled && !recording->digest_strand.scheduled;
}

void recording_free(struct recording *recording)
{
	digester_free(recording->plain_digest);
	recorder_free(&recording->recorder);
}
