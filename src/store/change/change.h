/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of the store. Every change that others can see is one of these:
 *
 *     hold the sets, in the order of their locks;            change_hold()
 *     look again at what was planned without the locks;
 *     say what is in flux, and the steps;                    change_add(), for each item
 *     announce that, do the steps, save each set once,
 *     take the announcement back; if a step fails, undo or
 *     finish by the rules for dead writers;                  change_commit()
 *     give the locks back, and only then delete what went.   change_done(), at the end of the scope
 *
 * A step is in two halves: `place`, before the records are saved, puts content where its record will
 * point and edits records in memory; `clear`, after it, takes away what no record points at any
 * more. A change takes as many items as it has to, several new layers too; the records are saved
 * once for all of them.
 */
#ifndef CST_STORE_CHANGE_CHANGE_H
#define CST_STORE_CHANGE_CHANGE_H

#include "store/change/trash.h"
#include "store/core/hold.h"

struct change;
typedef int (*change_step)(struct change *change, const struct intent *intent, void *arg,
                           cst_error **error);

struct planned_step {
	change_step run;
	size_t intent; /* number in the intents */
	void *arg;
};
struct planned_steps {
	struct planned_step *items;
	size_t len, capacity;
};

struct change {
	cst_store *store;
	struct hold hold; /* empty where somebody else holds the sets: change_within() */
	const struct hold *held;
	struct trash trash;
	struct intents intents;
	struct planned_steps places, clears;
	bool failed; /* out of memory while it was put together */

	/* The records of owners (images, containers) are saved before those of the layers. With it a
	 * deletion that was interrupted is finished: a layer whose owner is gone goes too. Without
	 * it an interrupted creation is undone. */
	bool owners_first;
	/* The announcement is taken back with a barrier: applying the rules much later could undo
	 * what another program did meanwhile. */
	bool durable;
	/* The rules undo what is done while it is still announced, so a failure to take the
	 * announcement back is a failure of the change. */
	bool must_end;
};
void change_done(struct change *change);
#define _cleanup_change_ _cleanup_(change_done)

/* Before anything else; may be called again for sets that come later in the order of the locks. */
int change_hold(struct change *change, cst_store *store, struct hold_modes modes,
                cst_error **error);
/* Instead, where the caller's caller holds the sets, `held`, for longer than the change takes. What
 * went is left in the trash of the store, to be deleted when the layers are free. */
void change_within(struct change *change, cst_store *store, const struct hold *held);

/* Announces `intent` (NULL: nothing to announce), with the two halves of its step (NULL: none).
 * `arg` lives until the change is committed. The halves run in the order in which they were added.
 * Failure to allocate sticks until change_commit(). */
void change_add(struct change *change, const struct intent *intent, change_step place,
                change_step clear, void *arg);
int change_commit(struct change *change, cst_error **error);

#endif
