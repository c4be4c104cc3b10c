/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay driver (docs/format/drivers.md, "overlay"), inside. One file is one idea:
 *
 *   options.c        what the user may set
 *   layer_dir.c      finding a layer's directory, its small files
 *   links.c          the home's directory of links
 *   home.c           the homes, the mount of the driver's own one, places in them
 *   native.c         does the kernel make the mounts, or a mount program?
 *   parents.c        a layer's ancestors
 *   ask.c            calls on paths of additional layer stores, which may hang
 *   foreign.c        layers of additional layer stores
 *   lowers.c         what a layer's mount stacks
 *   unmount.c        taking a mount away
 *   composefs.c      mounts of layers that are EROFS images
 *   program.c        runs the mount program
 *   mount.c          one overlay mount, on any kernel
 *   idmap_mount.c    the same with its lowers id-mapped
 *   probe.c          what this kernel can do; probe_scratch.c: where it is tried
 *   upper.c          what a mount left in a layer's directory
 *   view.c           reading a layer
 *   reown.c          giving a parent's content to other ids
 *   below.c          looking at the layers below one without a mount
 *   root.c           owner and mode of a layer's root directory
 *   stage.c          building a layer
 *   remove.c         taking one away
 *   as_image.c       making an EROFS image of one
 *   commit.c         making one visible, and its new content
 *   get.c            mounting one
 *   paths.c          telling where one is
 *   inspect.c        looking at a layer's small files and directories, and making them again; inspect_link.c,
 *                    inspect_parents.c, inspect_directories.c: one of them; inspect_parts.c: what these share
 *   overlay.c        opening, status, the driver's table
 *
 * A file uses only files above it in this list.
 *
 * No file keeps a descriptor of the home between two operations. When another tool starts or shuts down, it puts a bind mount
 * on the home or takes it away, and a descriptor from before leads below that mount. So every operation opens the home by its
 * path (struct overlay_dirs).
 */
#ifndef CST_DRIVER_OVERLAY_H
#define CST_DRIVER_OVERLAY_H

#include "driver/mount_options.h"
#include "driver/naive.h"
#include <pthread.h>
#include <sys/types.h>

#define OVERLAY_LINK_DIR    "l"
#define OVERLAY_STAGING_DIR "staging"
#define OVERLAY_TEMP_DIR    "tempdirs"
#define OVERLAY_POINTER     "additionallayer" /* the file that names a directory of an additional layer store */
#define OVERLAY_BLOB        "composefs-data/composefs.blob" /* the image of a layer that is one */
#define OVERLAY_LINK_LEN    26
#define OVERLAY_MAX_LOWERS  500       /* fs/overlayfs/params.h, OVL_MAX_STACK */
#define OVERLAY_SHORT_FILE  (1 << 20) /* limit of the small files that are read whole */

/* ---- options.c ---- */

enum overlay_verity {
	OVERLAY_VERITY_TRY, /* where the file system has it, and a mount holds data against the digests that are there */
	OVERLAY_VERITY_OFF,
	OVERLAY_VERITY_REQUIRE /* without it no image is made, nor mounted */
};
struct overlay_layer_store { /* an additional layer store */
	char *path;
	bool with_reference; /* its layers are found by the image's reference, too */
};

struct overlay_options {
	char *mount_options;      /* mountopt; NULL: not given */
	char *mount_program;      /* NULL: not given */
	struct strv image_stores; /* absolute paths of additional stores, which are only read */
	struct overlay_layer_store *layer_stores;
	size_t n_layer_stores, layer_stores_capacity;
	struct strv told;         /* "key=value", for debug lines */
	struct driver_quota quota; /* of containers' layers; 0: no limit */
	int force_mask;           /* the mode that all files of a read-only layer get; -1: their own */
	enum overlay_verity verity; /* of composefs images and their objects */
	bool skip_mount_home, ignore_chown_errors, no_sync, use_composefs;
	char unused[4];
};
/* `name` is that of the driver, overlay or overlay2. CST_EINVAL with Go's messages; CST_ENOTSUP for what cannot be done here. */
int overlay_options_parse(const struct driver_config *config, const char *name,
                          struct overlay_options *ret, cst_error **error);
void overlay_options_free(struct overlay_options *options);

/* ---- the handle ---- */

struct overlay_home {
	char *path; /* <root>/overlay */
	bool writable;
};

/* How mounts are made. On a kernel that lacks an interface the next one is used (docs/format/drivers.md, "Kernel interfaces"). */
enum overlay_mount_interface {
	OVERLAY_MOUNT_FD,      /* fsconfig(2), lowers as descriptors: from Linux 6.13 on */
	OVERLAY_MOUNT_STRING,  /* fsconfig(2), lowers as strings: from Linux 6.8 on */
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
	struct overlay_home *homes; /* the driver's own, that in the image store (if any), those in additional stores */
	size_t n_homes;
	size_t read_only_home; /* home of new layers that are not a container's: 0; with an image store 1 */
	char *program; /* the mount program that makes the mounts; NULL: the kernel makes them */
	bool read_only, metacopy, native_diff;
	uint32_t magic; /* number of the filesystem that the home is on */
	enum overlay_mount_interface interface;

	pthread_mutex_t lock; /* guards what follows */
	enum overlay_known idmapped_lowers, supports_volatile, quotas;
	struct overlay_userns *namespaces;
	size_t n_namespaces, namespaces_capacity;
};

static inline struct overlay *overlay_of(struct driver *d)
{
	return (struct overlay *)d;
}

static inline const char *overlay_bool_text(bool b) /* in files and lines that the Go tools have, too */
{
	return b ? "true" : "false";
}

void overlay_free(struct overlay *o);
DEFINE_CLEANUP(struct overlay *, overlay_free)

/* ---- home.c ---- */

/* Makes <graph root>/<name>, its `l`, and the run home, if they are missing. *created: this call made the home. */
int overlay_make_home(struct overlay *o, bool *created, cst_error **error);
int overlay_mount_home(struct overlay *o, cst_error **error);
int overlay_unmount_home(struct overlay *o, cst_error **error);
/* Is all that there already, but for the run home? Changes nothing. */
bool overlay_home_ready(const struct overlay *o);

/* The homes, opened for one operation. -1: this home does not exist. */
struct overlay_dirs {
	int *fds;
	size_t n;
	bool mends; /* the operation changes the store anyway: it makes lost links again as it meets them */
};
int overlay_dirs_open(const struct overlay *o, struct overlay_dirs *ret, cst_error **error);
void overlay_dirs_close(struct overlay_dirs *dirs);
#define _cleanup_dirs_ _cleanup_(overlay_dirs_close)

/* The name of the directory in the home that temporary directories of this layout are in. */
const char *overlay_area_of(enum tempdir_layout layout);
/* The path <home>/staging. Caller frees. */
char *overlay_staging_path(const struct overlay *o, size_t home);
/* The path of a layer's mount point. A layer of another home than the driver's own has it in the run home. Caller frees. */
char *overlay_merged_path(const struct overlay *o, size_t home, const char *id);

/* ---- layer_dir.c ---- */

bool overlay_id_ok(const char *id); /* may a layer's directory have this name? */
/* Finds layer `id`: *ret is the index of the first home that has it, or -1. */
int overlay_find(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                 ssize_t *ret, cst_error **error);
/* Opens a layer's directory with O_PATH, and tells its home. CST_ELAYER_UNKNOWN. */
int overlay_layer_open(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                       size_t *ret_home, int *ret_fd, cst_error **error);
/* Reads the file `link` of a layer. "": it is missing, or what is in it cannot be the name of a link. */
int overlay_read_link(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      const char *id, char ret[OVERLAY_LINK_LEN + 1], cst_error **error);
/* Reads a small file of a layer. *ret stays NULL if it is missing. Caller frees. */
int overlay_read_layer_file(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, const char *name, char **ret, cst_error **error);

/* ---- links.c ---- */

int overlay_new_link(char ret[OVERLAY_LINK_LEN + 1], cst_error **error); /* makes up a random name */
/* The ID of the layer that l/<link> of a home points to. Caller frees. NULL and errno; EINVAL: the link is not of that form. */
char *overlay_follow_link(int home_fd, const char *link);
/* Finds the name that l/ has for a layer, or makes up a new one. */
int overlay_link_of(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, char ret[OVERLAY_LINK_LEN + 1], cst_error **error);
/* Makes l/<link>. If `l` is missing, makes it first, with the links of all layers. */
int overlay_make_link(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      const char *link, const char *id, cst_error **error);
/* Removes l/<link> if it points to layer `id`; NULL: wherever it leads. */
int overlay_unlink(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                   const char *link, const char *id, cst_error **error);
int overlay_make_links_dir(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                           cst_error **error);
bool overlay_has_links_dir(const struct overlay *o, size_t home);

/* ---- parents.c ---- */

/* The IDs of all ancestors, the parent first. CST_ECORRUPT: the two lists disagree. */
int overlay_parents(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, struct strv *ret, cst_error **error);
/* The same from the text of a `lower`. */
int overlay_resolve_lower(const struct overlay *o, const struct overlay_dirs *dirs,
                          const char *lower, struct strv *ret, cst_error **error);
/* Adds the short name of a layer, as a child's `lower` has it. */
int overlay_add_link_of(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                        struct strbuf *links, cst_error **error);
/* What the two lists say in a child of `parent`. Caller frees both. */
int overlay_child_lists(const struct overlay *o, const struct overlay_dirs *dirs,
                        const char *parent, char **lower, char **lower_layers, cst_error **error);

/* ---- ask.c ---- */

extern _Atomic int overlay_ask_limit_ms; /* so long an additional layer store may take for one answer; tests set it */
enum overlay_ask {
	OVERLAY_ASK_OPEN,   /* opens without following a symlink */
	OVERLAY_ASK_TEXT,   /* reads a small regular file */
	OVERLAY_ASK_CREATE, /* makes a file, and removes it if that works */
	OVERLAY_ASK_RMDIR,
	OVERLAY_ASK_NAMES,  /* what is in a directory, one name a line */
};
/* 0 or an errno; ETIMEDOUT: there was no answer in time. *ret_fd (of OPEN) and *ret_text (of TEXT, NAMES) are the caller's; else NULL. */
int overlay_ask(enum overlay_ask what, const char *path, int flags, int *ret_fd, char **ret_text);

/* ---- foreign.c; the operations are in driver.h ---- */

int overlay_foreign_find(struct driver *d, const char *digest, const char *reference, char **ret,
                         cst_error **error);
int overlay_foreign_list(struct driver *d, const char *reference, struct strv *digests,
                         cst_error **error);
int overlay_foreign_info(const char *path, char **ret, cst_error **error);
int overlay_foreign_blob(const char *path, int *ret_fd, cst_error **error);
void overlay_foreign_begin(struct driver *d, const char *path, struct tempdir **held);
void overlay_foreign_end(const char *path, struct tempdir *held);
/* Tells the stores of all that is owed to them by what is in a temporary directory. *hangs (a bool): one does not answer, so no
 * other is told. */
void overlay_foreign_settle(int area_fd, void *hangs);
void overlay_foreign_release(const char *path, bool *hangs); /* tells that the directory has one user less */
int overlay_foreign_of(struct driver *d, const char *id, char **ret, cst_error **error);
int overlay_stage_foreign(struct driver_staged *staged, const char *path, cst_error **error);
/* If it has foreign content: the store is told that it is not used any more; the layer of the directory, which appears now, is its
 * user from here on. */
void overlay_stage_foreign_end(struct driver_staged *staged);
int overlay_stage_foreign_commit(struct driver_staged *staged, cst_error **error);
/* The directory that the layer's file names; *ret stays NULL if it has no such file. Caller frees. */
int overlay_foreign_path(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                         const char *id, char **ret, cst_error **error);
/* Opens a directory of an additional layer store, with O_RDONLY or O_PATH. */
int overlay_foreign_open(const char *path, int flags, int *ret_fd, cst_error **error);

/* ---- lowers.c ---- */

/* What a mount stacks, top first. */
struct overlay_lower {
	enum driver_content kind;
	size_t home;
	char *path;    /* below the home: "<id>/diff" */
	char *foreign; /* where the symlink there leads, of a foreign one; else NULL */
	size_t clone;  /* the place of an id-mapped clone of that in the directories, behind the homes; 0: none */
};
struct overlay_lowers {
	struct overlay_lower *items;
	size_t len, capacity;
};
void overlay_lowers_free(struct overlay_lowers *lowers);
#define _cleanup_lowers_ _cleanup_(overlay_lowers_free)
/* Lists the layer's own content (if `content`), its older generations, and the same of each ancestor; then the data of the
 * images among these. */
int overlay_lowers(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                   const char *id, const struct strv *parents, bool content,
                   struct overlay_lowers *ret, cst_error **error);
/* Adds a directory, <id>/<name>. */
int overlay_lowers_add(struct overlay_lowers *lowers, size_t home, const char *id, const char *name,
                       cst_error **error);
char *overlay_lower_shown(const struct overlay *o, const struct overlay_lower *lower);
/* Opens a lower, with O_RDONLY or O_PATH in `flags`. CST_ENOTSUP, naming the layer: it is an image. */
int overlay_lower_open(const struct overlay *o, const struct overlay_dirs *dirs,
                       const struct overlay_lower *lower, int flags, int *ret_fd,
                       cst_error **error);
/* The path of a layer's own content in an additional layer store; *ret stays NULL if it is not there. Caller frees. */
int overlay_foreign_content(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, char **ret, cst_error **error);
/* CST_ENOTSUP: the layer's own content is an image, or in an additional layer store. */
int overlay_must_be_directory(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                              const char *id, cst_error **error);
/* Opens a layer's own content, to read. The same. */
int overlay_content_open_at(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                            const char *id, int *ret_fd, cst_error **error);

/* ---- unmount.c ---- */

/* Unmounts all that is on <dirfd>/<name>, whose path is `path`. If nothing is mounted there, that is success. */
int overlay_unmount(int dirfd, const char *name, const char *path, cst_error **error);

/* ---- program.c ---- */

extern _Atomic int overlay_program_limit_ms; /* so long a mount program may take for one answer; tests set it */
/* Lets o->program mount at `target`; `data` are its options. After a failure it is not mounted, and no process of the program
 * is left. */
int overlay_program_mount(const struct overlay *o, const char *data, const char *target,
                          cst_error **error);
/* overlay_unmount() for a mount that a program made: what was written there is in the layer then. */
int overlay_program_unmount(int dirfd, const char *name, const char *path, cst_error **error);
/* Has the program of the mount with this root ended? One that does not answer counts as alive. */
bool overlay_program_is_dead(int root_fd);

/* ---- mount.c ---- */

/* All that one overlay mount is made of. */
struct overlay_mount {
	const struct overlay_lowers *lowers;
	const struct overlay_dirs *dirs; /* where their paths start: the homes, or id-mapped clones of them */
	const int *fds;           /* descriptors of the lowers, which are opened here if it is NULL */
	int upper_fd, work_fd;    /* -1: the mount is read-only */
	const char *upper, *work; /* their names in messages, or their paths */
	const struct mount_options *options;
	const char *label; /* SELinux context, NULL or "": none */
	const struct idmaps *maps; /* by which the mount program maps ids; NULL: none */
	bool mapped;       /* `dirs` are detached clones, to which no path leads */
	int userns_fd;     /* if it is mapped: a user namespace with the maps */
	const struct overlay_dirs *data_dirs; /* where the data of images are, which nobody sees by their owners; NULL: in `dirs` */
	const int *image_fds;     /* roots of the mounts of images, by lower; overlay_with_images() sets them and what follows */
	const char *verity;       /* value of the option; NULL: it is not given */
};
/* ---- composefs.c ---- */

bool overlay_has_images(const struct overlay_lowers *lowers);
/* Makes the overlay mount by make(), which finds the images among the lowers mounted. CST_ENOTSUP: there are some, and the kernel
 * does not make this mount for root. */
typedef int (*overlay_make_mount)(const struct overlay *o, const struct overlay_mount *mount, void *userdata,
                                  cst_error **error);
int overlay_with_images(const struct overlay *o, const struct overlay_mount *mount,
                        overlay_make_mount make, void *userdata, cst_error **error);
/* Mounts an image, attached nowhere; `by_loop`: as a loop device, which is otherwise done where EROFS cannot be mounted from a
 * file. Returns a descriptor of its root, or -1 and errno. */
int overlay_image_mount(int fd, bool has_acl, bool by_loop);

/* Logs the mount in a debug line, in the words of the Go tools. */
void overlay_mount_tell(const struct overlay *o, const struct overlay_mount *mount);
/* Mounts at `target`, of which target_fd is an O_PATH descriptor. The message is Go's, with the words of the kernel added. */
int overlay_mount_at(const struct overlay *o, const struct overlay_mount *mount, int target_fd,
                     const char *target, cst_error **error);
/* Makes a mount that is attached nowhere, and lives as long as its two descriptors. */
struct overlay_detached {
	int mount_fd; /* -1 if it was made with mount(2) */
	int root_fd;
};
int overlay_mount_detached(const struct overlay *o, const struct overlay_mount *mount,
                           struct overlay_detached *ret, cst_error **error);
void overlay_detached_close(struct overlay_detached *detached);
#define _cleanup_detached_ _cleanup_(overlay_detached_close)

/* ---- idmap_mount.c ---- */

/* As overlay_mount_at(), with clones that have these maps in the place of mount->dirs. On kernels that want that, they are
 * attached below `layer_fd`, whose path is `layer_path`, while the mount is made. */
int overlay_mount_idmapped_at(struct overlay *o, const struct overlay_mount *mount,
                              const struct idmaps *maps, int layer_fd, const char *layer_path,
                              int target_fd, const char *target, cst_error **error);
/* Detaches clones that a dead process left attached. */
void overlay_idmapped_detach(int layer_fd, const char *layer_path);

/* ---- probe.c ---- */

/* Finds out metacopy and native_diff, from the cache in the run home, or else by trying. CST_EBACKINGFS: this kernel or this
 * filesystem cannot do overlay. */
int overlay_probe(struct overlay *o, cst_error **error);
/* For a home whose mounts a program makes: nothing is tried. */
void overlay_probe_none(struct overlay *o);
/* The same from the cache alone. False: it does not have all. */
bool overlay_probe_cached(struct overlay *o);
/* Does the file system of the home limit projects? Found out when it is first asked; `error` (NULL: nobody asks) gets why not. */
bool overlay_has_quotas(struct overlay *o, cst_error **error);
bool overlay_supports_volatile(struct overlay *o); /* is found out with the first call */
/* The same; but if something ran out while it was tried, that is an error, and no answer. */
int overlay_supports_idmapped_lowers(struct overlay *o, bool *ret, cst_error **error);

/* ---- upper.c ---- */

/* Was the layer ever mounted so that it could be written to? Quick. A "no" is certain. */
int overlay_may_be_upper(int layer_fd, bool *ret, cst_error **error);
/* Has `diff` a file or a directory that can only be read right together with what is below it? Slow. */
int overlay_points_below(int diff_fd, bool *ret, cst_error **error);

/* ---- native.c ---- */

/* Sets o->program if the options or the layers of this home want a mount program. CST_EBACKINGFS: they do, and there is none. */
int overlay_choose_program(struct overlay *o, cst_error **error);
/* The kernel's overlay does not work here, because of `problem`: sets o->program to fuse-overlayfs, or fails with the problem if
 * there is none. Takes the problem over. */
int overlay_fall_back(struct overlay *o, cst_error *problem, cst_error **error);
/* The flag file of the home says that a mount program is used: does it, and let it. */
bool overlay_program_noted(const struct overlay *o);
int overlay_note_program(const struct overlay *o, cst_error **error);
/* Fails if the kernel's overlay cannot be used on this filesystem: CST_EBACKINGFS. Changes nothing. */
int overlay_check_backing(const struct overlay *o, cst_error **error);
/* Has <dirfd>/<path>, which is no symlink, this attribute, with this value? `value` NULL: with any value. */
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
int overlay_inspect(struct driver *d, const char *id, const struct driver_inspection *options,
                    struct driver_flaws *ret, cst_error **error);
int overlay_ancestors(struct driver *d, const char *id, struct strv *ret, cst_error **error);
int overlay_paths(struct driver *d, const char *id, struct strv *pairs, cst_error **error);
int overlay_content_open(struct driver *d, const char *id, int *ret_fd, cst_error **error);
int overlay_names_open(struct driver *d, const char *id, int *ret_fd, cst_error **error);
int overlay_objects_open(struct driver *d, const char *id, int *ret_fd, cst_error **error);
int overlay_usage(struct driver *d, const char *id, struct driver_usage *ret, cst_error **error);
int overlay_shareable(struct driver *d, const char *id, const char **root, char **path,
                      cst_error **error);
int overlay_content_identity(struct driver *d, const char *id, struct driver_identity *ret,
                             cst_error **error);
int overlay_staged_identity(struct driver_staged *staged, struct driver_identity *ret,
                            cst_error **error);
int overlay_stage_open(struct driver_staged *staged, struct driver_filling *ret, cst_error **error);
int overlay_stage_as_image(struct driver_staged *staged, const char *of, bool *is_image, cst_error **error);
int overlay_stage_sync(struct driver_staged *staged, cst_error **error);
int overlay_stage_settle(struct driver_staged *staged, cst_error **error);
int overlay_stage_barrier(struct driver_staged *staged, int also_fd, cst_error **error);
int overlay_stage_commit(struct driver_staged *staged, const char *id, bool durable,
                         cst_error **error);
const char *overlay_stage_note(struct driver_staged *staged);
int overlay_stage_keep(struct driver_staged *staged, tempdir_write write, void *userdata, cst_error **error);
int overlay_stage_list(struct driver *d, struct strv *ids, cst_error **error);
int overlay_stage_adopt(struct driver *d, const char *id, struct driver_staged **ret, int *ret_fd, cst_error **error);
int overlay_stage_unkeep(struct driver_staged *staged, cst_error **error);
int overlay_stage_resolve(struct driver *d, const char *staged_id, const char *id, cst_error **error);
const char *overlay_staged_id(struct driver_staged *staged);
void overlay_stage_free(struct driver_staged *staged);
int overlay_stage_replace(struct driver_staged *staged, const char *id, bool durable,
                          cst_error **error);
int overlay_replace_recover(struct driver *d, const char *id, struct driver_trash **trash,
                            cst_error **error);
int overlay_remove(struct driver *d, const char *id, const char *note, struct driver_trash **trash,
                   struct fs_later *later, cst_error **error);
void overlay_trash_empty(struct driver_trash *trash, const struct fs_watch *watch);
void overlay_trash_free(struct driver_trash *trash);
/* Unmounts <home>/<id> and moves it, with its link, out of sight into <home>/staging/<trash>. If the disk is too full for that,
 * or `trash` is NULL, removes it. If it is missing, that is success. */
int overlay_discard(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                    const char *id, struct tempdir *trash, cst_error **error);
/* Does the same with <dirfd>/<name>, which is to be removed; dirfd is the home or below it. */
int overlay_trash_take(int home_fd, int dirfd, const char *name, struct tempdir *trash,
                       cst_error **error);
/* fsyncs a home and its `l`. */
int overlay_sync_home(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                      struct fs_later *later, cst_error **error);
int overlay_get(struct driver *d, const char *id, const struct driver_mount_options *options,
                char **ret_path, cst_error **error);
int overlay_put(struct driver *d, const char *id, cst_error **error);
int overlay_mount_open(struct driver *d, const char *id, const char *path, int *ret_fd,
                       cst_error **error);
int overlay_supports_shifting(struct driver *d, const struct idmaps *maps, bool *ret,
                              cst_error **error);

/* Mounts lowers, two at least, read-only and attached nowhere. */
int overlay_mount_lowers(const struct overlay *o, const struct overlay_dirs *dirs,
                         const struct overlay_lowers *lowers, struct overlay_detached *ret,
                         cst_error **error);
/* Mounts the whole root filesystem of layer `id`, read-only and attached nowhere. */
int overlay_mount_whole(const struct overlay *o, const struct overlay_dirs *dirs, const char *id,
                        struct overlay_detached *ret, cst_error **error);
/* Makes `diff1` in the directory of a staged layer: all that the layer's parent shows, with the owners that the layer's own
 * maps give it. */
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
int overlay_view_tree(struct driver_view *view, int *ret_fd, cst_error **error);
void overlay_view_close(struct driver_view *view);

#endif
