/* SPDX-License-Identifier: Apache-2.0 */
/* convert_images: layers that come as plain archives get a TOC, by which others find their content. */
#include "api_fixture.h"

#define TEXT \
	"sha256:b9e68e1bea3e5b19ca6b2f98b73a54b73daafaa250484902e09982e07a12e733" /* of "text\n" */
#define TOC    "zstd-chunked-manifest"
#define FORMAT "zstd-chunked-layer-data"

static struct api *api_with(void **state, const char *option, bool as_upstream)
{
	struct api *api = api_of(state);
	(void)cst_store_shutdown(api->store, true, NULL, NULL);
	reopen_with_pull_option(api, option, as_upstream);
	return api;
}

static void add_text(struct strbuf *tar, const char *name)
{
	TAR_ADD(tar, .name = name, .data = "text\n", .len = 5, .uid = getuid(), .gid = getgid());
}

static void import(const struct api *api, const char *id, const struct strbuf *tar)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	cst_data_item item = {.key = "item", .data = "data", .data_size = 4};
	cst_memory memory = {.data = tar->data, .size = tar->len};
	const cst_source source = cst_source_memory(&memory);
	options.id = id;
	options.data = &item;
	options.n_data = 1;
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, NULL), 0);
}

static size_t items(const struct api *api, const char *id)
{
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	const char *const *names;
	assert_int_equal(cst_store_layer(api->store, id, &layer, NULL), 0);
	assert_string_equal(cst_layer_toc_digest(layer), "");
	return cst_layer_data_names(layer, &names);
}

static int find(const struct api *api)
{
	cst_content_place place = CST_CONTENT_PLACE_INIT;
	int r = cst_store_find_content(api->store, TEXT, &place, NULL);
	if (r < 0)
		return r;
	assert_string_equal(place.name, "d/file");
	assert_int_equal(place.length, 5);
	cst_free(place.layer);
	cst_free(place.name);
	return 0;
}

static char *data(const struct api *api, const char *id, const char *key)
{
	_cleanup_free_ char *read = NULL;
	size_t size;
	assert_int_equal(
	        cst_store_data(api->store, CST_KIND_LAYER, id, key, (void **)&read, &size, NULL),
	        0);
	return strndup(read, size);
}

/* The TOC is that of a blob which is the tar itself, as of a layer that the Go tools convert. */
static void is_converted(void **state)
{
	struct api *api = api_with(state, "convert_images=True", false);
	_cleanup_strbuf_ struct strbuf tar = {0};
	TAR_ADD(&tar, .name = "d/", .type = '5', .mode = 0755, .uid = getuid(), .gid = getgid());
	add_text(&tar, "d/file");
	tar_add_end(&tar);
	import(api, "one", &tar);
	assert_int_equal(items(api, "one"), 3);
	_cleanup_free_ char *json = data(api, "one", TOC), *format = data(api, "one", FORMAT),
	                    *item = data(api, "one", "item");
	assert_string_equal(format, "{\"format\":0}");
	assert_string_equal(item, "data");
	assert_non_null(strstr(json, "\"offset\":1024,\"endOffset\":1029"));
	assert_memory_equal(tar.data + 1024, "text\n", 5);
	assert_non_null(strstr(json, "\"tarSplitDigest\":\"sha256:"));
	assert_int_equal(find(api), 0);
}

static void is_not_asked_for(void **state)
{
	static const struct {
		const char *option;
		bool as_upstream;
	} cases[] = {{"convert_images=false", false},
	             {"convert_images=true", true},
	             {"convert_images_=true", false}};
	_cleanup_strbuf_ struct strbuf tar = {0};
	add_text(&tar, "d/file");
	tar_add_end(&tar);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char id[] = {(char)('a' + i), 'x', '\0'};
		struct api *api = api_with(state, cases[i].option, cases[i].as_upstream);
		import(api, id, &tar);
		assert_int_equal(items(api, id), 1);
		assert_int_equal(find(api), CST_EDATA_UNKNOWN);
	}
}

/* A layer without a TOC is whole. */
static void is_not_possible(void **state)
{
	struct api *api = api_with(state, "convert_images=true", false);
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_findings *findings = NULL;
	add_text(&tar, "d/file");
	TAR_ADD(&tar, .name = "contiguous", .type = '7', .uid = getuid(), .gid = getgid());
	tar_add_end(&tar);
	import(api, "one", &tar);
	assert_int_equal(items(api, "one"), 1);
	assert_int_equal(cst_store_check(api->store, NULL, &findings, NULL), 0);
	assert_int_equal(cst_findings_size(findings), 0);
	cst_findings_free(findings);
}

/* What the caller says of a staged layer takes the place of what was found out. */
static void is_described(void **state)
{
	struct api *api = api_with(state, "convert_images=true", false);
	_cleanup_strbuf_ struct strbuf tar = {0};
	cst_staged_layer *staged = NULL;
	cst_staged_commit_options commit = CST_STAGED_COMMIT_OPTIONS_INIT;
	cst_staged_results results = CST_STAGED_RESULTS_INIT;
	const cst_data_item given[] = {{.key = "item", .data = "data", .data_size = 4},
	                               {.key = FORMAT, .data = "{}", .data_size = 2}};
	add_text(&tar, "d/file");
	tar_add_end(&tar);
	cst_memory memory = {.data = tar.data, .size = tar.len};
	const cst_source source = cst_source_memory(&memory);
	results.data = given;
	results.n_data = ARRAY_SIZE(given);
	commit.id = "one";
	assert_int_equal(cst_store_stage_layer(api->store, NULL, &staged, NULL), 0);
	assert_int_equal(cst_staged_layer_apply(staged, &source, NULL, NULL), 0);
	assert_int_equal(cst_staged_layer_describe(staged, &results, NULL), 0);
	assert_int_equal(cst_staged_layer_commit(staged, &commit, NULL, NULL), 0);
	cst_staged_layer_free(staged);
	assert_int_equal(items(api, "one"), 3);
	_cleanup_free_ char *format = data(api, "one", FORMAT), *json = data(api, "one", TOC);
	assert_string_equal(format, "{}");
	assert_non_null(strstr(json, "d/file"));
}

#define EACH(X) X(is_converted) X(is_not_asked_for) X(is_not_possible) X(is_described)
DEFINE_RUN_ON_DRIVERS("convert", EACH)

int main(void)
{
	return run_on_drivers();
}
