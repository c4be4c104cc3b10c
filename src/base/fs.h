/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories, always reached from a directory descriptor. Errors name `path` as given;
 * where the caller knows the full path it passes it in `shown` (NULL: `path`), which is only used
 * for messages.
 */
#ifndef CST_BASE_FS_H
#define CST_BASE_FS_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

/* Opens an existing file or directory below dirfd (AT_FDCWD: `path` is trusted, no confinement).
 * RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, O_CLOEXEC added; every symlink but none leading out is
 * followed unless O_NOFOLLOW. Falls back to a component walk where openat2 is missing (ENOSYS,
 * EPERM). Returns fd, or -1 and errno. */
int fs_open_beneath(int dirfd, const char *path, int flags);

/* As a chroot would resolve it: absolute symlinks and ".." stop at dirfd (RESOLVE_IN_ROOT). */
int fs_open_in_root(int dirfd, const char *path, int flags);

/* open(O_DIRECTORY|O_CLOEXEC) of a trusted path. Returns fd or -1 with the error set. */
int fs_open_dir(const char *path, int *ret_fd, cst_error **error);

/* mkdir -p of a trusted absolute path; new components get `mode` less the umask. An existing
 * directory (or symlink to one) is fine. Message as Go's: "mkdir /x/file: not a directory". */
int fs_mkdir_p(const char *path, mode_t mode, cst_error **error);

/* Whole file into memory, NUL added behind the content. `limit`: larger is CST_EINVAL. ENOENT is
 * reported as CST_ESYS with cst_error_errno() ENOENT. Caller frees *ret. */
int fs_read_file(int dirfd, const char *path, size_t limit, char **ret, size_t *ret_len,
                 cst_error **error);
int fs_read_fd(int fd, const char *shown, size_t limit, char **ret, size_t *ret_len,
               cst_error **error);

/* What a store keeps in a regular file must be one: a FIFO or a device, put there by whoever made the
 * store, could be read for ever. To be opened with O_NONBLOCK. CST_ECORRUPT. */
int fs_must_be_regular(int fd, const char *shown, cst_error **error);

ssize_t fs_read_full(int fd, void *buffer,
                     size_t n); /* until n or end; -1 and errno; retries EINTR */
ssize_t fs_pread_full(int fd, void *buffer, size_t n, off_t offset);

/* Whole content of a symlink, caller frees; NULL and errno on failure. */
char *fs_readlink(int dirfd, const char *path);

bool fs_exists(int dirfd, const char *path); /* lstat; false on any error */

/* Durable replacement of a file: temporary file `.tmp-<name><number>` in the same directory,
 * content, fdatasync (if FS_DURABLE), mode, rename, fsync of the directory (if FS_DURABLE). On
 * failure before the rename the old file is untouched and the temporary one gone. FS_LOCKED: the
 * caller holds a lock that every writer of this file holds; the number is then always 0, so that
 * what a killed writer leaves is found without looking through the directory: fs_sweep_temporary().
 * docs/format/store.md, "Writing files". */
enum { FS_DURABLE = 1, FS_LOCKED = 2 };
int fs_replace_file(int dirfd, const char *name, const void *data, size_t n, mode_t mode,
                    unsigned flags, const char *shown, cst_error **error);

/* Is the temporary file of a killed FS_LOCKED writer there? Then the caller takes the lock and
 * removes it. */
bool fs_has_temporary(const char *dir, const char *name);
void fs_sweep_temporary(int dirfd, const char *name);

/* A plain new or truncated file, not durable: for small driver files inside a staging directory. */
int fs_write_file(int dirfd, const char *name, const void *data, size_t n, mode_t mode,
                  const char *shown, cst_error **error);

int fs_fsync_dir(int dirfd, const char *shown, cst_error **error);
int fs_fsync_path(int dirfd, const char *path, const char *shown,
                  cst_error **error); /* opens it O_RDONLY first */

/* Removes `name` below dirfd with everything in it; missing is success. Never follows a symlink,
 * never crosses a mount (a mount point found inside is detached with umount2(MNT_DETACH) and gone
 * on), clears immutable flags on EPERM. Depth is bounded by memory, not by the stack or PATH_MAX.
 */
int fs_remove_tree(int dirfd, const char *name, const char *shown, cst_error **error);
/* The same; `removed` is called after each name that went. */
struct fs_watch {
	void (*removed)(void *userdata);
	void *userdata;
};
int fs_remove_tree_watched(int dirfd, const char *name, const char *shown,
                           const struct fs_watch *watch, cst_error **error);

/* Everything inside the directory, keeping the directory itself. */
int fs_empty_dir(int dirfd, const char *shown, cst_error **error);

/* Names in a directory without "." and "..", sorted bytewise. `name` "." lists dirfd itself.
 * Missing: empty list. */
int fs_list_dir(int dirfd, const char *name, struct strv *ret, const char *shown,
                cst_error **error);

/* joins a and b with one "/"; caller frees; NULL when out of memory */
char *path_join(const char *a, const char *b);
char *path_join3(const char *a, const char *b, const char *c);
/* Lexical cleaning as Go's filepath.Clean: "" becomes ".". Caller frees; NULL when out of memory.
 */
char *path_clean(const char *path);
char *path_absolute(const char *path);   /* cleaned, made absolute from the cwd; NULL and errno */
const char *path_base(const char *path); /* behind the last "/", never NULL */

/* A path below a layer made of one component: non-empty, not "." or "..", no "/". */
bool path_is_component(const char *name);

#endif
