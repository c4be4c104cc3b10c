/* SPDX-License-Identifier: Apache-2.0 */
/* Which layer has content of a digest: through caches that are there, missing, damaged, or of no use. */
#include "api_fixture.h"

/* sha256 of "text\n", and of nothing that is there */
#define TEXT    "sha256:b9e68e1bea3e5b19ca6b2f98b73a54b73daafaa250484902e09982e07a12e733"
#define NOTHING "sha256:1111111111111111111111111111111111111111111111111111111111111111"
static const char toc[] = "{\"version\":1,\"entries\":[{\"type\":\"reg\",\"name\":\"d/"
                          "file\",\"mode\":420,\"size\":5,\"digest\":\"" TEXT
                          "\",\"offset\":100,\"endOffset\":120}]}";

static int set(const struct api *api, const char *key, const char *text)
{
	return cst_store_set_data(api->store, CST_KIND_LAYER, "base", key, text, strlen(text),
	                          NULL);
}

static int find_as(cst_store *store, const char *digest, const char *name)
{
	cst_content_place place = CST_CONTENT_PLACE_INIT;
	int r = cst_store_find_content(store, digest, &place, NULL);
	if (r < 0)
		return r;
	assert_string_equal(place.layer, "base");
	assert_string_equal(place.name, name);
	assert_int_equal(place.offset, 0);
	assert_int_equal(place.length, 5);
	cst_free(place.layer);
	cst_free(place.name);
	return 0;
}

static int find(cst_store *store, const char *digest)
{
	return find_as(store, digest, "d/file");
}

static size_t items(const struct api *api)
{
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	const char *const *names;
	assert_int_equal(cst_store_layer(api->store, "base", &layer, NULL), 0);
	return cst_layer_data_names(layer, &names);
}

static void cache_is_made_once(void **state)
{
	struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *reader = NULL;
	fill(api);
	assert_int_equal(find(api->store, TEXT), CST_EDATA_UNKNOWN); /* no layer has a TOC */
	assert_int_equal(set(api, "zstd-chunked-manifest", toc), 0);
	assert_int_equal(open_store(api, true, &reader, NULL), 0);
	assert_int_equal(find(reader, TEXT), 0);
	assert_int_equal(items(api), 1); /* a store that is only read stays as it is */
	assert_int_equal(find(api->store, TEXT), 0);
	assert_int_equal(items(api), 2);
	assert_int_equal(find(api->store, NOTHING), CST_EDATA_UNKNOWN);
	assert_int_equal(find(api->store, "md5:12"), CST_EINVAL);
	/* Now the TOC is not read any more. */
	assert_int_equal(set(api, "zstd-chunked-manifest", "{"), 0);
	assert_int_equal(find(api->store, TEXT), 0);
}

static void damaged_cache_is_made_again(void **state)
{
	static const char *const texts[] = {"", "x", "\3\0\0\0\0\0\0\0"};
	struct api *api = api_of(state);
	fill(api);
	assert_int_equal(set(api, "zstd-chunked-manifest", toc), 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(set(api, "chunked-manifest-cache", texts[i]), 0);
		assert_int_equal(find(api->store, TEXT), 0);
	}
	assert_int_equal(set(api, "chunked-manifest-cache", "x"), 0);
	assert_int_equal(set(api, "zstd-chunked-manifest", "{"), 0);
	assert_int_equal(find(api->store, TEXT), CST_EDATA_UNKNOWN);
}

static void objects_have_names_of_their_own(void **state)
{
	struct api *api = api_of(state);
	fill(api);
	assert_int_equal(set(api, "zstd-chunked-manifest", toc), 0);
	assert_int_equal(set(api, "zstd-chunked-layer-data", "{\"format\":1}"), 0);
	assert_int_equal(
	        find_as(api->store, TEXT,
	                "b9/e68e1bea3e5b19ca6b2f98b73a54b73daafaa250484902e09982e07a12e733"),
	        0);
	assert_int_equal(set(api, "zstd-chunked-layer-data", "{\"format\":2}"), 0); /* who knows */
	assert_int_equal(find(api->store, TEXT), CST_EDATA_UNKNOWN);
	assert_int_equal(set(api, "zstd-chunked-layer-data", "{"), 0);
	assert_int_equal(find(api->store, TEXT), CST_EDATA_UNKNOWN);
}

#define EACH(X) \
	X(cache_is_made_once) X(damaged_cache_is_made_again) X(objects_have_names_of_their_own)
DEFINE_RUN_ON_DRIVERS("donors", EACH)

int main(void)
{
	return run_on_drivers();
}
