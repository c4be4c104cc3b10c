/* SPDX-License-Identifier: Apache-2.0 */
/* Option texts and driver selection, each as the real 1.64 prints it. */
#include "driver/driver.h"
#include "driver/option.h"
#include "driver/overlay/overlay.h"
#include "unit/test.h"
#include <sys/mount.h>
#include <unistd.h>

static void test_syntax(void **state)
{
	static const struct {
		const char *driver, *option, *key, *value, *message;
	} rows[] = {
	        {"overlay", "foo", NULL, NULL, "unable to parse key/value option: foo"},
	        {"overlay", "overlay.mountopt", NULL, NULL,
	         "unable to parse key/value option: overlay.mountopt"},
	        {"overlay", "magicfs.size=5G", NULL, NULL,
	         "unknown driver \"magicfs\" in option \"magicfs.size=5G\""},
	        {"overlay", "a.b.c=1", NULL, NULL, "unknown driver \"a\" in option \"a.b.c=1\""},
	        {"overlay", " overlay . mountopt = nodev", NULL, NULL,
	         "unknown driver \"overlay \" in option \" overlay . mountopt = nodev\""},
	        {"overlay", "aufs.x=1", NULL, NULL,
	         "unknown driver \"aufs\" in option \"aufs.x=1\""},
	        {"overlay", "overlay.size=5G", "size", "5G", NULL},
	        {"overlay", "overlay2.size=5G", "size", "5G", NULL},
	        {"overlay2", "overlay.size=5G", "size", "5G", NULL},
	        {"overlay", "OVERLAY.MountOpt= nodev,RO ", "mountopt", "nodev,RO", NULL},
	        {"overlay", ".size=1", "size", "1", NULL},
	        {"overlay", "size=a=b", "size", "a=b", NULL},
	        {"overlay", "overlay.a.b=1", "a.b", "1", NULL},
	        {"overlay", "=1", "", "1", NULL},
	        {"overlay", "vfs.size=abc", NULL, NULL, NULL}, /* skipped */
	        {"vfs", "overlay.size=abc", NULL, NULL, NULL},
	        {"vfs", "zfs.fsname=x", NULL, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *key = NULL, *value = NULL;
		_cleanup_error_ cst_error *error = NULL;
		bool skip = false;
		int r = driver_parse_option(rows[i].driver, rows[i].option, &key, &value, &skip,
		                            &error);

		if (rows[i].message) {
			assert_int_equal(r, CST_EINVAL);
			assert_string_equal(cst_error_message(error), rows[i].message);
			assert_null(key);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(skip, rows[i].key == NULL);
		if (rows[i].key) {
			assert_string_equal(key, rows[i].key);
			assert_string_equal(value, rows[i].value);
		}
	}
}

static int parse(const char *graph_root, const char *option, struct overlay_options *ret,
                 cst_error **error)
{
	const struct driver_config config = {.graph_root = graph_root,
	                                     .run_root = graph_root,
	                                     .options = &option,
	                                     .n_options = 1};

	return overlay_options_parse(&config, "overlay", ret, error);
}

static void test_overlay_values(void **state)
{
	static const struct {
		const char *option, *message; /* NULL: accepted */
	} rows[] = {
	        {"overlay.bogus=1", "unknown option \"bogus\" (\"overlay.bogus=1\")"},
	        {".bogus=1", "unknown option \"bogus\" (\".bogus=1\")"},
	        {"overlay.=1", "unknown option \"\" (\"overlay.=1\")"},
	        {"overlay.size=abc", "invalid size: 'abc'"},
	        {"overlay.size=", "invalid size: ''"},
	        {"overlay.size=-5", "invalid size: '-5'"},
	        {"overlay.size=1x", "invalid suffix: 'x'"},
	        {"overlay.size=1kk", "invalid suffix: 'kk'"},
	        {"overlay.size=1bb", "invalid suffix: 'bb'"},
	        {"overlay.size=.5", NULL},
	        {"overlay.size=0", NULL},
	        {"overlay.inodes=x", "strconv.ParseUint: parsing \"x\": invalid syntax"},
	        {"overlay.inodes=-1", "strconv.ParseUint: parsing \"-1\": invalid syntax"},
	        {"overlay.inodes=99999999999999999999999",
	         "strconv.ParseUint: parsing \"99999999999999999999999\": value out of range"},
	        {"overlay.imagestore=rel",
	         "overlay: image path \"rel\" is not absolute.  Can not be relative"},
	        {"overlay.imagestore=,",
	         "overlay: image path \".\" is not absolute.  Can not be relative"},
	        {"overlay.imagestore=/nope",
	         "overlay: can't stat imageStore dir /nope: stat /nope: no such file or directory"},
	        {"overlay.additionalimagestore=/etc/passwd",
	         "overlay: image path \"/etc/passwd\" must be a directory"},
	        {"overlay.imagestore=", NULL},
	        {"overlay.imagestore=/etc,/usr", NULL},
	        {"overlay.additionallayerstore=rel", "overlay: additionallayerstore path \"rel\" "
	                                             "is not absolute.  Can not be relative"},
	        {"overlay.additionallayerstore=/nope",
	         "overlay: can't stat additionallayerstore dir: stat /nope: no such file or "
	         "directory"},
	        {"overlay.additionallayerstore=/etc/passwd",
	         "overlay: additionallayerstore path \"/etc/passwd\" must be a directory"},
	        {"overlay.additionallayerstore=/etc:ref:ref",
	         "overlay: additionallayerstore config of \"/etc\" contains \"ref\" option twice"},
	        {"overlay.additionallayerstore=/etc:xyz",
	         "overlay: additionallayerstore config \"/etc\" contains unknown option \"xyz\""},
	        {"overlay.mount_program=/nope", "overlay: can't stat program \"/nope\": faccessat "
	                                        "/nope: no such file or directory"},
	        {"overlay.mount_program=/bin/sh", NULL},
	        {"overlay.mount_program=", NULL},
	        {"overlay.mountopt=nodev,lowerdir=/",
	         "overlay.mountopt: the mount option \"lowerdir=/\" is the driver's to set"},
	        {"overlay.skip_mount_home=x", "strconv.ParseBool: parsing \"x\": invalid syntax"},
	        {"overlay.use_composefs=yes", "strconv.ParseBool: parsing \"yes\": invalid syntax"},
	        {"overlay.use_composefs=true", NULL},
	        {"overlay.use_composefs=F", NULL},
	        {"overlay.fs_verity=require", NULL},
	        {"overlay.fs_verity=off", NULL},
	        {"overlay.fs_verity=yes",
	         "overlay: fs_verity is \"yes\", and must be \"off\", \"try\" or \"require\""},
	        {"overlay.ignore_chown_errors=zz",
	         "strconv.ParseBool: parsing \"zz\": invalid syntax"},
	        {"overlay.force_mask=9", "strconv.ParseInt: parsing \"9\": invalid syntax"},
	        {"overlay.force_mask=", "strconv.ParseInt: parsing \"\": invalid syntax"},
	        {"overlay.force_mask=77777777777777777777777",
	         "strconv.ParseInt: parsing \"77777777777777777777777\": value out of range"},
	        {"overlay.force_mask=shared", NULL},
	        {"overlay.sync=bad",
	         "invalid sync mode for overlay driver: invalid sync mode: \"bad\""},
	        {"sync= FileSystem ", NULL},
	        {"overlay.override_kernel_check=zz", NULL},
	        {"vfs.bogus=1", NULL},
	};
	_cleanup_test_dir_ struct test_dir t = test_dir_make();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct overlay_options options = {0};
		_cleanup_error_ cst_error *error = NULL;
		int r = parse(t.path, rows[i].option, &options, &error);

		if (rows[i].message) {
			assert_true(r < 0);
			assert_string_equal(cst_error_message(error), rows[i].message);
		} else {
			assert_int_equal(r, 0);
		}
		overlay_options_free(&options);
	}
}

static void test_sync(void **state)
{
	static const struct {
		const char *option;
		bool no_sync;
	} rows[] = {{"sync=none", true},
	            {"overlay.sync=NONE", true},
	            {"sync=filesystem", false},
	            {"sync=", false}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct overlay_options options = {0};

		assert_int_equal(parse("/", rows[i].option, &options, NULL), 0);
		assert_int_equal(options.no_sync, rows[i].no_sync);
		overlay_options_free(&options);
	}
}

static void test_mount_words(void **state)
{
	_cleanup_mount_options_ struct mount_options o = {0};

	assert_int_equal(mount_options_add(&o, "nodev,,ro,metacopy=on,nosuid,suid,x", NULL), 0);
	assert_int_equal(o.flags, MS_NODEV | MS_RDONLY);
	assert_int_equal(o.data.len, 2);
	assert_string_equal(o.data.items[0], "metacopy=on");
	mount_options_drop(&o, "metacopy=on");
	assert_int_equal(o.data.len, 1);
	assert_string_equal(o.data.items[0], "x");
	assert_null(o.data.items[1]);
}

/* ---- selection ---- */

static int select_in(const struct test_dir *t, const char *name, const char *const *priority,
                     size_t n, const struct driver_ops **ops, cst_error **error)
{
	/* read_only: nothing is probed */
	const struct driver_config config = {
	        .graph_root = t->path, .run_root = t->path, .read_only = true};

	return driver_select(name, priority, n, &config, ops, error);
}

static void test_select(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_error_ cst_error *error = NULL;
	const struct driver_ops *ops = NULL;
	_cleanup_free_ char *text =
	        str_printf("failed to GetDriver graph aufs %s: driver not supported", t.path);

	assert_int_equal(select_in(&t, "aufs", NULL, 0, &ops, &error), CST_ENOTSUP);
	assert_string_equal(cst_error_message(error), text);
	assert_null(ops);
	assert_int_equal(select_in(&t, "overlay", NULL, 0, &ops, NULL), 0);
	assert_string_equal(ops->name, "overlay");
	assert_int_equal(select_in(&t, NULL, NULL, 0, &ops, NULL), 0);
	assert_string_equal(ops->name, "overlay");
	assert_int_equal(select_in(&t, "overlay2", NULL, 0, &ops, NULL), 0);
	assert_string_equal(ops->name, "overlay");
	mkdirat(t.fd, "overlay2", 0700);
	mkdirat(t.fd, "overlay2/l", 0700);
	assert_int_equal(select_in(&t, NULL, NULL, 0, &ops, NULL), 0);
	assert_string_equal(ops->name, "overlay2");
	mkdirat(t.fd, "overlay", 0700);
	mkdirat(t.fd, "overlay/l", 0700);
	assert_int_equal(select_in(&t, "overlay2", NULL, 0, &ops, NULL), 0);
	assert_string_equal(ops->name, "overlay");
}

static void test_select_several(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_error_ cst_error *error = NULL;
	const struct driver_ops *ops = NULL;
	_cleanup_free_ char *text =
	        str_printf("%s contains several valid graphdrivers: overlay, vfs; Please cleanup "
	                   "or explicitly choose storage driver (-s <DRIVER>)",
	                   t.path);

	mkdirat(t.fd, "vfs", 0700);
	mkdirat(t.fd, "overlay", 0700);
	assert_int_equal(select_in(&t, "", NULL, 0, &ops, &error), CST_EINVAL);
	assert_string_equal(cst_error_message(error), text);
	assert_int_equal(select_in(&t, "overlay", NULL, 0, &ops, NULL), 0);
}

/* What is there is used; 1.64 begins a store of another driver beside it. */
static void test_select_only_vfs(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	static const char *const overlay_first[] = {"overlay"};
	struct driver_config config = {.graph_root = t.path, .run_root = t.path};
	const struct driver_ops *ops = NULL;

	mkdirat(t.fd, "vfs", 0700);
	assert_int_equal(driver_select(NULL, NULL, 0, &config, &ops, NULL), 0);
	assert_string_equal(ops->name, "vfs");
	assert_int_equal(driver_select(NULL, overlay_first, 1, &config, &ops, NULL), 0);
	assert_string_equal(ops->name, "vfs");
	assert_false(fs_exists(t.fd, "overlay"));

	config.as_upstream = config.read_only = true;
	assert_int_equal(driver_select(NULL, NULL, 0, &config, &ops, NULL), 0);
	/* where overlay works, and nothing stays of trying it */
	assert_true(streq(ops->name, "overlay") || streq(ops->name, "vfs"));
	assert_false(fs_exists(t.fd, "overlay"));
	_cleanup_strv_ struct strv left = {0};
	assert_int_equal(fs_list_dir(t.fd, "vfs", &left, "vfs", NULL), 0);
	assert_true(left.len == 0 || (left.len == 1 && streq(left.items[0], "tempdirs")));
}

/* An option of a file is for whichever driver has it; one that the user gave, or with the driver's
 * name, must be known. */
static void test_general_options(void **state)
{
	static const struct {
		const char *option;
		bool general;
		const char *message; /* NULL: accepted */
	} rows[] = {
	        {"mountopt=nodev", true, NULL},
	        {"size=1G", true, NULL},
	        {"mount_program=/x", true, NULL},
	        {"mountopt=nodev", false, "vfs driver does not support mount options"},
	        {"vfs.mountopt=nodev", true, "vfs driver does not support mount options"},
	        {"vfs.size=1", true, "unknown option \"size\" (\"vfs.size=1\")"},
	        {".size=1", true, "unknown option \"size\" (\".size=1\")"},
	        {"ignore_chown_errors=x", true, "strconv.ParseBool: parsing \"x\": invalid syntax"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_test_dir_ struct test_dir t = test_dir_make();
		_cleanup_error_ cst_error *error = NULL;
		const struct driver_config config = {.graph_root = t.path,
		                                     .run_root = t.path,
		                                     .options = &rows[i].option,
		                                     .n_options = 1,
		                                     .general_options = rows[i].general};
		struct driver *driver = NULL;
		int r = vfs_driver.open(&config, &driver, &error);

		assert_int_equal(r, rows[i].message ? CST_EINVAL : 0);
		if (rows[i].message)
			assert_string_equal(cst_error_message(error), rows[i].message);
		else
			driver->ops->close(driver);
	}
}

static void test_select_removed(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	_cleanup_error_ cst_error *error = NULL;
	const struct driver_ops *ops = NULL;
	_cleanup_free_ char *text = str_printf(
	        "%s was created by the removed storage driver \"devicemapper\": driver not "
	        "supported; "
	        "export the images with a release that supports it, or choose a driver explicitly "
	        "(-s <DRIVER>)",
	        t.path);

	mkdirat(t.fd, "devicemapper-layers", 0700);
	assert_int_equal(select_in(&t, NULL, NULL, 0, &ops, NULL), 0);
	assert_int_equal(
	        fs_write_file(t.fd, "devicemapper-layers/layers.json", "[]", 2, 0600, NULL, NULL),
	        0);
	assert_int_equal(select_in(&t, NULL, NULL, 0, &ops, &error), CST_ENOTSUP);
	assert_string_equal(cst_error_message(error), text);
	assert_int_equal(select_in(&t, "overlay", NULL, 0, &ops, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_syntax),
	        cmocka_unit_test(test_overlay_values),
	        cmocka_unit_test(test_sync),
	        cmocka_unit_test(test_mount_words),
	        cmocka_unit_test(test_select),
	        cmocka_unit_test(test_select_several),
	        cmocka_unit_test(test_select_removed),
	        cmocka_unit_test(test_select_only_vfs),
	        cmocka_unit_test(test_general_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
