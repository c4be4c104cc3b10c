/* SPDX-License-Identifier: Apache-2.0 */
/* What was found, gathered object by object. */
#ifndef CST_STORE_CHECK_FINDINGS_H
#define CST_STORE_CHECK_FINDINGS_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include <cstorage/check.h>

#define FILE_SUBJECT 0 /* in the place of a kind: a file of the whole store, whose path is the ID */

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

static inline bool subject_equal(const struct subject *a, const struct subject *b)
{
	return a->kind == b->kind && streq(a->id, b->id);
}

const char *subject_name(const struct subject *subject); /* "layer" */

/* Rather than that of something the object is built on. */
static inline bool finding_is_own(const struct cst_finding *finding)
{
	return subject_equal(&finding->about, &finding->origin);
}

struct cst_findings {
	struct arena arena; /* of all texts */
	cst_check_options options; /* that were looked with, without a progress */
	struct cst_finding *items;
	size_t len, capacity;
	bool failed; /* out of memory */
};
/* The findings of an object stand together. */
static inline bool findings_first_of_object(const struct cst_findings *findings, size_t i)
{
	return i == 0 || !subject_equal(&findings->items[i].about, &findings->items[i - 1].about);
}
void findings_done(struct cst_findings *findings);

/* Takes both texts; NULL is out of memory, which sticks. `detail` is what our message says behind the object, `go_detail`
 * what the Go command's says; `go_about` is the object that it names, NULL: the same. */
void findings_add(struct cst_findings *findings, enum cst_finding_code code, const struct subject *about,
		  const struct subject *go_about, char *detail, char *go_detail);

/* Adds copies of all of `from`. `about` NULL: as they are; else as findings that this object inherits. */
void findings_copy(struct cst_findings *to, const struct cst_findings *from, const struct subject *about);

#endif
