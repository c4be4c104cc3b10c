/* SPDX-License-Identifier: Apache-2.0 */
/* Files of ostree repositories as donors of a pull (docs/format/chunked.md, "Applying"). A repository that was made with
 * core.payload-link-threshold has a symlink to a file by the sha256 of what is in it. */
#ifndef CST_STORE_LAYER_OSTREE_H
#define CST_STORE_LAYER_OSTREE_H

#include "base/str.h"
#include "chunked/toc.h"

/* A regular file of that size, to read, of the first repository that is said to have the content; -1: none. Nobody has checked that. */
int ostree_open(const struct strv *repositories, const uint8_t digest[TOC_DIGEST_SIZE], uint64_t size);

#endif
