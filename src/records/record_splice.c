/* SPDX-License-Identifier: Apache-2.0 */
/* Saves without parsing or printing what did not change. */
#include "records/record_splice.h"
#include "records/index_update.h"
#include "records/record_index.h"
#include <errno.h>

#define OUTPUT 262144

/* One file of records to be. */
struct spliced_file {
	struct splice *splice;
	unsigned number;
	size_t first, n;   /* its records */
	size_t printed_at; /* where its printed records begin */
	size_t size;       /* of the file */
};

struct splice {
	struct record_set *set;
	struct strbuf printed;       /* the records that have to be printed, one after the other */
	struct index_entry *entries; /* of the new index */
	uint32_t *from; /* for each record its number in the old index; UINT32_MAX: printed */
	size_t n;
	struct spliced_file files[RECORD_FILES];
};

void splice_free(struct splice *splice)
{
	if (!splice)
		return;
	strbuf_free(&splice->printed);
	free(splice->entries);
	free(splice->from);
	free(splice);
}
DEFINE_CLEANUP(struct splice *, splice_free)

/* ---- what the files will hold ---- */

static bool print_record(struct splice *splice, size_t i, struct index_entry *entry)
{
	struct slot *slot = NULL;
	struct json_writer w;
	size_t at = splice->printed.len;
	if (!record_base_at(splice->set, i, &slot) || !slot)
		return false;
	json_writer_init(&w, &splice->printed, JSON_STORE);
	splice->set->kind->write(&w, slot->record);
	if (splice->printed.failed || splice->printed.len - at > UINT32_MAX)
		return false;
	entry->length = (uint32_t)(splice->printed.len - at);
	entry->sum = index_sum(splice->set->base->parts.secret, splice->printed.data + at,
	                       entry->length);
	entry->as_written = true;
	entry->id = index_sum(splice->set->base->parts.secret, slot->id, strlen(slot->id));
	entry->size = record_index_size(splice->set, slot->record);
	return true;
}

/* A file that was not edited stays; so do its entries. */
static bool plan_record(struct splice *splice, size_t i)
{
	struct record_set *set = splice->set;
	struct index_entry *entry = &splice->entries[i];
	const struct base_item item = record_base_item(set, i);
	if (item.number != UINT32_MAX)
		*entry = set->base->parts.entries[item.number];
	entry->file = (uint16_t)item.file;
	struct spliced_file *file = &splice->files[entry->file];
	if (file->n++ == 0) {
		file->first = i;
		file->printed_at = splice->printed.len;
	}
	bool copied = item.number != UINT32_MAX && !item.edited &&
	              (entry->as_written || !set->dirty[entry->file]);
	splice->from[i] = copied ? item.number : UINT32_MAX;
	if (!copied && !print_record(splice, i, entry))
		return false;
	if (set->dirty[entry->file])
		entry->at = (uint32_t)file->size;
	file->size += entry->length + 1;
	return file->size < UINT32_MAX;
}

struct splice *splice_new(struct record_set *set)
{
	_cleanup_(splice_freep) struct splice *splice = new0(struct splice, 1);
	if (!splice || !record_base_prepare(set) || !set->base)
		return NULL;
	record_base_tidy(set);
	splice->set = set;
	splice->n = set->visible.len;
	splice->entries = new0(struct index_entry, splice->n + 1);
	splice->from = new0(uint32_t, splice->n + 1);
	bool ok = splice->entries && splice->from;
	for (unsigned f = 0; f < set->n_files; f++)
		splice->files[f] =
		        (struct spliced_file){.splice = splice, .number = f, .size = 1}; /* "[" */
	for (size_t i = 0; ok && i < splice->n; i++)
		ok = plan_record(splice, i);
	return ok ? steal_ptr(&splice) : NULL;
}

/* ---- writing ---- */

struct output {
	int fd;
	char *data;
	size_t len;
};

static bool flush(struct output *out)
{
	bool ok = sys_write_all(out->fd, out->data, out->len) == 0;
	out->len = 0;
	return ok;
}

static bool put(struct output *out, const char *data, size_t n)
{
	if (out->len + n > OUTPUT && !flush(out))
		return false;
	if (n > OUTPUT)
		return sys_write_all(out->fd, data, n) == 0;
	memcpy(out->data + out->len, data, n);
	out->len += n;
	return true;
}

static int cannot_write(const struct record_set *set, unsigned file, cst_error **error)
{
	return error_sys(error, errno, "write %s", set->files[file].path);
}

static int write_records(struct spliced_file *file, struct output *out, cst_error **error)
{
	const struct splice *splice = file->splice;
	struct record_set *set = splice->set;
	const char *printed = splice->printed.data + file->printed_at;
	for (size_t i = file->first; i < file->first + file->n; i++) {
		const struct index_entry *entry = &splice->entries[i];
		const char *text = splice->from[i] == UINT32_MAX
		                           ? printed
		                           : record_base_text(set, splice->from[i]);
		if (!text)
			return error_set(error, CST_ECORRUPT,
			                 "saving \"%s\": what it held cannot be read any more",
			                 set->files[file->number].path);
		if (splice->from[i] == UINT32_MAX)
			printed += entry->length;
		if ((i > file->first && !put(out, ",", 1)) || !put(out, text, entry->length))
			return cannot_write(set, file->number, error);
	}
	return 0;
}

static int write_file(int fd, void *userdata, cst_error **error)
{
	struct spliced_file *file = userdata;
	_cleanup_free_ char *buffer = malloc(OUTPUT);
	struct output out = {.fd = fd, .data = buffer};
	if (!buffer)
		return error_oom(error);
	(void)put(&out, "[", 1);
	int r = write_records(file, &out, error);
	if (r == 0 && (!put(&out, "]", 1) || !flush(&out)))
		r = cannot_write(file->splice->set, file->number, error);
	return r;
}

struct fs_content splice_content(struct splice *splice, unsigned file)
{
	struct spliced_file *to_be = &splice->files[file];
	/* Each record was counted with a comma; the last one's is the closing bracket. */
	return (struct fs_content){
	        .write = write_file, .userdata = to_be, .size = MAX(to_be->size, (size_t)2)};
}

/* ---- afterwards ---- */

struct opened {
	int fds[RECORD_FILES];
};

static void opened_close(struct opened *opened)
{
	for (size_t f = 0; f < RECORD_FILES; f++)
		closep(&opened->fds[f]);
}

/* The files were replaced: record i of the list of all is now number i of this index, which becomes the set's. False:
 * they cannot be opened; nothing is changed, and the index is freed. */
static bool change_base(struct record_set *set, struct index_file *index)
{
	struct record_base *base = set->base;
	_cleanup_(opened_close) struct opened opened = {.fds = {-1, -1, -1}};
	size_t n = index_entries(index);
	struct slot **slots = new0(struct slot *, n + 1);
	bool ok = slots;
	for (unsigned f = 0; ok && f < set->n_files; f++)
		ok = record_file_open_same(&set->files[f], &opened.fds[f]);
	if (!ok) {
		free(slots);
		index_free(index);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		slots[i] = record_base_item(set, i).slot;
		if (slots[i])
			slots[i]->edited = false;
	}
	edited_clear(&base->edited);
	/* only now, since the items go by the old numbers */
	for (size_t i = 0; i < n; i++) {
		if (slots[i])
			slots[i]->number = (uint32_t)i;
	}
	for (unsigned f = 0; f < set->n_files; f++) {
		int old = set->files[f].fd;
		set->files[f].fd = opened.fds[f];
		opened.fds[f] = old;
	}
	for (size_t i = 0; i < index_entries(base->index); i++) {
		if (base->slots[i] && !base->slots[i]->record)
			record_slot_free(base->slots[i]);
	}
	index_free(base->index);
	free(base->slots);
	base->index = index;
	base->slots = slots;
	base->window_len = set->visible.len = 0;
	base->prepared = false;
	return true;
}

void splice_done(struct splice *splice)
{
	struct record_set *set = splice->set;
	struct index_parts parts = {.entries = steal_ptr(&splice->entries), .n_entries = splice->n};
	bool ok = !set->stale && index_update(set, splice->from, &parts);
	struct index_file *index = ok ? index_new(&parts) : NULL;
	index_parts_free(&parts);
	if (index)
		record_index_write(set, index);
	if (!index || !change_base(set, index))
		set->stale = true;
}
