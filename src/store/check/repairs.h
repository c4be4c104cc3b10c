/* SPDX-License-Identifier: Apache-2.0 */
/* What a repair did, step by step. */
#ifndef CST_STORE_CHECK_REPAIRS_H
#define CST_STORE_CHECK_REPAIRS_H

#include "base/mem.h"
#include "store/check/findings.h"

struct step {
	enum cst_kind kind;
	const char *id;
	enum cst_repair_action action;
	enum cst_finding_code code; /* mended: what was mended; 0: anything else */
	int result;
	const char *message, *go_message; /* NULL: "" */
};

struct cst_repairs {
	struct arena arena; /* of all texts */
	struct step *items;
	size_t len, capacity;
};

/* The texts are copied. CST_ENOMEM. */
int repairs_add(struct cst_repairs *repairs, const struct step *step, cst_error **error);

#endif
