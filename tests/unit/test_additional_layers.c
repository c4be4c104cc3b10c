/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of additional layer stores: directories that the test makes as another program would, and one that never answers. */
#include "api_fixture.h"
#include "base/base64.h"
#include "base/digest.h"
#include "base/fs.h"
#include "driver/overlay/overlay.h"
#include <errno.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define OTHER "sha256:1111111111111111111111111111111111111111111111111111111111111111"
DEFINE_CLEANUP(cst_additional_layer *, cst_additional_layer_free)

static char digest[DIGEST_TEXT_MAX];

static const char *in(const struct api *api, const char *format, ...)
{
	static char buffers[8][1024];
	static unsigned next;
	char *buffer = buffers[next++ % 8];
	int n = snprintf(buffer, 1024, "%s/", api->dir.path);
	va_list args;
	va_start(args, format);
	vsnprintf(buffer + n, (size_t)(1024 - n), format, args);
	va_end(args);
	return buffer;
}

static void put_file(const char *dir, const char *name, const void *data, size_t n)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_write_file(fd, name, data, n, 0644, dir, NULL), 0);
}

static void put_info(const struct api *api, const char *text)
{
	put_file(in(api, "far/%s", digest), "info", text, strlen(text));
}

static void describe(const struct api *api, const char *toc)
{
	_cleanup_free_ char *text = str_printf(
	        "{\"id\":\"x\",\"parent\":\"y\",\"names\":[\"z\"],\"big-data-names\":[\"k\"],"
	        "\"flags\":{\"incomplete\":true},\"diff-digest\":\"%s\",\"diff-size\":%zu,"
	        "\"toc-digest\":\"%s\",\"compressed-size\":77}",
	        digest, api->tar.len, toc);
	put_info(api, text);
}

/* Opens the store again, with the additional layer store `far`. */
static int open_with(struct api *api, const char *suffix, cst_error **error)
{
	_cleanup_free_ char *option =
	        str_printf("overlay.additionallayerstore=%s%s", in(api, "far"), suffix);
	return reopen_with_driver_option(api, option, error);
}

/* What is in fill()'s archive, as another program offers it. */
static void make_far(struct api *api)
{
	assert_int_equal(digest_buffer(DIGEST_SHA256, api->tar.data, api->tar.len, digest, NULL),
	                 0);
	assert_int_equal(fs_mkdir_p(in(api, "far/%s/diff/etc", digest), 0755, NULL), 0);
	put_file(in(api, "far/%s/diff/etc", digest), "hostname", "box\n", 4);
	put_file(in(api, "far/%s", digest), "blob", api->tar.data, api->tar.len);
	describe(api, OTHER);
	assert_int_equal(open_with(api, "", NULL), 0);
}

static cst_additional_layer *find_far(const struct api *api)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_additional_layer *found = NULL;
	if (cst_store_find_additional_layer(api->store, digest, NULL, &found, &error) < 0)
		fail_msg("%s", cst_error_message(error));
	return found;
}

static void put_far(const struct api *api, const char *id, const char *parent)
{
	_cleanup_(cst_additional_layer_freep) cst_additional_layer *found = find_far(api);
	_cleanup_error_ cst_error *error = NULL;
	cst_additional_layer_options options = CST_ADDITIONAL_LAYER_OPTIONS_INIT;
	_cleanup_free_ char *name = str_printf("name-of-%s", id);
	const char *names[] = {name};
	options.id = id;
	options.parent = parent;
	options.names = names;
	options.n_names = 1;
	if (cst_additional_layer_put(found, &options, NULL, &error) < 0)
		fail_msg("%s", cst_error_message(error));
}

static void assert_far_is_whole(const struct api *api)
{
	static const char *const parts[] = {"diff/etc/hostname", "info", "blob"};
	_cleanup_strv_ struct strv names = {0};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		assert_true(fs_exists(AT_FDCWD, in(api, "far/%s/%s", digest, parts[i])));
	assert_int_equal(fs_list_dir(AT_FDCWD, in(api, "far/%s", digest), &names, NULL, NULL), 0);
	assert_int_equal(names.len, 3);
}

static void assert_diff(const struct api *api, const char *id)
{
	cst_memory memory = plain_tar(api, id);
	assert_int_equal(memory.size, api->tar.len);
	assert_memory_equal(memory.data, api->tar.data, memory.size);
	free(memory.data);
}

/* ---- the rule ---- */

static void layer_is_found(void **state)
{
	struct api *api = api_of(state);
	make_far(api);
	_cleanup_(cst_additional_layer_freep) cst_additional_layer *found = find_far(api);
	const cst_layer *record = cst_additional_layer_record(found);
	assert_string_equal(cst_layer_id(record), "");
	assert_string_equal(cst_layer_diff_digest(record), digest);
	assert_string_equal(cst_layer_toc_digest(record), OTHER);
	assert_int_equal(cst_additional_layer_compressed_size(found), 77);
	assert_string_equal(cst_additional_layer_path(found), in(api, "far/%s", digest));
	_cleanup_close_ int fd = -1;
	assert_int_equal(cst_additional_layer_open_blob(found, &fd, NULL), 0);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, api->tar.len);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_far_is_whole(api);
}

static void layer_is_put(void **state)
{
	struct api *api = api_of(state);
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	_cleanup_free_ char *path = NULL;
	char text[8] = "";
	const char *const *names;
	make_far(api);
	put_far(api, "far1", NULL);
	put_far(api, "far2", "far1");
	assert_int_equal(open_with(api, "", NULL), 0); /* the record is in the file */
	assert_int_equal(cst_store_layer(api->store, "name-of-far2", &layer, NULL), 0);
	assert_string_equal(cst_layer_id(layer), "far2");
	assert_string_equal(cst_layer_parent(layer), "far1");
	assert_string_equal(cst_layer_diff_digest(layer), digest);
	assert_int_equal(cst_layer_data_names(layer, &names), 0);
	_cleanup_free_ char *target = fs_readlink(AT_FDCWD, in(api, "root/overlay/far2/diff"));
	assert_string_equal(target, in(api, "far/%s/diff", digest));
	_cleanup_free_ char *pointer = NULL;
	size_t len;
	assert_int_equal(fs_read_file(AT_FDCWD, in(api, "root/overlay/far2/additionallayer"), 4096,
	                              &pointer, &len, NULL),
	                 0);
	assert_string_equal(pointer, in(api, "far/%s", digest));
	assert_diff(api, "far2");
	assert_int_equal(create_layer(api, "top", "far2", NULL, NULL), 0);
	assert_int_equal(cst_store_mount(api->store, "top", NULL, &path, NULL), 0);
	_cleanup_free_ char *file = path_join(path, "etc/hostname");
	_cleanup_close_ int fd = open(file, O_RDWR | O_CLOEXEC);
	assert_int_equal(read(fd, text, 4), 4);
	assert_string_equal(text, "box\n");
	assert_int_equal(pwrite(fd, "new!", 4, 0), 4); /* copied up */
	closep(&fd);
	fd = -1;
	assert_int_equal(cst_store_unmount(api->store, "top", true, NULL, NULL), 0);
	assert_far_is_whole(api);
}

static void ids_are_mapped(void **state)
{
	struct api *api = api_of(state);
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	const cst_idmap map = {.container_id = 0, .host_id = 100000, .size = 65536};
	_cleanup_free_ char *path = NULL;
	struct stat st;
	make_far(api);
	put_far(api, "far1", NULL);
	assert_int_equal(create_image(api, "image", "far1", NULL), 0);
	options.id = "box";
	options.image = "image";
	options.uid_map = options.gid_map = &map;
	options.n_uid_map = options.n_gid_map = 1;
	assert_int_equal(cst_store_create_container(api->store, &options, NULL, NULL), 0);
	assert_int_equal(cst_store_mount(api->store, "box", NULL, &path, NULL), 0);
	_cleanup_free_ char *file = path_join(path, "etc/hostname");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_uid, 100000);
	assert_int_equal(cst_store_unmount(api->store, "box", true, NULL, NULL), 0);
	assert_far_is_whole(api);
}

static void it_is_read_only(void **state)
{
	struct api *api = api_of(state);
	_cleanup_free_ char *path = NULL;
	make_far(api);
	put_far(api, "far1", NULL);
	assert_int_equal(cst_store_mount(api->store, "far1", NULL, &path, NULL), 0);
	_cleanup_free_ char *file = path_join(path, "new");
	assert_int_equal(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(cst_store_unmount(api->store, "far1", true, NULL, NULL), 0);
	cst_memory memory = {.data = api->tar.data, .size = api->tar.len};
	cst_source source = cst_source_memory(&memory);
	assert_int_equal(cst_store_apply_diff(api->store, "far1", &source, NULL, NULL),
	                 CST_ENOTSUP);
	assert_int_equal(open_with(api, "", NULL), 0);
	assert_far_is_whole(api);
}

/* `diff` alone tells whose directory it is. */
static void pointer_may_be_lost(void **state)
{
	struct api *api = api_of(state);
	_cleanup_free_ char *path = NULL;
	make_far(api);
	put_far(api, "far1", NULL);
	assert_int_equal(unlink(in(api, "root/overlay/far1/additionallayer")), 0);
	assert_int_equal(cst_store_mount(api->store, "far1", NULL, &path, NULL), 0);
	_cleanup_free_ char *file = path_join(path, "new");
	assert_int_equal(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(cst_store_unmount(api->store, "far1", true, NULL, NULL), 0);
	assert_int_equal(cst_store_delete_layer(api->store, "far1", NULL), 0);
	assert_far_is_whole(api);
}

static void it_is_deleted_here_only(void **state)
{
	struct api *api = api_of(state);
	make_far(api);
	put_far(api, "far1", NULL);
	assert_true(fs_exists(AT_FDCWD, in(api, "root/overlay/far1/additionallayer")));
	assert_int_equal(cst_store_delete_layer(api->store, "far1", NULL), 0);
	assert_false(fs_exists(AT_FDCWD, in(api, "root/overlay/far1")));
	assert_far_is_whole(api);
}

static void reference_is_part_of_the_path(void **state)
{
	struct api *api = api_of(state);
	cst_additional_layer *found = NULL;
	make_far(api);
	assert_int_equal(mkdir(in(api, "far/ZG9ja2VyLmlvL3g6MQ=="), 0755), 0);
	assert_int_equal(
	        rename(in(api, "far/%s", digest), in(api, "far/ZG9ja2VyLmlvL3g6MQ==/%s", digest)),
	        0);
	assert_int_equal(open_with(api, ":ref", NULL), 0);
	assert_int_equal(
	        cst_store_find_additional_layer(api->store, digest, "docker.io/y:1", &found, NULL),
	        CST_ELAYER_UNKNOWN);
	assert_int_equal(
	        cst_store_find_additional_layer(api->store, digest, "docker.io/x:1", &found, NULL),
	        0);
	cst_additional_layer_free(found);
}

/* A blob in another form than ours would make of the tar. */
static void blob_is_given_as_it_is(void **state)
{
	/* gzip without compression: an empty member, then two bytes */
	static const unsigned char blob[] = {0x1f, 0x8b, 8,    0, 0,    0,    0,   0,   2,
	                                     3,    1,    2,    0, 0xfd, 0xff, 'h', 'i', 0xac,
	                                     0x2a, 0x93, 0xd8, 2, 0,    0,    0};
	struct api *api = api_of(state);
	char packed[DIGEST_TEXT_MAX];
	cst_memory memory = {0}, plain = {0};
	const cst_sink sink = cst_sink_memory(&memory), plain_sink = cst_sink_memory(&plain);
	strbuf_free(&api->tar);
	strbuf_adds(&api->tar, "hi");
	make_far(api);
	assert_int_equal(digest_buffer(DIGEST_SHA256, blob, sizeof(blob), packed, NULL), 0);
	put_file(in(api, "far/%s", digest), "blob", blob, sizeof(blob));
	_cleanup_free_ char *text = str_printf(
	        "{\"diff-digest\":\"%s\",\"compressed-diff-digest\":\"%s\",\"compression\":2}",
	        digest, packed);
	put_info(api, text);
	put_far(api, "far1", NULL);
	_cleanup_error_ cst_error *error = NULL;
	if (cst_store_diff(api->store, NULL, "far1", NULL, &sink, &error) < 0)
		fail_msg("%s", cst_error_message(error));
	assert_int_equal(memory.size, sizeof(blob));
	assert_memory_equal(memory.data, blob, sizeof(blob));
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	options.compression = CST_PLAIN;
	assert_int_equal(cst_store_diff(api->store, NULL, "far1", &options, &plain_sink, NULL), 0);
	assert_memory_equal(plain.data, "hi", 2);
	put_file(in(api, "far/%s", digest), "blob", blob, sizeof(blob) - 1);
	assert_int_equal(cst_store_diff(api->store, NULL, "far1", NULL, &sink, NULL), CST_ECORRUPT);
	free(memory.data);
	free(plain.data);
}

/* How often the other program was told of a use. */
static int uses_told(int fd)
{
	char events[4096] __attribute__((aligned(8)));
	ssize_t n = read(fd, events, sizeof(events));
	int uses = 0;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const struct inotify_event *)(events + at);
		assert_string_equal(event->name, "use");
		uses++;
		at += (ssize_t)sizeof(*event) + event->len;
	}
	return uses;
}

/* A release is the removal of the directory, which a plain one refuses as long as it has something in it. */
static bool release_told(const struct api *api)
{
	static const char *const parts[] = {"diff", "info", "blob"};
	const char *far = in(api, "far/%s", digest), *kept = in(api, "kept");
	bool told = !fs_exists(AT_FDCWD, far);
	if (told)
		assert_int_equal(mkdir(far, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		(void)renameat(AT_FDCWD, in(api, "kept/%s", parts[i]), AT_FDCWD,
		               in(api, "far/%s/%s", digest, parts[i]));
	(void)rmdir(kept);
	return told;
}

static void hide_parts(const struct api *api)
{
	static const char *const parts[] = {"diff", "info", "blob"};
	assert_int_equal(mkdir(in(api, "kept"), 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		assert_int_equal(rename(in(api, "far/%s/%s", digest, parts[i]),
		                        in(api, "kept/%s", parts[i])),
		                 0);
}

static void uses_are_told(void **state)
{
	struct api *api = api_of(state);
	_cleanup_(cst_additional_layer_freep) cst_additional_layer *found = NULL;
	cst_additional_layer_options options = CST_ADDITIONAL_LAYER_OPTIONS_INIT;
	make_far(api);
	_cleanup_close_ int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	assert_true(inotify_add_watch(fd, in(api, "far/%s", digest), IN_CREATE) >= 0);
	found = find_far(api);
	assert_int_equal(uses_told(fd), 1);
	options.id = "far1";
	assert_int_equal(cst_additional_layer_put(found, &options, NULL, NULL), 0);
	assert_int_equal(uses_told(fd), 1);
	hide_parts(api);
	assert_int_equal(cst_additional_layer_put(found, &options, NULL, NULL), CST_EDUPLICATE_ID);
	assert_false(release_told(api)); /* nothing was used */
	hide_parts(api);
	assert_int_equal(cst_store_delete_layer(api->store, "far1", NULL), 0);
	assert_true(release_told(api));
	hide_parts(api);
	cst_additional_layer_free(steal_ptr(&found));
	assert_true(release_told(api));
	assert_far_is_whole(api);
}

/* ---- bad stores ---- */

static int find_code(const struct api *api, const char *what)
{
	cst_additional_layer *found = NULL;
	int r = cst_store_find_additional_layer(api->store, what, NULL, &found, NULL);
	cst_additional_layer_free(found);
	return r;
}

static void info_is_not_believed(void **state)
{
	static const char *const texts[] = {"",
	                                    "{",
	                                    "[]",
	                                    "null",
	                                    "{}",
	                                    "{} {}",
	                                    "{\"diff-digest\":\"" OTHER "\"}",
	                                    "{\"diff-digest\":\"../../x\"}"};
	struct api *api = api_of(state);
	make_far(api);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		put_info(api, texts[i]);
		assert_int_equal(find_code(api, digest), CST_ECORRUPT);
	}
	_cleanup_free_ char *wild =
	        str_printf("{\"diff-digest\":\"%s\",\"compression\":9}", digest);
	put_info(api, wild);
	assert_int_equal(find_code(api, digest), CST_ECORRUPT);
	_cleanup_free_ char *large =
	        str_printf("{\"diff-digest\":\"%s\",\"x\":\"%2000000d\"}", digest, 0);
	put_info(api, large);
	assert_int_equal(find_code(api, digest), CST_ESYS);
	assert_int_equal(unlink(in(api, "far/%s/info", digest)), 0);
	assert_int_equal(mkfifo(in(api, "far/%s/info", digest), 0600), 0);
	assert_int_equal(find_code(api, digest), CST_ESYS);
}

static void what_lacks_a_part_is_no_layer(void **state)
{
	struct api *api = api_of(state);
	make_far(api);
	assert_int_equal(find_code(api, "latest"), CST_EINVAL);
	assert_int_equal(find_code(api, OTHER), CST_ELAYER_UNKNOWN);
	assert_int_equal(rename(in(api, "far/%s/diff", digest), in(api, "far/elsewhere")), 0);
	assert_int_equal(find_code(api, digest), CST_ELAYER_UNKNOWN);
	assert_int_equal(symlink(in(api, "far/elsewhere"), in(api, "far/%s/diff", digest)), 0);
	assert_int_equal(find_code(api, digest), CST_ESYS);
}

static void other_blob_is_noticed(void **state)
{
	struct api *api = api_of(state);
	cst_memory memory = {0};
	const cst_sink sink = cst_sink_memory(&memory);
	make_far(api);
	put_far(api, "far1", NULL);
	put_file(in(api, "far/%s", digest), "blob", "other", 5);
	assert_int_equal(cst_store_diff(api->store, NULL, "far1", NULL, &sink, NULL), CST_ECORRUPT);
	/* A file of any length, of which no more is read than is recorded. */
	assert_int_equal(truncate(in(api, "far/%s/blob", digest), (off_t)1 << 40), 0);
	assert_int_equal(cst_store_diff(api->store, NULL, "far1", NULL, &sink, NULL), CST_ECORRUPT);
	assert_true(memory.size < 10 << 20);
	free(memory.data);
}

static void lost_store_is_an_error(void **state)
{
	struct api *api = api_of(state);
	char *path = NULL;
	make_far(api);
	put_far(api, "far1", NULL);
	assert_int_equal(rename(in(api, "far/%s", digest), in(api, "gone")), 0);
	assert_int_equal(cst_store_mount(api->store, "far1", NULL, &path, NULL), CST_ESYS);
	assert_int_equal(cst_store_delete_layer(api->store, "far1", NULL), 0);
	assert_true(fs_exists(AT_FDCWD, in(api, "gone/diff/etc/hostname")));
}

/* A FUSE file system whose program does not read what it is asked. */
static void hanging_store_ends(void **state)
{
	struct api *api = api_of(state);
	char options[96];
	make_far(api);
	put_far(api, "far1", NULL);
	_cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || mount("hang", in(api, "far"), "fuse.hang", MS_NOSUID | MS_NODEV, options) < 0)
		skip_because("FUSE cannot be mounted");
	int limit = overlay_ask_limit_ms;
	overlay_ask_limit_ms = 50;
	_cleanup_error_ cst_error *error = NULL;
	cst_additional_layer *found = NULL;
	char *path = NULL;
	int find = cst_store_find_additional_layer(api->store, digest, NULL, &found, &error);
	int mounted = cst_store_mount(api->store, "far1", NULL, &path, NULL);
	int deleted = cst_store_delete_layer(api->store, "far1", NULL);
	overlay_ask_limit_ms = limit;
	umount2(in(api, "far"), MNT_FORCE);
	umount2(in(api, "far"), MNT_DETACH);
	assert_int_equal(find, CST_ESYS);
	assert_int_equal(cst_error_errno(error), ETIMEDOUT);
	assert_int_equal(mounted, CST_ESYS);
	assert_int_equal(deleted, 0);
	assert_far_is_whole(api);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        ON_OVERLAY(layer_is_found) ON_OVERLAY(layer_is_put) ON_OVERLAY(ids_are_mapped)
	                ON_OVERLAY(it_is_read_only) ON_OVERLAY(pointer_may_be_lost) ON_OVERLAY(
	                        it_is_deleted_here_only) ON_OVERLAY(reference_is_part_of_the_path)
	                        ON_OVERLAY(blob_is_given_as_it_is) ON_OVERLAY(uses_are_told)
	                                ON_OVERLAY(info_is_not_believed) ON_OVERLAY(
	                                        what_lacks_a_part_is_no_layer)
	                                        ON_OVERLAY(other_blob_is_noticed)
	                                                ON_OVERLAY(lost_store_is_an_error)
	                                                        ON_OVERLAY(hanging_store_ends)};
	return own_mounts() ? cmocka_run_group_tests_name("additional layers", tests, NULL, NULL)
	                    : 0;
}
