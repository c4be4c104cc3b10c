/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacks one archive with the library's own parts, without a store: for the vectors, for
 * measuring, and for looking at one archive by hand.
 *
 *   unpack_tool [-m overlay|apply|keep] [-w WORKERS] [-t TARSPLIT] [-r REBUILT] [-f MASK] [-s] [-u]
 * [-i] ARCHIVE DIRECTORY
 */
#include "archive/tarsplit/tarsplit.h"
#include "archive/unpack/unpack.h"
#include "base/mem.h"
#include "base/str.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void print_log(enum cst_log_level level, const char *message, void *userdata)
{
	fprintf(stderr, "log: %s\n", message);
}

static enum unpack_whiteouts parse_mode(const char *text)
{
	return streq(text, "apply")  ? UNPACK_WHITEOUT_APPLY
	       : streq(text, "keep") ? UNPACK_WHITEOUT_KEEP
	                             : UNPACK_WHITEOUT_OVERLAY;
}

static int open_content(void *userdata, const char *name, int64_t size, cst_error **error)
{
	return unpack_open_content(*(int *)userdata, name, size, error);
}

static int rebuild(int tarsplit_fd, int root_fd, const char *path, cst_error **error)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cst_sink sink = cst_sink_fd(fd);

	lseek(tarsplit_fd, 0, SEEK_SET);
	return tarsplit_reassemble(
	        tarsplit_fd,
	        &(struct tarsplit_reading){.open_file = open_content, .userdata = &root_fd}, &sink,
	        error);
}

static void print_ids(const char *what, const struct idset *set)
{
	printf("%s", what);
	for (size_t i = 0; i < set->len; i++)
		printf(" %u", set->sorted[i]);
	printf("\n");
}

static void print_result(const struct unpack_result *result, double seconds)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("compression %d\ncompressed %s %lld\ndiff %s %lld\n", result->compression,
	       result->compressed_digest, (long long)result->compressed_size, result->diff_digest,
	       (long long)result->diff_size);
	printf("content %lld\nentries %llu\n", (long long)result->content_size,
	       (unsigned long long)result->entries);
	print_ids("uids", &result->uids);
	print_ids("gids", &result->gids);
	printf("seconds %.3f user %.3f system %.3f peak %ld KiB\n", seconds,
	       (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
	       (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
	       usage.ru_maxrss);
}

static int fail(cst_error *error)
{
	fprintf(stderr, "%s\n", cst_error_go_message(error));
	cst_error_free(error);
	return 1;
}

int main(int argc, char **argv)
{
	struct unpack_options options = {.force_mask = -1, .tarsplit_fd = -1};
	struct unpack_result result = {0};
	_cleanup_pool_ struct pool *pool = NULL;
	const char *rebuilt = NULL;
	unsigned workers = pool_cpu_count() - 1;
	cst_error *error = NULL;
	struct timespec before, after;

	for (int c; (c = getopt(argc, argv, "m:w:t:r:f:sui")) != -1;) {
		switch (c) {
		case 'm': options.whiteouts = parse_mode(optarg); break;
		case 'w': workers = (unsigned)atoi(optarg); break;
		case 't':
			options.tarsplit_fd =
			        open(optarg, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
			break;
		case 'r': rebuilt = optarg; break;
		case 'f': options.force_mask = (int)strtol(optarg, NULL, 8); break;
		case 's': options.sync = true; break;
		case 'u': options.userns = true; break;
		case 'i': options.ignore_chown_errors = true; break;
		default: return 2;
		}
	}
	if (argc - optind != 2)
		return 2;
	cst_set_log(print_log, CST_LOG_WARNING, NULL);
	_cleanup_close_ int in = open(argv[optind], O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int root = open(argv[optind + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in < 0 || root < 0) {
		perror(in < 0 ? argv[optind] : argv[optind + 1]);
		return 2;
	}
	cst_source source = cst_source_fd(in);
	if (pool_new(workers, &pool, &error) < 0)
		return fail(error);
	options.pool = pool;
	clock_gettime(CLOCK_MONOTONIC, &before);
	if (unpack_layer(root, &source, &options, &result, &error) < 0)
		return fail(error);
	clock_gettime(CLOCK_MONOTONIC, &after);
	print_result(&result, (double)(after.tv_sec - before.tv_sec) +
	                              (double)(after.tv_nsec - before.tv_nsec) / 1e9);
	unpack_result_free(&result);
	if (rebuilt && rebuild(options.tarsplit_fd, root, rebuilt, &error) < 0) {
		fprintf(stderr, "rebuild: ");
		return fail(error);
	}
	return 0;
}
