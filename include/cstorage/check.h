/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for what is wrong in a store. Nothing is changed and nothing is unmounted, unless CST_CHECK_MOUNTS asks for it.
 */
#ifndef CSTORAGE_CHECK_H
#define CSTORAGE_CHECK_H

#include <cstorage/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is looked at, a mask. Records are always looked at: parents, top layers, images of containers, what nobody uses,
 * what no record knows. */
enum cst_check_part {
	CST_CHECK_DATA = 1 << 0,    /* data items: there, readable, of the size that is recorded; with CST_CHECK_CONTENT: of the digest */
	CST_CHECK_TREES = 1 << 1,   /* the files of layers, as their archives had them: names, types, owners, modes, sizes, times */
	CST_CHECK_CONTENT = 1 << 2, /* every byte: layers give back the archive with the digest and the size that are recorded */
	CST_CHECK_MOUNTS = 1 << 3,  /* mounts every layer for a moment, and then compares what is mounted: the layers that
				       it is built on too. This is how the Go tools look; it takes the locks for writing */
};

typedef struct cst_check_options {
	size_t size; /* sizeof(cst_check_options) of the caller */
	unsigned parts; /* enum cst_check_part */
	unsigned unused;
	int64_t unreferenced_age; /* nanoseconds; a younger layer that nobody uses may be part of an image that is just being
				     made. Default: 24 hours */
	const cst_progress *progress; /* what: "check"; counts bytes of the layers. May be NULL */
} cst_check_options;
#define CST_CHECK_OPTIONS_INIT                                                                                                 \
	{.size = sizeof(cst_check_options), .parts = CST_CHECK_DATA | CST_CHECK_TREES | CST_CHECK_CONTENT,                     \
	 .unreferenced_age = 24 * INT64_C(3600000000000)}

enum cst_finding_code {
	CST_FINDING_PARENT_MISSING = 1,      /* layer: its parent is in no store */
	CST_FINDING_DATA_MISSING = 2,        /* any kind: a data item has no file */
	CST_FINDING_DATA_UNREADABLE = 3,     /* any kind: a data item cannot be read */
	CST_FINDING_DATA_SIZE = 4,           /* image, container: a data item has another size than is recorded */
	CST_FINDING_CONTENT_UNREADABLE = 5,  /* layer: its archive cannot be given back */
	CST_FINDING_CONTENT_DIGEST = 6,      /* layer: its archive comes out with another digest */
	CST_FINDING_CONTENT_SIZE = 7,        /* layer: its archive comes out with another size */
	CST_FINDING_TREE_CHANGED = 8,        /* layer: a file is not as the archive had it */
	CST_FINDING_TREE_UNREADABLE = 9,     /* layer: its files cannot be listed */
	CST_FINDING_NOT_MOUNTABLE = 10,      /* layer: it cannot be mounted */
	CST_FINDING_UNREFERENCED = 11,       /* layer: no image and no container is built on it */
	CST_FINDING_NO_RECORD = 12,          /* layer: the driver has it, and no record knows it */
	CST_FINDING_LAYER_MISSING = 13,      /* image, container: one of its layers is in no store */
	CST_FINDING_IMAGE_MISSING = 14,      /* container: its image is in no store */
	CST_FINDING_LINK = 15,      /* layer: overlay's short name for it, in `link` and `l`, is missing or another layer's */
	CST_FINDING_LOWER = 16,     /* layer: overlay's lists of what it is built on are missing, or wrong */
	CST_FINDING_DIRECTORY = 17, /* layer: a directory that overlay needs is missing */
	CST_FINDING_NO_TARSPLIT = 22, /* layer: it has a diff digest, but no tar-split to give its archive back by */
	CST_FINDING_DATA_DIGEST = 18, /* image, container: a data item has another digest than is recorded, or than its key says */
	CST_FINDING_MOUNT = 19,       /* layer: it counts as mounted, and no process has such a mount */
	CST_FINDING_RECORD = 21,      /* any kind: its record cannot be used, and is kept as it is */
	CST_FINDING_RECORDS = 20,     /* a file of records is not understood; nothing else is looked at */
	CST_FINDING_LOCK_FILE = 23,   /* a lock file of the store is not a regular file; unless it is userns.lock, nothing else is looked at */
};

/* One thing that is wrong. */
typedef struct cst_finding cst_finding;
CST_PUBLIC int cst_finding_code(const cst_finding *finding); /* enum cst_finding_code */
CST_PUBLIC const char *cst_finding_name(const cst_finding *finding); /* of the code, for programs: "content-digest". It stays */
CST_PUBLIC int cst_finding_kind(const cst_finding *finding); /* enum cst_kind of the object; 0: a file, whose path is the ID */
CST_PUBLIC const char *cst_finding_id(const cst_finding *finding); /* the object's ID */
CST_PUBLIC bool cst_finding_read_only(const cst_finding *finding); /* the object is in an additional store */
/* An image has the findings of its layers, too, and a container those of its image. Of such a copy these two tell whose it is
 * at first; else they are the object's own. */
CST_PUBLIC int cst_finding_origin_kind(const cst_finding *finding);
CST_PUBLIC const char *cst_finding_origin_id(const cst_finding *finding);
CST_PUBLIC const char *cst_finding_message(const cst_finding *finding);    /* names the object */
CST_PUBLIC const char *cst_finding_go_message(const cst_finding *finding); /* as the containers-storage command says it */
CST_PUBLIC const char *cst_finding_meaning(const cst_finding *finding);    /* what it means for the user */
CST_PUBLIC const char *cst_finding_remedy(const cst_finding *finding);     /* what mends it */

typedef struct cst_findings cst_findings;
CST_PUBLIC size_t cst_findings_size(const cst_findings *findings);
CST_PUBLIC const cst_finding *cst_findings_get(const cst_findings *findings, size_t index); /* NULL when out of range */
CST_PUBLIC void cst_findings_free(cst_findings *findings); /* NULL allowed */

/* Looks through the store, its additional stores and its driver. What other processes do meanwhile is no finding: what
 * seems wrong is looked at once more at the end. Shared locks for the records, none while content is read (but see
 * CST_CHECK_MOUNTS). `given` NULL: the defaults. *ret is the caller's, sorted by kind, then in the order of the records;
 * it is empty if nothing is wrong. CST_ECANCELED, and whatever keeps the records from being read. */
CST_PUBLIC int cst_store_check(cst_store *store, const cst_check_options *given, cst_findings **ret, cst_error **error);

/* ---- repair ---- */

typedef struct cst_repair_options {
	size_t size; /* sizeof(cst_repair_options) of the caller */
	bool remove_containers; /* those with findings are deleted, too */
	bool delete_only; /* mends nothing: all that has findings is deleted, as the Go tools do */
	char unused[6];
	/* Where blobs are, of which damaged layers are unpacked again: paths of OCI layouts and other directories of blobs, of
	 * archives as `docker save` writes them, and graph roots of other stores. A blob is found by its digest. */
	const char *const *from;
	size_t n_from;
	const cst_progress *progress; /* what: "repair", of blobs that are looked through; "import", of one that is unpacked;
					 "diff", of a layer of another store. May be NULL */
} cst_repair_options;
#define CST_REPAIR_OPTIONS_INIT {.size = sizeof(cst_repair_options)}

enum cst_repair_action {
	CST_REPAIR_MENDED = 1,  /* it is as it should be; looked at afterwards */
	CST_REPAIR_DELETED = 2,
	CST_REPAIR_FAILED = 3,  /* mending or deleting it: the result says why */
	CST_REPAIR_LEFT = 4,    /* it has findings, and nothing was done: the message says why */
};

/* What was done about the findings, in order. */
typedef struct cst_repairs cst_repairs;
CST_PUBLIC size_t cst_repairs_size(const cst_repairs *repairs);
CST_PUBLIC int cst_repairs_action(const cst_repairs *repairs, size_t index); /* enum cst_repair_action */
CST_PUBLIC int cst_repairs_kind(const cst_repairs *repairs, size_t index); /* enum cst_kind of the object */
CST_PUBLIC const char *cst_repairs_id(const cst_repairs *repairs, size_t index);
CST_PUBLIC int cst_repairs_result(const cst_repairs *repairs, size_t index); /* CST_E... if it failed; else 0 */
CST_PUBLIC const char *cst_repairs_message(const cst_repairs *repairs, size_t index); /* names the object */
CST_PUBLIC const char *cst_repairs_go_message(const cst_repairs *repairs, size_t index); /* of a deletion that failed; else "" */
CST_PUBLIC void cst_repairs_free(cst_repairs *repairs); /* NULL allowed */

/* Mends what can be mended, each layer after its parent, and looks again at what had findings. Then deletes what still has
 * some: containers if asked for, then images with the layers that only they use, then layers, children
 * before parents, then what no record knows. Never what is in an additional store, and never a layer or an image that
 * something else uses: that is a failed step. What is damaged and mounted is left. *ret (may be NULL) is the caller's. CST_ENOMEM,
 * CST_ESTORE_READ_ONLY, CST_ECANCELED; a place of `from` that cannot be opened, before anything is done; while it looks again,
 * what cst_store_check() fails with. */
CST_PUBLIC int cst_store_repair(cst_store *store, const cst_findings *findings, const cst_repair_options *given,
				cst_repairs **ret, cst_error **error);

/* ---- garbage ---- */

typedef struct cst_gc_options {
	size_t size; /* sizeof(cst_gc_options) of the caller */
	bool dry_run; /* remove nothing */
	char unused[7];
} cst_gc_options;
#define CST_GC_OPTIONS_INIT {.size = sizeof(cst_gc_options)}

/* What no record knows: content of layers, with tar-splits and data, and directories of images and containers. */
typedef struct cst_garbage cst_garbage;
CST_PUBLIC size_t cst_garbage_size(const cst_garbage *garbage);
CST_PUBLIC int cst_garbage_kind(const cst_garbage *garbage, size_t index); /* enum cst_kind of what it was part of */
CST_PUBLIC const char *cst_garbage_id(const cst_garbage *garbage, size_t index);
CST_PUBLIC uint64_t cst_garbage_bytes(const cst_garbage *garbage, size_t index);
CST_PUBLIC void cst_garbage_free(cst_garbage *garbage); /* NULL allowed */

/* Removes it. What dead processes left half done, and their temporary directories, went when the store was opened. Stays,
 * although no record of this store knows it: the layer of a container, what is mounted, and what the volatile records of the same
 * run root name that only a transient store reads, or only one that is not transient. *ret (may be NULL) is the caller's.
 * L, I, C w one after the other; with dry_run shared. CST_ESTORE_READ_ONLY. */
CST_PUBLIC int cst_store_gc(cst_store *store, const cst_gc_options *given, cst_garbage **ret, cst_error **error);

/* ---- what nobody uses ---- */

typedef struct cst_prune_options {
	size_t size; /* sizeof(cst_prune_options) of the caller */
	bool layers;     /* that nothing is built on, and that no image and no container has */
	bool images;     /* that no container is made of, named or not; with the layers that only they have */
	bool containers; /* that are not mounted. Other programs may know more of them */
	bool dry_run;    /* delete nothing */
	char unused[4];
	int64_t older_than; /* nanoseconds since it was made. Default: 24 hours; a younger layer may be part of an image that is
			       just being made */
	const cst_progress *progress; /* of the deletion, as of cst_store_delete. May be NULL */
} cst_prune_options;
#define CST_PRUNE_OPTIONS_INIT                                                                                                 \
	{.size = sizeof(cst_prune_options), .layers = true, .older_than = 24 * INT64_C(3600000000000)}

/* Deletes what nobody uses, in one change. After a crash some of it may be left, and each item is there whole, with what it is
 * built on, or is gone. Mounted layers stay. *ret (may be
 * NULL) is the caller's: what was deleted, or would be. L, I, C w; with dry_run shared. CST_ESTORE_READ_ONLY, CST_ECANCELED. */
CST_PUBLIC int cst_store_prune(cst_store *store, const cst_prune_options *given, cst_garbage **ret, cst_error **error);

#ifdef __cplusplus
}
#endif
#endif
