/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the JSON of a TOC (docs/format/chunked.md, "TOC JSON"). Keys match in any case, and unknown ones are skipped, as by the
 * Go reader; unlike it, this one refuses numbers that make no sense. */
#include "base/base64.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "chunked/toc.h"

#define EMPTY_DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define CHUNK        'c' /* the type of an entry that goes on with the file before it */

/* An entry as it is written. */
struct raw_entry {
	const char *type, *name, *linkname, *digest, *chunk_digest, *chunk_type;
	int64_t mode, size, uid, gid, devmajor, devminor;
	int64_t offset, end_offset, chunk_size, chunk_offset, inner_offset;
	struct toc_time mtime, atime, ctime;
	struct toc_xattr *xattrs;
	size_t n_xattrs, xattrs_capacity;
};

struct reading {
	struct toc *toc;
	struct json_reader json;
	struct raw_entry raw;
	bool ignored; /* the file that was read last is not part of the layer */
};

static int refuse(const struct raw_entry *raw, const char *problem, cst_error **error)
{
	return error_set(error, CST_EARCHIVE, "TOC: entry \"%s\": %s", raw->name, problem);
}

/* ---- values ---- */

static void read_time(struct json_reader *json, struct toc_time *ret)
{
	const char *text = NULL;
	size_t len = 0;
	struct timestamp time;
	if (!json_passing(json, &text, &len) || !text)
		return;
	if (!timestamp_parse(text, len, &time)) {
		json_fail(json, "not a time");
		return;
	}
	*ret = (struct toc_time){.sec = time.sec, .nsec = (uint32_t)time.nsec, .known = true};
}

static struct toc_xattr *add_xattr(struct reading *reading)
{
	struct raw_entry *raw = &reading->raw;
	struct toc_xattr *grown = grow_array(raw->xattrs, &raw->xattrs_capacity, raw->n_xattrs + 1,
	                                     sizeof(*raw->xattrs));
	if (!grown) {
		json_fail(&reading->json, "out of memory");
		return NULL;
	}
	raw->xattrs = grown;
	return &raw->xattrs[raw->n_xattrs++];
}

static void read_xattrs(struct reading *reading)
{
	struct json_reader *json = &reading->json;
	const char *name;
	reading->raw.n_xattrs = 0;
	if (!json_object_begin(json))
		return;
	while (json_object_next(json, &name)) {
		const char *text = "";
		size_t len = 0, n = 0, bad;
		if (!json_bytes(json, &text, &len))
			return;
		unsigned char *value = arena_alloc(&reading->toc->arena, len / 4 * 3 + 1);
		struct toc_xattr *xattr = value ? add_xattr(reading) : NULL;
		if (!xattr)
			return;
		*xattr = (struct toc_xattr){.name = name, .value = value};
		if (!base64_decode(text, len, value, &n, &bad)) {
			json_fail(json, "the value of an extended attribute is not base64");
			return;
		}
		xattr->len = n;
	}
}

/* ---- one entry ---- */

struct member {
	const char *key;
	enum { TEXT, NUMBER, TIME } kind;
	size_t at; /* in struct raw_entry */
};
#define MEMBER(key, kind, field)                             \
	{                                                    \
		key, kind, offsetof(struct raw_entry, field) \
	}

static const struct member members[] = {
        MEMBER("type", TEXT, type),
        MEMBER("name", TEXT, name),
        MEMBER("linkName", TEXT, linkname),
        MEMBER("digest", TEXT, digest),
        MEMBER("chunkDigest", TEXT, chunk_digest),
        MEMBER("chunkType", TEXT, chunk_type),
        MEMBER("size", NUMBER, size),
        MEMBER("offset", NUMBER, offset),
        MEMBER("endOffset", NUMBER, end_offset),
        MEMBER("mode", NUMBER, mode),
        MEMBER("uid", NUMBER, uid),
        MEMBER("gid", NUMBER, gid),
        MEMBER("chunkSize", NUMBER, chunk_size),
        MEMBER("chunkOffset", NUMBER, chunk_offset),
        MEMBER("devMajor", NUMBER, devmajor),
        MEMBER("devMinor", NUMBER, devminor),
        MEMBER("innerOffset", NUMBER, inner_offset),
        MEMBER("modtime", TIME, mtime),
        MEMBER("accesstime", TIME, atime),
        MEMBER("changetime", TIME, ctime),
};

/* Most are told from each other by their first letter, in whatever case. */
static const struct member *find_member(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (((*key ^ *members[i].key) & ~0x20) == 0 && json_key_is(key, members[i].key))
			return &members[i];
	return NULL;
}

static void read_member(struct reading *reading, const char *key)
{
	struct json_reader *json = &reading->json;
	const struct member *member = find_member(key);
	char *at = (char *)&reading->raw + (member ? member->at : 0);
	if (!member && json_key_is(key, "xattrs"))
		read_xattrs(reading);
	else if (!member)
		json_skip(json);
	else if (member->kind == TEXT)
		json_string(json, (const char **)at);
	else if (member->kind == NUMBER)
		json_int64(json, (int64_t *)at);
	else
		read_time(json, (struct toc_time *)at);
}

/* '\0': there is no such type. */
static char type_of(const char *name)
{
	static const struct {
		const char *name;
		char type;
	} types[] = {{"reg", '0'},   {"hardlink", '1'}, {"symlink", '2'}, {"char", '3'},
	             {"block", '4'}, {"dir", '5'},      {"fifo", '6'},    {"chunk", CHUNK}};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (streq(name, types[i].name))
			return types[i].type;
	return '\0';
}

static int check_numbers(const struct raw_entry *raw, cst_error **error)
{
	const int64_t sizes[] = {raw->mode,         raw->size,       raw->offset,
	                         raw->end_offset,   raw->chunk_size, raw->chunk_offset,
	                         raw->inner_offset, raw->devmajor,   raw->devminor};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (sizes[i] < 0)
			return refuse(raw, "a number below zero", error);
	/* -1 leaves the owner of a file as it is. */
	if (raw->uid < 0 || raw->uid >= UINT32_MAX || raw->gid < 0 || raw->gid >= UINT32_MAX)
		return refuse(raw, "an owner that cannot be", error);
	if (raw->devmajor > UINT32_MAX || raw->devminor > UINT32_MAX)
		return refuse(raw, "a device number that cannot be", error);
	if (!*raw->name)
		return refuse(raw, "it has no name", error);
	if (raw->inner_offset > 0)
		return error_set(error, CST_ENOTSUP,
		                 "TOC: entry \"%s\": it shares its gzip member with others "
		                 "(innerOffset)",
		                 raw->name);
	return 0;
}

static int take_digest(const struct raw_entry *raw, const char *text, uint8_t digest[32], bool *has,
                       cst_error **error)
{
	*has = *text;
	if (*text && !toc_digest_parse(text, digest))
		return refuse(raw, "a digest that is not sha256", error);
	return 0;
}

/* ---- chunks ---- */

/* A chunk of the last entry. The end of the file is the chunk's, too, where no size is given. */
static int add_chunk(struct reading *reading, const char *digest, cst_error **error)
{
	struct toc *toc = reading->toc;
	const struct raw_entry *raw = &reading->raw;
	struct toc_entry *entry = &toc->entries[toc->n_entries - 1];
	struct toc_chunk *grown = grow_array(toc->chunks, &toc->chunks_capacity, toc->n_chunks + 1,
	                                     sizeof(*toc->chunks));
	if (!grown)
		return error_oom(error);
	toc->chunks = grown;
	if (toc->n_chunks == TOC_ENTRIES_MAX)
		return refuse(raw, "more chunks before it than are read", error);
	struct toc_chunk *chunk = &toc->chunks[toc->n_chunks];
	*chunk = (struct toc_chunk){.offset = (uint64_t)raw->offset,
	                            .file_offset = (uint64_t)raw->chunk_offset,
	                            .size = (uint64_t)raw->chunk_size,
	                            .entry = (uint32_t)(toc->n_entries - 1),
	                            .zeros = streq(raw->chunk_type, "zeros")};
	if (*raw->chunk_type && !chunk->zeros)
		return refuse(raw, "a chunk of an unknown type", error);
	uint64_t begin = 0;
	if (entry->n_chunks > 0)
		begin = chunk[-1].file_offset + chunk[-1].size;
	if (chunk->file_offset != begin || begin >= entry->size)
		return refuse(raw, "its chunks overlap, or have a gap", error);
	if (chunk->size == 0)
		chunk->size = entry->size - begin;
	if (chunk->size > entry->size - begin)
		return refuse(raw, "its chunks are longer than the file", error);
	entry->n_chunks++;
	toc->n_chunks++;
	return take_digest(raw, digest, chunk->digest, &chunk->has_digest, error);
}

/* The last entry has all the chunks it will get. */
static int end_file(struct reading *reading, cst_error **error)
{
	struct toc *toc = reading->toc;
	if (reading->ignored || toc->n_entries == 0)
		return 0;
	const struct toc_entry *entry = &toc->entries[toc->n_entries - 1];
	if (entry->n_chunks == 0)
		return 0;
	const struct toc_chunk *last = &toc->chunks[toc->n_chunks - 1];
	if (last->file_offset + last->size == entry->size)
		return 0;
	return error_set(error, CST_EARCHIVE,
	                 "TOC: entry \"%s\": its chunks are shorter than the file", entry->name);
}

static int go_on_with_file(struct reading *reading, cst_error **error)
{
	const struct toc *toc = reading->toc;
	const struct raw_entry *raw = &reading->raw;
	if (reading->ignored)
		return 0;
	if (toc->n_entries == 0 || toc->entries[toc->n_entries - 1].type != '0')
		return refuse(raw, "a chunk without a regular file", error);
	const struct toc_entry *entry = &toc->entries[toc->n_entries - 1];
	if (!streq(raw->name, entry->name))
		return refuse(raw, "a chunk behind another file", error);
	if (entry->n_chunks == 0)
		return refuse(raw, "a chunk of an empty file", error);
	return add_chunk(reading, raw->chunk_digest, error);
}

/* ---- files and what else has a name ---- */

static bool keep_xattrs(struct reading *reading, struct toc_entry *entry)
{
	struct raw_entry *raw = &reading->raw;
	if (raw->n_xattrs == 0)
		return true;
	size_t n = toc_sort_xattrs(raw->xattrs, raw->n_xattrs);
	struct toc_xattr *kept = arena_alloc(&reading->toc->arena, n * sizeof(*kept));
	if (!kept)
		return false;
	memcpy(kept, raw->xattrs, n * sizeof(*kept));
	entry->xattrs = kept;
	entry->n_xattrs = n;
	return true;
}

static int new_entry(struct reading *reading, char type, struct toc_entry **ret, cst_error **error)
{
	struct toc *toc = reading->toc;
	const struct raw_entry *raw = &reading->raw;
	if (toc->n_entries == TOC_ENTRIES_MAX)
		return refuse(raw, "more entries before it than are read", error);
	struct toc_entry *grown = grow_array(toc->entries, &toc->entries_capacity,
	                                     toc->n_entries + 1, sizeof(*toc->entries));
	if (!grown)
		return error_oom(error);
	toc->entries = grown;
	struct toc_entry *entry = &toc->entries[toc->n_entries++];
	*entry = (struct toc_entry){.name = raw->name,
	                            .linkname = raw->linkname,
	                            .type = type,
	                            .uid = (uint32_t)raw->uid,
	                            .gid = (uint32_t)raw->gid,
	                            .devmajor = (uint32_t)raw->devmajor,
	                            .devminor = (uint32_t)raw->devminor,
	                            .first_chunk = (uint32_t)toc->n_chunks,
	                            .mode = raw->mode,
	                            .size = (uint64_t)raw->size,
	                            .mtime = raw->mtime,
	                            .atime = raw->atime,
	                            .ctime = raw->ctime};
	*ret = entry;
	return keep_xattrs(reading, entry) ? 0 : error_oom(error);
}

/* The first chunk of a file is in the file's own entry. If it is the only one, its digest is the file's. */
static int begin_content(struct reading *reading, struct toc_entry *entry, cst_error **error)
{
	const struct raw_entry *raw = &reading->raw;
	if (entry->size == 0)
		return raw->chunk_size > 0 ? refuse(raw, "chunks of an empty file", error) : 0;
	if (!entry->has_digest)
		return refuse(raw, "it has no digest", error);
	if (raw->offset == 0)
		return refuse(raw, "it has no offset", error);
	bool alone = raw->chunk_size == 0 || raw->chunk_size == raw->size;
	int r = add_chunk(reading, alone && !*raw->chunk_digest ? raw->digest : raw->chunk_digest,
	                  error);
	if (r == 0)
		reading->toc->chunks[reading->toc->n_chunks - 1].end = (uint64_t)raw->end_offset;
	return r;
}

static int begin_entry(struct reading *reading, char type, cst_error **error)
{
	struct raw_entry *raw = &reading->raw;
	reading->ignored = toc_is_of_the_format(reading->toc, raw->name);
	if (reading->ignored)
		return 0;
	struct toc_entry *entry = NULL;
	int r = new_entry(reading, type, &entry, error);
	if (r < 0)
		return r;
	if (type == '0' && raw->size == 0 && !*raw->digest)
		raw->digest = EMPTY_DIGEST;
	r = take_digest(raw, raw->digest, entry->digest, &entry->has_digest, error);
	return r == 0 && type == '0' ? begin_content(reading, entry, error) : r;
}

static int read_entry(struct reading *reading, cst_error **error)
{
	struct raw_entry *raw = &reading->raw;
	const char *key;
	*raw = (struct raw_entry){.type = "",
	                          .name = "",
	                          .linkname = "",
	                          .digest = "",
	                          .chunk_digest = "",
	                          .chunk_type = "",
	                          .xattrs = raw->xattrs,
	                          .xattrs_capacity = raw->xattrs_capacity};
	if (json_object_begin(&reading->json))
		while (json_object_next(&reading->json, &key))
			read_member(reading, key);
	if (!json_ok(&reading->json))
		return 0; /* read_toc() reports it */
	int r = check_numbers(raw, error);
	if (r < 0)
		return r;
	char type = type_of(raw->type);
	if (type == '\0')
		return error_set(error, CST_EARCHIVE, "TOC: entry \"%s\": unknown type \"%s\"",
		                 raw->name, raw->type);
	if (type == CHUNK)
		return go_on_with_file(reading, error);
	r = end_file(reading, error);
	return r < 0 ? r : begin_entry(reading, type, error);
}

/* ---- the whole ---- */

static int read_toc(struct reading *reading, cst_error **error)
{
	struct json_reader *json = &reading->json;
	const char *key, *tarsplit = "";
	int r = 0;
	if (json_object_begin(json))
		while (r == 0 && json_object_next(json, &key)) {
			if (json_key_is(key, "tarSplitDigest"))
				json_string(json, &tarsplit);
			else if (!json_key_is(key, "entries"))
				json_skip(json);
			else if (json_array_begin(json))
				while (r == 0 && json_array_next(json))
					r = read_entry(reading, error);
		}
	if (r < 0)
		return r;
	/* What followed would have the digest, but nobody would have looked at it. */
	json_finish(json);
	if (reading->toc->arena.failed)
		return error_oom(error);
	if (!json_ok(json))
		return error_set(error, CST_EARCHIVE, "TOC: %s at byte %zu", json->problem,
		                 (size_t)(json->pos - json->start));
	if (*tarsplit && !digest_is_sha256(tarsplit))
		return error_set(error, CST_EARCHIVE,
		                 "TOC: tarSplitDigest \"%s\" is not a sha256 digest", tarsplit);
	strcpy(reading->toc->tarsplit_digest, tarsplit);
	return end_file(reading, error);
}

static int index_names(struct toc *toc, cst_error **error)
{
	for (size_t i = 0; i < toc->n_entries; i++) {
		struct toc_entry *entry = &toc->entries[i];
		if (hashmap_contains(&toc->by_name, entry->name))
			return error_set(error, CST_EARCHIVE,
			                 "TOC: two entries have the name \"%s\"", entry->name);
		if (!hashmap_put(&toc->by_name, entry->name, entry))
			return error_oom(error);
	}
	return 0;
}

int toc_parse(char *json, size_t size, enum cst_toc_format format, uint64_t data_end,
              struct toc **ret, cst_error **error)
{
	_cleanup_(toc_freep) struct toc *toc = new0(struct toc, 1);
	if (!toc) {
		free(json);
		return error_oom(error);
	}
	toc->json = json;
	toc->json_size = size;
	toc->format = format;
	struct reading reading = {.toc = toc};
	json_reader_init(&reading.json, json, size, &toc->arena);
	int r = read_toc(&reading, error);
	free(reading.raw.xattrs);
	if (r == 0)
		r = toc_check_layout(toc, data_end, error);
	if (r == 0)
		r = index_names(toc, error);
	if (r == 0)
		*ret = steal_ptr(&toc);
	return r;
}
