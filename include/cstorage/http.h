/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs on an HTTP(S) server, as sources for cst_store_pull_layer. libcurl is loaded by the first call, and only then. Any call may
 * fail with CST_ENOMEM; that is not repeated.
 */
#ifndef CSTORAGE_HTTP_H
#define CSTORAGE_HTTP_H

#include <cstorage/pull.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cst_http_options {
	size_t size; /* sizeof(cst_http_options), set by CST_HTTP_OPTIONS_INIT */
	/* Headers to send, such as "Authorization: Bearer ...". After a redirect to another host, Authorization and Cookie are left out. */
	const char *const *headers;
	size_t n_headers;
	const char *ca_file;      /* certificates to trust, in PEM form. NULL or "": those of the system */
	uint64_t blob_size;       /* 0: the server is asked */
	uint64_t min_speed;       /* bytes a second; see stall_seconds. 0: 1000 */
	uint32_t connect_seconds; /* time for a connection, with TLS. 0: 30 */
	/* Waiting for the server fails when this much of it brought less than min_speed. 0: 30 */
	uint32_t stall_seconds;
	uint32_t transfers; /* at the same time. 0: 4; at most 64 */
	char unused[4];
} cst_http_options;
#define CST_HTTP_OPTIONS_INIT {.size = sizeof(cst_http_options)}

typedef struct cst_http_blob cst_http_blob;

/* A blob at an http:// or https:// URL. Redirects are followed, ten at most, and never from https to http. The server is asked for the size
 * if it is not given. Messages name the URL without user, password and query.
 * CST_EINVAL (the URL, a header), CST_ENOTSUP (libcurl cannot be loaded), CST_EIO_CALLBACK (the server, or the way there). */
CST_PUBLIC int cst_http_blob_open(const char *url, const cst_http_options *options, cst_http_blob **ret, cst_error **error);

/* Single ranges, several at the same time, or many in one request where the server can do that. What the source fails with:
 * CST_EIO_CALLBACK; the message has the URL and the reason. A transfer that breaks off is taken up where it ended, three times in a request. The
 * source is good until the blob is freed, and for one thread at a time. */
CST_PUBLIC cst_range_source cst_http_blob_source(cst_http_blob *blob);

CST_PUBLIC void cst_http_blob_free(cst_http_blob *blob);

#ifdef __cplusplus
}
#endif
#endif
