/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving a set that has a base: the records that were not edited are copied from the old file, the others
 * are printed. The bytes are those of a full print. The new index is made of the old one in the same step.
 */
#ifndef CST_RECORDS_RECORD_SPLICE_H
#define CST_RECORDS_RECORD_SPLICE_H

#include "records/record_base.h"

struct splice;
/* Prints what has to be printed. NULL: out of memory, or a record cannot be read. */
struct splice *splice_new(struct record_set *set);
void splice_free(struct splice *splice); /* NULL allowed */
/* What the file shall hold. It lives as long as the splice. */
struct fs_content splice_content(struct splice *splice, unsigned file);
/* All files are written: the set goes on with them and the new index, which is written, too. If that
 * cannot be had, the set stays as it is, and is loaded again by the next who holds it. */
void splice_done(struct splice *splice);

#endif
