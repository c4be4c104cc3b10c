/* SPDX-License-Identifier: Apache-2.0 */
/* Record files of every kind, of whatever content. What loads is saved, and what was saved loads as
 * the same: then nothing is due, and a second save of every record changes no byte. What does not
 * load is left alone. */
#include "fuzz.h"

#include "base/fs.h"
#include "records/table.h"
#include <stdio.h>
#include <unistd.h>

struct place {
	char path[64];
	int fd;
	struct lockfile *lock;
	struct lock_token token;
};

static struct place place;
static bool ascii; /* the input */

static void remove_place(void)
{
	if (fs_empty_dir(place.fd, NULL, NULL) == 0)
		(void)rmdir(place.path);
}

/* In memory where the machine has a place for that: thousands of files are written a second. */
static void make_place(void)
{
	char lock[128];
	if (place.lock)
		return;
	(void)snprintf(place.path, sizeof(place.path), "/dev/shm/fuzz-records-XXXXXX");
	if (!mkdtemp(place.path))
		(void)snprintf(place.path, sizeof(place.path), "/var/tmp/fuzz-records-XXXXXX");
	MUST(access(place.path, F_OK) == 0 || mkdtemp(place.path));
	MUST(fs_open_dir(place.path, &place.fd, NULL) == 0);
	(void)snprintf(lock, sizeof(lock), "%s/lock", place.path);
	MUST(lockfile_new(lock, false, &place.lock, NULL) == 0);
	MUST(lockfile_lock(place.lock, LOCKFILE_WRITE, NULL) == 0);
	MUST(lockfile_touch(place.lock, &place.token, NULL) == 0);
	(void)atexit(remove_place);
}

static void put(const char *name, const uint8_t *data, size_t size)
{
	MUST(fs_write_file(place.fd, name, data, size, 0600, NULL, NULL) == 0);
}

static char *get(const char *name, size_t *size)
{
	char *data = NULL;
	MUST(fs_read_file(place.fd, name, (size_t)1 << 30, &data, size, NULL) == 0);
	return data;
}

static void must_be(const char *name, const void *data, size_t size)
{
	size_t now_size;
	_cleanup_free_ char *now = get(name, &now_size);
	MUST(now_size == size && memcmp(now, data, size) == 0);
}

/* Makes every record dirty without changing it, saves, and gives what the file holds. */
#define DEFINE_ROUND(kind, file)                                                                  \
	static char *save_##kind##s(struct record_set *t, size_t *size)                           \
	{                                                                                         \
		for (size_t i = 0; i < record_set_size(t); i++) {                                 \
			const cst_##kind *record = kind##_table_at(t, i);                         \
			MUST(record == kind##_table_get(t, record->id));                          \
			MUST(record_set_replace(t, record));                                      \
		}                                                                                 \
		MUST(record_set_save(t, place.lock, NULL) == 0);                                  \
		return get(file, size);                                                           \
	}                                                                                         \
	static int load_##kind##s(struct record_set *t, bool *repair)                             \
	{                                                                                         \
		MUST(record_set_open(t, &place.token, NULL) == 0);                                \
		return record_set_parse(t, repair, NULL);                                         \
	}                                                                                         \
	static void try_##kind##s(struct record_set *t, const uint8_t *data, size_t size)         \
	{                                                                                         \
		bool repair;                                                                      \
		size_t once_size, twice_size;                                                     \
		put(file, data, size);                                                            \
		if (load_##kind##s(t, &repair) < 0) {                                             \
			MUST(record_set_size(t) == 0);                                            \
			MUST(record_set_save(t, place.lock, NULL) < 0);                           \
			must_be(file, data, size);                                                \
			return;                                                                   \
		}                                                                                 \
		size_t records = record_set_size(t);                                              \
		_cleanup_free_ char *once = save_##kind##s(t, &once_size);                        \
		MUST(load_##kind##s(t, &repair) == 0);                                            \
		MUST(!ascii || !record_set_dirty(t));                                             \
		MUST(!ascii || record_set_size(t) == records);                                    \
		_cleanup_free_ char *twice = save_##kind##s(t, &twice_size);                      \
		MUST(!ascii || (once_size == twice_size && memcmp(once, twice, once_size) == 0)); \
		while (record_set_size(t))                                                        \
			MUST(record_set_remove(t, kind##_table_at(t, 0)->id));                    \
	}
DEFINE_ROUND(layer, "layers.json")
DEFINE_ROUND(image, "images.json")
DEFINE_ROUND(container, "containers.json")

static void try_mounts(struct record_set *t, const uint8_t *data, size_t size)
{
	cst_layer layer = {.id = "m", .created = TIMESTAMP_ZERO, .mount_point = ""};
	MUST(record_set_add(t, &layer));
	put("mountpoints.json", data, size);
	bool loaded = layer_table_load_mounts(t, place.lock, NULL) == 0;
	MUST(layer_table_set_mount(t, "m", "/other", 7));
	MUST((layer_table_save_mounts(t, place.lock, NULL) == 0) == loaded);
	if (!loaded)
		must_be("mountpoints.json", data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_set *layers = NULL;
	struct record_set *images = NULL;
	struct record_set *containers = NULL;
	make_place();
	ascii = true;
	for (size_t i = 0; i < size; i++)
		ascii &= data[i] < 0x80;
	struct layer_paths paths = {
	        .dir = place.path, .volatile_dir = place.path, .run_dir = place.path};
	(void)unlinkat(place.fd, "volatile-layers.json", 0);
	(void)unlinkat(place.fd, "volatile-containers.json", 0);
	MUST(layer_table_new(&paths, &layers, NULL) == 0);
	MUST(image_table_new(place.path, false, &images, NULL) == 0);
	MUST(container_table_new(place.path, place.path, false, &containers, NULL) == 0);
	try_layers(layers, data, size);
	try_images(images, data, size);
	try_containers(containers, data, size);
	if (record_set_size(layers) == 0 && record_set_dirty(layers))
		try_mounts(layers, data, size);
	record_set_free(layers);
	record_set_free(images);
	record_set_free(containers);
	return 0;
}
