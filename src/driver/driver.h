/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a storage driver does for the store: it keeps each layer's files, builds new layers out of sight, makes them visible,
 * and moves them out of sight again to remove them. A driver knows nothing of records, names or policies; the store knows
 * nothing of how a driver keeps its layers.
 *
 * Each operation says which of the store's locks its caller holds: G is the graph lock, L the layers', M the mount points'
 * (docs/format/store.md, "Lock files and order"); "r" is shared, "w" exclusive. "No lock" means that the caller needs none
 * and must not hold one, because the call can be slow: it unpacks, copies, compares or removes trees, or runs a program. What
 * is called with a lock held is quick: a few renames, small files, a mount (docs/design.md, "Concurrency", says what a driver
 * that cannot be quick will need).
 *
 * A function succeeds as a whole, or returns a negative CST_E... code and leaves its out-parameters as they were. The answer
 * "no" is not an error, and an I/O error is never an answer.
 */
#ifndef CST_DRIVER_DRIVER_H
#define CST_DRIVER_DRIVER_H

#include "archive/pack/pack.h"
#include "archive/unpack/unpack.h"
#include "base/fs_later.h"
#include "base/str.h"
#include "idmap/idmap.h"
#include "lock/tempdir.h"

struct driver;
struct driver_staged;
struct driver_trash;
struct driver_view;
struct fs_watch;

/* What a driver can do that not every driver can. */
enum driver_capability {
	DRIVER_REOWNS_PARENT = 1 << 0, /* stage() can give the parent's content to other ids */
	DRIVER_WHOLE_TREES = 1 << 1,   /* a layer's content is its whole root file system, not only what it changes */
	DRIVER_DEDUP = 1 << 2,         /* it has shareable() */
};

struct driver_config {
	const char *graph_root, *run_root; /* absolute */
	const char *image_store;           /* NULL: none */
	const char *const *options;        /* "[driver.]key=value" of the user */
	size_t n_options;
	bool read_only;                    /* the driver makes nothing and mounts nothing */
	bool as_upstream;                  /* driver_select() chooses as 1.64 does */
	bool general_options;              /* the driver passes over an option that it lacks and that names no driver */
	struct pool *pool;                 /* for parallel work; NULL: none */
};

/* Tells which content a layer has: an opaque text of the driver, made of letters, digits, '-' and '.'. Two contents that exist
 * at the same time and can both become that of one layer have different texts. A content keeps its text after a reboot. */
#define DRIVER_IDENTITY_MAX 80
struct driver_identity {
	char text[DRIVER_IDENTITY_MAX];
};

/* How a layer's content is kept. An image can be mounted and read, but not written to; where the layer's directory is asked for,
 * it is refused with CST_ENOTSUP and the layer's ID. */
enum driver_content {
	DRIVER_CONTENT_DIRECTORY,    /* of files with their names and attributes */
	DRIVER_CONTENT_IMAGE,     /* an EROFS image of names and attributes; the data are in a directory that it refers to */
	DRIVER_CONTENT_FOREIGN,   /* a directory of an additional layer store, which is only read */
	DRIVER_CONTENT_DATA,      /* such a directory of data: below all others in a mount, reached through images only */
};

struct driver_stage_options {
	const char *parent;   /* ID of an existing layer; NULL: none */
	const char *mount_label;
	const struct idmaps *maps; /* of the new layer; NULL: none */
	const struct idmaps *parent_maps; /* of the parent's content; if they differ from `maps`, it gets other owners */
	/* One of several layers that one change commits, the parents first. stage_sync() leaves the content to stage_barrier(),
	 * and gives back the descriptors of the staged layer. */
	bool of_image;
	/* The parent, if that is one of them: it gets the ID `parent`, and lives longer than the new layer. Both have the same maps,
	 * and are in one staging area. NULL: the parent exists. */
	struct driver_staged *staged_parent;
	bool writable;        /* the layer is a container's */
	const char *const *storage_options; /* "size=...", a quota; of writable layers only */
	size_t n_storage_options;
};

struct driver_view_maps { /* of the content on disk; NULL: unmapped */
	const struct idmaps *maps, *from_maps;
};

struct driver_mount_options {
	const char *label;
	const struct idmaps *maps;   /* to map ids by when the layer is mounted; NULL: none */
	const char *const *options;  /* if there are any they replace the configured mountopt; "ro" mounts read-only */
	size_t n_options;
	bool is_volatile;
};

/* What the store wants when an archive is unpacked. The driver alone decides the rest: whiteouts, masks, user namespaces. */
struct driver_unpack_policy {
	struct pool *pool;               /* NULL: one thread */
	const cst_progress *progress;
	const char *original_digest;     /* of the stream; it is trusted and not computed; NULL: compute it */
	const char *uncompressed_digest; /* the same for the plain tar */
	int tarsplit_fd;                 /* where the tar-split goes; -1: nowhere */
	const struct unpack_clone *clone; /* NULL: nobody */
	const cst_sink *copy;            /* as in struct unpack_options */
	bool sync;                       /* the content is on disk when the call returns; or after stage_barrier() */
	/* Of a layer with a parent that is staged, too: waits until the parent has all of its content, and those before it. It is
	 * called before something of that is read, from any thread. */
	int (*await_parent)(void *userdata, cst_error **error);
	void *await_userdata;
};

/* How somebody else than stage_unpack() fills a staged layer. */
struct driver_filling {
	int fd; /* the root directory of its content */
	enum unpack_whiteouts whiteouts;
	int force_mask; /* -1: none */
	bool userns, ignore_chown_errors; /* as in struct unpack_options */
};

struct driver_usage { /* of a layer's own content */
	int64_t bytes;  /* of all files but directories; each inode counts once */
	int64_t inodes;
};

struct driver_quota {
	uint64_t bytes, inodes; /* 0: no limit */
};

/* What inspect() finds. */
enum driver_part {
	DRIVER_LINK,        /* the short name by which other layers know this one */
	DRIVER_PARENTS,     /* the list of what it is built on */
	DRIVER_DIRECTORIES, /* those that a mount needs */
};
struct driver_flaw {
	enum driver_part part;
	bool mended;
	char *text; /* "its link l/ABC is missing" */
};
struct driver_flaws {
	struct driver_flaw *items;
	size_t len, capacity;
};
/* Takes the text; NULL is out of memory. */
int driver_flaws_add(struct driver_flaws *flaws, enum driver_part part, bool mended, char *text, cst_error **error);
void driver_flaws_free(struct driver_flaws *flaws);

struct driver_inspection {
	const struct strv *ancestors; /* by the records, the parent first; NULL: one of them has no record */
	const struct idmaps *maps;    /* of the layer; NULL: none */
	bool mend;
};

struct driver_ops {
	const char *name;
	unsigned capabilities; /* enum driver_capability */

	/* G w, or no lock for a store that is only read. Opens the driver's home; makes it if it is missing, tries out what works
	 * there, and mounts it. CST_ENOTSUP, CST_EPREREQ and CST_EBACKINGFS make detection try the next driver. */
	int (*open)(const struct driver_config *config, struct driver **ret, cst_error **error);
	/* No lock. The part of open() that two processes may do at the same time: it makes directories and tries out what works.
	 * The same errors; if it fails, it removes what it made. NULL: this driver always works. */
	int (*probe)(const struct driver_config *config, cst_error **error);
	/* No lock. open() where nothing has to be made or mounted, which is the rule. 0 with *ret NULL: there is something to do,
	 * so the caller takes G w and calls open(). */
	int (*open_ready)(const struct driver_config *config, struct driver **ret, cst_error **error);
	void (*close)(struct driver *d); /* frees the handle; what is mounted stays mounted */
	/* G w. At shutdown: takes away stale staging areas and the mount of the home. */
	int (*cleanup)(struct driver *d, cst_error **error);
	/* No lock. Removes what dead processes left in staging areas; the lock of each area tells if its process is alive. */
	int (*recover)(struct driver *d, cst_error **error);

	/* ---- building a layer ---- */
	/* No lock. Makes an empty layer on top of the parent, where nobody sees it. */
	int (*stage)(struct driver *d, const struct driver_stage_options *options, struct driver_staged **ret, cst_error **error);
	/* Copies an existing layer's own content into a staged layer. No lock; but L w if the copy is to replace that content, or
	 * what others write meanwhile is lost. `maps` (NULL: none) are the ids that stage_unpack() gives to files. */
	int (*stage_copy)(struct driver *d, const char *id, const struct idmaps *maps, struct driver_staged **ret,
			  cst_error **error);
	/* L w. Copies nothing: stage_unpack() writes straight into the layer, which is mounted and has to change under its users.
	 * The caller neither commits nor replaces it, and stage_free() removes nothing. */
	int (*stage_in_place)(struct driver *d, const char *id, const struct idmaps *maps, struct driver_staged **ret,
			      cst_error **error);
	/* No lock; L w for a layer staged in place. Unpacks a layer tar. After a failure the content may be anything, and
	 * ret->fault says what is to blame. After success the caller frees *ret with unpack_result_free(). */
	int (*stage_unpack)(struct driver_staged *staged, const cst_source *source, const struct driver_unpack_policy *policy,
			    struct unpack_result *ret, cst_error **error);
	/* No lock. Opens the content of a layer of stage() to somebody else, who fills it and syncs it before stage_sync(). The caller
	 * closes ret->fd. NULL: only stage_unpack() can fill it. */
	int (*stage_open)(struct driver_staged *staged, struct driver_filling *ret, cst_error **error);
	/* No lock. The content is there: the driver may keep it as an image and objects, if it is to, or if it is new content of the layer
	 * `of` (NULL: of a new one) and that is one. *is_image: it is one now. NULL: no image is made. */
	int (*stage_as_image)(struct driver_staged *staged, const char *of, bool *is_image, cst_error **error);
	/* No lock; L w for a layer staged in place. Makes the driver's own files of the staged layer durable, and its directories.
	 * stage_unpack() has synced the content. */
	int (*stage_sync)(struct driver_staged *staged, cst_error **error);
	/* No lock. For the layers of an image, one after the other, when all have their content: the layer takes over from its
	 * staged parent what a new layer has from its parent. NULL: stage() did that, since the parent had its content by then. */
	int (*stage_settle)(struct driver_staged *staged, cst_error **error);
	/* No lock. All layers of an image, of which this is one, become durable, and so does what is below the directory `also_fd`. */
	int (*stage_barrier)(struct driver_staged *staged, int also_fd, cst_error **error);
	/* No lock. Does beforehand what of stage_commit() is slow. That `id` is free is not sure yet. NULL: nothing is slow. */
	int (*stage_prepare)(struct driver_staged *staged, const char *id, cst_error **error);
	/* L w, announced by an intent. The layer appears as `id`. `durable`: the driver fsyncs the directories that it changed.
	 * What has no record and is in the way is moved aside first. After a failure nothing is visible. */
	int (*stage_commit)(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
	/* A text by which remove() finds what stage_commit() makes besides <home>/<id>; "" if it makes nothing else. */
	const char *(*stage_note)(struct driver_staged *staged);
	/* L w, announced by an intent. The staged content, of stage_copy() or of stage(), becomes that of the existing layer `id`,
	 * in one step. What else stage() makes of a layer does not count. stage_free()
	 * removes the old content. `durable`: as above. */
	int (*stage_replace)(struct driver_staged *staged, const char *id, bool durable, cst_error **error);
	/* L w. Recovery undoes a stage_replace() whose process died, or finishes it if the new content is in place. What is left
	 * over goes into *trash. Nothing to do is success. NULL: stage_replace() is a single step. */
	int (*replace_recover)(struct driver *d, const char *id, struct driver_trash **trash, cst_error **error);
	/* Any lock or none. The identity of staged content, and that of an existing layer's content. They are equal after
	 * stage_replace(), which is how recovery knows if the replacement was made. A layer without content: ENOENT. */
	int (*staged_identity)(struct driver_staged *staged, struct driver_identity *ret, cst_error **error);
	int (*content_identity)(struct driver *d, const char *id, struct driver_identity *ret, cst_error **error);
	void (*stage_free)(struct driver_staged *staged); /* no lock; removes what was not committed; NULL allowed */

	/* ---- staged layers that outlive the process: any lock or none ---- */
	/* The ID of the staged layer: opaque, unique while it exists, borrowed from it. */
	const char *(*staged_id)(struct driver_staged *staged);
	/* A staged layer that is filled and synced outlives this process from now on, and stage_free() leaves it. `write` puts what
	 * the caller wants to know later into a directory: KEPT_STATE with it (lock/tempdir.h), on disk when it returns. NULL, all five: not
	 * with this driver. */
	int (*stage_keep)(struct driver_staged *staged, tempdir_write write, void *userdata, cst_error **error);
	int (*stage_list)(struct driver *d, struct strv *ids, cst_error **error); /* of those that are kept */
	/* One of them becomes this process's, and stays kept; *ret_fd is the directory that was written. It can be committed, replace
	 * content or be freed, not be filled. CST_ELAYER_UNKNOWN, CST_EBUSY: another process has it. */
	int (*stage_adopt)(struct driver *d, const char *id, struct driver_staged **ret, int *ret_fd, cst_error **error);
	/* It is not kept any more, so that stage_free() removes it. */
	int (*stage_unkeep)(struct driver_staged *staged, cst_error **error);
	/* L w. For recovery, when the process that was committing a kept staged layer as the new layer `id` is dead or failed: the
	 * content goes back. NULL: it is in place, and so the staged layer is not kept any more. Nothing to do is success. */
	int (*stage_resolve)(struct driver *d, const char *staged_id, const char *id, cst_error **error);

	/* ---- additional layer stores: no lock; a store gets 30 seconds for each answer. NULL, all: not with this driver ---- */
	/* Finds the directory of a layer by one of its digests, and by the reference of the image ("": none) where a store goes by
	 * that. *ret is the caller's. CST_ELAYER_UNKNOWN: no store has it. */
	int (*foreign_find)(struct driver *d, const char *digest, const char *reference, char **ret, cst_error **error);
	/* Adds the digests by which the stores show layers, of images with that reference where a store goes by it. A store that makes
	 * layers when they are asked for may show none. */
	int (*foreign_list)(struct driver *d, const char *reference, struct strv *digests, cst_error **error);
	/* The JSON text that describes the layer of that directory, at most 1 MiB of it, which is the caller's; and its blob. */
	int (*foreign_info)(const char *path, char **ret, cst_error **error);
	int (*foreign_blob)(const char *path, int *ret_fd, cst_error **error);
	/* Tells the store that the directory has one user more, until foreign_end(). If this process dies before that, whoever opens our
	 * store next tells it. A store that does not count is not told of. */
	void (*foreign_begin)(struct driver *d, const char *path, struct tempdir **held);
	void (*foreign_end)(const char *path, struct tempdir *held);
	/* The content of an empty new layer is that of this directory. The store is told; stage_free() and remove() tell it, too. */
	int (*stage_foreign)(struct driver_staged *staged, const char *path, cst_error **error);
	/* L r. The directory that a layer has its content from; *ret stays NULL if it has its own. The caller frees it. */
	int (*foreign_of)(struct driver *d, const char *id, char **ret, cst_error **error);

	/* ---- taking one away ---- */
	/* L w. Unmounts the layer whatever its count and moves it out of sight into *trash, which is made if it is NULL (one
	 * trash takes many layers). Where the disk is too full for that it is removed at once, however long it takes: a full
	 * disk must be emptied. Missing parts are no error. `note`: from stage_note() of a half-made layer; else NULL. The
	 * directories that it changed are left to `later`; NULL: they are synced. */
	int (*remove)(struct driver *d, const char *id, const char *note, struct driver_trash **trash, struct fs_later *later,
		      cst_error **error);
	/* No lock, all three. trash_count() tells how many names there are to remove, for the progress. */
	uint64_t (*trash_count)(const struct driver_trash *trash);
	/* Removes them, and tells `watch` (NULL: nobody) of each. What cannot be removed stays for trash_free(). */
	void (*trash_empty)(struct driver_trash *trash, const struct fs_watch *watch);
	/* Removes what is left, logs what cannot be removed, and frees the trash. NULL allowed. */
	void (*trash_free)(struct driver_trash *trash);

	/* ---- looking: any lock or none ---- */
	int (*exists)(struct driver *d, const char *id, bool *ret, cst_error **error);
	int (*list)(struct driver *d, struct strv *ids, cst_error **error); /* layers of this store, sorted */
	int (*status)(struct driver *d, struct strv *pairs, cst_error **error); /* key, value, ... */
	/* A layer's directories: key, value, ... The one with its own content is called UpperDir or Directory. CST_ELAYER_UNKNOWN. */
	int (*paths)(struct driver *d, const char *id, struct strv *pairs, cst_error **error);
	/* L r; to mend L w. Looks at what the driver keeps of a layer besides its content, and if asked for puts right what something
	 * else tells: the parents' and children's own files, and the records. Parents are mended before their children. A layer that
	 * is not there, or not in this store, has no flaws. NULL: the driver keeps nothing else. The caller frees *ret. */
	int (*inspect)(struct driver *d, const char *id, const struct driver_inspection *options, struct driver_flaws *ret,
		       cst_error **error);
	/* The IDs of all that the layer is built on, the parent first. NULL: the driver does not know. The caller frees *ret. */
	int (*ancestors)(struct driver *d, const char *id, struct strv *ret, cst_error **error);
	/* Opens the directory with the layer's own content, to read. The layer may be in an additional store. */
	int (*content_open)(struct driver *d, const char *id, int *ret_fd, cst_error **error);
	/* The same of any kind of content, to look at names and attributes: what is in the files need not be there. NULL: content_open()
	 * will do. */
	int (*names_open)(struct driver *d, const char *id, int *ret_fd, cst_error **error);
	/* Opens the directory of the objects of an image: files named "ab/cdef..." by the sha256 of what they hold. CST_ENOTSUP: the layer
	 * is none. NULL: none is. */
	int (*objects_open)(struct driver *d, const char *id, int *ret_fd, cst_error **error);
	const struct strv *(*image_stores)(struct driver *d); /* graph roots of the additional stores, in their order */
	/* Sets the error of the Go driver for a layer that it does not find, and returns its code. `name` is what the user called
	 * the layer, which was to be compared with, or `as_parent`: to become the parent of a new one. */
	int (*missing)(struct driver *d, const char *name, bool as_parent, cst_error **error);
	/* Can ids be mapped when a layer is mounted? It is an error if the driver could not find out: whose files a new layer has
	 * depends on the answer. */
	int (*supports_shifting)(struct driver *d, const struct idmaps *maps, bool *ret, cst_error **error);

	/* ---- measuring and limiting: no lock, slow ---- */
	int (*usage)(struct driver *d, const char *id, struct driver_usage *ret, cst_error **error);
	/* Tells where the files of a layer are that may share blocks with equal files of other layers: the directory *path, the
	 * caller's, below the directory *root, the driver's. *path is NULL if this store, without the additional ones, has no such
	 * layer. NULL without DRIVER_DEDUP. */
	int (*shareable)(struct driver *d, const char *id, const char **root, char **path, cst_error **error);

	/* ---- mounting: G w, L w, M w ---- */
	int (*get)(struct driver *d, const char *id, const struct driver_mount_options *options, char **ret_path, cst_error **error);
	int (*put)(struct driver *d, const char *id, cst_error **error); /* success if it is not mounted */
	/* L r is enough. A record says that this layer is mounted at `path`: opens the root of that mount with O_PATH. *ret_fd is
	 * -1 if the layer is not mounted there. The driver never opens the mount of another store, although the record may be that
	 * of a store that shares the run root, or be from before the store was moved. `path` NULL: the place where get() mounts
	 * the layer, whatever the records say. */
	int (*mount_open)(struct driver *d, const char *id, const char *path, int *ret_fd, cst_error **error);

	/* ---- reading a layer ---- */
	/* L r to open a view, which is quick. No lock to read it, which is slow. It shows what layer `id` changes against layer
	 * `from`. NULL: against nothing. The parent is the cheap case, which a driver may know natively. `maps` NULL: the ids of
	 * neither are mapped. */
	int (*view_open)(struct driver *d, const char *id, const char *from, const struct driver_view_maps *maps,
			 struct driver_view **ret, cst_error **error);
	int (*view_diff)(struct driver_view *view, const cst_sink *sink, const cst_progress *progress, cst_error **error);
	int (*view_changes)(struct driver_view *view, struct cst_changes *ret, cst_error **error);
	int (*view_size)(struct driver_view *view, int64_t *ret, cst_error **error);
	/* Opens a file for tar-split, a regular one of exactly `size` bytes: of the layer itself, or else of what is below it. */
	int (*view_open_content)(struct driver_view *view, const char *name, int64_t size, cst_error **error);
	/* The root of all that the layer shows, itself and what is below it, of a view against nothing. *ret_fd is the view's. */
	int (*view_tree)(struct driver_view *view, int *ret_fd, cst_error **error);
	void (*view_close)(struct driver_view *view);
};

struct driver { /* first member of every driver's own struct */
	const struct driver_ops *ops;
	char *home;     /* <graph_root>/<name> */
	char *run_home; /* <run_root>/<name> */
	bool marks_are_files; /* whiteouts are kept as an archive has them, since a program reads them */
	bool sync_content; /* what is unpacked is made durable; false only if the user said sync=none */
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

/* Finds the driver of this name; or, with `name` NULL or "", detects it: a driver that has a home in the graph root, else the
 * first of the priority list whose probe() succeeds. The messages are those of docs/format/drivers.md, "Selection". No lock. */
int driver_select(const char *name, const char *const *priority, size_t n_priority, const struct driver_config *config,
		  const struct driver_ops **ret, cst_error **error);

extern const struct driver_ops overlay_driver;
extern const struct driver_ops overlay2_driver; /* overlay under its other name, which its home has, too */
extern const struct driver_ops btrfs_driver;
extern const struct driver_ops zfs_driver;
extern const struct driver_ops vfs_driver;

#endif
