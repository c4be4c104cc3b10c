/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are not understood. All records that can be read are written to a new file; the old one stays under another name. It
 * gets that name before the new file takes its place, so that at no moment anything is lost.
 */
#include "records/record_set.h"

static int put_aside(struct record_set *set, const char *when, struct strv *mended,
                     cst_error **error)
{
	int r = 0;
	for (unsigned f = 0; r == 0 && f < set->n_files; f++) {
		if (!(set->salvaged & 1u << f))
			continue;
		r = record_file_put_aside(&set->files[f], when, error);
		if (r == 0 && !strv_add(mended, set->files[f].path))
			r = error_oom(error);
		set->dirty[f] = EDITED;
	}
	return r;
}

int record_set_mend(struct record_set *set, struct lockfile *lock, const char *when,
                    struct strv *mended, cst_error **error)
{
	struct lock_token token;
	bool repair = false;
	set->salvaging = true;
	set->salvaged = 0;
	int r = lockfile_read_token(lock, &token, error);
	if (r == 0)
		r = record_set_open(set, &token, error);
	if (r == 0)
		r = record_set_parse(set, &repair, error);
	set->salvaging = false;
	if (r == 0 && set->salvaged)
		r = put_aside(set, when, mended, error);
	if (r == 0 && set->salvaged)
		r = record_set_save(set, lock, error);
	set->stale = true; /* the next load judges what was read */
	return r;
}
