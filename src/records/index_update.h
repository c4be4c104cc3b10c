/* SPDX-License-Identifier: Apache-2.0 */
/* An index made of the one before and of what was edited. */
#ifndef CST_RECORDS_INDEX_UPDATE_H
#define CST_RECORDS_INDEX_UPDATE_H

#include "records/record_base.h"

/* Makes keys and places of a set that has a base and was saved; `parts` has the entries. `from` says for each record
 * which number it had, UINT32_MAX: it was printed. False: the records are not such that they may have an index, or
 * there is no memory. */
bool index_update(struct record_set *set, const uint32_t *from, struct index_parts *parts);

#endif
