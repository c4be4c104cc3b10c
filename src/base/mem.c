/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow, arenas, and the cleanup functions of plain types. */
#include "base/mem.h"
#include <errno.h>
#include <stdalign.h>
#include <unistd.h>

void closep(int *fd)
{
	if (*fd < 0)
		return;
	int saved = errno;
	close(*fd);
	errno = saved;
}

void *grow_array(void *array, size_t *capacity, size_t needed, size_t element)
{
	if (needed <= *capacity && array)
		return array;
	size_t larger = *capacity < 8 ? 8 : *capacity;
	while (larger < needed) {
		if (larger > SIZE_MAX / 2)
			return NULL;
		larger *= 2;
	}
	if (larger > SIZE_MAX / element)
		return NULL;
	void *grown = realloc(array, larger * element);
	if (grown)
		*capacity = larger;
	return grown;
}

/* Blocks double from 1 KiB to 1 MiB; what is larger gets a block of its own. */
#define ARENA_FIRST   1024
#define ARENA_LARGEST (1024 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(max_align_t) unsigned char data[];
};

/* Memory as it comes. */
static void *take(struct arena *arena, size_t size, size_t alignment)
{
	if (arena->failed || size > SIZE_MAX / 2) {
		arena->failed = true;
		return NULL;
	}
	struct arena_block *block = arena->blocks;
	size_t at = block ? (block->used + alignment - 1) & ~(alignment - 1) : 0;
	if (!block || at > block->size || block->size - at < size) {
		size_t next = block ? MIN(block->size * 2, (size_t)ARENA_LARGEST) : ARENA_FIRST;
		next = MAX(next, size);
		struct arena_block *fresh = malloc(sizeof(*fresh) + next);
		if (!fresh) {
			arena->failed = true;
			return NULL;
		}
		*fresh = (struct arena_block){.next = block, .size = next};
		arena->blocks = block = fresh;
		at = 0;
	}
	block->used = at + size;
	return block->data + at;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size = MAX(size, (size_t)1);
	void *fresh = take(arena, size, alignof(max_align_t));
	/* Unused memory of the block is never touched, so it costs nothing. */
	return fresh ? memset(fresh, 0, size) : NULL;
}

char *arena_strndup(struct arena *arena, const char *s, size_t n)
{
	char *copy = take(arena, n + 1, 1);
	if (copy) {
		memcpy(copy, s, n);
		copy[n] = '\0';
	}
	return copy;
}

char *arena_strdup(struct arena *arena, const char *s)
{
	return s ? arena_strndup(arena, s, strlen(s)) : NULL;
}

void arena_clear(struct arena *arena)
{
	for (struct arena_block *block = arena->blocks; block;) {
		struct arena_block *next = block->next;
		free(block);
		block = next;
	}
	*arena = (struct arena){0};
}
