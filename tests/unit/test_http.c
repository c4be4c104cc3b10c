/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of a blob from an HTTP server that does it one way or another, or wrong (http_server.py): the right bytes come, or an error that
 * names the URL and the reason, in bounded time. */
#include "base/str.h"
#include "test.h"
#include <cstorage/http.h>
#include <fcntl.h>
#include <spawn.h>

#define SIZE   3000000
#define RANGES 20

struct web {
	struct test_dir dir;
	char *data;
	pid_t process;
	int stdin_fd; /* the server ends when it is closed */
	unsigned port;
};

static int start_server(void **state)
{
	struct web *web = new0(struct web, 1);
	int in[2], out[2];
	char line[16] = "", path[128], script[512];
	web->dir = test_dir_make();
	web->data = malloc(SIZE);
	uint32_t seed = 1;
	for (size_t i = 0; i < SIZE; i++)
		web->data[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
	snprintf(path, sizeof(path), "%s/blob", web->dir.path);
	FILE *file = fopen(path, "w");
	assert_int_equal(fwrite(web->data, 1, SIZE, file), SIZE);
	assert_int_equal(fclose(file), 0);
	snprintf(script, sizeof(script), "%.*shttp_server.py",
	         (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	char program[] = "python3", *argv[] = {program, script, path, NULL};
	assert_int_equal(posix_spawnp(&web->process, "python3", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	web->stdin_fd = in[1];
	assert_true(read(out[0], line, sizeof(line) - 1) > 0);
	close(out[0]);
	web->port = (unsigned)atoi(line);
	*state = web;
	return 0;
}

static int stop_server(void **state)
{
	struct web *web = *state;
	close(web->stdin_fd);
	assert_int_equal(waitpid(web->process, NULL, 0), web->process);
	test_dir_remove(&web->dir);
	free(web->data);
	free(web);
	return 0;
}

/* ---- fetching ---- */

static int open_way(const struct web *web, const char *way, const cst_http_options *given,
                    cst_http_blob **blob, cst_error **error)
{
	char url[128];
	cst_http_options options = *given;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s/x", web->port, way);
	return cst_http_blob_open(url, &options, blob, error);
}

static int fetch(const struct web *web, cst_http_blob *blob, const cst_range *ranges, size_t n,
                 cst_error **error)
{
	static char buffer[70000];
	const cst_range_source source = cst_http_blob_source(blob);
	assert_int_equal(source.blob_size, SIZE);
	int r = source.request(source.userdata, ranges, n, error);
	for (size_t i = 0; r == 0 && i < n; i++)
		for (uint64_t at = 0; r == 0 && at < ranges[i].length;) {
			size_t size = (size_t)MIN(sizeof(buffer), ranges[i].length - at);
			int64_t got = source.read(source.userdata, buffer, size, error);
			if (got < 0)
				return (int)got;
			assert_true(got > 0 && (size_t)got <= size);
			assert_memory_equal(buffer, web->data + ranges[i].offset + at, got);
			at += (uint64_t)got;
		}
	if (r == 0)
		assert_int_equal(source.read(source.userdata, buffer, 1, error), 0);
	return r;
}

/* Small ones, and a large one. */
static void make_ranges(cst_range ranges[RANGES])
{
	for (size_t i = 0; i < RANGES; i++)
		ranges[i] = (cst_range){1000 + i * 100000, i == 7 ? 90000 : 300 + i};
	ranges[RANGES - 1] = (cst_range){2000000, SIZE - 2000000};
}

static void assert_works(const struct web *web, const char *way, const cst_http_options *options)
{
	static const cst_range all = {0, SIZE};
	cst_range ranges[RANGES];
	cst_http_blob *blob = NULL;
	cst_error *error = NULL;
	make_ranges(ranges);
	int r = open_way(web, way, options, &blob, &error);
	if (r == 0)
		r = fetch(web, blob, ranges, RANGES, &error);
	if (r == 0) /* few are asked for one by one */
		r = fetch(web, blob, ranges + 5, 4, &error);
	if (r == 0)
		r = fetch(web, blob, &all, 1, &error);
	cst_http_blob_free(blob);
	if (r < 0)
		fail_msg("%s: %s", way, cst_error_message(error));
}

static void every_way_that_works(void **state)
{
	static const char *const ways[] = {"good",     "single",   "first-only",    "refuses-many",
	                                   "reverses", "redirect", "unknown-total", "breaks-twice"};
	cst_http_options options = CST_HTTP_OPTIONS_INIT;
	for (unsigned transfers = 0; transfers < 3; transfers++)
		for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
			bool asks =
			        !streq(ways[i], "unknown-total") && !streq(ways[i], "breaks-twice");
			options.transfers = transfers;
			options.blob_size = asks ? 0 : SIZE;
			assert_works(*state, ways[i], &options);
		}
}

/* Answers that have more than was asked for, or are in parts that nobody asked for. */
static void more_than_was_asked_for(void **state)
{
	static const char *const ways[] = {"wide", "coalesces", "one-part"};
	const struct web *web = *state;
	cst_http_options options = CST_HTTP_OPTIONS_INIT;
	cst_range ranges[RANGES];
	make_ranges(ranges);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		cst_http_blob *blob = NULL;
		cst_error *error = NULL;
		int r = open_way(web, ways[i], &options, &blob, &error);
		if (r == 0)
			r = fetch(web, blob, ranges, RANGES, &error);
		cst_http_blob_free(blob);
		if (r < 0)
			fail_msg("%s: %s", ways[i], cst_error_message(error));
	}
}

static void headers_are_sent(void **state)
{
	static const char *const good[] = {"Authorization: Bearer token"};
	static const char *const bad[] = {"Authorization: x\r\nRange: bytes=0-1", "none", ": x"};
	const struct web *web = *state;
	cst_http_options options = CST_HTTP_OPTIONS_INIT;
	cst_http_blob *blob = NULL;
	_cleanup_error_ cst_error *error = NULL, *other = NULL;
	options.headers = good;
	options.n_headers = 1;
	assert_works(web, "token", &options);
	assert_works(web, "redirect-with-token", &options);
	assert_int_equal(open_way(web, "redirect-to-other", &options, &blob, &error),
	                 CST_EIO_CALLBACK);
	assert_non_null(strstr(cst_error_message(error), "the server answers 401 Unauthorized"));
	options.n_headers = 0;
	assert_int_equal(open_way(web, "token", &options, &blob, &other), CST_EIO_CALLBACK);
	options.n_headers = 1;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		options.headers = bad + i;
		assert_int_equal(open_way(web, "good", &options, &blob, NULL), CST_EINVAL);
	}
}

static void urls(void **state)
{
	static const char *const bad[] = {"", "file:///etc/passwd", "ftp://x/", "http://a/\n",
	                                  NULL};
	const struct web *web = *state;
	cst_http_options options = CST_HTTP_OPTIONS_INIT;
	cst_http_blob *blob = NULL;
	_cleanup_error_ cst_error *error = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(cst_http_blob_open(bad[i], NULL, &blob, NULL), CST_EINVAL);
	char url[128], shown[128];
	snprintf(url, sizeof(url), "http://user:password@127.0.0.1:%u/416/x?secret=1#y", web->port);
	snprintf(shown, sizeof(shown), "http://127.0.0.1:%u/416/x: the server answers 416 ",
	         web->port);
	assert_int_equal(cst_http_blob_open(url, &options, &blob, &error), CST_EIO_CALLBACK);
	assert_int_equal(strncmp(cst_error_message(error), shown, strlen(shown)), 0);
	options.ca_file = "/nonexistent";
	assert_int_equal(cst_http_blob_open("https://127.0.0.1:1/", &options, &blob, NULL),
	                 CST_EIO_CALLBACK);
}

/* ---- what does not work ---- */

/* Of each the ranges fail; some even the question how large the blob is. */
static void every_way_that_does_not(void **state)
{
	static const struct {
		const char *way, *reason;
	} ways[] = {
	        {"redirect-to-file", "rotocol"},
	        {"redirect-loop", "redirects"},
	        {"whole", "sends no parts"},
	        {"unknown-length", "sends no parts"},
	        {"shifted", "sends byte 1001 where byte 1000 should be"},
	        {"other-total", "it has 3000001 bytes there, and should have 3000000"},
	        {"no-range", "does not say which part"},
	        {"no-range-in-part", "does not say which part"},
	        {"backwards", "does not say which part"},
	        {"huge-numbers", "does not say which part"},
	        {"endless-parts", "too much between"},
	        {"endless-headers", ""},
	        {"short", "ends early, at byte 100"},
	        {"silent", ""},
	        {"416", "answers 416"},
	        {"500", "answers 500 Internal Server Error"},
	        {"501", "answers 501"},
	        {"nothing", ""},
	        {"hangs", "the server sent 0 bytes in 1 seconds"},
	        {"hangs-later", "bytes in 1 seconds"},
	        {"trickles", "bytes in 1 seconds"},
	};
	const struct web *web = *state;
	cst_http_options options = CST_HTTP_OPTIONS_INIT;
	cst_range ranges[RANGES];
	make_ranges(ranges);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_error_ cst_error *error = NULL;
		cst_http_blob *blob = NULL;
		char url[128];
		snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s/x: ", web->port, ways[i].way);
		options.blob_size = SIZE;
		options.stall_seconds = strstr(ways[i].reason, "in 1 seconds") ? 1 : 0;
		assert_int_equal(open_way(web, ways[i].way, &options, &blob, &error), 0);
		assert_int_equal(fetch(web, blob, ranges, RANGES, &error), CST_EIO_CALLBACK);
		cst_http_blob_free(blob);
		const char *message = cst_error_message(error);
		if (strncmp(message, url, strlen(url)) != 0 || !strstr(message, ways[i].reason))
			fail_msg("%s: %s", ways[i].way, message);
	}
}

static void sizes(void **state)
{
	const struct web *web = *state;
	cst_http_options options = CST_HTTP_OPTIONS_INIT;
	cst_http_blob *blob = NULL;
	_cleanup_error_ cst_error *error = NULL, *other = NULL;
	assert_int_equal(open_way(web, "whole", &options, &blob, &error), 0);
	assert_int_equal(cst_http_blob_source(blob).blob_size, SIZE);
	cst_http_blob_free(blob);
	blob = NULL;
	assert_int_equal(open_way(web, "unknown-length", &options, &blob, &error),
	                 CST_EIO_CALLBACK);
	assert_non_null(strstr(cst_error_message(error), "no parts"));
	options.stall_seconds = 1;
	assert_int_equal(open_way(web, "hangs", &options, &blob, &other), CST_EIO_CALLBACK);
	assert_null(blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_way_that_works),
	        cmocka_unit_test(more_than_was_asked_for),
	        cmocka_unit_test(headers_are_sent),
	        cmocka_unit_test(urls),
	        cmocka_unit_test(every_way_that_does_not),
	        cmocka_unit_test(sizes),
	};
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
