/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl, loaded at first use (curl.h). */
#include "base/library.h"
#include "chunked/http/curl.h"
#include <pthread.h>

LIBRARY_NOTE("http", "suggested", "[\"libcurl.so.4\",\"libcurl-gnutls.so.4\"]");

static struct curl_functions curl;

static const struct library_symbol symbols[] = {
        {"curl_global_init", &curl.global_init},
        {"curl_slist_append", &curl.slist_append},
        {"curl_slist_free_all", &curl.slist_free_all},
        {"curl_easy_init", &curl.easy_init},
        {"curl_easy_setopt", &curl.easy_setopt},
        {"curl_easy_getinfo", &curl.easy_getinfo},
        {"curl_easy_pause", &curl.easy_pause},
        {"curl_easy_cleanup", &curl.easy_cleanup},
        {"curl_easy_strerror", &curl.easy_strerror},
        {"curl_multi_init", &curl.multi_init},
        {"curl_multi_add_handle", &curl.multi_add_handle},
        {"curl_multi_remove_handle", &curl.multi_remove_handle},
        {"curl_multi_perform", &curl.multi_perform},
        {"curl_multi_poll", &curl.multi_poll},
        {"curl_multi_info_read", &curl.multi_info_read},
        {"curl_multi_cleanup", &curl.multi_cleanup},
        {NULL, NULL},
};

/* Debian has both, with the same interface; they differ in who does TLS. */
static struct library library = {
        .needed_for = "to fetch from a URL",
        .sonames = (const char *const[]){"libcurl.so.4", "libcurl-gnutls.so.4", NULL},
        .symbols = symbols,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int initialised;

/* Before 7.84 no two threads may do that at the same time. */
static void initialise(void)
{
	initialised = curl.global_init(CURL_GLOBAL_DEFAULT);
}

int curl_load(const struct curl_functions **ret, cst_error **error)
{
	int r = library_load(&library, error);
	if (r < 0)
		return r;
	pthread_once(&once, initialise);
	if (initialised != 0)
		return error_set(error, CST_ENOTSUP, "libcurl: %s",
		                 curl.easy_strerror(initialised));
	*ret = &curl;
	return 0;
}
