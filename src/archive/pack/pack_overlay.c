/* SPDX-License-Identifier: Apache-2.0 */
/* One overlay layer's own directory as a layer tar (docs/format/archive.md, "Producing a layer
 * tar"). */
#include "archive/pack/overlay_lowers.h"
#include "archive/pack/packer.h"
#include "archive/tree/xattrs.h"

static int pack_directory(struct packer *packer, const struct tree_walk *walk,
                          const struct tree_entry *entry, cst_error **error)
{
	bool added;
	int r = packer_add(packer, entry->dirfd, entry->name, entry->path, &entry->stat, &added,
	                   error);
	if (r < 0 || !added || !xattr_is_opaque(entry->dirfd, entry->name, packer->options->userns))
		return r;
	struct stat below;
	bool found;
	r = overlay_find_below(walk, entry, &below, NULL, &found, error);
	if (r < 0 || !found)
		return r;
	return packer_add_opaque(packer, entry->path, &entry->stat, error);
}

static int pack_entry(struct packer *packer, const struct tree_walk *walk,
                      const struct tree_entry *entry, cst_error **error)
{
	if (stat_is_whiteout(&entry->stat))
		return packer_add_whiteout(packer, entry->path, &entry->stat, error);
	if (S_ISDIR(entry->stat.st_mode))
		return pack_directory(packer, walk, entry, error);
	return packer_add(packer, entry->dirfd, entry->name, entry->path, &entry->stat, NULL,
	                  error);
}

int pack_overlay(int diff_fd, const struct pack_options *options, const cst_sink *sink,
                 cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	_cleanup_packer_ struct packer packer = {0};
	int r = overlay_walk(diff_fd, options, true, &walk, error);
	if (r < 0 || (r = packer_init(&packer, options, sink, error)) < 0)
		return r;
	for (;;) {
		enum tree_event event;
		struct tree_entry entry;
		r = tree_walk_next(walk, &event, &entry, error);
		if (r < 0)
			return r;
		if (event == TREE_END)
			return packer_finish(&packer, error);
		if (event == TREE_ENTRY && (r = pack_entry(&packer, walk, &entry, error)) < 0)
			return r;
	}
}
