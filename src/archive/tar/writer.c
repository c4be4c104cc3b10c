/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tar headers, byte for byte as Go's archive/tar makes them: one USTAR block where every field
 * fits, else an `x` header with PAX records before it (docs/format/archive.md, "Headers").
 */
#include "archive/tar/tar.h"
#include "base/fs.h"
#include <inttypes.h>
#include <stdio.h>

/* The fields of a USTAR block: POSIX.1-2017, pax, "ustar Header Block". */
struct tar_block {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char linkname[100], magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8];
	char prefix[155], unused[12];
};
_Static_assert(sizeof(struct tar_block) == TAR_BLOCK, "a tar header is one block");

#define NAME_MAX_USTAR    100
#define PREFIX_MAX_USTAR  155
#define RECORDS_MAX       (1 << 20) /* readers refuse larger `x` bodies */
#define MAX_BASIC_RECORDS 8         /* path, linkpath, uname, gname, uid, gid, size, mtime */

struct record {
	char *key;
	const void *value;
	size_t len;
};

/* The PAX records of one header; strings in the arena. */
struct records {
	struct record *items;
	size_t len;
	bool needed; /* something does not fit into a USTAR block */
	struct arena arena;
};

static void records_free(struct records *records)
{
	free(records->items);
	arena_clear(&records->arena);
}

char tar_type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return '0';
	case S_IFLNK: return '2';
	case S_IFCHR: return '3';
	case S_IFBLK: return '4';
	case S_IFDIR: return '5';
	case S_IFIFO: return '6';
	default: return '\0'; /* sockets */
	}
}

size_t tar_padding(uint64_t body_size)
{
	return (size_t)(-body_size % TAR_BLOCK);
}

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* Where USTAR would cut a long name into prefix and name: the index of the slash, 0 if it cannot.
 */
static size_t split_point(const char *name)
{
	size_t full = strlen(name), limit = full;
	if (full <= NAME_MAX_USTAR || !is_ascii(name))
		return 0;
	if (limit > PREFIX_MAX_USTAR + 1)
		limit = PREFIX_MAX_USTAR + 1;
	else if (name[limit - 1] == '/')
		limit--;
	const char *slash = memrchr(name, '/', limit);
	if (!slash || slash == name)
		return 0;
	size_t cut = (size_t)(slash - name), rest = full - cut - 1;
	return rest == 0 || rest > NAME_MAX_USTAR || cut > PREFIX_MAX_USTAR ? 0 : cut;
}

static bool fits_octal(int64_t n, size_t width)
{
	return n >= 0 && (n >> (3 * (width - 1))) == 0;
}

/* Zero padded, NUL terminated; what does not fit is in a record and 0 here. */
static void put_octal(char *field, size_t width, int64_t n)
{
	uint64_t left = fits_octal(n, width) ? (uint64_t)n : 0;
	field[width - 1] = '\0';
	for (size_t i = width - 1; i-- > 0; left >>= 3)
		field[i] = (char)('0' + (left & 7));
}

/* The ASCII bytes of s, cut to the field. A cut name does not end in "/": old readers would take it
 * for a directory. */
static void put_string(char *field, size_t width, const char *s)
{
	size_t n = 0;
	bool cut = false;
	for (; *s && !cut; s++) {
		if ((unsigned char)*s >= 0x80)
			continue;
		if (n < width)
			field[n++] = *s;
		else
			cut = true;
	}
	if (!cut || field[width - 1] != '/')
		return;
	while (n > 0 && field[n - 1] == '/')
		n--;
	field[n] = '\0';
}

/* The header's mtime in whole seconds, rounded as Go rounds it. */
static int64_t whole_seconds(const struct timespec *time)
{
	return (int64_t)time->tv_sec + (time->tv_nsec >= 500000000 ? 1 : 0);
}

static void add_record(struct records *records, const char *key, const void *value, size_t len)
{
	char *copy = arena_strdup(&records->arena, key);
	if (copy)
		records->items[records->len++] = (struct record){copy, value, len};
}

/* A long name that USTAR could cut gets a record too, in case there must be records for something
 * else. */
static void add_string(struct records *records, const char *key, const char *value, size_t width)
{
	if (is_ascii(value) && strlen(value) <= width)
		return;
	if (!streq(key, "path") || !split_point(value))
		records->needed = true;
	add_record(records, key, value, strlen(value));
}

static void add_number(struct records *records, const char *key, int64_t n, size_t width)
{
	char text[24];
	if (fits_octal(n, width))
		return;
	records->needed = true;
	int len = snprintf(text, sizeof(text), "%" PRId64, n);
	char *value = arena_strndup(&records->arena, text, (size_t)len);
	if (value)
		add_record(records, key, value, (size_t)len);
}

static int add_xattrs(struct records *records, const struct tar_header *header, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf key = {0};
	for (size_t i = 0; i < header->n_xattrs; i++) {
		const struct tar_xattr *xattr = &header->xattrs[i];
		if (strchr(xattr->name, '='))
			return error_set(error, CST_EINVAL,
			                 "archive/tar: cannot encode header: invalid PAX record: "
			                 "\"SCHILY.xattr.%s\"",
			                 xattr->name);
		records->needed = true;
		strbuf_reset(&key);
		strbuf_adds(&key, "SCHILY.xattr.");
		strbuf_adds(&key, xattr->name);
		if (key.failed)
			return error_oom(error);
		add_record(records, key.data, xattr->value, xattr->len);
	}
	return 0;
}

static int compare_records(const void *a, const void *b)
{
	return strcmp(((const struct record *)a)->key, ((const struct record *)b)->key);
}

static int collect_records(struct records *records, const struct tar_header *header,
                           cst_error **error)
{
	records->items = new0(struct record, MAX_BASIC_RECORDS + header->n_xattrs);
	if (!records->items)
		return error_oom(error);
	add_string(records, "path", strempty(header->name), NAME_MAX_USTAR);
	add_string(records, "linkpath", strempty(header->linkname), NAME_MAX_USTAR);
	add_string(records, "uname", strempty(header->uname), 32);
	add_string(records, "gname", strempty(header->gname), 32);
	add_number(records, "uid", header->uid, 8);
	add_number(records, "gid", header->gid, 8);
	add_number(records, "size", (int64_t)header->size, 12);
	add_number(records, "mtime", whole_seconds(&header->mtime), 12);
	int r = add_xattrs(records, header, error);
	if (r < 0)
		return r;
	if (records->arena.failed)
		return error_oom(error);
	qsort(records->items, records->len, sizeof(struct record), compare_records);
	return 0;
}

static size_t decimal_digits(size_t n)
{
	size_t digits = 1;
	for (; n >= 10; n /= 10)
		digits++;
	return digits;
}

/* "LEN KEY=VALUE\n", where LEN counts itself. */
static void put_record(struct strbuf *out, const struct record *record)
{
	size_t rest = strlen(record->key) + record->len + 3;
	size_t size = rest + decimal_digits(rest);
	size = rest + decimal_digits(size);
	strbuf_addf(out, "%zu %s=", size, record->key);
	strbuf_add(out, record->value, record->len);
	strbuf_addc(out, '\n');
}

static void finish_block(struct tar_block *block, struct strbuf *out)
{
	memcpy(block->magic, "ustar", 6);
	memcpy(block->version, "00", 2);
	memset(block->checksum, ' ', sizeof(block->checksum));
	unsigned sum = 0;
	for (size_t i = 0; i < sizeof(*block); i++)
		sum += ((const unsigned char *)block)[i];
	put_octal(block->checksum, 7, sum); /* six digits and NUL; the space stays behind them */
	strbuf_add(out, block, sizeof(*block));
}

/* DIR/PaxHeaders.0/BASE, cleaned, what is ASCII of it and fits, without a slash at the end. */
static bool put_records_name(char field[NAME_MAX_USTAR], const char *name)
{
	const char *base = path_base(name);
	_cleanup_free_ char *joined =
	        str_printf("%.*sPaxHeaders.0/%s", (int)(base - name), name, base);
	_cleanup_free_ char *clean = joined ? path_clean(joined) : NULL;
	if (!clean)
		return false;
	put_string(field, NAME_MAX_USTAR, clean);
	size_t n = strnlen(field, NAME_MAX_USTAR);
	while (n > 0 && field[n - 1] == '/')
		field[--n] = '\0';
	return true;
}

static int put_records(struct strbuf *out, const struct records *records, const char *name,
                       cst_error **error)
{
	_cleanup_strbuf_ struct strbuf body = {0};
	for (size_t i = 0; i < records->len; i++)
		put_record(&body, &records->items[i]);
	if (body.failed)
		return error_oom(error);
	if (body.len > RECORDS_MAX)
		return error_set(error, CST_EINVAL, "archive/tar: header field too long");
	struct tar_block block = {.type = 'x'};
	if (!put_records_name(block.name, name))
		return error_oom(error);
	put_octal(block.mode, sizeof(block.mode), 0);
	put_octal(block.uid, sizeof(block.uid), 0);
	put_octal(block.gid, sizeof(block.gid), 0);
	put_octal(block.size, sizeof(block.size), (int64_t)body.len);
	put_octal(block.mtime, sizeof(block.mtime), 0);
	finish_block(&block, out);
	static const char zeros[TAR_BLOCK];
	strbuf_add(out, body.data, body.len);
	strbuf_add(out, zeros, tar_padding(body.len));
	return 0;
}

static void put_names(struct tar_block *block, const struct tar_header *header, bool ustar)
{
	const char *name = strempty(header->name);
	size_t cut = ustar ? split_point(name) : 0;
	if (cut) {
		memcpy(block->prefix, name, cut);
		name += cut + 1;
	}
	put_string(block->name, sizeof(block->name), name);
	put_string(block->linkname, sizeof(block->linkname), strempty(header->linkname));
	put_string(block->uname, sizeof(block->uname), strempty(header->uname));
	put_string(block->gname, sizeof(block->gname), strempty(header->gname));
}

static int check_header(const struct tar_header *header, cst_error **error)
{
	const char *name = strempty(header->name);
	if (header->type < '0' || header->type > '6')
		return error_set(error, CST_EINVAL, "unhandled tar header type %d", header->type);
	if (strchr("0346", header->type) && has_suffix(name, "/"))
		return error_set(error, CST_EINVAL,
		                 "archive/tar: cannot encode header: filename may not have "
		                 "trailing slash");
	if (!fits_octal(header->devmajor, 8) || !fits_octal(header->devminor, 8))
		return error_set(error, CST_EINVAL,
		                 "archive/tar: cannot encode header: device number %" PRIu32
		                 ":%" PRIu32 " of %s",
		                 header->devmajor, header->devminor, name);
	if (header->size > INT64_MAX)
		return error_set(error, CST_EINVAL, "archive/tar: cannot encode header: size of %s",
		                 name);
	return 0;
}

int tar_format_header(const struct tar_header *header, struct strbuf *out, cst_error **error)
{
	int r = check_header(header, error);
	if (r < 0)
		return r;
	_cleanup_(records_free) struct records records = {0};
	r = collect_records(&records, header, error);
	if (r < 0)
		return r;
	size_t before = out->len;
	if (records.needed && (r = put_records(out, &records, strempty(header->name), error)) < 0)
		return r;
	struct tar_block block = {.type = header->type};
	put_names(&block, header, !records.needed);
	put_octal(block.mode, sizeof(block.mode), header->mode & 07777);
	put_octal(block.uid, sizeof(block.uid), header->uid);
	put_octal(block.gid, sizeof(block.gid), header->gid);
	put_octal(block.size, sizeof(block.size), (int64_t)header->size);
	put_octal(block.mtime, sizeof(block.mtime), whole_seconds(&header->mtime));
	put_octal(block.devmajor, sizeof(block.devmajor), header->devmajor);
	put_octal(block.devminor, sizeof(block.devminor), header->devminor);
	finish_block(&block, out);
	if (!out->failed)
		return 0;
	if (out->len > before)
		out->len = before;
	return error_oom(error);
}
