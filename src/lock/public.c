/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions for lock files (<cstorage/lock.h>). */
#include "base/fs.h"
#include "lock/lockfile.h"
#include <cstorage/lock.h>
#include <errno.h>

struct cst_lock {
	struct lockfile *file;
};

_Static_assert(sizeof(((cst_lock_token *)0)->bytes) == LOCK_TOKEN_SIZE, "the token is copied");

int cst_lock_open(const char *path, bool read_only, cst_lock **ret, cst_error **error)
{
	if (isempty(path))
		return error_set(error, CST_EINVAL, "a lock file needs a path");
	_cleanup_free_ char *absolute = path_absolute(path);
	if (!absolute)
		return error_sys(error, errno, "the absolute path of %s", path);
	_cleanup_free_ cst_lock *lock = new0(cst_lock, 1);
	if (!lock)
		return error_oom(error);
	int r = lockfile_new(absolute, read_only, &lock->file, error);
	if (r == 0)
		*ret = steal_ptr(&lock);
	return r;
}

void cst_lock_free(cst_lock *lock)
{
	if (lock)
		lockfile_free(lock->file);
	free(lock);
}

const char *cst_lock_path(const cst_lock *lock)
{
	return lockfile_path(lock->file);
}

static int mode_of(enum cst_lock_mode mode, enum lock_mode *ret, cst_error **error)
{
	if (mode != CST_LOCK_READ && mode != CST_LOCK_WRITE)
		return error_set(error, CST_EINVAL, "unknown lock mode: %d", (int)mode);
	*ret = mode == CST_LOCK_WRITE ? LOCKFILE_WRITE : LOCKFILE_READ;
	return 0;
}

int cst_lock_lock(cst_lock *lock, enum cst_lock_mode mode, cst_error **error)
{
	enum lock_mode wanted = LOCKFILE_READ;
	int r = mode_of(mode, &wanted, error);
	return r < 0 ? r : lockfile_lock(lock->file, wanted, error);
}

int cst_lock_lock_for(cst_lock *lock, enum cst_lock_mode mode, uint32_t timeout_ms,
                      const cst_wait *wait, cst_error **error)
{
	const struct lock_wait how = {.timeout_ms = timeout_ms,
	                              .hook = wait ? *wait : (cst_wait){0}};
	enum lock_mode wanted = LOCKFILE_READ;
	int r = mode_of(mode, &wanted, error);
	return r < 0 ? r : lockfile_lock_for(lock->file, wanted, &how, error);
}

int cst_lock_try(cst_lock *lock, enum cst_lock_mode mode, cst_error **error)
{
	enum lock_mode wanted = LOCKFILE_READ;
	int r = mode_of(mode, &wanted, error);
	return r < 0 ? r : lockfile_try(lock->file, wanted, error);
}

void cst_lock_unlock(cst_lock *lock)
{
	lockfile_unlock(lock->file);
}

/* ---- the token ---- */

static void hand_out(const struct lock_token *from, cst_lock_token *to)
{
	*to = (cst_lock_token){.size = (uint32_t)from->len};
	memcpy(to->bytes, from->bytes, from->len);
}

static int must_hold(const cst_lock *lock, enum lock_mode mode, cst_error **error)
{
	if (lockfile_held(lock->file, mode))
		return 0;
	return error_set(error, CST_EINVAL, "lock \"%s\" is not held%s", lockfile_path(lock->file),
	                 mode == LOCKFILE_WRITE ? " for writing" : "");
}

int cst_lock_read_token(cst_lock *lock, cst_lock_token *ret, cst_error **error)
{
	struct lock_token token;
	int r = must_hold(lock, LOCKFILE_READ, error);
	if (r == 0)
		r = lockfile_read_token(lock->file, &token, error);
	if (r == 0)
		hand_out(&token, ret);
	return r;
}

int cst_lock_touch(cst_lock *lock, cst_lock_token *ret, cst_error **error)
{
	struct lock_token token;
	int r = must_hold(lock, LOCKFILE_WRITE, error);
	if (r == 0)
		r = lockfile_touch(lock->file, &token, error);
	if (r == 0 && ret)
		hand_out(&token, ret);
	return r;
}

int cst_lock_modified_since(cst_lock *lock, cst_lock_token *token, bool *modified,
                            cst_error **error)
{
	cst_lock_token now;
	int r = cst_lock_read_token(lock, &now, error);
	if (r < 0)
		return r;
	*modified = !cst_lock_token_equal(&now, token);
	*token = now;
	return 0;
}

bool cst_lock_token_equal(const cst_lock_token *a, const cst_lock_token *b)
{
	return a->size == b->size && memcmp(a->bytes, b->bytes, MIN(a->size, 64U)) == 0;
}
