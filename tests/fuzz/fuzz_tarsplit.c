/* SPDX-License-Identifier: Apache-2.0 */
/* A recipe for a tar: whatever it says, it only asks for files by name, and ends. */
#include "fuzz.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/tarsplit/tarsplit.h"
#include "base/error.h"
#include "base/mem.h"
#include <zlib.h>

#define OUTPUT_LIMIT (16 << 20)

/* Every file is some zeros. */
static int open_zeros(void *userdata, const char *name, int64_t size, cst_error **error)
{
	MUST(name);
	if (size > 1 << 20)
		return error_set(error, CST_ECORRUPT, "%s: too large for this test", name), -1;
	int fd = memfd_create("zeros", MFD_CLOEXEC);
	MUST(fd >= 0 && ftruncate(fd, size > 0 ? size : 0) == 0);
	return fd;
}

static int count(void *userdata, const void *data, size_t size, cst_error **error)
{
	size_t *total = userdata;
	*total += size;
	return *total > OUTPUT_LIMIT ? error_set(error, CST_ESYS, "enough") : 0;
}

/* Input that is no gzip stream is the text inside of one: what is changed in it must get past the
 * stream's checksum. */
static void put_recipe(int fd, const uint8_t *data, size_t size)
{
	if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) {
		MUST(write(fd, data, size) == (ssize_t)size);
		return;
	}
	gzFile gz = gzdopen(dup(fd), "wb0");
	MUST(gz && (size == 0 || gzwrite(gz, data, (unsigned)size) == (int)size));
	MUST(gzclose(gz) == Z_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t total = 0;
	cst_sink sink = {.write = count, .userdata = &total};
	_cleanup_close_ int fd = memfd_create("recipe", MFD_CLOEXEC);
	MUST(fd >= 0);
	put_recipe(fd, data, size);
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	(void)tarsplit_reassemble(
	        fd, &(struct tarsplit_reading){.open_file = open_zeros, .userdata = NULL}, &sink,
	        NULL);
	return 0;
}
