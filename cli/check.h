/* SPDX-License-Identifier: Apache-2.0 */
/* What check and gc share, and check as containers-storage prints it. */
#ifndef CST_CLI_CHECK_H
#define CST_CLI_CHECK_H

#include "command.h"

bool same_object(const cst_finding *a, const cst_finding *b);
bool is_own(const cst_finding *finding); /* rather than that of something the object is built on */
/* The findings of an object stand together. */
bool is_first_of_object(const cst_findings *findings, size_t i);

void go_print_findings(const struct invocation *in, const cst_findings *findings);
/* What containers-storage ends with when it only looked, and when it repaired. Exit codes. */
int go_told(const struct invocation *in, const cst_findings *findings);
int go_repaired(const struct invocation *in, const cst_findings *findings, const cst_repairs *repairs);
/* check and gc end so there, and complain of what they then unmount. */
void go_shut_down(const struct invocation *in);

const char *kind_name(int kind); /* enum cst_kind */

#endif
