/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of strings: without repetitions, in the order in which they were given. */
#include "store/core/names.h"

int names_unique(const char *const *names, size_t n, struct strv *ret, cst_error **error)
{
	for (size_t i = 0; i < n; i++) {
		if (!strv_contains(ret, names[i]) && !strv_add(ret, names[i]))
			return error_oom(error);
	}
	return 0;
}

bool strings_contain(const struct strings *strings, const char *string)
{
	for (size_t i = 0; i < strings->len; i++) {
		if (streq(strings->items[i], string))
			return true;
	}
	return false;
}

struct strings strings_of(const struct strv *v)
{
	return (struct strings){.items = (const char *const *)v->items, .len = v->len};
}

int names_history(const struct strings *old, const struct strv *names, struct strv *ret,
                  cst_error **error)
{
	for (size_t i = names->len; i > 0; i--) {
		if (!strv_contains(ret, names->items[i - 1]) && !strv_add(ret, names->items[i - 1]))
			return error_oom(error);
	}
	return names_unique(old->items, old->len, ret, error);
}
