/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay driver (docs/format/drivers.md, "overlay"), inside. One file is one idea:
 *
 *   options.c        what the user may set
 *   layer_dir.c      finding a layer's directory, its small files
 *   links.c          the home's directory of links
 *   home.c           the homes, the mount of the driver's own one, places in them
 *   native.c         may this home be used at all?
 *   parents.c        a layer's ancestors
 *   lowers.c         what a layer's mount stacks
 *   mount_options.c  words of mount options
 *   mount.c          one overlay mount, on any kernel
 *   idmap_mount.c    the same with its lowers id-mapped
 *   probe.c          what this kernel can do; probe_scratch.c: where it is tried
 *   upper.c          what a mount left in a layer's directory
 *   view.c           reading a layer
 *   reown.c          giving a parent's content to other ids
 *   below.c          looking at the layers below one without a mount
 *   stage.c          building a layer
 *   remove.c         taking one away
 *   commit.c         making one visible, and its new content
 *   get.c            mounting one
 *   paths.c          telling where one is
 *   overlay.c        opening, status, the driver's table
 *
 * A file uses only files above it in this list.
 *
 * Nothing here keeps a descriptor of the home: another tool's start or shutdown puts a bind mount
 * on it or takes it away, and a descriptor from before looks below that mount. Every operation
 * opens the home anew by its path (struct overlay_dirs).
 */
#ifndef CST_DRIVER_OVERLAY_H
#define CST_DRIVER_OVERLAY_H

#include "driver/naive.h"
#include <pthread.h>
#include <sys/types.h>

#define OVERLAY_LINK_DIR    "l"
#define OVERLAY_STAGING_DIR "staging"
#define OVERLAY_TEMP_DIR    "tempdirs"
#define OVERLAY_LINK_LEN    26
#define OVERLAY_MAX_LOWERS  500       /* fs/overlayfs/params.h, OVL_MAX_STACK */
#define OVERLAY_SHORT_FILE  (1 << 20) /* no link, lower or probe file is larger */

/* ---- options.c ---- */

struct overlay_options {
	char *mount_options;      /* mountopt; NULL: none */
	struct strv image_stores; /* additional read-only stores, absolute */
	struct strv told;         /* "key=value" for debug lines */
	int force_mask;           /* mode of everything in a read-only layer; -1: none */
	bool skip_mount_home, ignore_chown_errors, no_sync;
};
/* `name`: the name the driver goes by. CST_EINVAL with Go's messages; CST_ENOTSUP for what this
 * build cannot do. */
int overlay_options_parse(const struct driver_config *config, const char *name,
                          struct overlay_options *ret, cst_error **error);
void overlay_options_free(struct overlay_options *options);

/* ---- the handle ---- */

struct overlay_home {
	char *path; /* of the driver's own directory: <root>/overlay */
	bool writable;
};

/* How mounts are made: each kernel that lacks one falls to the next (docs/format/drivers.md,
 * "Kernel interfaces"). */
enum overlay_mount_interface {
	OVERLAY_MOUNT_FD,      /* fsconfig, lowers by descriptor: Linux 6.13 */
	OVERLAY_MOUNT_STRING,  /* fsconfig, lowers as strings: Linux 6.8 */
	OVERLAY_MOUNT_CLASSIC, /* mount(2) */
};

enum overlay_known { OVERLAY_UNKNOWN, OVERLAY_NO, OVERLAY_YES };

struct overlay_userns { /* a user namespace with these maps */
	char *key;
	int fd;
};

struct overlay {
	struct driver base;
	struct overlay_options options;
	struct overlay_home *homes; /* own, image store (if any), additional stores */
	size_t n_homes;
	size_t read_only_home; /* where layers that are not of containers go: 0, or 1 with an image
	                          store */
	bool read_only, metacopy, native_diff;
	uint32_t magic; /* of the backing filesystem */
	enum overlay_mount_interface interface;

	pthread_mutex_t lock; /* of what follows */
	enum overlay_known idmapped_lowers, supports_volatile;
	struct overlay_userns *namespaces;
	size_t n_namespaces, namespaces_capacity;
};

static inline struct overlay *overlay_of(struct driver *d)
{
	return (struct overlay *)d;
}

void overlay_free(struct overlay *o);
DEFINE_CLEANUP(struct overlay *, overlay_free)

/* ---- home.c ---- */

/* <graph root>/<name>, its `l`, and the run home, as far as missing. *created: the home did not
 * exist. */
int overlay_make_home(struct overlay *o, bool *created, cst_error **error);
int overlay_mount_home(struct overlay *o, cst_error **error);
int overlay_unmount_home(struct overlay *o, cst_error **error);
/* All of it but the run home is there already. Reads only. */
bool overlay_home_ready(const struct overlay *o);

/* The homes, opened for one operation; -1 where one does not exist. */
struct overlay_dirs {
	int *fds;
	size_t n;
};
int overlay_dirs_open(const struct overlay *o, struct overlay_dirs *ret, cst_error **error);
void overlay_dirs_close(struct overlay_dirs *dirs);
#define _cleanup_dirs_ _cleanup_(overlay_dirs_close)

/* The directory of the home that temporary directories of this layout are in. */
const char *overlay_area_of(enum tempdir_layout layout);
/* <home>/staging, which the caller frees. */
char *overlay_staging_path(const struct overlay *o, size_t home);
/* Path of a layer's mount point: layers of other homes than the driver's own have it in the run
 * home. Caller frees. */
char *overlay_merged_path(const struct overlay *o, size_t home, const char *id);

/* ---- layer_dir.c ---- */

bool overlay_id_ok(const char *id); /* a name that a layer directory may have */
/* Where layer `id` is: index of the first home that has it, or -1. */
int overlay_find(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                 ssize_t *ret, cst_error **error);
/* An O_PATH descriptor of the layer's directory, and its home. CST_ELAYER_UNKNOWN. */
int overlay_layer_open(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                       size_t *ret_home, int *ret_fd, cst_error **error);
/* Content of the `link` file as it is; "" if there is none that could be one. */
int overlay_read_link(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      const char *id, char ret[OVERLAY_LINK_LEN + 1], cst_error **error);
/* Text of a small file of a layer; *ret stays NULL if there is none. */
int overlay_read_layer_file(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, const char *name, char **ret, cst_error **error);

/* ---- links.c ---- */

int overlay_new_link(char ret[OVERLAY_LINK_LEN + 1], cst_error **error); /* a random name */
/* The layer that l/<link> of a home points to; caller frees. NULL and errno; EINVAL: a link of another form. */
char *overlay_follow_link(int home_fd, const char *link);
/* The name that l/ has for a layer, or else a new one. */
int overlay_link_of(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, char ret[OVERLAY_LINK_LEN + 1], cst_error **error);
/* Makes l/<link>; and `l` itself, with the links of all layers, where there is no such directory. */
int overlay_make_link(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      const char *link, const char *id, cst_error **error);
/* Takes l/<link> away if it points to layer `id`. */
int overlay_unlink(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                   const char *link, const char *id, cst_error **error);
int overlay_make_links_dir(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                           cst_error **error);
bool overlay_has_links_dir(const struct overlay *o, size_t home);

/* ---- parents.c ---- */

/* IDs of all ancestors, parent first. Lost l/ links are made again. CST_ECORRUPT if the two lists
 * disagree. */
int overlay_parents(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, struct strv *ret, cst_error **error);
/* The two lists of a child of `parent`. */
int overlay_child_lists(const struct overlay *o, const struct overlay_dirs *dirs,
                        const char *parent, char **lower, char **lower_layers, cst_error **error);

/* ---- lowers.c ---- */

/* What to stack, top first. */
struct overlay_lower {
	enum driver_content kind;
	size_t home;
	char *path; /* below the home: "<id>/diff" */
};
struct overlay_lowers {
	struct overlay_lower *items;
	size_t len, capacity;
};
void overlay_lowers_free(struct overlay_lowers *lowers);
#define _cleanup_lowers_ _cleanup_(overlay_lowers_free)
/* `content`: with the layer's own content on top. Then its older generations, then all of each ancestor. */
int overlay_lowers(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                   const char *id, const struct strv *parents, bool content,
                   struct overlay_lowers *ret, cst_error **error);
/* Adds a directory. */
int overlay_lowers_add(struct overlay_lowers *lowers, size_t home, const char *id, const char *name,
                       cst_error **error);
char *overlay_lower_shown(const struct overlay *o, const struct overlay_lower *lower);
/* Opens one, with O_RDONLY or O_PATH. CST_ENOTSUP, naming the layer: this build cannot read content of this kind. */
int overlay_lower_open(const struct overlay *o, const struct overlay_dirs *dirs,
                       const struct overlay_lower *lower, int flags, int *ret_fd,
                       cst_error **error);
/* The same for a layer's own content, to read. */
int overlay_content_open_at(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, int *ret_fd, cst_error **error);

/* ---- mount_options.c ---- */

struct overlay_mount_options {
	unsigned long flags; /* MS_* */
	struct strv data;
};
/* Adds a comma list. Generic words become flags, "" and "defaults" nothing. */
int overlay_mount_options_add(struct overlay_mount_options *options, const char *list,
                              cst_error **error);
/* Removes each item `word` of data; was there one? */
bool overlay_mount_options_drop(struct overlay_mount_options *options, const char *word);
void overlay_mount_options_free(struct overlay_mount_options *options);
#define _cleanup_mount_options_ _cleanup_(overlay_mount_options_free)

/* ---- mount.c ---- */

struct overlay_mount {
	const struct overlay_lowers *lowers;
	const struct overlay_dirs *dirs; /* where their paths start: the homes, or id-mapped clones of them */
	const int *fds;           /* descriptors of the lowers, which are opened here if it is NULL */
	int upper_fd, work_fd;    /* -1: read-only */
	const char *upper, *work; /* how they are called */
	const struct overlay_mount_options *options;
	const char *label; /* SELinux context, NULL or "": none */
	bool mapped;       /* dirs are clones: no path leads there */
};
/* A debug line, worded as the Go tools do. */
void overlay_mount_tell(const struct overlay *o, const struct overlay_mount *mount);
/* Attached at `target`, of which target_fd is an O_PATH descriptor. Message as Go's with the
 * kernel's own words. */
int overlay_mount_at(const struct overlay *o, const struct overlay_mount *mount, int target_fd,
                     const char *target, cst_error **error);
/* Nowhere attached: a directory descriptor that the mount lives as long as. */
struct overlay_detached {
	int mount_fd; /* -1 with the classic interface */
	int root_fd;
};
int overlay_mount_detached(const struct overlay *o, const struct overlay_mount *mount,
                           struct overlay_detached *ret, cst_error **error);
void overlay_detached_close(struct overlay_detached *detached);
#define _cleanup_detached_ _cleanup_(overlay_detached_close)

/* Unmounts whatever is on <dirfd>/<name>, called `path`. Not mounted: success. */
int overlay_unmount(int dirfd, const char *name, const char *path, cst_error **error);

/* ---- idmap_mount.c ---- */

/* As overlay_mount_at() with mount->dirs replaced by clones with these maps. `layer_fd`,
 * `layer_path`: where they may be attached for a moment, on kernels that want that. */
int overlay_mount_idmapped_at(struct overlay *o, const struct overlay_mount *mount,
                              const struct idmaps *maps, int layer_fd, const char *layer_path,
                              int target_fd, const char *target, cst_error **error);
/* What an interrupted mount left attached. */
void overlay_idmapped_detach(int layer_fd, const char *layer_path);

/* ---- probe.c ---- */

/* Fills in metacopy and native_diff; from the cache in the run home, else by trying. CST_EBACKINGFS
 * if this kernel or filesystem cannot do it. */
int overlay_probe(struct overlay *o, cst_error **error);
/* The same if the cache, and with it the run home, is there. */
bool overlay_probe_cached(struct overlay *o);
bool overlay_supports_volatile(struct overlay *o); /* lazily, cached */
/* The same, but what only says that something ran out is no answer: that is an error. */
int overlay_supports_idmapped_lowers(struct overlay *o, bool *ret, cst_error **error);

/* ---- upper.c ---- */

/* Was something ever written into this layer through a mount? Quick; a "no" is sure. */
int overlay_may_be_upper(int layer_fd, bool *ret, cst_error **error);
/* Does a file or directory in `diff` need what is below it to be read right? Slow. */
int overlay_points_below(int diff_fd, bool *ret, cst_error **error);

/* ---- native.c ---- */

/* Native overlay, or does the store want a mount program? CST_ENOTSUP, CST_EBACKINGFS. */
int overlay_check_native(struct overlay *o, cst_error **error);
int overlay_check_backing(const struct overlay *o, cst_error **error); /* reads only */
/* Has <dirfd>/<path>, no symlink, this attribute, and if `value` is given, with that? */
bool overlay_has_xattr(int dirfd, const char *path, const char *name, const char *value);

/* ---- the operations ---- */

int overlay_stage(struct driver *d, const struct driver_stage_options *options,
                  struct driver_staged **ret, cst_error **error);
int overlay_stage_copy(struct driver *d, const char *id, const struct idmaps *maps,
                       struct driver_staged **ret, cst_error **error);
int overlay_stage_in_place(struct driver *d, const char *id, const struct idmaps *maps,
                           struct driver_staged **ret, cst_error **error);
int overlay_stage_unpack(struct driver_staged *staged, const cst_source *source,
                         const struct driver_unpack_policy *policy, struct unpack_result *ret,
                         cst_error **error);
int overlay_paths(struct driver *d, const char *id, struct strv *pairs, cst_error **error);
int overlay_content_open(struct driver *d, const char *id, int *ret_fd, cst_error **error);
int overlay_content_identity(struct driver *d, const char *id, struct driver_identity *ret,
                             cst_error **error);
int overlay_staged_identity(struct driver_staged *staged, struct driver_identity *ret,
                            cst_error **error);
int overlay_stage_sync(struct driver_staged *staged, cst_error **error);
int overlay_stage_commit(struct driver_staged *staged, const char *id, bool durable,
                         cst_error **error);
const char *overlay_stage_note(struct driver_staged *staged);
const char *overlay_staged_id(struct driver_staged *staged);
void overlay_stage_free(struct driver_staged *staged);
int overlay_stage_replace(struct driver_staged *staged, const char *id, bool durable,
                          cst_error **error);
int overlay_replace_recover(struct driver *d, const char *id, struct driver_trash **trash,
                            cst_error **error);
int overlay_remove(struct driver *d, const char *id, const char *note, struct driver_trash **trash,
                   bool durable, cst_error **error);
/* Moves <home>/<id> with its link out of sight into <home>/staging/<trash>, unmounted. Where the disk is too full for that, or
 * `trash` is NULL, removes it. Missing: success. */
int overlay_discard(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, struct tempdir *trash, cst_error **error);
/* <dirfd>/<name>, which is to be removed, into <home>/staging/<trash>; dirfd is the home or below it. The same. */
int overlay_trash_take(int home_fd, int dirfd, const char *name, struct tempdir *trash,
                       cst_error **error);
/* fsyncs a home and its l/. */
int overlay_sync_home(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      cst_error **error);
int overlay_get(struct driver *d, const char *id, const struct driver_mount_options *options,
                char **ret_path, cst_error **error);
int overlay_put(struct driver *d, const char *id, cst_error **error);
int overlay_mount_open(struct driver *d, const char *id, const char *path, int *ret_fd,
                       cst_error **error);
int overlay_supports_shifting(struct driver *d, const struct idmaps *maps, bool *ret,
                              cst_error **error);

/* Nowhere attached, read-only: the whole root filesystem that layer `id` is. */
int overlay_mount_whole(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                        struct overlay_detached *ret, cst_error **error);
/* In the directory of a staged layer, `diff1`: all that its parent shows, given to the layer's own
 * ids (docs/format/drivers.md, "UpdateLayerIDMap"). */
int overlay_reown_parent(const struct overlay *o, const struct overlay_dirs *dirs,
                         const struct driver_stage_options *options, int layer_fd,
                         const char *shown, cst_error **error);

int overlay_view_open(struct driver *d, const char *id, const char *from,
                      const struct driver_view_maps *maps, struct driver_view **ret,
                      cst_error **error);
int overlay_view_diff(struct driver_view *view, const cst_sink *sink, const cst_progress *progress,
                      cst_error **error);
int overlay_view_changes(struct driver_view *view, struct cst_changes *ret, cst_error **error);
int overlay_view_size(struct driver_view *view, int64_t *ret, cst_error **error);
int overlay_view_open_content(struct driver_view *view, const char *name, int64_t size,
                              cst_error **error);
void overlay_view_close(struct driver_view *view);

#endif
