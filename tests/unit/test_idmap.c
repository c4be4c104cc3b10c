/* SPDX-License-Identifier: Apache-2.0 */
#include "idmap/idmap.h"
#include "idmap/subid.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct idmaps maps_of(const char *uids, const char *gids)
{
	struct idmaps maps = {0};
	assert_int_equal(0, idmap_parse(uids, "uid", &maps.uids, NULL));
	assert_int_equal(0, idmap_parse(gids, "gid", &maps.gids, NULL));
	return maps;
}

#define assert_message(error, text)                                  \
	do {                                                         \
		assert_string_equal(text, cst_error_message(error)); \
		cst_error_free(error);                               \
		error = NULL;                                        \
	} while (0)

static void test_parse(void **state)
{
	static const char *const bad[] = {
	        "0:1",         "0:1:2:3",
	        "0:1:",        "0:1:2:",
	        ":0:1:2",      "a:1:2",
	        "0:-1:2",      "0:+1:2",
	        "0:1: 2",      "0:1:4294967296",
	        "0:1:2:3:4",   "0x1:1:1",
	        "0:1:2,3:4:5", ":::",
	        " ",           "99999999999999999999:1:1",
	};
	_cleanup_(idmap_free) struct idmap map = {0};
	cst_error *error = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(CST_EINVAL, idmap_parse(bad[i], "gid", &map, NULL));
		assert_int_equal(0, map.len);
	}
	assert_int_equal(CST_EINVAL, idmap_parse("0:1", "uid", &map, &error));
	assert_message(error, "initializing ID mappings: uid setting is malformed expected "
	                      "[\"uint32:uint32:uint32\"]: [\"0:1\"]");
	assert_int_equal(0, idmap_parse("", "uid", &map, NULL));
	assert_int_equal(0, map.len);
	assert_int_equal(0, idmap_parse("0:100:10:10:200:10", "uid", &map, NULL));
	assert_int_equal(0, idmap_parse("4294967295:007:4294967295", "uid", &map, NULL));
	assert_int_equal(3, map.len);
	assert_int_equal(200, map.ranges[1].host_id);
	assert_true(map.ranges[2].container_id == UINT32_MAX && map.ranges[2].host_id == 7);
}

static void test_lookup(void **state)
{
	_cleanup_(idmaps_free) struct idmaps maps = maps_of("0:100:10:10:200:10:5:900:10", "3:7:1");
	uint32_t id = 1, gid = 1;
	cst_error *error = NULL;
	assert_true(idmap_to_host(&maps.uids, 9, &id) && id == 109);
	assert_true(idmap_to_host(&maps.uids, 10, &id) && id == 200);
	assert_false(idmap_to_host(&maps.uids, 20, &id));
	assert_int_equal(200, id);
	assert_true(idmap_to_container(&maps.uids, 905, &id) && id == 10);
	assert_false(idmap_to_container(&maps.uids, 99, &id));
	assert_int_equal(0, idmaps_to_host(&maps, 0, 3, &id, &gid, NULL));
	assert_true(id == 100 && gid == 7);
	assert_int_equal(CST_EINVAL, idmaps_to_host(&maps, 0, 0, &id, &gid, &error));
	assert_message(error, "container ID 0 cannot be mapped to a host ID");
	assert_int_equal(CST_EINVAL, idmaps_to_host(&maps, 50, 3, &id, &gid, &error));
	assert_message(error, "container ID 50 cannot be mapped to a host ID");

	/* none: identity */
	struct idmaps none = {0};
	assert_int_equal(0, idmaps_to_host(&none, 77, 88, &id, &gid, NULL));
	assert_true(id == 77 && gid == 88);
	/* what runs over the last id is not mapped */
	_cleanup_(idmaps_free) struct idmaps over = maps_of("0:4294967290:100", "");
	assert_true(idmap_to_host(&over.uids, 5, &id) && id == UINT32_MAX);
	assert_false(idmap_to_host(&over.uids, 6, &id));
}

static void test_root(void **state)
{
	_cleanup_(idmaps_free) struct idmaps maps = maps_of("0:100:10", "3:7:1");
	_cleanup_(idmaps_free) struct idmaps unmapped = maps_of("1:100:10", "");
	struct idmaps none = {0};
	uint32_t uid, gid;
	assert_int_equal(0, idmaps_root(&maps, &uid, &gid, NULL));
	assert_true(uid == 100 && gid == 7);
	assert_int_equal(0, idmaps_root(&none, &uid, &gid, NULL));
	assert_true(uid == 0 && gid == 0);
	assert_int_equal(CST_EINVAL, idmaps_root(&unmapped, &uid, &gid, NULL));
}

static void test_overlap(void **state)
{
	static const struct {
		const char *uids, *gids, *message;
	} cases[] = {
	        {"0:100:10:10:110:10", "0:100:10", NULL}, /* adjacent, and uids against gids */
	        {"0:100:10:5:300:0", "", NULL},
	        {"0:100:10:5:200:10", "",
	         "the specified UID and/or GID mapping 5:200:10 conflicts with other mappings: "
	         "invalid mappings specified"},
	        {"0:100:10:20:109:1", "",
	         "the specified UID and/or GID mapping 20:109:1 conflicts with other mappings: "
	         "invalid mappings specified"},
	        {"", "0:100:10:5:105:10:7:1:2",
	         "the specified UID and/or GID mappings 5:105:10, 7:1:2 conflict with other "
	         "mappings: invalid mappings specified"},
	        {"4294967295:1:4294967295:0:9:1", "",
	         "the specified UID and/or GID mapping 0:9:1 conflicts with other mappings: "
	         "invalid mappings specified"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(idmaps_free) struct idmaps maps = maps_of(cases[i].uids, cases[i].gids);
		cst_error *error = NULL;
		int code = idmap_check_overlap(&maps, &error);
		assert_int_equal(cases[i].message ? CST_EINVALID_MAPPINGS : 0, code);
		if (cases[i].message)
			assert_message(error, cases[i].message);
	}
}

static void test_copy(void **state)
{
	_cleanup_(idmaps_free) struct idmaps maps = maps_of("0:100:10:10:200:10", "");
	_cleanup_(idmap_free) struct idmap copy = {0}, empty = {0};
	assert_true(idmap_copy(&copy, maps.uids.ranges, maps.uids.len));
	assert_true(idmap_copy(&empty, NULL, 0));
	assert_true(idmap_equal(&copy, &maps.uids));
	assert_true(idmap_equal(&empty, &maps.gids));
	assert_false(idmap_equal(&copy, &empty));
	copy.ranges[1].size++;
	assert_false(idmap_equal(&copy, &maps.uids));
}

/* The map of `user` as text, or the error. */
static void check_subids(const char *file, const char *user, const char *uid, const char *wanted)
{
	_cleanup_subids_ struct subid_ranges ranges = {0};
	_cleanup_(idmap_free) struct idmap map = {0};
	_cleanup_strbuf_ struct strbuf out = {0};
	_cleanup_free_ char *text = strdup(file);
	cst_error *error = NULL;
	int code = subid_parse(text, user, uid, "/etc/subuid", &ranges, &error);
	if (code == 0)
		code = subid_to_map(&ranges, &map, &error);
	if (code < 0) {
		assert_message(error, wanted);
		return;
	}
	for (size_t i = 0; i < map.len; i++)
		strbuf_addf(&out, "%s%u:%u:%u", i ? " " : "", map.ranges[i].container_id,
		            map.ranges[i].host_id, map.ranges[i].size);
	assert_string_equal(wanted, strbuf_str(&out));
}

static void test_subids(void **state)
{
	const char *file = "# comment\n\n tst:400000:10 \nother:1:1\ntst:200000:5\n5000:600000:3";
	const char *format = "cannot parse subuid/gid information: Format not correct for "
	                     "/etc/subuid file";
	check_subids(file, "tst", "5000", "0:200000:5 5:400000:10 15:600000:3");
	check_subids(file, "tst", NULL, "0:200000:5 5:400000:10");
	check_subids(file, "ALL", NULL, "0:1:1 1:200000:5 6:400000:10 16:600000:3");
	check_subids(file, "nobody", "65534", "");
	check_subids("other:1\n", "tst", NULL, format);
	check_subids("tst:1:2:3\n", "tst", NULL, format);
	check_subids("other:x:y\ntst:1:2\n", "tst", NULL, "0:1:2");
	check_subids("tst:x:2\n", "tst", NULL,
	             "string to int conversion failed during subuid/gid parsing of /etc/subuid: "
	             "strconv.Atoi: parsing \"x\": invalid syntax");
	check_subids("tst:1:4294967295\ntst:5:4294967295\ntst:6:7\n", "tst", NULL,
	             "subordinate ID range 6:7 does not fit into 32 bits");
}

static void check_free_start(const char *file, int64_t wanted)
{
	_cleanup_free_ char *text = strdup(file);
	uint64_t start = 0;
	int r = subid_free_start(text, &start);
	assert_int_equal(wanted, r < 0 ? -1 : (int64_t)start);
}

static void test_free_start(void **state)
{
	check_free_start("", 100000);
	check_free_start("root:0:65536\n", 100000);
	check_free_start("a:100000:65536\nb:165536:65536\n", 231072);
	check_free_start("b:200000:65536\na:100000:65536\n",
	                 265536); /* what is between is too little */
	check_free_start("a:90000:10001\nb:165537:1\n", 100001);
	check_free_start("a:100000:4294867295\n", -1);
	check_free_start("a:100000:4294700000\nb:1:1\n", 4294800000);
	check_free_start("bad line\n", -1);
}

static void test_nsswitch(void **state)
{
	assert_false(subid_nsswitch_names_other(""));
	assert_false(subid_nsswitch_names_other("passwd: files sss\nsubid: files\n"));
	assert_false(subid_nsswitch_names_other("#subid: sss\nsubid: files # sss\n"));
	assert_false(subid_nsswitch_names_other("subid: [NOTFOUND=return] files [A=b C=d]\n"));
	assert_true(subid_nsswitch_names_other("passwd: files\nsubid:\tfiles sss"));
	assert_true(subid_nsswitch_names_other("subid:sss\n"));
}

/* What it says depends on the machine; that it says something does not. */
static void test_unknown_user(void **state)
{
	_cleanup_(idmap_free) struct idmap map = {0};
	assert_true(idmap_add_subids("no such user, surely", true, &map, NULL) < 0);
	assert_int_equal(0, map.len);
}

static void test_set(void **state)
{
	struct idset set = {0};
	static const uint32_t ids[] = {7, 0, UINT32_MAX, 7, 3, 0, 5};
	static const uint32_t sorted[] = {0, 3, 5, 7, UINT32_MAX};
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_true(idset_add(&set, ids[i]));
	assert_int_equal(ARRAY_SIZE(sorted), set.len);
	assert_memory_equal(sorted, set.sorted, sizeof(sorted));
	idset_free(&set);
	for (uint32_t i = 0; i < 200000; i++)
		assert_true(idset_add(&set, i * 3));
	assert_int_equal(65536, set.len);
	assert_int_equal(199999 * 3, set.sorted[set.len - 1]);
	idset_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_parse),    cmocka_unit_test(test_lookup),
	        cmocka_unit_test(test_root),     cmocka_unit_test(test_overlap),
	        cmocka_unit_test(test_copy),     cmocka_unit_test(test_subids),
	        cmocka_unit_test(test_nsswitch), cmocka_unit_test(test_unknown_user),
	        cmocka_unit_test(test_set),      cmocka_unit_test(test_free_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
