/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mending what check found, before anything is deleted.
 *
 * A mender is a row of the table in mend.c: the code of a finding, and a function that tries to put right what such a
 * finding is about. A function may stand behind several codes, and a code may have several functions; they are tried in the
 * order of the table until one of them mends. Of one object a function is called once, however many findings it has.
 * Layers come first, each after its parent, then images, then containers. What belongs to a later stage is tried when all that
 * the stage before mended was looked at again: a layer that seemed damaged, because nobody could tell what it is built on, may be
 * whole.
 *
 * What a mender may count on, and what it has to keep to:
 *
 *   - No lock is held. It takes what it needs, the layers by a change (change/change.h) where others can see what it does.
 *   - The finding is old news. The mender looks again, under its locks, whether the object is still as the finding says.
 *   - If it dies or fails at any moment, the store is no worse than before: what is new is made beside, and takes its place by
 *     rename.
 *   - It need not know whether it was right. After each stage whatever it mended is looked at again. What then still has the same
 *     finding was not mended, and is told and deleted like anything else.
 */
#ifndef CST_STORE_CHECK_MEND_H
#define CST_STORE_CHECK_MEND_H

#include "store/check/repairs.h"
#include "store/core/store.h"

enum mend_stage {
	MEND_LOCKS,   /* the lock files: then everything is looked at, what had no findings too */
	MEND_FILES,   /* the files of records: then the same */
	MEND_STORE,   /* what says which objects there are, and what they are built on */
	MEND_CONTENT, /* what an object holds */
	MEND_STAGES,
};

struct mending {
	cst_store *store;
	const cst_repair_options *options;
	enum mend_stage stage;
	const struct cst_findings *findings; /* all, as they were found before this stage */
	const char *lost; /* records were lost (lost.h); NULL: they were not */
	struct cst_repairs *steps;
	struct blobs *blobs; /* that the caller gave; NULL: none */
	struct strv *left;   /* layers and files that nobody may touch now */
	struct strv *sound;  /* layers whose content was damaged, or seemed so, and is right now */
	bool mended; /* anything, in this stage */
};

enum mend_result {
	MEND_NOT = 0,  /* this mender cannot help here */
	MEND_DONE = 1, /* *done says what was done, as what follows "layer ID: "; the caller frees it */
	MEND_LEFT = 2, /* it is in use: neither it nor what has it may be touched now. *done says so, in the same way */
};

struct mender {
	enum mend_stage stage;
	enum cst_finding_code code;
	/* `finding` is the first one of this code that the object has. An enum mend_result; or CST_E..., if it was tried and failed:
	 * the error then says why. CST_ENOMEM and CST_ECANCELED end the repair. */
	int (*mend)(struct mending *mending, const struct cst_finding *finding, char **done, cst_error **error);
};

/* Lets the menders of one stage try everything that has findings of its own, and is not in an additional store. */
int mend_all(struct mending *mending, enum mend_stage stage, cst_error **error);

/* After that, with what was found when all was looked at again: tells of what seemed mended that it is not. */
int mend_judge(struct mending *mending, const struct cst_findings *again, cst_error **error);

#endif
