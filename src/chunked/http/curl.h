/* SPDX-License-Identifier: Apache-2.0 */
/* The part of libcurl that is used, as <curl/curl.h> has it: its numbers are the same in all versions of libcurl.so.4. The library
 * brings some thirty others, so it is loaded at first use. */
#ifndef CST_CHUNKED_HTTP_CURL_H
#define CST_CHUNKED_HTTP_CURL_H

#include "base/error.h"
#include <stddef.h>

typedef void CURL;
typedef void CURLM;
struct curl_slist;
struct curl_message { /* CURLMsg */
	int kind;
	CURL *transfer;
	union {
		void *any;
		int result;
	} data;
};

/* Options of a transfer. Their values are long up to 10000, pointers from there, and functions from 20000 on. */
enum {
	CURLOPT_NOPROGRESS = 43,
	CURLOPT_FOLLOWLOCATION = 52,
	CURLOPT_MAXREDIRS = 68,
	CURLOPT_CONNECTTIMEOUT = 78,
	CURLOPT_BUFFERSIZE = 98,
	CURLOPT_NOSIGNAL = 99,
	CURLOPT_PROTOCOLS = 181,
	CURLOPT_REDIR_PROTOCOLS = 182,
	CURLOPT_PIPEWAIT = 237,
	CURLOPT_WRITEDATA = 10001,
	CURLOPT_URL = 10002,
	CURLOPT_RANGE = 10007,
	CURLOPT_ERRORBUFFER = 10010,
	CURLOPT_USERAGENT = 10018,
	CURLOPT_HTTPHEADER = 10023,
	CURLOPT_HEADERDATA = 10029,
	CURLOPT_CAINFO = 10065,
	CURLOPT_PRIVATE = 10103,
	CURLOPT_WRITEFUNCTION = 20011,
	CURLOPT_HEADERFUNCTION = 20079,
};
enum { CURLPROTO_HTTP = 1, CURLPROTO_HTTPS = 2 };
enum { CURLINFO_PRIVATE = 0x100000 + 21 };
enum {
	CURLE_PARTIAL_FILE = 18,
	CURLE_GOT_NOTHING = 52,
	CURLE_SEND_ERROR = 55,
	CURLE_RECV_ERROR = 56,
	CURLE_HTTP2_STREAM = 92,
};
enum { CURLMSG_DONE = 1 };
enum { CURLPAUSE_CONT = 0 };
#define CURL_WRITEFUNC_PAUSE 0x10000001
#define CURL_ERROR_SIZE      256
#define CURL_GLOBAL_DEFAULT  3

struct curl_functions {
	int (*global_init)(long flags);
	struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
	void (*slist_free_all)(struct curl_slist *list);
	CURL *(*easy_init)(void);
	int (*easy_setopt)(CURL *transfer, int option, ...);
	int (*easy_getinfo)(CURL *transfer, int what, ...);
	int (*easy_pause)(CURL *transfer, int what);
	void (*easy_cleanup)(CURL *transfer);
	const char *(*easy_strerror)(int code);
	CURLM *(*multi_init)(void);
	int (*multi_add_handle)(CURLM *multi, CURL *transfer);
	int (*multi_remove_handle)(CURLM *multi, CURL *transfer);
	int (*multi_perform)(CURLM *multi, int *running);
	int (*multi_poll)(CURLM *multi, void *descriptors, unsigned n, int milliseconds, int *ready);
	struct curl_message *(*multi_info_read)(CURLM *multi, int *left);
	int (*multi_cleanup)(CURLM *multi);
};
/* Loads the library. CST_ENOTSUP: it cannot be. */
int curl_load(const struct curl_functions **ret, cst_error **error);

#endif
