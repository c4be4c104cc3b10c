/* SPDX-License-Identifier: Apache-2.0 */
/* The trash of drivers whose layers are directories: temporary directories that layers are moved into. */
#include "archive/tree/walk.h"
#include "base/fs.h"
#include "driver/naive.h"

struct naive_trash {
	struct driver_trash base;
	struct tempdir **areas;
	size_t n, capacity;
	struct strv notes;
};

static struct naive_trash *trash_of(struct driver_trash *trash)
{
	return (struct naive_trash *)trash;
}

static struct tempdir *find_area(const struct naive_trash *trash, const char *root)
{
	for (size_t i = 0; trash && i < trash->n; i++) {
		if (streq(trash->areas[i]->shown, root))
			return trash->areas[i];
	}
	return NULL;
}

/* *ret is NULL if the disk is too full for a directory. */
static int add_area(struct naive_trash *trash, const char *root, enum tempdir_layout layout,
                    struct tempdir **ret, cst_error **error)
{
	struct tempdir **grown =
	        grow_array(trash->areas, &trash->capacity, trash->n + 1, sizeof(struct tempdir *));
	if (!grown)
		return error_oom(error);
	trash->areas = grown;
	int r = tempdir_new_for_trash(root, layout, ret, error);
	if (r == 0 && *ret)
		grown[trash->n++] = *ret;
	return r;
}

int naive_trash_in(const struct driver_ops *ops, const char *root, enum tempdir_layout layout,
                   struct driver_trash **trash, struct tempdir **ret, cst_error **error)
{
	struct naive_trash *t = *trash ? trash_of(*trash) : new0(struct naive_trash, 1);
	if (!t)
		return error_oom(error);
	t->base.ops = ops;
	*trash = &t->base; /* also if what follows fails: an empty trash does no harm */
	struct tempdir *area = find_area(t, root);
	int r = area ? 0 : add_area(t, root, layout, &area, error);
	if (r == 0)
		*ret = area;
	return r;
}

void naive_trash_visit(const struct driver_trash *trash, void (*look)(int fd, void *userdata),
                       void *userdata)
{
	const struct naive_trash *t = (const struct naive_trash *)trash;
	for (size_t i = 0; i < t->n; i++)
		look(t->areas[i]->fd, userdata);
}

struct strv *naive_trash_notes(struct driver_trash *trash)
{
	return &trash_of(trash)->notes;
}

/* ---- emptying ---- */

/* The number is for the progress only, so what cannot be read is left out. */
uint64_t naive_tempdir_count(const struct tempdir *dir)
{
	struct tree_walk *walk = NULL;
	struct tree_entry entry;
	enum tree_event event = TREE_ENTRY;
	uint64_t n = 0;
	if (tree_walk_new(&dir->fd, 1, true, &walk, NULL) < 0)
		return 0;
	while (event != TREE_END && tree_walk_next(walk, &event, &entry, NULL) == 0)
		n += event == TREE_ENTRY;
	tree_walk_free(walk);
	return n;
}

/* If something cannot be removed it stays, and tempdir_free() tries again and complains. staging.lock is the lock of the
 * directory itself, which TEMPDIR_STAGING has inside: it stays as long as the directory is there. */
void naive_tempdir_empty(const struct tempdir *dir, const struct fs_watch *watch)
{
	_cleanup_strv_ struct strv names = {0};
	(void)fs_list_dir(dir->fd, ".", &names, dir->shown, NULL);
	strv_foreach (name, &names) {
		if (!streq(name, "staging.lock"))
			(void)fs_remove_tree_watched(dir->fd, name, dir->shown, watch, NULL);
	}
}

uint64_t naive_trash_count(const struct driver_trash *trash)
{
	const struct naive_trash *t = (const struct naive_trash *)trash;
	uint64_t n = 0;
	for (size_t i = 0; i < t->n; i++)
		n += naive_tempdir_count(t->areas[i]);
	return n;
}

void naive_trash_empty(struct driver_trash *trash, const struct fs_watch *watch)
{
	const struct naive_trash *t = trash_of(trash);
	for (size_t i = 0; i < t->n; i++)
		naive_tempdir_empty(t->areas[i], watch);
}

void naive_trash_free(struct driver_trash *trash)
{
	struct naive_trash *t = trash ? trash_of(trash) : NULL;
	for (size_t i = 0; t && i < t->n; i++)
		tempdir_free(t->areas[i]);
	if (t) {
		free(t->areas);
		strv_free(&t->notes);
	}
	free(t);
}
