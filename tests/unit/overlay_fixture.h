/* SPDX-License-Identifier: Apache-2.0 */
/* A driver home of its own for each test, and layers made in one call. */
#ifndef CST_TESTS_UNIT_OVERLAY_FIXTURE_H
#define CST_TESTS_UNIT_OVERLAY_FIXTURE_H

#include "driver/mountinfo.h"
#include "driver/overlay/staged.h"
#include "unit/test.h"
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <unistd.h>

struct fixture {
	struct test_dir dir;
	char *root, *run; /* <dir>/<name>, <dir>/run */
	struct driver *driver;
	const char *options[4];
	size_t n_options;
	const char *image_store;
};

static inline struct driver_config fixture_config(const struct fixture *f)
{
	return (struct driver_config){.graph_root = f->root,
	                              .run_root = f->run,
	                              .options = f->options,
	                              .n_options = f->n_options,
	                              .image_store = f->image_store};
}

/* A macro, so that the call is over before the error is looked at. */
#define check(call, error)                                             \
	do {                                                           \
		int check_r = (call);                                  \
		if (check_r < 0)                                       \
			print_error("%s\n", cst_error_message(error)); \
		assert_int_equal(check_r, 0);                          \
	} while (0)

static inline void fixture_open(struct fixture *f)
{
	const struct driver_config config = fixture_config(f);
	_cleanup_error_ cst_error *error = NULL;

	check(overlay_driver.open(&config, &f->driver, &error), error);
}

static inline bool is_root(void)
{
	return geteuid() == 0;
}

/* Leaves the test out where mounting is not possible. */
static inline struct fixture fixture_make(const char *name)
{
	if (!is_root())
		skip_because("mounting overlay needs root");
	struct fixture f = {.dir = test_dir_make()};

	f.root = path_join(f.dir.path, name);
	f.run = path_join(f.dir.path, "run");
	assert_int_equal(fs_mkdir_p(f.root, 0755, NULL), 0);
	assert_int_equal(fs_mkdir_p(f.run, 0755, NULL), 0);
	return f;
}

static inline void fixture_close(struct fixture *f)
{
	if (f->driver)
		overlay_driver.close(f->driver);
	test_dir_remove(&f->dir);
	free(f->root);
	free(f->run);
}
#define _cleanup_fixture_ _cleanup_(fixture_close)

/* skip() jumps: what the test made must go before. */
#define leave_out(fixture, reason)      \
	do {                            \
		fixture_close(fixture); \
		skip_because(reason);   \
	} while (0)

/* A path below the graph root's overlay directory. Static storage, good for eight calls. */
static inline const char *in_home(const struct fixture *f, const char *format, ...)
{
	static char buffers[8][4096];
	static unsigned next;
	char *buffer = buffers[next++ % 8];
	va_list args;
	int n = snprintf(buffer, 4096, "%s/overlay/", f->root);

	va_start(args, format);
	vsnprintf(buffer + n, (size_t)(4096 - n), format, args);
	va_end(args);
	return buffer;
}

static inline char *read_text(const char *path)
{
	char *text = NULL;
	size_t n;

	if (fs_read_file(AT_FDCWD, path, 1 << 20, &text, &n, NULL) < 0)
		return NULL;
	return text;
}

static inline bool text_is(const char *path, const char *want)
{
	_cleanup_free_ char *text = read_text(path);

	return text && streq(text, want);
}

static inline void write_text_at(int dirfd, const char *name, const char *text)
{
	_cleanup_error_ cst_error *error = NULL;

	check(fs_write_file(dirfd, name, text, strlen(text), 0644, NULL, &error), error);
}

static inline mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_mode;
}

/* A layer with one file, <file> holding its own name. */
static inline void make_layer(struct fixture *f, const char *id, const char *parent, bool writable,
                              const char *file)
{
	const struct driver_stage_options options = {.parent = parent, .writable = writable};
	struct driver_staged *staged = NULL;
	_cleanup_error_ cst_error *error = NULL;

	check(overlay_driver.stage(f->driver, &options, &staged, &error), error);
	if (file)
		write_text_at(staged->diff_fd, file, file);
	if (f->driver->sync_content)
		check(overlay_driver.stage_sync(staged, &error), error);
	check(overlay_driver.stage_commit(staged, id, f->driver->sync_content, &error), error);
	overlay_driver.stage_free(staged);
}

/* At the path where get() mounts it: in the run home if it is another store's layer. */
static inline bool is_mounted(struct fixture *f, const char *id)
{
	const char *home =
	        fs_exists(AT_FDCWD, in_home(f, "%s", id)) ? f->driver->home : f->driver->run_home;
	_cleanup_free_ char *path = path_join3(home, id, "merged");
	_cleanup_error_ cst_error *error = NULL;
	bool mounted = false;

	check(driver_is_mounted(f->driver, id, path, &mounted, &error), error);
	return mounted;
}

static inline bool layer_exists(struct fixture *f, const char *id)
{
	_cleanup_error_ cst_error *error = NULL;
	bool found = false;

	check(overlay_driver.exists(f->driver, id, &found, &error), error);
	return found;
}

static inline void free_trash(struct driver_trash **trash)
{
	naive_trash_free(*trash);
}
#define _cleanup_trash_ _cleanup_(free_trash)

static inline char *mount_layer_with(struct fixture *f, const char *id,
                                     const struct driver_mount_options *options)
{
	_cleanup_error_ cst_error *error = NULL;
	char *path = NULL;

	check(overlay_driver.get(f->driver, id, options, &path, &error), error);
	assert_true(is_mounted(f, id));
	return path;
}

static inline char *mount_layer(struct fixture *f, const char *id)
{
	const struct driver_mount_options options = {0};

	return mount_layer_with(f, id, &options);
}

static inline void unmount_layer(struct fixture *f, const char *id)
{
	_cleanup_error_ cst_error *error = NULL;

	check(overlay_driver.put(f->driver, id, &error), error);
	assert_false(is_mounted(f, id));
}

static inline void remove_layer(struct fixture *f, const char *id)
{
	_cleanup_trash_ struct driver_trash *trash = NULL;
	_cleanup_error_ cst_error *error = NULL;

	check(overlay_driver.remove(f->driver, id, NULL, &trash, NULL, &error), error);
	assert_false(layer_exists(f, id));
}

/* How many entries a directory has; 0 if there is none. */
static inline size_t entries(const char *path)
{
	_cleanup_strv_ struct strv names = {0};

	assert_int_equal(fs_list_dir(AT_FDCWD, path, &names, NULL, NULL), 0);
	return names.len;
}

/* One mount namespace for the whole program, as root. */
static inline bool own_mounts(void)
{
	return !is_root() ||
	       (unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0);
}

#endif
