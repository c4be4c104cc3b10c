/* SPDX-License-Identifier: Apache-2.0 */
/* What can be given to a new layer, image or container, and what the record says of it afterwards,
 * in this handle and for whoever opens the store next. */
#include "api_fixture.h"
#include "store/container/level.h"
#include "store/core/hold.h"

#define DIGEST "sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"
#define OTHER  "sha256:4d52fb44cc4e8a7c0e4b3e0b1d8b8f4a2d6f0c9b1b3c5d7e9f1a3b5c7d9e1f30"

/* Everything is asked of a second handle, which knows only what is on disk. */
static cst_store *other_handle(const struct api *api)
{
	cst_store *store = NULL;
	assert_int_equal(open_store(api, false, &store, NULL), 0);
	return store;
}

static void assert_text_in(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		print_message("no %s in %s\n", wanted, text);
	assert_non_null(strstr(text, wanted));
}

static void assert_strings(size_t n, const char *const *strings, const char *wanted)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&text, "%s%s", i ? " " : "", strings[i]);
	assert_string_equal(strbuf_str(&text), wanted);
}

static void assert_data(cst_store *store, enum cst_kind kind, const char *id, const char *key,
                        const char *wanted)
{
	void *data = NULL;
	size_t size = 0;
	assert_int_equal(cst_store_data(store, kind, id, key, &data, &size, NULL), 0);
	assert_int_equal(size, strlen(wanted));
	assert_memory_equal(data, wanted, size);
	cst_free(data);
}

/* ---- layers ---- */

/* Nothing of layer `id` is left in the metadata directory either. */
static void assert_no_layer(const struct api *api, const char *id)
{
	_cleanup_free_ char *path = str_printf("%s/%s-layers/%s", api->root, api->driver, id);
	assert_false(cst_store_exists(api->store, id));
	assert_int_not_equal(access(path, F_OK), 0);
}

/* below (empty) <- original, which has the tar, metadata, a name, a flag and a data item */
static void make_original(const struct api *api)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	const cst_data_item item = {.key = "item", .data = "x", .data_size = 1};
	const cst_flag flag = {"of-the-original", "true"};
	const char *name = "original-name";
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	options.id = "below";
	assert_int_equal(cst_store_create_layer(api->store, &options, NULL, NULL, NULL), 0);
	options.id = "original";
	options.parent = "below";
	options.names = &name;
	options.n_names = 1;
	options.data = &item;
	options.n_data = 1;
	options.flags = &flag;
	options.n_flags = 1;
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, NULL), 0);
	assert_int_equal(cst_store_set_metadata(api->store, "original", "meta", NULL), 0);
}

static void assert_file(const struct api *api, const char *id, const char *file, bool wanted)
{
	char *path = NULL;
	assert_int_equal(cst_store_mount(api->store, id, NULL, &path, NULL), 0);
	_cleanup_free_ char *full = path_join(path, file);
	assert_int_equal(access(full, F_OK) == 0, wanted);
	cst_free(path);
	assert_int_equal(cst_store_unmount(api->store, id, false, NULL, NULL), 0);
}

static void test_template(void **state)
{
	static const char more_zeros[1024]; /* which nobody would write who made the tar anew */
	struct api *api = api_of(state);
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	_cleanup_(cst_layer_freep) cst_layer *original = NULL, *copy = NULL, *none = NULL;
	strbuf_add(&api->tar, more_zeros, sizeof(more_zeros));
	make_original(api);
	options.id = "copy";
	options.parent = "below";
	options.template_layer = "original-name";
	assert_int_equal(cst_store_create_layer(api->store, &options, NULL, NULL, NULL), 0);
	_cleanup_(cst_store_closep) cst_store *store = other_handle(api);
	assert_int_equal(cst_store_layer(store, "original", &original, NULL), 0);
	assert_int_equal(cst_store_layer(store, "copy", &copy, NULL), 0);
	assert_string_equal(cst_layer_parent(copy), "below");
	assert_string_equal(cst_layer_metadata(copy), "meta");
	assert_string_equal(cst_layer_diff_digest(copy), cst_layer_diff_digest(original));
	assert_string_equal(cst_layer_compressed_digest(copy),
	                    cst_layer_compressed_digest(original));
	assert_int_equal(cst_layer_uncompressed_size(copy), (int64_t)api->tar.len);
	assert_int_equal(cst_layer_compressed_size(copy), (int64_t)api->tar.len);
	assert_int_equal(cst_layer_uids(copy, NULL), 1);
	assert_int_equal(cst_layer_gids(copy, NULL), 1);
	assert_int_equal(cst_layer_names(copy, NULL), 0);
	assert_int_equal(cst_layer_data_names(copy, NULL), 0);
	char *json = NULL;
	assert_int_equal(cst_layer_json(copy, &json, NULL, NULL), 0);
	assert_null(strstr(json, "flags"));
	cst_free(json);

	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	assert_file(api, "below", "etc/hostname", false);
	assert_file(api, "copy", "etc/hostname", true);
	assert_int_equal(cst_store_diff(store, NULL, "copy", NULL, &sink, NULL), 0);
	assert_int_equal(memory.size, api->tar.len);
	assert_memory_equal(memory.data, api->tar.data, api->tar.len);
	free(memory.data);

	options.id = "new";
	options.template_layer = "nothing";
	assert_int_equal(cst_store_create_layer(api->store, &options, NULL, &none, NULL),
	                 CST_ELAYER_UNKNOWN);
	assert_null(none);
	assert_no_layer(api, "new");
}

/* What is unpacked goes on top of the template's content, and the digests are its own. */
static void test_template_and_tar(void **state)
{
	const struct api *api = api_of(state);
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_(cst_layer_freep) cst_layer *original = NULL, *copy = NULL;
	TAR_ADD(&tar, .name = "more", .data = "1", .len = 1, .uid = getuid(), .gid = getgid());
	tar_add_end(&tar);
	cst_memory memory = {.data = tar.data, .size = tar.len};
	cst_source source = cst_source_memory(&memory);
	make_original(api);
	options.id = "copy";
	options.template_layer = "original";
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, &copy, NULL), 0);
	assert_int_equal(cst_store_layer(api->store, "original", &original, NULL), 0);
	assert_string_not_equal(cst_layer_diff_digest(copy), cst_layer_diff_digest(original));
	assert_int_equal(cst_layer_uncompressed_size(copy), (int64_t)tar.len);
	assert_string_equal(cst_layer_parent(copy), "");
	assert_file(api, "copy", "etc/hostname", true);
	assert_file(api, "copy", "more", true);
}

struct deleting {
	const struct api *api;
	cst_memory tar;
	const char *id; /* goes before the first byte is read */
};

static int64_t delete_and_read(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct deleting *deleting = userdata;
	cst_source tar = cst_source_memory(&deleting->tar);
	int r = deleting->tar.offset
	                ? 0
	                : cst_store_delete_layer(deleting->api->store, deleting->id, error);
	return r < 0 ? r : tar.read(tar.userdata, buffer, size, error);
}

/* Content that was staged from a layer that is gone, or is another one by now, is worth nothing. */
static void test_template_goes(void **state)
{
	const struct api *api = api_of(state);
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	struct deleting deleting = {
	        .api = api, .id = "original", .tar = {.data = api->tar.data, .size = api->tar.len}};
	cst_source source = {.read = delete_and_read, .userdata = &deleting};
	_cleanup_error_ cst_error *error = NULL;
	make_original(api);
	options.id = "new";
	options.template_layer = "original";
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, &error),
	                 CST_ELAYER_UNKNOWN);
	assert_text_in(cst_error_message(error), "the layer \"original\" was deleted");
	assert_no_layer(api, "new");
}

static void create_with_digests(const struct api *api, const char *original, int64_t size,
                                cst_layer **ret)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	options.original_digest = original;
	options.original_size = size;
	options.uncompressed_digest = original ? OTHER : NULL;
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, ret, NULL), 0);
}

static void test_given_digests(void **state)
{
	const struct api *api = api_of(state);
	cst_store *store = api->store;
	_cleanup_(cst_layer_freep) cst_layer *given = NULL, *unsized = NULL, *alone = NULL;
	_cleanup_(cst_layer_list_freep) cst_layer_list *found = NULL;
	cst_layer_list *none = NULL;
	create_with_digests(api, DIGEST, 12345, &given);
	assert_string_equal(cst_layer_compressed_digest(given), DIGEST);
	assert_int_equal(cst_layer_compressed_size(given), 12345);
	assert_string_equal(cst_layer_diff_digest(given), OTHER);
	assert_int_equal(cst_layer_uncompressed_size(given), (int64_t)api->tar.len);
	create_with_digests(api, DIGEST, -1, &unsized);
	assert_int_equal(cst_layer_compressed_size(unsized), (int64_t)api->tar.len);
	create_with_digests(api, NULL, 12345, &alone); /* a size of nothing */
	assert_int_equal(cst_layer_compressed_size(alone), (int64_t)api->tar.len);

	assert_int_equal(cst_store_layers_by_compressed_digest(store, DIGEST, &found, NULL), 0);
	assert_int_equal(cst_layer_list_size(found), 2);
	assert_int_equal(cst_store_layers_by_compressed_digest(store, OTHER, &none, NULL),
	                 CST_ELAYER_UNKNOWN);
	assert_int_equal(cst_store_layers_by_compressed_digest(store, "sha256:no", &none, NULL),
	                 CST_EINVAL);
	assert_null(none);
}

static void test_layer_data_and_flags(void **state)
{
	static const cst_data_item items[] = {{.key = "Chunked/Manifest", .data = "ab", 2},
	                                      {.key = "empty"}};
	static const cst_flag flags[] = {{"z", " [1.50, null] "}, {"a", "{\"y\":1,\"x\":\"<\"}"}};
	const struct api *api = api_of(state);
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	const char *const *names;
	char *json = NULL;
	options.id = "new";
	options.data = items;
	options.n_data = ARRAY_SIZE(items);
	options.flags = flags;
	options.n_flags = ARRAY_SIZE(flags);
	assert_int_equal(cst_store_create_layer(api->store, &options, NULL, NULL, NULL), 0);
	_cleanup_(cst_store_closep) cst_store *store = other_handle(api);
	assert_int_equal(cst_store_layer(store, "new", &layer, NULL), 0);
	size_t n = cst_layer_data_names(layer, &names);
	assert_strings(n, names, "Chunked/Manifest empty");
	assert_data(store, CST_KIND_LAYER, "new", "Chunked/Manifest", "ab");
	assert_data(store, CST_KIND_LAYER, "new", "empty", "");
	assert_int_equal(cst_layer_json(layer, &json, NULL, NULL), 0);
	assert_text_in(json, "\"flags\":{\"a\":{\"x\":\"\\u003c\",\"y\":1},\"z\":[1.5,null]}");
	cst_free(json);
	assert_int_equal(cst_store_delete_layer(api->store, "new", NULL), 0);
	assert_no_layer(api, "new");
}

static void assert_refused(const struct api *api, const cst_data_item *items, size_t n_data,
                           const cst_flag *flag, int code)
{
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	options.id = "new";
	options.data = items;
	options.n_data = n_data;
	options.flags = flag;
	options.n_flags = flag ? 1 : 0;
	assert_int_equal(cst_store_create_layer(api->store, &options, &source, NULL, NULL), code);
	assert_int_equal(memory.offset, 0); /* said before anything was read */
	assert_no_layer(api, "new");
}

static void test_bad_data_and_flags(void **state)
{
	static const cst_data_item twice[] = {{.key = "a"}, {.key = "a"}};
	static const cst_data_item unnamed = {.key = ""}, none = {0};
	static const cst_flag bad[] = {
	        {"f", ""},   {"f", "nonsense"}, {"f", "1 2"},           {"f", "1e999"},
	        {"f", NULL}, {NULL, "1"},       {"incomplete", "false"}};
	const struct api *api = api_of(state);
	assert_refused(api, twice, 2, NULL, CST_EINVAL);
	assert_refused(api, &unnamed, 1, NULL, CST_EINVALID_BIG_DATA_NAME);
	assert_refused(api, &none, 1, NULL, CST_EINVALID_BIG_DATA_NAME);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(api, NULL, 0, &bad[i], CST_EINVAL);
}

/* ---- images ---- */

static void test_image(void **state)
{
	static const char *const history[] = {"older", "oldest"};
	static const cst_flag flag = {"kind", "\"index\""};
	static const cst_data_item items[] = {
	        {.key = "manifest", .data = "m", .data_size = 1, .digest = DIGEST},
	        {.key = "config", .data = "{}", .data_size = 2}};
	const struct api *api = api_of(state);
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	_cleanup_(cst_image_freep) cst_image *image = NULL;
	const char *name = "name", *const * names;
	int32_t nanoseconds = 0;
	char *json = NULL;
	options.id = "new";
	options.names = &name;
	options.n_names = 1;
	options.names_history = history;
	options.n_names_history = ARRAY_SIZE(history);
	options.flags = &flag;
	options.n_flags = 1;
	options.has_created = true;
	options.created = 1600000000;
	options.created_nanoseconds = 123456789;
	options.digest = OTHER;
	options.data = items;
	options.n_data = ARRAY_SIZE(items);
	assert_int_equal(cst_store_create_image(api->store, &options, NULL, NULL), 0);
	_cleanup_(cst_store_closep) cst_store *store = other_handle(api);
	assert_int_equal(cst_store_image(store, "name", &image, NULL), 0);
	assert_int_equal(cst_image_created(image, &nanoseconds), 1600000000);
	assert_int_equal(nanoseconds, 123456789);
	size_t n = cst_image_names_history(image, &names);
	assert_strings(n, names, "older oldest");
	n = cst_image_digests(image, &names);
	assert_strings(n, names, OTHER " " DIGEST);
	assert_string_equal(cst_image_digest(image), OTHER);
	assert_data(store, CST_KIND_IMAGE, "new", "config", "{}");
	assert_int_equal(cst_image_json(image, &json, NULL, NULL), 0);
	assert_text_in(json, "\"flags\":{\"kind\":\"index\"}");
	cst_free(json);

	static const cst_flag bad = {"kind", "index"};
	options.id = "bad";
	options.n_names = 0;
	options.flags = &bad;
	assert_int_equal(cst_store_create_image(store, &options, NULL, NULL), CST_EINVAL);
	assert_false(cst_store_exists(store, "bad"));
}

/* An image takes the ID of one of an additional store: first its history, then what is given, and
 * before them the names, as each becomes the image's. */
static void test_image_over_another(void **state)
{
	const struct api *api = api_of(state);
	const char *was = "was", *given = "given", *name = "new-name", *const * names;
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	_cleanup_(cst_image_freep) cst_image *image = NULL;
	options.id = "image";
	options.names_history = &was;
	options.n_names_history = 1;
	options.names = &(const char *){"image-name"};
	options.n_names = 1;
	assert_int_equal(cst_store_create_image(api->store, &options, NULL, NULL), 0);

	_cleanup_(cst_store_closep) cst_store *store = NULL;
	assert_int_equal(open_store_over(api, &store, NULL), 0);
	options.names_history = &given;
	options.names = &name;
	assert_int_equal(cst_store_create_image(store, &options, &image, NULL), 0);
	size_t n = cst_image_names(image, &names);
	assert_strings(n, names, "image-name new-name");
	n = cst_image_names_history(image, &names);
	assert_strings(n, names, "new-name image-name was given");
	assert_false(cst_image_read_only(image));
	cst_store_shutdown(store, true, NULL, NULL);
}

/* ---- containers ---- */

static void test_container(void **state)
{
	static const char *const mount_options[] = {"ro", "nodev"};
	static const cst_flag flags[] = {{"n", "1"}, {"MountOpts", "[\"lost\"]"}};
	static const cst_data_item item = {.key = "artifact", .data = "{}", .data_size = 2};
	const struct api *api = api_of(state);
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	_cleanup_(cst_container_freep) cst_container *box = NULL;
	const char *const *strings;
	const cst_idmap *map;
	int32_t nanoseconds = -1;
	char *json = NULL;
	fill(api);
	options.id = "new";
	options.image = "image";
	options.metadata = "meta";
	options.flags = flags;
	options.n_flags = ARRAY_SIZE(flags);
	options.mount_options = mount_options;
	options.n_mount_options = ARRAY_SIZE(mount_options);
	options.data = &item;
	options.n_data = 1;
	assert_int_equal(cst_store_create_container(api->store, &options, NULL, NULL), 0);
	_cleanup_(cst_store_closep) cst_store *store = other_handle(api);
	assert_int_equal(cst_store_container(store, "new", &box, NULL), 0);
	size_t n = cst_container_mount_options(box, &strings);
	assert_strings(n, strings, "ro nodev");
	assert_string_equal(cst_container_metadata(box), "meta");
	assert_true(cst_container_created(box, &nanoseconds) > 1600000000);
	assert_in_range(nanoseconds, 0, 999999999);
	assert_int_equal(cst_container_uid_map(box, &map), 0);
	assert_int_equal(cst_container_gid_map(box, &map), 0);
	assert_string_equal(
	        cst_container_data_digest(box, "artifact"),
	        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
	assert_string_equal(cst_container_data_digest(box, "none"), "");
	assert_data(store, CST_KIND_CONTAINER, "new", "artifact", "{}");
	assert_int_equal(cst_container_json(box, &json, NULL, NULL), 0);
	assert_text_in(json, "\"flags\":{\"MountLabel\":\"\",\"MountOpts\":[\"ro\",\"nodev\"],"
	                     "\"ProcessLabel\":\"\",\"n\":1}");
	cst_free(json);
}

/* As Go callers give them: all of it in the flags. */
static void test_container_by_flags(void **state)
{
	static const cst_flag flags[] = {{"MountLabel", "\"m:label\""},
	                                 {"ProcessLabel", "\"p:label\""},
	                                 {"MountOpts", "[\"nosuid\",7,\"ro\"]"},
	                                 {"Volatile", "true"}};
	const struct api *api = api_of(state);
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	_cleanup_(cst_container_freep) cst_container *box = NULL, *other = NULL;
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	const char *const *strings;
	options.id = "new";
	options.flags = flags;
	options.n_flags = ARRAY_SIZE(flags);
	assert_int_equal(cst_store_create_container(api->store, &options, &box, NULL), 0);
	assert_string_equal(cst_container_mount_label(box), "m:label");
	assert_string_equal(cst_container_process_label(box), "p:label");
	assert_true(cst_container_volatile(box));
	size_t n = cst_container_mount_options(box, &strings);
	assert_strings(n, strings, "nosuid ro");
	assert_int_equal(cst_store_layer(api->store, cst_container_layer(box), &layer, NULL), 0);
	assert_string_equal(cst_layer_mount_label(layer), "m:label");

	options.id = "other";
	options.process_label = "mine"; /* has the last word */
	options.n_flags = 2;
	assert_int_equal(cst_store_create_container(api->store, &options, &other, NULL), 0);
	assert_string_equal(cst_container_process_label(other), "mine");
	assert_int_equal(cst_container_mount_options(other, NULL), 0);
	options.id = "half";
	options.process_label = NULL;
	options.n_flags = 1;
	assert_int_equal(cst_store_create_container(api->store, &options, NULL, NULL), CST_EINVAL);
}

/* This file system has no quotas: that is said, and nothing is made. */
static void test_storage_options(void **state)
{
	static const char *const size = "size=1g", *const unknown = "colour=red";
	const struct api *api = api_of(state);
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	options.id = "new";
	options.layer = "new-layer";
	options.storage_options = &size;
	options.n_storage_options = 1;
	assert_int_equal(cst_store_create_container(api->store, &options, NULL, NULL), CST_ENOTSUP);
	options.storage_options = &unknown;
	assert_int_equal(cst_store_create_container(api->store, &options, NULL, NULL), CST_EINVAL);
	assert_false(cst_store_exists(api->store, "new"));
	assert_no_layer(api, "new-layer");
}

/* ---- callers of another age ---- */

/* One that was compiled before a struct grew: what lies behind its end is not looked at. */
static void test_older_callers(void **state)
{
	const struct api *api = api_of(state);
	cst_layer_options layer = CST_LAYER_OPTIONS_INIT;
	cst_image_options image = CST_IMAGE_OPTIONS_INIT;
	cst_container_options container = CST_CONTAINER_OPTIONS_INIT;
	layer.size = offsetof(cst_layer_options, template_layer);
	memset(&layer.template_layer, 0xff, sizeof(layer) - layer.size);
	image.size = offsetof(cst_image_options, names_history);
	memset(&image.names_history, 0xff, sizeof(image) - image.size);
	container.size = offsetof(cst_container_options, flags);
	memset(&container.flags, 0xff, sizeof(container) - container.size);
	assert_int_equal(cst_store_create_layer(api->store, &layer, NULL, NULL, NULL), 0);
	assert_int_equal(cst_store_create_driver_layer(api->store, &layer, NULL, NULL), 0);
	assert_int_equal(cst_store_create_image(api->store, &image, NULL, NULL), 0);
	assert_int_equal(cst_store_create_container(api->store, &container, NULL, NULL), 0);
	layer.size = image.size = container.size = 0;
	assert_int_equal(cst_store_create_layer(api->store, &layer, NULL, NULL, NULL), CST_EINVAL);
	assert_int_equal(cst_store_create_driver_layer(api->store, &layer, NULL, NULL), CST_EINVAL);
	assert_int_equal(cst_store_create_image(api->store, &image, NULL, NULL), CST_EINVAL);
	assert_int_equal(cst_store_create_container(api->store, &container, NULL, NULL),
	                 CST_EINVAL);
}

/* A level that somebody has, a container or only a layer, is none for a new container. */
static void test_selinux_levels(void **state)
{
	struct api *api = api_of(state);
	cst_layer_options layer = CST_LAYER_OPTIONS_INIT;
	cst_container_options container = CST_CONTAINER_OPTIONS_INIT;
	layer.id = "labelled";
	layer.mount_label = "u:object_r:t:s0:c1,c2";
	container.process_label = "u:r:t:s0:c3,c4";
	container.mount_label = "u:object_r:t:s0:c5,c6";
	assert_int_equal(cst_store_create_layer(api->store, &layer, NULL, NULL, NULL), 0);
	assert_int_equal(cst_store_create_container(api->store, &container, NULL, NULL), 0);
	_cleanup_(cst_store_closep) cst_store *store = other_handle(api);
	_cleanup_hold_ struct hold held = {0};
	assert_int_equal(hold_sets(store, hold_three(HOLD_READ, HOLD_NOT, HOLD_READ), &held, NULL),
	                 0);
	static const char *const taken[] = {"s0:c1,c2", "s0:c3,c4", "s0:c5,c6"},
	                         *const is_free[] = {"s0:c1", "s0:c1,c23", "s0:c2,c3", "s0"};
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		assert_true(container_level_is_taken(store, taken[i]));
	for (size_t i = 0; i < ARRAY_SIZE(is_free); i++)
		assert_false(container_level_is_taken(store, is_free[i]));
}

#define EACH(X)                      \
	X(test_template)             \
	X(test_template_and_tar)     \
	X(test_template_goes)        \
	X(test_given_digests)        \
	X(test_layer_data_and_flags) \
	X(test_bad_data_and_flags)   \
	X(test_image)                \
	X(test_image_over_another)   \
	X(test_container)            \
	X(test_container_by_flags)   \
	X(test_storage_options)      \
	X(test_selinux_levels)       \
	X(test_older_callers)

DEFINE_RUN_ON_DRIVERS("create options", EACH)

int main(void)
{
	return run_on_drivers();
}
