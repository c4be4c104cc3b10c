/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staged layers that outlive the call that made them. A caller unpacks one now, and whoever knows its ID commits it or throws
 * it away later. It belongs to the driver's handle, which keeps the lock of its staging area, so it lives as long as this
 * process keeps the handle open. If this process dies, recover() of another one removes it, like every other staging area.
 */
#ifndef CST_DRIVER_KEPT_H
#define CST_DRIVER_KEPT_H

#include "base/error.h"
#include "base/str.h"
#include <pthread.h>

struct driver;
struct driver_staged;

struct driver_kept {
	pthread_mutex_t lock;
	struct driver_kept_item *items; /* in the order in which they were kept */
	size_t len, capacity;
};
void driver_kept_init(struct driver_kept *kept);
/* Discards what is left, and frees. A driver calls it before it frees its own parts, since stage_free() needs them. */
void driver_kept_free(struct driver *d);

/* The four operations of driver_ops of these names, for every driver that has staged_id() and stage_free(). */
int driver_stage_keep(struct driver *d, struct driver_staged *staged, char **ret_id, cst_error **error);
int driver_stage_list(struct driver *d, struct strv *ids, cst_error **error);
int driver_stage_adopt(struct driver *d, const char *id, struct driver_staged **ret, cst_error **error);
int driver_stage_discard(struct driver *d, const char *id, cst_error **error);

#endif
