/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files, without a fuzzer: each as it is, cut at many places, and with
 * bytes changed. The changes are the same every time. `replay [-n CHANGES] FILE...`; the file that
 * is being tried is named by $FUZZ_TRYING on a crash. */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t seed = 0x9e3779b97f4a7c15;

static size_t any(size_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return below ? seed % below : 0;
}

/* Each try gets memory of exactly its size, so that a sanitizer sees the first byte behind it. */
static void try(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	if (!copy)
		return;
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void change(uint8_t *data, size_t size)
{
	static const uint8_t nasty[] = {0,   0xff, 0x80, 0x7f, '0', '7',  '9', '-',
	                                '"', '\\', '[',  '{',  '=', '\n', ' '};
	for (size_t n = any(4) + 1; n > 0; n--) {
		size_t at = any(size);
		switch (any(3)) {
		case 0: data[at] ^= (uint8_t)(1u << any(8)); break;
		case 1: data[at] = nasty[any(sizeof(nasty))]; break;
		default: {
			size_t from = any(size), len = any(16);
			if (len > size - at)
				len = size - at;
			if (len > size - from)
				len = size - from;
			memmove(data + at, data + from, len);
		}
		}
	}
}

static uint8_t *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	if (file && fseek(file, 0, SEEK_END) == 0 && ftell(file) >= 0) {
		*size = (size_t)ftell(file);
		rewind(file);
		data = malloc(*size ? *size : 1);
		if (data && fread(data, 1, *size, file) != *size) {
			free(data);
			data = NULL;
		}
	}
	if (file)
		fclose(file);
	return data;
}

int main(int argc, char **argv)
{
	size_t changes = 20, tries = 0;
	int first = 1;
	if (argc > 2 && strcmp(argv[1], "-n") == 0) {
		changes = strtoul(argv[2], NULL, 10);
		first = 3;
	}
	for (int i = first; i < argc; i++) {
		size_t size = 0;
		uint8_t *data = read_file(argv[i], &size);
		if (!data) {
			fprintf(stderr, "%s: cannot be read\n", argv[i]);
			return 2;
		}
		fprintf(stderr, "trying %s\n", argv[i]);
		try(data, size);
		for (size_t n = 0; n < changes && size > 0 && size < 1 << 20; n++) {
			uint8_t *copy = malloc(size);
			if (!copy)
				return 2;
			memcpy(copy, data, size);
			if (n % 4 != 0)
				change(copy, size);
			try(copy, n % 4 == 0 ? any(size) : size);
			free(copy);
			tries++;
		}
		tries++;
		free(data);
	}
	printf("%zu\n", tries);
	return 0;
}
