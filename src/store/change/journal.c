/* SPDX-License-Identifier: Apache-2.0 */
/* The files of announcements: each is written whole, checked by a sum, and read as data of a
 * stranger. */
#include "store/change/journal.h"
#include "base/checksum.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "driver/driver.h"
#include "records/record.h"
#include "store/core/kind.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Header, little endian, then `length` bytes of JSON. Both are rewritten in place, so that a barrier
 * costs no change of metadata. Only a file with the intents of a dead process is replaced by a new
 * one: what is torn in it would be lost, and this process cannot say it again. */
struct journal_header {
	char magic[8];
	uint64_t length; /* 0: nothing in flux */
	uint64_t crc;    /* of the JSON: a torn announcement is none, and nothing was done yet */
};
#define JOURNAL_MAGIC "cstjrnl1"
#define JOURNAL_LIMIT (64 * 1024 * 1024)

void intents_add(struct intents *intents, const struct intent *intent)
{
	struct intent *grown =
	        grow_array(intents->items, &intents->capacity, intents->len + 1, sizeof(*grown));
	if (!grown) {
		intents->failed = true;
		return;
	}
	intents->items = grown;
	struct intent copy = *intent;
	copy.id = arena_strdup(&intents->arena, intent->id);
	copy.note = arena_strdup(&intents->arena, strempty(intent->note));
	copy.data_key = arena_strdup(&intents->arena, strempty(intent->data_key));
	copy.owner_id = arena_strdup(&intents->arena, strempty(intent->owner_id));
	copy.content = arena_strdup(&intents->arena, strempty(intent->content));
	copy.record = arena_strdup(&intents->arena, strempty(intent->record));
	copy.staged = arena_strdup(&intents->arena, strempty(intent->staged));
	grown[intents->len++] = copy;
	intents->failed = intents->failed || intents->arena.failed;
}

void intents_free(struct intents *intents)
{
	free(intents->items);
	arena_clear(&intents->arena);
	*intents = (struct intents){0};
}

int journal_init(struct journal *journal, const char *graph_root, const struct kind *kind,
                 cst_error **error)
{
	*journal = (struct journal){.fd = -1, .kind = kind};
	journal->dir = path_join(graph_root, "cstorage");
	journal->path = journal->dir ? path_join(journal->dir, kind->journal) : NULL;
	return journal->path ? 0 : error_oom(error);
}

void journal_free(struct journal *journal)
{
	intents_free(&journal->inherited);
	if (journal->path) /* zero-initialised: nothing was opened */
		closep(&journal->fd);
	free(journal->dir);
	free(journal->path);
	*journal = (struct journal){.fd = -1};
}

/* Makes the file, and its name durable, once. */
static int journal_open(struct journal *journal, cst_error **error)
{
	if (journal->fd >= 0)
		return 0;
	_cleanup_close_ int fd = open(journal->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		int r = fs_mkdir_p(journal->dir, 0700, error);
		if (r < 0)
			return r;
		_cleanup_close_ int dir = -1, root = -1;
		r = fs_open_dir(journal->dir, &dir, error);
		if (r < 0)
			return r;
		fd = sys_openat(dir, journal->kind->journal,
		                O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return error_sys(error, errno, "open %s", journal->path);
		root = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return error_sys(error, errno, "open the directory of %s", journal->dir);
		r = fs_fsync_dir(dir, journal->path, error);
		if (r == 0)
			r = fs_fsync_dir(root, journal->dir, error);
		if (r < 0)
			return r;
	}
	journal->fd = steal_fd(&fd);
	return 0;
}

static void put_member(struct json_writer *w, const char *key, const char *value)
{
	if (!*value)
		return;
	json_put_key(w, key);
	json_put_string(w, value);
}

static void write_intent(struct json_writer *w, const struct intent *intent)
{
	json_object_open(w);
	put_member(w, "kind", kind_of(intent->kind)->name);
	put_member(w, "id", intent->id);
	put_member(w, "note", intent->note);
	put_member(w, "data", intent->data_key);
	put_member(w, "staged", intent->staged);
	if (intent->owner_kind) {
		char created[TIMESTAMP_MAX];
		timestamp_format(&intent->created, created);
		put_member(w, "owner-kind", kind_of(intent->owner_kind)->name);
		put_member(w, "owner", intent->owner_id);
		put_member(w, "created", created);
	}
	if (*intent->content) {
		put_member(w, "content", intent->content);
		json_put_key(w, "tarsplit-inode");
		json_put_int64(w, (int64_t)intent->tarsplit_inode);
		put_member(w, "record", intent->record);
	}
	json_object_close(w);
}

static bool read_header(const struct journal *journal, struct journal_header *ret)
{
	struct journal_header header;
	if (fs_pread_full(journal->fd, &header, sizeof(header), 0) != sizeof(header))
		return false;
	if (memcmp(header.magic, JOURNAL_MAGIC, sizeof(header.magic)) != 0 ||
	    header.length > JOURNAL_LIMIT)
		return false;
	*ret = header;
	return true;
}

/* Another process may have replaced the file since this one opened it. */
static void forget_replaced(struct journal *journal)
{
	struct stat ours, now;
	if (journal->fd < 0)
		return;
	if (fstat(journal->fd, &ours) == 0 && stat(journal->path, &now) == 0 &&
	    ours.st_dev == now.st_dev && ours.st_ino == now.st_ino)
		return;
	closep(&journal->fd);
	journal->fd = -1;
}

bool journal_pending(struct journal *journal)
{
	forget_replaced(journal);
	if (journal->fd < 0)
		journal->fd = open(journal->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct journal_header header;
	return journal->fd >= 0 && read_header(journal, &header) && header.length > 0;
}

/* It becomes part of a file name. */
static bool is_identity(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.')
			return false;
	}
	return strlen(text) < DRIVER_IDENTITY_MAX;
}

/* Earlier releases of ours wrote the inode number of the content as a number. The drivers that they
 * had still use that number, as text. */
static bool read_content_inode(struct json_reader *r, struct arena *arena, const char **ret)
{
	char text[DRIVER_IDENTITY_MAX];
	int64_t inode;
	if (!json_int64(r, &inode))
		return false;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)inode);
	*ret = inode ? arena_strdup(arena, text) : "";
	return *ret;
}

static bool read_intent(struct json_reader *r, struct arena *arena, struct intent *ret)
{
	struct intent intent = {.id = "",
	                        .note = "",
	                        .data_key = "",
	                        .owner_id = "",
	                        .content = "",
	                        .record = "",
	                        .staged = ""};
	int64_t tarsplit_inode = 0;
	const char *key, *kind = "", *owner_kind = "", *created = "";
	if (!json_object_begin(r))
		return false;
	while (json_object_next(r, &key)) {
		const char **to = streq(key, "kind")         ? &kind
		                  : streq(key, "id")         ? &intent.id
		                  : streq(key, "note")       ? &intent.note
		                  : streq(key, "data")       ? &intent.data_key
		                  : streq(key, "owner-kind") ? &owner_kind
		                  : streq(key, "owner")      ? &intent.owner_id
		                  : streq(key, "created")    ? &created
		                  : streq(key, "content")    ? &intent.content
		                  : streq(key, "staged")     ? &intent.staged
		                  : streq(key, "record")     ? &intent.record
		                                             : NULL;
		bool read = to ? json_string(r, to)
		            : streq(key, "content-inode")
		                    ? read_content_inode(r, arena, &intent.content)
		            : streq(key, "tarsplit-inode") ? json_int64(r, &tarsplit_inode)
		                                           : json_skip(r);
		if (!read)
			return false;
	}
	const struct kind *what = kind_named(kind), *owner = kind_named(owner_kind);
	intent.kind = what ? what->id : 0;
	intent.owner_kind = owner ? owner->id : 0;
	intent.tarsplit_inode = (uint64_t)tarsplit_inode;
	if (*created)
		(void)timestamp_parse(created, strlen(created), &intent.created);
	*ret = intent;
	return json_ok(r);
}

/* Who reads the journal deletes what it names. So an intent must name what this process, or one of
 * another release, could have announced there: an item of the journal's kind (the layers' journal
 * speaks of all kinds) under an ID that an item can have, never a file of the store itself. */
static int check_intent(const struct journal *journal, const struct intent *intent,
                        cst_error **error)
{
	const struct kind *kind = kind_of(intent->kind);
	if (!kind || (kind != journal->kind && !journal->kind->in_driver))
		return error_set(error, CST_EINVAL, "%s \"%.210s\" is not what this journal is for",
		                 kind ? kind->name : "something", intent->id);
	int r = id_check_new(kind->name, intent->id, error);
	if (r == 0 && *intent->data_key)
		r = data_check_key(kind->name, intent->data_key, error);
	if (r == 0 && *intent->staged && (!kind->in_driver || !path_is_component(intent->staged)))
		r = error_set(error, CST_EINVAL,
		              "the staged layer of %s \"%.210s\" has no proper name", kind->name,
		              intent->id);
	if (r == 0 && *intent->content && (!kind->in_driver || !is_identity(intent->content)))
		r = error_set(error, CST_EINVAL, "the content of %s \"%.210s\" has no proper name",
		              kind->name, intent->id);
	return r;
}

/* What cannot be meant is left alone: it is better kept than deleted by mistake. */
static bool is_meant(const struct journal *journal, const struct intent *intent)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (check_intent(journal, intent, &problem) == 0)
		return true;
	log_warning("%s: left alone: %s", journal->path, cst_error_message(problem));
	return false;
}

int journal_read(struct journal *journal, struct intents *ret, cst_error **error)
{
	struct journal_header header;
	if (!journal_pending(journal) || !read_header(journal, &header))
		return 0;
	_cleanup_free_ char *body = malloc(header.length + 1);
	if (!body)
		return error_oom(error);
	ssize_t n = fs_pread_full(journal->fd, body, header.length, sizeof(header));
	if (n < 0)
		return error_sys(error, errno, "read %s", journal->path);
	if ((uint64_t)n != header.length || crc64_iso(0, body, header.length) != header.crc)
		return 0;
	struct json_reader r;
	_cleanup_arena_ struct arena arena = {0};
	json_reader_init(&r, body, header.length, &arena);
	if (json_array_begin(&r)) {
		while (json_array_next(&r)) {
			struct intent intent;
			if (!read_intent(&r, &arena, &intent))
				return error_set(error, CST_ECORRUPT, "%s cannot be understood",
				                 journal->path);
			if (is_meant(journal, &intent))
				intents_add(ret, &intent);
		}
	}
	if (ret->failed || arena.failed)
		return error_oom(error);
	return json_ok(&r) ? 0 : json_error(&r, journal->path, error);
}

static bool same_intent(const struct intent *a, const struct intent *b)
{
	return a->kind == b->kind && streq(a->id, b->id) && streq(a->note, b->note) &&
	       streq(a->data_key, b->data_key) && a->owner_kind == b->owner_kind &&
	       streq(a->owner_id, b->owner_id) && timestamp_equal(&a->created, &b->created) &&
	       streq(a->content, b->content) && streq(a->staged, b->staged) &&
	       a->tarsplit_inode == b->tarsplit_inode && streq(a->record, b->record);
}

static bool lists_intent(const struct intents *intents, const struct intent *intent)
{
	for (size_t i = 0; i < intents->len; i++) {
		if (same_intent(&intents->items[i], intent))
			return true;
	}
	return false;
}

/* In place. */
static int rewrite(const struct journal *journal, const struct strbuf *text, cst_error **error)
{
	if (sys_pwrite_all(journal->fd, text->data, text->len, 0) < 0)
		return error_sys(error, errno, "write %s", journal->path);
	return journal_sync(journal, error);
}

/* By a new file. */
static int replace(struct journal *journal, const struct strbuf *text, cst_error **error)
{
	_cleanup_close_ int dir = -1;
	int r = fs_open_dir(journal->dir, &dir, error);
	if (r == 0)
		r = fs_replace_file(dir, journal->kind->journal, text->data, text->len, 0600,
		                    FS_DURABLE | FS_LOCKED, journal->path, error);
	forget_replaced(journal);
	return r == 0 ? journal_open(journal, error) : r;
}

/* Makes the file say the intents of both lists: those of a dead process, and ours. */
static int announce(struct journal *journal, const struct intents *first,
                    const struct intents *second, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	strbuf_add(&text, &(struct journal_header){0}, sizeof(struct journal_header));
	struct json_writer w;
	json_writer_init(&w, &text, JSON_STORE);
	json_array_open(&w);
	for (size_t i = 0; i < first->len; i++)
		write_intent(&w, &first->items[i]);
	for (size_t i = 0; second && i < second->len; i++) {
		if (!lists_intent(first, &second->items[i])) /* it was not settled the last time */
			write_intent(&w, &second->items[i]);
	}
	json_array_close(&w);
	if (text.failed || first->failed || (second && second->failed))
		return error_oom(error);
	if (text.len > JOURNAL_LIMIT)
		return error_set(error, CST_ECORRUPT,
		                 "%s is full of what crashed processes left half done: it is "
		                 "finished when the store is opened",
		                 journal->path);
	const char *body = text.data + sizeof(struct journal_header);
	struct journal_header header = {.magic = JOURNAL_MAGIC,
	                                .length = text.len - sizeof(header)};
	header.crc = crc64_iso(0, body, header.length);
	memcpy(text.data, &header, sizeof(header));
	return first->len ? replace(journal, &text, error) : rewrite(journal, &text, error);
}

int journal_begin(struct journal *journal, const struct intents *intents, cst_error **error)
{
	int r = journal_open(journal, error);
	intents_free(&journal->inherited);
	if (r == 0)
		r = journal_read(journal, &journal->inherited, error);
	if (r < 0)
		return r;
	r = announce(journal, &journal->inherited, intents, error);
	if (r < 0)
		journal_end(journal);
	return r;
}

int journal_take_back(struct journal *journal, cst_error **error)
{
	struct journal_header header = {.magic = JOURNAL_MAGIC};
	if (journal->inherited.len)
		return announce(journal, &journal->inherited, NULL, error);
	if (sys_pwrite_all(journal->fd, &header, sizeof(header), 0) < 0)
		return error_sys(error, errno, "write %s", journal->path);
	return 0;
}

int journal_sync(const struct journal *journal, cst_error **error)
{
	if (sys_fdatasync(journal->fd) < 0)
		return error_sys(error, errno, "fdatasync %s", journal->path);
	return 0;
}

void journal_end(struct journal *journal)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (journal_take_back(journal, &problem) < 0) /* the next opener applies the rule in vain */
		log_warning("%s", cst_error_message(problem));
}

void journal_end_durably(struct journal *journal)
{
	_cleanup_error_ cst_error *problem = NULL;
	journal_end(journal);
	if (journal_sync(journal, &problem) < 0)
		log_warning("%s", cst_error_message(problem));
}

/* A layer that goes with its owner, all with usual IDs, takes about so much; what is deleted alone takes half of it, so there
 * is room for the images and containers of a store that is wiped, too. */
#define INTENT_SIZE 256

void journal_keep_room(const struct journal *journal, size_t items)
{
	fs_keep_room(journal->fd, sizeof(struct journal_header) + items * INTENT_SIZE);
}

void journal_clear(struct journal *journal)
{
	intents_free(&journal->inherited);
	journal_end_durably(journal);
}
