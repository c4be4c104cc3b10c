/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a storage driver does for the store: keeps each layer's files, builds new ones out of sight, makes them visible with
 * a rename, and takes them away the same way. A driver knows nothing of records, names or policies. Which lock the store
 * holds around a call is said at each function; "no lock" calls may be slow (docs/format/drivers.md).
 */
#ifndef CST_DRIVER_DRIVER_H
#define CST_DRIVER_DRIVER_H

#include "archive/pack/pack.h"
#include "archive/unpack/unpack.h"
#include "base/str.h"
#include "idmap/idmap.h"

struct driver;
struct driver_staged;
struct driver_view;
struct tempdir;

struct driver_config {
	const char *graph_root, *run_root; /* absolute */
	const char *image_store;           /* NULL: none */
	const char *const *options;        /* "[driver.]key=value" of the user */
	size_t n_options;
	bool read_only;                    /* make nothing, mount nothing */
	struct pool *pool;                 /* for parallel work; NULL: none */
};

/* Which content a layer has: an opaque text of the driver, made of letters, digits, '-' and '.'. Two contents that exist at
 * the same time, and can be that of the same layer, have different ones; the same content has the same one after a reboot. */
#define DRIVER_IDENTITY_MAX 80
struct driver_identity {
	char text[DRIVER_IDENTITY_MAX];
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

struct driver_ops {
	const char *name;
	bool reowns_parent; /* stage() can give the parent's content to other ids */

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

	/* ---- building a layer: no lock until commit ---- */
	int (*stage)(struct driver *d, const struct driver_stage_options *options, struct driver_staged **ret, cst_error **error);
	int (*staged_fd)(struct driver_staged *staged); /* directory to unpack into; stays the staged layer's */
	/* Fills in how unpack_layer() must behave for this driver (whiteouts, userns, force_mask, ...). */
	void (*unpack_options)(struct driver *d, const struct driver_stage_options *options, struct unpack_options *ret);
	/* Makes the driver's own files of the staged layer durable, and its directories. Content was synced by unpack. */
	int (*stage_sync)(struct driver_staged *staged, cst_error **error);
	/* L w, under an intent: the layer appears as `id`; the directories changed are fsynced if `durable`. A leftover
	 * without a record at that place is moved aside first. On failure nothing is visible. */
	int (*stage_commit)(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
	/* Free text that lets remove_leftover() find what stage_commit() makes besides <home>/<id> ("" if nothing). */
	const char *(*stage_note)(struct driver_staged *staged);
	void (*stage_free)(struct driver_staged *staged); /* NULL allowed; no lock: removes what was not committed */

	/* A staged copy of an existing layer's own content, to be changed and put in its place. No lock. */
	int (*stage_copy)(struct driver *d, const char *id, struct driver_staged **ret, cst_error **error);
	/* L w, under an intent: the staged content becomes that of the existing layer `id` by one exchange of names; the old
	 * content goes with the staging area. The directories changed are fsynced if `durable`. */
	int (*stage_replace)(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
	/* Of the content that is staged, and of the content that an existing layer has: equal after stage_replace(). That is how
	 * recovery knows whether a replacement came to pass. Any lock or none. A layer without content: ENOENT. */
	int (*staged_identity)(struct driver_staged *staged, struct driver_identity *ret, cst_error **error);
	int (*content_identity)(struct driver *d, const char *id, struct driver_identity *ret, cst_error **error);
	/* The layer's own content directory. */
	int (*content_open)(struct driver *d, const char *id, int *ret_fd, cst_error **error);

	/* ---- taking one away ---- */
	/* L w: unmounts it whatever its count, moves it out of sight into a fresh *trash (one trash serves several layers: pass
	 * it again). Missing parts are no error. `note`: as from stage_note of a half-made layer, NULL otherwise. */
	int (*remove)(struct driver *d, const char *id, const char *note, struct tempdir **trash, bool durable, cst_error **error);

	/* ---- looking ---- */
	bool (*exists)(struct driver *d, const char *id);
	int (*list)(struct driver *d, struct strv *ids, cst_error **error); /* own layers, sorted */
	int (*status)(struct driver *d, struct strv *pairs, cst_error **error); /* key, value, ... */
	/* Directories of a layer: key, value, ...; the one with its own content is UpperDir or Directory. CST_ELAYER_UNKNOWN. */
	int (*paths)(struct driver *d, const char *id, struct strv *pairs, cst_error **error);
	const struct strv *(*image_stores)(struct driver *d); /* graph roots of additional read-only stores, in order */
	/* Sets the error that the Go driver has for a layer it does not find, under whatever name it was asked: to compare with,
	 * or `as_parent` of a new one. Returns it. */
	int (*missing)(struct driver *d, const char *name, bool as_parent, cst_error **error);
	/* Maps ids at mount time? An error if it could not be found out: what depends on it would come out different. */
	int (*supports_shifting)(struct driver *d, const struct idmaps *maps, bool *ret, cst_error **error);

	/* ---- mounting: G w, L w, M w ---- */
	int (*get)(struct driver *d, const char *id, const struct driver_mount_options *options, char **ret_path, cst_error **error);
	int (*put)(struct driver *d, const char *id, cst_error **error); /* not mounted: success */
	/* Is something mounted at the path get() gave (or would give)? Reads the kernel's mount table. */
	bool (*is_mounted)(struct driver *d, const char *id);

	/* ---- reading a layer: open under L r, then read without any lock ---- */
	/* A view of `id` against layer `from` (NULL: nothing below; equal to its parent: the cheap, native way). `maps` NULL:
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
};

/* The driver named, or the one detected: drivers that have a home there, then the first of the priority list whose probe()
 * succeeds. All messages of docs/format/drivers.md, "Selection". `name` NULL or "": detect. No lock needed. */
int driver_select(const char *name, const char *const *priority, size_t n_priority, const struct driver_config *config,
		  const struct driver_ops **ret, cst_error **error);

/* One option, checked: skips those of other drivers (*skip), lower-cases the key. CST_EINVAL with Go's messages. The two
 * strings are the caller's. */
int driver_parse_option(const char *driver, const char *option, char **key, char **value, bool *skip, cst_error **error);

extern const struct driver_ops overlay_driver;
extern const struct driver_ops vfs_driver;

#endif
