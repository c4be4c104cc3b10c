/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON file of records: what tells that it was replaced, its content as it was when opened, and
 * its replacement (docs/format/store.md, "Writing files").
 */
#ifndef CST_RECORDS_RECORD_FILE_H
#define CST_RECORDS_RECORD_FILE_H

#include "base/fs.h"

/* Two files of equal identity have the same content. All zero: there is no file. */
struct file_identity {
	bool exists;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct record_file {
	char *dir;        /* where it is, absolute */
	const char *name; /* static: "layers.json" */
	char *path;       /* dir/name, for messages */
	bool is_volatile; /* may be lost in a power cut, so it is written without a barrier */
	int fd;           /* from open until close; -1: not open or no such file */
	struct file_identity identity; /* of what was opened or written last */
	bool swept;                    /* stale temporary files were removed since the last open */
	bool lacks_reserve;            /* there was no room for it after the last write */
};

int record_file_init(struct record_file *file, const char *dir, const char *name, bool is_volatile,
                     cst_error **error);
void record_file_free(struct record_file *file);

/* Is the file at the path another one than was opened or written last? */
int record_file_changed(const struct record_file *file, bool *ret, cst_error **error);
int record_file_open(struct record_file *file, cst_error **error);
/* Content of the opened file, from its beginning. A missing file is empty. Caller frees *ret. */
int record_file_read(struct record_file *file, char **ret, size_t *ret_len, cst_error **error);
void record_file_close(struct record_file *file);
/* Opens the file that was opened or written last; -1 in *ret: there is none. False: it is another one, or cannot be
 * opened. */
bool record_file_open_same(const struct record_file *file, int *ret);
/* The directory is made (0700) if it is missing. Under the write lock only. */
int record_file_write(struct record_file *file, const struct fs_content *content, cst_error **error);
/* Gives a damaged file a second name, <name>.damaged-<when>; what is no regular file loses its first one. Durable. Under the write
 * lock only. */
int record_file_put_aside(const struct record_file *file, const char *when, cst_error **error);
/* The error of a file that is not understood, CST_ECORRUPT, gets the file as its object. */
int record_file_blame(const struct record_file *file, int code, cst_error **error);
/* Tries again to get the reserve. It needs no lock, since no process uses what a reserve holds. */
void record_file_retry_reserve(struct record_file *file);

#endif
