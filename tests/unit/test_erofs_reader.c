/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of composefs images: what the writer wrote, and images that somebody changed. */
#include "erofs/dump.h"
#include "test.h"
#include <cstorage/composefs.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char tree[] =
        "/ 0 40755 2 0 0 0 0.0 - - -\n"
        "/d 0 40700 2 5 6 0 1700000000.5 - - -\n"
        "/d/f 300000 100644 2 1000 1001 0 1700000000.0 "
        "b7/5d92cc14f0fce6f5c22a0c2568bd46f3ce5b4747eca9a8f61c8d5135d2abb2 - "
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef user.a=x\\x3dy\n"
        "/d/empty 0 100600 1 0 0 0 0.0 - - -\n"
        "/d/hl 0 @100644 2 0 0 0 0.0 /d/f - -\n"
        "/d/i 6 100644 1 0 0 0 0.0 - a\\x20b\\nc\\x00 - trusted.overlay.opaque=y user.a=x\\x3dy\n"
        "/d/s 4 120777 1 0 0 0 0.0 ../x - -\n"
        "/d/n 0 20666 1 0 0 259 0.0 - - -\n"
        "/d/w 0 20000 1 0 0 0 0.0 - - -\n"
        "/e 0 40755 2 0 0 0 0.0 - - -\n";

/* What composefs-info 1.0.8 says of its image. */
static const char said[] =
        "/ 4096 40755 4 0 0 0 0.0 - - -\n"
        "/d 123 40700 2 5 6 0 1700000000.5 - - - trusted.overlay.opaque=x user.overlay.opaque=x\n"
        "/d/empty 0 100600 1 0 0 0 0.0 - - -\n"
        "/d/f 300000 100644 2 1000 1001 0 1700000000.0 "
        "b7/5d92cc14f0fce6f5c22a0c2568bd46f3ce5b4747eca9a8f61c8d5135d2abb2 - "
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef user.a=x\\x3dy\n"
        "/d/hl 300000 @100644 2 1000 1001 0 1700000000.0 /d/f - "
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef user.a=x\\x3dy\n"
        "/d/i 6 100644 1 0 0 0 0.0 - a\\x20b\\nc\\x00 - trusted.overlay.opaque=y user.a=x\\x3dy\n"
        "/d/n 0 20666 1 0 0 259 0.0 - - -\n"
        "/d/s 4 120777 1 0 0 0 0.0 ../x - -\n"
        "/d/w 0 20000 1 0 0 0 0.0 - - -\n"
        "/e 27 40755 2 0 0 0 0.0 - - -\n";

struct sample {
	char *image;
	size_t size;
	int fd;
};

static struct sample sample_make(void)
{
	struct sample sample;
	cst_memory in = {.data = (char *)tree, .size = strlen(tree)}, out = {0};
	cst_source source = cst_source_memory(&in);
	cst_sink sink = cst_sink_memory(&out);
	assert_int_equal(cst_composefs_create(&source, &sink, NULL, NULL), 0);
	sample.image = out.data;
	sample.size = out.size;
	sample.fd = memfd_create("image", MFD_CLOEXEC);
	assert_true(sample.fd >= 0);
	return sample;
}

static void sample_free(struct sample *sample)
{
	free(sample->image);
	close(sample->fd);
}
#define _cleanup_sample_ _cleanup_(sample_free)

static void sample_write(const struct sample *sample)
{
	assert_int_equal(ftruncate(sample->fd, 0), 0);
	assert_int_equal(pwrite(sample->fd, sample->image, sample->size, 0), (ssize_t)sample->size);
}

static struct erofs_image *sample_open(const struct sample *sample)
{
	struct erofs_image *image = NULL;
	sample_write(sample);
	assert_int_equal(erofs_image_open(sample->fd, "sample", &image, NULL), 0);
	return image;
}

/* ---- what is in it ---- */

static void dump_is_that_of_composefs_info(void **state)
{
	_cleanup_sample_ struct sample sample = sample_make();
	cst_memory out = {0};
	cst_sink sink = cst_sink_memory(&out);
	sample_write(&sample);
	assert_int_equal(cst_composefs_dump(sample.fd, NULL, &sink, NULL, NULL), 0);
	assert_int_equal(sink.write(sink.userdata, "", 1, NULL), 0);
	assert_string_equal(out.data, said);
	free(out.data);
}

static void paths_are_found(void **state)
{
	static const struct {
		const char *path;
		int errnum;
		uint32_t mode;
	} rows[] = {
	        {"", 0, 040755},        {"/", 0, 040755},           {"//d/", 0, 040700},
	        {"/d/f", 0, 0100644},   {"d/hl", 0, 0100644},       {"/d/s", 0, 0120777},
	        {"/d/w", 0, 0100000},   {"/ab", 0, S_IFCHR | 0644}, {"/nosuch", ENOENT, 0},
	        {"/zz", ENOENT, 0},     {"/d/.", ENOENT, 0},        {"/d/../e", ENOENT, 0},
	        {"/d/f/x", ENOTDIR, 0}, {"/d/s/x", ENOTDIR, 0},
	};
	_cleanup_sample_ struct sample sample = sample_make();
	_cleanup_erofs_image_ struct erofs_image *image = sample_open(&sample);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_error_ cst_error *error = NULL;
		struct erofs_inode inode = {0};
		int r = erofs_image_find(image, rows[i].path, &inode, &error);
		assert_int_equal(r, rows[i].errnum ? CST_ESYS : 0);
		assert_int_equal(cst_error_errno(error), rows[i].errnum);
		assert_int_equal(inode.mode, rows[i].mode);
	}
}

static void entry_has_what_was_given(void **state)
{
	_cleanup_sample_ struct sample sample = sample_make();
	_cleanup_erofs_image_ struct erofs_image *image = sample_open(&sample);
	_cleanup_arena_ struct arena arena = {0};
	struct erofs_inode inode;
	struct erofs_entry entry;
	assert_int_equal(erofs_image_find(image, "/d/f", &inode, NULL), 0);
	assert_int_equal(erofs_image_entry(image, &inode, &arena, &entry, NULL), 0);
	assert_int_equal(entry.uid, 1000);
	assert_int_equal(entry.gid, 1001);
	assert_int_equal(entry.nlink, 2);
	assert_int_equal(entry.size, 300000);
	assert_int_equal(entry.mtime.tv_sec, 1700000000);
	assert_string_equal(entry.payload,
	                    "b7/5d92cc14f0fce6f5c22a0c2568bd46f3ce5b4747eca9a8f61c8d5135d2abb2");
	assert_int_equal(entry.digest[0], 0x01);
	assert_int_equal(entry.digest[31], 0xef);
	assert_int_equal(entry.n_xattrs, 1);
	assert_string_equal(entry.xattrs[0].name, "user.a");
	assert_memory_equal(entry.xattrs[0].value, "x=y", 4);
}

/* ---- layers ---- */

/* What is for overlay comes back as it was given; without `layer` it is not there. */
static void orders_for_overlay(void **state)
{
	static const char orders[] =
	        "/ 57 40755 3 0 0 0 0.0 - - -\n"
	        "/gone 0 20000 1 0 0 0 0.0 - - -\n"
	        "/op 44 40755 2 0 0 0 0.0 - - - trusted.overlay.overlay.x=1 user.a=b "
	        "trusted.overlay.opaque=y\n"
	        "/op/above 0 100644 1 0 0 0 0.0 - - - trusted.overlay.opaque=y\n";
	static const char content[] =
	        "/ 57 40755 3 0 0 0 0.0 - - -\n"
	        "/op 44 40755 2 0 0 0 0.0 - - - trusted.overlay.overlay.x=1 user.a=b\n"
	        "/op/above 0 100644 1 0 0 0 0.0 - - - trusted.overlay.opaque=y\n";
	cst_composefs_options options = CST_COMPOSEFS_OPTIONS_INIT;
	cst_memory in = {.data = (char *)orders, .size = strlen(orders)}, out = {0};
	struct sample sample = {.fd = memfd_create("image", MFD_CLOEXEC)};
	cst_source source = cst_source_memory(&in);
	cst_sink sink = cst_sink_memory(&out);
	options.layer = true;
	assert_int_equal(cst_composefs_create(&source, &sink, &options, NULL), 0);
	sample.image = out.data;
	sample.size = out.size;
	_cleanup_erofs_image_ struct erofs_image *image = sample_open(&sample);
	for (int layer = 0; layer < 2; layer++) {
		const char *expected = layer ? orders : content;
		out = (cst_memory){0};
		options.layer = layer;
		assert_int_equal(cst_composefs_dump(sample.fd, NULL, &sink, &options, NULL), 0);
		assert_int_equal(sink.write(sink.userdata, "", 1, NULL), 0);
		assert_string_equal(out.data, expected);
		free(out.data);
	}
	sample_free(&sample);
}

/* ---- what somebody changed ---- */

/* The message of the whole dump, which must fail as damage. */
static void assert_damaged(const struct sample *sample, const char *message)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_erofs_image_ struct erofs_image *image = NULL;
	cst_memory out = {0};
	cst_sink sink = cst_sink_memory(&out);
	sample_write(sample);
	int r = erofs_image_open(sample->fd, "sample", &image, &error);
	if (r == 0)
		r = dump_write(image, "", false, &sink, &error);
	free(out.data);
	if (r != CST_ECORRUPT)
		fail_msg("%s: %d", message, r);
	_cleanup_free_ char *whole = str_printf("composefs image sample: %s", message);
	assert_string_equal(cst_error_message(error), whole);
}

static void put16(struct sample *sample, size_t at, uint16_t value)
{
	memcpy(sample->image + at, &value, sizeof(value));
}

static void put32(struct sample *sample, size_t at, uint32_t value)
{
	memcpy(sample->image + at, &value, sizeof(value));
}

static void put64(struct sample *sample, size_t at, uint64_t value)
{
	memcpy(sample->image + at, &value, sizeof(value));
}

static void super_block(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		const char *message;
	} rows[] = {
	        {0, 1, "it does not begin as one"},
	        {1024, 1, "it does not begin as one"},
	        {4, 2, "it has features that are not known"},
	        {1024 + 80, 4, "it has features that are not known"},
	        {1024 + 12, 36 << 16 | 13, "it has features that are not known"},
	        {1024 + 12, 0xffff000c, "it refers to something behind its end"},
	        {1024 + 40, 0x7fffffff, "it refers to something behind its end"},
	        {1024 + 44, 0x7fffffff, "it refers to something behind its end"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_sample_ struct sample sample = sample_make();
		put32(&sample, rows[i].at, rows[i].value);
		assert_damaged(&sample, rows[i].message);
	}
}

static size_t inode_at(const struct sample *sample, const char *path)
{
	_cleanup_erofs_image_ struct erofs_image *image = sample_open(sample);
	struct erofs_inode inode;
	assert_int_equal(erofs_image_find(image, path, &inode, NULL), 0);
	return inode.slot * EROFS_SLOT;
}

static struct erofs_inode inode_of(const struct sample *sample, const char *path)
{
	_cleanup_erofs_image_ struct erofs_image *image = sample_open(sample);
	struct erofs_inode inode;
	assert_int_equal(erofs_image_find(image, path, &inode, NULL), 0);
	return inode;
}

static void inodes(void **state)
{
	static const struct {
		const char *path;
		size_t at; /* in the inode */
		uint16_t value;
		const char *message;
	} rows[] = {
	        {"/d/f", 0, 1 << 1 | 1, "an inode has data of a kind that is not known"},
	        {"/d", 0, 4 << 1 | 1, "an inode has data of a kind that is not known"},
	        {"/d/empty", 4, 0, "an inode has a type that no file has"},
	        {"/d/s", 8, 0, "a symlink has a target that none can have"},
	        {"/d/s", 8, 5000, "a symlink or a file in it is too large"},
	        {"/d/i", 8, 6000, "a symlink or a file in it is too large"},
	        {"/d/i", 2, 0xffff, "it refers to something behind its end"},
	        {"/d/empty", 2, 0xffff, "an attribute has a name that none can have"},
	        {"/e", 10, 0xffff, "a directory is larger than the image"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_sample_ struct sample sample = sample_make();
		put16(&sample, inode_at(&sample, rows[i].path) + rows[i].at, rows[i].value);
		assert_damaged(&sample, rows[i].message);
	}
	/* So many attributes that the content begins 4 bytes before the end of a block. */
	_cleanup_sample_ struct sample sample = sample_make();
	size_t before =
	        inode_of(&sample, "/d/i").xattrs_at % EROFS_BLOCK + sizeof(struct erofs_xattrs);
	put16(&sample, inode_at(&sample, "/d/i") + 2,
	      (uint16_t)((EROFS_BLOCK - 4 - before) / 4 + 1));
	assert_damaged(&sample, "data behind an inode are in two blocks");
}

/* /d is behind its inode: its entries, then its names "." ".." "empty" "f" ... */
static void directories(void **state)
{
	static const struct {
		unsigned entry, field; /* 0: the inode, 8: where the name is */
		uint64_t value;
		const char *message;
	} rows[] = {
	        {2, 0, 36, "a directory is in two places"},
	        {2, 0, UINT64_MAX, "it refers to something behind its end"},
	        {2, 0, UINT64_MAX / EROFS_SLOT + 37, "it refers to something behind its end"},
	        {0, 8, 0, "a directory has names in the wrong place"},
	        {0, 8, 13, "a directory has names in the wrong place"},
	        {0, 8, 12 * 300, "a directory has names in the wrong place"},
	        {3, 8, 0, "a directory has names in the wrong place"},
	        {3, 8, 4000, "a directory has names in the wrong place"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_sample_ struct sample sample = sample_make();
		size_t at = inode_of(&sample, "/d").tail_at + rows[i].entry * 12 + rows[i].field;
		if (rows[i].field == 0)
			put64(&sample, at, rows[i].value);
		else
			put16(&sample, at, (uint16_t)rows[i].value);
		assert_damaged(&sample, rows[i].message);
	}
}

static void names(void **state)
{
	static const struct {
		const char *from, *to, *message;
	} rows[] = {
	        {"empty", "em/ty", "a directory has a name that no file can have"},
	        {"empty", "zmpty", "the names of a directory are in the wrong order"},
	        {"empty", "\0mpty", "a directory has a name that no file can have"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_sample_ struct sample sample = sample_make();
		char *name = memmem(sample.image, sample.size, rows[i].from, strlen(rows[i].from));
		assert_non_null(name);
		memcpy(name, rows[i].to, strlen(rows[i].from));
		assert_damaged(&sample, rows[i].message);
	}
}

static void attributes(void **state)
{
	static const struct {
		size_t at; /* behind the head of the attributes of /d/f */
		uint32_t value;
		const char *message;
	} rows[] = {
	        {0, 0x3fffffff, "it refers to something behind its end"}, /* the shared user.a */
	        {4, 0xffff0410, "an attribute is not whole"},
	        {4, 0x00000980, "an attribute is not whole"},
	        {4, 0x000007ff, "an attribute is not whole"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_sample_ struct sample sample = sample_make();
		put32(&sample, inode_of(&sample, "/d/f").xattrs_at + 12 + rows[i].at,
		      rows[i].value);
		assert_damaged(&sample, rows[i].message);
	}
	_cleanup_sample_ struct sample sample = sample_make();
	sample.image[inode_of(&sample, "/d/f").xattrs_at + 4] = (char)255;
	assert_damaged(&sample, "an attribute is not whole");
}

/* Many directories whose entries are the same bytes: without a limit the walk would take their number times their length. */
static void directories_that_overlap(void **state)
{
	_cleanup_sample_ struct sample sample = sample_make();
	put32(&sample, inode_at(&sample, "/d") + 8, (uint32_t)sample.size);
	put32(&sample, inode_at(&sample, "/d") + 16, 0);
	assert_damaged(&sample, "its directories are larger than itself");
}

static void cut(void **state)
{
	_cleanup_sample_ struct sample sample = sample_make();
	size_t whole = sample.size;
	for (sample.size = 0; sample.size < whole; sample.size += 32) {
		_cleanup_error_ cst_error *error = NULL;
		cst_memory out = {0};
		cst_sink sink = cst_sink_memory(&out);
		sample_write(&sample);
		int r = cst_composefs_dump(sample.fd, NULL, &sink, NULL, &error);
		if (r == 0) {
			assert_int_equal(out.size, strlen(said));
			assert_memory_equal(out.data, said, out.size);
		} else {
			assert_int_equal(r, CST_ECORRUPT);
		}
		free(out.data);
	}
}

static void no_regular_file(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	struct erofs_image *image = NULL;
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(erofs_image_open(pipe_fds[0], "pipe", &image, &error), CST_ECORRUPT);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(dump_is_that_of_composefs_info),
	        cmocka_unit_test(paths_are_found),
	        cmocka_unit_test(entry_has_what_was_given),
	        cmocka_unit_test(orders_for_overlay),
	        cmocka_unit_test(super_block),
	        cmocka_unit_test(inodes),
	        cmocka_unit_test(directories),
	        cmocka_unit_test(names),
	        cmocka_unit_test(attributes),
	        cmocka_unit_test(directories_that_overlap),
	        cmocka_unit_test(cut),
	        cmocka_unit_test(no_regular_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
