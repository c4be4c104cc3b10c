/* SPDX-License-Identifier: Apache-2.0 */
/* Staged layers through the public functions: filled by an archive, by a directory and by the caller, committed as new layers and
 * as the content of others, thrown away, and refused. */
#include "api_fixture.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

DEFINE_CLEANUP(cst_staged_layer *, cst_staged_layer_free)
#define _cleanup_staged_ _cleanup_(cst_staged_layer_freep)
#define TOC              "sha256:1111111111111111111111111111111111111111111111111111111111111111"

static void ok(int r, cst_error *error)
{
	if (r < 0)
		print_message("%s\n", cst_error_message(error));
	assert_int_equal(r, 0);
}

static cst_staged_layer *stage_as(const struct api *api, const char *parent, const char *layer)
{
	cst_stage_options options = CST_STAGE_OPTIONS_INIT;
	cst_staged_layer *staged = NULL;
	cst_error *error = NULL;
	options.parent = parent;
	options.layer = layer;
	ok(cst_store_stage_layer(api->store, &options, &staged, &error), error);
	return staged;
}

static int apply_tar(cst_staged_layer *staged, const struct strbuf *tar)
{
	cst_memory memory = {.data = tar->data, .size = tar->len};
	const cst_source source = cst_source_memory(&memory);
	return cst_staged_layer_apply(staged, &source, NULL, NULL);
}

static int commit_as(cst_staged_layer *staged, const char *id, cst_layer **layer)
{
	cst_staged_commit_options options = CST_STAGED_COMMIT_OPTIONS_INIT;
	options.id = id;
	return cst_staged_layer_commit(staged, id ? &options : NULL, layer, NULL);
}

/* Nothing is left of what was staged, and nothing waits. */
static void assert_nothing_staged(const struct api *api)
{
	_cleanup_free_ char *command =
	        str_printf("test -z \"$(find %s -path '*/staging/*' -o -path '*/tempdirs/*' -o "
	                   "-path '*-layers/tmp/*' -o -path '*/cstorage/*.data-*' -o -path "
	                   "'*/cstorage/*.tar-split')\"",
	                   api->root);
	assert_int_equal(system(command), 0);
}

/* What is in the layer, with what is below it, as the store's own tar of it says. */
static bool holds(const struct api *api, const char *id, const char *text)
{
	cst_memory memory = plain_tar(api, id);
	bool found = memmem(memory.data, memory.size, text, strlen(text));
	free(memory.data);
	return found;
}

static void make_tar(struct strbuf *tar, const char *name)
{
	TAR_ADD(tar, .name = name, .data = name, .len = strlen(name), .uid = getuid(),
	        .gid = getgid());
	tar_add_end(tar);
}

/* ---- filled by an archive ---- */

static void archive_becomes_layer(void **state)
{
	struct api *api = api_of(state);
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL, *same = NULL;
	cst_staged_commit_options options = CST_STAGED_COMMIT_OPTIONS_INIT;
	cst_error *error = NULL;
	fill(api);
	make_tar(&tar, "added");
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, "base-name", NULL);
	assert_int_equal(apply_tar(staged, &tar), 0);
	options.id = "new";
	options.names = (const char *[]){"one", "two"};
	options.n_names = 2;
	options.flags = &(cst_flag){"mark", "true"};
	options.n_flags = 1;
	ok(cst_staged_layer_commit(staged, &options, &layer, &error), error);
	assert_string_equal(cst_layer_id(layer), "new");
	assert_string_equal(cst_layer_parent(layer), "base");
	assert_true(cst_layer_flag_bool(layer, "mark"));
	assert_int_equal(cst_layer_uncompressed_size(layer), tar.len);
	assert_int_equal(cst_store_layer(api->store, "two", &same, NULL), 0);
	assert_string_equal(cst_layer_diff_digest(same), cst_layer_diff_digest(layer));
	assert_true(holds(api, "new", "added"));
	assert_false(holds(api, "new", "hostname"));
	/* It is spent now. */
	assert_int_equal(commit_as(staged, "again", NULL), CST_EINVAL);
	assert_int_equal(apply_tar(staged, &tar), CST_EINVAL);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_true(holds(api, "new", "added"));
	assert_nothing_staged(api);
}

static void nobody_sees_it_before(void **state)
{
	struct api *api = api_of(state);
	size_t before, now;
	fill(api);
	assert_int_equal(cst_store_count(api->store, &before, NULL, NULL, NULL), 0);
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, "top", NULL);
	assert_int_equal(apply_tar(staged, &api->tar), 0);
	assert_int_equal(cst_store_count(api->store, &now, NULL, NULL, NULL), 0);
	assert_int_equal(now, before);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_nothing_staged(api);
	staged = stage_as(api, NULL, NULL); /* an empty one is a layer, too */
	assert_int_equal(commit_as(staged, "empty", NULL), 0);
	assert_true(cst_store_exists(api->store, "empty"));
}

static void failed_commit_can_be_repeated(void **state)
{
	struct api *api = api_of(state);
	fill(api);
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, "top", NULL);
	assert_int_equal(apply_tar(staged, &api->tar), 0);
	assert_int_equal(commit_as(staged, "base", NULL), CST_EDUPLICATE_ID);
	assert_int_equal(commit_as(staged, "a/b", NULL), CST_EINVAL);
	assert_int_equal(commit_as(staged, "free", NULL), 0);
	assert_true(holds(api, "free", "hostname"));
}

static void parent_may_go_meanwhile(void **state)
{
	struct api *api = api_of(state);
	assert_int_equal(create_layer(api, "base", NULL, NULL, NULL), 0);
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, "base", NULL);
	assert_int_equal(apply_tar(staged, &api->tar), 0);
	assert_int_equal(cst_store_delete_layer(api->store, "base", NULL), 0);
	assert_int_equal(commit_as(staged, "orphan", NULL), CST_ELAYER_UNKNOWN);
	/* Another layer of that ID is another layer. */
	assert_int_equal(create_layer(api, "base", NULL, NULL, NULL), 0);
	assert_int_equal(commit_as(staged, "orphan", NULL), CST_ELAYER_UNKNOWN);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_nothing_staged(api);
}

static void bad_archive_spoils_it(void **state)
{
	struct api *api = api_of(state);
	_cleanup_strbuf_ struct strbuf cut = {0};
	cst_staged_apply_options options = CST_STAGED_APPLY_OPTIONS_INIT;
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	const cst_source source = cst_source_memory(&memory);
	strbuf_add(&cut, api->tar.data, 1000); /* in the middle of a header */
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, NULL, NULL);
	assert_int_equal(apply_tar(staged, &cut), CST_EARCHIVE);
	assert_int_equal(commit_as(staged, "bad", NULL), CST_EINVAL);
	cst_staged_layer_free(steal_ptr(&staged));
	staged = stage_as(api, NULL, NULL);
	options.expected_digest = TOC;
	assert_int_equal(cst_staged_layer_apply(staged, &source, &options, NULL), CST_EARCHIVE);
	assert_int_equal(commit_as(staged, "bad", NULL), CST_EINVAL);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_false(cst_store_exists(api->store, "bad"));
	assert_nothing_staged(api);
}

/* ---- filled by a directory ---- */

static void directory_becomes_layer(void **state)
{
	struct api *api = api_of(state);
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL, *empty = NULL;
	_cleanup_free_ char *command =
	        str_printf("mkdir -p %s/src/sub && echo text >%s/src/sub/file && : >%s/src/.wh.etc",
	                   api->dir.path, api->dir.path, api->dir.path);
	_cleanup_free_ char *path = str_printf("%s/src", api->dir.path);
	cst_error *error = NULL;
	fill(api);
	assert_int_equal(system(command), 0);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, "base", NULL);
	ok(cst_staged_layer_apply_directory(staged, fd, NULL, &error), error);
	assert_int_equal(commit_as(staged, "copy", &layer), 0);
	assert_true(holds(api, "copy", "sub/file"));
	assert_true(holds(api, "copy", ".wh.etc"));
	assert_string_equal(cst_layer_compressed_digest(layer), "");
	cst_staged_layer_free(steal_ptr(&staged));
	staged = stage_as(api, NULL, NULL);
	ok(cst_staged_layer_apply_directory(staged, -1, NULL, &error), error);
	assert_int_equal(commit_as(staged, "none", &empty), 0);
	assert_int_equal(cst_layer_uncompressed_size(empty), 0);
}

/* The layer of the directory, with the TOC it would have as a blob; *names are its data items. */
static void apply_with_toc(const struct api *api, int fd, const char *id, cst_layer **layer)
{
	cst_staged_apply_options options = CST_STAGED_APPLY_OPTIONS_INIT;
	cst_error *error = NULL;
	options.with_toc = true;
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, NULL, NULL);
	ok(cst_staged_layer_apply_directory(staged, fd, &options, &error), error);
	assert_int_equal(commit_as(staged, id, layer), 0);
}

static void directory_has_toc(void **state)
{
	struct api *api = api_of(state);
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL, *plain = NULL;
	_cleanup_(cst_layer_list_freep) cst_layer_list *by_toc = NULL;
	_cleanup_free_ char *command = str_printf("mkdir -p %s/src && echo text >%s/src/file",
	                                          api->dir.path, api->dir.path);
	_cleanup_free_ char *path = str_printf("%s/src", api->dir.path);
	_cleanup_free_ char *odd = str_printf("%s/src/\xff", api->dir.path);
	const char *const *names;
	char *data = NULL;
	size_t size;
	assert_int_equal(system(command), 0);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	apply_with_toc(api, fd, "with", &layer);
	assert_int_equal(cst_layer_data_names(layer, &names), 2);
	assert_int_equal(cst_store_layers_by_toc_digest(api->store, cst_layer_toc_digest(layer),
	                                                &by_toc, NULL),
	                 0);
	assert_int_equal(cst_store_data(api->store, CST_KIND_LAYER, "with", "zstd-chunked-manifest",
	                                (void **)&data, &size, NULL),
	                 0);
	assert_non_null(strstr(data, "\"name\":\"file\""));
	/* sha256 of "text\n" */
	assert_non_null(strstr(
	        data, "sha256:b9e68e1bea3e5b19ca6b2f98b73a54b73daafaa250484902e09982e07a12e733"));
	cst_free(data);
	/* A name that no TOC can hold. */
	_cleanup_close_ int made = open(odd, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(made >= 0);
	apply_with_toc(api, fd, "without", &plain);
	assert_int_equal(cst_layer_data_names(plain, &names), 0);
	assert_string_equal(cst_layer_toc_digest(plain), "");
	assert_true(holds(api, "without", "\xff"));
}

static int cancel_all(const cst_progress_state *progress, void *userdata)
{
	return 1;
}

/* The packing thread must not outlive a failure of unpacking, nor its signal the process. */
static void directory_that_fails(void **state)
{
	struct api *api = api_of(state);
	_cleanup_free_ char *command =
	        str_printf("mkdir %s/big && head -c 3000000 /dev/zero >%s/big/file", api->dir.path,
	                   api->dir.path);
	_cleanup_free_ char *path = str_printf("%s/big", api->dir.path);
	cst_staged_apply_options options = CST_STAGED_APPLY_OPTIONS_INIT;
	assert_int_equal(system(command), 0);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, NULL, NULL);
	_cleanup_close_ int no_directory = open("/dev/null", O_RDONLY | O_CLOEXEC);
	options.progress = &(cst_progress){cancel_all, NULL};
	assert_int_equal(cst_staged_layer_apply_directory(staged, fd, &options, NULL),
	                 CST_ECANCELED);
	assert_int_equal(commit_as(staged, "bad", NULL), CST_EINVAL);
	cst_staged_layer_free(steal_ptr(&staged));
	staged = stage_as(api, NULL, NULL);
	assert_int_equal(cst_staged_layer_apply_directory(staged, no_directory, NULL, NULL),
	                 CST_ESYS);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_nothing_staged(api);
}

/* ---- filled by the caller ---- */

/* The tar-split of a layer of the store, plain. */
static void read_tarsplit(const struct api *api, const char *id, struct strbuf *ret)
{
	_cleanup_free_ char *path =
	        str_printf("%s/%s-layers/%s.tar-split.gz", api->root, api->driver, id);
	char buffer[4096];
	int n;
	gzFile file = gzopen(path, "rbe");
	assert_non_null(file);
	while ((n = gzread(file, buffer, sizeof(buffer))) > 0)
		strbuf_add(ret, buffer, (size_t)n);
	gzclose(file);
}

/* Fills it by the rules that the library gives, and says what it holds. */
static void fill_by_hand(const struct api *api, cst_staged_layer *staged, const char *like)
{
	_cleanup_strbuf_ struct strbuf tarsplit = {0};
	cst_staged_content content = CST_STAGED_CONTENT_INIT;
	cst_apply_options apply = CST_APPLY_OPTIONS_INIT;
	cst_apply_result result = CST_APPLY_RESULT_INIT;
	cst_staged_results results = CST_STAGED_RESULTS_INIT;
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	const cst_source source = cst_source_memory(&memory);
	const cst_data_item items[] = {
	        {.key = "zstd-chunked-manifest", .data = "{}", .data_size = 2},
	        {.key = "plain", .data = "x", .data_size = 1}};
	const uint32_t ids[] = {7, 0, 3};
	cst_error *error = NULL;
	ok(cst_staged_layer_content(staged, &content, &error), error);
	apply.whiteouts = content.whiteouts;
	apply.rootless = content.rootless;
	ok(cst_archive_apply(content.fd, &source, &apply, &result, &error), error);
	close(content.fd);
	read_tarsplit(api, like, &tarsplit);
	cst_memory lines = {.data = tarsplit.data, .size = tarsplit.len};
	const cst_source tarsplit_source = cst_source_memory(&lines);
	results.diff_digest = result.diff_digest;
	results.diff_size = result.diff_size;
	results.toc_digest = TOC;
	results.metadata = "found out";
	results.uids = ids;
	results.n_uids = ARRAY_SIZE(ids);
	results.tarsplit = &tarsplit_source;
	results.data = items;
	results.n_data = ARRAY_SIZE(items);
	ok(cst_staged_layer_describe(staged, &results, &error), error);
	results.tarsplit = NULL;
	ok(cst_staged_layer_describe(staged, &results, &error), error); /* the last items count */
	results = (cst_staged_results)CST_STAGED_RESULTS_INIT;
	results.compressed_digest = "no digest";
	assert_int_equal(cst_staged_layer_describe(staged, &results, NULL), CST_EINVAL);
}

static void assert_described(const struct api *api, const cst_layer *layer)
{
	const uint32_t *uids;
	_cleanup_(cst_layer_list_freep) cst_layer_list *by_toc = NULL;
	char *data = NULL;
	size_t size = 0;
	assert_string_equal(cst_layer_toc_digest(layer), TOC);
	assert_string_equal(cst_layer_metadata(layer), "found out");
	assert_int_equal(cst_layer_uncompressed_size(layer), api->tar.len);
	assert_int_equal(cst_layer_uids(layer, &uids), 3);
	assert_int_equal(uids[0], 0);
	assert_int_equal(uids[2], 7);
	assert_int_equal(cst_store_layers_by_toc_digest(api->store, TOC, &by_toc, NULL), 0);
	assert_string_equal(cst_layer_id(cst_layer_list_get(by_toc, 0)), cst_layer_id(layer));
	assert_int_equal(cst_store_data(api->store, CST_KIND_LAYER, cst_layer_id(layer),
	                                "zstd-chunked-manifest", (void **)&data, &size, NULL),
	                 0);
	assert_string_equal(data, "{}");
	cst_free(data);
	assert_true(holds(api, cst_layer_id(layer), "etc/hostname"));
}

static void caller_fills_it(void **state)
{
	struct api *api = api_of(state);
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	assert_int_equal(create_layer(api, "like", NULL, NULL, NULL), 0);
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, NULL, NULL);
	fill_by_hand(api, staged, "like");
	assert_int_equal(apply_tar(staged, &api->tar), CST_EINVAL); /* it is not empty */
	assert_int_equal(commit_as(staged, "new", &layer), 0);
	assert_described(api, layer);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_nothing_staged(api);
}

/* ---- the content of a layer that exists ---- */

static void content_is_replaced(void **state)
{
	struct api *api = api_of(state);
	_cleanup_strbuf_ struct strbuf tar = {0};
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	const char *const *names;
	make_tar(&tar, "before");
	assert_int_equal(create_layer(api, "like", NULL, NULL, NULL), 0);
	_cleanup_staged_ cst_staged_layer *staged = stage_as(api, NULL, NULL);
	assert_int_equal(apply_tar(staged, &tar), 0);
	assert_int_equal(commit_as(staged, "old", NULL), 0);
	assert_int_equal(cst_store_set_names(api->store, "old", (const char *[]){"name"}, 1, NULL),
	                 0);
	assert_int_equal(
	        cst_store_set_data(api->store, CST_KIND_LAYER, "old", "mine", "y", 1, NULL), 0);
	assert_int_equal(
	        cst_store_set_data(api->store, CST_KIND_LAYER, "old", "plain", "y", 1, NULL), 0);
	cst_staged_layer_free(steal_ptr(&staged));
	staged = stage_as(api, NULL, "name");
	fill_by_hand(api, staged, "like");
	assert_int_equal(commit_as(staged, "other", NULL), CST_EINVAL); /* it has an ID */
	assert_int_equal(commit_as(staged, NULL, &layer), 0);
	assert_string_equal(cst_layer_id(layer), "old");
	assert_described(api, layer);
	assert_int_equal(cst_layer_names(layer, &names), 1);
	assert_int_equal(cst_layer_data_names(layer, &names), 3); /* mine, plain, the manifest */
	assert_string_equal(names[0], "mine");
	assert_false(holds(api, "old", "before"));
	char *data = NULL;
	size_t size;
	assert_int_equal(cst_store_data(api->store, CST_KIND_LAYER, "old", "plain", (void **)&data,
	                                &size, NULL),
	                 0);
	assert_string_equal(data, "x");
	cst_free(data);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_nothing_staged(api);
}

static void replacement_is_refused(void **state)
{
	struct api *api = api_of(state);
	cst_stage_options options = CST_STAGE_OPTIONS_INIT;
	_cleanup_staged_ cst_staged_layer *staged = NULL;
	char *path = NULL;
	fill(api);
	options.layer = "top";
	options.parent = "base";
	assert_int_equal(cst_store_stage_layer(api->store, &options, &staged, NULL), CST_EINVAL);
	options.layer = "nothing";
	options.parent = NULL;
	assert_int_equal(cst_store_stage_layer(api->store, &options, &staged, NULL),
	                 CST_ELAYER_UNKNOWN);
	staged = stage_as(api, NULL, "top");
	assert_int_equal(commit_as(staged, NULL, NULL), CST_EINVAL); /* no tar-split */
	assert_int_equal(apply_tar(staged, &api->tar), 0);
	assert_int_equal(cst_store_mount(api->store, "top", NULL, &path, NULL), 0);
	assert_int_equal(commit_as(staged, NULL, NULL), CST_EBUSY);
	cst_free(path);
	assert_int_equal(cst_store_unmount(api->store, "top", false, NULL, NULL), 0);
	assert_int_equal(commit_as(staged, NULL, NULL), 0);
	assert_true(holds(api, "top", "hostname"));
	cst_staged_layer_free(steal_ptr(&staged));
	assert_int_equal(create_layer(api, "gone", "base", NULL, NULL), 0);
	staged = stage_as(api, NULL, "gone");
	assert_int_equal(apply_tar(staged, &api->tar), 0);
	assert_int_equal(cst_store_delete_layer(api->store, "gone", NULL), 0);
	assert_int_equal(commit_as(staged, NULL, NULL), CST_ELAYER_UNKNOWN);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_nothing_staged(api);
}

/* ---- outliving the process ---- */

/* Does in another process what is given, with a store object of its own, and dies without any clean-up. */
static void in_a_process_that_dies(const struct api *api,
                                   bool (*act)(const struct api *, const char *), const char *id)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		struct api other = *api;
		other.store = NULL;
		_exit(open_store(api, false, &other.store, NULL) == 0 && act(&other, id) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool stage_and_keep(const struct api *api, const char *existing)
{
	cst_stage_options options = CST_STAGE_OPTIONS_INIT;
	cst_staged_layer *staged = NULL;
	options.layer = existing;
	options.parent = existing ? NULL : "base";
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	const cst_source source = cst_source_memory(&memory);
	const cst_data_item item = {.key = "odd key", .data = "data", .data_size = 4};
	cst_staged_results results = CST_STAGED_RESULTS_INIT;
	results.toc_digest = TOC;
	results.data = &item;
	results.n_data = 1;
	return cst_store_stage_layer(api->store, &options, &staged, NULL) == 0 &&
	       cst_staged_layer_apply(staged, &source, NULL, NULL) == 0 &&
	       cst_staged_layer_describe(staged, &results, NULL) == 0 &&
	       cst_staged_layer_keep(staged, NULL, NULL) == 0;
}

static bool adopt_only(const struct api *api, const char *id)
{
	cst_staged_layer *staged = NULL;
	return cst_store_adopt_staged_layer(api->store, id, &staged, NULL) == 0;
}

static char *only_id(const struct api *api)
{
	cst_strings *ids = NULL;
	cst_error *error = NULL;
	ok(cst_store_staged_layers(api->store, &ids, &error), error);
	assert_int_equal(cst_strings_size(ids), 1);
	char *id = strdup(cst_strings_get(ids, 0));
	cst_strings_free(ids);
	return id;
}

static void assert_none_kept(const struct api *api)
{
	_cleanup_(cst_store_closep) cst_store *recovering = NULL;
	cst_strings *ids = NULL;
	assert_int_equal(open_store(api, false, &recovering, NULL), 0);
	assert_false(cst_store_exists(recovering, "nothing"));
	assert_int_equal(cst_store_staged_layers(api->store, &ids, NULL), 0);
	assert_int_equal(cst_strings_size(ids), 0);
	cst_strings_free(ids);
	assert_nothing_staged(api);
}

static void adopted_after_death(void **state)
{
	struct api *api = api_of(state);
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_(cst_store_closep) cst_store *recovering = NULL;
	_cleanup_staged_ cst_staged_layer *staged = NULL, *again = NULL;
	cst_error *error = NULL;
	char *data = NULL;
	size_t size;
	fill(api);
	in_a_process_that_dies(api, stage_and_keep, NULL);
	assert_int_equal(open_store(api, false, &recovering, NULL),
	                 0); /* cleans up after the dead */
	_cleanup_free_ char *id = only_id(api);
	in_a_process_that_dies(api, adopt_only, id);
	ok(cst_store_adopt_staged_layer(api->store, id, &staged, &error), error);
	assert_string_equal(cst_layer_parent(cst_staged_layer_record(staged)), "base");
	assert_string_equal(cst_layer_toc_digest(cst_staged_layer_record(staged)), TOC);
	assert_int_equal(cst_store_adopt_staged_layer(api->store, id, &again, NULL), CST_EBUSY);
	assert_int_equal(cst_store_discard_staged_layer(api->store, id, NULL), CST_EBUSY);
	assert_int_equal(apply_tar(staged, &api->tar), CST_EINVAL);
	assert_int_equal(cst_staged_layer_keep(staged, NULL, NULL), CST_EINVAL);
	assert_int_equal(commit_as(staged, "top", NULL),
	                 CST_EDUPLICATE_ID); /* and it is still kept */
	cst_staged_layer_free(steal_ptr(&staged));
	ok(cst_store_adopt_staged_layer(api->store, id, &staged, &error), error);
	assert_int_equal(commit_as(staged, "adopted", &layer), 0);
	assert_string_equal(cst_layer_parent(layer), "base");
	assert_true(holds(api, "adopted", "etc/hostname"));
	assert_int_equal(cst_store_data(api->store, CST_KIND_LAYER, "adopted", "odd key",
	                                (void **)&data, &size, NULL),
	                 0);
	assert_string_equal(data, "data");
	cst_free(data);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_int_equal(cst_store_adopt_staged_layer(api->store, id, &staged, NULL),
	                 CST_ELAYER_UNKNOWN);
	assert_none_kept(api);
}

static void adopted_for_existing(void **state)
{
	struct api *api = api_of(state);
	_cleanup_staged_ cst_staged_layer *staged = NULL;
	const char *const *names;
	cst_layer *layer = NULL;
	fill(api);
	assert_int_equal(
	        cst_store_set_data(api->store, CST_KIND_LAYER, "top", "mine", "y", 1, NULL), 0);
	in_a_process_that_dies(api, stage_and_keep, "top");
	_cleanup_free_ char *id = only_id(api);
	assert_int_equal(cst_store_adopt_staged_layer(api->store, id, &staged, NULL), 0);
	assert_int_equal(commit_as(staged, NULL, &layer), 0);
	assert_string_equal(cst_layer_id(layer), "top");
	assert_int_equal(cst_layer_data_names(layer, &names), 2);
	assert_true(holds(api, "top", "etc/hostname"));
	cst_layer_free(layer);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_none_kept(api);
}

static void kept_is_discarded(void **state)
{
	struct api *api = api_of(state);
	_cleanup_staged_ cst_staged_layer *staged = NULL;
	char *id = NULL;
	fill(api);
	assert_int_equal(cst_staged_layer_keep(staged = stage_as(api, "base", NULL), NULL, NULL),
	                 CST_EINVAL); /* it is empty */
	assert_int_equal(apply_tar(staged, &api->tar), 0);
	assert_int_equal(cst_staged_layer_keep(staged, &id, NULL), 0);
	cst_staged_layer_free(steal_ptr(&staged));
	assert_int_equal(cst_store_discard_staged_layer(api->store, id, NULL), 0);
	assert_int_equal(cst_store_discard_staged_layer(api->store, id, NULL), CST_ELAYER_UNKNOWN);
	cst_free(id);
	assert_none_kept(api);
	in_a_process_that_dies(api, stage_and_keep, NULL);
	free(only_id(api));
	assert_int_equal(cst_store_wipe(api->store, NULL, NULL), 0);
	assert_none_kept(api);
}

/* What is kept may have been written by anybody. */
static void damaged_state_is_refused(void **state)
{
	struct api *api = api_of(state);
	_cleanup_staged_ cst_staged_layer *staged = NULL;
	static const char *const texts[] = {"",
	                                    "{",
	                                    "{\"version\":2}",
	                                    "{\"version\":1,\"record\":\"{}\"}",
	                                    "{\"version\":1,\"file\":7,\"parent-created\":\"2020-"
	                                    "01-01T00:00:00Z\",\"record\":\"{}\"}",
	                                    "{\"version\":1,\"parent-created\":\"2020-01-01T00:00:"
	                                    "00Z\",\"record\":\"{\\\"id\\\":\\\"x\\\"}\","
	                                    "\"data\":[\"\"]}",
	                                    "{\"version\":1,\"parent-created\":\"2020-01-01T00:00:"
	                                    "00Z\",\"record\":\"{\\\"id\\\":\\\"x\\\"}\","
	                                    "\"data\":[\"nothing\"]}"};
	fill(api);
	in_a_process_that_dies(api, stage_and_keep, NULL);
	_cleanup_free_ char *id = only_id(api);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *command =
		        str_printf("printf %%s '%s' >$(find %s -name state)", texts[i], api->root);
		assert_int_equal(system(command), 0);
		assert_true(cst_store_adopt_staged_layer(api->store, id, &staged, NULL) < 0);
		assert_null(staged);
	}
	assert_int_equal(cst_store_discard_staged_layer(api->store, id, NULL), 0);
	assert_none_kept(api);
}

static void read_only_store_refuses(void **state)
{
	struct api *api = api_of(state);
	_cleanup_(cst_store_closep) cst_store *store = NULL;
	cst_stage_options options = CST_STAGE_OPTIONS_INIT;
	cst_staged_layer *staged = NULL;
	fill(api);
	assert_int_equal(open_store(api, true, &store, NULL), 0);
	assert_int_equal(cst_store_stage_layer(store, &options, &staged, NULL),
	                 CST_ESTORE_READ_ONLY);
	options.layer = "top";
	assert_int_equal(cst_store_stage_layer(store, &options, &staged, NULL),
	                 CST_ESTORE_READ_ONLY);
	assert_null(staged);
}

/* clang-format off */
#define EACH(X) \
	X(archive_becomes_layer) \
	X(nobody_sees_it_before) \
	X(failed_commit_can_be_repeated) \
	X(parent_may_go_meanwhile) \
	X(bad_archive_spoils_it) \
	X(directory_becomes_layer) \
	X(directory_has_toc) \
	X(directory_that_fails) \
	X(caller_fills_it) \
	X(content_is_replaced) \
	X(replacement_is_refused) \
	X(adopted_after_death) \
	X(adopted_for_existing) \
	X(kept_is_discarded) \
	X(damaged_state_is_refused) \
	X(read_only_store_refuses)
/* clang-format on */
DEFINE_RUN_ON_DRIVERS("staged", EACH)

int main(void)
{
	return run_on_drivers();
}
