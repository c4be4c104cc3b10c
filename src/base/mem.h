/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership is visible. Every local variable that owns something has a _cleanup_ attribute; to hand
 * it on, call steal_ptr() or steal_fd(). When memory runs out that is an error like any other
 * (error_oom), never an abort, because a library must not end its process. */
#ifndef CST_BASE_MEM_H
#define CST_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void freep(void *p)
{
	free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

void closep(int *fd); /* closes if >= 0, keeps errno */
#define _cleanup_close_ _cleanup_(closep)

/* DEFINE_CLEANUP(struct foo *, foo_free) makes foo_freep for _cleanup_(foo_freep). */
#define DEFINE_CLEANUP(type, func)                                                                 \
	static inline void func##p(type *p)                                                        \
	{                                                                                          \
		if (*p)                                                                            \
			func(*p);                                                                  \
	}

#define steal_ptr(pp)                                                                              \
	__extension__({                                                                            \
		__typeof__(*(pp)) stolen_ = *(pp);                                                 \
		*(pp) = NULL;                                                                      \
		stolen_;                                                                           \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;
	*fd = -1;
	return stolen;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                  \
	__extension__({                                                                            \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ < b_ ? a_ : b_;                                                                 \
	})
#define MAX(a, b)                                                                                  \
	__extension__({                                                                            \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ > b_ ? a_ : b_;                                                                 \
	})

/* calloc and realloc of arrays, with the multiplication checked. NULL when out of memory. */
#define new0(type, n) ((type *) calloc((n), sizeof(type)))
void *grow_array(void *array, size_t *capacity, size_t needed, size_t element); /* doubles; NULL: array unchanged */

/*
 * An arena: many small allocations, freed at once. A failed allocation returns NULL and makes the arena
 * `failed` for good, so a builder may check once at its end. Zero-initialised is empty and valid.
 */
struct arena_block;
struct arena {
	struct arena_block *blocks;
	bool failed;
};
void *arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for any type */
char *arena_strndup(struct arena *arena, const char *s, size_t n);
char *arena_strdup(struct arena *arena, const char *s); /* NULL gives NULL */
void arena_clear(struct arena *arena);
#define _cleanup_arena_ _cleanup_(arena_clear)

#endif
