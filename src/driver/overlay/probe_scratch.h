/* SPDX-License-Identifier: Apache-2.0 */
/* A place in the driver's home where probe.c tries out what an overlay mount does. */
#ifndef CST_DRIVER_OVERLAY_PROBE_SCRATCH_H
#define CST_DRIVER_OVERLAY_PROBE_SCRATCH_H

#include "driver/overlay/overlay.h"

/* <home>/staging/<n>. If this process dies, recover() of another one removes it. */
struct probe_scratch {
	struct tempdir *temp;
	struct overlay_dirs dirs;
	struct overlay_lowers lowers;
	char *below_home, *path; /* "staging/<n>", and the absolute path */
	int upper_fd, work_fd;
	char *label; /* SELinux label of the mount; NULL or "": none */
};
#define PROBE_SCRATCH_INIT { .upper_fd = -1, .work_fd = -1 }
/* Makes `upper`, `work`, `lower1` and `lower2`. */
int probe_scratch_open(const struct overlay *o, struct probe_scratch *s, cst_error **error);
void probe_scratch_close(struct probe_scratch *s);
#define _cleanup_scratch_ _cleanup_(probe_scratch_close)
int probe_scratch_mkdir(const struct probe_scratch *s, const char *name, int *ret_fd, cst_error **error);
/* Reads a comma list of mount options for a probe, which has to write. */
int probe_scratch_options(const struct overlay *o, const char *list, struct mount_options *ret,
			  cst_error **error);
/* Describes the mount of these directories. The description points into both arguments. */
struct overlay_mount probe_scratch_overlay(const struct probe_scratch *s, const struct mount_options *options);
int probe_scratch_mount(const struct overlay *o, const struct probe_scratch *s, const char *options,
			struct overlay_detached *ret, cst_error **error);

#endif
