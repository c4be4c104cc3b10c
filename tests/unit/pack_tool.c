/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of archive/pack.h, tar.h and tarsplit.h from a shell, for comparisons with other
 * implementations:
 *
 *   pack_tool pack-overlay DIFF [LOWER...]     the layer tar of an overlay layer's directory
 *   pack_tool changes-overlay DIFF [LOWER...]  its changes as containers-storage prints them
 *   pack_tool pack-tree DIR                    a layer tar of everything
 *   pack_tool pack-changes NEW OLD             a layer tar of what differs
 *   pack_tool changes-trees NEW [OLD]          what differs
 *   pack_tool size-trees NEW OLD               bytes in it
 *   pack_tool usage DIR                        bytes and inodes
 *   pack_tool reassemble TARSPLIT DIR          the tar that was unpacked into DIR
 *   pack_tool copy FROM TO                     a faithful copy into the empty directory TO
 *   pack_tool headers                          a header for each line of standard input: type,
 * mode, uid, gid, size, mtime, devmajor, devminor and then, in hex, name, linkname, uname, gname
 * and pairs of xattr name and value
 */
#include "archive/pack/pack.h"
#include "archive/tar/tar.h"
#include "archive/tarsplit/tarsplit.h"
#include "archive/tree/copy.h"
#include "base/fs.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static void print_changes(const struct cst_changes *changes)
{
	static const char *const names[] = {"Modify", "Add", "Delete"};
	for (size_t i = 0; i < changes->len; i++)
		printf("%s \"%s\"\n", names[changes->items[i].kind], changes->items[i].path);
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

static int overlay(bool pack, char **argv, cst_error **error)
{
	int lowers[64];
	size_t n = 0;
	for (char **p = argv + 1; *p && n < ARRAY_SIZE(lowers); p++)
		lowers[n++] = open_dir(*p);
	struct pack_options options = {.lowers = lowers, .n_lowers = n};
	cst_sink sink = cst_sink_fd(1);
	if (pack)
		return pack_overlay(open_dir(argv[0]), &options, &sink, error);
	_cleanup_changes_ struct cst_changes changes = {0};
	int r = changes_overlay(open_dir(argv[0]), &options, &changes, error);
	print_changes(&changes);
	return r;
}

static int trees(const char *command, char **argv, cst_error **error)
{
	struct pack_options options = {0};
	cst_sink sink = cst_sink_fd(1);
	_cleanup_changes_ struct cst_changes changes = {0};
	int now = open_dir(argv[0]), old = argv[1] ? open_dir(argv[1]) : -1;
	int r = changes_trees(old, now, &options, &changes, error);
	if (r < 0)
		return r;
	if (streq(command, "changes-trees"))
		print_changes(&changes);
	else if (streq(command, "pack-changes"))
		return pack_changes(now, &changes, &options, &sink, error);
	else {
		int64_t size;
		r = changes_size(now, &changes, &size, error);
		if (r == 0)
			printf("%" PRId64 "\n", size);
	}
	return r;
}

static int open_content(void *userdata, const char *name, int64_t size, cst_error **error)
{
	struct stat st;
	int fd = fs_open_in_root(*(int *)userdata, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return error_sys(error, errno, "open %s", name), -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size)
		return fd;
	close(fd);
	error_set(error, CST_ECORRUPT, "file integrity checksum failed for \"%s\"", name);
	return -1;
}

static char *unhex(const char *text)
{
	size_t n = strlen(text) / 2;
	char *out = calloc(1, n + 1);
	for (size_t i = 0; i < n; i++) {
		unsigned byte;
		sscanf(text + 2 * i, "%2x", &byte);
		out[i] = (char)byte;
	}
	return out;
}

static int one_header(char *line, cst_error **error)
{
	struct tar_header header = {0};
	struct tar_xattr xattrs[16];
	char *fields[64] = {0}, *save = NULL;
	size_t n = 0;
	for (char *p = strtok_r(line, " \n", &save); p && n < 63; p = strtok_r(NULL, " \n", &save))
		fields[n++] = p;
	if (n < 12)
		return error_set(error, CST_EINVAL, "too few fields");
	header.type = fields[0][0];
	header.mode = (mode_t)strtoul(fields[1], NULL, 10);
	header.uid = (uint32_t)strtoul(fields[2], NULL, 10);
	header.gid = (uint32_t)strtoul(fields[3], NULL, 10);
	header.size = strtoull(fields[4], NULL, 10);
	header.mtime.tv_sec = strtoll(fields[5], NULL, 10);
	header.devmajor = (uint32_t)strtoul(fields[6], NULL, 10);
	header.devminor = (uint32_t)strtoul(fields[7], NULL, 10);
	header.name = unhex(fields[8] + 1); /* each with an "x" in front, so that none is empty */
	header.linkname = unhex(fields[9] + 1);
	header.uname = unhex(fields[10] + 1);
	header.gname = unhex(fields[11] + 1);
	for (size_t i = 12; i + 1 < n; i += 2)
		xattrs[header.n_xattrs++] =
		        (struct tar_xattr){unhex(fields[i] + 1), unhex(fields[i + 1] + 1),
		                           strlen(fields[i + 1] + 1) / 2};
	header.xattrs = xattrs;
	_cleanup_strbuf_ struct strbuf out = {0};
	int r = tar_format_header(&header, &out, error);
	if (r == 0)
		fwrite(out.data, 1, out.len, stdout);
	return r;
}

static int headers(cst_error **error)
{
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;
	int r = 0;
	while (r == 0 && getline(&line, &capacity, stdin) > 0)
		r = one_header(line, error);
	return r;
}

static int run(const char *command, char **argv, cst_error **error)
{
	cst_sink sink = cst_sink_fd(1);
	struct pack_options options = {0};
	if (streq(command, "headers"))
		return headers(error);
	if (!argv[0])
		return error_set(error, CST_EINVAL, "a directory is wanted");
	if (streq(command, "pack-overlay") || streq(command, "changes-overlay"))
		return overlay(streq(command, "pack-overlay"), argv, error);
	if (streq(command, "pack-tree"))
		return pack_tree(open_dir(argv[0]), &options, &sink, error);
	if (streq(command, "usage")) {
		int64_t bytes, inodes;
		int r = usage_tree(open_dir(argv[0]), &bytes, &inodes, error);
		if (r == 0)
			printf("%" PRId64 " %" PRId64 "\n", bytes, inodes);
		return r;
	}
	if (streq(command, "reassemble")) {
		int fd = open(argv[0], O_RDONLY | O_CLOEXEC), root = open_dir(argv[1]);
		return tarsplit_reassemble(
		        fd,
		        &(struct tarsplit_reading){.open_file = open_content, .userdata = &root},
		        &sink, error);
	}
	if (streq(command, "copy"))
		return copy_tree(open_dir(argv[0]), open_dir(argv[1]), &(struct copy_options){0},
		                 error);
	return trees(command, argv, error);
}

int main(int argc, char **argv)
{
	_cleanup_error_ cst_error *error = NULL;
	if (argc < 2)
		return 2;
	if (run(argv[1], argv + 2, &error) == 0)
		return 0;
	fprintf(stderr, "%s\n", cst_error_message(error));
	return 1;
}
