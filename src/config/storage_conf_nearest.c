/* SPDX-License-Identifier: Apache-2.0 */
/* Guesses which valid key of storage.conf was meant by one that is not: the same name in another
 * table, or a name that differs by a few letters. */
#include "config/storage_conf.h"
#include <ctype.h>
#include <limits.h>

#define NAME_MAX_LEN 63 /* longer than any valid key or table */
#define LIMIT_MAX    5u /* letters by which a key may differ from what was meant */

/* The keys of storage.options.pull_options that the Go tools know. Others are allowed there. */
static const char *const pull_option_keys[] = {
        "enable_partial_images", "use_hard_links", "convert_images",
        "insecure_allow_unpredictable_image_contents", "ostree_repos"};
#define PULL_OPTIONS "storage.options.pull_options"

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* How many letters to insert, remove, replace or swap with their neighbour until `a` is `b`, in any
 * case. UINT_MAX: more than `limit`. */
static unsigned letters_between(const char *a, const char *b, unsigned limit)
{
	unsigned char steps[NAME_MAX_LEN + LIMIT_MAX + 1][NAME_MAX_LEN + 1];
	size_t n = strlen(a), m = strlen(b);
	if (m > NAME_MAX_LEN || (n > m ? n - m : m - n) > limit)
		return UINT_MAX;
	for (size_t i = 0; i <= n; i++)
		steps[i][0] = (unsigned char)i;
	for (size_t k = 0; k <= m; k++)
		steps[0][k] = (unsigned char)k;
	for (size_t i = 1; i <= n; i++) {
		for (size_t k = 1; k <= m; k++) {
			unsigned least = steps[i - 1][k - 1] + !same_letter(a[i - 1], b[k - 1]);
			least = MIN(least, steps[i - 1][k] + 1u);
			least = MIN(least, steps[i][k - 1] + 1u);
			if (i > 1 && k > 1 && same_letter(a[i - 1], b[k - 2]) &&
			    same_letter(a[i - 2], b[k - 1]))
				least = MIN(least, steps[i - 2][k - 2] + 1u);
			steps[i][k] = (unsigned char)least;
		}
	}
	return steps[n][m] > limit ? UINT_MAX : steps[n][m];
}

/* The best candidate so far. */
struct search {
	const char *key, *table; /* what was written, and where */
	unsigned limit, letters;
	struct setting_name best;
};

/* The fewest letters win. If that is equal, the key in the table that was written wins, else the
 * first. */
static void consider(struct search *search, const char *name, const char *table,
                     struct setting_name candidate)
{
	unsigned letters = letters_between(search->key, name, search->limit);
	if (letters > search->letters || letters == UINT_MAX)
		return;
	if (letters == search->letters && strcasecmp(table, search->table) != 0)
		return;
	search->letters = letters;
	search->best = candidate;
}

/* `path` is the table's own, "storage.options.vfs". */
static void consider_table(struct search *search, const char *path)
{
	const char *dot = strrchr(path, '.');
	char above[NAME_MAX_LEN + 1] = "";
	if (dot)
		memcpy(above, path, (size_t)(dot - path));
	consider(search, dot ? dot + 1 : path, above, (struct setting_name){path, ""});
}

static void consider_keys(struct search *search)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting_info *info = &setting_infos[i];
		consider(search, info->key, info->table,
		         (struct setting_name){info->table, info->key});
	}
	for (size_t i = 0; i < ARRAY_SIZE(pull_option_keys); i++)
		consider(search, pull_option_keys[i], PULL_OPTIONS,
		         (struct setting_name){PULL_OPTIONS, pull_option_keys[i]});
}

bool setting_nearest(const struct toml_node *node, struct setting_name *ret)
{
	_cleanup_strbuf_ struct strbuf table = {0};
	toml_path(node->parent, &table);
	unsigned third = MAX((unsigned)strnlen(node->key, NAME_MAX_LEN) / 3, 1u);
	struct search search = {.key = node->key,
	                        .table = strbuf_str(&table),
	                        .limit = MIN(third, LIMIT_MAX),
	                        .letters = UINT_MAX};
	if (node->type == TOML_TABLE) {
		for (size_t i = 0; i < SETTING_TABLES; i++)
			consider_table(&search, setting_tables[i]);
		consider_table(&search, PULL_OPTIONS);
	} else {
		consider_keys(&search);
	}
	if (search.letters == UINT_MAX)
		return false;
	*ret = search.best;
	return true;
}
