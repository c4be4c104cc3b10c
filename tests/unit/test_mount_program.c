/* SPDX-License-Identifier: Apache-2.0 */
/* Mount programs: fuse-overlayfs, and scripts that do what no mount program should. */
#include "unit/overlay_fixture.h"
#include <poll.h>

#define FUSE "/usr/bin/fuse-overlayfs"

/* ---- processes ---- */

/* What is in /proc/<pid>/<name>, with spaces for zeros. Caller frees. */
static char *proc_text(const char *pid, const char *name)
{
	_cleanup_free_ char *path = path_join3("/proc", pid, name);
	char *text = NULL;
	size_t n = 0;
	if (fs_read_file(AT_FDCWD, path, 1 << 20, &text, &n, NULL) < 0)
		return strdup("");
	for (size_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	return text;
}

/* How many processes name this test's directory in their command lines. A zombie has no command line any more. */
static unsigned processes(const struct fixture *f, int signal)
{
	_cleanup_strv_ struct strv names = {0};
	unsigned n = 0;
	assert_int_equal(fs_list_dir(AT_FDCWD, "/proc", &names, NULL, NULL), 0);
	strv_foreach (name, &names) {
		_cleanup_free_ char *line =
		        *name >= '1' && *name <= '9' ? proc_text(name, "cmdline") : NULL;
		if (!line || !strstr(line, f->dir.path))
			continue;
		n++;
		if (signal)
			assert_int_equal(kill(atoi(name), signal), 0);
	}
	return n;
}

/* A process that lost its mount ends by itself. */
static void wait_for_none(const struct fixture *f)
{
	while (processes(f, 0))
		poll(NULL, 0, 5);
}

/* ---- a home whose mounts a program makes ---- */

static struct fixture fixture_with(const char *name, const char *program)
{
	struct fixture f = fixture_make(name);
	if (access(FUSE, X_OK) < 0 || access("/dev/fuse", R_OK | W_OK) < 0)
		leave_out(&f, "no fuse-overlayfs or /dev/fuse here");
	f.options[f.n_options++] = program;
	fixture_open(&f);
	return f;
}

/* A script beside the home: it gets -o OPTIONS TARGET. Static storage. */
static const char *script(const struct fixture *f, const char *text)
{
	static char option[4096];
	_cleanup_free_ char *path = path_join(f->dir.path, "program");
	_cleanup_free_ char *all = str_join("#!/bin/sh\n", text, "\n");
	_cleanup_error_ cst_error *error = NULL;
	check(fs_write_file(AT_FDCWD, path, all, strlen(all), 0755, NULL, &error), error);
	snprintf(option, sizeof(option), "overlay.mount_program=%s", path);
	return option;
}

static void make_layers(struct fixture *f)
{
	make_layer(f, "A", NULL, false, "a");
	make_layer(f, "B", "A", false, ".wh.a"); /* as an archive has it */
	make_layer(f, "C", "B", true, "c");
}

/* Mounts C, looks at it, writes to it, unmounts it. */
static void use(struct fixture *f)
{
	_cleanup_free_ char *type = NULL, *options = NULL, *path = mount_layer(f, "C");
	_cleanup_free_ char *again = mount_layer(f, "C");
	_cleanup_close_ int root = -1;

	assert_string_equal(path, in_home(f, "C/merged"));
	assert_string_equal(path, again);
	assert_int_equal(processes(f, 0), 1);
	assert_int_equal(fs_open_dir(path, &root, NULL), 0);
	assert_int_equal(mountinfo_describe(root, &type, &options, NULL), 0);
	assert_string_equal(type, "fuse.fuse-overlayfs");
	assert_false(fs_exists(root, "a"));
	assert_true(fs_exists(root, "c"));
	(void)unlinkat(root, "new", 0);
	write_text_at(root, "new", "written");
	closep(&root);
	unmount_layer(f, "C");
	wait_for_none(f);
	assert_true(text_is(in_home(f, "C/diff/new"), "written"));
}

static void test_round_trip(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);

	assert_true(text_is(in_home(&f, ".has-mount-program"), "true"));
	make_layers(&f);
	use(&f);
	overlay_driver.close(f.driver);
	f.driver = NULL;
	/* The home says that a program is used; nobody names it any more. */
	f.n_options = 0;
	fixture_open(&f);
	use(&f);
	remove_layer(&f, "C");
}

/* Whoever opens the home of a program finds one, or hears what is missing. */
static void test_program_is_missing(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);
	_cleanup_free_ char *search = strdup(getenv("PATH"));
	_cleanup_error_ cst_error *error = NULL;
	struct driver *driver = NULL;

	make_layers(&f);
	f.n_options = 0;
	struct driver_config config = fixture_config(&f);
	setenv("PATH", "/nowhere", 1);
	int r = overlay_driver.open(&config, &driver, &error);
	config.read_only = true;
	int r_reading = overlay_driver.open(&config, &driver, NULL);
	setenv("PATH", search, 1);
	assert_int_equal(r, CST_EBACKINGFS);
	assert_non_null(strstr(cst_error_message(error), "no fuse-overlayfs in $PATH"));
	assert_string_equal(cst_error_go_message(error),
	                    "native overlay not supported and fuse-overlayfs not found: backing "
	                    "file system is unsupported for this graph driver");
	assert_int_equal(r_reading, 0); /* reading takes no mount */
	overlay_driver.close(driver);
}

/* Where the kernel's overlay does not work, fuse-overlayfs is found. */
static void test_on_overlay(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);

	make_layers(&f);
	_cleanup_free_ char *path = mount_layer(&f, "C");
	_cleanup_free_ char *inner = path_join(path, "store");
	struct fixture over = f;
	over.n_options = 0;
	over.root = over.run = inner;
	over.driver = NULL;
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	wait_for_none(&f);
	overlay_driver.close(f.driver);
	f.driver = NULL;
	_cleanup_free_ char *data =
	        str_printf("lowerdir=%s,upperdir=%s,workdir=%s", in_home(&f, "A/diff"),
	                   in_home(&f, "C/diff"), in_home(&f, "C/work"));
	assert_int_equal(mount("overlay", path, "overlay", 0, data), 0);
	assert_int_equal(mkdir(inner, 0700), 0);
	fixture_open(&over);
	assert_true(text_is(in_home(&over, ".has-mount-program"), "true"));
	make_layers(&over);
	free(mount_layer(&over, "C"));
	unmount_layer(&over, "C");
	assert_int_equal(overlay_driver.cleanup(over.driver, NULL), 0);
	overlay_driver.close(over.driver);
}

/* ---- programs that do not do what they should ---- */

static void assert_fails(struct fixture *f, int code, const char *words)
{
	const struct driver_mount_options options = {0};
	_cleanup_error_ cst_error *error = NULL;
	char *path = NULL;
	assert_int_equal(overlay_driver.get(f->driver, "C", &options, &path, &error), code);
	if (!strstr(cst_error_message(error), words))
		fail_msg("%s\n   has not: %s", cst_error_message(error), words);
	assert_null(path);
	wait_for_none(f);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, in_home(f, "C/merged")), 0);
	assert_false(is_mounted(f, "C"));
}

/* Opens the home with a script; the layers are there. */
static void change_program(struct fixture *f, const char *text)
{
	overlay_driver.close(f->driver);
	f->options[0] = script(f, text);
	fixture_open(f);
}

static void test_that_fails(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);
	_cleanup_free_ char *words = NULL;

	make_layers(&f);
	change_program(&f, "echo no such luck >&2; exit 3");
	words = str_printf("using mount program %s/program: no such luck: exit status 3",
	                   f.dir.path);
	assert_fails(&f, CST_EINVAL, words);
	change_program(&f, "exit 1");
	assert_fails(&f, CST_EINVAL, "program: <stderr empty>: exit status 1");
	change_program(&f, "printf 'a\\033[2J\\377b' >&2; exit 1");
	assert_fails(&f, CST_EINVAL, "program: a?[2J");
	change_program(&f, "head -c 10000000 /dev/zero >&2; exit 1");
	assert_fails(&f, CST_EINVAL, "????????: exit status 1");
	change_program(&f, "kill -9 $$");
	assert_fails(&f, CST_EINVAL, "killed by a signal");
	change_program(&f, "head -c 10000000 /dev/zero");
	assert_fails(&f, CST_EINVAL, "ended without an error, but it mounted nothing on");
	change_program(&f, "setsid sleep 1000 \"$3\" 2>/dev/null & exit 4");
	assert_fails(&f, CST_EINVAL, "exit status 4");
	f.options[0] = "overlay.mount_program=/etc/passwd";
	overlay_driver.close(f.driver);
	fixture_open(&f);
	assert_fails(&f, CST_ESYS, "using mount program /etc/passwd: permission denied");
}

static void test_that_hangs(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);
	int limit = overlay_program_limit_ms;

	make_layers(&f);
	overlay_program_limit_ms = 500;
	change_program(&f, "setsid sleep 1000 \"$3\" & sleep 1000");
	assert_fails(&f, CST_ETIMEOUT, "has mounted nothing on");
	overlay_program_limit_ms = limit;
}

/* For each process that mounted $3. */
#define MOUNTED(what)                                                                             \
	FUSE " \"$@\" && for p in /proc/[0-9]*; do case $(readlink $p/exe) in *fuse-overlayfs)\n" \
	     "tr '\\0' ' ' <$p/cmdline | grep -q \" $3 \" && kill -" what                         \
	     " ${p##*/};; esac; done\n"

/* Waits until the program stopped what it started, then shortens the limit. */
static void *shorten_limit(void *userdata)
{
	const struct fixture *f = userdata;
	_cleanup_free_ char *stopped = path_join(f->dir.path, "stopped"),
	                    *shortened = path_join(f->dir.path, "shortened");
	while (!fs_exists(AT_FDCWD, stopped))
		poll(NULL, 0, 5);
	overlay_program_limit_ms = 200;
	write_text_at(AT_FDCWD, shortened, "");
	return NULL;
}

static void test_that_is_silent(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);
	int limit = overlay_program_limit_ms;
	pthread_t thread;

	make_layers(&f);
	change_program(&f, "dir=${0%/*}\n" MOUNTED(
	                           "STOP") ">$dir/stopped\n"
	                                   "until [ -e $dir/shortened ]; do sleep 0.01; done");
	assert_int_equal(pthread_create(&thread, NULL, shorten_limit, &f), 0);
	assert_fails(&f, CST_ETIMEOUT, "but does not answer; it was killed");
	pthread_join(thread, NULL);
	overlay_program_limit_ms = limit;
}

static void test_that_dies(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);

	make_layers(&f);
	change_program(&f, MOUNTED("KILL") "while stat \"$3\" >/dev/null 2>&1; do :; done");
	assert_fails(&f, CST_ESYS, "died after it mounted");
	/* Later: then it is mounted no more, and mounting mounts it. */
	change_program(&f, "exec " FUSE " \"$@\"");
	free(mount_layer(&f, "C"));
	assert_int_equal(processes(&f, SIGKILL), 1);
	wait_for_none(&f);
	assert_int_equal(mountinfo_is_mount_point(AT_FDCWD, in_home(&f, "C/merged")), 1);
	while (is_mounted(&f, "C")) /* the kernel is still closing the files of the process */
		usleep(1000);
	use(&f);
	/* And unmounting one that died is nothing special. */
	free(mount_layer(&f, "C"));
	assert_int_equal(processes(&f, SIGKILL), 1);
	wait_for_none(&f);
	unmount_layer(&f, "C");
}

/* The mount stays as long as somebody uses it, and what is written is not lost. */
static void test_unmount_while_used(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);

	make_layers(&f);
	_cleanup_free_ char *path = mount_layer(&f, "C");
	int root = -1;
	assert_int_equal(fs_open_dir(path, &root, NULL), 0);
	write_text_at(root, "before", "before");
	unmount_layer(&f, "C");
	assert_true(text_is(in_home(&f, "C/diff/before"), "before"));
	assert_int_equal(processes(&f, 0), 1);
	closep(&root);
	wait_for_none(&f);
}

/* ---- reading ---- */

static void test_views(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);
	_cleanup_error_ cst_error *error = NULL;
	struct driver_view *view = NULL;
	_cleanup_changes_ struct cst_changes changes = {0};

	make_layers(&f);
	check(overlay_driver.view_open(f.driver, "B", "A", NULL, &view, &error), error);
	assert_int_equal(processes(&f, 0), 0); /* a lock is held until here */
	check(overlay_driver.view_changes(view, &changes, &error), error);
	assert_int_equal(changes.len, 1);
	overlay_driver.view_close(view);
	wait_for_none(&f);
	assert_int_equal(entries(in_home(&f, "staging")), 0);
}

/* What is below an opaque directory is gone, although fuse-overlayfs may find it by its name. */
static void test_view_of_opaque(void **state)
{
	_cleanup_fixture_ struct fixture f = fixture_with("root", "overlay.mount_program=" FUSE);
	_cleanup_error_ cst_error *error = NULL;
	struct driver_view *view = NULL;
	_cleanup_changes_ struct cst_changes changes = {0};

	make_layers(&f);
	for (const char *at = "ABC"; *at; at++)
		assert_int_equal(mkdir(in_home(&f, "%c/diff/dir", *at), 0755), 0);
	assert_int_equal(mkdir(in_home(&f, "A/diff/dir/sub"), 0755), 0);
	write_text_at(AT_FDCWD, in_home(&f, "B/diff/dir/below"), "");
	write_text_at(AT_FDCWD, in_home(&f, "C/diff/dir/own"), "");
	write_text_at(AT_FDCWD, in_home(&f, "C/diff/dir/.wh..wh..opq"), "");
	check(overlay_driver.view_open(f.driver, "C", "B", NULL, &view, &error), error);
	check(overlay_driver.view_changes(view, &changes, &error), error);
	overlay_driver.view_close(view);
	unsigned deleted = 0;
	for (size_t i = 0; i < changes.len; i++)
		deleted += changes.items[i].kind == CST_DELETE;
	assert_int_equal(deleted, 2);
	wait_for_none(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_program_is_missing),
	        cmocka_unit_test(test_on_overlay), cmocka_unit_test(test_that_fails),
	        cmocka_unit_test(test_that_hangs), cmocka_unit_test(test_that_is_silent),
	        cmocka_unit_test(test_that_dies),  cmocka_unit_test(test_unmount_while_used),
	        cmocka_unit_test(test_views),      cmocka_unit_test(test_view_of_opaque),
	};
	if (!own_mounts())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
