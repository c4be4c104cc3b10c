/* SPDX-License-Identifier: Apache-2.0 */
/* composefs: input that begins as an image is one, and any other is a dump. Reading and writing end whatever it says, and an image
 * that was made of a dump can be read. */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include <cstorage/composefs.h>

#define OUTPUT_LIMIT (16 << 20)

static int take(void *userdata, const void *data, size_t size, cst_error **error)
{
	cst_memory *memory = userdata;
	cst_sink sink = cst_sink_memory(memory);
	if (memory->size + size > OUTPUT_LIMIT)
		return error_set(error, CST_EIO_CALLBACK, "enough");
	return sink.write(sink.userdata, data, size, error);
}

static int create(const void *dump, size_t size, cst_memory *image)
{
	cst_memory in = {.data = (char *)dump, .size = size};
	cst_source source = cst_source_memory(&in);
	cst_sink sink = {.write = take, .userdata = image};
	return cst_composefs_create(&source, &sink, NULL, NULL);
}

static int dump(const void *image, size_t size, cst_memory *text)
{
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
	cst_sink sink = {.write = take, .userdata = text};
	MUST(fd >= 0 && write(fd, image, size) == (ssize_t)size);
	return cst_composefs_dump(fd, NULL, &sink, NULL, NULL);
}

static bool is_image(const uint8_t *data, size_t size)
{
	static const uint8_t magic[] = {0x9a, 0x62, 0x78, 0xd0};
	return size >= sizeof(magic) && memcmp(data, magic, sizeof(magic)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cst_memory text = {0}, image = {0}, again = {0};
	int r;
	if (is_image(data, size)) {
		r = dump(data, size, &text);
		if (r == 0)
			(void)create(text.data, text.size, &image);
	} else if (create(data, size, &image) == 0) {
		MUST(image.size % 4096 == 0);
		r = dump(image.data, image.size, &text);
		MUST(r == 0 || r == CST_EIO_CALLBACK);
		if (r == 0)
			(void)create(text.data, text.size, &again);
	}
	free(text.data);
	free(image.data);
	free(again.data);
	return 0;
}
