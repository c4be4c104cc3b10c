/* SPDX-License-Identifier: Apache-2.0 */
/* The tree that the headers of two layers make, compared with a real one: whatever the archives say, it ends, and each
 * difference has its path. */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/tar/tar.h"
#include "base/fs.h"
#include "store/check/expected.h"

static char real_path[] = "/tmp/fuzz-expected-XXXXXX";

static void remove_tree(void)
{
	(void)fs_remove_tree(AT_FDCWD, real_path, NULL, NULL);
}

static int real_tree(void)
{
	static int fd = -1;
	if (fd >= 0)
		return fd;
	MUST(mkdtemp(real_path) && atexit(remove_tree) == 0);
	fd = open(real_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(fd >= 0 && mkdirat(fd, "dir", 0755) == 0 && symlinkat("dir", fd, "link") == 0);
	MUST(mkdirat(fd, "dir/a", 0700) == 0 && mkfifoat(fd, "dir/pipe", 0600) == 0);
	return fd;
}

static void add_layer(struct expected *expected, const uint8_t *data, size_t size)
{
	struct tar_reader *reader = NULL;
	enum tar_event event = TAR_NEED_DATA;
	const void *piece;
	size_t len;
	MUST(tar_reader_new(&reader, NULL) == 0);
	tar_reader_feed(reader, data, size);
	while (tar_reader_next(reader, &event, &piece, &len, NULL) == 0 && event != TAR_NEED_DATA) {
		if (event == TAR_ENTRY)
			MUST(expected_add(expected, tar_reader_header(reader), NULL) == 0);
	}
	tar_reader_free(reader);
	MUST(expected_end_layer(expected, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t half = size / 2 / TAR_BLOCK * TAR_BLOCK;
	for (unsigned way = 0; way < 3; way++) {
		const struct expected_options options = {.as_upstream = way == 1,
		                                         .own_content = way == 2};
		struct expected *expected = NULL;
		_cleanup_differences_ struct differences differences = {0};
		MUST(expected_new(&options, &expected, NULL) == 0);
		add_layer(expected, data, size);
		add_layer(expected, data + half, size - half);
		MUST(expected_compare(expected, real_tree(), &differences, NULL) == 0);
		for (size_t i = 0; i < differences.len; i++)
			MUST(differences.items[i].path_end <= strlen(differences.items[i].text));
		expected_free(expected);
	}
	return 0;
}
