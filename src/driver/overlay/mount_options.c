/* SPDX-License-Identifier: Apache-2.0 */
/* Reads comma lists of mount options: which words are flags of mount(2), and which are for overlay. */
#include "driver/overlay/overlay.h"
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

static bool add_flag(struct overlay_mount_options *options, const char *word)
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

int overlay_mount_options_add(struct overlay_mount_options *options, const char *list,
                              cst_error **error)
{
	_cleanup_strv_ struct strv items = {0};

	if (!strv_split(&items, list, ','))
		return error_oom(error);
	for (size_t i = 0; i < items.len; i++) {
		const char *item = items.items[i];

		if (!*item || streq(item, "defaults") || add_flag(options, item))
			continue;
		if (!strv_add(&options->data, item))
			return error_oom(error);
	}
	return 0;
}

bool overlay_mount_options_drop(struct overlay_mount_options *options, const char *word)
{
	struct strv *data = &options->data;
	size_t kept = 0, len = data->len;

	for (size_t i = 0; i < len; i++) {
		if (streq(data->items[i], word))
			free(data->items[i]);
		else
			data->items[kept++] = data->items[i];
	}
	if (kept < len)
		data->items[kept] = NULL;
	data->len = kept;
	return kept < len;
}

void overlay_mount_options_free(struct overlay_mount_options *options)
{
	strv_free(&options->data);
	options->flags = 0;
}
