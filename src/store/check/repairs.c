/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what a repair did (check.h of the API). */
#include "store/check/repairs.h"
#include "base/str.h"

int repairs_add(struct cst_repairs *repairs, const struct step *step, cst_error **error)
{
	struct step *grown =
	        grow_array(repairs->items, &repairs->capacity, repairs->len + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	repairs->items = grown;
	struct step *new = &grown[repairs->len++];
	*new = *step;
	new->id = arena_strdup(&repairs->arena, step->id);
	new->message = arena_strdup(&repairs->arena, strempty(step->message));
	new->go_message = arena_strdup(&repairs->arena, strempty(step->go_message));
	return repairs->arena.failed ? error_oom(error) : 0;
}

/* ---- as callers see them ---- */

size_t cst_repairs_size(const cst_repairs *repairs)
{
	return repairs ? repairs->len : 0;
}

int cst_repairs_action(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? (int)repairs->items[index].action : CST_EINVAL;
}

int cst_repairs_kind(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? (int)repairs->items[index].kind : CST_EINVAL;
}

const char *cst_repairs_id(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? repairs->items[index].id : NULL;
}

int cst_repairs_result(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? repairs->items[index].result : CST_EINVAL;
}

const char *cst_repairs_message(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? repairs->items[index].message : NULL;
}

const char *cst_repairs_go_message(const cst_repairs *repairs, size_t index)
{
	return index < cst_repairs_size(repairs) ? repairs->items[index].go_message : NULL;
}

void cst_repairs_free(cst_repairs *repairs)
{
	if (!repairs)
		return;
	arena_clear(&repairs->arena);
	free(repairs->items);
	free(repairs);
}
