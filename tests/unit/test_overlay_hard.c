/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay driver in hard cases: uppers written with metacopy and redirects, a broken `l`, file systems that cannot
 * exchange names, staged layers that outlive the call. */
#include "driver/backing.h"
#include "unit/overlay_fixture.h"
#include <cstorage/types.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define SMALL "the very content of a file"

/* ---- metacopy and redirects ---- */

/* Layer A on `parent` with big and dir/inside; container C changes the mode of one and the name of the other. */
static void write_on(struct fixture *f, const char *parent)
{
	make_layer(f, "A", parent, false, NULL);
	write_text_at(AT_FDCWD, in_home(f, "A/diff/big"), SMALL);
	assert_int_equal(mkdir(in_home(f, "A/diff/dir"), 0755), 0);
	write_text_at(AT_FDCWD, in_home(f, "A/diff/dir/inside"), SMALL " inside");
	make_layer(f, "C", "A", true, NULL);
	_cleanup_free_ char *path = mount_layer(f, "C");
	_cleanup_free_ char *big = path_join(path, "big"), *from = path_join(path, "dir"),
	                    *to = path_join(path, "moved");
	assert_int_equal(chmod(big, 0600), 0);
	assert_int_equal(rename(from, to), 0);
	unmount_layer(f, "C");
	assert_true(getxattr(in_home(f, "C/diff/big"), "trusted.overlay.metacopy", NULL, 0) >= 0);
	assert_true(getxattr(in_home(f, "C/diff/moved"), "trusted.overlay.redirect", NULL, 0) > 0);
}

static void write_through_mount(struct fixture *f)
{
	write_on(f, NULL);
}

static bool archive_has(const cst_memory *archive, const char *text)
{
	return memmem(archive->data, archive->size, text, strlen(text)) != NULL;
}

static void check_changes(const struct cst_changes *changes)
{
	static const struct path_change want[] = {{(char *)"/big", CST_MODIFY},
	                                          {(char *)"/dir", CST_DELETE},
	                                          {(char *)"/moved", CST_ADD},
	                                          {(char *)"/moved/inside", CST_ADD}};

	assert_int_equal(changes->len, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_string_equal(changes->items[i].path, want[i].path);
		assert_int_equal(changes->items[i].kind, want[i].kind);
	}
}

/* What C changed is all there, with its content. */
static void check_view(struct fixture *f)
{
	_cleanup_changes_ struct cst_changes changes = {0};
	_cleanup_error_ cst_error *error = NULL;
	cst_memory archive = {0};
	const cst_sink sink = cst_sink_memory(&archive);
	struct driver_view *view = NULL;
	int64_t size = 0;

	check(overlay_driver.view_open(f->driver, "C", "A", NULL, &view, &error), error);
	check(overlay_driver.view_changes(view, &changes, &error), error);
	check_changes(&changes);
	check(overlay_driver.view_size(view, &size, &error), error);
	assert_int_equal(size, strlen(SMALL) + strlen(SMALL " inside"));
	check(overlay_driver.view_diff(view, &sink, NULL, &error), error);
	assert_true(archive_has(&archive, "moved/inside"));
	assert_true(archive_has(&archive, SMALL "\0"));
	assert_true(archive_has(&archive, SMALL " inside"));
	free(archive.data);
	overlay_driver.view_close(view);
}

static void reopen(struct fixture *f, const char *option)
{
	overlay_driver.close(f->driver);
	f->driver = NULL;
	f->options[0] = option;
	f->n_options = option ? 1 : 0;
	fixture_open(f);
}

static const char with_metacopy[] = "overlay.mountopt=nodev,metacopy=on,redirect_dir=on";

/* With the option, as some distributions ship it, and without, as another tool reads the store. */
static void test_metacopy(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");

	f.options[0] = with_metacopy;
	f.n_options = 1;
	fixture_open(&f);
	write_through_mount(&f);
	check_view(&f);
	reopen(&f, NULL);
	check_view(&f);
	/* Either of the two marks of a layer that was mounted is enough. */
	assert_int_equal(rmdir(in_home(&f, "C/work/work")), 0);
	check_view(&f);
	(void)mkdir(in_home(&f, "C/work/work"), 0);
	(void)removexattr(in_home(&f, "C/diff"), "trusted.overlay.impure");
	check_view(&f);
}

/* What is compared is what was there when the view was opened, whatever takes its place before it is read. */
static void test_metacopy_replaced(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_changes_ struct cst_changes before = {0}, after = {0};
	_cleanup_error_ cst_error *error = NULL;
	struct driver_staged *staged = NULL;
	struct driver_view *view = NULL;

	f.options[0] = with_metacopy;
	f.n_options = 1;
	fixture_open(&f);
	write_through_mount(&f);
	check(overlay_driver.view_open(f.driver, "C", "A", NULL, &view, &error), error);
	check(overlay_driver.stage_copy(f.driver, "C", NULL, &staged, &error), error);
	write_text_at(staged->diff_fd, "later", "later");
	check(overlay_driver.stage_replace(staged, "C", true, &error), error);
	check(overlay_driver.view_changes(view, &before, &error), error);
	check_changes(&before);
	overlay_driver.view_close(view);
	overlay_driver.stage_free(staged);
	check(overlay_driver.view_open(f.driver, "C", "A", NULL, &view, &error), error);
	check(overlay_driver.view_changes(view, &after, &error), error);
	assert_int_equal(after.len, before.len + 1);
	overlay_driver.view_close(view);
}

/* More lowers than a view keeps descriptors of. */
static void test_metacopy_of_many(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	char id[16] = "";

	f.options[0] = with_metacopy;
	f.n_options = 1;
	fixture_open(&f);
	for (int i = 0; i < 20; i++) {
		_cleanup_free_ char *parent = strdup(id);
		snprintf(id, sizeof(id), "L%d", i);
		make_layer(&f, id, *parent ? parent : NULL, false, NULL);
	}
	write_on(&f, id);
	check_view(&f);
}

/* Descriptors of this process that are on an overlay mount. */
static unsigned overlay_descriptors(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 1024; fd++) {
		struct statfs st;
		n += fstatfs(fd, &st) == 0 && st.f_type == BACKING_OVERLAY;
	}
	return n;
}

/* A layer that was mounted and has none of it is still read natively: its own directory is all there is to look at, and
 * nothing is mounted for it. */
static void test_plain_upper(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	_cleanup_changes_ struct cst_changes changes = {0};
	_cleanup_error_ cst_error *error = NULL;
	struct driver_view *view = NULL;

	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "a");
	make_layer(&f, "C", "A", true, NULL);
	_cleanup_free_ char *path = mount_layer(&f, "C");
	_cleanup_free_ char *a = path_join(path, "a"), *b = path_join(path, "b");
	assert_int_equal(unlink(a), 0);
	assert_int_equal(mkdir(b, 0755), 0);
	unmount_layer(&f, "C");
	check(overlay_driver.view_open(f.driver, "C", "A", NULL, &view, &error), error);
	check(overlay_driver.view_changes(view, &changes, &error), error);
	assert_int_equal(overlay_descriptors(), 0);
	assert_int_equal(changes.len, 2);
	assert_string_equal(changes.items[0].path, "/a");
	assert_int_equal(changes.items[0].kind, CST_DELETE);
	overlay_driver.view_close(view);
}

/* ---- `l` is not a directory ---- */

static void break_links_dir(const struct fixture *f, const char *target)
{
	_cleanup_close_ int fd = -1;

	assert_int_equal(fs_open_dir(f->driver->home, &fd, NULL), 0);
	assert_int_equal(fs_remove_tree(fd, "l", NULL, NULL), 0);
	if (target)
		assert_int_equal(symlinkat(target, fd, "l"), 0);
	else
		write_text_at(fd, "l", "");
}

static void make_chain(struct fixture *f)
{
	make_layer(f, "A", NULL, false, "a");
	make_layer(f, "B", "A", false, "b");
	make_layer(f, "C", "B", true, "c");
}

/* A new layer can be made and mounted, nothing is written where the symlink leads, and l is a directory again. */
static void test_broken_links_dir(void **state)
{
	static const char *const targets[] = {"/nonexistent/nowhere", "elsewhere", NULL};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		_cleanup_fixture_ struct fixture f = fixture_make("root");

		fixture_open(&f);
		make_chain(&f);
		assert_int_equal(mkdir(in_home(&f, "elsewhere"), 0755), 0);
		_cleanup_free_ char *link = read_text(in_home(&f, "B/link"));
		break_links_dir(&f, targets[i]);
		reopen(&f, NULL);
		assert_true(S_ISDIR(mode_of(in_home(&f, "l"))));
		make_layer(&f, "D", "B", true, "d");
		_cleanup_free_ char *path = mount_layer(&f, "D");
		assert_int_equal(entries(path), 3);
		unmount_layer(&f, "D");
		assert_int_equal(entries(in_home(&f, "elsewhere")), 0);
		assert_true(text_is(in_home(&f, "B/link"), link));
		assert_true(fs_exists(AT_FDCWD, in_home(&f, "l/%s", link)));
	}
}

/* It breaks while the driver is open: an operation that fails leaves no half, and everything works after the next start. */
static void test_links_dir_breaks_meanwhile(void **state)
{
	const struct driver_stage_options options = {.parent = "B", .writable = true};
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	struct driver_staged *staged = NULL;

	fixture_open(&f);
	make_chain(&f);
	_cleanup_free_ char *link = read_text(in_home(&f, "B/link"));
	break_links_dir(&f, "/nonexistent/nowhere");
	if (overlay_driver.stage(f.driver, &options, &staged, NULL) == 0) {
		(void)overlay_driver.stage_commit(staged, "D", true, NULL);
		overlay_driver.stage_free(staged);
	}
	assert_true(text_is(in_home(&f, "B/link"), link));
	break_links_dir(&f, NULL);
	remove_layer(&f, "D");
	reopen(&f, NULL);
	_cleanup_free_ char *path = mount_layer(&f, "C");
	assert_int_equal(entries(path), 3);
	unmount_layer(&f, "C");
}

/* A store that is only read is read without `l`, and left as it is. */
static void test_broken_links_dir_read_only(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");
	struct driver_config config = fixture_config(&f);
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_changes_ struct cst_changes changes = {0};
	struct driver_view *view = NULL;

	fixture_open(&f);
	make_chain(&f);
	break_links_dir(&f, "/nonexistent/nowhere");
	overlay_driver.close(f.driver);
	config.read_only = true;
	check(overlay_driver.open(&config, &f.driver, &error), error);
	check(overlay_driver.view_open(f.driver, "C", "B", NULL, &view, &error), error);
	check(overlay_driver.view_changes(view, &changes, &error), error);
	assert_int_equal(changes.len, 1);
	overlay_driver.view_close(view);
	assert_true(S_ISLNK(mode_of(in_home(&f, "l"))));
}

/* ---- a replacement in steps, interrupted ---- */

static void recover_replacement(struct fixture *f)
{
	_cleanup_trash_ struct driver_trash *trash = NULL;
	_cleanup_error_ cst_error *error = NULL;

	check(overlay_driver.replace_recover(f->driver, "A", &trash, &error), error);
	assert_false(fs_exists(AT_FDCWD, in_home(f, "A/replace-new")));
	assert_false(fs_exists(AT_FDCWD, in_home(f, "A/replace-old")));
}

static void test_interrupted_replacement(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_make("root");

	fixture_open(&f);
	make_layer(&f, "A", NULL, false, "old");
	recover_replacement(&f);
	/* The new content has arrived. */
	assert_int_equal(mkdir(in_home(&f, "A/replace-new"), 0755), 0);
	write_text_at(AT_FDCWD, in_home(&f, "A/replace-new/new"), "new");
	recover_replacement(&f);
	assert_true(text_is(in_home(&f, "A/diff/old"), "old"));
	/* The old content is out of the way, and the new one not in place. */
	assert_int_equal(mkdir(in_home(&f, "A/replace-new"), 0755), 0);
	assert_int_equal(rename(in_home(&f, "A/diff"), in_home(&f, "A/replace-old")), 0);
	recover_replacement(&f);
	assert_true(text_is(in_home(&f, "A/diff/old"), "old"));
	/* The new content is in place. */
	assert_int_equal(rename(in_home(&f, "A/diff"), in_home(&f, "A/replace-old")), 0);
	assert_int_equal(mkdir(in_home(&f, "A/diff"), 0755), 0);
	write_text_at(AT_FDCWD, in_home(&f, "A/diff/new"), "new");
	recover_replacement(&f);
	assert_true(text_is(in_home(&f, "A/diff/new"), "new"));
	assert_false(fs_exists(AT_FDCWD, in_home(&f, "A/diff/old")));
}

/* ---- staged layers that outlive the process ---- */

static int write_state(int fd, void *userdata, cst_error **error)
{
	if (!userdata)
		return error_set(error, CST_EIO_CALLBACK, "it cannot be written");
	return fs_write_file(fd, KEPT_STATE, userdata, strlen(userdata), 0600, NULL, error);
}

/* Stages a layer with the file `a` in a process that keeps it and dies. */
static void keep_and_die(const struct driver_ops *ops, struct driver *d, const char *text)
{
	const struct driver_stage_options options = {0};
	struct driver_filling filling;
	struct driver_staged *staged = NULL;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		bool ok = ops->stage(d, &options, &staged, NULL) == 0 &&
		          ops->stage_open(staged, &filling, NULL) == 0;
		if (ok)
			write_text_at(filling.fd, "a", "a");
		ok = ok && ops->stage_sync(staged, NULL) == 0 &&
		     ops->stage_keep(staged, write_state, (void *)text, NULL) ==
		             (text ? 0 : CST_EIO_CALLBACK);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Of two that are kept one is committed, and one thrown away. */
static void adopt_kept(const struct driver_ops *ops, struct driver *d)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_strv_ struct strv ids = {0}, none = {0};
	struct driver_staged *first = NULL, *second = NULL, *again = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;
	bool found = false;
	int fd = -1;

	keep_and_die(ops, d, "state");
	keep_and_die(ops, d, "state");
	keep_and_die(ops, d, NULL);
	check(ops->recover(d, &error), error); /* leaves them, but the one that could not be kept */
	check(ops->stage_list(d, &ids, &error), error);
	assert_int_equal(ids.len, 2);
	check(ops->stage_adopt(d, ids.items[0], &first, &fd, &error), error);
	check(fs_read_file(fd, KEPT_STATE, 100, &text, &len, &error), error);
	assert_string_equal(text, "state");
	close(fd);
	assert_string_equal(ops->staged_id(first), ids.items[0]);
	assert_int_equal(ops->stage_adopt(d, ids.items[0], &again, &fd, NULL), CST_EBUSY);
	assert_int_equal(ops->stage_adopt(d, "nothing", &again, &fd, NULL), CST_ELAYER_UNKNOWN);
	assert_int_equal(ops->stage_adopt(d, "../x", &again, &fd, NULL), CST_ELAYER_UNKNOWN);
	ops->stage_free(first); /* it stays */
	check(ops->stage_adopt(d, ids.items[0], &first, &fd, &error), error);
	close(fd);
	check(ops->stage_sync(first, &error), error);
	check(ops->stage_commit(first, "A", true, &error), error);
	/* It was not to be: the content goes back, and then once more into place. */
	check(ops->stage_resolve(d, ids.items[0], "A", &error), error);
	check(ops->stage_resolve(d, ids.items[0], "A", &error), error);
	check(ops->exists(d, "A", &found, &error), error);
	assert_false(found);
	ops->stage_free(first);
	check(ops->stage_adopt(d, ids.items[0], &first, &fd, &error), error);
	close(fd);
	check(ops->stage_commit(first, "A", true, &error), error);
	ops->stage_free(first);
	check(ops->stage_resolve(d, ids.items[0], NULL, &error), error);
	check(ops->stage_resolve(d, ids.items[0], NULL, &error), error);
	check(ops->exists(d, "A", &found, &error), error);
	assert_true(found);
	check(ops->content_open(d, "A", &fd, &error), error);
	assert_true(fs_exists(fd, "a"));
	close(fd);
	check(ops->stage_adopt(d, ids.items[1], &second, &fd, &error), error);
	close(fd);
	check(ops->stage_unkeep(second, &error), error);
	ops->stage_free(second);
	check(ops->stage_list(d, &none, &error), error);
	assert_int_equal(none.len, 0);
}

/* Died between giving up what was kept and removing it. */
static void unkeep_and_die(const struct driver_ops *ops, struct driver *d)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_strv_ struct strv ids = {0};
	int status, fd;
	keep_and_die(ops, d, "state");
	check(ops->stage_list(d, &ids, &error), error);
	assert_int_equal(ids.len, 1);
	pid_t pid = fork();
	if (pid == 0) {
		struct driver_staged *staged = NULL;
		bool ok = ops->stage_adopt(d, ids.items[0], &staged, &fd, NULL) == 0 &&
		          ops->stage_unkeep(staged, NULL) == 0;
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	check(ops->recover(d, &error), error);
}

/* In both places for temporary directories. */
static void test_kept(void **state)
{
	for (int old = 0; old < 2; old++) {
		_cleanup_fixture_ struct fixture f = fixture_make("root");
		fixture_open(&f);
		if (old)
			assert_int_equal(mkdir(in_home(&f, "../mounts"), 0755), 0);
		adopt_kept(&overlay_driver, f.driver);
		assert_true(text_is(in_home(&f, "A/diff/a"), "a"));
		unkeep_and_die(&overlay_driver, f.driver);
		assert_int_equal(entries(in_home(&f, "staging")), 0);
		assert_int_equal(old ? entries(in_home(&f, "tempdirs")) : 0, 0);
	}
}

static void test_kept_by_vfs(void **state)
{
	_cleanup_test_dir_ struct test_dir t = test_dir_make();
	const struct driver_config config = {.graph_root = t.path, .run_root = t.path};
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_free_ char *tempdirs = path_join(t.path, "vfs/tempdirs");
	struct driver *d = NULL;

	check(vfs_driver.open(&config, &d, &error), error);
	adopt_kept(&vfs_driver, d);
	unkeep_and_die(&vfs_driver, d);
	assert_int_equal(entries(tempdirs), 0);
	vfs_driver.close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_metacopy),
	        cmocka_unit_test(test_metacopy_replaced),
	        cmocka_unit_test(test_metacopy_of_many),
	        cmocka_unit_test(test_plain_upper),
	        cmocka_unit_test(test_broken_links_dir),
	        cmocka_unit_test(test_links_dir_breaks_meanwhile),
	        cmocka_unit_test(test_broken_links_dir_read_only),
	        cmocka_unit_test(test_interrupted_replacement),
	        cmocka_unit_test(test_kept),
	        cmocka_unit_test(test_kept_by_vfs),
	};

	if (!own_mounts()) {
		perror("unshare");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
