/* SPDX-License-Identifier: Apache-2.0 */
/* Locks, IDs and archives through the public headers: <cstorage/lock.h>, <cstorage/ids.h>,
 * <cstorage/archive.h>. */
#include "tar_build.h"
#include "test.h"
#include <cstorage/archive.h>
#include <cstorage/ids.h>
#include <cstorage/lock.h>
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define _cleanup_lock_  _cleanup_(cst_lock_freep)
#define _cleanup_index_ _cleanup_(cst_id_index_freep)
DEFINE_CLEANUP(cst_lock *, cst_lock_free)
DEFINE_CLEANUP(cst_id_index *, cst_id_index_free)
DEFINE_CLEANUP(cst_changes *, cst_changes_free)

/* ---- locks ---- */

static cst_lock *open_lock(const struct test_dir *dir, const char *name, bool read_only)
{
	_cleanup_free_ char *path = path_join(dir->path, name);
	cst_lock *lock = NULL;
	assert_int_equal(cst_lock_open(path, read_only, &lock, NULL), 0);
	assert_string_equal(cst_lock_path(lock), path);
	return lock;
}

static void test_lock_excludes(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_lock_ cst_lock *one = open_lock(&dir, "sub/dir/x.lock", false);
	_cleanup_lock_ cst_lock *other = open_lock(&dir, "sub/dir/x.lock", false);
	assert_true(fs_exists(dir.fd, "sub/dir/x.lock"));
	assert_int_equal(cst_lock_lock(one, CST_LOCK_READ, NULL), 0);
	assert_int_equal(cst_lock_try(other, CST_LOCK_READ, NULL), 0);
	assert_int_equal(cst_lock_try(other, CST_LOCK_WRITE, NULL), CST_EBUSY);
	cst_lock_unlock(other);
	assert_int_equal(cst_lock_try(other, CST_LOCK_WRITE, NULL), CST_EBUSY);
	cst_lock_unlock(one);
	assert_int_equal(cst_lock_try(other, CST_LOCK_WRITE, NULL), 0);
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(cst_lock_try(one, CST_LOCK_READ, &error), CST_EBUSY);
	assert_non_null(strstr(cst_error_message(error), "x.lock"));
	cst_lock_unlock(other);
	assert_int_equal(cst_lock_try(one, (enum cst_lock_mode)7, NULL), CST_EINVAL);
	cst_lock *untouched = one;
	assert_int_equal(cst_lock_open("", false, &untouched, NULL), CST_EINVAL);
	assert_ptr_equal(untouched, one);
}

static void test_lock_between_processes(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_lock_ cst_lock *lock = open_lock(&dir, "x.lock", false);
	assert_int_equal(cst_lock_lock(lock, CST_LOCK_WRITE, NULL), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		cst_lock *mine = NULL;
		int r = cst_lock_open(cst_lock_path(lock), false, &mine, NULL);
		_exit(r == 0 && cst_lock_try(mine, CST_LOCK_READ, NULL) == CST_EBUSY ? 0 : 1);
	}
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	cst_lock_unlock(lock);
}

static void test_lock_token(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_lock_ cst_lock *one = open_lock(&dir, "x.lock", false);
	_cleanup_lock_ cst_lock *other = open_lock(&dir, "x.lock", false);
	cst_lock_token token = {.size = 0}, seen = {.size = 0};
	bool modified = true;
	/* nobody holds it */
	assert_int_equal(cst_lock_read_token(one, &token, NULL), CST_EINVAL);
	assert_int_equal(cst_lock_touch(one, &token, NULL), CST_EINVAL);

	assert_int_equal(cst_lock_lock(one, CST_LOCK_READ, NULL), 0);
	assert_int_equal(cst_lock_modified_since(one, &token, &modified, NULL), 0);
	assert_false(modified); /* never written */
	assert_int_equal(cst_lock_touch(one, &token, NULL), CST_EINVAL);
	cst_lock_unlock(one);

	assert_int_equal(cst_lock_lock(other, CST_LOCK_WRITE, NULL), 0);
	assert_int_equal(cst_lock_touch(other, NULL, NULL), 0);
	assert_int_equal(cst_lock_touch(other, &seen, NULL), 0);
	assert_int_equal(seen.size, 64);
	cst_lock_unlock(other);

	assert_int_equal(cst_lock_lock(one, CST_LOCK_READ, NULL), 0);
	assert_int_equal(cst_lock_modified_since(one, &token, &modified, NULL), 0);
	assert_true(modified);
	assert_true(cst_lock_token_equal(&token, &seen));
	assert_int_equal(cst_lock_modified_since(one, &token, &modified, NULL), 0);
	assert_false(modified);
	cst_lock_unlock(one);
}

static void test_lock_read_only(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_lock_ cst_lock *lock = open_lock(&dir, "not/there.lock", true);
	cst_lock_token token = {.size = 7};
	assert_int_equal(cst_lock_lock(lock, CST_LOCK_WRITE, NULL), CST_ESTORE_READ_ONLY);
	assert_int_equal(cst_lock_lock(lock, CST_LOCK_READ, NULL), 0);
	assert_int_equal(cst_lock_read_token(lock, &token, NULL), 0);
	assert_int_equal(token.size, 0);
	cst_lock_unlock(lock);
	assert_false(fs_exists(dir.fd, "not"));
}

struct counting {
	cst_lock *lock;
	long value, twice; /* guarded by the lock */
};

static void *count_up(void *arg)
{
	struct counting *counting = arg;
	cst_lock_token token = {.size = 0};
	bool modified;
	for (int i = 0; i < 200; i++) {
		(void)cst_lock_lock(counting->lock, CST_LOCK_WRITE, NULL);
		counting->value++;
		(void)cst_lock_touch(counting->lock, NULL, NULL);
		counting->twice = 2 * counting->value;
		cst_lock_unlock(counting->lock);
		(void)cst_lock_lock(counting->lock, CST_LOCK_READ, NULL);
		(void)cst_lock_modified_since(counting->lock, &token, &modified, NULL);
		if (counting->twice != 2 * counting->value)
			return counting;
		cst_lock_unlock(counting->lock);
	}
	return NULL;
}

static void test_lock_threads(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_lock_ cst_lock *lock = open_lock(&dir, "x.lock", false);
	struct counting counting = {.lock = lock};
	pthread_t threads[4];
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, &counting), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *failed = &counting;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(counting.value, 800);
}

/* ---- IDs ---- */

static void test_id_generate(void **state)
{
	char one[CST_ID_SIZE], other[CST_ID_SIZE];
	assert_int_equal(cst_id_generate(one, NULL), 0);
	assert_int_equal(cst_id_generate(other, NULL), 0);
	assert_true(cst_id_is_full(one));
	assert_string_not_equal(one, other);
	one[3] = 'A';
	assert_false(cst_id_is_full(one));
	one[3] = '\0';
	assert_false(cst_id_is_full(one));
}

static void test_id_check(void **state)
{
	static const char *const bad[] = {"",      "../x", "a/b", ".x",     "a b",
	                                  "l",     "a\nb", "tmp", "x.json", "x.tar-split.gz",
	                                  "x.lock"};
	assert_int_equal(cst_id_check("my-id", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(cst_id_check(bad[i], NULL), CST_EINVAL);
}

static void expect_id(cst_id_index *index, const char *prefix, const char *wanted)
{
	char *id = NULL;
	assert_int_equal(cst_id_index_get(index, prefix, &id, NULL), 0);
	assert_string_equal(id, wanted);
	cst_free(id);
}

static void test_id_index(void **state)
{
	_cleanup_index_ cst_id_index *index = NULL;
	char *untouched = NULL;
	assert_int_equal(cst_id_index_new(&index, NULL), 0);
	assert_int_equal(cst_id_index_get(index, "a", &untouched, NULL), CST_EID_UNKNOWN);
	assert_int_equal(cst_id_index_add(index, "abcdef", NULL), 0);
	assert_int_equal(cst_id_index_add(index, "abcxyz", NULL), 0);
	assert_int_equal(cst_id_index_add(index, "b", NULL), 0);
	assert_int_equal(cst_id_index_add(index, "bc", NULL), 0);
	assert_int_equal(cst_id_index_add(index, "abcdef", NULL), CST_EDUPLICATE_ID);
	assert_int_equal(cst_id_index_add(index, "", NULL), CST_EINVAL);
	assert_int_equal(cst_id_index_add(index, "a b", NULL), CST_EINVAL);
	assert_int_equal(cst_id_index_size(index), 4);
	expect_id(index, "abcd", "abcdef");
	expect_id(index, "abcxyz", "abcxyz");
	expect_id(index, "bc", "bc");
	assert_int_equal(cst_id_index_get(index, "abc", &untouched, NULL), CST_EID_AMBIGUOUS);
	assert_int_equal(cst_id_index_get(index, "b", &untouched, NULL), CST_EID_AMBIGUOUS);
	assert_int_equal(cst_id_index_get(index, "c", &untouched, NULL), CST_EID_UNKNOWN);
	assert_int_equal(cst_id_index_get(index, "abcdefg", &untouched, NULL), CST_EID_UNKNOWN);
	assert_int_equal(cst_id_index_get(index, "", &untouched, NULL), CST_EINVAL);
	assert_int_equal(cst_id_index_delete(index, "abc", NULL), CST_EID_UNKNOWN);
	assert_int_equal(cst_id_index_delete(index, "abcxyz", NULL), 0);
	assert_int_equal(cst_id_index_delete(index, "abcxyz", NULL), CST_EID_UNKNOWN);
	expect_id(index, "a", "abcdef");
	assert_null(untouched);
}

static void *add_and_find(void *arg)
{
	cst_id_index *index = arg;
	char id[CST_ID_SIZE], *found;
	for (int i = 0; i < 300; i++) {
		if (cst_id_generate(id, NULL) < 0 || cst_id_index_add(index, id, NULL) < 0 ||
		    cst_id_index_get(index, id, &found, NULL) < 0)
			return index;
		bool same = streq(id, found);
		cst_free(found);
		if (!same || (i % 3 == 0 && cst_id_index_delete(index, id, NULL) < 0))
			return index;
	}
	return NULL;
}

static void test_id_index_threads(void **state)
{
	_cleanup_index_ cst_id_index *index = NULL;
	pthread_t threads[4];
	assert_int_equal(cst_id_index_new(&index, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_and_find, index), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *failed = index;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(cst_id_index_size(index), 800);
}

/* ---- archives ---- */

static int make_dir(const struct test_dir *dir, const char *name)
{
	assert_int_equal(mkdirat(dir->fd, name, 0755), 0);
	int fd = openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void put(int dirfd, const char *name, const char *text)
{
	assert_int_equal(fs_write_file(dirfd, name, text, strlen(text), 0644, name, NULL), 0);
}

static void expect(int dirfd, const char *name, const char *text)
{
	_cleanup_free_ char *have = NULL;
	size_t size;
	assert_int_equal(fs_read_file(dirfd, name, 1000, &have, &size, NULL), 0);
	assert_string_equal(have, text);
}

/* The ids of whoever runs the test, so that the tar can be unpacked without being root. */
#define MINE .uid = getuid(), .gid = getgid()

static void build_layer(struct strbuf *tar)
{
	TAR_ADD(tar, .name = "d/", .type = '5', .mode = 0755, MINE);
	TAR_ADD(tar, .name = "d/new", .data = "new", .len = 3, MINE);
	TAR_ADD(tar, .name = ".wh.old", MINE);
	tar_add_end(tar);
}

static int apply(int fd, struct strbuf *tar, const cst_apply_options *options,
                 cst_apply_result *result, cst_error **error)
{
	cst_memory memory = {.data = tar->data, .size = tar->len};
	cst_source source = cst_source_memory(&memory);
	return cst_archive_apply(fd, &source, options, result, error);
}

static void test_apply(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_close_ int root = make_dir(&dir, "root");
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_apply_result result = CST_APPLY_RESULT_INIT;
	cst_apply_options options = CST_APPLY_OPTIONS_INIT;
	options.sync = true;
	put(root, "old", "old");
	build_layer(&tar);
	assert_int_equal(apply(root, &tar, &options, &result, NULL), 0);
	assert_false(fs_exists(root, "old"));
	expect(root, "d/new", "new");
	assert_int_equal(result.size, sizeof(result));
	assert_int_equal(result.entries, 3);
	assert_int_equal(result.content_size, 3);
	assert_int_equal(result.diff_size, tar.len);
	assert_string_equal(result.diff_digest, result.compressed_digest);
	assert_int_equal(strlen(result.diff_digest), 7 + 64);
	options.whiteouts = CST_WHITEOUTS_KEEP;
	assert_int_equal(apply(root, &tar, &options, NULL, NULL), 0);
	assert_true(fs_exists(root, ".wh.old"));
}

/* What somebody else may have put there gets nothing of the archive's; without `in_use` it is part of the tree. */
static void test_apply_in_use(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_close_ int root = make_dir(&dir, "root");
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_apply_options options = CST_APPLY_OPTIONS_INIT;
	struct stat st;
	put(root, "theirs", "theirs");
	TAR_ADD(&tar, .name = "made", .data = "made", .len = 4, .mode = 0755, MINE);
	TAR_ADD(&tar, .name = "ours", .type = '1', .link = "theirs", .mode = 04755, MINE);
	TAR_ADD(&tar, .name = "further", .type = '1', .link = "made", .mode = 04755, MINE);
	tar_add_end(&tar);
	options.in_use = true;
	assert_int_equal(apply(root, &tar, &options, NULL, NULL), 0);
	assert_int_equal(fstatat(root, "ours", &st, 0), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mode & 06111, 0);
	assert_int_equal(fstatat(root, "further", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 04755);
	options.in_use = false;
	assert_int_equal(apply(root, &tar, &options, NULL, NULL), 0);
	assert_int_equal(fstatat(root, "ours", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 04755);
}

static void test_apply_overlay(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_close_ int root = make_dir(&dir, "root");
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_apply_options options = CST_APPLY_OPTIONS_INIT;
	struct stat st;
	if (geteuid() != 0)
		skip_because("not root");
	options.whiteouts = CST_WHITEOUTS_OVERLAY;
	build_layer(&tar);
	assert_int_equal(apply(root, &tar, &options, NULL, NULL), 0);
	assert_int_equal(fstatat(root, "old", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
}

static void test_apply_refuses(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_close_ int root = make_dir(&dir, "root");
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_apply_options options = CST_APPLY_OPTIONS_INIT;
	cst_idmap overlapping[] = {{0, 1000, 10}, {5, 2000, 10}};
	cst_idmap elsewhere[] = {{4000000, 0, 10}};
	build_layer(&tar);
	options.size = 0;
	assert_int_equal(apply(root, &tar, &options, NULL, NULL), CST_EINVAL);
	options.size = sizeof(options);
	options.whiteouts = (enum cst_whiteouts)9;
	assert_int_equal(apply(root, &tar, &options, NULL, NULL), CST_EINVAL);
	options.whiteouts = CST_WHITEOUTS_APPLY;
	options.uid_map = options.gid_map = overlapping;
	options.n_uid_map = options.n_gid_map = 2;
	assert_int_equal(apply(root, &tar, &options, NULL, NULL), CST_EINVALID_MAPPINGS);
	options.uid_map = options.gid_map = elsewhere;
	options.n_uid_map = options.n_gid_map = 1;
	assert_int_equal(apply(root, &tar, &options, NULL, NULL), CST_EINVAL);
	assert_int_equal(apply(-1, &tar, NULL, NULL, NULL), CST_ESYS);
	_cleanup_error_ cst_error *error = NULL;
	put(dir.fd, "file", "");
	_cleanup_close_ int file = openat(dir.fd, "file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(apply(file, &tar, NULL, NULL, &error), CST_ESYS);
	assert_int_equal(cst_error_errno(error), ENOTDIR);
	tar.len = 700; /* torn */
	assert_int_equal(apply(root, &tar, NULL, NULL, NULL), CST_EARCHIVE);
}

/* A caller that was compiled when the structs were shorter. */
static void test_short_structs(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_close_ int root = make_dir(&dir, "root");
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_apply_result result = {.size = offsetof(cst_apply_result, diff_digest), .entries = 77};
	cst_apply_options options = {.size = offsetof(cst_apply_options, uid_map),
	                             .whiteouts = CST_WHITEOUTS_KEEP,
	                             .n_uid_map = 5}; /* beyond: not looked at */
	build_layer(&tar);
	assert_int_equal(apply(root, &tar, &options, &result, NULL), 0);
	assert_true(fs_exists(root, ".wh.old"));
	assert_int_equal(result.entries, 77);
	assert_int_equal(result.size, offsetof(cst_apply_result, diff_digest));
	assert_int_equal(strlen(result.compressed_digest), 7 + 64);
}

static void test_pack_and_back(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_close_ int from = make_dir(&dir, "from"), to = make_dir(&dir, "to");
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	cst_pack_options options = CST_PACK_OPTIONS_INIT;
	cst_apply_result result = CST_APPLY_RESULT_INIT;
	put(from, "a", "content of a");
	assert_int_equal(mkdirat(from, "d", 0700), 0);
	put(from, "d/b", "b");
	options.compression = CST_GZIP;
	assert_int_equal(cst_archive_pack(from, &sink, &options, NULL), 0);
	struct strbuf tar = {.data = memory.data, .len = memory.size};
	assert_int_equal(apply(to, &tar, NULL, &result, NULL), 0);
	assert_int_equal(result.compression, CST_GZIP);
	assert_int_equal(result.compressed_size, memory.size);
	expect(to, "a", "content of a");
	expect(to, "d/b", "b");
	_cleanup_(cst_changes_freep) cst_changes *changes = NULL;
	assert_int_equal(cst_archive_changes(from, to, NULL, &changes, NULL), 0);
	assert_int_equal(cst_changes_size(changes), 0);
	options.compression = CST_XZ;
	assert_int_equal(cst_archive_pack(from, &sink, &options, NULL), CST_ENOTSUP);
	assert_int_equal(cst_archive_pack(from, &sink, &(cst_pack_options){0}, NULL), CST_EINVAL);
	free(memory.data);
}

static void test_changes_and_diff(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_close_ int old = make_dir(&dir, "old"), new = make_dir(&dir, "new");
	_cleanup_(cst_changes_freep) cst_changes *changes = NULL, *all = NULL;
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	put(old, "gone", "x");
	put(old, "stays", "x");
	put(old, "other", "x");
	put(new, "stays", "x");
	put(new, "other", "longer");
	put(new, "added", "y");
	struct stat st;
	assert_int_equal(fstatat(old, "stays", &st, 0), 0);
	assert_int_equal(utimensat(new, "stays", (struct timespec[]){st.st_atim, st.st_mtim}, 0),
	                 0);

	assert_int_equal(cst_archive_changes(old, new, NULL, &changes, NULL), 0);
	assert_int_equal(cst_changes_size(changes), 3);
	assert_string_equal(cst_changes_path(changes, 0), "/added");
	assert_int_equal(cst_changes_kind(changes, 0), CST_ADD);
	assert_string_equal(cst_changes_path(changes, 1), "/gone");
	assert_int_equal(cst_changes_kind(changes, 1), CST_DELETE);
	assert_string_equal(cst_changes_path(changes, 2), "/other");
	assert_int_equal(cst_changes_kind(changes, 2), CST_MODIFY);
	assert_int_equal(cst_archive_changes(-1, new, NULL, &all, NULL), 0);
	assert_int_equal(cst_changes_size(all), 3);

	assert_int_equal(cst_archive_diff(old, new, &sink, NULL, NULL), 0);
	struct strbuf tar = {.data = memory.data, .len = memory.size};
	assert_int_equal(apply(old, &tar, NULL, NULL, NULL), 0);
	assert_false(fs_exists(old, "gone"));
	expect(old, "other", "longer");
	expect(old, "added", "y");
	free(memory.data);
}

static void test_diff_of_maps(void **state)
{
	_cleanup_test_dir_ struct test_dir dir = test_dir_make();
	_cleanup_close_ int from = make_dir(&dir, "from"), to = make_dir(&dir, "to");
	cst_idmap map = {.container_id = 0, .host_id = 70000, .size = 10};
	cst_pack_options pack = CST_PACK_OPTIONS_INIT;
	cst_apply_options options = CST_APPLY_OPTIONS_INIT;
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	struct stat st;
	if (geteuid() != 0)
		skip_because("not root");
	put(from, "a", "x");
	assert_int_equal(fchownat(from, "a", 70003, 70004, 0), 0);
	pack.uid_map = pack.gid_map = &map;
	pack.n_uid_map = pack.n_gid_map = 1;
	assert_int_equal(cst_archive_diff(-1, from, &sink, &pack, NULL), 0);
	struct strbuf tar = {.data = memory.data, .len = memory.size};
	assert_int_equal(apply(to, &tar, NULL, NULL, NULL), 0);
	assert_int_equal(fstatat(to, "a", &st, 0), 0);
	assert_int_equal(st.st_uid, 3);
	assert_int_equal(st.st_gid, 4);
	options.uid_map = options.gid_map = &map;
	options.n_uid_map = options.n_gid_map = 1;
	assert_int_equal(apply(to, &tar, &options, NULL, NULL), 0);
	assert_int_equal(fstatat(to, "a", &st, 0), 0);
	assert_int_equal(st.st_uid, 70003);
	free(memory.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_lock_excludes),
	        cmocka_unit_test(test_lock_between_processes),
	        cmocka_unit_test(test_lock_token),
	        cmocka_unit_test(test_lock_read_only),
	        cmocka_unit_test(test_lock_threads),
	        cmocka_unit_test(test_id_generate),
	        cmocka_unit_test(test_id_check),
	        cmocka_unit_test(test_id_index),
	        cmocka_unit_test(test_id_index_threads),
	        cmocka_unit_test(test_apply),
	        cmocka_unit_test(test_apply_in_use),
	        cmocka_unit_test(test_apply_overlay),
	        cmocka_unit_test(test_apply_refuses),
	        cmocka_unit_test(test_short_structs),
	        cmocka_unit_test(test_pack_and_back),
	        cmocka_unit_test(test_changes_and_diff),
	        cmocka_unit_test(test_diff_of_maps),
	};
	return cmocka_run_group_tests_name("public", tests, NULL, NULL);
}
