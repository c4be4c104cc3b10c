/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer tar into a directory. Decompression, hashing and file creation run as tasks on a pool; memory is bounded
 * whatever the archive (docs/format/archive.md, "Applying a layer tar").
 */
#ifndef CST_ARCHIVE_UNPACK_UNPACK_H
#define CST_ARCHIVE_UNPACK_UNPACK_H

#include "base/digest.h"
#include "base/pool.h"
#include "base/str.h"
#include "idmap/idmap.h"
#include <cstorage/records.h>
#include <cstorage/types.h>

/* So many buffers of the pool hold what one unpacking has read and decompressed. */
#define UNPACK_BUFFERS 16

enum unpack_whiteouts {
	UNPACK_WHITEOUT_OVERLAY, /* to device nodes and trusted.overlay.opaque: the target is one layer's own directory */
	UNPACK_WHITEOUT_APPLY,   /* deletes: the target is a full root file system (vfs, btrfs, zfs) */
	UNPACK_WHITEOUT_KEEP,    /* plain files (overlay with a mount program) */
};

/* The layers below one whose own directory holds only what it changes, as a mount shows them. */
struct unpack_below {
	/* What they show at the path ("": their root), which leads through no symlink: an O_PATH descriptor. -1 and errno; ENOENT:
	 * nothing. */
	int (*open)(void *userdata, const char *path);
	/* Names that may be in the root. */
	int (*list_root)(void *userdata, struct strv *ret, cst_error **error);
	void *userdata;
};

/* Who can give a new file the content of a body without writing it: it shares the blocks of another file that has the same. The source
 * gave the first bytes of the body already, and gives all of them. False: the file is still empty. Called by one thread at a time, and while
 * the source is read. */
struct unpack_clone {
	bool (*clone)(void *userdata, const char *name, uint64_t size, int to);
	/* The other file, open for reading; -1: it is not known, or may not be shared. If its attributes are those of the entry, the new file
	 * is a further name of it. NULL: nobody is asked. Called as `clone` is. */
	int (*open)(void *userdata, const char *name, uint64_t size);
	void *userdata;
};

struct unpack_options {
	struct pool *pool; /* NULL: single-threaded */
	enum unpack_whiteouts whiteouts;
	const struct idmaps *maps;      /* header ids are container ids; NULL or empty: identity */
	const struct unpack_clone *clone; /* NULL: nobody */
	bool share_files;               /* files may have further names in other layers: nobody changes them later */
	const struct unpack_below *below; /* NULL: not known, or the target is a full root file system */
	bool userns;                    /* rootless: no device nodes, EPERM on xattrs ignored, user.overlay.* names */
	bool ignore_chown_errors;
	int force_mask;                 /* -1: off */
	int tarsplit_fd;                /* where the tar-split goes; -1: none */
	const char *original_digest;    /* trusted, not computed; NULL: computed */
	const char *uncompressed_digest;
	bool in_use;                    /* other processes may change the directory meanwhile (a mounted layer): what is made is
					   finished in a directory that only this process can enter, and then moved to its name */
	bool sync;                      /* content must be on disk when this returns: write-back started early, then fsyncs or
					   one syncfs, whichever is cheaper */
	bool sync_later;                /* of `sync`, only the early write-back: the caller makes the barrier */
	const cst_progress *progress;
	const cst_sink *copy;           /* gets the plain tar, in its order, too. That it fails is no failure here. NULL: nobody does */
};

/* What a failure is to be blamed on. */
enum unpack_fault {
	UNPACK_NO_INPUT,       /* the source failed before the first byte of it */
	UNPACK_TARGET,         /* the file system, or what an entry asks for */
	UNPACK_BAD_TAR,        /* the tar is damaged, or ends inside of an entry */
	UNPACK_INPUT_CUT,      /* the source or its compression failed inside of an entry */
	UNPACK_INPUT_AT_ENTRY, /* they failed where the tar could have ended */
};

struct unpack_result {
	enum unpack_fault fault; /* after a failure; the rest is for success */
	enum cst_compression compression;
	char compressed_digest[DIGEST_TEXT_MAX], diff_digest[DIGEST_TEXT_MAX];
	int64_t compressed_size, diff_size; /* bytes of input, bytes of plain tar with trailing junk */
	struct idset uids, gids;            /* header ids before mapping, whiteouts excluded */
	int64_t content_size;               /* bytes of regular files, each inode once */
	uint64_t entries;
	bool root_named;                    /* an entry says how the root directory is */
};

/* Unpacks into `root_fd`. On failure the directory may hold anything: the caller throws it away. CST_EARCHIVE,
 * CST_ESYS, CST_ECANCELED. The whole source is read and hashed to its end also behind the tar's end marker. */
int unpack_layer(int root_fd, const cst_source *source, const struct unpack_options *options,
		 struct unpack_result *ret, cst_error **error);
void unpack_result_free(struct unpack_result *result);

/* Opens `name` of a tar-split recipe below an unpacked directory as extraction resolved it (cleaned, in-root): a regular
 * file of exactly `size` bytes, or -1 with the error set. ENOENT is CST_ESYS/ENOENT, so a caller can try the next lower. */
int unpack_open_content(int root_fd, const char *name, int64_t size, cst_error **error);

#endif
