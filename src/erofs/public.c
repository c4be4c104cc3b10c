/* SPDX-License-Identifier: Apache-2.0 */
/* composefs images for the users of the library. */
#include "base/fs.h"
#include "base/types.h"
#include "erofs/dump.h"
#include <cstorage/composefs.h>
#include <stdio.h>

int cst_composefs_create(const cst_source *dump, const cst_sink *image,
                         const cst_composefs_options *given, cst_error **error)
{
	cst_composefs_options options = CST_COMPOSEFS_OPTIONS_INIT;
	_cleanup_erofs_writer_ struct erofs_writer *writer = NULL;
	int r = options_take(&options, sizeof(options), given, "cst_composefs_options", error);
	if (r == 0)
		r = erofs_writer_new(options.layer, &writer, error);
	if (r == 0)
		r = dump_read(dump, options.layer, writer, error);
	return r == 0 ? erofs_writer_finish(writer, image, error) : r;
}

int cst_composefs_dump(int fd, const char *path, const cst_sink *dump,
                       const cst_composefs_options *given, cst_error **error)
{
	cst_composefs_options options = CST_COMPOSEFS_OPTIONS_INIT;
	_cleanup_erofs_image_ struct erofs_image *image = NULL;
	char link[32];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	_cleanup_free_ char *shown = fs_readlink(AT_FDCWD, link);
	int r = options_take(&options, sizeof(options), given, "cst_composefs_options", error);
	if (r == 0)
		r = erofs_image_open(fd, shown ? shown : link, &image, error);
	return r == 0 ? dump_write(image, path ? path : "", options.layer, dump, error) : r;
}
