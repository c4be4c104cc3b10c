/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of an image that two tools could read as two images are refused: one digest stands for one image. */
#include "base/str.h"
#include "oci/manifest.h"
#include "test.h"

#define DIGEST "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define DESCRIPTOR                                                                       \
	"{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"" DIGEST \
	"\",\"size\":4}"
#define CONFIG    "\"config\":" DESCRIPTOR
#define LAYERS    "\"layers\":[" DESCRIPTOR "]"
#define MANIFESTS "\"manifests\":[" DESCRIPTOR "]"

enum document { MANIFEST, INDEX, IMAGE_CONFIG };

static int parse(enum document document, const char *json, size_t *items, cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	struct manifest manifest = {0};
	struct descriptors list = {0};
	struct image_config config = {0};
	size_t n = strlen(json);
	int r;
	switch (document) {
	case MANIFEST:
		r = manifest_parse(json, n, "it", &arena, &manifest, error);
		*items = manifest.layers.len;
		manifest_free(&manifest);
		return r;
	case INDEX:
		r = index_parse(json, n, "it", &arena, &list, error);
		*items = list.len;
		descriptors_free(&list);
		return r;
	default:
		r = image_config_parse(json, n, "it", &config, error);
		*items = config.diff_ids.len;
		image_config_free(&config);
		return r;
	}
}

static void test_read(void **state)
{
	static const struct {
		enum document document;
		const char *json;
	} documents[] = {
	        {MANIFEST,
	         "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"annotations\":{\"x\":\"y\"}}"},
	        /* As the Go tools read it. */
	        {MANIFEST,
	         "{\"SchemaVersion\":2,\"Config\":" DESCRIPTOR ",\"Layers\":[" DESCRIPTOR "]}"},
	        {INDEX, "{\"schemaVersion\":2," MANIFESTS "}"},
	        {INDEX, "{\"schemaVersion\":2,\"MANIFESTS\":[" DESCRIPTOR "]}"},
	        {IMAGE_CONFIG,
	         "{\"config\":{},\"history\":[],\"rootfs\":{\"diff_ids\":[\"" DIGEST "\"]}}"},
	        {IMAGE_CONFIG, "{\"rootFS\":{\"Diff_IDs\":[\"" DIGEST "\"]}}"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		_cleanup_error_ cst_error *error = NULL;
		size_t items = 0;
		assert_int_equal(parse(documents[i].document, documents[i].json, &items, &error),
		                 0);
		assert_int_equal(items, 1);
	}
}

static void test_refused(void **state)
{
	static const char both[] = "members of several kinds of document", twice[] = "comes twice";
	static const struct {
		enum document document;
		const char *json, *reason;
	} documents[] = {
	        {MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS "," MANIFESTS "}", both},
	        {MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"Manifests\":[]}", both},
	        {MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"fsLayers\":[]}", both},
	        {MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"history\":[]}", both},
	        {INDEX, "{\"schemaVersion\":2," MANIFESTS "," LAYERS "}", both},
	        {INDEX, "{\"schemaVersion\":2," CONFIG "," MANIFESTS "}", both},
	        {INDEX, "{\"schemaVersion\":2," CONFIG "," LAYERS "}", both},
	        {MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS "," LAYERS "}", twice},
	        {MANIFEST, "{\"schemaVersion\":2," CONFIG "," LAYERS ",\"LAYERS\":[]}", twice},
	        {MANIFEST, "{\"schemaVersion\":2," CONFIG "," CONFIG "," LAYERS "}", twice},
	        {INDEX, "{" MANIFESTS "," MANIFESTS "}", twice},
	        {IMAGE_CONFIG,
	         "{\"rootfs\":{\"diff_ids\":[\"" DIGEST "\"]},\"rootfs\":{\"diff_ids\":[]}}",
	         twice},
	        {IMAGE_CONFIG, "{\"rootfs\":{\"diff_ids\":[],\"diff_ids\":[\"" DIGEST "\"]}}",
	         twice},
	};
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		_cleanup_error_ cst_error *error = NULL;
		size_t items;
		assert_int_equal(parse(documents[i].document, documents[i].json, &items, &error),
		                 CST_EARCHIVE);
		assert_non_null(strstr(cst_error_message(error), documents[i].reason));
	}
}

static void test_of_schema_1(void **state)
{
	_cleanup_error_ cst_error *error = NULL;
	size_t items;
	assert_int_equal(parse(MANIFEST, "{\"schemaVersion\":1,\"fsLayers\":[],\"history\":[]}",
	                       &items, &error),
	                 CST_ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_read),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_of_schema_1),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
