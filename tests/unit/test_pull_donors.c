/* SPDX-License-Identifier: Apache-2.0 */
/* Where a pull in parts takes content from that is on the machine: other layers, composefs objects, ostree repositories; copied, or as a
 * further name of the same file. */
#include "base/fs.h"
#include "pull_fixture.h"

/* A file of the other layer was changed since: what was counted on is fetched. */
static void other_layer_was_changed(void **state)
{
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	assert_int_equal(pull(api, &s, "one", &result), 0);
	_cleanup_free_ char *command = str_printf(
	        "for name in 3 5 big; do file=$(find %s -path '*one*/d/'$name); echo x | "
	        "dd of=$file bs=1 seek=3000 conv=notrunc status=none; "
	        "test $name = 5 && rm $file && mkfifo $file; done; true",
	        api->root);
	assert_int_equal(system(command), 0);
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused, FILES - 2);
	assert_is(api, "two", &two, true);
	ok(cst_store_delete_layer(api->store, "two", NULL), NULL);
	/* Nobody says which tar it should be. */
	cst_pull_options options = annotated(&two);
	options.diff_digest = NULL;
	assert_int_equal(pull_with(api, &t, "three", NULL, &options, &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused, FILES - 2);
	assert_is(api, "three", &two, true);
	ok(cst_store_delete_layer(api->store, "one", NULL), NULL);
	assert_clean(api);
}

/* ---- composefs ---- */

static void open_with(struct api *api, const char *option)
{
	cst_error *error = NULL;
	ok(reopen_with_driver_option(api, option, &error), error);
}

static void assert_objects(const struct api *api, const char *id)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	cst_error *error = NULL;
	ok(cst_store_data(api->store, CST_KIND_LAYER, id, "zstd-chunked-layer-data", (void **)&text,
	                  &size, &error),
	   error);
	assert_int_equal(size, strlen("{\"format\":1}"));
	assert_memory_equal(text, "{\"format\":1}", size);
}

/* What lies in objects is found there, from layers of either kind. */
static void images_are_donors(void **state)
{
	struct api *api = api_of(state);
	if (strcmp(api->driver, "overlay") != 0 || geteuid() != 0)
		skip_because("composefs is for root and overlay");
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	open_with(api, "overlay.use_composefs=true");
	assert_int_equal(pull(api, &s, "one", &result), 0);
	assert_objects(api, "one");
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_objects(api, "two");
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused, FILES);
	assert_true(result.bytes_fetched < 150000);
	open_with(api, "overlay.use_composefs=false");
	assert_int_equal(pull(api, &t, "three", &result), 0);
	assert_true(result.bytes_fetched < 50000);
	assert_is(api, "one", &one, true);
	assert_is(api, "two", &two, true);
	assert_is(api, "three", &two, true);
	assert_clean(api);
}

/* ---- hard links ---- */

/* The file in the layer's own content; the layer is a new one of the overlay driver. */
static struct stat file_of(const struct api *api, const char *layer, const char *name)
{
	struct stat st;
	_cleanup_free_ char *path = str_printf("%s/overlay/%s/diff/%s", api->root, layer, name);
	assert_int_equal(lstat(path, &st), 0);
	return st;
}

static unsigned files_shared(const struct api *api, const char *one, const char *two)
{
	unsigned n = 0;
	char name[32];
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "d/%u", i);
		n += file_of(api, one, name).st_ino == file_of(api, two, name).st_ino;
	}
	return n;
}

static bool is_overlay_of_root(const struct api *api)
{
	return strcmp(api->driver, "overlay") == 0 && geteuid() == 0;
}

static void files_are_linked_if_asked(void **state)
{
	struct api *api = api_of(state);
	if (!is_overlay_of_root(api))
		skip_because("files are shared by overlay");
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	assert_int_equal(pull(api, &s, "one", &result), 0);
	assert_int_equal(pull(api, &t, "copy", &result), 0);
	assert_int_equal(files_shared(api, "one", "copy"), 0);
	ok(cst_store_delete_layer(api->store, "copy", NULL), NULL);
	reopen_with_pull_option(api, "use_hard_links=TRUE", false);
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(result.files_reused, FILES);
	/* The changed one is not; that whose header ends a piece of the stream may be written. */
	assert_in_range(files_shared(api, "one", "two"), FILES - 2, FILES - 1);
	assert_int_not_equal(file_of(api, "one", "d/11").st_ino,
	                     file_of(api, "two", "d/11").st_ino);
	assert_is(api, "one", &one, true);
	assert_is(api, "two", &two, true);
	assert_clean(api);
	ok(cst_store_delete_layer(api->store, "one", NULL), NULL);
	assert_is(api, "two", &two, true);
	assert_clean(api);
}

/* A hard link of the archive goes to the shared file, which gets no attributes from it. */
static void links_to_linked_files(void **state)
{
	struct api *api = api_of(state);
	if (!is_overlay_of_root(api))
		skip_because("files are shared by overlay");
	_cleanup_blob_ struct blob one = make_blob(1), three = make_blob(3);
	struct source s = {.blob = &one}, t = {.blob = &three};
	cst_pull_result result;
	reopen_with_pull_option(api, "use_hard_links=true", false);
	assert_int_equal(pull(api, &s, "one", &result), 0);
	const struct stat big = file_of(api, "one", "d/big");
	assert_int_equal(pull(api, &s, "again", &result), 0);
	assert_int_equal(file_of(api, "again", "d/big").st_ino, big.st_ino);
	assert_int_equal(file_of(api, "again", "same").st_ino, big.st_ino);
	assert_int_equal(pull(api, &t, "three", &result), 0);
	assert_true(result.in_parts);
	assert_int_equal(file_of(api, "three", "same").st_mtime, 5);
	assert_int_not_equal(file_of(api, "three", "d/big").st_ino, big.st_ino);
	assert_int_equal(file_of(api, "one", "d/big").st_mtime, big.st_mtime);
	assert_is(api, "again", &one, true);
	assert_is(api, "three", &three, true);
	assert_clean(api);
}

/* A file that differs in anything but its content is written. */
static void other_attributes_are_not_linked(void **state)
{
	static const char *const changes[] = {"chmod 600 %s", "chown 7 %s", "chgrp 7 %s",
	                                      "touch -d @77 %s", "setfattr -n user.x -v y %s"};
	struct api *api = api_of(state);
	if (!is_overlay_of_root(api))
		skip_because("files are shared by overlay");
	_cleanup_blob_ struct blob one = make_blob(1), two = make_blob(2);
	struct source s = {.blob = &one}, t = {.blob = &two};
	cst_pull_result result;
	reopen_with_pull_option(api, "use_hard_links=true", false);
	assert_int_equal(pull(api, &s, "one", &result), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_free_ char *path =
		        str_printf("%s/overlay/one/diff/d/%u", api->root, 20 + i);
		_cleanup_free_ char *command = str_printf(changes[i], path);
		assert_int_equal(system(command), 0);
	}
	assert_int_equal(pull(api, &t, "two", &result), 0);
	assert_int_equal(result.files_reused, FILES);
	assert_in_range(files_shared(api, "one", "two"), FILES - 2 - ARRAY_SIZE(changes),
	                FILES - 1 - ARRAY_SIZE(changes));
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		char name[16];
		snprintf(name, sizeof(name), "d/%u", 20 + i);
		assert_int_not_equal(file_of(api, "one", name).st_ino,
		                     file_of(api, "two", name).st_ino);
	}
	assert_is(api, "two", &two, true);
}

/* ---- ostree ---- */

/* The store of the test, opened again to take files from two repositories, of which the second one exists. */
static void open_with_repository(struct api *api)
{
	_cleanup_free_ char *option =
	        str_printf("ostree_repos=%s/none:%s/repo", api->dir.path, api->dir.path);
	(void)cst_store_shutdown(api->store, true, NULL, NULL);
	reopen_with_pull_option(api, option, false);
}

/* The large file of the first version in the repository: the object `at` has it, or what it should not have. */
static void fill_repository(const struct api *api, const char *at, const char *content, size_t n)
{
	static char big[BIG];
	char digest[DIGEST_TEXT_MAX];
	noise(big, sizeof(big), 7);
	assert_int_equal(digest_buffer(DIGEST_SHA256, big, sizeof(big), digest, NULL), 0);
	const char *hex = strchr(digest, ':') + 1;
	_cleanup_free_ char *text = str_printf(
	        "cd %s && rm -rf repo && mkdir -p repo/objects/%.2s repo/objects/aa out && "
	        "ln -s ../%s repo/objects/%.2s/%s.payload-link",
	        api->dir.path, hex, at, hex, hex + 2);
	assert_int_equal(system(text), 0);
	_cleanup_free_ char *path =
	        str_printf("%s/repo/objects/%.2s/../%s", api->dir.path, hex, at);
	assert_int_equal(
	        fs_write_file(AT_FDCWD, path, content ? content : big, n, 0644, path, NULL), 0);
}

static void ostree_gives_files(void **state)
{
	static char other[BIG];
	static const struct {
		const char *at, *content;
		size_t size;
		uint64_t reused;
	} cases[] = {
	        {"aa/bb.file", NULL, BIG, BIG},
	        {"aa/bb.file", other, BIG, 0},       /* has another content */
	        {"aa/bb.file", NULL, BIG - 1, 0},    /* another size */
	        {"../../out/bb.file", NULL, BIG, 0}, /* is outside of it */
	};
	struct api *api = api_of(state);
	_cleanup_blob_ struct blob one = make_blob(1);
	open_with_repository(api);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct source s = {.blob = &one};
		char id[] = {(char)('a' + i), 'x', '\0'};
		cst_pull_result result;
		fill_repository(api, cases[i].at, cases[i].content, cases[i].size);
		assert_int_equal(pull(api, &s, id, &result), 0);
		assert_int_equal(result.bytes_reused, cases[i].reused);
		assert_is(api, id, &one, true);
		assert_int_equal(cst_store_delete(api->store, id, NULL, NULL, NULL),
		                 0); /* or it is the donor */
	}
}

#define EACH(X)                      \
	X(ostree_gives_files)        \
	X(other_layer_was_changed)   \
	X(images_are_donors)         \
	X(files_are_linked_if_asked) \
	X(links_to_linked_files)     \
	X(other_attributes_are_not_linked)
DEFINE_RUN_ON_DRIVERS("pull donors", EACH)

int main(void)
{
	return run_on_drivers();
}
