/* SPDX-License-Identifier: Apache-2.0 */
/* Announcements: what is written is what is read, also what an earlier release of ours wrote. */
#include "base/checksum.h"
#include "base/fs.h"
#include "store/change/journal.h"
#include "store/core/kind.h"
#include "unit/test.h"
#include <unistd.h>

/* A journal file with this JSON, as a process leaves it that dies after its announcement. */
static void leave_announcement(const char *root, const char *json)
{
	struct {
		char magic[8];
		uint64_t length, crc;
	} header = {.magic = "cstjrnl1", .length = strlen(json)};
	_cleanup_free_ char *dir = path_join(root, "cstorage");
	_cleanup_strbuf_ struct strbuf file = {0};
	_cleanup_close_ int fd = -1;

	header.crc = crc64_iso(0, json, strlen(json));
	memcpy(header.magic, "cstjrnl1", 8);
	strbuf_add(&file, &header, sizeof(header));
	strbuf_adds(&file, json);
	assert_int_equal(fs_mkdir_p(dir, 0700, NULL), 0);
	assert_int_equal(fs_open_dir(dir, &fd, NULL), 0);
	assert_int_equal(fs_write_file(fd, "layers.intent", file.data, file.len, 0600, NULL, NULL),
	                 0);
}

static int read_announcement(const char *root, struct intents *ret)
{
	struct journal journal = {0};
	int r = journal_init(&journal, root, kind_of(CST_KIND_LAYER), NULL);

	if (r == 0)
		r = journal_read(&journal, ret, NULL);
	journal_free(&journal);
	return r;
}

/* Before drivers named their content, the inode number was written as a number. */
static void test_content_inode(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_intents_ struct intents intents = {0};

	leave_announcement(t.path, "[{\"kind\":\"layer\",\"id\":\"a\",\"content-inode\":4711,"
	                           "\"tarsplit-inode\":12,\"record\":\"{}\"}]");
	assert_int_equal(read_announcement(t.path, &intents), 0);
	assert_int_equal(intents.len, 1);
	assert_string_equal(intents.items[0].content, "4711");
	assert_int_equal(intents.items[0].tarsplit_inode, 12);
	assert_string_equal(intents.items[0].record, "{}");
}

static void test_content(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_intents_ struct intents written = {0}, read = {0};
	struct journal journal = {0};

	intents_add(&written, &(struct intent){.kind = CST_KIND_LAYER,
	                                       .id = "a",
	                                       .content = "c0ffee-12.3",
	                                       .tarsplit_inode = 7,
	                                       .record = "{}"});
	intents_add(&written, &(struct intent){.kind = CST_KIND_LAYER, .id = "b"});
	assert_int_equal(journal_init(&journal, t.path, kind_of(CST_KIND_LAYER), NULL), 0);
	assert_int_equal(journal_begin(&journal, &written, NULL), 0);
	journal_free(&journal);
	assert_int_equal(read_announcement(t.path, &read), 0);
	assert_int_equal(read.len, 2);
	assert_string_equal(read.items[0].content, "c0ffee-12.3");
	assert_string_equal(read.items[1].content, "");
}

/* The text becomes part of a file name. */
static void test_bad_content(void **state)
{
	static const char *const bad[] = {"/", "../x", "a b", "a\\n"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_test_dir_ struct test_dir t = test_dir_make();
		_cleanup_intents_ struct intents intents = {0};
		_cleanup_free_ char *json = str_printf(
		        "[{\"kind\":\"layer\",\"id\":\"a\",\"content\":\"%s\"}]", bad[i]);

		leave_announcement(t.path, json);
		assert_int_equal(read_announcement(t.path, &intents), 0);
		assert_int_equal(intents.len, 0);
	}
}

static ino_t inode_of(const char *root)
{
	_cleanup_free_ char *path = path_join(root, "cstorage/layers.intent");
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* A file with the intents of a dead process is replaced as a whole: if its next writer dies while it
 * writes, they are still there. One that has the old file open notices. */
static void test_inherited_intents_are_never_torn(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_intents_ struct intents dead = {0}, ours = {0}, read = {0};
	struct journal first = {0}, second = {0};
	intents_add(&dead, &(struct intent){.kind = CST_KIND_LAYER, .id = "dead"});
	intents_add(&ours, &(struct intent){.kind = CST_KIND_LAYER, .id = "ours"});
	assert_int_equal(journal_init(&first, t.path, kind_of(CST_KIND_LAYER), NULL), 0);
	assert_int_equal(journal_init(&second, t.path, kind_of(CST_KIND_LAYER), NULL), 0);
	assert_int_equal(journal_begin(&first, &dead, NULL), 0);
	ino_t before = inode_of(t.path);
	assert_int_equal(journal_begin(&second, &ours, NULL), 0);
	assert_int_not_equal(inode_of(t.path), before);
	assert_int_equal(journal_read(&first, &read, NULL), 0);
	assert_int_equal(read.len, 2);
	before = inode_of(t.path);
	journal_end(&second);
	assert_int_not_equal(inode_of(t.path), before);
	intents_free(&read);
	assert_int_equal(journal_read(&first, &read, NULL), 0);
	assert_int_equal(read.len, 1);
	assert_string_equal(read.items[0].id, "dead");
	journal_free(&first);
	journal_free(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_content_inode),
	        cmocka_unit_test(test_content),
	        cmocka_unit_test(test_bad_content),
	        cmocka_unit_test(test_inherited_intents_are_never_torn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
