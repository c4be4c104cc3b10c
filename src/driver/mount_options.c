/* SPDX-License-Identifier: Apache-2.0 */
/* Reads comma lists of mount options: which words are flags of mount(2), and which are for the file system. */
#include "driver/mount_options.h"
#include <sys/mount.h>

/* mount(8) turns these words into flags, for every filesystem. All other words are for the filesystem. */
static const struct {
	char word[16];
	unsigned long flag;
	bool clear;
} words[] = {
        {"async", MS_SYNCHRONOUS, true},
        {"atime", MS_NOATIME, true},
        {"bind", MS_BIND, false},
        {"dev", MS_NODEV, true},
        {"diratime", MS_NODIRATIME, true},
        {"dirsync", MS_DIRSYNC, false},
        {"exec", MS_NOEXEC, true},
        {"mand", MS_MANDLOCK, false},
        {"noatime", MS_NOATIME, false},
        {"nodev", MS_NODEV, false},
        {"nodiratime", MS_NODIRATIME, false},
        {"noexec", MS_NOEXEC, false},
        {"nomand", MS_MANDLOCK, true},
        {"norelatime", MS_RELATIME, true},
        {"nostrictatime", MS_STRICTATIME, true},
        {"nosuid", MS_NOSUID, false},
        {"private", MS_PRIVATE, false},
        {"rbind", MS_BIND | MS_REC, false},
        {"relatime", MS_RELATIME, false},
        {"remount", MS_REMOUNT, false},
        {"ro", MS_RDONLY, false},
        {"rprivate", MS_PRIVATE | MS_REC, false},
        {"rshared", MS_SHARED | MS_REC, false},
        {"rslave", MS_SLAVE | MS_REC, false},
        {"runbindable", MS_UNBINDABLE | MS_REC, false},
        {"rw", MS_RDONLY, true},
        {"shared", MS_SHARED, false},
        {"slave", MS_SLAVE, false},
        {"strictatime", MS_STRICTATIME, false},
        {"suid", MS_NOSUID, true},
        {"sync", MS_SYNCHRONOUS, false},
        {"unbindable", MS_UNBINDABLE, false},
};

static bool add_flag(struct mount_options *options, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!streq(words[i].word, word))
			continue;
		if (words[i].clear)
			options->flags &= ~words[i].flag;
		else
			options->flags |= words[i].flag;
		return true;
	}
	return false;
}

/* The kernel would take the last of two lists of lowers. */
static bool names_directory(const char *word)
{
	static const char *const keys[] = {
	        "lowerdir=", "lowerdir+=", "datadir+=", "upperdir=", "workdir="};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (has_prefix(word, keys[i]))
			return true;
	return false;
}

int mount_options_add(struct mount_options *options, const char *list, cst_error **error)
{
	_cleanup_strv_ struct strv items = {0};

	if (!strv_split(&items, list, ','))
		return error_oom(error);
	for (size_t i = 0; i < items.len; i++) {
		const char *item = items.items[i];

		if (!*item)
			continue;
		if (names_directory(item))
			return error_set(error, CST_EINVAL,
			                 "the mount option \"%s\" is the driver's to set", item);
		if (!strv_add(&options->words, item) ||
		    (!add_flag(options, item) && !strv_add(&options->data, item)))
			return error_oom(error);
	}
	return 0;
}

static void drop(struct strv *list, const char *word)
{
	size_t kept = 0, len = list->len;

	for (size_t i = 0; i < len; i++) {
		if (streq(list->items[i], word))
			free(list->items[i]);
		else
			list->items[kept++] = list->items[i];
	}
	if (kept < len)
		list->items[kept] = NULL;
	list->len = kept;
}

void mount_options_drop(struct mount_options *options, const char *word)
{
	drop(&options->data, word);
	drop(&options->words, word);
}

void mount_options_free(struct mount_options *options)
{
	strv_free(&options->data);
	strv_free(&options->words);
	options->flags = 0;
}
