/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of unpacking and what flows between them:
 *
 *   unpack.c            the caller's thread: reads, decompresses, feeds the parser; owns the chunks
 *   unpack_parse.c      tar events to ops: what each entry means by its name and type alone
 *   unpack_record.c     strand: digest of the plain stream, body CRCs, tar-split
 *   unpack_namespace.c  in archive order: names come and go (create, link, replace, whiteouts)
 *   unpack_file.c       in parallel: bodies, and what finishes a file
 *
 * A chunk is a piece of the plain stream with the ops that were found in it. The strands walk the
 * ops of a chunk each on its own; when the last one lets go of the chunk it is used again.
 * docs/format/archive.md, "Applying a layer tar".
 */
#ifndef CST_ARCHIVE_UNPACK_INTERNAL_H
#define CST_ARCHIVE_UNPACK_INTERNAL_H

#include "archive/tar/tar.h"
#include "archive/tarsplit/tarsplit.h"
#include "archive/unpack/unpack.h"
#include "base/fs_private.h"
#include "base/mem.h"
#include "base/str.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

struct unpacker;

/* ---- names (unpack_names.c) ---- */

/* `name` as extraction sees it: cleaned lexically, ".." stopped at the root, no leading "/"; "" is
 * the root itself. `ret` has room for strlen(name) + 1. *form tells "x", "/x" and "../x" apart, as
 * Go's cleaned names do. */
void unpack_clean_name(const char *name, char *ret, uint32_t *form);
const char *unpack_base_name(const char *path); /* behind the last "/" */

/* Keyed 64-bit hashes to small values: bounded memory per entry whatever the names.
 * Zero-initialised is empty. */
struct hash_set {
	uint64_t *keys;
	uint32_t *values;
	size_t len, capacity;
};
bool hash_set_put(struct hash_set *set, uint64_t key,
                  uint32_t value); /* replaces; false: out of memory */
bool hash_set_get(const struct hash_set *set, uint64_t key, uint32_t *ret); /* ret may be NULL */
void hash_set_free(struct hash_set *set);

/* ---- entries and ops ---- */

enum entry_action {
	ENTRY_CREATE,
	ENTRY_WHITEOUT, /* base is ".wh.NAME" */
	ENTRY_OPAQUE,   /* base is ".wh..wh..opq" */
	ENTRY_IGNORE,
};

struct entry {
	struct tar_header header; /* strings in the chunk's arena */
	const char *path, *base;  /* base points into path; "" for the root */
	uint64_t number;          /* from 1, in archive order */
	bool root_by_dot;         /* the root, named "." and not "/" or ".." */
	enum entry_action action;
	bool write_body;  /* the body goes into a file */
	bool record_raw;  /* the body goes into the tar-split, since no file will hold just these
	                     bytes */
	bool record_line; /* a file line in the tar-split; false for a name that has one already */
	uint32_t body_number; /* counts bodies that the tar-split finds in files, from 1; 0: this is
	                         none */
	uint32_t host_uid, host_gid;
};

/* How much of e->path is the path of the directory that it is in. */
static inline size_t entry_parent_len(const struct entry *e)
{
	size_t n = (size_t)(e->base - e->path);
	return n > 0 ? n - 1 : 0;
}

enum op_kind { OP_RAW, OP_ENTRY, OP_BODY, OP_BODY_END, OP_TRAILER };
struct op {
	struct op *next;
	enum op_kind kind;
	const void *data; /* OP_RAW, OP_BODY, OP_TRAILER */
	size_t len;
	uint64_t offset;     /* OP_BODY: inside the body */
	struct entry *entry; /* OP_ENTRY */
};

/* ---- parser (unpack_parse.c) ---- */

struct op_sink {
	/* Takes the op; it and what it points at live in `arena`, or in the input. */
	int (*take)(struct op_sink *sink, struct op *op, cst_error **error);
	struct arena *arena; /* may be changed between calls of unpack_parse */
};
struct unpack_parser {
	const struct unpack_options *options;
	struct tar_reader *reader;
	struct hash_set names; /* as the tar-split knows them */
	uint64_t hash_key[2];
	uint64_t entries, body_offset;
	uint32_t bodies;
	struct idset uids, gids;
	uint32_t last_uid, last_gid;
	bool ids_seen;
	bool damaged; /* the tar itself, not what an entry asks for */
};
int unpack_parser_init(struct unpack_parser *parser, const struct unpack_options *options,
                       cst_error **error);
int unpack_parse(struct unpack_parser *parser, const void *data, size_t n, struct op_sink *sink,
                 cst_error **error);
int unpack_parse_end(struct unpack_parser *parser, struct op_sink *sink, cst_error **error);
void unpack_parser_free(struct unpack_parser *parser);

/* ---- recorder: ops to tar-split (unpack_record.c) ---- */

struct recorder {
	struct tarsplit_writer *writer;
	struct strbuf name;
	int64_t size;
	uint64_t crc;
	bool raw, line;
};
int recorder_take(struct recorder *recorder, const struct op *op, cst_error **error);
void recorder_free(struct recorder *recorder);
void record_chunk(struct task *task); /* of chunk->record_task, on the record strand */

/* ---- chunks (unpack.c) ---- */

#define CHUNK_SIZE ((size_t)256 * 1024)

struct chunk {
	struct unpacker *unpacker;
	struct chunk *next; /* free list, queue of the namespace part */
	_Atomic unsigned references;
	struct arena arena;
	struct op *first, *last;
	uint64_t number; /* entries seen before this chunk's end: where an error in it belongs */
	size_t len;
	struct task record_task;
	uint8_t *data;
};
void chunk_ref(struct chunk *chunk);
void chunk_unref(struct chunk *chunk);

/* ---- files being written (unpack_file.c) ---- */

struct out_file {
	struct unpacker *unpacker;
	int fd;
	_Atomic unsigned parts; /* pieces on their way, and one for the end not yet seen */
	struct entry *entry;
	int parent_fd;      /* where its name will be; borrowed from the cache of directories */
	struct chunk *home; /* holds the entry */
};

struct write_item {
	struct out_file *file;
	const struct op *first; /* OP_BODY ops up to `end` */
	const struct op *end;
};
#define BATCH_ITEMS 16
#define BATCH_BYTES ((size_t)128 * 1024)
struct write_batch {
	struct task task;
	struct unpacker *unpacker;
	struct chunk *chunk;
	size_t n, bytes;
	struct write_item items[BATCH_ITEMS];
};

struct out_file *out_file_new(struct unpacker *u, struct chunk *chunk, struct entry *entry,
                              int parent_fd, int fd);
void out_file_release(
        struct out_file *file); /* lets go of one part; the last one finishes the file */
int out_file_add(struct unpacker *u, struct out_file *file, const struct op *first,
                 const struct op *end, size_t bytes);
/* How many files and directories may be open at a time. */
void unpack_share_descriptors(struct unpacker *u);
void out_file_flush(struct unpacker *u); /* submits the batch that is being gathered */

/* ---- what this archive brought (own.c) ---- */

struct directory {
	int fd;
	uint64_t key; /* of the inode */
};
uint64_t directory_inode_key(const struct unpacker *u, const struct stat *st);
uint64_t directory_child_key(const struct unpacker *u, const struct directory *directory,
                             const char *name);
/* The directory of a descriptor; -1 and errno. */
int directory_at(const struct unpacker *u, int fd, struct directory *ret);
/* Remembers that this archive brought the name. */
int own_add(struct unpacker *u, const struct directory *parent, const char *name,
            uint32_t body_number, cst_error **error);
bool own_has(const struct unpacker *u, const struct directory *parent, const char *name,
             uint32_t *body_number);

/* ---- directories (unpack_directories.c) ---- */

#define DIRECTORY_SLOTS 64
struct directory_slot {
	char *path;
	uint64_t hash, used;
	struct directory directory;
};
struct directory_cache {
	struct directory_slot slots[DIRECTORY_SLOTS];
	size_t n_slots; /* of them are used: what the limit on descriptors leaves */
	uint64_t clock;
	bool stale; /* directory_paths_changed() */
};
enum directory_missing {
	DIRECTORY_MUST_EXIST,
	DIRECTORY_EXISTING, /* made here if the layers below have it */
	DIRECTORY_CREATE,   /* also in the place of what this archive did not bring */
};
/* The directory at the first `n` bytes of path, created with its parents if asked. It stays open
 * until the next entry begins. -1 with errno and nothing else for what the file system says. */
int directory_get(struct unpacker *u, const char *path, size_t n, enum directory_missing missing,
                  struct directory *ret);
int directory_get_parent(struct unpacker *u, const struct entry *entry,
                         enum directory_missing missing, struct directory *ret);
void directory_cache_begin_entry(struct unpacker *u);
/* A directory or symlink goes: what was known by paths may be elsewhere. */
void directory_paths_changed(struct unpacker *u);
void directory_cache_clear(struct unpacker *u);
int directory_open_child(struct unpacker *u, const struct directory *parent, const char *name,
                         struct directory *ret);

/* Goes through everything below a directory, deepest first, without recursion. `visit` gets the
 * directory, the name and lstat of each child; for a directory after its content. */
typedef int (*directory_visit)(struct unpacker *u, const struct directory *directory,
                               const char *name, const struct stat *st, void *arg,
                               cst_error **error);
int directory_walk(struct unpacker *u, const struct directory *top, directory_visit visit,
                   void *arg, cst_error **error);

/* ---- the way to a directory (way.c) ---- */

struct way {
	struct unpacker *unpacker;
	enum directory_missing missing;
	bool itself;        /* of the caller: a symlink as the last component is not followed, but ENOENT */
	int fd;             /* of the directory that was reached */
	struct strbuf path; /* its path, without symlinks */
	size_t hidden_at;   /* from this length of it on, nothing of the layers below is seen */
	char *rest;         /* what is still to go, from `at` on */
	size_t at;
	size_t named; /* where less than this is left, the archive's own name is gone, and no symlink's */
	unsigned links;
	enum way_merged { WAY_UNKNOWN, WAY_ALONE, WAY_MERGED } merged;
	char *asked;                /* of the caller, both: the path it went, */
	struct directory directory; /* and what is there */
};
#define WAY_INIT {.fd = -1, .hidden_at = SIZE_MAX}
/* Goes path[0..n) from the root. -1 and errno; ENOENT, ENOTDIR: there is no such directory. */
int way_go(struct unpacker *u, const char *path, size_t n, enum directory_missing missing,
           struct way *way);
/* May the layers below have the directory, too? If not, the kernel would show a whiteout in a listing of it. */
bool way_is_merged(struct way *way);
void way_end(struct way *way);
#define _cleanup_way_ _cleanup_(way_end)

/* ---- where things are made (place.c) ---- */

/* A directory and a name in it. */
struct place {
	int fd;
	const char *name;
};
/* Where what will be parent/name is made: there, or in the private directory if the target is in
 * use. */
struct place place_of(const struct unpacker *u, int parent_fd, const char *name);
/* Moves what was made to its name. -1 and errno. With PLACE_NEW something that has the name stays:
 * EEXIST. Where the target is not in use, it is at its name already. */
enum place_way { PLACE_REPLACE, PLACE_NEW };
int place_settle(const struct unpacker *u, int parent_fd, const char *name, enum place_way way);
/* Opens what was made, without opening it for reading: O_PATH. `type`: S_IFIFO, ...; something else
 * means that it was replaced. */
int place_hold(const struct place *place, mode_t type, const char *shown, cst_error **error);
/* Remembers that this archive made the file; place_is_made() tells. Only where the target is in
 * use. */
int place_note_made(struct unpacker *u, int fd, cst_error **error);
bool place_is_made(const struct unpacker *u, int fd);
int place_begin(struct unpacker *u, cst_error **error);
void place_end(struct unpacker *u);

/* ---- whiteouts (unpack_whiteout.c) ---- */

int whiteout_apply(struct unpacker *u, const struct entry *entry, cst_error **error);
int whiteout_apply_opaque(struct unpacker *u, const struct entry *entry, cst_error **error);
void whiteout_forget_way(struct unpacker *u); /* directories may have changed */
/* What is below the directory stays hidden: the xattr, where the target is one layer's own. -1 and errno. */
int whiteout_set_opaque(struct unpacker *u, int fd);
bool whiteout_is_node(const struct unpacker *u, const struct stat *st);

/* ---- metadata (unpack_metadata.c) ---- */

int metadata_file(struct unpacker *u, const struct entry *entry, int fd,
                  cst_error **error); /* all, times included */
int metadata_directory(struct unpacker *u, const struct entry *entry, int fd,
                       cst_error **error); /* all but times */
/* These take an O_PATH descriptor. */
int metadata_node(struct unpacker *u, const struct entry *entry, int fd, cst_error **error);
int metadata_symlink(struct unpacker *u, const struct entry *entry, int fd, cst_error **error);
/* The attributes of the directory `below`, which may be an O_PATH descriptor; -1 and errno. */
int metadata_inherit(struct unpacker *u, int fd, int below);
int metadata_override_root(struct unpacker *u, cst_error **error);
struct timespec metadata_clamp_time(struct timespec time);

/* ---- directory times, set when everything is in place (unpack_times.c) ---- */

struct directory_times {
	struct strbuf records;
	int spill_fd; /* -1 until it is needed */
};
int directory_times_add(struct unpacker *u, const struct entry *entry, int fd, cst_error **error);
int directory_times_apply(struct unpacker *u, cst_error **error);

/* ---- durability (unpack_sync.c) ---- */

/* Up to this many entries are synced one by one. */
#define SYNC_ENTRIES 64
struct sync_list {
	struct strv files;       /* what was made: never through a symlink as the last step */
	struct strv directories; /* in which a name, or which itself, changed */
	bool overflow;
};
/* Remembers what was made at path[0..n), and the directory that it is in. */
int sync_list_add(struct unpacker *u, const char *path, size_t n, cst_error **error);
int sync_list_add_directory(struct unpacker *u, const char *path, size_t n, cst_error **error);
/* The paths of the list may no longer lead to what changed: the whole file system is synced instead. */
void sync_list_give_up(struct unpacker *u);
int sync_content(struct unpacker *u, cst_error **error);

/* ---- bodies that the archive itself replaced (unpack_rewrite.c) ---- */

struct saved_body {
	uint32_t number;
	int fd;
};
#define SAVED_BODIES_MAX 64
#define RAW_BODY_MAX     ((uint64_t)64 << 20)
int saved_bodies_keep(struct unpacker *u, const struct directory *doomed, cst_error **error);
int saved_bodies_rewrite(struct unpacker *u, cst_error **error);

/* ---- the namespace part (unpack_namespace.c) ---- */

void namespace_run(struct task *task);                          /* of unpacker->namespace_task */
void namespace_submit(struct unpacker *u, struct chunk *chunk); /* takes over one reference */
void namespace_file_done(struct unpacker *u);
/* ---- all of it ---- */

struct unpacker {
	int root_fd;
	const struct unpack_options *options;
	struct pool *pool;
	bool track_names; /* options->tarsplit_fd >= 0 */
	uint64_t hash_key[2];
	_Atomic unsigned
	        running; /* tasks submitted and not ended; the last thing that a task touches */

	/* the first error in archive order */
	pthread_mutex_t lock;
	cst_error *error;
	_Atomic uint64_t failed_at; /* UINT64_MAX: nowhere */

	/* chunks */
	struct chunk *free_chunks; /* lock */
	_Atomic unsigned n_free;
	unsigned n_chunks;

	/* record strand */
	struct strand record_strand;
	struct digester *plain_digest;
	struct recorder recorder;

	/* namespace part */
	struct task namespace_task;
	struct chunk *queue_head, *queue_tail;    /* lock */
	bool namespace_active, namespace_waiting; /* lock */
	unsigned open_files;                      /* lock */
	unsigned open_files_max; /* with more, the namespace part writes a file itself instead of
	                            opening more */
	const struct op *cursor;                  /* in the chunk at the head; NULL: at its start */
	struct out_file *current;                 /* file whose body goes on */
	struct write_batch *batch;
	struct directory_cache directories;
	struct way marked; /* to the directory of the last whiteout, while nothing else comes */
	struct directory_times times;
	struct sync_list sync;
	struct fs_private private; /* options->in_use: where things are made */
	struct hash_set made;      /* options->in_use: the files that were made, place_note_made() */
	struct hash_set own; /* directory_child_key of what this archive made, to its body_number */
	struct saved_body saved[SAVED_BODIES_MAX];
	size_t n_saved;
	int64_t content_size;
	bool content_size_known;
	bool root_overridden;
	_Atomic bool xattrs_ignored;
};
#define UNPACKER_INIT {.private = FS_PRIVATE_INIT, .marked = WAY_INIT}

/* Takes ownership of `error`. The unpacking goes on with what comes before `number` in the archive.
 */
void unpack_fail(struct unpacker *u, uint64_t number, cst_error *error);
static inline bool unpack_failed(const struct unpacker *u, uint64_t number)
{
	return atomic_load_explicit(&((struct unpacker *)u)->failed_at, memory_order_relaxed) <=
	       number;
}
void unpack_task_begin(struct unpacker *u);
void unpack_task_end(struct unpacker *u);

#endif
