/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a set that was opened: by its index, or all of them parsed. */
#include "records/record_index.h"
#include "records/record_renew.h"

/* The index as it is, or made good again. NULL: all records are to be parsed. */
static struct index_file *valid_index(struct record_set *set)
{
	const struct index_source source = record_index_source(set);
	struct index_file *index = steal_ptr(&set->opened_index);
	if (index && !index_is_of(index, &source)) {
		index = record_index_renew(set, index);
		if (index)
			record_index_write(set, index);
	}
	return index;
}

static int parse_all(struct record_set *set, bool *repair, cst_error **error)
{
	struct index_file *index = NULL;
	int r = record_load_all(set, repair, &index, error);
	if (r < 0) {
		bool damaged = set->damaged;
		record_set_clear(set);
		set->damaged = damaged;
		return r;
	}
	set->loaded = true;
	if (!index)
		return 0;
	record_index_write(set, index);
	record_set_clear(set);
	set->loaded = record_base_start(set, index);
	return set->loaded ? 0 : error_oom(error);
}

int record_set_parse(struct record_set *set, bool *repair, cst_error **error)
{
	record_set_clear(set);
	struct index_file *index = set->salvaging ? NULL : valid_index(set);
	if (index && record_base_start(set, index)) {
		set->loaded = true;
		*repair = false;
		return 0;
	}
	int r = parse_all(set, repair, error);
	for (unsigned f = 0; f < set->n_files && !set->base; f++)
		record_file_close(&set->files[f]);
	return r;
}
