/* SPDX-License-Identifier: Apache-2.0 */
/* The SELinux levels that a new container may not have (docs/format/config.md, "SELinux"). */
#include "store/container/level.h"
#include "config/selinux.h"

static bool has_level(const char *label, const char *level)
{
	return streq(selinux_level(label), level);
}

static bool container_has(const struct record_set *containers, const char *level)
{
	for (size_t i = 0; i < record_set_size(containers); i++) {
		const cst_container *other = container_table_at(containers, i);
		if (has_level(other->mount_label, level) || has_level(other->process_label, level))
			return true;
	}
	return false;
}

/* A label can be given to a layer that is no container's. */
static bool layer_has(const struct record_set *layers, const char *level)
{
	for (size_t i = 0; i < record_set_size(layers); i++)
		if (has_level(layer_table_at(layers, i)->mount_label, level))
			return true;
	return false;
}

bool container_level_is_taken(const cst_store *store, const char *level)
{
	return container_has(store->sets.containers.table, level) ||
	       layer_has(store->sets.layers.table, level);
}
