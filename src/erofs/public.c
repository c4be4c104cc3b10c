/* SPDX-License-Identifier: Apache-2.0 */
/* composefs images for the users of the library. */
#include "erofs/dump.h"
#include <cstorage/composefs.h>

int cst_composefs_create(const cst_source *dump, const cst_sink *image, cst_error **error)
{
	_cleanup_erofs_writer_ struct erofs_writer *writer = NULL;
	int r = erofs_writer_new(&writer, error);
	if (r == 0)
		r = dump_read(dump, writer, error);
	return r == 0 ? erofs_writer_finish(writer, image, error) : r;
}
