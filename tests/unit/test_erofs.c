/* SPDX-License-Identifier: Apache-2.0 */
/* composefs images. The digests are those of what mkcomposefs 1.0.8 makes of the same dump (docs/format/chunked.md, "Test vectors");
 * tests/interop/composefs.sh compares with the program itself where there is one. */
#include "base/digest.h"
#include "test.h"
#include <cstorage/composefs.h>

#define ROOT "/ 0 40755 2 0 0 0 0.0 - - -\n"

static char *create(const char *dump, size_t *ret_size, cst_error **error)
{
	cst_memory in = {.data = (char *)dump, .size = strlen(dump)}, out = {0};
	cst_source source = cst_source_memory(&in);
	cst_sink sink = cst_sink_memory(&out);
	if (cst_composefs_create(&source, &sink, NULL, error) < 0) {
		free(out.data);
		return NULL;
	}
	*ret_size = out.size;
	return out.data;
}

static void assert_digest(const char *name, const char *dump, const char *expected)
{
	_cleanup_error_ cst_error *error = NULL;
	char digest[DIGEST_TEXT_MAX];
	size_t size;
	_cleanup_free_ char *image = create(dump, &size, &error);
	if (!image)
		fail_msg("%s: %s", name, cst_error_message(error));
	assert_int_equal(digest_buffer(DIGEST_SHA256, image, size, digest, NULL), 0);
	if (!streq(digest_hex(digest), expected))
		fail_msg("%s: the image has the digest %s", name, digest);
}

/* ---- vectors ---- */

static const struct {
	const char *name, *dump, *digest;
} vectors[] = {
        {"one of each type",
         ROOT "/d 0 40700 2 5 6 0 1700000000.5 - - -\n"
              "/d/f 300000 100644 2 1000 1001 0 1700000000.0 "
              "b7/5d92cc14f0fce6f5c22a0c2568bd46f3ce5b4747eca9a8f61c8d5135d2abb2 - - "
              "user.a=x\\x3dy\n"
              "/d/empty 0 100600 1 0 0 0 0.0 - - -\n"
              "/d/hl 0 @100644 2 0 0 0 0.0 /d/f - -\n"
              "/d/s 4 120777 1 0 0 0 0.0 ../x - -\n"
              "/d/n 0 20666 1 0 0 259 0.0 - - -\n"
              "/d/w 0 20000 1 0 0 0 0.0 - - -\n",
         "1a88cad3517d5f64218404398b319aed480684e134a8b6c5d7d09d8ed3343db1"},
        {"nothing", ROOT, "c3dc5b0fc4afb0693a95e017fe5815e1f88f204d485df617541b5ea659aefb8b"},
        {"content, digest, fifo, socket, block device",
         ROOT "/i 6 100644 1 0 0 0 0.0 - a\\x20b\\n\\x00c -\n"
              "/v 4096 104755 1 70000 0 0 1.1 aa/bb - "
              "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
              "/p 0 10600 1 0 0 0 0.0 - - -\n"
              "/k 0 140600 1 0 0 0 0.0 - - -\n"
              "/b 0 60600 1 0 0 2049 -7.9 - - -\n",
         "4732609cbafdb470d8a78d30e767ecaedd8d61a1bd35c9635b6850b916309660"},
        {"what overlay says is content",
         ROOT
         "/o 0 40755 2 0 0 0 0.0 - - - trusted.overlay.opaque=y user.overlay.opaque=y\n"
         "/o/m 0 100644 1 0 0 0 0.0 - - - trusted.overlay.overlay.metacopy= user.overlay.x=1\n",
         "e080080dd4aded4b826a681e665e5ccfc1ad9f0be4c69e72f61071fe0f564843"},
        {"whiteouts, and hidden names that are there",
         "/ 0 40755 2 1 2 0 9.9 - - - security.selinux=root\\x00\n"
         "/ab 0 40755 2 0 0 0 0.0 - - -\n"
         "/ab/w 7 20600 1 0 0 0 0.0 - - - user.a=b\n"
         "/00 0 20600 1 0 0 0 0.0 - - -\n"
         "/l 0 @100644 1 0 0 0 0.0 /ab/w - -\n",
         "137f1cae8efbbb0b0c2f1b429c5a9c39b25fe43d55ac89b980736e09d3baa984"},
        {"shared attributes, and a POSIX ACL",
         ROOT "/a 0 100644 1 0 0 0 0.0 - - - user.x=1 user.y=2 system.posix_acl_access=acl odd=\n"
              "/b 0 100644 1 0 0 0 0.0 - - - user.x=1 user.y=3 odd= security.capability=cap\n"
              "/c 0 100644 1 0 0 0 0.0 - - - user.x=1 user.y=2 "
              "user.a-name-of-more-than-sixteen-bytes=z\n",
         "5d363482ac894391bbd42572f34caf7c294c5d862e7b32faef01acbc3c63188e"},
        {"names around . and ..",
         ROOT "/... 0 100644 1 0 0 0 0.0 - - -\n/.- 0 100644 1 0 0 0 0.0 - - -\n"
              "/\\x01 0 100644 1 0 0 0 0.0 - - -\n/\\xff\\x20\\\\ 0 100644 1 0 0 0 0.0 - - -\n"
              "/..- 0 100644 1 0 0 0 0.0 - - -\n/- 0 100644 1 0 0 0 0.0 - - -\n",
         "fd8c49b74320f8289ea1233545d22232fb16fb8bf3d7ca4abd86e4d3a2261463"},
        {"a hard link to a hard link",
         ROOT "/z 0 @100644 3 0 0 0 0.0 /y - -\n"
              "/y 0 @100644 3 0 0 0 0.0 //x - -\n"
              "/x 3 100644 3 0 0 0 0.0 - abc -\n",
         "0e2d75ad54ee01ac1027a77461ee9ce9e8507642f5833912d8b38b720c056134"},
        {"no newline at the end", ROOT "/x 3 100644 3 0 0 0 0.0 - abc -",
         "ff756f7fb3e6ab7dbb19c0903753389d23dbcb49e966a48377faba162f515bad"},
};

static void vector_images(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		assert_digest(vectors[i].name, vectors[i].dump, vectors[i].digest);
}

/* ---- what is made by a loop ---- */

static void large_directory(struct strbuf *dump)
{
	for (int i = 0; i < 3000; i++)
		strbuf_addf(dump, "/file-%d 0 100644 1 0 0 0 0.0 - - -\n", (i * 1009) % 3000);
}

static void deep_tree(struct strbuf *dump)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	for (int i = 0; i < 600; i++) {
		strbuf_adds(&path, "/dir");
		strbuf_addf(dump, "%s 0 40755 2 %d 0 0 %d.0 - - -\n", path.data, i * 200, i % 3);
	}
}

/* Behind an inode: at every place of a block, and what does not fit there. */
static void symlinks(struct strbuf *dump)
{
	for (int i = 1; i < 4096; i += 37)
		strbuf_addf(dump, "/s%d 0 120777 1 0 0 0 0.0 %0*d - -\n", i, i, 0);
}

static void contents(struct strbuf *dump)
{
	for (int i = 1; i <= 5000; i += i < 2000 ? 71 : 119)
		strbuf_addf(dump, "/c%d %d 100644 1 0 0 0 %d.0 - %0*d -\n", i, i, i % 2, i, 0);
}

static void sizes(struct strbuf *dump)
{
	for (int bits = 0; bits <= 53; bits++)
		for (int more = bits == 53 ? -1 : 0; more <= (bits == 53 ? 0 : 1); more++)
			strbuf_addf(dump, "/f%d-%d %llu 100644 1 0 0 0 0.%d o/%d - -\n", bits,
			            more + 1, (1ULL << bits) + (unsigned long long)(long long)more,
			            bits % 2, bits);
}

static void attributes(struct strbuf *dump)
{
	for (int i = 0; i < 40; i++) {
		strbuf_addf(dump, "/f%d 0 100644 1 0 0 0 0.0 - - -", i);
		for (int k = 0; k < 6 * i; k++)
			strbuf_addf(dump, " user.%d=%d", k, k % 5 == 0 ? i : k);
		strbuf_addc(dump, '\n');
	}
}

static const struct {
	const char *name;
	void (*add)(struct strbuf *dump);
	const char *digest;
} loops[] = {
        {"a directory of many blocks", large_directory,
         "2855e82f9329d6831af0f2256977b752a1cc83a894beba946e66d393e7d8c265"},
        {"a deep tree", deep_tree,
         "00d3d1431d25f29bd9c454843e6b5c0ae10bc1f93708ad814bfd804cba651980"},
        {"symlinks of all lengths", symlinks,
         "645dce1d1ea81845b08b4c5d5400b9fed0e24111a77eb8d23983efe1e3e9b7c0"},
        {"contents of all lengths", contents,
         "8963a519c7d3cf11f4742b9bb5acf95de4ab4d66ff92ac2d4acbb56f1d1a02bc"},
        {"files of all sizes", sizes,
         "993828a0b595a93da6eb934a912fecc27d85098eb30daeb8a543530fbc5ed63c"},
        {"many attributes", attributes,
         "8541fc99c79d761fd34f79a4145ecf0adc121a047eb3e3bcffe7100452ceeea0"},
};

static void loop_images(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(loops); i++) {
		_cleanup_strbuf_ struct strbuf dump = {0};
		strbuf_adds(&dump, ROOT);
		loops[i].add(&dump);
		assert_digest(loops[i].name, dump.data, loops[i].digest);
	}
}

/* ---- the same tree ---- */

/* Directories sort what they have, so the order of their entries does not count. */
static void order_of_lines(void **state)
{
	size_t a_size, b_size;
	_cleanup_free_ char *a =
	        create(ROOT "/a 0 40755 2 0 0 0 0.0 - - -\n/a/x 0 100644 1 0 0 0 0.0 - - -\n"
	                    "/a/y 1 100644 1 0 0 0 0.0 - y -\n/b 0 10644 1 0 0 0 0.0 - - -\n",
	               &a_size, NULL);
	_cleanup_free_ char *b =
	        create(ROOT "/b 0 10644 1 0 0 0 0.0 - - -\n//a 0 40755 2 0 0 0 0.0 - - -\n"
	                    "/a//y 1 100644 1 0 0 0 0.0 - y -\na/x 0 100644 1 0 0 0 0.0 - - -\n",
	               &b_size, NULL);
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(a_size, b_size);
	assert_memory_equal(a, b, a_size);
}

struct pieces {
	const char *text;
	size_t at, size;
};

static int64_t read_byte(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct pieces *pieces = userdata;
	if (pieces->at == pieces->size)
		return 0;
	*(char *)buffer = pieces->text[pieces->at++];
	return 1;
}

static void byte_by_byte(void **state)
{
	struct pieces pieces = {vectors[0].dump, 0, strlen(vectors[0].dump)};
	cst_source source = {read_byte, &pieces};
	cst_memory out = {0};
	cst_sink sink = cst_sink_memory(&out);
	size_t size;
	_cleanup_free_ char *whole = create(vectors[0].dump, &size, NULL);
	assert_int_equal(cst_composefs_create(&source, &sink, NULL, NULL), 0);
	assert_int_equal(out.size, size);
	assert_memory_equal(out.data, whole, size);
	free(out.data);
}

/* What would take hours if the time grew with the square of it. */
static void hostile_shapes(void **state)
{
	_cleanup_strbuf_ struct strbuf links = {0}, names = {0}, attributes_of = {0};
	size_t size;
	strbuf_adds(&links, ROOT);
	for (int i = 0; i < 200000; i++)
		strbuf_addf(&links, "/%d 0 @100644 1 0 0 0 0.0 /%d - -\n", i, i + 1);
	strbuf_adds(&links, "/200000 0 100644 1 0 0 0 0.0 - - -\n");
	strbuf_adds(&names, ROOT);
	for (int i = 400000; i-- > 0;)
		strbuf_addf(&names, "/%06d 0 100644 1 0 0 0 0.0 - - -\n", i);
	strbuf_adds(&attributes_of, ROOT);
	for (int i = 0; i < 300; i++) {
		strbuf_addf(&attributes_of, "/%d 0 100644 1 0 0 0 0.0 - - -", i);
		for (int k = 3000; k-- > 0;)
			strbuf_addf(&attributes_of, " %x=", k);
		strbuf_addc(&attributes_of, '\n');
	}
	const struct strbuf *dumps[] = {&links, &names, &attributes_of};
	for (size_t i = 0; i < ARRAY_SIZE(dumps); i++) {
		_cleanup_free_ char *image = create(dumps[i]->data, &size, NULL);
		assert_non_null(image);
	}
}

/* ---- what is refused ---- */

#define DIGEST64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static const struct {
	const char *dump, *message;
} refused[] = {
        {"", "composefs image: there is no root directory"},
        {"/a 0 100644 1 0 0 0 0.0 - - -\n",
         "line 1 of the dump: composefs image: \"/a\" comes before its directory"},
        {"/ 0 100644 1 0 0 0 0.0 - - -\n",
         "line 1 of the dump: composefs image: \"/\" is no directory"},
        {ROOT ROOT, "line 2 of the dump: composefs image: \"/\" is there twice"},
        {ROOT "\n", "line 2 of the dump: the size is missing"},
        {ROOT "/a/b 0 100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: composefs image: \"/a/b\" comes before its directory"},
        {ROOT "/a 0 100644 1 0 0 0 0.0 - - -\n/a/b 0 100644 1 0 0 0 0.0 - - -\n",
         "line 3 of the dump: composefs image: \"/a/b\" is below something that is no directory"},
        {ROOT "/.. 0 100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: composefs image: \"/..\" has no name that a file can have"},
        {ROOT "/a/ 0 100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: composefs image: \"/a/\" has no name that a file can have"},
        {ROOT " 0 100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: composefs image: \"\" has no name that a file can have"},
        {ROOT "/a\\x00b 0 100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: the path has a NUL byte"},
        {ROOT "/a\\q 0 100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: the path has an escape that is none"},
        {ROOT "/a\\x0 0 100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: the path has an escape that is none"},
        {ROOT "/a 0 644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: composefs image: \"/a\" has a type that no file has"},
        {ROOT "/a 0 100648 1 0 0 0 0.0 - - -\n", "line 2 of the dump: the mode is none"},
        {ROOT "/a -1 100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: the size is no number that it can be"},
        {ROOT "/a 0 100644 1 4294967296 0 0 0.0 - - -\n",
         "line 2 of the dump: the uid is no number that it can be"},
        {ROOT "/a 0 100644 1 0 0 0 0 - - -\n", "line 2 of the dump: the time is none"},
        {ROOT "/a 0 100644 1 0 0 0 0.1000000000 - - -\n", "line 2 of the dump: the time is none"},
        {ROOT "/a 3 100644 1 0 0 0 0.0 - ab -\n",
         "line 2 of the dump: the content has not as many bytes as the size says"},
        {ROOT "/a 3 100644 1 0 0 0 0.0 - -\n", "line 2 of the dump: the digest is missing"},
        {ROOT "/a 3 100644 1 0 0 0 0.0 - - " DIGEST64 "\n",
         "line 2 of the dump: the digest is no SHA-256"},
        {ROOT "/a 3 100644 1 0 0 0 0.0 - - " DIGEST64 "g\n",
         "line 2 of the dump: the digest is no SHA-256"},
        {ROOT "/a 0 100644 1 0 0 0 0.0 - - - user.a\n",
         "line 2 of the dump: the attribute has no \"=\""},
        {ROOT "/a 0 100644 1 0 0 0 0.0 - - - =a\n",
         "line 2 of the dump: composefs image: \"/a\" has an attribute whose name is empty or too "
         "long"},
        {ROOT "/a 0 120777 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: composefs image: \"/a\" is a symlink without a target"},
        {ROOT "/a 9007199254740993 100644 1 0 0 0 0.0 o - -\n",
         "line 2 of the dump: composefs image: \"/a\" is larger than an image can say"},
        {ROOT "/a 0 @40755 1 0 0 0 0.0 / - -\n",
         "line 2 of the dump: composefs image: \"/a\" is a hard link to a directory"},
        {ROOT "/a 0 @100644 1 0 0 0 0.0 - - -\n",
         "line 2 of the dump: the payload of a hard link is missing"},
        {ROOT "/a 0 @100644 1 0 0 0 0.0 / - -\n",
         "composefs image: \"/a\" is a hard link to a directory"},
        {ROOT "/a 0 @100644 1 0 0 0 0.0 /b - -\n",
         "composefs image: \"/a\" is a hard link to \"/b\", which is not there"},
        {ROOT "/a 0 @100644 1 0 0 0 0.0 /a - -\n",
         "composefs image: \"/a\" is a hard link to \"/a\", which leads in a circle"},
        {ROOT "/a 0 @100644 1 0 0 0 0.0 /b - -\n/b 0 @100644 1 0 0 0 0.0 /a - -\n",
         "composefs image: \"/a\" is a hard link to \"/b\", which leads in a circle"},
};

static void refusals(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_error_ cst_error *error = NULL;
		size_t size;
		assert_null(create(refused[i].dump, &size, &error));
		assert_int_equal(cst_error_code(error), CST_EINVAL);
		assert_string_equal(cst_error_message(error), refused[i].message);
	}
}

static void lengths(void **state)
{
	static const struct {
		const char *format;
		int most;
	} limits[] = {
	        {ROOT "/%0*d 0 100644 1 0 0 0 0.0 - - -\n", 255},
	        {ROOT "/a 0 120777 1 0 0 0 0.0 %0*d - -\n", 4095},
	        {ROOT "/a 1 100644 1 0 0 0 0.0 %0*d - -\n", 4095},
	        {ROOT "/a 0 100644 1 0 0 0 0.0 - - - user.%0*d=v\n", 250},
	        {ROOT "/a 0 100644 1 0 0 0 0.0 - - - user.a=%0*d\n", 32767 - 12 - 7 - 6},
	};
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		for (int more = 0; more < 2; more++) {
			_cleanup_free_ char *dump =
			        str_printf(limits[i].format, limits[i].most + more, 0);
			size_t size;
			_cleanup_free_ char *image = create(dump, &size, NULL);
			assert_true((image == NULL) == (more == 1));
		}
}

/* A line without end takes no more memory than a line may. */
static int64_t read_forever(void *userdata, void *buffer, size_t size, cst_error **error)
{
	*(size_t *)userdata += size;
	memset(buffer, 'a', size);
	return (int64_t)size;
}

static void endless_line(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	size_t given = 0;
	cst_source source = {read_forever, &given};
	cst_memory out = {0};
	cst_sink sink = cst_sink_memory(&out);
	assert_int_equal(cst_composefs_create(&source, &sink, NULL, &error), CST_EINVAL);
	assert_string_equal(cst_error_message(error), "line 1 of the dump is too long");
	assert_true(given < 1 << 20);
	assert_null(out.data);
}

static int refuse_after(void *userdata, const void *data, size_t size, cst_error **error)
{
	size_t *left = userdata;
	if (size > *left)
		return cst_error_set(error, CST_EIO_CALLBACK, 0, "full");
	*left -= size;
	return 0;
}

static void failing_sink(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_memory in = {.data = (char *)vectors[0].dump, .size = strlen(vectors[0].dump)};
	size_t left = 100;
	cst_source source = cst_source_memory(&in);
	cst_sink sink = {refuse_after, &left};
	assert_int_equal(cst_composefs_create(&source, &sink, NULL, &error), CST_EIO_CALLBACK);
	assert_string_equal(cst_error_message(error), "full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(vector_images),  cmocka_unit_test(loop_images),
	        cmocka_unit_test(order_of_lines), cmocka_unit_test(byte_by_byte),
	        cmocka_unit_test(hostile_shapes), cmocka_unit_test(refusals),
	        cmocka_unit_test(lengths),        cmocka_unit_test(endless_line),
	        cmocka_unit_test(failing_sink),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
