/* SPDX-License-Identifier: Apache-2.0 */
/* The list of staged layers that a driver's handle keeps between two calls. */
#include "driver/kept.h"
#include "base/mem.h"
#include "driver/driver.h"

struct driver_kept_item {
	char *id;
	struct driver_staged *staged;
};

void driver_kept_init(struct driver_kept *kept)
{
	pthread_mutex_init(&kept->lock, NULL);
}

void driver_kept_free(struct driver *d)
{
	struct driver_kept *kept = &d->kept;
	for (size_t i = 0; i < kept->len; i++) {
		d->ops->stage_free(kept->items[i].staged);
		free(kept->items[i].id);
	}
	free(steal_ptr(&kept->items));
	kept->len = 0;
	pthread_mutex_destroy(&kept->lock);
}

/* The caller holds the mutex. False: out of memory; nothing was added. */
static bool add(struct driver_kept *kept, char *id, struct driver_staged *staged)
{
	struct driver_kept_item *grown =
	        grow_array(kept->items, &kept->capacity, kept->len + 1, sizeof(*grown));
	if (!grown)
		return false;
	kept->items = grown;
	grown[kept->len++] = (struct driver_kept_item){id, staged};
	return true;
}

/* Takes the staged layer out of the list. NULL: the list has none of this ID. */
static struct driver_staged *take(struct driver_kept *kept, const char *id)
{
	struct driver_staged *staged = NULL;
	pthread_mutex_lock(&kept->lock);
	for (size_t i = 0; i < kept->len && !staged; i++) {
		if (!streq(kept->items[i].id, id))
			continue;
		staged = kept->items[i].staged;
		free(kept->items[i].id);
		kept->len--;
		memmove(&kept->items[i], &kept->items[i + 1],
		        (kept->len - i) * sizeof(*kept->items));
	}
	pthread_mutex_unlock(&kept->lock);
	return staged;
}

int driver_stage_keep(struct driver *d, struct driver_staged *staged, char **ret_id,
                      cst_error **error)
{
	_cleanup_free_ char *id = strdup(d->ops->staged_id(staged));
	char *own = id ? strdup(id) : NULL;
	if (!own)
		return error_oom(error);
	pthread_mutex_lock(&d->kept.lock);
	bool added = add(&d->kept, own, staged);
	pthread_mutex_unlock(&d->kept.lock);
	if (!added) {
		free(own);
		return error_oom(error);
	}
	*ret_id = steal_ptr(&id);
	return 0;
}

int driver_stage_list(struct driver *d, struct strv *ids, cst_error **error)
{
	_cleanup_strv_ struct strv found = {0};
	bool added = true;
	pthread_mutex_lock(&d->kept.lock);
	for (size_t i = 0; i < d->kept.len && added; i++)
		added = strv_add(&found, d->kept.items[i].id);
	pthread_mutex_unlock(&d->kept.lock);
	if (!added)
		return error_oom(error);
	*ids = found;
	found = (struct strv){0};
	return 0;
}

int driver_stage_adopt(struct driver *d, const char *id, struct driver_staged **ret,
                       cst_error **error)
{
	struct driver_staged *staged = take(&d->kept, id);
	if (!staged)
		return error_set(error, CST_ELAYER_UNKNOWN, "no staged layer has the ID \"%s\"",
		                 id);
	*ret = staged;
	return 0;
}

int driver_stage_discard(struct driver *d, const char *id, cst_error **error)
{
	struct driver_staged *staged = NULL;
	int r = driver_stage_adopt(d, id, &staged, error);
	if (r == 0)
		d->ops->stage_free(staged);
	return r;
}
