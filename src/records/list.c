/* SPDX-License-Identifier: Apache-2.0 */
/* Records on their own and in lists, as callers get them: one arena owns all of a list. */
#include "records/table.h"

#define DEFINE_RECORD_OWNER(kind)                                                                \
	struct owned_##kind {                                                                    \
		cst_##kind record; /* first: its address is the owner's */                       \
		struct arena arena;                                                              \
	};                                                                                       \
	static cst_##kind *kind##_dup(const cst_##kind *kind)                                    \
	{                                                                                        \
		struct owned_##kind *owned = new0(struct owned_##kind, 1);                       \
		if (owned && kind##_copy(&owned->arena, kind, &owned->record))                   \
			return &owned->record;                                                   \
		cst_##kind##_free(owned ? &owned->record : NULL);                                \
		return NULL;                                                                     \
	}                                                                                        \
	int kind##_give(const cst_##kind *kind, cst_##kind **ret, cst_error **error)             \
	{                                                                                        \
		cst_##kind *copy = ret ? kind##_dup(kind) : NULL;                                \
		if (ret && !copy)                                                                \
			return error_oom(error);                                                 \
		if (ret)                                                                         \
			*ret = copy;                                                             \
		return 0;                                                                        \
	}                                                                                        \
	void cst_##kind##_free(cst_##kind *kind)                                                 \
	{                                                                                        \
		if (!kind)                                                                       \
			return;                                                                  \
		arena_clear(&((struct owned_##kind *)kind)->arena);                              \
		free(kind);                                                                      \
	}                                                                                        \
	struct cst_##kind##_list {                                                               \
		struct arena arena;                                                              \
		cst_##kind *items;                                                               \
		size_t len;                                                                      \
	};                                                                                       \
	size_t cst_##kind##_list_size(const cst_##kind##_list *list)                             \
	{                                                                                        \
		return list ? list->len : 0;                                                     \
	}                                                                                        \
	const cst_##kind *cst_##kind##_list_get(const cst_##kind##_list *list, size_t index)     \
	{                                                                                        \
		return list && index < list->len ? &list->items[index] : NULL;                   \
	}                                                                                        \
	int kind##_list_all(const struct record_set *const *sets, size_t n, uint32_t unwanted,   \
	                    cst_##kind##_list **ret, cst_error **error)                          \
	{                                                                                        \
		size_t total = 0;                                                                \
		for (size_t s = 0; s < n; s++)                                                   \
			total += record_set_size(sets[s]);                                       \
		cst_##kind##_list *list = new0(cst_##kind##_list, 1);                            \
		if (list)                                                                        \
			list->items = new0(cst_##kind, total + 1);                               \
		bool ok = list && list->items;                                                   \
		int r = ok ? 0 : error_oom(error);                                               \
		for (size_t s = 0; r == 0 && s < n; s++) {                                       \
			size_t here = MIN(record_set_size(sets[s]), total - list->len);          \
			ok = ok && record_set_copy_all(sets[s], &list->arena,                    \
			                               list->items + list->len, here, unwanted); \
			list->len += ok ? here : 0;                                              \
			r = record_set_problem(sets[s], error);                                  \
			if (r == 0 && !ok)                                                       \
				r = error_oom(error);                                            \
		}                                                                                \
		if (r < 0)                                                                       \
			cst_##kind##_list_free(list);                                            \
		else                                                                             \
			*ret = list;                                                             \
		return r;                                                                        \
	}                                                                                        \
	void cst_##kind##_list_free(cst_##kind##_list *list)                                     \
	{                                                                                        \
		if (!list)                                                                       \
			return;                                                                  \
		arena_clear(&list->arena);                                                       \
		free(list->items);                                                               \
		free(list);                                                                      \
	}

#define DEFINE_LIST_OF_CHOSEN(kind)                                                                \
	cst_##kind##_list *kind##_list_new(const cst_##kind *const *items, size_t n)               \
	{                                                                                          \
		cst_##kind##_list *list = new0(cst_##kind##_list, 1);                              \
		if (!list)                                                                         \
			return NULL;                                                               \
		list->items = new0(cst_##kind, n ? n : 1);                                         \
		bool ok = list->items;                                                             \
		for (; ok && list->len < n; list->len++)                                           \
			ok = kind##_copy(&list->arena, items[list->len], &list->items[list->len]); \
		if (ok)                                                                            \
			return list;                                                               \
		cst_##kind##_list_free(list);                                                      \
		return NULL;                                                                       \
	}

DEFINE_RECORD_OWNER(layer)
DEFINE_RECORD_OWNER(image)
DEFINE_RECORD_OWNER(container)
DEFINE_LIST_OF_CHOSEN(layer)
DEFINE_LIST_OF_CHOSEN(image)
