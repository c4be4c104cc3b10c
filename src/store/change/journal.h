/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intents. Before the first visible step of an operation that takes more than one, a process that
 * holds the lock of a set for writing announces what is in flux. After the last step it takes the
 * announcement back. A process that finds an announcement with the lock free knows that its writer
 * died, and applies one rule (rules.c), which is right however far the writer came. The order of
 * every operation fits that rule: content is in place before its record, and a record is gone before
 * its content.
 *
 * One file per lock, in <graphroot>/cstorage, where the Go tools do not look (docs/format/store.md,
 * "Intents").
 */
#ifndef CST_STORE_CHANGE_JOURNAL_H
#define CST_STORE_CHANGE_JOURNAL_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/timestamp.h"
#include <cstorage/store.h>

struct intent {
	enum cst_kind kind;
	const char *id;
	const char *note;         /* layers: the driver's stage_note, "" if none */
	const char *data_key;     /* "": the item itself; else only this data item of it */
	enum cst_kind owner_kind; /* 0: none */
	const char *owner_id;
	/* Of a layer with an owner: the announcement does not mean a layer that got its ID later. */
	struct timestamp created;
	/* Not "": the layer gets new content. The driver knows it by this text (struct driver_identity). */
	const char *content;
	uint64_t tarsplit_inode; /* of the new tar-split, with new content */
	const char *record;      /* of the layer with new content, as JSON: what is known of the content is used */
	const char *staged;      /* not "": the content is that of this staged layer, which is kept until the commit is done */
};
struct intents {
	struct intent *items;
	size_t len, capacity;
	struct arena arena;
	bool failed;
};
/* Copies the strings. Failure to allocate sticks until journal_begin(). */
void intents_add(struct intents *intents, const struct intent *intent);
void intents_free(struct intents *intents);
#define _cleanup_intents_ _cleanup_(intents_free)

struct kind;
struct journal {
	const struct kind *kind; /* whose lock guards it */
	char *dir, *path;
	int fd;                   /* -1: not opened yet */
	/* Of a dead process, found when the lock was taken. They stay announced until an opener settles them. */
	struct intents inherited;
};
int journal_init(struct journal *journal, const char *graph_root, const struct kind *kind,
                 cst_error **error);
void journal_free(struct journal *journal);

/* With the set's lock held for writing. Durable when it returns; nothing visible may have been
 * changed before. */
int journal_begin(struct journal *journal, const struct intents *intents, cst_error **error);
/* Takes our own back. Needs no barrier: applying the rule again later does no harm. */
void journal_end(struct journal *journal);
/* With a barrier: where applying the rule again much later could undo what another program did
 * meanwhile. */
void journal_end_durably(struct journal *journal);
/* The two halves of it where the rule undoes what is reported as done while it is still announced. */
int journal_take_back(struct journal *journal, cst_error **error);
int journal_sync(const struct journal *journal, cst_error **error);
/* Room to announce on a full disk that so many items are deleted. */
void journal_keep_room(const struct journal *journal, size_t items);
/* Everything announced was settled: nothing is in flux. With a barrier. */
void journal_clear(struct journal *journal);
/* Without any lock: is there an announcement? */
bool journal_pending(struct journal *journal);
/* With the lock held: what was announced; empty if nothing, or if the announcement never became
 * complete. */
int journal_read(struct journal *journal, struct intents *ret, cst_error **error);

#endif
