/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay driver on real mounts, in a mount namespace of its own. */
#include "unit/overlay_fixture.h"
#include <sys/statvfs.h>

static bool is_link_name(const char *s)
{
	return strlen(s) == 26 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == 26;
}

static bool run_file(const struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = path_join3(f->run, "overlay", name);

	return fs_exists(AT_FDCWD, path);
}

/* Opens without making anything. */
static bool is_ready(const struct driver_config *config)
{
	struct driver *driver = NULL;

	assert_int_equal(overlay_driver.open_ready(config, &driver, NULL), 0);
	if (!driver)
		return false;
	overlay_driver.close(driver);
	return true;
}

static void test_open(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_config config = fixture_config(&f);

	assert_false(is_ready(&config));
	fixture_open(&f);
	assert_true(is_ready(&config));
	assert_int_equal(mode_of(in_home(&f, "")), S_IFDIR | 0755);
	assert_int_equal(mode_of(in_home(&f, "l")), S_IFDIR | 0755);
	assert_int_equal(mode_of(in_home(&f, ".has-mount-program")), S_IFREG | 0600);
	assert_true(text_is(in_home(&f, ".has-mount-program"), "false"));
	assert_true(run_file(&f, "overlay-true"));
	assert_true(run_file(&f, "metacopy()-false"));
	assert_true(run_file(&f, "native-diff()-true") || run_file(&f, "native-diff()-false"));
	assert_false(run_file(&f, "volatile-true"));
	assert_int_equal(entries(in_home(&f, "staging")), 0);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 1);
	assert_true(f.driver->sync_content);

	_cleanup_strv_ struct strv pairs = {0};
	assert_int_equal(overlay_driver.status(f.driver, &pairs, NULL), 0);
	assert_int_equal(pairs.len, 12);
	assert_string_equal(pairs.items[0], "Backing Filesystem");
	assert_string_equal(pairs.items[2], "Supports d_type");
	assert_string_equal(pairs.items[10], "Supports volatile");
	assert_true(run_file(&f, "volatile-true") || run_file(&f, "volatile-false"));

	/* shutdown, and the next start mounts the home again */
	assert_int_equal(overlay_driver.cleanup(f.driver, NULL), 0);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 0);
	assert_false(is_ready(&config));
	overlay_driver.close(f.driver);
	fixture_open(&f);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 1);
}

/* What another process tries out while the home is not mounted does not keep it from being mounted.
 */
static void test_open_beside_probe(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");

	fixture_open(&f);
	assert_int_equal(overlay_driver.cleanup(f.driver, NULL), 0);
	_cleanup_free_ char *tried = path_join(f.driver->home, "staging/01/merged");
	assert_int_equal(fs_mkdir_p(tried, 0700, NULL), 0);
	assert_int_equal(mount(tried, tried, "none", MS_BIND, NULL), 0);
	overlay_driver.close(f.driver);
	fixture_open(&f);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 1);
	assert_int_equal(umount2(f.driver->home, MNT_DETACH), 0);
	assert_int_equal(umount2(tried, MNT_DETACH), 0);
}

/* Row 2 of the drivers page's test vectors. */
static void test_layout(void **state)
{
	static const char A[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char B[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
	static const char C[] = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
	_cleanup_fixture_ struct fixture f = fixture_make("root");

	fixture_open(&f);
	make_layer(&f, A, NULL, false, "a");
	make_layer(&f, B, A, false, "b");
	make_layer(&f, C, B, true, NULL);
	_cleanup_free_ char *link_a = read_text(in_home(&f, "%s/link", A)),
	                    *link_b = read_text(in_home(&f, "%s/link", B));
	_cleanup_free_ char *lower_b = str_printf("l/%s", link_a),
	                    *lower_c = str_printf("l/%s:l/%s", link_b, link_a);
	_cleanup_free_ char *ids_c = str_printf("%s:%s", B, A),
	                    *target = str_printf("../%s/diff", A);
	assert_true(is_link_name(link_a));
	assert_true(is_link_name(link_b));
	_cleanup_free_ char *points = fs_readlink(AT_FDCWD, in_home(&f, "l/%s", link_a));
	assert_string_equal(points, target);
	assert_true(text_is(in_home(&f, "%s/lower", B), lower_b));
	assert_true(text_is(in_home(&f, "%s/lower", C), lower_c));
	assert_true(text_is(in_home(&f, "%s/lower-layers", B), A));
	assert_true(text_is(in_home(&f, "%s/lower-layers", C), ids_c));
	assert_int_equal(entries(in_home(&f, "%s", A)), 5); /* diff empty link merged work */
	assert_int_equal(entries(in_home(&f, "%s", B)), 6);
	assert_int_equal(mode_of(in_home(&f, "%s", A)), S_IFDIR | 0700);
	for (const char *const *id = (const char *const[]){A, B, C, NULL}; *id; id++) {
		assert_int_equal(mode_of(in_home(&f, "%s/diff", *id)), S_IFDIR | 0555);
		assert_int_equal(mode_of(in_home(&f, "%s/work", *id)), S_IFDIR | 0700);
		assert_int_equal(mode_of(in_home(&f, "%s/merged", *id)), S_IFDIR | 0700);
	}
	assert_int_equal(entries(in_home(&f, "staging")), 0);

	_cleanup_strv_ struct strv ids = {0};
	assert_int_equal(overlay_driver.list(f.driver, &ids, NULL), 0);
	assert_int_equal(ids.len, 3);
	assert_string_equal(ids.items[1], B);
	assert_true(layer_exists(&f, A));
	assert_false(layer_exists(&f, "l"));
	assert_false(layer_exists(&f, "../overlay"));
	remove_layer(&f, C);
	remove_layer(&f, C); /* again: no error */
	assert_int_equal(entries(in_home(&f, "l")), 2);
	assert_int_equal(entries(in_home(&f, "staging")), 0);
}

static void has_change(const struct cst_changes *changes, const char *path,
                       enum cst_change_kind kind)
{
	for (size_t i = 0; i < changes->len; i++)
		if (streq(changes->items[i].path, path) && changes->items[i].kind == kind)
			return;
	fail_msg("no change of kind %d at %s", kind, path);
}

static void test_mount_and_changes(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_error_ cst_error *error = NULL;

	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "B", "A", false, "b");
	make_layer(&f, "C", "B", true, NULL);
	_cleanup_free_ char *path = mount_layer(&f, "C"), *again = mount_layer(&f, "C");
	assert_string_equal(path, in_home(&f, "C/merged"));
	assert_string_equal(path, again);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fs_exists(fd, "a") && fs_exists(fd, "b"));
	assert_int_equal(unlinkat(fd, "a", 0), 0);
	write_text_at(fd, "new", "12345");
	closep(&fd);
	fd = -1;
	unmount_layer(&f, "C");
	unmount_layer(&f, "C"); /* not mounted: success */
	assert_int_equal(mode_of(path), S_IFDIR | 0700);
	assert_true(S_ISCHR(mode_of(in_home(&f, "C/diff/a"))));

	for (int native = 1; native >= 0; native--) {
		struct driver_view *view = NULL;
		_cleanup_changes_ struct cst_changes changes = {0};
		int64_t size = -1;

		/* against the parent: its own directory; against the grandparent: two mounted trees
		 */
		check(overlay_driver.view_open(f.driver, "C", native ? "B" : "A", NULL, &view,
		                               &error),
		      error);
		check(overlay_driver.view_changes(view, &changes, &error), error);
		has_change(&changes, "/a", CST_DELETE);
		has_change(&changes, "/new", CST_ADD);
		if (!native)
			has_change(&changes, "/b", CST_ADD);
		assert_int_equal(changes.len, native ? 2 : 3);
		check(overlay_driver.view_size(view, &size, &error), error);
		assert_int_equal(size, native ? 5 : 6);
		int content = overlay_driver.view_open_content(view, "b", 1, &error);
		assert_true(content >= 0);
		closep(&content);
		overlay_driver.view_close(view);
	}
	cst_memory memory = {0};
	const cst_sink sink = cst_sink_memory(&memory);
	struct driver_view *view = NULL;
	check(overlay_driver.view_open(f.driver, "C", NULL, NULL, &view, &error), error);
	check(overlay_driver.view_diff(view, &sink, NULL, &error), error);
	assert_string_equal(memory.data, "b");
	overlay_driver.view_close(view);
	free(memory.data);
	assert_int_equal(entries(in_home(&f, "staging")), 0);
}

/* Read-only, and with options that replace the configured ones. */
static void test_mount_options(void **state)
{
	static const char *const read_only[] = {"ro"}, *const bogus[] = {"nosuid,thisisnooption"};
	struct driver_mount_options options = {.options = read_only, .n_options = 1};
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_error_ cst_error *error = NULL;
	char *none = NULL;

	f.options[0] = "overlay.mountopt=nodev,nosuid";
	f.n_options = 1;
	fixture_open(&f);
	assert_true(run_file(&f, "metacopy(nodev,nosuid)-false"));
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "B", "A", true, NULL);
	_cleanup_free_ char *path = mount_layer_with(&f, "A", &options), *rw = mount_layer(&f, "B");
	assert_int_equal(openat(AT_FDCWD, in_home(&f, "A/merged/x"), O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EROFS);
	struct statvfs st;
	assert_int_equal(statvfs(rw, &st), 0);
	assert_int_equal(st.f_flag & (ST_NODEV | ST_NOSUID | ST_RDONLY), ST_NODEV | ST_NOSUID);
	assert_int_equal(statvfs(path, &st), 0);
	assert_int_equal(st.f_flag & (ST_NODEV | ST_NOSUID | ST_RDONLY), ST_RDONLY);
	unmount_layer(&f, "A");
	unmount_layer(&f, "B");
	options.options = bogus;
	assert_int_equal(overlay_driver.get(f.driver, "B", &options, &none, &error), CST_ESYS);
	_cleanup_free_ char *text = str_printf(
	        "creating overlay mount to %s, mount_data=\"lowerdir=%s,upperdir=%s,workdir=%s,"
	        "nosuid,thisisnooption",
	        rw, in_home(&f, "A/diff"), in_home(&f, "B/diff"), in_home(&f, "B/work"));
	assert_true(has_prefix(cst_error_message(error), text));
	assert_non_null(strstr(cst_error_message(error), "\": invalid argument"));
	assert_null(none);
}

static void test_volatile(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_mount_options options = {.is_volatile = true};

	fixture_open(&f);
	make_layer(&f, "A", NULL, true, NULL);
	_cleanup_free_ char *path = mount_layer_with(&f, "A", &options);
	if (!overlay_supports_volatile(overlay_of(f.driver)))
		leave_out(&f, "no volatile overlay mounts here");
	assert_true(fs_exists(AT_FDCWD, in_home(&f, "A/work/work/incompat/volatile")));
	assert_int_equal(umount2(path, MNT_DETACH), 0); /* as after a crash: the mark stays */
	_cleanup_free_ char *again = mount_layer_with(&f, "A", &options);
	unmount_layer(&f, "A");
}

static void chain(struct fixture *f, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char id[32], parent[32], file[32];

		snprintf(id, sizeof(id), "L%u", i);
		snprintf(parent, sizeof(parent), "L%u", i - 1);
		snprintf(file, sizeof(file), "f%u", i);
		make_layer(f, id, i ? parent : NULL, false, file);
	}
}

/* What an older kernel can do is found out by the interface that it has. */
static void test_probe_interfaces(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_error_ cst_error *error = NULL;

	fixture_open(&f);
	bool native_diff = overlay_of(f.driver)->native_diff;
	for (unsigned i = 0; i <= OVERLAY_MOUNT_CLASSIC; i++) {
		_cleanup_free_ char *run = path_join(f.run, "overlay");
		assert_int_equal(fs_remove_tree(AT_FDCWD, run, run, NULL), 0);
		assert_int_equal(fs_mkdir_p(run, 0700, NULL), 0);
		overlay_of(f.driver)->interface = (enum overlay_mount_interface)i;
		check(overlay_probe(overlay_of(f.driver), &error), error);
		assert_true(run_file(&f, "overlay-true"));
		assert_int_equal(overlay_of(f.driver)->native_diff, native_diff);
		assert_true(overlay_supports_volatile(overlay_of(f.driver)));
		assert_int_equal(entries(in_home(&f, "staging")), 0);
	}
}

/* Rows 6 and 7: 501 layers mount, whichever interface there is; 502 do not. */
static void test_depth(void **state)
{
	static const char *const read_only[] = {"ro"};
	struct driver_mount_options options = {.options = read_only, .n_options = 1};
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_error_ cst_error *error = NULL;
	char *none = NULL;

	f.options[0] = "sync=none";
	f.n_options = 1;
	fixture_open(&f);
	chain(&f, 0, 502);
	for (unsigned i = 0; i <= OVERLAY_MOUNT_CLASSIC; i++) {
		static const unsigned tops[] = {0, 2, 150, 500};

		overlay_of(f.driver)->interface = (enum overlay_mount_interface)i;
		for (size_t t = 0; t < ARRAY_SIZE(tops); t++) {
			char id[32];

			snprintf(id, sizeof(id), "L%u", tops[t]);
			_cleanup_free_ char *path = mount_layer(&f, id);
			assert_int_equal(entries(path), tops[t] + 1);
			unmount_layer(&f, id);
		}
		assert_int_equal(overlay_driver.get(f.driver, "L501", &options, &none, &error),
		                 CST_EINVAL);
		assert_string_equal(cst_error_message(error), "max depth exceeded");
		error_freep(&error);
		error = NULL;
		struct driver_view *view = NULL;
		check(overlay_driver.view_open(f.driver, "L400", "L300", NULL, &view, &error),
		      error);
		_cleanup_changes_ struct cst_changes changes = {0};
		check(overlay_driver.view_changes(view, &changes, &error), error);
		assert_int_equal(changes.len, 100);
		overlay_driver.view_close(view);
		assert_int_equal(entries(in_home(&f, "staging")), 0);
	}
}

static void owner_is(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

/* Row 8. */
static void test_idmapped(void **state)
{
	cst_idmap range = {.host_id = 100000, .size = 65536};
	const struct idmaps maps = {.uids = {&range, 1}, .gids = {&range, 1}};
	const struct driver_mount_options options = {.maps = &maps};
	_cleanup_fixture_ struct fixture f = fixture_make("root");

	fixture_open(&f);
	bool shifting = false;
	assert_int_equal(0, overlay_driver.supports_shifting(f.driver, &maps, &shifting, NULL));
	if (!shifting)
		leave_out(&f, "no id-mapped lowers on this kernel or filesystem");
	setenv("_CONTAINERS_OVERLAY_DISABLE_IDMAP", "yes", 1);
	assert_int_equal(0, overlay_driver.supports_shifting(f.driver, &maps, &shifting, NULL));
	assert_false(shifting);
	unsetenv("_CONTAINERS_OVERLAY_DISABLE_IDMAP");
	assert_true(run_file(&f, "idmapped-lower-dir-true"));
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "B", "A", false, "b");
	make_layer(&f, "C", "B", true, NULL);
	for (unsigned i = 0; i <= OVERLAY_MOUNT_CLASSIC; i++) {
		overlay_of(f.driver)->interface = (enum overlay_mount_interface)i;
		_cleanup_free_ char *path = mount_layer_with(&f, "C", &options);
		owner_is(path, 100000, 100000);
		owner_is(in_home(&f, "C/merged/a"), 100000, 100000);
		owner_is(in_home(&f, "C/merged/b"), 100000, 100000);
		owner_is(in_home(&f, "C/diff"), 100000, 100000);
		owner_is(in_home(&f, "A/diff/a"), 0, 0);
		unmount_layer(&f, "C");
		if (fs_exists(AT_FDCWD, in_home(&f, "C/mapped/0")))
			assert_int_equal(
			        mountinfo_is_mount_point(AT_FDCWD, in_home(&f, "C/mapped/0")), 0);
	}
	assert_int_equal(overlay_of(f.driver)->n_namespaces,
	                 2); /* the probe's and this one, made once */
}

/* Row 27. */
static void test_special_paths(void **state)
{
	static const char *const names[] = {"a:b", "a,b", "a\\b", "a b", "a\"b"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (unsigned k = 0; k <= OVERLAY_MOUNT_CLASSIC; k++) {
			_cleanup_fixture_ struct fixture f = fixture_make(names[i]);

			fixture_open(&f);
			overlay_of(f.driver)->interface = (enum overlay_mount_interface)k;
			make_layer(&f, "A", NULL, false, "a");
			make_layer(&f, "B", "A", true, "b");
			_cleanup_free_ char *path = mount_layer(&f, "B");
			assert_int_equal(entries(path), 2);
			unmount_layer(&f, "B");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_open),
	        cmocka_unit_test(test_open_beside_probe),
	        cmocka_unit_test(test_layout),
	        cmocka_unit_test(test_mount_and_changes),
	        cmocka_unit_test(test_mount_options),
	        cmocka_unit_test(test_volatile),
	        cmocka_unit_test(test_probe_interfaces),
	        cmocka_unit_test(test_depth),
	        cmocka_unit_test(test_idmapped),
	        cmocka_unit_test(test_special_paths),
	};

	if (!own_mounts()) {
		perror("unshare");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
