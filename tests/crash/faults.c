/* SPDX-License-Identifier: Apache-2.0 */
/* Six calls of the table, for self-check: exits with the number of the first that fails. */
#include "base/sys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int failed(int number)
{
	fprintf(stderr, "%s\n", strerror(errno));
	return number;
}

int main(void)
{
	int fd;

	if (sys_mkdirat(AT_FDCWD, "dir", 0700) < 0)
		return failed(1);
	fd = sys_openat(AT_FDCWD, "dir/old", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(2);
	if (sys_write_all(fd, "hello", 5) < 0)
		return failed(3);
	if (sys_fsync(fd) < 0)
		return failed(4);
	if (sys_close_checked(fd) < 0)
		return failed(5);
	if (sys_renameat(AT_FDCWD, "dir/old", AT_FDCWD, "dir/new") < 0)
		return failed(6);
	return 0;
}
