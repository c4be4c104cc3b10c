/* SPDX-License-Identifier: Apache-2.0 */
/* Reports a store that is not there: a verb that only looks must not make one where a mistyped -g
 * points. */
#include "command.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>

static bool ends_in(const char *text, const char *end)
{
	size_t length = strlen(text), n = strlen(end);
	return length > n && strcmp(text + length - n, end) == 0;
}

/* Is this a name that the library or a Go tool gives to something at the top of a store? */
static bool is_of_a_store(const char *name)
{
	static const char *const whole[] = {"storage.lock", "userns.lock", "overlay", "vfs",
	                                    "btrfs",        "zfs",         "cstorage"};
	static const char *const ends[] = {"-layers", "-images", "-containers"};
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (strcmp(name, whole[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends_in(name, ends[i]))
			return true;
	return false;
}

/* What this process cannot look at counts as a store, so that the library reports why. */
static bool looks_like_a_store(const char *path)
{
	bool found = false;
	DIR *dir = opendir(path);
	if (!dir)
		return errno != ENOENT;
	for (struct dirent *entry; !found && (entry = readdir(dir));)
		found = is_of_a_store(entry->d_name);
	closedir(dir);
	return found;
}

/* Images can be in another store although this one has not been made yet. */
static bool has_other_stores(const cst_store_options *options)
{
	if (options->image_store && options->image_store[0])
		return true;
	for (size_t i = 0; i < options->n_driver_options; i++)
		if (strstr(options->driver_options[i], "imagestore="))
			return true;
	return false;
}

bool store_is_there(const struct invocation *in)
{
	const char *root = in->store_options.graph_root;
	if (!root || !root[0] || has_other_stores(&in->store_options) || looks_like_a_store(root))
		return true;
	const char *origin = in->store_options.graph_root_origin;
	if (origin)
		complain(in, "there is no store at %s (the graph root, %s)", root, origin);
	else
		complain(in, "there is no store at %s", root);
	fprintf(stderr,
	        "Hint: create-layer, import-layer and import make one; -g says where it is.\n");
	return false;
}
