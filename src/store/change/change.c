/* SPDX-License-Identifier: Apache-2.0 */
/* The change: holds, announces, does the steps, saves, settles what failed, and empties the trash
 * after the locks. */
#include "store/change/change.h"
#include "base/log.h"
#include "store/change/rules.h"
#include "store/core/store.h"

int change_hold(struct change *change, cst_store *store, struct hold_modes modes, cst_error **error)
{
	change->store = store;
	change->held = &change->hold;
	return hold_sets(store, modes, &change->hold, error);
}

void change_within(struct change *change, cst_store *store, const struct hold *held)
{
	change->store = store;
	change->held = held;
	change->trash = store->repair_trash;
	store->repair_trash = (struct trash){0};
}

/* On a full disk there may be room for them only now that the trash is gone. Another thread that
 * holds a set is not waited for. */
static void retry_reserves(cst_store *store, struct hold_modes modes)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (modes.of[i] != HOLD_WRITE)
			continue;
		struct set *set = &store->sets.of[i];
		if (pthread_mutex_trylock(&set->mutex) != 0)
			continue;
		record_set_retry_reserves(set->table);
		pthread_mutex_unlock(&set->mutex);
	}
}

void change_done(struct change *change)
{
	const struct hold_modes modes = change->hold.modes;
	if (change->held && change->held != &change->hold) {
		change->store->repair_trash = change->trash;
		change->trash = (struct trash){0};
	}
	hold_done(&change->hold); /* first, so that nobody waits while files are deleted */
	trash_free(&change->trash);
	retry_reserves(change->store, modes);
	intents_free(&change->intents);
	free(change->places.items);
	free(change->clears.items);
}

static bool plan(struct planned_steps *steps, change_step run, size_t intent, void *arg)
{
	struct planned_step *grown =
	        grow_array(steps->items, &steps->capacity, steps->len + 1, sizeof(*grown));
	if (!grown)
		return false;
	steps->items = grown;
	grown[steps->len++] = (struct planned_step){.run = run, .intent = intent, .arg = arg};
	return true;
}

void change_add(struct change *change, const struct intent *intent, change_step place,
                change_step clear, void *arg)
{
	size_t number = intent ? change->intents.len : SIZE_MAX;
	if (intent)
		intents_add(&change->intents, intent);
	bool planned = (!place || plan(&change->places, place, number, arg)) &&
	               (!clear || plan(&change->clears, clear, number, arg));
	change->failed = change->failed || change->intents.failed || !planned;
}

static int run_steps(struct change *change, const struct planned_steps *steps, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < steps->len; i++) {
		const struct planned_step *step = &steps->items[i];
		const struct intent *intent = step->intent < change->intents.len
		                                      ? &change->intents.items[step->intent]
		                                      : NULL;
		r = step->run(change, intent, step->arg, error);
	}
	return r;
}

static int save(struct change *change, size_t number, cst_error **error)
{
	struct set *set = &change->store->sets.of[number];
	return change->held->modes.of[number] == HOLD_WRITE ? set_save(set, error) : 0;
}

static int save_records(struct change *change, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < KINDS; i++)
		r = save(change, change->owners_first ? KINDS - 1 - i : i, error);
	return r;
}

static int do_steps(struct change *change, cst_error **error)
{
	struct fs_later *left = &change->trash.left;
	int r = run_steps(change, &change->places, error);
	if (r == 0)
		r = fs_later_sync(left, error);
	if (r == 0)
		r = save_records(change, error);
	if (r == 0)
		r = run_steps(change, &change->clears, error);
	return r == 0 ? fs_later_sync(left, error) : r;
}

/* By what is on disk now: the sets that are held for writing are loaded again. If even that fails
 * the announcement stays for the next opener. */
static void settle(struct change *change, struct journal *journal)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = 0;
	for (size_t i = 0; r == 0 && i < KINDS; i++) {
		if (change->held->modes.of[i] == HOLD_WRITE)
			r = set_reload(change->store, &change->store->sets.of[i], &problem);
	}
	if (r == 0)
		r = rules_apply(change->store, change->held, &change->intents, &change->trash,
		                &problem);
	if (r == 0)
		journal_end_durably(journal);
	else
		log_warning("left to be finished when the store is opened next: %s",
		            cst_error_message(problem));
}

static int take_back(struct change *change, struct journal *journal, cst_error **error)
{
	if (!change->must_end) {
		(change->durable ? journal_end_durably : journal_end)(journal);
		return 0;
	}
	int r = journal_take_back(journal, error);
	if (r < 0) {
		settle(change, journal);
		return r;
	}
	return journal_sync(journal, error); /* on failure what was done stays */
}

/* The first set that is held for writing: its journal has the announcement. */
static struct set *announcing_set(struct change *change)
{
	size_t i = 0;
	while (change->held->modes.of[i] != HOLD_WRITE)
		i++;
	return &change->store->sets.of[i];
}

/* What was planned may rest on records that were not found because they could not be read. */
static int check_read(const struct change *change, cst_error **error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < KINDS; i++) {
		const struct set *set = &change->store->sets.of[i];
		if (change->held->modes.of[i] != HOLD_NOT)
			r = record_set_problem(set->table, error);
	}
	return r;
}

int change_commit(struct change *change, cst_error **error)
{
	int r = change->failed ? error_oom(error) : check_read(change, error);
	if (r < 0)
		return r;
	if (!change->intents.len)
		return do_steps(change, error);
	struct set *set = announcing_set(change);
	r = journal_begin(&set->journal, &change->intents, error);
	if (r < 0)
		return r;
	r = do_steps(change, error);
	if (r < 0) {
		settle(change, &set->journal);
		return r;
	}
	journal_keep_room(&set->journal, record_set_size(set->table));
	return take_back(change, &set->journal, error);
}
