/* SPDX-License-Identifier: Apache-2.0 */
/* IDs for the users of the library. */
#include "base/error.h"
#include "base/hashmap.h"
#include "base/id.h"
#include "base/str.h"
#include "records/prefix_index.h"
#include <cstorage/ids.h>
#include <pthread.h>

_Static_assert(CST_ID_SIZE == ID_HEX_LEN + 1, "a full ID and its NUL");

int cst_id_generate(char *id, cst_error **error)
{
	return id_generate(id, error);
}

bool cst_id_is_full(const char *id)
{
	return id_is_hex64(id);
}

int cst_id_check(const char *id, cst_error **error)
{
	return id_check_new("the", id, error);
}

/* ---- the index ---- */

struct cst_id_index {
	pthread_mutex_t mutex;
	struct hashmap ids; /* owns them: key and value are the same string */
	struct prefix_index prefixes;
};

static void lock_index(cst_id_index *index)
{
	pthread_mutex_lock(&index->mutex);
}

static void unlock_index(cst_id_index **index)
{
	pthread_mutex_unlock(&(*index)->mutex);
}
#define _cleanup_unlock_index_ _cleanup_(unlock_index)

int cst_id_index_new(cst_id_index **ret, cst_error **error)
{
	cst_id_index *index = new0(cst_id_index, 1);
	if (!index)
		return error_oom(error);
	pthread_mutex_init(&index->mutex, NULL);
	*ret = index;
	return 0;
}

void cst_id_index_free(cst_id_index *index)
{
	const char *key;
	void *id;
	if (!index)
		return;
	prefix_index_free(&index->prefixes);
	for (size_t i = 0; hashmap_next(&index->ids, &i, &key, &id);)
		free(id);
	hashmap_free(&index->ids);
	pthread_mutex_destroy(&index->mutex);
	free(index);
}

int cst_id_index_add(cst_id_index *index, const char *id, cst_error **error)
{
	if (!*id)
		return error_set(error, CST_EINVAL, "prefix can't be empty");
	if (strchr(id, ' '))
		return error_set(error, CST_EINVAL, "illegal character: ' '");
	lock_index(index);
	_cleanup_unlock_index_ cst_id_index *held = index;
	if (hashmap_contains(&held->ids, id))
		return error_about_go(error, CST_EDUPLICATE_ID, id, "id already exists: '%s'", id);
	_cleanup_free_ char *copy = strdup(id);
	if (!copy || !hashmap_put(&held->ids, copy, copy))
		return error_oom(error);
	if (!prefix_index_add(&held->prefixes, copy, copy)) {
		hashmap_remove(&held->ids, copy);
		return error_oom(error);
	}
	(void)steal_ptr(&copy);
	return 0;
}

int cst_id_index_delete(cst_id_index *index, const char *id, cst_error **error)
{
	lock_index(index);
	_cleanup_unlock_index_ cst_id_index *held = index;
	_cleanup_free_ char *owned = hashmap_remove(&held->ids, id);
	if (!owned)
		return error_about_go(error, CST_EID_UNKNOWN, id, "no such id: '%s'", id);
	prefix_index_remove(&held->prefixes, owned);
	return 0;
}

int cst_id_index_get(cst_id_index *index, const char *prefix, char **ret, cst_error **error)
{
	if (!*prefix)
		return error_set(error, CST_EINVAL, "prefix can't be empty");
	lock_index(index);
	_cleanup_unlock_index_ cst_id_index *held = index;
	prefix_index_sort(&held->prefixes);
	size_t n = prefix_index_count(&held->prefixes, prefix, 2);
	if (n == 0)
		return error_about(error, CST_EID_UNKNOWN, prefix);
	if (n > 1)
		return error_about_go(error, CST_EID_AMBIGUOUS, prefix, "\"%s\"", prefix);
	char *copy = strdup(prefix_index_find(&held->prefixes, prefix));
	if (!copy)
		return error_oom(error);
	*ret = copy;
	return 0;
}

size_t cst_id_index_size(cst_id_index *index)
{
	lock_index(index);
	_cleanup_unlock_index_ cst_id_index *held = index;
	return held->ids.len;
}
