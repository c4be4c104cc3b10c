/* SPDX-License-Identifier: Apache-2.0 */
/* One header: its block, and the PAX records that go over it (docs/format/archive.md, "Accepted tar
 * dialect"). */
#include "archive/tar/reader_internal.h"

static bool parse_common(struct tar_reader *r, const uint8_t *block)
{
	struct tar_header *h = &r->header;
	int64_t mode, seconds;

	h->name = tar_parse_text(arena_of(r), block, 100);
	h->linkname = tar_parse_text(arena_of(r), block + 157, 100);
	h->uname = h->gname = "";
	h->type = (char)block[156];
	if (!h->name || !h->linkname || !tar_parse_number(block + 100, 8, &mode) ||
	    !tar_parse_number(block + 108, 8, &r->uid) ||
	    !tar_parse_number(block + 116, 8, &r->gid) ||
	    !tar_parse_number(block + 124, 12, &h->recorded_size) ||
	    !tar_parse_number(block + 136, 12, &seconds))
		return false;
	h->mode = (mode_t)mode & 07777;
	h->recorded_mode = mode;
	h->mtime = (struct timespec){.tv_sec = seconds};
	return true;
}

static bool parse_prefix(struct tar_reader *r, const uint8_t *field, size_t n)
{
	const char *prefix = tar_parse_text(arena_of(r), field, n);

	if (!prefix)
		return false;
	if (!*prefix)
		return true;
	size_t prefix_len = strlen(prefix), name_len = strlen(r->header.name);
	char *joined = arena_alloc(arena_of(r), prefix_len + name_len + 2);
	if (!joined)
		return false;
	memcpy(joined, prefix, prefix_len);
	joined[prefix_len] = '/';
	memcpy(joined + prefix_len + 1, r->header.name, name_len);
	r->header.name = joined;
	return true;
}

static bool is_ascii(const uint8_t *field, size_t n)
{
	for (size_t i = 0; i < n && field[i]; i++)
		if (field[i] >= 0x80)
			return false;
	return true;
}

/* GNU headers hold times where ustar has its prefix; old Go versions wrote a prefix there
 * nevertheless. */
static bool parse_gnu_times(struct tar_reader *r, const uint8_t *block)
{
	int64_t atime = 0, ctime = 0;

	if ((!block[345] || tar_parse_number(block + 345, 12, &atime)) &&
	    (!block[357] || tar_parse_number(block + 357, 12, &ctime))) {
		if (block[345]) {
			r->header.atime = (struct timespec){.tv_sec = atime};
			r->header.has_atime = true;
		}
		if (block[357]) {
			r->header.ctime = (struct timespec){.tv_sec = ctime};
			r->header.has_ctime = true;
		}
		return true;
	}
	return !is_ascii(block + 345, 155) || parse_prefix(r, block + 345, 155);
}

static bool parse_extended(struct tar_reader *r, const uint8_t *block, enum tar_format format)
{
	struct tar_header *h = &r->header;
	int64_t atime, ctime;

	h->uname = tar_parse_text(arena_of(r), block + 265, 32);
	h->gname = tar_parse_text(arena_of(r), block + 297, 32);
	if (!h->uname || !h->gname || !tar_parse_number(block + 329, 8, &r->devmajor) ||
	    !tar_parse_number(block + 337, 8, &r->devminor))
		return false;
	switch (format) {
	case TAR_USTAR: return parse_prefix(r, block + 345, 155);
	case TAR_GNU: return parse_gnu_times(r, block);
	case TAR_STAR:
		if (!tar_parse_number(block + 476, 12, &atime) ||
		    !tar_parse_number(block + 488, 12, &ctime))
			return false;
		h->atime = (struct timespec){.tv_sec = atime};
		h->ctime = (struct timespec){.tv_sec = ctime};
		h->has_atime = h->has_ctime = true;
		return parse_prefix(r, block + 345, 131);
	default: return true;
	}
}

bool tar_header_parse(struct tar_reader *r, const uint8_t *block)
{
	enum tar_format format = tar_block_format(block);

	r->header = (struct tar_header){0};
	r->uid = r->gid = r->devmajor = r->devminor = 0;
	return tar_block_checksum_ok(block) && parse_common(r, block) &&
	       (format == TAR_V7 || parse_extended(r, block, format));
}

/* ---- PAX records over the header ---- */

static bool merge_number(const char *text, int64_t *ret)
{
	return !text || tar_parse_int(text, ret);
}

static bool merge_time(const char *text, struct timespec *ret)
{
	return !text || tar_parse_time(text, ret);
}

bool tar_header_merge_pax(struct tar_reader *r)
{
	struct tar_header *h = &r->header;
	const struct tar_pax *pax = &r->pax;

	h->name = pax->path ? pax->path : h->name;
	h->linkname = pax->linkpath ? pax->linkpath : h->linkname;
	h->uname = pax->uname ? pax->uname : h->uname;
	h->gname = pax->gname ? pax->gname : h->gname;
	if (!merge_number(pax->uid, &r->uid) || !merge_number(pax->gid, &r->gid) ||
	    !merge_number(pax->size, &h->recorded_size) || !merge_time(pax->mtime, &h->mtime) ||
	    !merge_time(pax->atime, &h->atime) || !merge_time(pax->ctime, &h->ctime))
		return false;
	h->has_atime |= pax->atime != NULL;
	h->has_ctime |= pax->ctime != NULL;
	h->xattrs = pax->xattrs;
	h->n_xattrs = pax->n_xattrs;
	return true;
}

/* Ids are 32 bits in the kernel, and -1 means "leave the owner": neither may come in through a
 * header. */
bool tar_header_merge_ids(struct tar_reader *r)
{
	struct tar_header *h = &r->header;

	if (r->uid < 0 || r->uid >= UINT32_MAX || r->gid < 0 || r->gid >= UINT32_MAX)
		return false;
	if ((h->type == '3' || h->type == '4') && (r->devmajor < 0 || r->devmajor > UINT32_MAX ||
	                                           r->devminor < 0 || r->devminor > UINT32_MAX))
		return false;
	h->uid = (uint32_t)r->uid;
	h->gid = (uint32_t)r->gid;
	h->devmajor = (uint32_t)r->devmajor;
	h->devminor = (uint32_t)r->devminor;
	return true;
}
