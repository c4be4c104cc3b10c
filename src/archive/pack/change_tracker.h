/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects changes during a walk. A directory that did not change itself is kept unreported at its
 * place, in case a change inside makes it a Modify (docs/format/archive.md, "Changes").
 */
#ifndef CST_ARCHIVE_PACK_CHANGE_TRACKER_H
#define CST_ARCHIVE_PACK_CHANGE_TRACKER_H

#include "archive/pack/pack.h"

#define CHANGE_UNREPORTED ((enum cst_change_kind)3)

struct tracked_level {
	size_t item;  /* of the directory, in changes */
	bool settled; /* it and all around it are reported */
};
struct change_tracker {
	struct cst_changes changes;
	struct tracked_level *levels; /* by depth: [1] is directly in the root */
	size_t capacity;
};

/* `path` without the leading slash. Every directory the walk goes into must be added, changed or
 * not. */
int change_tracker_add(struct change_tracker *tracker, const char *path, size_t depth,
                       bool is_directory, enum cst_change_kind kind, cst_error **error);
/* Something at `depth` changed: the directories around it are reported. */
void change_tracker_touch(struct change_tracker *tracker, size_t depth);
void change_tracker_finish(struct change_tracker *tracker, struct cst_changes *ret);
void change_tracker_free(struct change_tracker *tracker);
#define _cleanup_change_tracker_ _cleanup_(change_tracker_free)

#endif
