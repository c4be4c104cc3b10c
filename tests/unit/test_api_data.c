/* SPDX-License-Identifier: Apache-2.0 */
/* The library as a caller sees it, as in test_api.c: data items, whole and as streams. */
#include "api_fixture.h"
#include "base/digest.h"

#define LARGE ((size_t)1 << 20)

/* Gives half of LARGE, then fails. */
static int64_t read_half(void *userdata, void *buffer, size_t size, cst_error **error)
{
	size_t *done = userdata;
	if (*done >= LARGE / 2)
		return cst_error_set(error, CST_EIO_CALLBACK, 0, "my tape is torn");
	memset(buffer, 'h', size);
	*done += size;
	return (int64_t)size;
}

static void expect_data(const struct api *api, enum cst_kind kind, const char *id, const char *key,
                        const char *content, size_t size)
{
	_cleanup_close_ int fd = -1;
	assert_int_equal(cst_store_open_data(api->store, kind, id, key, &fd, NULL), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	_cleanup_free_ char *read = NULL;
	size_t len = 0;
	assert_int_equal(fs_read_fd(fd, key, SIZE_MAX / 4, &read, &len, NULL), 0);
	assert_int_equal(len, size);
	assert_memory_equal(read, content, size);
}

static void test_data_streams(void **state)
{
	const struct api *api = api_of(state);
	cst_store *store = api->store;
	fill(api);
	_cleanup_free_ char *large = malloc(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i / 999);
	static const struct {
		enum cst_kind kind;
		const char *id;
	} items[] = {
	        {CST_KIND_LAYER, "base"}, {CST_KIND_IMAGE, "image"}, {CST_KIND_CONTAINER, "box"}};
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		const enum cst_kind kind = items[i].kind;
		const char *id = items[i].id;
		cst_memory memory = {.data = large, .size = LARGE};
		cst_source source = cst_source_memory(&memory);
		assert_int_equal(cst_store_set_data_from(store, kind, id, "large", &source, NULL),
		                 0);
		expect_data(api, kind, id, "large", large, LARGE);
		size_t done = 0;
		source = (cst_source){.read = read_half, .userdata = &done};
		assert_int_equal(cst_store_set_data_from(store, kind, id, "large", &source, NULL),
		                 CST_EIO_CALLBACK);
		expect_data(api, kind, id, "large", large, LARGE);
		int fd = -1;
		assert_int_equal(cst_store_open_data(store, kind, id, "none", &fd, NULL),
		                 CST_EDATA_UNKNOWN);
		assert_int_equal(fd, -1);
	}
	int64_t size = 0;
	assert_int_equal(cst_store_data_size(store, CST_KIND_IMAGE, "image", "large", &size, NULL),
	                 0);
	assert_int_equal(size, LARGE);
}

/* With a new item, too; what is opened stays what it was. */
static void test_data_of_new_from_source(void **state)
{
	const struct api *api = api_of(state);
	_cleanup_free_ char *large = malloc(LARGE), *digest = NULL;
	memset(large, 'L', LARGE);
	cst_memory memory = {.data = large, .size = LARGE};
	cst_source source = cst_source_memory(&memory);
	cst_data_item item = {.key = "large", .source = &source};
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	options.id = "streamed";
	options.data = &item;
	options.n_data = 1;
	assert_int_equal(cst_store_create_image(api->store, &options, NULL, NULL), 0);
	expect_data(api, CST_KIND_IMAGE, "streamed", "large", large, LARGE);
	char wanted[DIGEST_TEXT_MAX];
	assert_int_equal(digest_buffer(DIGEST_SHA256, large, LARGE, wanted, NULL), 0);
	assert_int_equal(cst_store_data_digest(api->store, CST_KIND_IMAGE, "streamed", "large",
	                                       &digest, NULL),
	                 0);
	assert_string_equal(digest, wanted);
	_cleanup_close_ int fd = -1;
	assert_int_equal(
	        cst_store_open_data(api->store, CST_KIND_IMAGE, "streamed", "large", &fd, NULL), 0);
	assert_int_equal(cst_store_delete_image(api->store, "streamed", true, NULL, NULL), 0);
	_cleanup_free_ char *read = NULL;
	size_t len = 0;
	assert_int_equal(fs_read_fd(fd, "large", SIZE_MAX / 4, &read, &len, NULL), 0);
	assert_int_equal(len, LARGE);
}

static void test_data(void **state)
{
	const struct api *api = api_of(state);
	cst_store *store = api->store;
	void *data = NULL;
	char *digest = NULL;
	size_t n = 0;
	int64_t size = 0;
	fill(api);
	for (enum cst_kind kind = CST_KIND_LAYER; kind <= CST_KIND_CONTAINER; kind++) {
		const char *id = kind == CST_KIND_LAYER   ? "base"
		                 : kind == CST_KIND_IMAGE ? "image"
		                                          : "box";
		assert_int_equal(cst_store_set_data(store, kind, id, "", "x", 1, NULL),
		                 CST_EINVALID_BIG_DATA_NAME);
		assert_int_equal(cst_store_data(store, kind, id, "", &data, &n, NULL),
		                 kind == CST_KIND_CONTAINER ? CST_EINVALID_BIG_DATA_NAME
		                                            : CST_EDATA_UNKNOWN);
		assert_int_equal(cst_store_data(store, kind, id, "none", &data, &n, NULL),
		                 CST_EDATA_UNKNOWN);
		assert_int_equal(cst_store_data_size(store, kind, id, "none", &size, NULL),
		                 CST_ESIZE_UNKNOWN);
		assert_int_equal(cst_store_data_digest(store, kind, id, "none", &digest, NULL),
		                 CST_EDIGEST_UNKNOWN);
		assert_null(data);
		assert_null(digest);
		assert_int_equal(cst_store_set_data(store, kind, id, "a/b", "xyz", 3, NULL), 0);
		assert_int_equal(cst_store_data(store, kind, id, "a/b", &data, &n, NULL), 0);
		assert_int_equal(n, 3);
		assert_memory_equal(data, "xyz", 3);
		cst_free(data);
		data = NULL;
	}
	assert_int_equal(cst_store_data_size(store, CST_KIND_CONTAINER, "box", "a/b", &size, NULL),
	                 0);
	assert_int_equal(size, 3);
	assert_int_equal(cst_store_data(store, (enum cst_kind)99, "x", "", &data, &n, NULL),
	                 CST_EINVAL);
	assert_int_equal(cst_store_data(store, (enum cst_kind)99, "x", "y", &data, &n, NULL),
	                 CST_EINVAL);
	assert_int_equal(cst_store_set_data(store, (enum cst_kind)99, "x", "", "", 0, NULL),
	                 CST_EINVAL);
	assert_int_equal(cst_store_data(store, CST_KIND_IMAGE, "x", "y", &data, &n, NULL),
	                 CST_EIMAGE_UNKNOWN);
}

/* ---- both drivers ---- */

#define EACH(X)                         \
	X(test_data_streams)            \
	X(test_data_of_new_from_source) \
	X(test_data)

DEFINE_RUN_ON_DRIVERS("api_data", EACH)

int main(void)
{
	return run_on_drivers();
}
