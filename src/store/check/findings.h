/* SPDX-License-Identifier: Apache-2.0 */
/* What was found, gathered object by object. */
#ifndef CST_STORE_CHECK_FINDINGS_H
#define CST_STORE_CHECK_FINDINGS_H

#include "base/error.h"
#include "base/mem.h"
#include <cstorage/check.h>

/* Whom a finding is about. The ID is borrowed. */
struct subject {
	enum cst_kind kind;
	const char *id;
	bool read_only;
};

struct cst_finding {
	enum cst_finding_code code;
	struct subject about, origin; /* others only where the finding is inherited */
	const char *message, *go_message;
};

struct cst_findings {
	struct arena arena; /* of all texts */
	struct cst_finding *items;
	size_t len, capacity;
	bool failed; /* out of memory */
};
void findings_done(struct cst_findings *findings);

/* Takes both texts; NULL is out of memory, which sticks. `detail` is what our message says behind the object, `go_detail`
 * what the Go command's says; `go_about` is the object that it names, NULL: the same. */
void findings_add(struct cst_findings *findings, enum cst_finding_code code, const struct subject *about,
		  const struct subject *go_about, char *detail, char *go_detail);

/* Adds copies of all of `from`. `about` NULL: as they are; else as findings that this object inherits. */
void findings_copy(struct cst_findings *to, const struct cst_findings *from, const struct subject *about);

#endif
