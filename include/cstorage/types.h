/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CSTORAGE_TYPES_H
#define CSTORAGE_TYPES_H

#include <cstorage/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A struct that begins with its own size is made with its _INIT macro and can get more members at its end. A program that is
 * older than the library leaves them out, and they have their defaults; a program that is newer than the library may give
 * members that this library does not know only as zero: else the call fails with CST_EINVAL, rather than do something else
 * than asked for. What the library hands out is read through the pointer, not copied: its size is the library's. The other
 * structs are value types, which never get another member. No struct has padding: what fills it up is called `unused`.
 */

/* ---- version ---- */

/* The library that runs, "1.2.3", and the same as a number, 1 * 1000000 + 2 * 1000 + 3. */
CST_PUBLIC const char *cst_version(void);
CST_PUBLIC uint32_t cst_version_number(void);

/* ---- log ---- */

enum cst_log_level { CST_LOG_ERROR = 0, CST_LOG_WARNING = 1, CST_LOG_INFO = 2, CST_LOG_DEBUG = 3 };

/* Called for what a user ought to know although nothing failed; may be called from any thread. The only global state of
 * the library. NULL (the start state) discards. Messages above `level` are not formatted. */
typedef void (*cst_log_callback)(enum cst_log_level level, const char *message, void *userdata);
CST_PUBLIC void cst_set_log(cst_log_callback callback, enum cst_log_level level, void *userdata);

/* ---- streams ---- */

/* Where a stream comes from. A value type. `read` returns the number of bytes put into buffer, 0 at the end, or a negative CST_E code
 * with *error set. It is called from one thread at a time. */
typedef struct cst_source {
	int64_t (*read)(void *userdata, void *buffer, size_t size, cst_error **error);
	void *userdata;
} cst_source;

/* Where a stream goes. A value type. `write` takes all bytes and returns 0, or fails with a negative CST_E code and *error set. */
typedef struct cst_sink {
	int (*write)(void *userdata, const void *data, size_t size, cst_error **error);
	void *userdata;
} cst_sink;

/* Streams over a file descriptor, which stays the caller's. */
CST_PUBLIC cst_source cst_source_fd(int fd);
CST_PUBLIC cst_sink cst_sink_fd(int fd);

/* Streams over memory. A value type. A source reads `data`, which must stay; a sink grows `data` by realloc, the caller frees it. */
typedef struct cst_memory {
	char *data;
	size_t size;   /* bytes of content */
	size_t offset; /* source: read position; sink: allocated bytes */
} cst_memory;
CST_PUBLIC cst_source cst_source_memory(cst_memory *memory);
CST_PUBLIC cst_sink cst_sink_memory(cst_memory *memory);

/* ---- progress ---- */

typedef struct cst_progress_state {
	size_t size;              /* sizeof(cst_progress_state) of the library */
	const char *what;         /* "import", "diff", "delete", ... */
	uint64_t bytes_done, bytes_total;     /* total 0: unknown; of the stream as given */
	uint64_t entries_done, entries_total; /* files and directories */
} cst_progress_state;

/* A value type. Called now and then during long work, from the calling thread. Returning non-zero cancels: the operation undoes
 * itself and fails with CST_ECANCELED. It is also called (what: "wait", nothing counted) while the operation waits for its
 * first lock. */
typedef struct cst_progress {
	int (*callback)(const cst_progress_state *state, void *userdata);
	void *userdata;
} cst_progress;

/* ---- waiting for a lock ---- */

/* What a call is waiting for. */
typedef struct cst_wait_state {
	size_t size;        /* sizeof(cst_wait_state) of the library */
	const char *lock;   /* the lock file */
	uint64_t waited_ms;
	const char *holder; /* "podman (pid 1234)"; "" in the first second, and where the kernel does not tell */
} cst_wait_state;

/* Called some fifty times a second while a call waits for a lock, from the waiting thread. Returning non-zero ends the
 * wait: the call fails with CST_ECANCELED. Locks of the store may be held meanwhile: the callback must not use the store. */
typedef struct cst_wait {
	int (*callback)(const cst_wait_state *state, void *userdata);
	void *userdata;
} cst_wait;

/* ---- small values ---- */

/* A list of strings. The list and its items belong to the caller of the function that returned it. */
typedef struct cst_strings cst_strings;
CST_PUBLIC size_t cst_strings_size(const cst_strings *strings); /* NULL: 0 */
CST_PUBLIC const char *cst_strings_get(const cst_strings *strings, size_t index); /* NULL when out of range */
CST_PUBLIC void cst_strings_free(cst_strings *strings);

/* A list of keys and values. It belongs to the caller of the function that returned it. */
typedef struct cst_pairs cst_pairs;
CST_PUBLIC size_t cst_pairs_size(const cst_pairs *pairs); /* NULL: 0 */
CST_PUBLIC const char *cst_pairs_key(const cst_pairs *pairs, size_t index); /* NULL when out of range */
CST_PUBLIC const char *cst_pairs_value(const cst_pairs *pairs, size_t index);
CST_PUBLIC void cst_pairs_free(cst_pairs *pairs); /* NULL allowed */

/* One range of an id map, a value type: `size` ids from container_id on are host_id on. */
typedef struct cst_idmap {
	uint32_t container_id, host_id, size;
} cst_idmap;

/* Frees what the library handed out as a char *, a void * or an array. NULL allowed. */
CST_PUBLIC void cst_free(void *memory);

#ifdef __cplusplus
}
#endif
#endif
