/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic user namespaces: which ids are chosen, held against a search id by id; what passwd and group files say; and containers,
 * of images that are not friends. Those need root, who puts files of the test over /etc/subuid and /etc/subgid.
 */
#include "api_fixture.h"
#include "idmap/intervals.h"
#include <sys/stat.h>

/* ---- which ids ---- */

#define IDS   48 /* host ids and container ids of the random cases */
#define CASES 20000

static uint32_t random_state = 20261130;
static uint32_t below(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

static void random_ranges(struct intervals *set, bool *marks, unsigned n)
{
	for (; n; n--) {
		uint32_t start = below(IDS), count = below(IDS - start + 1) / 2;
		assert_true(intervals_add(set, start, count));
		for (uint32_t id = start; id < start + count; id++)
			marks[id] = true;
	}
	intervals_join(set);
}

/* Chooses id by id. Returns how many ids are missing; map[c] is the host id of c, or -1. */
static int choose_simply(const bool *available, const bool *used, const struct id_request *request,
                         int *map)
{
	bool free_ids[IDS], given[IDS] = {false};
	int missing = 0;
	uint32_t next = 0;
	for (uint32_t id = 0; id < IDS; id++)
		free_ids[id] = available[id] && !used[id];
	for (size_t i = 0; i < request->additional->len; i++) {
		const cst_idmap *range = &request->additional->ranges[i];
		for (uint32_t k = 0; k < range->size; k++) {
			given[range->container_id + k] = true;
			free_ids[range->host_id + k] = false;
		}
	}
	for (uint32_t c = 0; c < IDS; c++) {
		map[c] = -1;
		if (c >= request->size || given[c])
			continue;
		while (next < IDS && !free_ids[next])
			next++;
		if (next < IDS)
			map[c] = (int)next++;
		else
			missing++;
	}
	return missing;
}

/* Holds the ranges against the ids, and looks that no two ranges could be one. */
static void check_map(const struct idmap *map, const struct id_request *request,
                      const int *expected)
{
	const struct idmap *more = request->additional;
	size_t n = map->len - more->len, mapped = 0, wanted = 0;
	assert_true(map->len >= more->len);
	if (more->len)
		assert_memory_equal(map->ranges + n, more->ranges, more->len * sizeof(cst_idmap));
	for (size_t i = 0; i < n; i++) {
		const cst_idmap *range = &map->ranges[i], *last = range - 1;
		assert_true(range->size > 0);
		assert_false(i && last->container_id + last->size == range->container_id &&
		             last->host_id + last->size == range->host_id);
		assert_true(!i || last->container_id < range->container_id);
		for (uint32_t k = 0; k < range->size; k++, mapped++)
			assert_int_equal(expected[range->container_id + k],
			                 (int)(range->host_id + k));
	}
	for (size_t c = 0; c < IDS; c++)
		wanted += expected[c] >= 0;
	assert_int_equal(mapped, wanted);
}

static void test_random_requests(void **state)
{
	unsigned refused = 0;
	for (unsigned n = 0; n < CASES; n++) {
		_cleanup_intervals_ struct intervals available = {0}, used = {0};
		_cleanup_(idmap_free) struct idmap map = {0};
		bool is_available[IDS] = {false}, is_used[IDS] = {false};
		cst_idmap more[2];
		struct idmap additional = {.ranges = more, .len = below(3)};
		struct id_shortage shortage;
		int expected[IDS];
		for (size_t i = 0; i < additional.len; i++)
			more[i] = (cst_idmap){below(IDS / 2), below(IDS / 2), below(6)};
		random_ranges(&available, is_available, below(6));
		random_ranges(&used, is_used, below(6));
		const struct id_request request = {.size = below(IDS / 2),
		                                   .available = &available,
		                                   .used = &used,
		                                   .additional = &additional};
		int missing = choose_simply(is_available, is_used, &request, expected);
		int r = id_request_map(&request, &map, &shortage);
		assert_int_equal(r, missing ? CST_ENO_AVAILABLE_IDS : 0);
		if (missing)
			assert_int_equal(shortage.needed, shortage.free + (unsigned)missing);
		else
			check_map(&map, &request, expected);
		refused += missing > 0;
	}
	assert_in_range(refused, CASES / 20, CASES / 20 * 19); /* there are enough of both */
}

static void test_last_ids(void **state)
{
	_cleanup_intervals_ struct intervals available = {0}, used = {0};
	_cleanup_(idmap_free) struct idmap map = {0};
	struct idmap none = {0};
	struct id_request request = {
	        .size = 6, .available = &available, .used = &used, .additional = &none};
	struct id_shortage shortage;
	/* A range that goes on behind the last id; 4294967295 is none. */
	assert_true(intervals_add(&available, UINT32_MAX - 5, 100));
	assert_true(intervals_add(&available, UINT64_MAX - 5, 100));
	intervals_join(&available);
	assert_int_equal(id_request_map(&request, &map, &shortage), CST_ENO_AVAILABLE_IDS);
	assert_int_equal(shortage.free, 5);
	request.size = 5;
	assert_int_equal(id_request_map(&request, &map, &shortage), 0);
	assert_int_equal(map.len, 1);
	assert_int_equal(map.ranges[0].host_id, UINT32_MAX - 5);
}

/* ---- passwd and group ---- */

static void test_passwd(void **state)
{
	static const struct {
		const char *text;
		bool group;
		int64_t largest; /* -1: none */
	} cases[] = {
	        {"", false, -1},
	        {"\n\n::\n", false, -1},
	        {"root:x:0:0:root:/root:/bin/sh\n", false, 0},
	        {"root:x:0:0::/:\nu:x:5000:5001::/:", false, 5001},
	        {"u:x:5001:5000\n", false, 5001},
	        {"u:x:5001", false, 5001},
	        {"  u:x:7:8:\r\n", false, 8},
	        {"nobody:x:70000:70000::/:\nnogroup:x:70001:70001::/:\n", false, -1},
	        {"u:x:65534:65534::/:\nv:x:3:65535\n", false, 65535},
	        {"u:x:65534:65534\n", false, -1},
	        {"u:x:-5:-7:\nv:x:+9:1:\nw:x: 10:1:\ny:x:1e4:0x99:\n", false, 9},
	        {"u:x:4294967294:1:\n", false, 4294967294},
	        {"u:x:4294967295:1:\nv:x:99999999999999999999999:2\n", false, 2},
	        {"#u:x:5000:1:\n", false, 5000}, /* comments are known in the other file only */
	        {"g:x:7000:a,b,c\n#h:x:9000:\n", true, 7000},
	        {"g:x:70:9999\n", true, 70},
	        {"+:::\n-x\nnogroup:x:9:\ng:x:3:\n", true, 3},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t id = 0;
		bool any = passwd_largest_id(cases[i].text, strlen(cases[i].text), cases[i].group,
		                             &id);
		if (cases[i].largest != (any ? (int64_t)id : -1))
			fail_msg("case %zu: %lld", i, any ? (long long)id : -1);
	}
	/* NUL characters, and lines without end */
	static const char odd[] = "u:x:1:1\0:\nv:x:12:1:\0\nw:x:13\0:1\n";
	uint32_t id = 0;
	assert_true(passwd_largest_id(odd, sizeof(odd) - 1, false, &id));
	assert_int_equal(id, 12);
	for (unsigned n = 0; n < CASES; n++) {
		static const char letters[] = "0159:::\n\n# +-nobody\t\r\xff";
		char text[64];
		size_t len = 1 + below(sizeof(text) - 1);
		for (size_t i = 0; i < len; i++)
			text[i] = letters[below(sizeof(letters))];
		char *exact = malloc(len);
		memcpy(exact, text, len);
		(void)passwd_largest_id(exact, len, n & 1, &id);
		free(exact);
	}
}

/* ---- containers ---- */

static bool
        has_own_mounts; /* made before any store is opened, whose descriptors would be of the other mounts */

static bool put_over(const struct api *api, const char *name, const char *target, const char *text)
{
	_cleanup_free_ char *path = str_printf("%s/%s", api->dir.path, name);
	assert_int_equal(
	        fs_replace_file(api->dir.fd, name, text, strlen(text), 0644, 0, name, NULL), 0);
	umount2(target, MNT_DETACH);
	return mount(path, target, NULL, MS_BIND, NULL) == 0;
}

/* For the time of a test these users have ids. */
static struct api *with_subids(void **state, const char *uids, const char *gids)
{
	struct api *api = api_of(state);
	if (!has_own_mounts)
		skip_because("files cannot be mounted over /etc/subuid and /etc/subgid");
	if (access("/etc/subuid", F_OK) < 0 || access("/etc/subgid", F_OK) < 0)
		skip_because("there is no /etc/subuid to mount a file over");
	assert_true(put_over(api, "subuid", "/etc/subuid", uids));
	assert_true(put_over(api, "subgid", "/etc/subgid", gids));
	return api;
}

/* Removes the mounts, too: the file below them goes with the test. */
static int tear_down_subids(void **state)
{
	umount2("/etc/subuid", MNT_DETACH);
	umount2("/etc/subgid", MNT_DETACH);
	return tear_down(state);
}

static int create_auto(const struct api *api, const char *id, const char *image,
                       const cst_auto_userns_options *auto_userns, cst_container **container,
                       cst_error **error)
{
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	options.id = id;
	options.image = image;
	options.auto_userns = auto_userns;
	return cst_store_create_container(api->store, &options, container, error);
}

static char *map_text(const cst_idmap *map, size_t n)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&text, "%s%u:%u:%u", i ? " " : "", map[i].container_id, map[i].host_id,
		            map[i].size);
	return strbuf_steal(&text);
}

/* Makes a container, and reads its maps with another handle. */
static void assert_maps(const struct api *api, const char *id, const char *image,
                        const cst_auto_userns_options *auto_userns, const char *uids,
                        const char *gids)
{
	_cleanup_(cst_container_freep) cst_container *made = NULL, *read = NULL;
	_cleanup_(cst_store_closep) cst_store *store = NULL;
	_cleanup_error_ cst_error *error = NULL;
	const cst_idmap *map;
	if (create_auto(api, id, image, auto_userns, &made, &error) < 0)
		fail_msg("%s: %s", id, cst_error_message(error));
	assert_int_equal(open_store(api, false, &store, NULL), 0);
	assert_int_equal(cst_store_container(store, id, &read, NULL), 0);
	size_t n = cst_container_uid_map(read, &map);
	_cleanup_free_ char *read_uids = map_text(map, n);
	assert_string_equal(read_uids, uids);
	n = cst_container_gid_map(read, &map);
	_cleanup_free_ char *read_gids = map_text(map, n);
	assert_string_equal(read_gids, gids);
	n = cst_container_uid_map(made, &map);
	_cleanup_free_ char *made_uids = map_text(map, n);
	assert_string_equal(made_uids, uids);
}

static void assert_refused(const struct api *api, const char *image,
                           const cst_auto_userns_options *auto_userns, int code, const char *text,
                           const char *go)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_container *none = NULL;
	assert_int_equal(create_auto(api, "refused", image, auto_userns, NULL, &error), code);
	assert_string_equal(cst_error_message(error), text);
	if (go)
		assert_string_equal(cst_error_go_message(error), go);
	assert_int_equal(cst_store_container(api->store, "refused", &none, NULL),
	                 CST_ECONTAINER_UNKNOWN);
}

/* An image of one layer, or of an empty one on top of it, with this tar. */
static void make_image(struct api *api, const char *id, bool two)
{
	_cleanup_free_ char *base = str_printf("%s-base", id), *top = str_printf("%s-top", id);
	tar_add_end(&api->tar);
	assert_int_equal(create_layer(api, base, NULL, NULL, NULL), 0);
	if (two)
		assert_int_equal(create_layer(api, top, base, NULL, NULL), 0);
	assert_int_equal(create_image(api, id, two ? top : base, NULL), 0);
}

static void add_text(struct api *api, const char *name, const char *text)
{
	TAR_ADD(&api->tar, .name = name, .data = text, .len = strlen(text));
}

static void begin_tar(struct api *api)
{
	strbuf_reset(&api->tar);
	TAR_ADD(&api->tar, .name = "etc/", .type = '5', .mode = 0755);
}

static void test_containers(void **state)
{
	struct api *api = with_subids(state, "containers:1000000:100000\nu:1:9\n",
	                              "containers:2000000:100000\n");
	cst_auto_userns_options options = CST_AUTO_USERNS_OPTIONS_INIT;
	const cst_idmap one = {0, 5000000, 1}, group = {1, 7, 1}, twice[] = {{3, 1, 2}, {4, 9, 1}};
	begin_tar(api);
	add_text(api, "etc/passwd", "root:x:0:0::/:\nu:x:5000:5001::/:\n");
	add_text(api, "etc/group", "g:x:7000:\n");
	make_image(api, "image", true);
	assert_maps(api, "a", "image", &options, "0:1000000:7001", "0:2000000:7001");
	options.ids = 10;
	assert_maps(api, "b", "image", &options, "0:1007001:10", "0:2007001:10");
	options.ids = 20;
	options.uid_map = &one;
	options.n_uid_map = 1;
	assert_maps(api, "c", "image", &options, "1:1007011:19 0:5000000:1", "0:2007011:20");
	options.n_uid_map = 0;
	options.ids = 3;
	options.gid_map = &group;
	options.n_gid_map = 1;
	assert_maps(api, "d", "image", &options, "0:1007030:3", "0:2007031:1 2:2007032:1 1:7:1");
	/* What is given back is taken first, in pieces if need be. */
	assert_int_equal(cst_store_delete_container(api->store, "b", NULL), 0);
	options.n_gid_map = 0;
	options.ids = 12;
	assert_maps(api, "e", "image", &options, "0:1007001:10 10:1007033:2",
	            "0:2007001:10 10:2007033:2");
	options.ids = 100000;
	assert_refused(api, "image", &options, CST_ENO_AVAILABLE_IDS,
	               "the container needs 100000 free UIDs, but of the 100000 of user "
	               "\"containers\" in /etc/subuid only 92965 are free",
	               "not enough unused IDs in user namespace");
	options.ids = 10;
	options.uid_map = twice;
	options.n_uid_map = 2;
	assert_int_equal(create_auto(api, "refused", "image", &options, NULL, NULL),
	                 CST_EINVALID_MAPPINGS);
	options.n_uid_map = 0;
	assert_int_equal(create_auto(api, "refused", "nothing", &options, NULL, NULL),
	                 CST_EIMAGE_UNKNOWN);
	options.size = 4; /* is not initialised */
	assert_int_equal(create_auto(api, "refused", "image", &options, NULL, NULL), CST_EINVAL);
}

static void test_sizes(void **state)
{
	struct api *api =
	        with_subids(state, "containers:1000000:200000\n", "containers:2000000:200000\n");
	cst_auto_userns_options options = CST_AUTO_USERNS_OPTIONS_INIT;
	_cleanup_free_ char *file = str_printf("%s/passwd", api->dir.path);
	begin_tar(api);
	add_text(api, "etc/passwd", "u:x:10:10::/:\n");
	TAR_ADD(&api->tar, .name = "file", .uid = 1500, .gid = 3000);
	make_image(api, "owners", true);
	assert_maps(api, "a", "owners", &options, "0:1000000:3001", "0:2000000:3001");
	options.initial_ids = 4000;
	assert_maps(api, "b", "owners", &options, "0:1003001:4000", "0:2003001:4000");
	/* another passwd file counts in place of the image's */
	assert_int_equal(fs_replace_file(api->dir.fd, "passwd", "u:x:20000:1:\n", 13, 0600, 0,
	                                 "passwd", NULL),
	                 0);
	options.passwd_file = file;
	assert_maps(api, "c", "owners", &options, "0:1007001:20001", "0:2007001:20001");
	options.group_file = "/nonexistent/group";
	assert_refused(api, "owners", &options, CST_ESYS,
	               "open /nonexistent/group: no such file or directory", NULL);
	options.group_file = api->dir.path;
	assert_int_equal(create_auto(api, "refused", "owners", &options, NULL, NULL), CST_ECORRUPT);
	/* without an image */
	options = (cst_auto_userns_options)CST_AUTO_USERNS_OPTIONS_INIT;
	assert_maps(api, "d", "", &options, "0:1027002:1024", "0:2027002:1024");
	/* the bounds */
	begin_tar(api);
	add_text(api, "etc/group", "g:x:70000:\n");
	make_image(api, "large", false);
	assert_refused(api, "large", &options, CST_EINVAL,
	               "the container needs a user namespace of 70001 IDs (its etc/group has the "
	               "ID 70000); auto-userns-max-size allows 65536",
	               "the container needs a user namespace with size 70001 that is bigger than "
	               "the maximum value allowed with userns=auto 65536");
	options.ids = 70000; /* nothing bounds what was asked for */
	assert_maps(api, "e", "large", &options, "0:1028026:70000", "0:2028026:70000");
}

/* Files of an image are read inside of it, and only regular ones. */
static void test_hostile_images(void **state)
{
	struct api *api =
	        with_subids(state, "containers:1000000:100000\n", "containers:2000000:100000\n");
	cst_auto_userns_options options = CST_AUTO_USERNS_OPTIONS_INIT;
	_cleanup_free_ char *outside = str_printf("%s/outside", api->dir.path),
	                    *climbing = str_printf("../../../../../../../../../..%s", outside);
	assert_int_equal(fs_replace_file(api->dir.fd, "outside", "u:x:9999:9999:\n", 15, 0600, 0,
	                                 "outside", NULL),
	                 0);
	begin_tar(api);
	TAR_ADD(&api->tar, .name = "etc/passwd", .type = '2', .link = outside);
	TAR_ADD(&api->tar, .name = "etc/group", .type = '2', .link = climbing);
	make_image(api, "links", true);
	assert_maps(api, "a", "links", &options, "0:1000000:1024", "0:2000000:1024");
	begin_tar(api);
	TAR_ADD(&api->tar, .name = "etc/passwd", .type = '2', .link = "passwd");
	TAR_ADD(&api->tar, .name = "etc/group", .type = '5', .mode = 0755);
	make_image(api, "loop", false);
	assert_maps(api, "b", "loop", &options, "0:1001024:1024", "0:2001024:1024");
	begin_tar(api);
	TAR_ADD(&api->tar, .name = "etc/passwd", .type = '6');
	TAR_ADD(&api->tar, .name = "etc/group", .type = '3', .major = 1, .minor = 5);
	make_image(api, "devices", true);
	assert_maps(api, "c", "devices", &options, "0:1002048:1024", "0:2002048:1024");
	/* links that stay inside are followed */
	begin_tar(api);
	TAR_ADD(&api->tar, .name = "etc/passwd", .type = '2', .link = "/usr/passwd");
	TAR_ADD(&api->tar, .name = "etc/group", .type = '2', .link = "../../../usr/group");
	TAR_ADD(&api->tar, .name = "usr/", .type = '5', .mode = 0755);
	add_text(api, "usr/passwd", "u:x:2000:1:\n");
	add_text(api, "usr/group", "g:x:2999:\n");
	make_image(api, "inside", true);
	assert_maps(api, "d", "inside", &options, "0:1003072:3000", "0:2003072:3000");
	/* a file without end */
	begin_tar(api);
	size_t len = 17 * 1024 * 1024;
	_cleanup_free_ char *text = malloc(len);
	memset(text, '\n', len);
	TAR_ADD(&api->tar, .name = "etc/passwd", .data = text, .len = len);
	make_image(api, "huge", false);
	assert_int_equal(create_auto(api, "refused", "huge", &options, NULL, NULL), CST_EINVAL);
}

static void test_no_subids(void **state)
{
	struct api *api = with_subids(state, "u:1:9\n", "containers:2000000:100000\n");
	cst_auto_userns_options options = CST_AUTO_USERNS_OPTIONS_INIT;
	cst_container_options both = CST_CONTAINER_OPTIONS_INIT;
	_cleanup_error_ cst_error *error = NULL;
	assert_int_equal(create_auto(api, "refused", "", &options, NULL, &error), CST_EINVAL);
	assert_non_null(strstr(cst_error_message(error),
	                       "no subuid ranges found for user \"containers\" in /etc/subuid, "
	                       "which lacks a line such as \"containers:100000:65536\""));
	both.auto_userns = &options;
	both.host_gid_map = true;
	assert_int_equal(cst_store_create_container(api->store, &both, NULL, NULL), CST_EINVAL);
}

#define SUBIDS_ON_VFS(f)     cmocka_unit_test_setup_teardown(f, set_up_vfs, tear_down_subids),
#define SUBIDS_ON_OVERLAY(f) {#f " on overlay", f, set_up_overlay, tear_down_subids, NULL},
#define EACH(X)                \
	X(test_containers)     \
	X(test_sizes)          \
	X(test_hostile_images) \
	X(test_no_subids)

int main(void)
{
	const struct CMUnitTest ids[] = {
	        cmocka_unit_test(test_random_requests),
	        cmocka_unit_test(test_last_ids),
	        cmocka_unit_test(test_passwd),
	};
	const struct CMUnitTest vfs[] = {EACH(SUBIDS_ON_VFS)};
	const struct CMUnitTest overlay[] = {EACH(SUBIDS_ON_OVERLAY)};
	int failed = cmocka_run_group_tests_name("ids", ids, NULL, NULL);
	has_own_mounts = own_mounts();
	failed += cmocka_run_group_tests_name("automatic user namespaces on vfs", vfs, NULL, NULL);
	if (has_own_mounts)
		failed += cmocka_run_group_tests_name("automatic user namespaces on overlay",
		                                      overlay, NULL, NULL);
	return failed;
}
