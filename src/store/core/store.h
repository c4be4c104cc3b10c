/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store object and how its parts are locked. Three sets (layers, images, containers) each pair
 * a lock file, shared with every other process, with a table in memory, guarded by a mutex. The
 * order is always
 *
 *     graph lock, layers, images, containers, mount points        (docs/format/store.md, "Lock
 * protocol")
 *
 * and for each set: lock file first, mutex second. A reader gives the lock file back before
 * anything is parsed and keeps the mutex for as long as it looks at records; a writer keeps both.
 */
#ifndef CST_STORE_CORE_STORE_H
#define CST_STORE_CORE_STORE_H

#include "base/fs.h"
#include "base/pool.h"
#include "base/types.h"
#include "driver/driver.h"
#include "lock/lockfile.h"
#include "lock/tempdir.h"
#include "records/table.h"
#include "store/change/journal.h"
#include <cstorage/store.h>
#include <pthread.h>

/* What the three sets have in common; see set.c. */
struct store_set {
	struct lockfile *lock;
	struct lockfile *second; /* of a split image store, taken after `lock`; NULL: none */
	pthread_mutex_t mutex;
	void *table; /* struct record_set, image_table or container_table */
	const struct store_set_ops *ops;
	bool open;
	bool foreign; /* of an additional store: never repaired, never written */
};
struct store_set_ops {
	int (*stale)(void *table, const struct lock_token *token, bool *ret, cst_error **error);
	int (*open)(void *table, const struct lock_token *token, cst_error **error);
	int (*parse)(void *table, bool *repair, cst_error **error);
	/* Both: with the set held. `after_load` for what else belongs to the set; `repair` only for
	 * writers. */
	int (*after_load)(cst_store *store, cst_error **error);
	int (*repair)(cst_store *store, cst_error **error);
};
extern const struct store_set_ops layer_set_ops, image_set_ops, container_set_ops,
        additional_layer_ops, additional_image_ops;

void store_set_init(struct store_set *set, const struct store_set_ops *ops);
void store_set_free(struct store_set *set);

/* An additional image store: a graph root of somebody else, read only (docs/format/store.md,
 * "Additional image stores"). */
struct additional_store {
	char *root, *layers_dir, *images_dir;
	struct store_set layer_set, image_set;
	struct record_set *layers; /* NULL: `own` */
	struct record_set *images;
	int layers_fd, images_fd;
	bool own; /* the graph root of a store whose images are in an image store: what was there
	             before, still ours */
};

struct layer_set {
	struct store_set set;
	struct record_set *table;
	struct lockfile *mounts_lock;
	char *dir, *run_dir,
	        *tmp_dir; /* <g>/<drv>-layers, <r>/<drv>-layers, <g>/<drv>-layers/tmp */
	int fd;           /* of dir */
	char *image_dir;  /* <i>/<drv>-layers of a split image store, or NULL */
};
struct image_set {
	struct store_set set;
	struct record_set *table;
	char *dir;
	int fd;
};
struct container_set {
	struct store_set set;
	struct record_set *table;
	char *dir, *run_dir;
	int fd, run_fd;
};

/* What is slow to delete, collected under the locks and freed after them. */
struct trash {
	struct driver_trash *driver;
	struct tempdir *metadata;
	const cst_progress *progress; /* of the removal; may be NULL */
};
void trash_free(struct trash *trash);
#define _cleanup_trash_ _cleanup_(trash_free)
/* The first call of a deletion's progress, while it can still be given up: CST_ECANCELED. */
int trash_announce(const struct trash *trash, cst_error **error);

struct cst_store {
	char *graph_root, *run_root, *image_store;
	char *graph_root_origin, *run_root_origin; /* for messages; NULL: the caller's own choice */
	struct strv driver_options;
	struct idmaps maps; /* defaults of new layers */
	bool disable_volatile, transient, read_only;

	struct lockfile *graph_lock;
	struct lockfile *userns_lock; /* before all others: ids are being chosen for a container */
	pthread_mutex_t graph_mutex;  /* lazily opened parts */
	struct lock_token graph_token;
	struct driver *_Atomic driver; /* replaced under the graph lock; others read it meanwhile */
	struct driver **retired_drivers; /* of before a shutdown by somebody else */
	size_t n_retired_drivers, retired_capacity;
	struct pool *pool; /* started with the first unpacking */

	struct layer_set layers;
	struct image_set images;
	struct container_set containers;
	struct additional_store *additional;
	size_t n_additional;
	struct journal layer_journal, image_journal, container_journal;
	struct trash trash; /* of a repair while the layers were being loaded for writing */
};

/* ---- roots: core/roots.c ---- */

/* A root that the options leave out comes from the configuration; none given at all is an error. */
int store_find_roots(cst_store *store, const cst_store_options *options, cst_error **error);
/* Makes them, or if the store is only read, sees that the graph root is there. */
int store_open_roots(cst_store *store, cst_error **error);
/* Opening the store failed with `code` after the roots were there. If this process may not write to
 * one of them, the message says where that root comes from. Returns the code. */
int store_blame_root(const cst_store *store, int code, cst_error **error);

/* ---- additional stores ---- */

int additional_open(cst_store *store, cst_error **error);
void additional_close(cst_store *store);

/* Where a record was found. */
struct layer_source {
	struct record_set *table;
	int fd; /* of its <drv>-layers */
	const char *dir;
	bool foreign;
};
/* In this store, then in the additional ones; the layers must be held. NULL: nowhere. `source` may
 * be NULL. */
const cst_layer *layer_find(cst_store *store, const char *id,
                            struct layer_source *source); /* ID, name or prefix */
const cst_layer *layer_get(cst_store *store, const char *id,
                           struct layer_source *source); /* exact ID */
struct image_source {
	int fd;
	const char *dir;
	bool foreign,
	        own; /* own: in the graph root of a split store, to be deleted but not changed */
};
const cst_image *image_find(cst_store *store, const char *id, struct image_source *source);

/* ---- holding a set. *held is set on success and released at the end of the scope. ---- */

/* Fresh records, mutex held, lock file given back (read) or held exclusively (write). A store that
 * is read-only refuses to write with CST_ESTORE_READ_ONLY. */
int layers_read(cst_store *store, cst_store **held, cst_error **error);
int layers_write(cst_store *store, cst_store **held, cst_error **error);
int images_read(cst_store *store, cst_store **held, cst_error **error);
int images_write(cst_store *store, cst_store **held, cst_error **error);
int containers_read(cst_store *store, cst_store **held, cst_error **error);
int containers_write(cst_store *store, cst_store **held, cst_error **error);
/* As layers_read, but the lock file stays locked: for opening what a record points at. */
int layers_read_locked(cst_store *store, cst_store **held, cst_error **error);
int images_read_locked(cst_store *store, cst_store **held, cst_error **error);
int containers_read_locked(cst_store *store, cst_store **held, cst_error **error);

void layers_read_done(cst_store **held);
void layers_write_done(cst_store **held);
void layers_read_locked_done(cst_store **held);
void images_read_done(cst_store **held);
void images_read_locked_done(cst_store **held);
void containers_read_locked_done(cst_store **held);
void images_write_done(cst_store **held);
void containers_read_done(cst_store **held);
void containers_write_done(cst_store **held);
#define _cleanup_layers_read_            _cleanup_(layers_read_done)
#define _cleanup_layers_write_           _cleanup_(layers_write_done)
#define _cleanup_layers_read_locked_     _cleanup_(layers_read_locked_done)
#define _cleanup_images_read_            _cleanup_(images_read_done)
#define _cleanup_images_read_locked_     _cleanup_(images_read_locked_done)
#define _cleanup_images_write_           _cleanup_(images_write_done)
#define _cleanup_containers_read_        _cleanup_(containers_read_done)
#define _cleanup_containers_read_locked_ _cleanup_(containers_read_locked_done)
#define _cleanup_containers_write_       _cleanup_(containers_write_done)

/* Saves the layers' records; both tokens are written where two lock files guard them. */
int layers_save(cst_store *store, cst_error **error);
/* <root>/<driver>-<kind>, the caller's; NULL when out of memory. */
char *kind_path(const char *root, const cst_store *store, const char *kind);
/* Opens <drv>-layers with its locks and table, if that was not done yet. */
int layers_need(cst_store *store, cst_error **error);
/* All records, those of additional stores too, of a set that is held. */
int layers_list(cst_store *store, cst_layer_list **ret, cst_error **error);
int images_list(cst_store *store, cst_image_list **ret, cst_error **error);
int containers_list(cst_store *store, cst_container_list **ret, cst_error **error);
/* The worker pool, made at first use. */
int store_pool(cst_store *store, struct pool **ret, cst_error **error);
/* Notices that another process shut the driver down, and opens it again. */
int store_refresh_driver(cst_store *store, cst_error **error);

/* ---- pieces that several operations share ---- */

/* The record for `id` or CST_E*_UNKNOWN; the set must be held. */
int layer_must(cst_store *store, const char *id, const cst_layer **ret, cst_error **error);
int image_must(cst_store *store, const char *id, const cst_image **ret, cst_error **error);
int container_must(cst_store *store, const char *id, const cst_container **ret, cst_error **error);

/* Is it the image's top layer, or a mapped copy of that? */
bool image_has_top_layer(const cst_image *image, const char *layer);

/* A strings array of an options struct, without repetitions. */
int names_unique(const char *const *names, size_t n, struct strv *ret, cst_error **error);
struct strings strings_of(const struct strv *v);

/* The private directory of an image or container, inside of its own. */
#define USERDATA "userdata"

/* What is left of layers, images or containers that have no record: content, tar-split, data. The
 * layers must be held for writing. */
int layer_remove_metadata(cst_store *store, const char *id, struct trash *trash,
                          cst_error **error); /* all but content */
int layer_remove_files(cst_store *store, const char *id, const char *note, struct trash *trash,
                       cst_error **error);
int image_remove_files(cst_store *store, const char *id, struct trash *trash, cst_error **error);
int image_remove_userdata(cst_store *store, const char *root, const char *id, cst_error **error);
int container_remove_files(cst_store *store, const char *id, struct trash *trash,
                           cst_error **error);
/* A staging place for files that end up in the graph root's metadata directories; made at first
 * use. */
int metadata_stage(cst_store *store, struct tempdir **stage, cst_error **error);

/* Finishes or undoes what a dead process announced in a journal. All three sets must be free. */
int journals_recover(cst_store *store, cst_error **error);
/* The same for our own announcement after a step failed, by what is on disk now: the sets given are
 * held for writing (the others not looked at) and are loaded again. If even that fails the
 * announcement stays for the next opener. */
enum { SETTLE_LAYERS = 1, SETTLE_IMAGES = 2, SETTLE_CONTAINERS = 4 };
void journal_settle(cst_store *store, struct journal *journal, const struct intents *intents,
                    unsigned sets, struct trash *trash);
/* Loads a set that is held for writing again. */
int set_reload(cst_store *store, struct store_set *set, cst_error **error);

#endif
