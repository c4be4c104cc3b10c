/* SPDX-License-Identifier: Apache-2.0 */
/* An index that is out of date, made good again without parsing what did not change. */
#ifndef CST_RECORDS_RECORD_RENEW_H
#define CST_RECORDS_RECORD_RENEW_H

#include "records/record_base.h"

/* `old` was made of these records at another time, and is freed; the set is open and empty, and is so afterwards. NULL: too
 * much changed, there is something that an index cannot have, or there is no memory. All records are to be parsed then. */
struct index_file *record_index_renew(struct record_set *set, struct index_file *old);

#endif
