/* SPDX-License-Identifier: Apache-2.0 */
/* The zstd writer: one frame, and the same bytes with any number of threads and in any pieces. */
#include "base/str.h"
#include "base/types.h"
#include "codec/zstd_writer.h"
#include "test.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <zstd.h>

#define MIB ((size_t)1 << 20)

/* Words and noise in turns, some of it far behind what it repeats. */
static unsigned char *make_input(size_t n)
{
	unsigned char *data = malloc(n + 1);
	uint64_t random = n;
	assert_non_null(data);
	for (size_t i = 0; i < n; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		if (i > MIB && i / 70000 % 3 == 1)
			data[i] = data[i - MIB + 70];
		else
			data[i] = (unsigned char)(random >> (i / 30000 % 2 ? 56 : 61));
	}
	return data;
}

static void pack(unsigned threads, const unsigned char *data, size_t n, size_t part,
                 cst_memory *out)
{
	cst_sink sink = cst_sink_memory(out);
	struct zstd_writer *w;
	assert_int_equal(zstd_writer_new(threads, &sink, &w, NULL), 0);
	for (size_t at = 0; at < n; at += part) {
		part = MIN(part, n - at);
		assert_int_equal(zstd_writer_write(w, data + at, part, NULL), 0);
	}
	assert_int_equal(zstd_writer_finish(w, NULL), 0);
	zstd_writer_free(w);
}

static void assert_unpacks(const cst_memory *packed, const unsigned char *data, size_t n)
{
	_cleanup_free_ unsigned char *got = malloc(n + 1);
	assert_int_equal(ZSTD_findFrameCompressedSize(packed->data, packed->size), packed->size);
	assert_int_equal(ZSTD_decompress(got, n + 1, packed->data, packed->size), n);
	assert_memory_equal(got, data, n);
}

static void test_any_number_of_threads(void **state)
{
	static const size_t sizes[] = {0, 1, 5000, 512 * 1024, 2 * MIB, 9 * MIB + 12345};
	static const struct {
		unsigned threads;
		size_t part;
	} ways[] = {{2, 256 * 1024}, {4, 7777}, {9, 3 * MIB}, {0, 65536}};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ unsigned char *data = make_input(sizes[i]);
		cst_memory first = {0};
		pack(1, data, sizes[i], 100000, &first);
		assert_unpacks(&first, data, sizes[i]);
		for (size_t j = 0; j < ARRAY_SIZE(ways); j++) {
			cst_memory again = {0};
			pack(ways[j].threads, data, sizes[i], ways[j].part, &again);
			assert_int_equal(again.size, first.size);
			assert_memory_equal(again.data, first.data, first.size);
			free(again.data);
		}
		free(first.data);
	}
}

/* How many threads besides the first there are. All must have all signals blocked that can be. */
static unsigned count_deaf_threads(void)
{
	unsigned n = 0;
	DIR *tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));) {
		char path[300], line[200];
		unsigned long long blocked = 0;
		if (entry->d_name[0] == '.' || (long)strtol(entry->d_name, NULL, 10) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		FILE *status = fopen(path, "re");
		if (!status)
			continue; /* it has ended */
		while (fgets(line, sizeof(line), status))
			sscanf(line, "SigBlk: %llx", &blocked);
		fclose(status);
		n++;
		assert_true(blocked & 1ULL << (SIGINT - 1));
		assert_true(blocked & 1ULL << (SIGTERM - 1));
	}
	closedir(tasks);
	return n;
}

/* Until a thread runs, libc blocks all signals in it: give them something to do. */
static void test_threads_take_no_signals(void **state)
{
	const size_t n = 9 * MIB;
	_cleanup_free_ unsigned char *data = make_input(n);
	unsigned before = count_deaf_threads();
	cst_memory packed = {0};
	cst_sink sink = cst_sink_memory(&packed);
	struct zstd_writer *w;
	assert_int_equal(zstd_writer_new(3, &sink, &w, NULL), 0);
	assert_int_equal(zstd_writer_write(w, data, n, NULL), 0);
	assert_int_equal(zstd_writer_finish(w, NULL), 0);
	assert_int_equal(count_deaf_threads(), before + 3);
	zstd_writer_free(w);
	free(packed.data);
}

#ifdef __GLIBC__
/* No thread gets a stack. */
static void test_no_threads(void **state)
{
	const size_t n = 5 * MIB;
	_cleanup_free_ unsigned char *data = make_input(n);
	cst_memory packed = {0};
	pthread_attr_t usual, huge;
	assert_int_equal(pthread_getattr_default_np(&usual), 0);
	assert_int_equal(pthread_attr_init(&huge), 0);
	assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 50), 0);
	assert_int_equal(pthread_setattr_default_np(&huge), 0);
	pack(2, data, n, 100000, &packed);
	assert_int_equal(pthread_setattr_default_np(&usual), 0);
	pthread_attr_destroy(&huge);
	pthread_attr_destroy(&usual);
	assert_unpacks(&packed, data, n);
	free(packed.data);
}
#endif

struct faulty {
	size_t room, calls;
};

static int faulty_write(void *userdata, const void *data, size_t size, cst_error **error)
{
	struct faulty *faulty = userdata;
	return faulty->calls++ == faulty->room ? error_set(error, CST_EIO_CALLBACK, "no more") : 0;
}

/* Whichever write fails, its error comes out, and nothing is written after it. */
static void test_failing_sink(void **state)
{
	const size_t n = 7 * MIB;
	_cleanup_free_ unsigned char *data = make_input(n);
	for (size_t room = 0; room < 12; room++) {
		struct faulty faulty = {.room = room};
		cst_sink sink = {faulty_write, &faulty};
		_cleanup_error_ cst_error *error = NULL;
		struct zstd_writer *w;
		assert_int_equal(zstd_writer_new(2, &sink, &w, NULL), 0);
		int r = zstd_writer_write(w, data, n, &error);
		if (r == 0)
			r = zstd_writer_finish(w, &error);
		zstd_writer_free(w);
		assert_int_equal(r, CST_EIO_CALLBACK);
		assert_string_equal(cst_error_message(error), "no more");
		assert_int_equal(faulty.calls, room + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_any_number_of_threads),
	        cmocka_unit_test(test_threads_take_no_signals),
#ifdef __GLIBC__
	        cmocka_unit_test(test_no_threads),
#endif
	        cmocka_unit_test(test_failing_sink),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
