/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/tarsplit/tarsplit.h"
#include "archive/unpack/unpack.h"
#include "tar_build.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define skip_unless_root()                          \
	do {                                        \
		if (geteuid() != 0)                 \
			skip_because("needs root"); \
	} while (0)

/* ---- running ---- */

struct run {
	struct test_dir dir;
	struct unpack_options options;
	struct unpack_result result;
	cst_error *error;
	int tarsplit;
};

static void run_open(struct run *run, enum unpack_whiteouts whiteouts)
{
	*run = (struct run){.dir = test_dir_make(),
	                    .tarsplit = memfd_create("tar-split", MFD_CLOEXEC)};
	run->options = (struct unpack_options){
	        .whiteouts = whiteouts,
	        .force_mask = -1,
	        .tarsplit_fd = run->tarsplit,
	};
}

static void run_close(struct run *run)
{
	unpack_result_free(&run->result);
	cst_error_free(run->error);
	closep(&run->tarsplit);
	test_dir_remove(&run->dir);
}
#define _cleanup_run_ _cleanup_(run_close)

static int unpack(struct run *run, const struct strbuf *tar)
{
	cst_memory memory = {.data = tar->data, .size = tar->len};
	cst_source source = cst_source_memory(&memory);

	unpack_result_free(&run->result);
	run->result = (struct unpack_result){0};
	cst_error_free(run->error);
	run->error = NULL;
	return unpack_layer(run->dir.fd, &source, &run->options, &run->result, &run->error);
}

static int open_content(void *userdata, const char *name, int64_t size, cst_error **error)
{
	return unpack_open_content(*(int *)userdata, name, size, error);
}

/* The tar-split and what was unpacked give the archive again, to the byte. */
static void expect_rebuilt(struct run *run, const struct strbuf *tar)
{
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);

	lseek(run->tarsplit, 0, SEEK_SET);
	assert_int_equal(tarsplit_reassemble(run->tarsplit,
	                                     &(struct tarsplit_reading){.open_file = open_content,
	                                                                .userdata = &run->dir.fd},
	                                     &sink, NULL),
	                 0);
	assert_int_equal(memory.size, tar->len);
	assert_memory_equal(memory.data, tar->data, tar->len);
	free(memory.data);
}

static void expect_unpacked(struct run *run, const struct strbuf *tar)
{
	if (unpack(run, tar) < 0)
		fail_msg("%s", cst_error_message(run->error));
	expect_rebuilt(run, tar);
}

static void expect_refused(struct run *run, const struct strbuf *tar, int code, const char *text)
{
	assert_int_equal(unpack(run, tar), code);
	assert_string_equal(cst_error_message(run->error), text);
}

static struct stat stat_of(const struct run *run, const char *name)
{
	struct stat st = {0};
	if (fstatat(run->dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fail_msg("%s: %s", name, strerror(errno));
	return st;
}

static bool is_opaque(const struct run *run, const char *name)
{
	_cleanup_close_ int fd = openat(run->dir.fd, name, O_RDONLY);
	char value[4];
	return fgetxattr(fd, "trusted.overlay.opaque", value, sizeof(value)) == 1 &&
	       value[0] == 'y';
}

/* ---- tests ---- */

static void test_kinds(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0}, records = {0};
	_cleanup_run_ struct run run;

	skip_unless_root();
	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	TAR_ADD(&tar, .name = "d/", .type = '5', .mode = 0750, .uid = 3, .mtime = 1500000000);
	pax_record(&records, "SCHILY.xattr.user.k", "a\0b", 3);
	pax_record(&records, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	pax_record(&records, "SCHILY.xattr.security.selinux", "x", 1);
	pax_record(&records, "mtime", "1400000000.25", 13);
	tar_add_pax(&tar, &records);
	TAR_ADD(&tar, .name = "d/f", .mode = 06755, .uid = 1000, .gid = 1001, .data = "data\n",
	        .len = 5);
	TAR_ADD(&tar, .name = "d/h", .type = '1', .link = "d/f", .mode = 0600, .mtime = 1300000000);
	TAR_ADD(&tar, .name = "d/s", .type = '2', .link = "/nowhere", .uid = 5);
	TAR_ADD(&tar, .name = "d/c", .type = '3', .major = 1, .minor = 3);
	TAR_ADD(&tar, .name = "d/p", .type = '6', .mode = 0622);
	TAR_ADD(&tar, .name = "i/j/k");
	tar_add_end(&tar);
	expect_unpacked(&run, &tar);

	struct stat st = stat_of(&run, "d");
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_uid, 3);
	assert_int_equal(st.st_mtim.tv_sec, 1500000000);
	st = stat_of(&run, "d/f"); /* the link's header came last */
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mtim.tv_sec, 1300000000);
	assert_int_equal(st.st_size, 5);
	st = stat_of(&run, "d/c");
	assert_int_equal(st.st_mode, S_IFCHR | 0644);
	assert_int_equal(st.st_rdev, makedev(1, 3));
	assert_int_equal(stat_of(&run, "d/p").st_mode, S_IFIFO | 0622);
	assert_int_equal(stat_of(&run, "d/s").st_uid, 5);
	assert_int_equal(stat_of(&run, "i/j").st_mode, S_IFDIR | 0755);
	assert_int_equal(run.result.content_size, 5);
	assert_int_equal(run.result.entries, 7);
	assert_int_equal(run.result.uids.len, 4);
	assert_int_equal(run.result.diff_size, tar.len);
	assert_string_equal(run.result.diff_digest, run.result.compressed_digest);

	char path[128], value[8];
	snprintf(path, sizeof(path), "%s/d/f", run.dir.path);
	assert_int_equal(getxattr(path, "user.k", value, sizeof(value)), 3);
	assert_int_equal(getxattr(path, "trusted.overlay.opaque", value, sizeof(value)), -1);
}

static void test_overlay_whiteouts(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_run_ struct run run;

	skip_unless_root();
	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	TAR_ADD(&tar, .name = ".wh.gone", .data = "body", .len = 4, .uid = 7);
	TAR_ADD(&tar, .name = "a", .type = '5', .mode = 0755);
	TAR_ADD(&tar, .name = "a/.wh..wh..opq");
	TAR_ADD(&tar, .name = ".wh.again");
	TAR_ADD(&tar, .name = "again/", .type = '5', .mode = 0755);
	TAR_ADD(&tar, .name = ".wh.parent");
	TAR_ADD(&tar, .name = "parent/new");
	TAR_ADD(&tar, .name = ".wh.moot");
	TAR_ADD(&tar, .name = "moot/.wh.x");
	TAR_ADD(&tar, .name = "kept", .data = "new", .len = 3);
	TAR_ADD(&tar, .name = ".wh.kept");
	TAR_ADD(&tar, .name = "kept/.wh.x");
	TAR_ADD(&tar, .name = "kept/.wh..wh..opq");
	TAR_ADD(&tar, .name = "keptdir/f");
	TAR_ADD(&tar, .name = ".wh.keptdir");
	TAR_ADD(&tar, .name = ".wh..wh.aufs");
	tar_add_end(&tar);
	expect_unpacked(&run, &tar);

	struct stat st = stat_of(&run, "gone");
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0 && st.st_uid == 7);
	assert_true(is_opaque(&run, "a") && is_opaque(&run, "again") && is_opaque(&run, "parent"));
	assert_true(S_ISCHR(stat_of(&run, "moot").st_mode));
	assert_true(S_ISREG(stat_of(&run, "kept").st_mode));
	assert_true(is_opaque(&run, "keptdir") && S_ISREG(stat_of(&run, "keptdir/f").st_mode));
	assert_false(fs_exists(run.dir.fd, ".wh.aufs"));
	assert_false(fs_exists(run.dir.fd, ".wh..wh.aufs"));
}

static void test_applied_whiteouts(void **state)
{
	_cleanup_strbuf_ struct strbuf base = {0}, tar = {0};
	_cleanup_run_ struct run run;

	run_open(&run, UNPACK_WHITEOUT_APPLY);
	run.options.ignore_chown_errors = true;
	const char *const lower[] = {"a/one", "a/sub/deep", "b/old", "b/sub/old",
	                             "c/old", "file",       "l/x"};
	for (size_t i = 0; i < ARRAY_SIZE(lower); i++)
		TAR_ADD(&base, .name = lower[i], .data = "old", .len = 3, .uid = geteuid(),
		        .gid = getegid());
	TAR_ADD(&base, .name = "link", .type = '2', .link = "l", .uid = geteuid(),
	        .gid = getegid());
	expect_unpacked(&run, &base);

	TAR_ADD(&tar, .name = ".wh.a", .data = "body", .len = 4);
	TAR_ADD(&tar, .name = "b/sub/new", .uid = geteuid(), .gid = getegid());
	TAR_ADD(&tar, .name = "b/.wh..wh..opq");
	TAR_ADD(&tar, .name = "c/.wh.old");
	TAR_ADD(&tar, .name = "c/.wh.never");
	TAR_ADD(&tar, .name = "no/such/.wh.x");
	TAR_ADD(&tar, .name = ".wh.link");
	TAR_ADD(&tar, .name = "link2", .type = '2', .link = "l", .uid = geteuid(),
	        .gid = getegid());
	TAR_ADD(&tar, .name = "file", .data = "newer", .len = 5, .uid = geteuid(),
	        .gid = getegid());
	TAR_ADD(&tar, .name = ".wh.file");
	lseek(run.tarsplit, 0, SEEK_SET);
	assert_int_equal(ftruncate(run.tarsplit, 0), 0);
	expect_unpacked(&run, &tar);
	assert_false(fs_exists(run.dir.fd, "a"));
	assert_false(fs_exists(run.dir.fd, "b/old"));
	assert_false(fs_exists(run.dir.fd, "b/sub/old"));
	assert_true(fs_exists(run.dir.fd, "b/sub/new"));
	assert_false(fs_exists(run.dir.fd, "c/old"));
	assert_true(fs_exists(run.dir.fd, "c"));
	assert_false(fs_exists(run.dir.fd, "no"));
	assert_false(fs_exists(run.dir.fd, "link"));
	assert_true(fs_exists(run.dir.fd, "l/x"));
	assert_int_equal(stat_of(&run, "file").st_size, 5);
}

static void refuse_one(const struct tar_entry *first, const struct tar_entry *second, int code,
                       const char *text)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_run_ struct run run;

	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	run.options.ignore_chown_errors = true;
	tar_add(&tar, first);
	if (second)
		tar_add(&tar, second);
	expect_refused(&run, &tar, code, text);
}
#define REFUSE(code, text, ...) refuse_one(&(struct tar_entry){__VA_ARGS__}, NULL, code, text)

static void test_refused(void **state)
{
	static const char duplicate[] = "duplicates of file paths not supported";
	static const struct tar_entry file = {.name = "p", .data = "x", .len = 1};

	REFUSE(CST_EARCHIVE, "invalid whiteout \"a/.wh.\"", .name = "a/.wh.");
	REFUSE(CST_EARCHIVE, "invalid whiteout \"a/.wh..\"", .name = "a/.wh..");
	REFUSE(CST_EARCHIVE, "invalid whiteout \".wh...\"", .name = ".wh...");
	REFUSE(CST_EARCHIVE, "open /: is a directory", .name = "a/..");
	REFUSE(CST_EARCHIVE, "open /: is a directory", .name = "");
	REFUSE(CST_EARCHIVE, "mknod /c: device number 4097:3 is out of range", .name = "c",
	       .type = '3', .major = 4097, .minor = 3);
	REFUSE(CST_ESYS, "link /h to t: no such file or directory", .name = "h", .type = '1',
	       .link = "t");
	REFUSE(CST_ESYS, "symlink  /s: no such file or directory", .name = "s", .type = '2');
	refuse_one(&file, &(struct tar_entry){.name = "p/x"}, CST_ESYS,
	           "open /p/x: not a directory");
	refuse_one(&file, &(struct tar_entry){.name = "./p"}, CST_EARCHIVE, duplicate);
	refuse_one(&file, &(struct tar_entry){.name = "/p"}, CST_EARCHIVE, duplicate);
	refuse_one(&file, &(struct tar_entry){.name = "/p", .type = '6'}, CST_EARCHIVE, duplicate);
	refuse_one(&file, &(struct tar_entry){.name = "/p", .type = '2', .link = "/etc/passwd"},
	           CST_EARCHIVE, duplicate);
	refuse_one(&file, &(struct tar_entry){.name = "cut", .size = "00000000010"}, CST_EARCHIVE,
	           "the tar ends early");
}

/* Nothing leaves the directory, and what is read back is what was written there. */
static void test_contained(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_run_ struct run run;
	char outside[] = "/var/tmp/cstorage-test-outside-XXXXXX";

	assert_non_null(mkdtemp(outside));
	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	run.options.ignore_chown_errors = true;
	TAR_ADD(&tar, .name = "../../up", .data = "1", .len = 1);
	TAR_ADD(&tar, .name = "/abs/file", .data = "2", .len = 1);
	TAR_ADD(&tar, .name = "root", .type = '2', .link = "/");
	TAR_ADD(&tar, .name = "root/through", .data = "3", .len = 1);
	TAR_ADD(&tar, .name = "back", .type = '2', .link = "../../../../../../abs");
	TAR_ADD(&tar, .name = "back/down", .data = "4", .len = 1);
	tar_add_end(&tar);
	expect_unpacked(&run, &tar);
	assert_true(fs_exists(run.dir.fd, "up") && fs_exists(run.dir.fd, "through") &&
	            fs_exists(run.dir.fd, "abs/down"));

	/* A link to a directory outside, as an absolute path that exists there only. */
	_cleanup_strbuf_ struct strbuf second = {0};
	_cleanup_free_ char *name = str_printf("out%s", "/evil");
	TAR_ADD(&second, .name = "out", .type = '2', .link = outside);
	TAR_ADD(&second, .name = name, .data = "5", .len = 1);
	_cleanup_run_ struct run other;
	run_open(&other, UNPACK_WHITEOUT_OVERLAY);
	other.options.ignore_chown_errors = true;
	assert_int_equal(unpack(&other, &second), CST_ESYS);
	assert_int_equal(rmdir(outside), 0); /* still empty */
}

static void test_open_content(void **state)
{
	_cleanup_run_ struct run run;
	_cleanup_error_ cst_error *error = NULL;

	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	assert_int_equal(fs_write_file(run.dir.fd, "f", "12345", 5, 0644, "f", NULL), 0);
	assert_int_equal(symlinkat("f", run.dir.fd, "s"), 0);
	assert_int_equal(mknodat(run.dir.fd, "p", S_IFIFO | 0600, 0), 0);
	_cleanup_close_ int fd = unpack_open_content(run.dir.fd, "../x/.././f", 5, NULL);
	assert_true(fd >= 0);
	assert_int_equal(unpack_open_content(run.dir.fd, "f", 4, NULL), -1);
	assert_int_equal(unpack_open_content(run.dir.fd, "s", 5, NULL), -1);
	assert_int_equal(unpack_open_content(run.dir.fd, "p", 0, NULL),
	                 -1); /* must not wait for a writer */
	assert_int_equal(unpack_open_content(run.dir.fd, "../../../../etc/passwd", 5, &error), -1);
	assert_int_equal(cst_error_errno(error), ENOENT);
}

/* A body that the archive itself takes away again is still given back. */
static void test_replaced_directory(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_run_ struct run run;

	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	run.options.ignore_chown_errors = true;
	TAR_ADD(&tar, .name = "before", .data = "b", .len = 1);
	TAR_ADD(&tar, .name = "n", .type = '5', .mode = 0755);
	TAR_ADD(&tar, .name = "n/x", .data = "lost?", .len = 5);
	TAR_ADD(&tar, .name = "n/deep/y", .data = "lost too?", .len = 9);
	TAR_ADD(&tar, .name = "/n", .data = "a file now", .len = 10);
	TAR_ADD(&tar, .name = "after", .data = "a", .len = 1);
	tar_add_end(&tar);
	expect_unpacked(&run, &tar);
	assert_int_equal(stat_of(&run, "n").st_size, 10);
	assert_int_equal(run.result.content_size, 12);
}

static void test_sparse(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0}, records = {0};
	_cleanup_run_ struct run run;
	static const char body[] = "headtail";

	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	run.options.ignore_chown_errors = true;
	pax_record(&records, "GNU.sparse.size", "1099511627776", 13);
	pax_record(&records, "GNU.sparse.numblocks", "2", 1);
	pax_record(&records, "GNU.sparse.map", "0,4,1099511627772,4", 19);
	tar_add_pax(&tar, &records);
	TAR_ADD(&tar, .name = "sp", .data = body, .len = 8);
	tar_add_end(&tar);
	expect_unpacked(&run, &tar);
	struct stat st = stat_of(&run, "sp");
	assert_int_equal(st.st_size, 1099511627776);
	assert_true(st.st_blocks < 100);
	_cleanup_close_ int fd = openat(run.dir.fd, "sp", O_RDONLY);
	char end[4];
	assert_int_equal(pread(fd, end, 4, 1099511627772), 4);
	assert_memory_equal(end, "tail", 4);
}

/* Many files of all sizes, and links to them while they are still being written. */
static void make_large(struct strbuf *tar)
{
	static char data[700000];
	char name[64], link[64];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 4096);
	for (unsigned i = 0; i < 600; i++) {
		size_t n = i % 50 == 49 ? sizeof(data) - i : i % 7 == 0 ? 0 : i * 37;
		snprintf(name, sizeof(name), "d%u/e%u/f%u", i % 5, i % 11, i);
		TAR_ADD(tar, .name = name, .mode = 0600 + i % 8, .mtime = 1500000000 + i,
		        .data = data, .len = n, .uid = geteuid(), .gid = getegid());
		if (i % 10 != 9)
			continue;
		snprintf(link, sizeof(link), "h%u", i);
		TAR_ADD(tar, .name = link, .type = '1', .link = name, .mode = 0640,
		        .mtime = 1400000000 + i, .uid = geteuid(), .gid = getegid());
	}
	tar_add_end(tar);
}

static void check_large(const struct run *run)
{
	char name[64];

	for (unsigned i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "d%u/e%u/f%u", i % 5, i % 11, i);
		struct stat st = stat_of(run, name);
		bool linked = i % 10 == 9;
		assert_int_equal(st.st_nlink, linked ? 2 : 1);
		assert_int_equal(st.st_mode & 07777, linked ? 0640 : 0600 + i % 8);
		assert_int_equal(st.st_mtim.tv_sec, linked ? 1400000000 + i : 1500000000 + i);
	}
}

static void test_parallel(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};

	make_large(&tar);
	for (unsigned workers = 0; workers < 5; workers++) {
		_cleanup_pool_ struct pool *pool = NULL;
		_cleanup_run_ struct run run;
		run_open(&run, UNPACK_WHITEOUT_OVERLAY);
		assert_int_equal(pool_new(workers, &pool, NULL), 0);
		run.options.pool = workers == 4 ? NULL : pool;
		run.options.sync = workers == 2;
		expect_unpacked(&run, &tar);
		check_large(&run);
	}
}

/* ---- errors and cancelling in the middle: everything ends, nothing leaks ---- */

struct failing_source {
	const struct strbuf *data;
	size_t at, fail_at;
};

static int64_t read_failing(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct failing_source *source = userdata;
	size_t n = MIN(size, source->data->len - source->at);

	n = n < 3000 ? n : 3000; /* as a pipe gives it */

	if (source->at >= source->fail_at)
		return error_set(error, CST_EIO_CALLBACK, "the source broke");
	memcpy(buffer, source->data->data + source->at, n);
	source->at += n;
	return (int64_t)n;
}

static void test_source_fails(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_pool_ struct pool *pool = NULL;

	make_large(&tar);
	assert_int_equal(pool_new(2, &pool, NULL), 0);
	for (size_t fail_at = 0; fail_at < tar.len; fail_at += tar.len / 7) {
		_cleanup_run_ struct run run;
		struct failing_source failing = {&tar, 0, fail_at};
		cst_source source = {read_failing, &failing};
		run_open(&run, UNPACK_WHITEOUT_OVERLAY);
		run.options.pool = pool;
		assert_int_equal(
		        unpack_layer(run.dir.fd, &source, &run.options, &run.result, &run.error),
		        CST_EIO_CALLBACK);
		assert_string_equal(cst_error_message(run.error), "the source broke");
	}
}

/* The first error in the order of the archive is the one reported, whatever ran first. */
static void test_first_error(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_pool_ struct pool *pool = NULL;

	TAR_ADD(&tar, .name = "p", .data = "x", .len = 1, .uid = geteuid(), .gid = getegid());
	TAR_ADD(&tar, .name = "p/first", .uid = geteuid(), .gid = getegid());
	make_large(&tar);
	TAR_ADD(&tar, .name = "never", .type = 'A');
	assert_int_equal(pool_new(3, &pool, NULL), 0);
	for (int i = 0; i < 5; i++) {
		_cleanup_run_ struct run run;
		run_open(&run, UNPACK_WHITEOUT_OVERLAY);
		run.options.pool = pool;
		expect_refused(&run, &tar, CST_ESYS, "open /p/first: not a directory");
	}
}

struct cancel {
	unsigned calls, at;
};

static int cancel_at(const cst_progress_state *progress, void *userdata)
{
	struct cancel *cancel = userdata;
	return ++cancel->calls == cancel->at;
}

static void test_cancel(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};

	make_large(&tar);
	for (unsigned at = 1; at < 8; at += 2) {
		_cleanup_run_ struct run run;
		struct cancel cancel = {.at = at};
		cst_progress progress = {cancel_at, &cancel};
		run_open(&run, UNPACK_WHITEOUT_OVERLAY);
		run.options.progress = &progress;
		assert_int_equal(unpack(&run, &tar), CST_ECANCELED);
		assert_int_equal(cancel.calls, at);
	}
}

/* ---- ids ---- */

static void test_id_maps(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_run_ struct run run;
	const cst_idmap range = {.container_id = 0, .host_id = 100000, .size = 10};
	struct idmaps maps = {0};

	skip_unless_root();
	assert_true(idmap_copy(&maps.uids, &range, 1) && idmap_copy(&maps.gids, &range, 1));
	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	run.options.maps = &maps;
	TAR_ADD(&tar, .name = "i/f", .uid = 3, .gid = 4);
	expect_unpacked(&run, &tar);
	assert_int_equal(stat_of(&run, "i/f").st_uid, 100003);
	assert_int_equal(stat_of(&run, "i/f").st_gid, 100004);
	assert_int_equal(stat_of(&run, "i").st_uid, 100000);
	assert_int_equal(run.result.uids.sorted[0], 3);
	TAR_ADD(&tar, .name = "i/g", .uid = 11);
	expect_refused(&run, &tar, CST_EINVAL, "container ID 11 cannot be mapped to a host ID");
	idmaps_free(&maps);
}

static void test_force_mask(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_run_ struct run run;
	char path[128], value[64];

	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	run.options.force_mask = 0700;
	TAR_ADD(&tar, .name = "./", .type = '5', .mode = 0711, .uid = 5, .gid = 6);
	TAR_ADD(&tar, .name = "f", .mode = 04755, .uid = 1000, .gid = 1001, .data = "x", .len = 1);
	TAR_ADD(&tar, .name = "c", .type = '3', .mode = 0666, .major = 1, .minor = 3);
	if (unpack(&run, &tar) < 0 && cst_error_errno(run.error) == EOPNOTSUPP)
		skip_because("no user xattrs on /var/tmp");
	expect_rebuilt(&run, &tar);
	assert_int_equal(stat_of(&run, "f").st_mode, S_IFREG | 0700);
	static const char *const wanted[][2] = {
	        {"", "5:6:0711:dir"}, {"/f", "1000:1001:4755:file"}, {"/c", "0:0:0666:char-1-3"}};
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		snprintf(path, sizeof(path), "%s%s", run.dir.path, wanted[i][0]);
		ssize_t n =
		        getxattr(path, "user.containers.override_stat", value, sizeof(value) - 1);
		assert_true(n > 0);
		value[n] = '\0';
		assert_string_equal(value, wanted[i][1]);
	}
}

/* Many small files in many directories, where the limit leaves ten descriptors more. */
static void test_few_descriptors(void **state)
{
	_cleanup_run_ struct run run;
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_pool_ struct pool *pool = NULL;
	struct rlimit old, few;
	char name[64];

	run_open(&run, UNPACK_WHITEOUT_OVERLAY);
	assert_int_equal(pool_new(4, &pool, NULL), 0);
	run.options.pool = pool;
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "d%d/e/f%d", i % 100, i);
		tar_add(&tar, &(struct tar_entry){.name = name, .data = "content", .len = 7});
	}
	tar_add_end(&tar);
	int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){.rlim_cur = (rlim_t)lowest + 10, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int r = unpack(&run, &tar);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	if (r < 0)
		fail_msg("%s", cst_error_message(run.error));
	expect_rebuilt(&run, &tar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_kinds),
	        cmocka_unit_test(test_overlay_whiteouts),
	        cmocka_unit_test(test_applied_whiteouts),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_contained),
	        cmocka_unit_test(test_open_content),
	        cmocka_unit_test(test_replaced_directory),
	        cmocka_unit_test(test_sparse),
	        cmocka_unit_test(test_parallel),
	        cmocka_unit_test(test_source_fails),
	        cmocka_unit_test(test_first_error),
	        cmocka_unit_test(test_cancel),
	        cmocka_unit_test(test_id_maps),
	        cmocka_unit_test(test_force_mask),
	        cmocka_unit_test(test_few_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
