/* SPDX-License-Identifier: Apache-2.0 */
/* The tar reader: the same entries and bytes, however the input is cut into pieces, and every byte
 * accounted for. */
#include "fuzz.h"

#include <string.h>

#include "archive/tar/tar.h"
#include "base/error.h"
#include "base/mem.h"

struct account {
	uint64_t hash, entries, body, raw, trailer;
};

static void mix(struct account *account, const void *data, size_t n)
{
	const uint8_t *p = data;
	for (size_t i = 0; i < n; i++)
		account->hash = (account->hash ^ p[i]) * 0x100000001b3;
}

static void take_raw(struct account *account, struct tar_reader *reader)
{
	const void *data;
	size_t n;
	tar_reader_raw(reader, &data, &n);
	account->raw += n;
	mix(account, data, n);
}

static void take_entry(struct account *account, struct tar_reader *reader)
{
	const struct tar_header *header = tar_reader_header(reader);
	account->entries++;
	MUST(header->name && header->linkname);
	MUST((header->mode & ~(mode_t)07777) == 0);
	mix(account, header->name, strlen(header->name));
	mix(account, &header->size, sizeof(header->size));
	for (size_t i = 0; i < header->n_xattrs; i++)
		mix(account, header->xattrs[i].value, header->xattrs[i].len);
	for (size_t i = 0; i < header->n_sparse; i++)
		MUST(header->sparse[i].offset <= header->size &&
		     header->sparse[i].size <= header->size - header->sparse[i].offset);
}

/* True if the archive is complete and well-formed. */
static bool read_all(const uint8_t *data, size_t size, size_t piece, struct account *account)
{
	_cleanup_(tar_reader_freep) struct tar_reader *reader = NULL;
	if (tar_reader_new(&reader, NULL) < 0)
		return false;
	for (size_t pos = 0;;) {
		enum tar_event event;
		const void *bytes;
		size_t n;
		if (tar_reader_next(reader, &event, &bytes, &n, NULL) < 0)
			return false;
		switch (event) {
		case TAR_NEED_DATA:
			if (pos == size) {
				if (tar_reader_end(reader, NULL) < 0)
					return false;
				take_raw(account, reader);
				return true;
			}
			n = MIN(piece, size - pos);
			tar_reader_feed(reader, data + pos, n);
			pos += n;
			break;
		case TAR_ENTRY:
			take_entry(account, reader);
			take_raw(account, reader);
			break;
		case TAR_BODY:
			account->body += n;
			mix(account, bytes, n);
			break;
		case TAR_END: take_raw(account, reader); break;
		case TAR_TRAILER:
			account->trailer += n;
			mix(account, bytes, n);
			break;
		case TAR_BODY_END: break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct account whole = {0}, pieces = {0};
	bool good = read_all(data, size, size ? size : 1, &whole);
	size_t piece = size > 0 ? data[size - 1] % 61 + 1 : 1;
	MUST(read_all(data, size, piece, &pieces) == good);
	MUST(whole.entries == pieces.entries && whole.body == pieces.body);
	if (good) {
		MUST(whole.hash == pieces.hash && whole.raw == pieces.raw);
		MUST(whole.raw + whole.body + whole.trailer == size);
	}
	return 0;
}
