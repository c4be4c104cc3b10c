/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_DRIVER_MOUNT_OPTIONS_H
#define CST_DRIVER_MOUNT_OPTIONS_H

#include "base/error.h"
#include "base/str.h"

struct mount_options {
	unsigned long flags; /* MS_* */
	struct strv data;
	struct strv words; /* all of them, as they were given, for messages */
};
/* Adds a comma list. Words that any filesystem has become flags. CST_EINVAL: one names a directory of the mount, which is the
 * driver's to do. */
int mount_options_add(struct mount_options *options, const char *list, cst_error **error);
/* Removes a word that is no flag, as often as it is there. */
void mount_options_drop(struct mount_options *options, const char *word);
void mount_options_free(struct mount_options *options);
#define _cleanup_mount_options_ _cleanup_(mount_options_free)

#endif
