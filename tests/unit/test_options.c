/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every public function that takes a struct with a size, called by a program that was compiled when the struct was shorter,
 * and by one that was compiled when it was longer. The shorter one ends at the end of the memory: one byte more is a fault.
 */
#include "api_fixture.h"
#include "config/storage_conf.h"
#include <sys/mman.h>

DEFINE_CLEANUP(cst_changes *, cst_changes_free)

/* ---- one call of each function; it is given the struct and what is to be said of it ---- */

static int open_it(struct api *api, void *options, cst_error **error)
{
	_cleanup_(cst_store_closep) cst_store *store = NULL;
	return cst_store_open(options, &store, error);
}

static int options_json(struct api *api, void *options, cst_error **error)
{
	_cleanup_free_ char *json = NULL;
	return cst_store_options_json(options, &json, error);
}

static int lock_holders(struct api *api, void *options, cst_error **error)
{
	cst_lock_holders *holders = NULL;
	int r = cst_store_options_lock_holders(options, &holders, error);
	cst_lock_holders_free(holders);
	return r;
}

static int config_options(struct api *api, void *options, cst_error **error)
{
	const cst_config config = {.options = {.size = sizeof(config.options)}};
	return cst_config_options(&config, options, error);
}

static int new_layer(struct api *api, void *options, cst_error **error)
{
	return cst_store_create_layer(api->store, options, NULL, NULL, error);
}

static int new_driver_layer(struct api *api, void *options, cst_error **error)
{
	return cst_store_create_driver_layer(api->store, options, NULL, error);
}

static int new_image(struct api *api, void *options, cst_error **error)
{
	return cst_store_create_image(api->store, options, NULL, error);
}

static int new_container(struct api *api, void *options, cst_error **error)
{
	return cst_store_create_container(api->store, options, NULL, error);
}

static int import_tar(struct api *api, void *options, cst_error **error)
{
	_cleanup_free_ char *source = str_printf("tar:%s/layer.tar", api->dir.path);
	assert_int_equal(fs_replace_file(api->dir.fd, "layer.tar", api->tar.data, api->tar.len,
	                                 0600, 0, "layer.tar", NULL),
	                 0);
	return cst_store_import_image(api->store, source, options, NULL, error);
}

static int diff(struct api *api, void *options, cst_error **error)
{
	cst_memory memory = {0};
	cst_sink sink = cst_sink_memory(&memory);
	int r = cst_store_diff(api->store, NULL, "base", options, &sink, error);
	free(memory.data);
	return r;
}

static int copy(struct api *api, void *options, cst_error **error)
{
	const cst_copy_place from = {.layer = "base", .path = "etc"}, to = {.path = api->dir.path};
	return cst_store_copy(api->store, &from, 1, &to, options, error);
}

static int mount_it(struct api *api, void *options, cst_error **error)
{
	_cleanup_free_ char *path = NULL;
	int r = cst_store_mount(api->store, "box", options, &path, error);
	return r < 0 ? r : cst_store_unmount(api->store, "box", false, NULL, error);
}

static int mount_image(struct api *api, void *options, cst_error **error)
{
	_cleanup_free_ char *path = NULL;
	int r = cst_store_mount_image(api->store, "image", options, &path, error);
	return r < 0 ? r : cst_store_unmount_image(api->store, "image", false, NULL, error);
}

static int delete_it(struct api *api, void *options, cst_error **error)
{
	int r = cst_store_delete(api->store, "nothing", options, NULL, error);
	return r == CST_ELAYER_UNKNOWN ? 0 : r;
}

static int apply(struct api *api, void *options, cst_error **error)
{
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	return cst_archive_apply(api->dir.fd, &source, options, NULL, error);
}

static int apply_result(struct api *api, void *result, cst_error **error)
{
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	return cst_archive_apply(api->dir.fd, &source, NULL, result, error);
}

static int discard(void *userdata, const void *data, size_t size, cst_error **error)
{
	return 0;
}
static const cst_sink nowhere = {.write = discard};

static int pack(struct api *api, void *options, cst_error **error)
{
	return cst_archive_pack(api->dir.fd, &nowhere, options, error);
}

static int compare(struct api *api, void *options, cst_error **error)
{
	_cleanup_(cst_changes_freep) cst_changes *changes = NULL;
	return cst_archive_changes(-1, api->dir.fd, options, &changes, error);
}

static int pack_changes(struct api *api, void *options, cst_error **error)
{
	return cst_archive_diff(-1, api->dir.fd, &nowhere, options, error);
}

/* ---- programs of another age ---- */

#define ROW(type, function)                   \
	{                                     \
#type, sizeof(type), function \
	}
static const struct row {
	const char *type;
	size_t size;
	int (*call)(struct api *api, void *options, cst_error **error);
} rows[] = {
        ROW(cst_store_options, open_it),      ROW(cst_store_options, options_json),
        ROW(cst_store_options, lock_holders), ROW(cst_store_options, config_options),
        ROW(cst_layer_options, new_layer),    ROW(cst_layer_options, new_driver_layer),
        ROW(cst_image_options, new_image),    ROW(cst_container_options, new_container),
        ROW(cst_import_options, import_tar),  ROW(cst_diff_options, diff),
        ROW(cst_copy_options, copy),          ROW(cst_mount_options, mount_it),
        ROW(cst_mount_options, mount_image),  ROW(cst_delete_options, delete_it),
        ROW(cst_apply_options, apply),        ROW(cst_apply_result, apply_result),
        ROW(cst_pack_options, pack),          ROW(cst_pack_options, compare),
        ROW(cst_pack_options, pack_changes),
};

/* `size` bytes up to the end of a page behind which there is nothing. */
static char *at_the_end(size_t size, char **page)
{
	size_t n = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + n, n, PROT_NONE), 0);
	*page = pages;
	return pages + n - size;
}

static void unmap(char *page)
{
	assert_int_equal(munmap(page, 2 * (size_t)sysconf(_SC_PAGESIZE)), 0);
}

/* The members that matter for a call are in front in every struct. */
static void prefill(const struct api *api, const struct row *row, char *options, size_t size)
{
	memcpy(options, &size, sizeof(size));
	if (streq(row->type, "cst_store_options")) {
		const char *const roots[] = {api->root, api->run};
		memcpy(options + offsetof(cst_store_options, graph_root), roots, sizeof(roots));
		memcpy(options + offsetof(cst_store_options, driver), &api->driver,
		       sizeof(api->driver));
	}
}

/* What a call says of a struct of that size, whose last byte is `last`. */
static int call(struct api *api, const struct row *row, size_t size, char last, cst_error **error)
{
	char *page, *options = at_the_end(size, &page);
	prefill(api, row, options, size);
	if (last)
		options[size - 1] = last;
	int r = row->call(api, options, error);
	unmap(page);
	return r;
}

static void test_older_program(void **state)
{
	struct api *api = api_of(state);
	fill(api);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_error_ cst_error *error = NULL;
		int r = call(api, &rows[i], rows[i].size - sizeof(void *), 0, &error);
		if (r < 0)
			fail_msg("%s, row %zu: %s", rows[i].type, i, cst_error_message(error));
	}
}

static void test_newer_program(void **state)
{
	struct api *api = api_of(state);
	fill(api);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_error_ cst_error *error = NULL, *refusal = NULL;
		size_t size = rows[i].size + sizeof(void *);
		int r = call(api, &rows[i], size, 0, &error);
		if (r < 0)
			fail_msg("%s, row %zu: %s", rows[i].type, i, cst_error_message(error));
		if (rows[i].call == apply_result || rows[i].call == config_options)
			continue; /* filled by us: nothing is asked for */
		r = call(api, &rows[i], size, 1, &refusal);
		if (r != CST_EINVAL || !strstr(cst_error_message(refusal), rows[i].type))
			fail_msg("%s, row %zu: %d, %s", rows[i].type, i, r,
			         cst_error_message(refusal));
	}
}

static void test_not_initialised(void **state)
{
	struct api *api = api_of(state);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const size_t wrong[] = {0, sizeof(size_t) - 1, 1 << 20};
		for (size_t j = 0; j < ARRAY_SIZE(wrong); j++) {
			_cleanup_error_ cst_error *error = NULL;
			char *page, *options = at_the_end(sizeof(size_t), &page);
			memcpy(options, &wrong[j], sizeof(wrong[j]));
			int r = rows[i].call(api, options, &error);
			unmap(page);
			if (r != CST_EINVAL || !strstr(cst_error_message(error), rows[i].type))
				fail_msg("%s, row %zu, size %zu: %d, %s", rows[i].type, i, wrong[j],
				         r, cst_error_message(error));
		}
	}
}

/* ---- the configuration and a program that is too old to know all of it ---- */

static void test_configured_and_older(void **state)
{
	struct api *api = api_of(state);
	_cleanup_free_ char *text = str_printf(
	        "[storage]\ndriver='vfs'\nrunroot='%s'\ngraphroot='%s'\n", api->run, api->root);
	_cleanup_free_ char *path = str_printf("%s/storage.conf", api->dir.path);
	assert_int_equal(fs_replace_file(api->dir.fd, "storage.conf", text, strlen(text), 0600, 0,
	                                 "storage.conf", NULL),
	                 0);
	cst_config *config = NULL;
	assert_int_equal(cst_config_load(path, &config, NULL), 0);
	size_t size = offsetof(cst_store_options, driver);
	char *page;
	cst_store_options *older = (cst_store_options *)at_the_end(size, &page);
	memcpy(older, &size, sizeof(size));
	assert_int_equal(cst_config_options(config, older, NULL), 0);
	assert_string_equal(older->graph_root, api->root);
	_cleanup_free_ char *json = NULL;
	assert_int_equal(cst_store_options_json(older, &json, NULL), 0);
	assert_non_null(strstr(json, "\"driver\":\"vfs\"")); /* which it is too old to know of */
	unmap(page);
	cst_config_free(config);
}

#define EACH(X)                 \
	X(test_older_program)   \
	X(test_newer_program)   \
	X(test_not_initialised) \
	X(test_configured_and_older)
DEFINE_RUN_ON_DRIVERS("options", EACH)

int main(void)
{
	return run_on_drivers();
}
