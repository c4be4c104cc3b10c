/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SELinux labels of containers, made as the Go tools make them: of the policy's file of contexts, and two categories of which
 * every container has a pair of its own (docs/format/config.md, "SELinux"). All is read from files: neither they nor this
 * library call libselinux.
 */
#ifndef CST_CONFIG_SELINUX_H
#define CST_CONFIG_SELINUX_H

#include "base/error.h"
#include "base/mem.h"

bool selinux_is_enabled(void);
/* Does the policy that is loaded know this label? */
bool selinux_is_valid(const char *label);
/* The level of a label, in it; "": it has none. */
const char *selinux_level(const char *label);

/* Has another container this level? */
typedef bool (*selinux_taken)(const char *level, void *userdata);

struct selinux_labels {
	char *process, *mount; /* the caller's */
	bool level_is_chosen;  /* here, at random; no other container may have it */
};
void selinux_labels_free(struct selinux_labels *labels);
#define _cleanup_labels_ _cleanup_(selinux_labels_free)

/* The labels of a new container. `options`: "disable", or "user:", "role:", "type:", "level:" or "filetype:" and a value. Without
 * SELinux both labels are "", whatever the options are. CST_EINVAL: no such option; CST_EBUSY: no level is free. */
int selinux_container_labels(const char *const *options, size_t n, selinux_taken taken, void *userdata,
                             struct selinux_labels *ret, cst_error **error);
/* The same of these defaults ("" none), on any machine. */
int selinux_labels_from(const char *process, const char *file, const char *const *options, size_t n, selinux_taken taken,
                        void *userdata, struct selinux_labels *ret, cst_error **error);
/* The value of the line KEY=VALUE of SELinux's configuration, or of a file of contexts; the caller's. "": there is none; NULL: out
 * of memory. */
char *selinux_value(const char *text, const char *key);

/* The label of container files that all containers may use; the caller's. "": without SELinux. */
int selinux_shared_label(char **ret, cst_error **error);

#endif
