/* SPDX-License-Identifier: Apache-2.0 */
/* What a store answers to every look-up there is. */
#ifndef CST_CRASH_ANSWERS_H
#define CST_CRASH_ANSWERS_H

#include <cstorage/cstorage.h>

/* Prints a line for each look-up by each of the words, and all records. */
int print_answers(cst_store *store, char **words, cst_error **error);

#endif
