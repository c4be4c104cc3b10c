/* SPDX-License-Identifier: Apache-2.0 */
/* TOCs, annotations and footers: those that skopeo 1.22 wrote, and forged ones. */
#include "archive/tar/tar.h"
#include "chunked/place.h"
#include "codec/compress.h"
#include "test.h"

#define D1    "sha256:33f0f2b578705b02bdd6ebcc155d2ee8b67eef25dd2f70080fdbad602d740bd3"
#define D2    "sha256:a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int parse_as(enum cst_toc_format format, const char *json, struct toc **ret,
                    cst_error **error)
{
	return toc_parse(strdup(json), strlen(json), format, 1000, ret, error);
}

/* The TOC of these entries; content ends at byte 1000 of the blob. */
static struct toc *toc_of(const char *entries)
{
	_cleanup_free_ char *json = str_printf("{\"version\":1,\"entries\":[%s]}", entries);
	_cleanup_error_ cst_error *error = NULL;
	struct toc *toc = NULL;
	if (parse_as(CST_TOC_ZSTD_CHUNKED, json, &toc, &error) < 0)
		fail_msg("%s", cst_error_message(error));
	return toc;
}

static void refuses_as(enum cst_toc_format format, int code, const char *json, const char *message)
{
	_cleanup_error_ cst_error *error = NULL;
	struct toc *toc = NULL;
	int r = parse_as(format, json, &toc, &error);
	assert_null(toc);
	assert_string_equal(cst_error_message(error), message);
	assert_int_equal(r, code);
	assert_int_equal(parse_as(format, json, &toc, NULL), code);
}

static void refuses(const char *entries, const char *message)
{
	_cleanup_free_ char *json = str_printf("{\"version\":1,\"entries\":[%s]}", entries);
	refuses_as(CST_TOC_ZSTD_CHUNKED, CST_EARCHIVE, json, message);
}

/* ---- what is read ---- */

static void test_fields(void **state)
{
	_cleanup_(toc_freep) struct toc *toc = toc_of(
	        "{\"type\":\"dir\",\"name\":\"./etc/"
	        "\",\"mode\":2541,\"uid\":1000,\"gid\":1001,\"modtime\":"
	        "\"1970-01-01T00:00:00Z\"},"
	        "{\"TYPE\":\"reg\",\"NAME\":\"./"
	        "f\",\"Mode\":420,\"size\":12,\"unknown\":{\"a\":[1]},"
	        "\"modtime\":\"2023-11-14T23:13:20.25+01:00\",\"accesstime\":\"2023-11-14T22:13:21."
	        "5Z\","
	        "\"xattrs\":{\"user.z\":\"YQ==\",\"user.a\":\"YmFyIGJheg==\",\"user.z\":\"\"},"
	        "\"digest\":\"" D2 "\",\"offset\":182,\"endOffset\":207},"
	        "{\"type\":\"reg\",\"name\":\"e\"},"
	        "{\"type\":\"symlink\",\"name\":\"l\",\"linkName\":\"../x \\u003c\"},"
	        "{\"type\":\"char\",\"name\":\"null\",\"devMajor\":1,\"devMinor\":3}");
	assert_int_equal(toc->n_entries, 5);
	const struct toc_entry *e = toc->entries;
	assert_int_equal(e[0].type, '5');
	assert_int_equal(e[0].mode, 04755);
	assert_int_equal(e[0].uid, 1000);
	assert_int_equal(e[0].gid, 1001);
	assert_true(e[0].mtime.known && e[0].mtime.sec == 0 && !e[0].atime.known);
	assert_int_equal(e[1].mtime.sec, 1700000000);
	assert_int_equal(e[1].mtime.nsec, 250000000);
	assert_int_equal(e[1].atime.sec, 1700000001);
	assert_int_equal(e[1].n_xattrs, 2);
	assert_string_equal(e[1].xattrs[0].name, "user.a");
	assert_int_equal(e[1].xattrs[0].len, 7);
	assert_memory_equal(e[1].xattrs[0].value, "bar baz", 7);
	assert_int_equal(e[1].xattrs[1].len, 0);
	assert_int_equal(e[1].n_chunks, 1);
	const struct toc_chunk *c = &toc->chunks[e[1].first_chunk];
	assert_int_equal(c->offset, 182);
	assert_int_equal(c->end, 207);
	assert_int_equal(c->size, 12);
	assert_true(c->exact && c->has_digest);
	char text[TOC_DIGEST_TEXT];
	toc_digest_format(c->digest, text);
	assert_string_equal(text, D2);
	toc_digest_format(e[2].digest, text);
	assert_string_equal(text, EMPTY);
	assert_int_equal(e[2].n_chunks, 0);
	assert_string_equal(e[3].linkname, "../x <");
	assert_int_equal(e[4].devmajor, 1);
	assert_int_equal(e[4].devminor, 3);
	assert_ptr_equal(toc_find_name(toc, "./f"), &e[1]);
	assert_null(toc_find_name(toc, "f"));
}

#define FIRST(rest)                                                                           \
	"{\"type\":\"reg\",\"name\":\"f\",\"size\":100,\"digest\":\"" D1 "\",\"offset\":200," \
	"\"endOffset\":230,\"chunkSize\":60,\"chunkDigest\":\"" D2 "\"}" rest
#define CHUNK(rest) ",{\"type\":\"chunk\",\"name\":\"f\",\"chunkDigest\":\"" D1 "\"" rest "}"

static void test_chunks(void **state)
{
	_cleanup_(toc_freep) struct toc *toc = toc_of(
	        "{\"type\":\"reg\",\"name\":\"later\",\"size\":5,\"digest\":\"" D2
	        "\",\"offset\":300}," FIRST(
	                CHUNK(",\"offset\":210,\"chunkSize\":30,\"chunkOffset\":60,"
	                      "\"chunkType\":\"zeros\"")
	                        CHUNK(",\"offset\":220,\"chunkSize\":10,\"chunkOffset\":90")));
	assert_int_equal(toc->n_entries, 2);
	assert_int_equal(toc->entries[1].n_chunks, 3);
	const struct toc_chunk *c = &toc->chunks[toc->entries[1].first_chunk];
	assert_int_equal(c[0].end, 210);
	assert_int_equal(c[1].end, 220);
	assert_int_equal(c[2].end, 230);
	assert_true(c[1].zeros && !c[0].zeros && c[2].exact);
	/* Without endOffset a file goes on to the next one, or to the TOC. */
	assert_int_equal(toc->chunks[0].end, 1000);
	assert_false(toc->chunks[0].exact);
	uint8_t digest[TOC_DIGEST_SIZE];
	assert_int_equal(toc_index_digests(toc, NULL), 0);
	assert_true(toc_digest_parse(D1, digest));
	assert_ptr_equal(toc_find_file(toc, digest), &toc->entries[1]);
	assert_ptr_equal(toc_find_chunk(toc, digest), &c[1]);
	assert_true(toc_digest_parse(D2, digest));
	assert_ptr_equal(toc_find_chunk(toc, digest), &toc->chunks[0]);
	assert_true(toc_digest_parse(EMPTY, digest));
	assert_null(toc_find_file(toc, digest));
	assert_null(toc_find_chunk(toc, digest));
}

/* In eStargz the last chunk has no size, and no file has an end. */
static void test_estargz_chunks(void **state)
{
	_cleanup_(toc_freep) struct toc *toc = NULL;
	assert_int_equal(
	        parse_as(CST_TOC_ESTARGZ,
	                 "{\"entries\":[{\"type\":\"reg\",\"name\":\".no.prefetch.landmark\","
	                 "\"size\":1,"
	                 "\"offset\":90,\"digest\":\"" D1 "\"}," FIRST(CHUNK(
	                         ",\"offset\":210,\"chunkOffset\":60")) ",{\"type\":\"reg\","
	                                                                "\"name\":"
	                                                                "\"g\",\"size\":5,"
	                                                                "\"digest\":\"" D2
	                                                                "\",\"offset\":300}]}",
	                 &toc, NULL),
	        0);
	assert_int_equal(toc->n_entries, 2);
	assert_int_equal(toc->chunks[1].size, 40);
	assert_int_equal(toc->chunks[1].end, 230);
	assert_int_equal(toc->chunks[2].end, 1000);
	assert_false(toc->chunks[0].exact);
	refuses_as(CST_TOC_ESTARGZ, CST_ENOTSUP,
	           "{\"entries\":[{\"type\":\"reg\",\"name\":\"f\",\"innerOffset\":1}]}",
	           "TOC: entry \"f\": it shares its gzip member with others (innerOffset)");
}

/* ---- what is refused ---- */

#define REG(rest) "{\"type\":\"reg\",\"name\":\"f\"," rest "}"
#define OK        "\"digest\":\"" D1 "\",\"offset\":200"

static void test_forged_entries(void **state)
{
	static const struct {
		const char *entries, *message;
	} cases[] = {
	        {"{\"type\":\"door\",\"name\":\"f\"}", "unknown type \"door\""},
	        {REG("\"size\":-1"), "a number below zero"},
	        {REG("\"size\":1,\"digest\":\"" D1 "\",\"offset\":-5"), "a number below zero"},
	        {REG("\"uid\":4294967295"), "an owner that cannot be"},
	        {REG("\"gid\":-1"), "an owner that cannot be"},
	        {REG("\"devMajor\":4294967296"), "a device number that cannot be"},
	        {REG("\"size\":1,\"offset\":5"), "it has no digest"},
	        {REG("\"size\":1,\"digest\":\"" D1 "\""), "it has no offset"},
	        {REG("\"size\":1,\"offset\":5,\"digest\":\"sha256:33\""),
	         "a digest that is not sha256"},
	        {REG("\"size\":1," OK ",\"chunkType\":\"ones\""), "a chunk of an unknown type"},
	        {REG("\"chunkSize\":1"), "chunks of an empty file"},
	        {REG("\"size\":1," OK ",\"chunkSize\":2"), "its chunks are longer than the file"},
	        {REG("\"size\":2," OK ",\"chunkSize\":1"), "its chunks are shorter than the file"},
	        {REG("\"size\":2," OK ",\"chunkSize\":1,\"chunkOffset\":1"),
	         "its chunks overlap, or have a gap"},
	        {FIRST(CHUNK(",\"offset\":210,\"chunkSize\":40,\"chunkOffset\":59")),
	         "its chunks overlap, or have a gap"},
	        {FIRST(CHUNK(",\"offset\":210,\"chunkSize\":40,\"chunkOffset\":61")),
	         "its chunks overlap, or have a gap"},
	        {FIRST(CHUNK(",\"offset\":210,\"chunkSize\":9223372036854775807,\"chunkOffset\":"
	                     "60")),
	         "its chunks are longer than the file"},
	        {FIRST(CHUNK(",\"offset\":210,\"chunkSize\":39,\"chunkOffset\":60")),
	         "its chunks are shorter than the file"},
	        {FIRST(CHUNK(",\"offset\":200,\"chunkSize\":40,\"chunkOffset\":60")),
	         "the place of its content in the blob overlaps that of another, or is behind its "
	         "end"},
	        {FIRST(CHUNK(",\"offset\":240,\"chunkSize\":40,\"chunkOffset\":60")),
	         "the place of its content in the blob overlaps that of another, or is behind its "
	         "end"},
	        {REG("\"size\":1,\"digest\":\"" D1 "\",\"offset\":1000"),
	         "the place of its content in the blob overlaps that of another, or is behind its "
	         "end"},
	        {REG("\"size\":1,\"digest\":\"" D1 "\",\"offset\":900,\"endOffset\":1001"),
	         "the place of its content in the blob overlaps that of another, or is behind its "
	         "end"},
	        {REG("\"size\":1,\"digest\":\"" D1 "\",\"offset\":9223372036854775807"),
	         "the place of its content in the blob overlaps that of another, or is behind its "
	         "end"},
	        {REG("\"size\":9," OK) ",{\"type\":\"reg\",\"name\":\"g\",\"size\":9," OK "}",
	         "the place of its content in the blob overlaps that of another, or is behind its "
	         "end"},
	        {"{\"type\":\"chunk\",\"name\":\"f\"}", "a chunk without a regular file"},
	        {"{\"type\":\"dir\",\"name\":\"f\"},{\"type\":\"chunk\",\"name\":\"f\"}",
	         "a chunk without a regular file"},
	        {REG("\"size\":0") CHUNK(",\"offset\":210"), "a chunk of an empty file"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *message = str_printf("TOC: entry \"f\": %s", cases[i].message);
		refuses(cases[i].entries, message);
	}
	refuses("{\"type\":\"reg\"}", "TOC: entry \"\": it has no name");
	refuses(FIRST(",{\"type\":\"chunk\",\"name\":\"g\"}"),
	        "TOC: entry \"g\": a chunk behind another file");
	refuses("{\"type\":\"dir\",\"name\":\"a\"},{\"type\":\"fifo\",\"name\":\"a\"}",
	        "TOC: two entries have the name \"a\"");
}

static void test_forged_json(void **state)
{
	static const struct {
		const char *json, *message;
	} cases[] = {
	        {"", "TOC: unexpected end of JSON input at byte 0"},
	        {"{\"entries\":[]} {}", "TOC: more data behind the JSON value at byte 15"},
	        {"{\"entries\":[{\"type\":\"dir\",\"name\":\"a\"", NULL},
	        {"{\"entries\":[{\"type\":\"dir\",\"name\":\"a\\u0000b\"}]}",
	         "TOC: NUL character in string at byte 43"},
	        {"{\"entries\":[{\"modtime\":\"yesterday\"}]}", "TOC: not a time at byte 34"},
	        {"{\"entries\":[{\"xattrs\":{\"a\":\"?\"}}]}",
	         "TOC: the value of an extended attribute is not base64 at byte 30"},
	        {"{\"entries\":[{\"size\":1.5}]}", NULL},
	        {"{\"entries\":[{\"size\":99999999999999999999}]}", NULL},
	        {"{\"tarSplitDigest\":\"md5:00\"}",
	         "TOC: tarSplitDigest \"md5:00\" is not a sha256 digest"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ cst_error *error = NULL;
		struct toc *toc = NULL;
		int r = parse_as(CST_TOC_ZSTD_CHUNKED, cases[i].json, &toc, &error);
		assert_int_equal(r, CST_EARCHIVE);
		if (cases[i].message)
			assert_string_equal(cst_error_message(error), cases[i].message);
	}
}

/* ---- annotations and footers ---- */

#define DIGEST "sha256:9a6580646bca5c88adef0adbabb6179ca3213c62bf4c75b0313f9a0d60452284"
#define BLOB   1267378 /* bytes */
/* The last bytes of that blob, as skopeo 1.22 wrote them. */
static const uint8_t footer[CHUNKED_FOOTER_SIZE] =
        "\x94\x44\x13\x00\x00\x00\x00\x00\xb9\x0b\x00\x00\x00\x00\x00\x00"
        "\xb6\x2f\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"
        "\x55\x50\x13\x00\x00\x00\x00\x00\x15\x06\x00\x00\x00\x00\x00\x00"
        "\x21\x92\x00\x00\x00\x00\x00\x00GNUlInUx";

static void test_annotations_and_footer(void **state)
{
	struct toc_place place, same;
	char position[POSITION_TEXT_MAX], tarsplit[POSITION_TEXT_MAX];
	uint8_t written[CHUNKED_FOOTER_SIZE];
	assert_int_equal(place_from_annotations(DIGEST, "1262740:3001:12214:1",
	                                        "1265749:1557:37409", BLOB, &place, NULL),
	                 0);
	assert_string_equal(place.digest, DIGEST);
	assert_int_equal(place.toc.offset, 1262740);
	assert_int_equal(place.toc.size, 3001);
	assert_int_equal(place.toc.plain_size, 12214);
	assert_int_equal(place.tarsplit.offset, 1265749);
	assert_int_equal(place_from_footer(footer, BLOB, &same, NULL), 0);
	assert_string_equal(same.digest, "");
	assert_memory_equal(&place.toc, &same.toc, sizeof(place.toc));
	assert_memory_equal(&place.tarsplit, &same.tarsplit, sizeof(place.tarsplit));
	place_footer(&place, written);
	assert_memory_equal(written, footer, sizeof(footer));
	place_annotations(&place, position, tarsplit);
	assert_string_equal(position, "1262740:3001:12214:1");
	assert_string_equal(tarsplit, "1265749:1557:37409");
}

static int read_memory(void *userdata, uint64_t offset, void *buffer, size_t n, cst_error **error)
{
	const cst_memory *memory = userdata;
	assert_true(offset + n <= memory->size);
	memcpy(buffer, memory->data + offset, n);
	return 0;
}

/* Of versions up to 1.47, as skopeo 1.9.3 wrote it; and one that points behind the blob. */
static void test_old_footer(void **state)
{
	static char blob[7000000];
	static const char old[] =
	        "\xcc\x20\x6a\x00\x00\x00\x00\x00\x97\x21\x00\x00\x00\x00\x00\x00"
	        "\xf3\x83\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00GnUlInUx";
	cst_memory memory = {.data = blob, .size = sizeof(blob)};
	struct chunked_blob reader = {
	        .read_at = read_memory, .userdata = &memory, .size = sizeof(blob)};
	struct toc_place place;
	memcpy(blob + sizeof(blob) - 40, old, 40);
	assert_int_equal(place_from_blob(&reader, &place, NULL), 0);
	assert_int_equal(place.toc.offset, 6955212);
	assert_int_equal(place.toc.size, 8599);
	assert_int_equal(place.toc.plain_size, 33779);
	assert_int_equal(place.tarsplit.size, 0);
	memory.data += 1000000;
	memory.size = reader.size = sizeof(blob) - 1000000;
	assert_int_equal(place_from_blob(&reader, &place, NULL), CST_EARCHIVE);
}

static void test_forged_places(void **state)
{
	static const struct {
		const char *position, *tarsplit;
		int code;
		const char *message;
	} cases[] = {
	        {"1:2:3", "", CST_EARCHIVE, ANNOTATION_POSITION ": \"1:2:3\" is no position"},
	        {"1:2:3:1:", "", CST_EARCHIVE, ANNOTATION_POSITION ": \"1:2:3:1:\" is no position"},
	        {"-1:2:3:1", "", CST_EARCHIVE, ANNOTATION_POSITION ": \"-1:2:3:1\" is no position"},
	        {"1:2:3:2", "", CST_ENOTSUP, ANNOTATION_POSITION ": type 2 is not known"},
	        {"1:0:3:1", "", CST_EARCHIVE, "the TOC is said to be empty"},
	        {"990:11:3:1", "", CST_EARCHIVE,
	         "the TOC is said to be at byte 990, 11 bytes long: the blob has 1000"},
	        {"9223372036854775807:9223372036854775807:3:1", "", CST_EARCHIVE,
	         "the TOC is said to be at byte 9223372036854775807, 9223372036854775807 bytes "
	         "long: "
	         "the blob has 1000"},
	        {"1:2:157286401:1", "", CST_ENOTSUP,
	         "the TOC has 2 bytes, 157286401 of them unpacked: at most 157286400 are read"},
	        {"1:2:3:1", "1:2", CST_EARCHIVE, ANNOTATION_TARSPLIT ": \"1:2\" is no position"},
	        {"1:2:3:1", "2:2:2", CST_EARCHIVE, "the tar-split is said to begin in the TOC"},
	        {"1:2:3:1", "999:2:2", CST_EARCHIVE,
	         "the tar-split is said to be at byte 999, 2 bytes long: the blob has 1000"},
	};
	struct toc_place place;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ cst_error *error = NULL;
		int r = place_from_annotations(DIGEST, cases[i].position, cases[i].tarsplit, 1000,
		                               &place, &error);
		assert_string_equal(cst_error_message(error), cases[i].message);
		assert_int_equal(r, cases[i].code);
	}
	assert_int_equal(place_from_annotations("x", "1:2:3:1", "", 1000, &place, NULL),
	                 CST_EARCHIVE);
	/* Each number of the footer as large as it can be, and the magic with a bit turned. */
	for (size_t i = 0; i < CHUNKED_FOOTER_SIZE; i += 8) {
		uint8_t forged[CHUNKED_FOOTER_SIZE];
		memcpy(forged, footer, sizeof(forged));
		memset(forged + i, 0xff, 8);
		int r = place_from_footer(forged, BLOB, &place, NULL);
		/* Where the tar-split ends unpacked is looked at when it is read. */
		assert_int_equal(r, i == 48 ? 0 : i == 16 || i == 24 ? CST_ENOTSUP : CST_EARCHIVE);
	}
}

/* ---- a TOC in a blob ---- */

static void pack(cst_memory *to, enum cst_compression kind, const char *text, size_t n)
{
	cst_sink sink = cst_sink_memory(to);
	_cleanup_(compressor_freep) struct compressor *c = NULL;
	assert_int_equal(compressor_new(kind, &sink, &c, NULL), 0);
	assert_int_equal(compressor_write(c, text, n, NULL), 0);
	assert_int_equal(compressor_finish(c, NULL), 0);
}

static const char some_toc[] = "{\"version\":1,\"entries\":[{\"type\":\"dir\",\"name\":\"a\"}]}";

static void test_toc_from_bytes(void **state)
{
	cst_memory packed = {0};
	pack(&packed, CST_ZSTD, some_toc, strlen(some_toc));
	struct toc_place place = {.format = CST_TOC_ZSTD_CHUNKED,
	                          .toc = {8, packed.size, strlen(some_toc)}};
	assert_int_equal(digest_buffer(DIGEST_SHA256, packed.data, packed.size, place.digest, NULL),
	                 0);
	_cleanup_(toc_freep) struct toc *toc = NULL;
	assert_int_equal(toc_from_bytes(&place, packed.data, &toc, NULL), 0);
	assert_string_equal(toc->digest, place.digest);
	assert_int_equal(toc->json_size, strlen(some_toc));
	assert_memory_equal(toc->json, some_toc, strlen(some_toc));
	struct toc *none = NULL;
	for (int less = -1; less <= 1; less++) {
		place.toc.plain_size = strlen(some_toc) - (size_t)less;
		_cleanup_error_ cst_error *error = NULL;
		int r = toc_from_bytes(&place, packed.data, &none, &error);
		assert_int_equal(r, less ? CST_EARCHIVE : 0);
		if (less)
			assert_non_null(
			        strstr(cst_error_message(error), less > 0 ? "more" : "fewer"));
		toc_free(none);
		none = NULL;
	}
	/* A digest is compared before anything is unpacked. */
	packed.data[packed.size - 1] ^= 1;
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(toc_from_bytes(&place, packed.data, &none, &error), CST_EARCHIVE);
	assert_non_null(strstr(cst_error_message(error), "and should have sha256:"));
	free(packed.data);
}

/* A tar of one file. */
static void put_tar(struct strbuf *tar, const char *name, const char *content)
{
	size_t n = strlen(content);
	const struct tar_header header = {.name = name,
	                                  .linkname = "",
	                                  .uname = "",
	                                  .gname = "",
	                                  .type = '0',
	                                  .mode = 0644,
	                                  .size = n,
	                                  .body_size = n};
	assert_int_equal(tar_format_header(&header, tar, NULL), 0);
	strbuf_add(tar, content, n);
	static const char zeros[1024];
	strbuf_add(tar, zeros, -n & 511);
	strbuf_add(tar, zeros, sizeof(zeros));
}

/* Something, the TOC in gzip members, the footer. */
static void make_estargz(cst_memory *blob, const char *member, const char *toc)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_sink sink = cst_sink_memory(blob);
	assert_int_equal(sink.write(sink.userdata, "twenty bytes of data", 20, NULL), 0);
	put_tar(&tar, member, toc);
	pack(blob, CST_GZIP, tar.data, 700);
	pack(blob, CST_GZIP, tar.data + 700, tar.len - 700);
	_cleanup_free_ char *extra = str_printf("%016xSTARGZ", 20);
	assert_int_equal(
	        sink.write(sink.userdata, "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0", 16, NULL),
	        0);
	assert_int_equal(sink.write(sink.userdata, extra, 22, NULL), 0);
	assert_int_equal(sink.write(sink.userdata, "\1\0\0\xff\xff\0\0\0\0\0\0\0\0", 13, NULL), 0);
}

static int read_blob(cst_memory *blob, const char *digest, struct toc **ret, cst_error **error)
{
	struct chunked_blob reader = {.read_at = read_memory, .userdata = blob, .size = blob->size};
	struct toc_place place;
	int r = place_from_blob(&reader, &place, error);
	if (r < 0)
		return r;
	strcpy(place.digest, digest);
	return toc_read(&reader, &place, ret, error);
}

static void refuses_estargz(const char *member, const char *toc, const char *message)
{
	cst_memory blob = {0};
	_cleanup_error_ cst_error *error = NULL;
	struct toc *none = NULL;
	make_estargz(&blob, member, toc);
	assert_int_equal(read_blob(&blob, "", &none, &error), CST_EARCHIVE);
	assert_string_equal(cst_error_message(error), message);
	free(blob.data);
}

static void test_estargz(void **state)
{
	cst_memory blob = {0};
	_cleanup_(toc_freep) struct toc *toc = NULL;
	_cleanup_strbuf_ struct strbuf json = {0};
	strbuf_adds(&json,
	            "{\"version\":1,\"entries\":[{\"type\":\"reg\",\"name\":\"f\",\"size\":3,"
	            "\"offset\":5,\"digest\":\"" D1 "\",\"userName\":\"");
	for (size_t i = 0; i < 200000; i++)
		strbuf_addc(&json, 'u');
	strbuf_adds(&json, "\"}]}");
	make_estargz(&blob, "stargz.index.json", json.data);
	assert_int_equal(read_blob(&blob, "", &toc, NULL), 0);
	assert_int_equal(toc->format, CST_TOC_ESTARGZ);
	assert_int_equal(toc->json_size, json.len);
	assert_int_equal(toc->chunks[0].end, 20);
	char digest[DIGEST_TEXT_MAX];
	assert_int_equal(digest_buffer(DIGEST_SHA256, json.data, json.len, digest, NULL), 0);
	assert_string_equal(toc->digest, digest);
	struct toc *other = NULL;
	assert_int_equal(read_blob(&blob, DIGEST, &other, NULL), CST_EARCHIVE);
	struct toc_place place;
	const uint8_t *end = (const uint8_t *)blob.data + blob.size - ESTARGZ_FOOTER_SIZE;
	assert_int_equal(place_from_estargz_footer(end, blob.size, &place, NULL), 0);
	assert_int_equal(place.toc.offset, 20);
	memcpy(blob.data + blob.size - 35, "ffffffffffffffff", 16);
	assert_int_equal(read_blob(&blob, "", &other, NULL), CST_EARCHIVE);
	memcpy(blob.data + blob.size - 35, "000000000000001x", 16);
	assert_int_equal(read_blob(&blob, "", &other, NULL), CST_EARCHIVE);
	free(blob.data);
	refuses_estargz("other.json", "{}",
	                "\"other.json\" is where its stargz.index.json should be");
}

static void test_no_footer(void **state)
{
	char noise[200] = "nothing";
	cst_memory blob = {.data = noise, .size = sizeof(noise)};
	struct toc *toc = NULL;
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(read_blob(&blob, "", &toc, &error), CST_EARCHIVE);
	assert_string_equal(cst_error_message(error),
	                    "it has no footer: neither zstd:chunked nor eStargz");
	blob.size = 20;
	assert_int_equal(read_blob(&blob, "", &toc, NULL), CST_EARCHIVE);
}

/* ---- the library's functions ---- */

static void test_public(void **state)
{
	_cleanup_strbuf_ struct strbuf json = {0};
	cst_memory blob = {0};
	strbuf_adds(&json, "{\"version\":1,\"entries\":[{\"type\":\"dir\",\"name\":\"d\"},{"
	                   "\"type\":\"reg\",\"name\":\"f\",\"size\":3,"
	                   "\"offset\":5,\"digest\":\"" D1 "\"}]}");
	make_estargz(&blob, "stargz.index.json", json.data);
	FILE *file = tmpfile();
	assert_int_equal(fwrite(blob.data, 1, blob.size, file), blob.size);
	fflush(file);
	cst_toc *toc = NULL;
	assert_int_equal(cst_toc_read(fileno(file), NULL, &toc, NULL), 0);
	size_t size, index = 9, chunk = 9;
	assert_memory_equal(cst_toc_json(toc, &size), json.data, json.len);
	assert_int_equal(size, json.len);
	assert_int_equal(cst_toc_find(toc, "f", &index, NULL), 0);
	assert_int_equal(index, 1);
	index = 9;
	assert_int_equal(cst_toc_find_file(toc, D1, &index, NULL), 0);
	assert_int_equal(index, 1);
	assert_int_equal(cst_toc_find_chunk(toc, D1, &index, &chunk, NULL), 0);
	assert_int_equal(chunk, 0);
	assert_int_equal(cst_toc_find(toc, "g", &index, NULL), CST_EDATA_UNKNOWN);
	assert_int_equal(cst_toc_find_file(toc, D2, &index, NULL), CST_EDATA_UNKNOWN);
	assert_int_equal(cst_toc_find_chunk(toc, D2, &index, &chunk, NULL), CST_EDATA_UNKNOWN);
	assert_int_equal(cst_toc_find_file(toc, "x", &index, NULL), CST_EINVAL);
	cst_toc_entry entry = CST_TOC_ENTRY_INIT;
	cst_toc_chunk piece = CST_TOC_CHUNK_INIT;
	assert_int_equal(cst_toc_entry_get(toc, 1, &entry, NULL), 0);
	assert_string_equal(entry.digest, D1);
	assert_int_equal(cst_toc_entry_get(toc, 2, &entry, NULL), CST_EINVAL);
	assert_int_equal(cst_toc_chunk_get(toc, 1, 0, &piece, NULL), 0);
	assert_int_equal(piece.blob_offset, 5);
	assert_int_equal(piece.blob_size, 15);
	assert_int_equal(cst_toc_chunk_get(toc, 1, 1, &piece, NULL), CST_EINVAL);
	assert_int_equal(cst_toc_chunk_get(toc, 0, 0, &piece, NULL), CST_EINVAL);
	cst_toc_free(toc);
	fclose(file);
	free(blob.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_fields),
	        cmocka_unit_test(test_chunks),
	        cmocka_unit_test(test_estargz_chunks),
	        cmocka_unit_test(test_forged_entries),
	        cmocka_unit_test(test_forged_json),
	        cmocka_unit_test(test_annotations_and_footer),
	        cmocka_unit_test(test_old_footer),
	        cmocka_unit_test(test_forged_places),
	        cmocka_unit_test(test_toc_from_bytes),
	        cmocka_unit_test(test_estargz),
	        cmocka_unit_test(test_no_footer),
	        cmocka_unit_test(test_public),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
