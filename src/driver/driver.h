/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a storage driver does for the store: it keeps each layer's files, builds new layers out of sight, makes them visible,
 * and takes them away the same way. A driver knows nothing of records, names or policies; the store knows nothing of how a
 * driver keeps its layers.
 *
 * Each operation says which of the store's locks its caller holds: G is the graph lock, L the layers', M the mount points'
 * (docs/format/store.md, "Lock files and order"); "r" is shared, "w" exclusive. "No lock" means that none is needed and
 * that none may be held, because the call can be slow: it unpacks, copies, compares or removes trees, or runs a program.
 * What is called with a lock held is quick: a few renames, small files, a mount (docs/design.md, "Concurrency", says what a
 * driver that cannot be quick will need).
 *
 * A function succeeds whole, or returns a negative CST_E... code and leaves its out-parameters as they were. An answer
 * "no" is not an error, and an I/O error is never an answer.
 */
#ifndef CST_DRIVER_DRIVER_H
#define CST_DRIVER_DRIVER_H

#include "archive/pack/pack.h"
#include "archive/unpack/unpack.h"
#include "base/str.h"
#include "driver/kept.h"
#include "idmap/idmap.h"

struct driver;
struct driver_staged;
struct driver_trash;
struct driver_view;
struct fs_watch;

/* What a driver can do that not every driver can. */
enum driver_capability {
	DRIVER_REOWNS_PARENT = 1 << 0, /* stage() can give the parent's content to other ids */
	DRIVER_WHOLE_TREES = 1 << 1,   /* a layer's content is its whole root file system, not only what it changes */
	DRIVER_QUOTA = 1 << 2,         /* set_quota() is there */
	DRIVER_DEDUP = 1 << 3,         /* dedup() is there */
};

struct driver_config {
	const char *graph_root, *run_root; /* absolute */
	const char *image_store;           /* NULL: none */
	const char *const *options;        /* "[driver.]key=value" of the user */
	size_t n_options;
	bool read_only;                    /* make nothing, mount nothing */
	bool as_upstream;                  /* select as 1.64 does */
	bool general_options;              /* pass over an option without a driver's name that this driver lacks */
	struct pool *pool;                 /* for parallel work; NULL: none */
};

/* Which content a layer has: an opaque text of the driver, made of letters, digits, '-' and '.'. Two contents that exist at
 * the same time, and can be that of the same layer, have different ones; the same content has the same one after a reboot. */
#define DRIVER_IDENTITY_MAX 80
struct driver_identity {
	char text[DRIVER_IDENTITY_MAX];
};

/* How a layer's content is kept. All that this build makes is directories; content of another kind, which another program
 * left, it refuses with CST_ENOTSUP and the layer's ID, wherever it would be read, mounted or changed. A layer of any kind can
 * be listed, found and removed, and be a parent. */
enum driver_content {
	DRIVER_CONTENT_DIRECTORY,    /* of files with their names and attributes */
	DRIVER_CONTENT_IMAGE,        /* an EROFS image of names and attributes; the data are in a directory that it refers to */
	DRIVER_CONTENT_VERITY_IMAGE, /* the same with digests in it, which the kernel holds the data against */
	DRIVER_CONTENT_DATA,         /* such a directory of data: below all others in a mount, reached through images only */
};

struct driver_stage_options {
	const char *parent;   /* ID of an existing layer, NULL: none */
	const char *mount_label;
	const struct idmaps *maps; /* of the new layer; NULL: none */
	const struct idmaps *parent_maps; /* that the parent's content was stored with; others than `maps`: it is re-owned */
	bool writable;        /* of a container */
	const char *const *storage_options; /* "size=...", quota; writable only */
	size_t n_storage_options;
};

struct driver_view_maps { /* of the content on disk; NULL: unmapped */
	const struct idmaps *maps, *from_maps;
};

struct driver_mount_options {
	const char *label;
	const struct idmaps *maps;   /* map at mount time; NULL: none */
	const char *const *options;  /* replace the configured mountopt when given; "ro" mounts read-only */
	size_t n_options;
	bool is_volatile;
};

/* What the store wants of an unpacking. All else (whiteouts, masks, user namespaces) is the driver's own affair. */
struct driver_unpack_policy {
	struct pool *pool;               /* NULL: one thread */
	const cst_progress *progress;
	const char *original_digest;     /* of the stream, trusted and then not computed; NULL: computed */
	const char *uncompressed_digest; /* of the plain tar, the same */
	int tarsplit_fd;                 /* where the tar-split goes; -1: nowhere */
	bool sync;                       /* the content is on disk when the call returns */
};

struct driver_usage { /* of a layer's own content */
	int64_t bytes;  /* of everything but directories, each inode once */
	int64_t inodes;
};

struct driver_quota {
	uint64_t bytes, inodes; /* 0: no limit */
};

struct driver_ops {
	const char *name;
	unsigned capabilities; /* enum driver_capability */

	/* Opens the driver home, making it if needed: probes, home mount. Caller holds G w unless it only reads.
	 * CST_ENOTSUP, CST_EPREREQ, CST_EBACKINGFS make detection try the next driver. */
	int (*open)(const struct driver_config *config, struct driver **ret, cst_error **error);
	/* All of open() that two processes may do at the same time: directories, probes. No lock. The same errors; what it
	 * made is gone if it fails. NULL: always works. */
	int (*probe)(const struct driver_config *config, cst_error **error);
	/* The same where nothing has to be made or mounted first, which is the rule: no lock. 0 and *ret NULL: take G w, and open(). */
	int (*open_ready)(const struct driver_config *config, struct driver **ret, cst_error **error);
	void (*close)(struct driver *d); /* frees the handle; mounts stay */
	/* At shutdown, G w held: stale staging and the home mount go. */
	int (*cleanup)(struct driver *d, cst_error **error);
	/* Removes what crashed processes left in staging areas. No lock: each area's own lock decides. */
	int (*recover)(struct driver *d, cst_error **error);

	/* ---- building a layer ---- */
	/* No lock. An empty layer on top of the parent, where nobody sees it. */
	int (*stage)(struct driver *d, const struct driver_stage_options *options, struct driver_staged **ret, cst_error **error);
	/* No lock; but L w if the copy is to replace the layer's content, or what others write meanwhile is lost. A staged copy
	 * of an existing layer's own content. `maps` (NULL: none): whose ids stage_unpack() gives to files. */
	int (*stage_copy)(struct driver *d, const char *id, const struct idmaps *maps, struct driver_staged **ret,
			  cst_error **error);
	/* L w. No copy: what is unpacked goes straight into the layer, which is mounted and has to change under its users.
	 * Neither commit nor replace; stage_free() removes nothing. */
	int (*stage_in_place)(struct driver *d, const char *id, const struct idmaps *maps, struct driver_staged **ret,
			      cst_error **error);
	/* No lock (of a layer staged in place: L w). Unpacks a layer tar. After a failure the content may be anything, and
	 * ret->fault says what is to blame; *ret is freed by unpack_result_free() after success. */
	int (*stage_unpack)(struct driver_staged *staged, const cst_source *source, const struct driver_unpack_policy *policy,
			    struct unpack_result *ret, cst_error **error);
	/* No lock (in place: L w). Makes the driver's own files of the staged layer durable, and its directories. Content was
	 * synced by stage_unpack(). */
	int (*stage_sync)(struct driver_staged *staged, cst_error **error);
	/* L w, under an intent. The layer appears as `id`; the directories changed are fsynced if `durable`. A leftover without
	 * a record at that place is moved aside first. On failure nothing is visible. */
	int (*stage_commit)(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
	/* Free text that lets remove() find what stage_commit() makes besides <home>/<id> ("" if nothing). */
	const char *(*stage_note)(struct driver_staged *staged);
	/* L w, under an intent. The staged content becomes that of the existing layer `id`, at once; the old content goes with
	 * the staged layer. The directories changed are fsynced if `durable`. */
	int (*stage_replace)(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
	/* L w, by recovery: a stage_replace() that its process did not finish is undone, or finished if only the tidying up is
	 * missing; what is left over goes into *trash. Nothing to do: success. NULL: stage_replace() is a single step. */
	int (*replace_recover)(struct driver *d, const char *id, struct driver_trash **trash, cst_error **error);
	/* Of the content that is staged, and of the content that an existing layer has: equal after stage_replace(). That is how
	 * recovery knows whether a replacement came to pass. Any lock or none. A layer without content: ENOENT. */
	int (*staged_identity)(struct driver_staged *staged, struct driver_identity *ret, cst_error **error);
	int (*content_identity)(struct driver *d, const char *id, struct driver_identity *ret, cst_error **error);
	void (*stage_free)(struct driver_staged *staged); /* no lock: removes what was not committed. NULL allowed */

	/* ---- staged layers that outlive the call: any lock or none ---- */
	/* Names the staged layer: opaque, unique while it exists. Borrowed from it. */
	const char *(*staged_id)(struct driver_staged *staged);
	/* Hands a staged layer over to the driver, under its ID, until somebody adopts or discards it, or the driver is closed.
	 * On failure it stays the caller's. */
	int (*stage_keep)(struct driver *d, struct driver_staged *staged, char **ret_id, cst_error **error);
	int (*stage_list)(struct driver *d, struct strv *ids, cst_error **error); /* those kept, oldest first */
	/* Gives it back: from now on it is the caller's, as from stage(). CST_ELAYER_UNKNOWN. */
	int (*stage_adopt)(struct driver *d, const char *id, struct driver_staged **ret, cst_error **error);
	/* Removes it. No lock: slow. CST_ELAYER_UNKNOWN. */
	int (*stage_discard)(struct driver *d, const char *id, cst_error **error);

	/* ---- taking one away ---- */
	/* L w. Unmounts the layer whatever its count and moves it out of sight into *trash, which is made if it is NULL (one
	 * trash takes many layers). Where the disk is too full for that it is removed at once, however long it takes: a full
	 * disk must be emptied. Missing parts are no error. `note`: from stage_note() of a half-made layer; else NULL. */
	int (*remove)(struct driver *d, const char *id, const char *note, struct driver_trash **trash, bool durable,
		      cst_error **error);
	/* No lock, all three. How many names there are to remove, for the progress. */
	uint64_t (*trash_count)(const struct driver_trash *trash);
	/* Removes them; `watch` (NULL: nobody) is told of each. What cannot be removed stays for trash_free(). */
	void (*trash_empty)(struct driver_trash *trash, const struct fs_watch *watch);
	/* Removes what is left, complaining about what cannot be, and frees. NULL allowed. */
	void (*trash_free)(struct driver_trash *trash);

	/* ---- looking: any lock or none ---- */
	int (*exists)(struct driver *d, const char *id, bool *ret, cst_error **error);
	int (*list)(struct driver *d, struct strv *ids, cst_error **error); /* own layers, sorted */
	int (*status)(struct driver *d, struct strv *pairs, cst_error **error); /* key, value, ... */
	/* Directories of a layer: key, value, ...; the one with its own content is UpperDir or Directory. CST_ELAYER_UNKNOWN. */
	int (*paths)(struct driver *d, const char *id, struct strv *pairs, cst_error **error);
	/* The directory with the layer's own content, to read; of layers of additional stores, too. */
	int (*content_open)(struct driver *d, const char *id, int *ret_fd, cst_error **error);
	const struct strv *(*image_stores)(struct driver *d); /* graph roots of additional read-only stores, in order */
	/* Sets the error that the Go driver has for a layer it does not find, under whatever name it was asked: to compare with,
	 * or `as_parent` of a new one. Returns it. */
	int (*missing)(struct driver *d, const char *name, bool as_parent, cst_error **error);
	/* Maps ids at mount time? An error if it could not be found out: what depends on it would come out different. */
	int (*supports_shifting)(struct driver *d, const struct idmaps *maps, bool *ret, cst_error **error);

	/* ---- measuring and limiting: no lock, slow ---- */
	int (*usage)(struct driver *d, const char *id, struct driver_usage *ret, cst_error **error);
	/* L w. Limits what a container's layer may hold, from now on. Only with DRIVER_QUOTA, else NULL; the store then refuses
	 * a size. */
	int (*set_quota)(struct driver *d, const char *id, const struct driver_quota *quota, cst_error **error);
	/* Lets equal files of these layers share their blocks; *saved: bytes. Only with DRIVER_DEDUP, else NULL. */
	int (*dedup)(struct driver *d, const struct strv *ids, const cst_progress *progress, uint64_t *saved, cst_error **error);

	/* ---- mounting: G w, L w, M w ---- */
	int (*get)(struct driver *d, const char *id, const struct driver_mount_options *options, char **ret_path, cst_error **error);
	int (*put)(struct driver *d, const char *id, cst_error **error); /* not mounted: success */
	/* An O_PATH descriptor of the root of what is mounted at `path`, which a record says is this layer's mount point; *ret_fd
	 * is -1 if the layer is not mounted there. Never another store's mount: a record may have come from a store that shares
	 * the run root, or be of before this one was moved. `path` NULL: at the place where get() mounts it, whatever the records
	 * say. L r is enough. */
	int (*mount_open)(struct driver *d, const char *id, const char *path, int *ret_fd, cst_error **error);

	/* ---- reading a layer ---- */
	/* L r for opening, which is quick; reading the view is slow and takes no lock. A view of `id` against layer `from` (NULL:
	 * nothing below; equal to its parent: the cheap, native way). `maps` NULL:
	 * both are unmapped. */
	int (*view_open)(struct driver *d, const char *id, const char *from, const struct driver_view_maps *maps,
			 struct driver_view **ret, cst_error **error);
	int (*view_diff)(struct driver_view *view, const cst_sink *sink, const cst_progress *progress, cst_error **error);
	int (*view_changes)(struct driver_view *view, struct cst_changes *ret, cst_error **error);
	int (*view_size)(struct driver_view *view, int64_t *ret, cst_error **error);
	/* Content for tar-split: a regular file of exactly `size` bytes, own directory first, then the lowers. */
	int (*view_open_content)(struct driver_view *view, const char *name, int64_t size, cst_error **error);
	void (*view_close)(struct driver_view *view);
};

struct driver { /* first member of every driver's own struct */
	const struct driver_ops *ops;
	char *home;     /* <graph_root>/<name> */
	char *run_home; /* <run_root>/<name> */
	bool sync_content; /* unpack durably; off only with sync=none given by the user */
	struct driver_kept kept;
};

/* Whether mount_open() finds the layer mounted. */
static inline int driver_is_mounted(struct driver *d, const char *id, const char *path, bool *ret, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = d->ops->mount_open(d, id, path, &fd, error);
	if (r == 0)
		*ret = fd >= 0;
	return r;
}

struct driver_trash { /* first member of every driver's own struct */
	const struct driver_ops *ops;
};

/* The driver named, or the one detected: drivers that have a home there, then the first of the priority list whose probe()
 * succeeds. All messages of docs/format/drivers.md, "Selection". `name` NULL or "": detect. No lock needed. */
int driver_select(const char *name, const char *const *priority, size_t n_priority, const struct driver_config *config,
		  const struct driver_ops **ret, cst_error **error);

extern const struct driver_ops overlay_driver;
extern const struct driver_ops overlay2_driver; /* overlay under its other name, which is that of its home */
extern const struct driver_ops vfs_driver;

#endif
