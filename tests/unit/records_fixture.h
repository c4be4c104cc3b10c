/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with record files and a lock, and tables over it. */
#ifndef CST_TESTS_UNIT_RECORDS_FIXTURE_H
#define CST_TESTS_UNIT_RECORDS_FIXTURE_H

#include "test.h"

#include "records/table.h"

struct fixture {
	struct test_dir dir;
	struct lockfile *lock;
};

static inline struct fixture fixture_make(void)
{
	struct fixture f = {.dir = test_dir_make()};
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/records.lock", f.dir.path);
	assert_int_equal(lockfile_new(path, false, &f.lock, NULL), 0);
	assert_int_equal(lockfile_lock(f.lock, LOCKFILE_WRITE, NULL), 0);
	return f;
}

static inline void fixture_remove(struct fixture *f)
{
	lockfile_unlock(f->lock);
	lockfile_free(f->lock);
	test_dir_remove(&f->dir);
}
#define _cleanup_fixture_ _cleanup_(fixture_remove)

static inline void put_bytes(struct fixture *f, const char *name, const char *data, size_t n)
{
	assert_int_equal(fs_write_file(f->dir.fd, name, data, n, 0600, NULL, NULL), 0);
}

static inline void put_file(struct fixture *f, const char *name, const char *text)
{
	put_bytes(f, name, text, strlen(text));
}

static inline void assert_file(struct fixture *f, const char *name, const char *want)
{
	_cleanup_free_ char *data = NULL;
	size_t n;
	assert_int_equal(fs_read_file(f->dir.fd, name, 1 << 24, &data, &n, NULL), 0);
	assert_string_equal(data, want);
}

static inline struct record_set *layers_new(struct fixture *f)
{
	struct layer_paths paths = {
	        .dir = f->dir.path, .volatile_dir = f->dir.path, .run_dir = f->dir.path};
	struct record_set *t = NULL;
	assert_int_equal(layer_table_new(&paths, &t, NULL), 0);
	return t;
}

static inline struct record_set *images_new(struct fixture *f)
{
	struct record_set *t = NULL;
	assert_int_equal(image_table_new(f->dir.path, false, &t, NULL), 0);
	return t;
}

static inline struct record_set *containers_new(struct fixture *f)
{
	struct record_set *t = NULL;
	assert_int_equal(container_table_new(f->dir.path, f->dir.path, false, &t, NULL), 0);
	return t;
}

#define DEFINE_LOAD(kind)                                                                       \
	static inline int kind##s_load(struct fixture *f, struct record_set *t, bool *repair, \
	                               cst_error **error)                                       \
	{                                                                                       \
		struct lock_token token;                                                        \
		assert_int_equal(lockfile_read_token(f->lock, &token, NULL), 0);                \
		int r = record_set_open(t, &token, error);                                    \
		return r < 0 ? r : record_set_parse(t, repair, error);                        \
	}                                                                                       \
	static inline struct record_set *kind##s_loaded(struct fixture *f)                    \
	{                                                                                       \
		struct record_set *t = kind##s_new(f);                                        \
		bool repair;                                                                    \
		assert_int_equal(kind##s_load(f, t, &repair, NULL), 0);                         \
		return t;                                                                       \
	}                                                                                       \
	static inline bool kind##s_stale(struct fixture *f, struct record_set *t)             \
	{                                                                                       \
		struct lock_token token;                                                        \
		bool stale;                                                                     \
		assert_int_equal(lockfile_read_token(f->lock, &token, NULL), 0);                \
		assert_int_equal(record_set_stale(t, &token, &stale, NULL), 0);               \
		return stale;                                                                   \
	}                                                                                       \
	static inline void kind##s_freep(struct record_set **t)                               \
	{                                                                                       \
		record_set_free(*t);                                                          \
	}
DEFINE_LOAD(layer)
DEFINE_LOAD(image)
DEFINE_LOAD(container)
#define _cleanup_layers_     _cleanup_(layers_freep)
#define _cleanup_images_     _cleanup_(images_freep)
#define _cleanup_containers_ _cleanup_(containers_freep)

/* Replaces the metadata, as set-metadata does. */
static inline void set_image_metadata(struct record_set *t, const char *id, const char *metadata)
{
	const cst_image *old = image_table_get(t, id);
	assert_non_null(old);
	cst_image edited = *old;
	edited.metadata = metadata;
	assert_true(record_set_replace(t, &edited));
}

static inline void assert_names(const struct strings *names, const char *want)
{
	_cleanup_strbuf_ struct strbuf joined = {0};
	for (size_t i = 0; i < names->len; i++) {
		if (i)
			strbuf_addc(&joined, ' ');
		strbuf_adds(&joined, names->items[i]);
	}
	assert_string_equal(strbuf_str(&joined), want);
}

#endif
