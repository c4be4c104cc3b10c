/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into ostree repositories (ostree.h). */
#include "store/layer/ostree.h"
#include "base/fs.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* The link leads to an object beside it: no other is followed. */
static int open_object(const char *repository, const char *hex, uint64_t size)
{
	struct stat st;
	char path[TOC_DIGEST_TEXT + 32];
	_cleanup_close_ int dir = open(repository, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "objects/%.2s/%s.payload-link", hex, hex + 2);
	_cleanup_close_ int fd =
	        dir < 0 ? -1 : fs_open_beneath(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return -1;
	return steal_fd(&fd);
}

int ostree_open(const struct strv *repositories, const uint8_t digest[TOC_DIGEST_SIZE],
                uint64_t size)
{
	char text[TOC_DIGEST_TEXT];
	int fd = -1;
	toc_digest_format(digest, text);
	for (size_t i = 0; fd < 0 && i < repositories->len; i++)
		fd = open_object(repositories->items[i], text + strlen("sha256:"), size);
	return fd;
}
