/* SPDX-License-Identifier: Apache-2.0 */
/* Does a TOC say what the tar says? Whoever unpacks by the TOC gets other files than whoever unpacks the tar, if it does not; and the
 * layer is given back as the tar. Each header of the tar must have an entry that tells the same, and each entry a header. */
#ifndef CST_CHUNKED_MATCH_H
#define CST_CHUNKED_MATCH_H

#include "archive/tarsplit/recipe.h"
#include "chunked/toc.h"

struct toc_match;
/* `content`: what comes has the content of files, too, and it is compared with the digests of the TOC. */
int toc_match_new(const struct toc *toc, bool content, struct toc_match **ret, cst_error **error);
/* The next bytes of the tar. CST_EARCHIVE: the entry is named. */
int toc_match_feed(struct toc_match *match, const void *data, size_t n, cst_error **error);
int toc_match_finish(struct toc_match *match, cst_error **error);
void toc_match_free(struct toc_match *match);
DEFINE_CLEANUP(struct toc_match *, toc_match_free)

/* The headers of a whole tar-split, without any content. */
int toc_match_recipe(const struct toc *toc, struct recipe *recipe, cst_error **error);

#endif
