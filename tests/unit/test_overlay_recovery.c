/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay driver where something is missing, in the way or left over, and next to the Go tool.
 */
#include "unit/overlay_fixture.h"

static void remove_path(const char *path)
{
	_cleanup_free_ char *parent = strndup(path, (size_t)(path_base(path) - path));
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_close_ int fd = -1;

	check(fs_open_dir(parent, &fd, &error), error);
	check(fs_remove_tree(fd, path_base(path), NULL, &error), error);
}

static void mounts_with(struct fixture *f, const char *id, size_t files)
{
	_cleanup_free_ char *path = mount_layer(f, id);

	assert_int_equal(entries(path), files);
	unmount_layer(f, id);
}

/* Row 13: without any link, with and without lower-layers. */
static void test_lost_links(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_error_ cst_error *error = NULL;
	const struct driver_mount_options options = {0};
	char *none = NULL;

	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "B", "A", false, "b");
	make_layer(&f, "C", "B", true, "c");
	remove_path(in_home(&f, "l"));
	mkdir(in_home(&f, "l"), 0755);
	mounts_with(&f, "C", 3);
	assert_int_equal(entries(in_home(&f, "l")), 2); /* those that C's parents have */
	remove_path(in_home(&f, "l"));
	mkdir(in_home(&f, "l"), 0755);
	remove_path(in_home(&f, "B/lower-layers"));
	remove_path(in_home(&f, "C/lower-layers"));
	mounts_with(&f, "C", 3);
	assert_int_equal(entries(in_home(&f, "l")), 2);

	/* a lost `link` file comes back from l/, and without that a new name is made */
	_cleanup_free_ char *link = read_text(in_home(&f, "B/link"));
	remove_path(in_home(&f, "B/link"));
	make_layer(&f, "D", "B", true, NULL);
	assert_true(text_is(in_home(&f, "B/link"), link));
	assert_true(text_is(in_home(&f, "D/lower-layers"), "B:A"));
	remove_path(in_home(&f, "B/link"));
	remove_path(in_home(&f, "l/%s", link));
	make_layer(&f, "E", "B", true, NULL);
	mounts_with(&f, "E", 2);

	/* nobody has that link */
	assert_int_equal(overlay_driver.get(f.driver, "C", &options, &none, &error), CST_ESYS);
	_cleanup_free_ char *text =
	        str_printf("readlink %s: no such file or directory", in_home(&f, "l/%s", link));
	assert_string_equal(cst_error_message(error), text);
}

static void test_disagreement(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_error_ cst_error *error = NULL;
	const struct driver_mount_options options = {0};
	static const char *const bad[] = {"X", "A:X", "..:A", "", "A:A:A"};
	char *none = NULL;

	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "X", NULL, false, "x");
	make_layer(&f, "B", "A", false, "b");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		write_text_at(AT_FDCWD, in_home(&f, "B/lower-layers"), bad[i]);
		assert_int_equal(overlay_driver.get(f.driver, "B", &options, &none, &error),
		                 CST_ECORRUPT);
		error_freep(&error);
		error = NULL;
	}
	write_text_at(AT_FDCWD, in_home(&f, "B/lower-layers"), "A");
	write_text_at(AT_FDCWD, in_home(&f, "B/lower"), "l/../../A");
	assert_int_equal(overlay_driver.get(f.driver, "B", &options, &none, &error), CST_ECORRUPT);
	assert_int_equal(overlay_driver.get(f.driver, "nosuch", &options, &none, NULL),
	                 CST_ELAYER_UNKNOWN);
	remove_path(in_home(&f, "B/lower"));
	remove_layer(&f, "A");
	error_freep(&error);
	error = NULL;
	assert_int_equal(overlay_driver.get(f.driver, "B", &options, &none, &error), CST_ESYS);
	_cleanup_free_ char *text = str_printf(
	        "can't stat (or find?) lower layer \"%s\": stat %s: no such file or directory",
	        in_home(&f, "A/diff"), in_home(&f, "A/diff"));
	assert_string_equal(cst_error_message(error), text);
}

/* Row 14: the home is left as it is while layers are mounted below it without the home mount. */
static void test_skip_mount_home(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");

	f.options[0] = "skip_mount_home=true";
	f.n_options = 1;
	fixture_open(&f);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 0);
	make_layer(&f, "A", NULL, true, "a");
	_cleanup_free_ char *path = mount_layer(&f, "A");
	struct driver *first = f.driver;
	f.n_options = 0;
	fixture_open(&f);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 0);
	assert_true(is_mounted(&f, "A"));
	unmount_layer(&f, "A");
	overlay_driver.close(first);
	overlay_driver.close(f.driver);
	fixture_open(&f);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 1);
}

/* Rows 15 and 16. */
static void test_recover(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_stage_options options = {0};
	struct driver_staged *busy = NULL;

	fixture_open(&f);
	fs_mkdir_p(in_home(&f, "tempdirs/temp-dir-77/x"), 0700, NULL);
	write_text_at(AT_FDCWD, in_home(&f, "tempdirs/other"), "");
	fs_mkdir_p(in_home(&f, "staging/9/dir"), 0700, NULL);
	write_text_at(AT_FDCWD, in_home(&f, "staging/9/staging.lock"), "");
	assert_int_equal(overlay_driver.stage(f.driver, &options, &busy, NULL), 0);
	assert_int_equal(overlay_driver.recover(f.driver, NULL), 0);
	assert_false(fs_exists(AT_FDCWD, in_home(&f, "tempdirs/temp-dir-77")));
	assert_true(fs_exists(AT_FDCWD, in_home(&f, "tempdirs/other")));
	assert_false(fs_exists(AT_FDCWD, in_home(&f, "staging/9")));
	assert_int_equal(entries(in_home(&f, "staging")), 1); /* the busy one */

	/* nor does a shutdown take away the mount below it */
	assert_int_equal(overlay_driver.cleanup(f.driver, NULL), 0);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 1);
	assert_int_equal(overlay_driver.stage_commit(busy, "A", true, NULL), 0);
	overlay_driver.stage_free(busy);
	assert_int_equal(entries(in_home(&f, "staging")), 0);
	assert_int_equal(overlay_driver.cleanup(f.driver, NULL), 0);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 0);
}

/* The home mount goes or comes while a layer is staged: another tool's shutdown, another tool's
 * start. */
static void test_home_changes(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_stage_options options = {0};
	_cleanup_error_ cst_error *error = NULL;
	struct driver_staged *staged = NULL;
	_cleanup_trash_ struct driver_trash *trash = NULL;

	fixture_open(&f);
	check(overlay_driver.stage(f.driver, &options, &staged, &error), error);
	assert_int_equal(umount2(f.driver->home, MNT_DETACH), 0);
	write_text_at(staged->diff_fd, "a", "a");
	check(overlay_driver.stage_commit(staged, "A", true, &error), error);
	overlay_driver.stage_free(staged);
	check(overlay_driver.stage(f.driver, &options, &staged, &error), error);
	check(overlay_mount_home(overlay_of(f.driver), &error), error);
	check(overlay_driver.stage_commit(staged, "B", true, &error), error);
	overlay_driver.stage_free(staged);
	check(overlay_driver.remove(f.driver, "A", NULL, &trash, NULL, &error), error);
	assert_int_equal(umount2(f.driver->home, MNT_DETACH), 0);
	check(overlay_driver.remove(f.driver, "B", NULL, &trash, NULL, &error), error);
	naive_trash_free(steal_ptr(&trash));
	assert_int_equal(entries(in_home(&f, "l")), 0);
	assert_int_equal(entries(in_home(&f, "staging")), 0);
}

static void test_commit(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_stage_options options = {0};
	static const char *const bad[] = {"", ".", "..", "l", "staging", "tempdirs", "a/b", "../x"};
	struct driver_staged *staged = NULL;

	fixture_open(&f);
	assert_int_equal(overlay_driver.stage(f.driver, &options, &staged, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(overlay_driver.stage_commit(staged, bad[i], true, NULL),
		                 CST_EINVAL);

	/* l/ cannot be written: the rename is undone */
	const char *links = in_home(&f, "l");
	assert_int_equal(mount(links, links, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, links, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(overlay_driver.stage_commit(staged, "A", true, NULL), CST_ESYS);
	assert_false(fs_exists(AT_FDCWD, in_home(&f, "A")));
	assert_int_equal(umount(links), 0);

	/* a leftover without a record, mounted even, goes out of the way with its link */
	make_layer(&f, "A", NULL, true, "old");
	free(mount_layer(&f, "A"));
	assert_int_equal(overlay_driver.stage_commit(staged, "A", true, NULL), 0);
	assert_false(is_mounted(&f, "A"));
	overlay_driver.stage_free(staged);
	assert_int_equal(entries(in_home(&f, "A/diff")), 0);
	assert_int_equal(entries(in_home(&f, "l")), 1);
	assert_int_equal(entries(in_home(&f, "staging")), 0);

	/* 1.43 removes the staging area at its shutdown: half a layer must not appear */
	assert_int_equal(overlay_driver.stage(f.driver, &options, &staged, NULL), 0);
	_cleanup_strv_ struct strv names = {0};
	assert_int_equal(fs_list_dir(AT_FDCWD, in_home(&f, "staging"), &names, NULL, NULL), 0);
	remove_path(in_home(&f, "staging/%s/staging.lock", names.items[0]));
	assert_int_equal(overlay_driver.stage_commit(staged, "B", true, NULL), CST_ESYS);
	assert_false(fs_exists(AT_FDCWD, in_home(&f, "B")));
	overlay_driver.stage_free(staged);
}

/* A crash between the two steps of a commit, and a removal that finds only parts. */
static void test_note(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_stage_options options = {0};
	struct driver_staged *staged = NULL;
	_cleanup_trash_ struct driver_trash *trash = NULL;

	fixture_open(&f);
	assert_int_equal(overlay_driver.stage(f.driver, &options, &staged, NULL), 0);
	_cleanup_free_ char *note = strdup(overlay_driver.stage_note(staged));
	assert_int_equal(overlay_driver.stage_commit(staged, "A", true, NULL), 0);
	overlay_driver.stage_free(staged);
	remove_path(in_home(&f, "A"));
	assert_int_equal(overlay_driver.remove(f.driver, "other", note, &trash, NULL, NULL), 0);
	assert_int_equal(entries(in_home(&f, "l")), 1); /* not other's */
	assert_int_equal(overlay_driver.remove(f.driver, "A", "../A", &trash, NULL, NULL), 0);
	assert_int_equal(overlay_driver.remove(f.driver, "A", note, &trash, NULL, NULL), 0);
	assert_int_equal(entries(in_home(&f, "l")), 0);
}

static void test_replace(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_stage_options options = {.writable = true};
	struct driver_staged *staged = NULL;

	fixture_open(&f);
	make_layer(&f, "A", NULL, true, "old");
	assert_int_equal(chmod(in_home(&f, "A/diff"), 0711), 0);
	assert_int_equal(overlay_driver.stage(f.driver, &options, &staged, NULL), 0);
	write_text_at(staged->diff_fd, "new", "new");
	assert_int_equal(overlay_driver.stage_replace(staged, "A", true, NULL), 0);
	overlay_driver.stage_free(staged);
	assert_true(text_is(in_home(&f, "A/diff/new"), "new"));
	assert_int_equal(entries(in_home(&f, "A/diff")), 1);
	assert_int_equal(mode_of(in_home(&f, "A/diff")), S_IFDIR | 0555); /* of a new layer */
	assert_int_equal(entries(in_home(&f, "staging")), 0);
}

/* The root directory of a copy is that of the layer. */
static void test_replace_by_copy(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	struct driver_staged *staged = NULL;

	fixture_open(&f);
	make_layer(&f, "A", NULL, true, "old");
	assert_int_equal(chmod(in_home(&f, "A/diff"), 0711), 0);
	assert_int_equal(overlay_driver.stage_copy(f.driver, "A", NULL, &staged, NULL), 0);
	assert_int_equal(fchmod(staged->diff_fd, 0700), 0);
	assert_int_equal(overlay_driver.stage_replace(staged, "A", true, NULL), 0);
	overlay_driver.stage_free(staged);
	assert_int_equal(mode_of(in_home(&f, "A/diff")), S_IFDIR | 0711);
}

static void test_hidden_files(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");

	fixture_open(&f);
	make_layer(&f, "A", NULL, true, "a");
	write_text_at(AT_FDCWD, in_home(&f, "A/merged/hidden"), "x");
	mounts_with(&f, "A", 1);
	assert_int_equal(entries(in_home(&f, "A/merged")), 0);
	assert_int_equal(entries(in_home(&f, "A")), 5);
	free(mount_layer(&f, "A"));
	remove_layer(&f, "A"); /* unmounts it */
	assert_false(fs_exists(AT_FDCWD, in_home(&f, "A")));
}

/* A writable image store for read-only layers, and a foreign store for lowers. */
static void test_other_stores(void **state)
{
	_cleanup_fixture_ struct fixture foreign = fixture_make("foreign"),
	                                 f = fixture_make("root");
	_cleanup_free_ char *images = path_join(f.dir.path, "images");
	_cleanup_free_ char *image_a = path_join(images, "overlay/A"),
	                    *run_a = path_join(f.run, "overlay/A/merged");
	_cleanup_free_ char *option = str_printf("overlay.imagestore=%s", foreign.root);

	fixture_open(&foreign);
	make_layer(&foreign, "S", NULL, false, "s");
	overlay_driver.cleanup(foreign.driver, NULL);
	f.options[0] = option;
	f.n_options = 1;
	f.image_store = images;
	fixture_open(&f);
	make_layer(&f, "A", "S", false, "a");
	make_layer(&f, "C", "A", true, "c");
	assert_true(fs_exists(AT_FDCWD, image_a));
	assert_false(fs_exists(AT_FDCWD, in_home(&f, "A")));
	assert_true(fs_exists(AT_FDCWD, in_home(&f, "C")));
	assert_true(text_is(in_home(&f, "C/lower-layers"), "A:S"));
	assert_true(layer_exists(&f, "S"));
	mounts_with(&f, "C", 3);
	_cleanup_free_ char *path = mount_layer(&f, "A");
	assert_string_equal(path, run_a);
	assert_int_equal(entries(path), 2);
	unmount_layer(&f, "A");
	assert_false(fs_exists(AT_FDCWD, run_a));
	_cleanup_strv_ struct strv ids = {0};
	assert_int_equal(overlay_driver.list(f.driver, &ids, NULL), 0);
	assert_int_equal(ids.len, 2);
	remove_layer(&f, "C");
	remove_layer(&f, "A");
	_cleanup_trash_ struct driver_trash *trash = NULL;
	assert_int_equal(overlay_driver.remove(f.driver, "S", NULL, &trash, NULL, NULL), 0);
	assert_true(layer_exists(&f, "S")); /* not ours */
}

/* Makes nothing, mounts nothing; reads all the same. */
static void test_read_only(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	struct driver_config config = fixture_config(&f);
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_strv_ struct strv ids = {0};
	struct driver_view *view = NULL;
	int64_t size = 0;

	config.read_only = true;
	check(overlay_driver.open(&config, &f.driver, &error), error);
	check(overlay_driver.list(f.driver, &ids, &error), error);
	assert_int_equal(ids.len, 0);
	assert_int_equal(entries(f.root) + entries(f.run), 0);
	overlay_driver.close(f.driver);
	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "B", "A", false, "bb");
	check(overlay_driver.cleanup(f.driver, &error), error);
	overlay_driver.close(f.driver);
	remove_path(in_home(&f, "l"));
	check(overlay_driver.open(&config, &f.driver, &error), error);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 0);
	assert_true(layer_exists(&f, "B"));
	check(overlay_driver.view_open(f.driver, "B", "A", NULL, &view, &error), error);
	check(overlay_driver.view_size(view, &size, &error), error);
	assert_int_equal(size, 2);
	overlay_driver.view_close(view);
	assert_false(fs_exists(AT_FDCWD, in_home(&f, "l")));
}

/* ---- an ordinary user ---- */

/* In the child, as that user: the exit status tells which line failed. */
static int open_as_user(const struct driver_config *config)
{
	_cleanup_error_ cst_error *error = NULL;
	struct driver *driver = NULL;
	if (setresgid(61234, 61234, 61234) < 0 || setresuid(61234, 61234, 61234) < 0)
		return 1;
	if (overlay_driver.open(config, &driver, &error) != CST_EBACKINGFS)
		return 2;
	if (!has_prefix(cst_error_message(error), "user 61234 is not in a user namespace") ||
	    !strstr(cst_error_message(error), "cstorage unshare PROGRAM"))
		return 3;
	return streq(cst_error_go_message(error),
	             "native overlay not supported and fuse-overlayfs not found: backing file "
	             "system is unsupported for this graph driver")
	               ? 0
	               : 4;
}

static void test_outside_of_namespace(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	const struct driver_config config = fixture_config(&f);
	int status = -1;
	assert_int_equal(chown(f.root, 61234, 61234), 0);
	assert_int_equal(chown(f.run, 61234, 61234), 0);
	assert_int_equal(chmod(f.dir.path, 0755), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(open_as_user(&config));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(fs_exists(AT_FDCWD, in_home(&f, ""))); /* a home would count as a store */
}

/* ---- beside the Go tool ---- */

static int go(const struct fixture *f, const char *arguments)
{
	_cleanup_free_ char *command =
	        str_printf("containers-storage -g %s -R %s -s overlay %s >/dev/null 2>&1", f->root,
	                   f->run, arguments);

	return system(command);
}

/* The driver knows nothing of records: ours get one by hand. */
static void add_record(const struct fixture *f, const char *id, const char *parent)
{
	_cleanup_free_ char *path = str_printf("%s/overlay-layers/layers.json", f->root),
	                    *text = read_text(path);

	assert_non_null(text);
	text[strlen(text) - 1] = '\0';
	_cleanup_free_ char *longer = str_printf(
	        "%s,{\"id\":\"%s\",\"parent\":\"%s\",\"created\":\"2026-01-01T00:00:00Z\"}]", text,
	        id, parent);
	write_text_at(AT_FDCWD, path, longer);
}

/* Row 26: layers made in turns, each mounted by both. */
static void test_go_in_turns(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");

	if (system("command -v containers-storage >/dev/null") != 0)
		leave_out(&f, "containers-storage is not installed");
	fixture_open(&f);
	assert_int_equal(go(&f, "create-layer -i L0"), 0);
	for (unsigned i = 1; i < 7; i++) {
		char id[32], parent[32], file[32];

		snprintf(id, sizeof(id), "L%u", i);
		snprintf(parent, sizeof(parent), "L%u", i - 1);
		snprintf(file, sizeof(file), "f%u", i);
		_cleanup_free_ char *create = str_printf("create-layer -i %s %s", id, parent);
		_cleanup_free_ char *mount = str_printf("mount %s", id),
		                    *unmount = str_printf("unmount %s", id);
		if (i % 2 == 0) {
			assert_int_equal(go(&f, create), 0);
			write_text_at(AT_FDCWD, in_home(&f, "%s/diff/%s", id, file), file);
		} else {
			make_layer(&f, id, parent, false, file);
			add_record(&f, id, parent);
		}
		mounts_with(&f, id, i);
		assert_int_equal(go(&f, mount), 0);
		assert_int_equal(entries(in_home(&f, "%s/merged", id)), i);
		/* what the one mounted the other finds, and takes away */
		_cleanup_free_ char *path = mount_layer(&f, id);
		unmount_layer(&f, id);
		assert_int_equal(go(&f, unmount), 0);
	}
	assert_int_equal(go(&f, "delete L6"), 0);
	assert_false(layer_exists(&f, "L6"));
	assert_int_equal(entries(in_home(&f, "l")), 6);
	assert_int_equal(go(&f, "shutdown"), 0);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, f.driver->home), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_outside_of_namespace),
	        cmocka_unit_test(test_lost_links),
	        cmocka_unit_test(test_disagreement),
	        cmocka_unit_test(test_skip_mount_home),
	        cmocka_unit_test(test_recover),
	        cmocka_unit_test(test_home_changes),
	        cmocka_unit_test(test_commit),
	        cmocka_unit_test(test_note),
	        cmocka_unit_test(test_replace),
	        cmocka_unit_test(test_replace_by_copy),
	        cmocka_unit_test(test_hidden_files),
	        cmocka_unit_test(test_other_stores),
	        cmocka_unit_test(test_read_only),
	        cmocka_unit_test(test_go_in_turns),
	};

	if (!own_mounts()) {
		perror("unshare");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
