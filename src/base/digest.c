/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of streams and buffers by libcrypto, and the checks of a digest's text. The texts need no
 * library. */
#include "base/digest.h"
#include "base/library.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdio.h>

/* ---- libcrypto, loaded when the first digest is asked for ---- */

LIBRARY_NOTE("digests", "required", "[\"libcrypto.so.3\",\"libcrypto.so.1.1\"]");

static struct {
	void *(*ctx_new)(void);
	void (*ctx_free)(void *);
	int (*init)(void *, const void *, void *);
	int (*update)(void *, const void *, size_t);
	int (*final)(void *, unsigned char *, unsigned *);
	const void *(*md[3])(void);
} evp;

static const struct {
	const char *name;
	size_t hex;
} algorithms[] = {
        [DIGEST_SHA256] = {"sha256", 64},
        [DIGEST_SHA384] = {"sha384", 96},
        [DIGEST_SHA512] = {"sha512", 128},
};

static const struct library_symbol evp_symbols[] = {
        {"EVP_MD_CTX_new", &evp.ctx_new},
        {"EVP_MD_CTX_free", &evp.ctx_free},
        {"EVP_DigestInit_ex", &evp.init},
        {"EVP_DigestUpdate", &evp.update},
        {"EVP_DigestFinal_ex", &evp.final},
        {"EVP_sha256", &evp.md[DIGEST_SHA256]},
        {"EVP_sha384", &evp.md[DIGEST_SHA384]},
        {"EVP_sha512", &evp.md[DIGEST_SHA512]},
        {NULL, NULL},
};

static struct library libcrypto = {
        .needed_for = "to compute digests",
        .sonames = (const char *const[]){"libcrypto.so.3", "libcrypto.so.1.1", NULL},
        .symbols = evp_symbols,
};

struct digester {
	enum digest_algorithm algorithm;
	void *ctx;
	bool failed;
};

int digester_new(enum digest_algorithm algorithm, struct digester **ret, cst_error **error)
{
	int r = library_load(&libcrypto, error);
	if (r < 0)
		return r;
	_cleanup_digester_ struct digester *d = new0(struct digester, 1);
	if (!d)
		return error_oom(error);
	d->algorithm = algorithm;
	d->ctx = evp.ctx_new();
	if (!d->ctx)
		return error_oom(error);
	if (!evp.init(d->ctx, evp.md[algorithm](), NULL))
		return error_set(error, CST_ENOTSUP, "OpenSSL refuses %s",
		                 algorithms[algorithm].name);
	*ret = steal_ptr(&d);
	return 0;
}

void digester_update(struct digester *d, const void *data, size_t n)
{
	if (!evp.update(d->ctx, data, n))
		d->failed = true;
}

int digester_finish(struct digester *d, char ret[DIGEST_TEXT_MAX], cst_error **error)
{
	unsigned char raw[64];
	unsigned len = 0;
	if (d->failed || !evp.final(d->ctx, raw, &len))
		return error_set(error, CST_ENOTSUP, "OpenSSL failed to compute a %s digest",
		                 algorithms[d->algorithm].name);
	char *out = ret + sprintf(ret, "%s:", algorithms[d->algorithm].name);
	for (unsigned i = 0; i < len; i++)
		out += sprintf(out, "%02x", raw[i]);
	return 0;
}

void digester_free(struct digester *d)
{
	if (!d)
		return;
	if (d->ctx)
		evp.ctx_free(d->ctx);
	free(d);
}

void digester_freep(struct digester **d)
{
	digester_free(*d);
}

int digest_buffer(enum digest_algorithm algorithm, const void *data, size_t n,
                  char ret[DIGEST_TEXT_MAX], cst_error **error)
{
	_cleanup_digester_ struct digester *d = NULL;
	int r = digester_new(algorithm, &d, error);
	if (r < 0)
		return r;
	digester_update(d, data, n);
	return digester_finish(d, ret, error);
}

/* ---- texts ---- */

static bool is_algorithm_part(const char *s, size_t n)
{
	bool word = false; /* inside a component [A-Za-z0-9]+ */
	for (size_t i = 0; i < n; i++) {
		bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
		             (s[i] >= '0' && s[i] <= '9');
		if (!alnum && (!word || !strchr("+._-", s[i])))
			return false;
		word = alnum;
	}
	return word;
}

int digest_validate(const char *digest, cst_error **error)
{
	const char *colon = strchr(digest, ':');
	if (!colon || colon == digest || !colon[1])
		return error_set(error, CST_EINVAL, "invalid checksum digest format");
	const char *hex = colon + 1;
	for (const char *p = hex; *p; p++) {
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || strchr("=_-", *p)))
			return error_set(error, CST_EINVAL, "invalid checksum digest format");
	}
	size_t n = (size_t)(colon - digest);
	if (!is_algorithm_part(digest, n))
		return error_set(error, CST_EINVAL, "invalid checksum digest format");
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (strlen(algorithms[i].name) != n || memcmp(algorithms[i].name, digest, n) != 0)
			continue;
		if (strlen(hex) != algorithms[i].hex)
			return error_set(error, CST_EINVAL, "invalid checksum digest length");
		if (strspn(hex, "0123456789abcdef") != algorithms[i].hex)
			return error_set(error, CST_EINVAL, "invalid checksum digest format");
		return 0;
	}
	return error_set(error, CST_EINVAL, "unsupported digest algorithm");
}

const char *digest_hex(const char *digest)
{
	return strchr(digest, ':') + 1;
}

bool digest_is_sha256(const char *digest)
{
	return has_prefix(digest, "sha256:") && digest_validate(digest, NULL) == 0;
}

enum digest_algorithm digest_algorithm_of(const char *digest)
{
	return has_prefix(digest, "sha512:")   ? DIGEST_SHA512
	       : has_prefix(digest, "sha384:") ? DIGEST_SHA384
	                                       : DIGEST_SHA256;
}
