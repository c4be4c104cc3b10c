/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the JSON of a TOC as the Go tools do (docs/format/chunked.md, "TOC JSON"). */
#include "base/base64.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "chunked/toc.h"

static void put_text(struct json_writer *json, const char *key, const char *text)
{
	if (!*text)
		return;
	json_put_key(json, key);
	json_put_string(json, text);
}

static void put_number(struct json_writer *json, const char *key, int64_t n)
{
	if (n == 0)
		return;
	json_put_key(json, key);
	json_put_int64(json, n);
}

static void put_time(struct json_writer *json, const char *key, const struct toc_time *time)
{
	char text[TIMESTAMP_MAX];
	if (!time->known)
		return;
	timestamp_format(
	        &(struct timestamp){.sec = time->sec, .nsec = (int32_t)time->nsec, .zulu = true},
	        text);
	put_text(json, key, text);
}

static void put_digest(struct json_writer *json, const char *key,
                       const uint8_t digest[TOC_DIGEST_SIZE])
{
	char text[TOC_DIGEST_TEXT];
	toc_digest_format(digest, text);
	put_text(json, key, text);
}

static void put_xattrs(struct json_writer *json, const struct toc_entry *entry)
{
	if (entry->n_xattrs == 0)
		return;
	json_put_key(json, "xattrs");
	json_object_open(json);
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		_cleanup_strbuf_ struct strbuf text = {0};
		base64_encode(&text, entry->xattrs[i].value, entry->xattrs[i].len);
		json->out->failed |= text.failed;
		json_put_key(json, entry->xattrs[i].name);
		json_put_string(json, strbuf_str(&text));
	}
	json_object_close(json);
}

static const char *type_name(char type)
{
	static const char *const names[] = {"reg",   "hardlink", "symlink", "char",
	                                    "block", "dir",      "fifo"};
	return names[type - '0'];
}

static void put_chunk(struct json_writer *json, const struct toc_chunk *chunk)
{
	put_number(json, "chunkSize", (int64_t)chunk->size);
	put_number(json, "chunkOffset", (int64_t)chunk->file_offset);
	put_digest(json, "chunkDigest", chunk->digest);
	if (chunk->zeros)
		put_text(json, "chunkType", "zeros");
}

/* What every entry has of its header. */
static void put_header(struct json_writer *json, const struct toc_entry *entry)
{
	put_text(json, "type", type_name(entry->type));
	put_text(json, "name", entry->name);
	put_text(json, "linkName", entry->linkname);
	put_number(json, "mode", entry->mode);
	put_number(json, "size", (int64_t)entry->size);
	put_number(json, "uid", entry->uid);
	put_number(json, "gid", entry->gid);
	put_time(json, "modtime", &entry->mtime);
	put_time(json, "accesstime", &entry->atime);
	put_time(json, "changetime", &entry->ctime);
	put_number(json, "devMajor", entry->devmajor);
	put_number(json, "devMinor", entry->devminor);
	put_xattrs(json, entry);
}

static void put_entry(struct json_writer *json, const struct toc *toc,
                      const struct toc_entry *entry)
{
	const struct toc_chunk *chunks = toc_chunks_of(toc, entry);
	size_t n = entry->n_chunks;
	json_object_open(json);
	put_header(json, entry);
	if (n > 0) {
		put_digest(json, "digest", entry->digest);
		put_number(json, "offset", (int64_t)chunks[0].offset);
		put_number(json, "endOffset", (int64_t)chunks[n - 1].end);
	}
	if (n > 1)
		put_chunk(json, &chunks[0]);
	json_object_close(json);
	for (size_t i = 1; i < n; i++) {
		json_object_open(json);
		put_text(json, "type", "chunk");
		put_text(json, "name", entry->name);
		put_number(json, "offset", (int64_t)chunks[i].offset);
		put_chunk(json, &chunks[i]);
		json_object_close(json);
	}
}

int toc_print(const struct toc *toc, struct strbuf *out, cst_error **error)
{
	struct json_writer json;
	json_writer_init(&json, out, JSON_STORE);
	json_object_open(&json);
	put_number(&json, "version", 1);
	json_put_key(&json, "entries");
	if (toc->n_entries == 0) {
		json_put_null(&json);
	} else {
		json_array_open(&json);
		for (size_t i = 0; i < toc->n_entries; i++)
			put_entry(&json, toc, &toc->entries[i]);
		json_array_close(&json);
	}
	put_text(&json, "tarSplitDigest", toc->tarsplit_digest);
	json_object_close(&json);
	return out->failed ? error_oom(error) : 0;
}
