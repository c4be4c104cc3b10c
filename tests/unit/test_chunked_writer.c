/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs that are written are read again; forged ones are found out. */
#include "archive/tar/tar.h"
#include "chunked/match.h"
#include "chunked/verify.h"
#include "chunked/writer.h"
#include "codec/compress.h"
#include "test.h"
#include <endian.h>

/* ---- tars ---- */

static struct tar_header header_of(const char *name, char type)
{
	return (struct tar_header){.name = name,
	                           .linkname = "",
	                           .uname = "",
	                           .gname = "",
	                           .type = type,
	                           .mode = type == '5' ? 0755 : 0644,
	                           .uid = 1000,
	                           .gid = 1001,
	                           .mtime = {1700000000, 0}};
}

static void put(struct strbuf *tar, struct tar_header *h, const void *content, size_t n)
{
	static const char zeros[TAR_BLOCK];
	h->size = h->body_size = n;
	assert_int_equal(tar_format_header(h, tar, NULL), 0);
	strbuf_add(tar, content, n);
	strbuf_add(tar, zeros, tar_padding(n));
}

static void put_file(struct strbuf *tar, const char *name, const void *content, size_t n)
{
	struct tar_header h = header_of(name, '0');
	put(tar, &h, content, n);
}

static void put_end(struct strbuf *tar)
{
	static const char zeros[1024];
	strbuf_add(tar, zeros, sizeof(zeros));
}

static char *noise(size_t n, uint32_t x)
{
	char *data = malloc(n);
	for (size_t i = 0; i < n; i++) {
		x = (x * 1103515245 + 12345) & 0x7fffffff;
		data[i] = (char)(x >> 16);
	}
	return data;
}

static void put_some_of_all(struct strbuf *tar)
{
	_cleanup_free_ char *data = noise(300000, 12345);
	static const struct tar_xattr xattrs[] = {{"user.z", "1", 1}, {"user.a", "x=a=b", 5}};
	struct tar_header directory = header_of("./d/", '5'), link = header_of("./d/l", '1'),
	                  symlink = header_of("./d/s", '2'), device = header_of("./d/c", '3');
	put(tar, &directory, NULL, 0);
	put_file(tar, "./d/f", "hello world\n", 12);
	put_file(tar, "./d/empty", NULL, 0);
	memset(data + 100000, 0, 5000);
	put_file(tar, "./d/noise", data, 300000);
	link.linkname = "./d/f";
	put(tar, &link, NULL, 0);
	symlink.linkname = "../<\xc3\xbc>";
	put(tar, &symlink, NULL, 0);
	device.devmajor = 1;
	device.devminor = 3;
	put(tar, &device, NULL, 0);
	struct tar_header with = header_of("./x", '0');
	with.xattrs = xattrs;
	with.n_xattrs = 2;
	put(tar, &with, "x", 1);
	put_end(tar);
	strbuf_add(tar, "trailing", 8);
}

/* ---- blobs ---- */

static int write_blob(const struct strbuf *tar, size_t step, cst_memory *blob,
                      struct chunked_written *written, cst_error **error)
{
	const cst_sink sink = cst_sink_memory(blob);
	_cleanup_(chunked_writer_freep) struct chunked_writer *writer = NULL;
	int r = chunked_writer_new(3, &sink, &writer, error);
	for (size_t at = 0; r == 0 && at < tar->len; at += step)
		r = chunked_writer_write(writer, tar->data + at, MIN(step, tar->len - at), error);
	return r == 0 ? chunked_writer_finish(writer, written, error) : r;
}

static int read_memory(void *userdata, uint64_t offset, void *buffer, size_t n, cst_error **error)
{
	const cst_memory *memory = userdata;
	assert_true(offset + n <= memory->size);
	memcpy(buffer, memory->data + offset, n);
	return 0;
}

static struct chunked_blob reader_of(cst_memory *blob)
{
	return (struct chunked_blob){.read_at = read_memory, .userdata = blob, .size = blob->size};
}

static struct toc *toc_of(cst_memory *blob)
{
	struct chunked_blob reader = reader_of(blob);
	struct toc_place place;
	struct toc *toc = NULL;
	_cleanup_error_ cst_error *error = NULL;
	int r = place_from_blob(&reader, &place, &error);
	if (r == 0)
		r = toc_read(&reader, &place, &toc, &error);
	if (r < 0)
		fail_msg("%s", cst_error_message(error));
	return toc;
}

static int verify(cst_memory *blob, const struct toc *toc, struct chunked_verified *ret,
                  cst_error **error)
{
	struct chunked_blob reader = reader_of(blob);
	return chunked_verify(&reader, toc, NULL, ret, error);
}

static void unpack(enum cst_compression kind, const void *data, size_t n, struct strbuf *ret)
{
	_cleanup_(decompressor_freep) struct decompressor *d = NULL;
	char step[65536];
	size_t used = 0, got;
	bool done = false;
	assert_int_equal(decompressor_new(kind, &d, NULL), 0);
	while (!done) {
		assert_int_equal(decompressor_run(d, data, n, &used, true, step, sizeof(step), &got,
		                                  &done, NULL),
		                 0);
		strbuf_add(ret, step, got);
	}
}

/* A blob with some of all, and its TOC. */
struct sample {
	cst_memory blob;
	struct toc *toc;
};
static struct sample sample_make(void)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	struct sample sample = {0};
	struct chunked_written written;
	put_some_of_all(&tar);
	assert_int_equal(write_blob(&tar, 1 << 20, &sample.blob, &written, NULL), 0);
	sample.toc = toc_of(&sample.blob);
	return sample;
}
static void sample_free(struct sample *sample)
{
	free(sample->blob.data);
	toc_free(sample->toc);
}
#define _cleanup_sample_ _cleanup_(sample_free)

/* Any decoder gets the tar; the blob passes; every frame stands alone. */
static void round_trip(const struct strbuf *tar, size_t step)
{
	cst_memory blob = {0};
	struct chunked_written written;
	struct chunked_verified verified;
	_cleanup_error_ cst_error *error = NULL;
	char digest[DIGEST_TEXT_MAX];
	if (write_blob(tar, step, &blob, &written, &error) < 0)
		fail_msg("%s", cst_error_message(error));
	_cleanup_(toc_freep) struct toc *toc = toc_of(&blob);
	if (verify(&blob, toc, &verified, &error) < 0)
		fail_msg("%s", cst_error_message(error));
	_cleanup_strbuf_ struct strbuf plain = {0};
	unpack(CST_ZSTD, blob.data, blob.size, &plain);
	assert_int_equal(plain.len, tar->len);
	assert_memory_equal(plain.data, tar->data, tar->len);
	digest_buffer(DIGEST_SHA256, tar->data, tar->len, digest, NULL);
	assert_string_equal(written.diff_digest, digest);
	assert_string_equal(verified.diff_digest, digest);
	assert_int_equal(written.diff_size, tar->len);
	digest_buffer(DIGEST_SHA256, blob.data, blob.size, digest, NULL);
	assert_string_equal(written.blob_digest, digest);
	assert_string_equal(verified.blob_digest, digest);
	assert_int_equal(written.blob_size, blob.size);
	assert_string_equal(written.place.digest, toc->digest);
	assert_int_equal(written.place.tarsplit.plain_size, toc->tarsplit.plain_size);
	assert_int_equal(written.entries, toc->n_entries);
	free(blob.data);
}

static void test_round_trip(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0}, empty = {0};
	put_some_of_all(&tar);
	round_trip(&tar, 1 << 20);
	round_trip(&tar, 1000);
	put_end(&empty);
	round_trip(&empty, 512);
}

/* Entries as skopeo 1.22 writes them for such headers. */
static void test_json(void **state)
{
	_cleanup_sample_ struct sample sample = sample_make();
	_cleanup_free_ char *json = strndup(sample.toc->json, sample.toc->json_size);
	static const char *const parts[] = {
	        "{\"version\":1,\"entries\":[{\"type\":\"dir\",\"name\":\"./d/"
	        "\",\"mode\":493,\"uid\":"
	        "1000,\"gid\":1001,\"modtime\":\"2023-11-14T22:13:20Z\"},{\"type\":\"reg\","
	        "\"name\":\"./"
	        "d/"
	        "f\",\"mode\":420,\"size\":12,\"uid\":1000,\"gid\":1001,\"modtime\":\"2023-11-"
	        "14T22:13:"
	        "20Z\",\"digest\":\"sha256:"
	        "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447\",\"offset\":",
	        "{\"type\":\"reg\",\"name\":\"./d/empty\",\"mode\":420,\"uid\":1000,\"gid\":1001,"
	        "\"modtime\":\"2023-11-14T22:13:20Z\"},",
	        "\"chunkSize\":65707,\"chunkDigest\":\"sha256:"
	        "33f0f2b578705b02bdd6ebcc155d2ee8b67eef25dd2f70080fdbad602d740bd3\"},{\"type\":"
	        "\"chunk\",\"name\":\"./d/noise\",\"offset\":",
	        "\"chunkSize\":5000,\"chunkOffset\":100000,\"chunkDigest\":\"sha256:",
	        "\"chunkType\":\"zeros\"},",
	        "{\"type\":\"hardlink\",\"name\":\"./d/l\",\"linkName\":\"./d/f\",\"mode\":420,",
	        "\"linkName\":\"../\\u003c\xc3\xbc\\u003e\",",
	        "\"devMajor\":1,\"devMinor\":3},",
	        "\"modtime\":\"2023-11-14T22:13:20Z\",\"xattrs\":{\"user.a\":\"eD1hPWI=\","
	        "\"user.z\":"
	        "\"MQ==\"},\"digest\":",
	        "],\"tarSplitDigest\":\"sha256:"};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strstr(json, parts[i]))
			fail_msg("no %s in %s", parts[i], json);
}

/* Frames of more than a batch, that are compressed as they come, between short ones. */
static void test_long_frames(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_free_ char *data = malloc(9 << 20);
	for (size_t i = 0; i < 9 << 20; i++)
		data[i] = (char)('a' + i % 26);
	for (int i = 0; i < 300; i++) {
		char name[16];
		snprintf(name, sizeof(name), "a%d", i);
		put_file(&tar, name, data, (size_t)i * 20);
	}
	put_file(&tar, "long", data, 9 << 20);
	put_file(&tar, "b", data, 100);
	memset(data + 1000, 0, 6 << 20);
	put_file(&tar, "hole", data, 9 << 20);
	put_file(&tar, "longer", data + (8 << 20), (1 << 20) - 1);
	put_end(&tar);
	round_trip(&tar, 256 << 10);
}

/* ---- what a TOC cannot hold ---- */

static void refuses(struct strbuf *tar, const char *message)
{
	cst_memory blob = {0};
	struct chunked_written written;
	_cleanup_error_ cst_error *error = NULL;
	put_end(tar);
	int r = write_blob(tar, 1 << 20, &blob, &written, &error);
	assert_string_equal(cst_error_message(error), message);
	assert_true(r == CST_ENOTSUP || r == CST_EARCHIVE);
	free(blob.data);
	strbuf_reset(tar);
}

static void test_refused(void **state)
{
	_cleanup_strbuf_ struct strbuf tar = {0};
	put_file(&tar, "a\xff", NULL, 0);
	refuses(&tar, "a\xff: a TOC cannot hold a name that is not UTF-8");
	struct tar_header directory = header_of("d/", '5');
	put(&tar, &directory, NULL, 0);
	put(&tar, &directory, NULL, 0);
	refuses(&tar, "d/: a TOC cannot hold two entries of one name");
	put_file(&tar, "f", NULL, 0);
	put_file(&tar, "./f", NULL, 0);
	refuses(&tar, "duplicates of file paths not supported");
	put_file(&tar, "f", NULL, 0);
	tar.data[156] = '7';
	memset(tar.data + 148, ' ', 8);
	unsigned sum = 0;
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)tar.data[i];
	snprintf(tar.data + 148, 8, "%06o", sum);
	refuses(&tar, "f: a TOC cannot hold a global header, a label or a contiguous file");
	put_file(&tar, "f", "abc", 3);
	tar.len = 300;
	refuses(&tar, "it is no tar, or a damaged one: a header in it is not valid");
}

/* ---- forged blobs ---- */

static void put_skippable(const cst_sink *sink, const void *data, size_t n)
{
	uint32_t header[2] = {htole32(SKIPPABLE_MAGIC), htole32((uint32_t)n)};
	assert_int_equal(sink->write(sink->userdata, header, sizeof(header), NULL), 0);
	assert_int_equal(sink->write(sink->userdata, data, n, NULL), 0);
}

/* The blob with the first `from` of its TOC, behind `after`, replaced by `to`. */
static void forge(const struct sample *sample, const char *after, const char *from, const char *to,
                  cst_memory *ret)
{
	const cst_memory *blob = &sample->blob;
	const struct toc *toc = sample->toc;
	const cst_sink sink = cst_sink_memory(ret);
	_cleanup_strbuf_ struct strbuf json = {0};
	_cleanup_free_ char *old = strndup(toc->json, toc->json_size);
	const char *begin = strstr(old, after), *at = begin ? strstr(begin, from) : NULL;
	assert_non_null(at);
	strbuf_add(&json, old, (size_t)(at - old));
	strbuf_adds(&json, to);
	strbuf_adds(&json, at + strlen(from));
	cst_memory packed = {0};
	const cst_sink to_memory = cst_sink_memory(&packed);
	_cleanup_(compressor_freep) struct compressor *c = NULL;
	assert_int_equal(compressor_new(CST_ZSTD, &to_memory, &c, NULL), 0);
	assert_int_equal(compressor_write(c, json.data, json.len, NULL), 0);
	assert_int_equal(compressor_finish(c, NULL), 0);
	struct toc_place place = {.toc = {.plain_size = json.len, .size = packed.size},
	                          .tarsplit = toc->tarsplit};
	sink.write(sink.userdata, blob->data, toc->place.offset - SKIPPABLE_HEADER, NULL);
	place.toc.offset = ret->size + SKIPPABLE_HEADER;
	put_skippable(&sink, packed.data, packed.size);
	place.tarsplit.offset = ret->size + SKIPPABLE_HEADER;
	put_skippable(&sink, blob->data + toc->tarsplit.offset, toc->tarsplit.size);
	uint8_t footer[CHUNKED_FOOTER_SIZE];
	place_footer(&place, footer);
	put_skippable(&sink, footer, sizeof(footer));
	free(packed.data);
}

static const struct {
	const char *after, *from, *to, *message;
} forgeries[] = {
        {"", "version", "version", NULL},
        {"./d/f", "420", "2541", "\"./d/f\": the tar and the TOC tell of another mode"},
        {"./d/f", "1000", "0", "\"./d/f\": the tar and the TOC tell of another owner"},
        {"./d/f", "13:20Z", "13:21Z", "\"./d/f\": the tar and the TOC tell of another time"},
        {"", "./d/f", "./d/g", "the tar has \"./d/f\", and the TOC has not"},
        {"", "./d/l\"", "./d/f2\"", "the tar has \"./d/l\", and the TOC has not"},
        {"\"./d/l\"", "./d/f", "/etc/shadow",
         "\"./d/l\": the tar and the TOC tell of another target"},
        {"", "\"char\"", "\"block\"", "\"./d/c\": the tar and the TOC tell of another type"},
        {"", "\"devMinor\":3", "\"devMinor\":4",
         "\"./d/c\": the tar and the TOC tell of another device number"},
        {"", "eD1hPWI=", "eD1hPWM=",
         "\"./x\": the tar and the TOC tell of another set of extended attributes"},
        {"", "},{\"type\":\"hardlink\"",
         "},{\"type\":\"dir\",\"name\":\"more\"},{\"type\":\"hardlink\"",
         "the TOC has \"more\", and the tar has not"},
        {"./d/f", "a948904f2f0f47", "b948904f2f0f47",
         "\"./d/f\": its content has the digest sha256:"
         "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447 in the tar, and sha256:"
         "b948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447 in the TOC"},
        {"./d/noise", "33f0f2b5", "43f0f2b5",
         "\"./d/noise\": the chunk at byte 0 of the file has another digest than the TOC says"},
        {"./d/noise", "\"chunkSize\":65707,", "\"chunkSize\":65707,\"chunkType\":\"zeros\",",
         "\"./d/noise\": the chunk at byte 0 of the file is a hole in the TOC, and has content"},
};

/* What `look` says of each. NULL: nothing is wrong. */
static void look_at_forgeries(int (*look)(cst_memory *blob, const struct toc *toc,
                                          cst_error **error),
                              bool content)
{
	_cleanup_sample_ struct sample sample = sample_make();
	for (size_t i = 0; i < ARRAY_SIZE(forgeries); i++) {
		_cleanup_error_ cst_error *error = NULL;
		cst_memory forged = {0};
		const char *message = forgeries[i].message;
		if (message && !content &&
		    (strstr(message, "the chunk") || strstr(message, "its content")))
			message = NULL;
		forge(&sample, forgeries[i].after, forgeries[i].from, forgeries[i].to, &forged);
		_cleanup_(toc_freep) struct toc *bad = toc_of(&forged);
		assert_int_equal(look(&forged, bad, &error), message ? CST_EARCHIVE : 0);
		if (message)
			assert_string_equal(cst_error_message(error), message);
		free(forged.data);
	}
}

static int look_at_all(cst_memory *blob, const struct toc *toc, cst_error **error)
{
	struct chunked_verified verified;
	return verify(blob, toc, &verified, error);
}

static void test_forged_toc(void **state)
{
	look_at_forgeries(look_at_all, true);
}

/* One bit, anywhere. */
static void test_damaged_blob(void **state)
{
	_cleanup_sample_ struct sample sample = sample_make();
	const struct toc *toc = sample.toc;
	uint64_t data_end = toc->place.offset - SKIPPABLE_HEADER;
	size_t n = 0, found = 0;
	for (uint64_t at = 0; at < toc->tarsplit.offset + toc->tarsplit.size; at += 997) {
		if (at >= data_end && at < toc->tarsplit.offset)
			continue; /* the TOC has its own digest */
		n++;
		sample.blob.data[at] ^= 0x10;
		found += look_at_all(&sample.blob, toc, NULL) == CST_EARCHIVE;
		sample.blob.data[at] ^= 0x10;
	}
	sample.blob.data[toc->tarsplit.offset + 20] ^= 1;
	assert_int_equal(look_at_all(&sample.blob, toc, NULL), CST_EARCHIVE);
	assert_true(n > 200);
	assert_int_equal(found, n);
}

/* ---- a tar-split without content, as it is before anything is fetched ---- */

static int match_split(cst_memory *blob, const struct toc *toc, cst_error **error)
{
	cst_memory packed = {.data = blob->data + toc->tarsplit.offset, .size = toc->tarsplit.size};
	const cst_source source = cst_source_memory(&packed);
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	int r = recipe_open_source(&source, CST_ZSTD, &recipe, error);
	return r == 0 ? toc_match_recipe(toc, recipe, error) : r;
}

static void test_match_recipe(void **state)
{
	look_at_forgeries(match_split, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_json),
	        cmocka_unit_test(test_long_frames),  cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_forged_toc),   cmocka_unit_test(test_damaged_blob),
	        cmocka_unit_test(test_match_recipe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
