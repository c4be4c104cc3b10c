/* SPDX-License-Identifier: Apache-2.0 */
/* Digests through OpenSSL's EVP, which is loaded with dlopen at first use (it would cost 2 ms of every start). */
#ifndef CST_BASE_DIGEST_H
#define CST_BASE_DIGEST_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum digest_algorithm { DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };
#define DIGEST_TEXT_MAX 136 /* "sha512:" + 128 hex + NUL */

struct digester;
int digester_new(enum digest_algorithm algorithm, struct digester **ret, cst_error **error);
/* A failure is kept, and digester_finish() reports it. */
void digester_update(struct digester *digester, const void *data, size_t n);
int digester_finish(struct digester *digester, char ret[DIGEST_TEXT_MAX], cst_error **error); /* "sha256:<hex>" */
void digester_free(struct digester *digester); /* NULL allowed */
void digester_freep(struct digester **digester);
#define _cleanup_digester_ __attribute__((cleanup(digester_freep)))

/* "sha256:<hex>" of one buffer. */
int digest_buffer(enum digest_algorithm algorithm, const void *data, size_t n, char ret[DIGEST_TEXT_MAX], cst_error **error);

/* Texts as the Go digest package: "invalid checksum digest format", "unsupported digest algorithm",
 * "invalid checksum digest length". Code CST_EINVAL. */
int digest_validate(const char *digest, cst_error **error);
const char *digest_hex(const char *digest); /* what follows the colon of a valid digest */
bool digest_is_sha256(const char *digest); /* valid and of that algorithm */
enum digest_algorithm digest_algorithm_of(const char *digest); /* sha256 where it is none */

#endif
