/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories, reached from a directory descriptor. Errors name `path` as given. A caller
 * that knows the full path passes it in `shown` (NULL: `path`), which is used for messages only. */
#ifndef CST_BASE_FS_H
#define CST_BASE_FS_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

/* Opens an existing file or directory below dirfd (AT_FDCWD: `path` is trusted and not confined).
 * Symlinks are followed unless O_NOFOLLOW, but none that leads out of dirfd: RESOLVE_BENEATH |
 * RESOLVE_NO_MAGICLINKS. O_CLOEXEC is added. Where openat2 is missing (ENOSYS, EPERM) this process
 * walks the components itself. Returns fd, or -1 and errno. */
int fs_open_beneath(int dirfd, const char *path, int flags);

/* Resolves the path as after chroot(dirfd): absolute symlinks and ".." stop at dirfd
 * (RESOLVE_IN_ROOT). */
int fs_open_in_root(int dirfd, const char *path, int flags);

/* Opens a directory "a/b" below dirfd ("": dirfd itself) by a path of any length, in which no symlink
 * is followed. `flags`: O_PATH or O_RDONLY. */
int fs_open_dir_below(int dirfd, const char *path, int flags);

/* open(O_DIRECTORY|O_CLOEXEC) of a trusted path. Returns fd or -1 with the error set. */
int fs_open_dir(const char *path, int *ret_fd, cst_error **error);

/* mkdir -p of a trusted absolute path. New components get `mode` less the umask. An existing
 * directory (or a symlink to one) is fine. The message is Go's: "mkdir /x/file: not a
 * directory". */
int fs_mkdir_p(const char *path, mode_t mode, cst_error **error);

/* Reads a whole file into memory and adds a NUL behind the content. A file larger than `limit` is
 * CST_EINVAL. A missing one is CST_ESYS with cst_error_errno() ENOENT. The caller frees *ret. */
int fs_read_file(int dirfd, const char *path, size_t limit, char **ret, size_t *ret_len,
                 cst_error **error);
int fs_read_fd(int fd, const char *shown, size_t limit, char **ret, size_t *ret_len,
               cst_error **error);

/* CST_ECORRUPT unless fd is a regular file. Who can write to a store can put a FIFO or a device in
 * the place of a file, and reading that could block for ever. Open with O_NONBLOCK before this
 * check. */
int fs_must_be_regular(int fd, const char *shown, cst_error **error);

/* Reads until n bytes are there or the file ends. -1 and errno; EINTR is retried. */
ssize_t fs_read_full(int fd, void *buffer, size_t n);
ssize_t fs_pread_full(int fd, void *buffer, size_t n, off_t offset);

/* Whole content of a symlink, caller frees; NULL and errno on failure. */
char *fs_readlink(int dirfd, const char *path);

bool fs_exists(int dirfd, const char *path); /* lstat; false on any error */
/* Does the name still stand for the file that fd has open? Another process may have removed or replaced it. lstat; false on
 * any error. */
bool fs_names_file(int dirfd, const char *name, int fd);
/* As far as inode, size and time of change tell; both of one file system. */
bool fs_same_content(const struct stat *a, const struct stat *b);

/* Replaces a file. The content goes to a temporary file `.tmp-<name><number>` in the same
 * directory, then: fdatasync (if FS_DURABLE), mode, rename, fsync of the directory (if FS_DURABLE).
 * If something fails before the rename, the old file is untouched and the temporary file is
 * removed. FS_LOCKED: the caller holds a lock that every writer of this file holds. The number is
 * then always 0, so that fs_sweep_temporary() finds what a killed writer left without reading the
 * directory. docs/format/store.md, "Writing files".
 *
 * FS_RESERVED: if there is no room for a temporary file, the reserve of the file takes its place.
 * Only together with FS_LOCKED. */
enum { FS_DURABLE = 1, FS_LOCKED = 2, FS_RESERVED = 4 };
int fs_replace_file(int dirfd, const char *name, const void *data, size_t n, mode_t mode,
                    unsigned flags, const char *shown, cst_error **error);
/* The same with content that a function writes, which may be called twice. */
struct fs_content {
	const void *data;
	int (*write)(int fd, void *userdata, cst_error **error); /* NULL: `data` is written */
	void *userdata;
	size_t size;
};
int fs_replace_file_by(int dirfd, const char *name, const struct fs_content *content, mode_t mode,
                       unsigned flags, const char *shown, cst_error **error);

/* Did a killed FS_LOCKED writer leave its temporary file? If so, the caller takes the lock and
 * calls fs_sweep_temporary(). */
bool fs_has_temporary(const char *dir, const char *name);
void fs_sweep_temporary(int dirfd, const char *name);

/* To empty a full disk one has to delete, and to delete is to write. So room for that is taken while
 * there is some. Both return false if it could not be had.
 *
 * Keeps the reserve of <name>: a file `.reserve-<name>` beside it that has room for n bytes. This needs
 * no lock: if the reserve has just become the file, the file only has more room than it needs. */
bool fs_keep_reserve(int dirfd, const char *name, size_t n);
/* Keeps room for n bytes in a file that is rewritten in place. */
bool fs_keep_room(int fd, size_t n);

/* Makes or truncates a file, without syncing it: for small files of a driver in a staging
 * directory. */
int fs_write_file(int dirfd, const char *name, const void *data, size_t n, mode_t mode,
                  const char *shown, cst_error **error);

int fs_fsync_dir(int dirfd, const char *shown, cst_error **error);
/* Opens it O_RDONLY first. */
int fs_fsync_path(int dirfd, const char *path, const char *shown, cst_error **error);

/* Removes `name` below dirfd with everything in it. If it is missing, that is success. Never
 * follows a symlink. Never enters a mount: a mount point inside is detached with
 * umount2(MNT_DETACH) first. On EPERM clears immutable flags. The depth is bounded by memory, not
 * by the stack or PATH_MAX. */
int fs_remove_tree(int dirfd, const char *name, const char *shown, cst_error **error);
/* The same; `removed` is called after each name that went. */
struct fs_watch {
	void (*removed)(void *userdata);
	void *userdata;
};
int fs_remove_tree_watched(int dirfd, const char *name, const char *shown,
                           const struct fs_watch *watch, cst_error **error);

/* Removes everything inside the directory and keeps the directory. */
int fs_empty_dir(int dirfd, const char *shown, cst_error **error);

/* The names in a directory without "." and "..", sorted bytewise. `name` "." lists dirfd itself. A
 * missing directory gives an empty list. */
int fs_list_dir(int dirfd, const char *name, struct strv *ret, const char *shown,
                cst_error **error);

/* Joins a and b with one "/". The caller frees it. NULL: out of memory. */
char *path_join(const char *a, const char *b);
char *path_join3(const char *a, const char *b, const char *c);
/* Cleans the text of a path like Go's filepath.Clean, without looking at the disk; "" becomes ".".
 * The caller frees it. NULL: out of memory. */
char *path_clean(const char *path);
char *path_absolute(const char *path);   /* cleaned, made absolute from the cwd; NULL and errno */
const char *path_base(const char *path); /* behind the last "/", never NULL */

/* May this name stand for one entry of a directory? It is not empty, not "." or "..", and has no
 * "/". */
bool path_is_component(const char *name);

#endif
