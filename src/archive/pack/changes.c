/* SPDX-License-Identifier: Apache-2.0 */
/* The list of changes that drivers fill: one path and one kind each. */
#include "archive/pack/change_tracker.h"

bool changes_add(struct cst_changes *changes, const char *path, enum cst_change_kind kind)
{
	char *copy = strdup(path);
	struct path_change *grown =
	        grow_array(changes->items, &changes->capacity, changes->len + 1, sizeof(*grown));
	if (grown)
		changes->items = grown;
	if (!copy || !grown) {
		free(copy);
		return false;
	}
	grown[changes->len++] = (struct path_change){copy, kind};
	return true;
}

void changes_clear(struct cst_changes *changes)
{
	for (size_t i = 0; i < changes->len; i++)
		free(changes->items[i].path);
	free(changes->items);
	*changes = (struct cst_changes){0};
}

int change_tracker_add(struct change_tracker *tracker, const char *path, size_t depth,
                       bool is_directory, enum cst_change_kind kind, cst_error **error)
{
	_cleanup_free_ char *rooted = str_printf("/%s", path);
	if (!rooted || !changes_add(&tracker->changes, rooted, kind))
		return error_oom(error);
	if (!is_directory)
		return 0;
	struct tracked_level *grown =
	        grow_array(tracker->levels, &tracker->capacity, depth + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	tracker->levels = grown;
	grown[depth] = (struct tracked_level){.item = tracker->changes.len - 1};
	return 0;
}

void change_tracker_touch(struct change_tracker *tracker, size_t depth)
{
	for (size_t i = depth; i-- > 1 && !tracker->levels[i].settled;) {
		struct path_change *item = &tracker->changes.items[tracker->levels[i].item];
		if (item->kind == CHANGE_UNREPORTED)
			item->kind = CST_MODIFY;
		tracker->levels[i].settled = true;
	}
}

void change_tracker_finish(struct change_tracker *tracker, struct cst_changes *ret)
{
	struct cst_changes *changes = &tracker->changes;
	size_t kept = 0;
	for (size_t i = 0; i < changes->len; i++) {
		if (changes->items[i].kind == CHANGE_UNREPORTED)
			free(changes->items[i].path);
		else
			changes->items[kept++] = changes->items[i];
	}
	changes->len = kept;
	*ret = *changes;
	*changes = (struct cst_changes){0};
}

void change_tracker_free(struct change_tracker *tracker)
{
	changes_clear(&tracker->changes);
	free(tracker->levels);
}
