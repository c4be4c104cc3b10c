/* SPDX-License-Identifier: Apache-2.0 */
/* Compares words by the number of mistakes between them. */
#include "nearest.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Longer words are not compared: the comparison costs the product of both lengths. */
#define LONGEST 64

static size_t least(size_t a, size_t b, size_t c)
{
	size_t smaller = a < b ? a : b;
	return smaller < c ? smaller : c;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

/* How many letters must be added, removed, changed or swapped with their neighbour. */
static size_t edits(const char *a, size_t n_a, const char *b, size_t n_b)
{
	size_t rows[3][LONGEST + 1] = {{0}};
	for (size_t j = 0; j <= n_b; j++)
		rows[1][j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		size_t *before = rows[(i - 1) % 3], *last = rows[i % 3], *now = rows[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			size_t change = lower(a[i - 1]) != lower(b[j - 1]);
			now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
	}
	return rows[(n_a + 1) % 3][n_b];
}

/* A word that is part of the other, from three letters on, counts as one mistake. */
static size_t distance_of(const char *word, const char *candidate)
{
	size_t n = strlen(word), length = strlen(candidate);
	if (n >= 3 && strcasestr(candidate, word))
		return 1;
	return n > LONGEST || length > LONGEST ? LONGEST : edits(word, n, candidate, length);
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
	size_t length = strlen(nearest->word), allowed = length < 4 ? 1 : 1 + length / 4;
	size_t distance = distance_of(nearest->word, candidate);
	if (distance > allowed || distance >= length ||
	    (nearest->found && distance >= nearest->distance))
		return;
	char *found = strdup(candidate);
	if (!found)
		return;
	free(nearest->found);
	nearest->found = found;
	nearest->distance = distance;
}

void nearest_done(struct nearest *nearest)
{
	free(nearest->found);
}
