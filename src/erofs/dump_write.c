/* SPDX-License-Identifier: Apache-2.0 */
/* Writes dumps, as composefs-info does. */
#include "base/sink_buffer.h"
#include "base/str.h"
#include "erofs/dump.h"
#include <inttypes.h>
#include <sys/stat.h>

enum { ESCAPE_EQUALS = 1, ESCAPE_DASH = 2 };

static void add_escaped(struct strbuf *line, const void *data, size_t n, unsigned how)
{
	const unsigned char *p = data;
	if (how & ESCAPE_DASH && n == 1 && *p == '-') {
		strbuf_adds(line, "\\x2d");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		switch (p[i]) {
		case '\\': strbuf_adds(line, "\\\\"); continue;
		case '\n': strbuf_adds(line, "\\n"); continue;
		case '\r': strbuf_adds(line, "\\r"); continue;
		case '\t': strbuf_adds(line, "\\t"); continue;
		default: break;
		}
		if (p[i] <= ' ' || p[i] >= 0x7f || (p[i] == '=' && how & ESCAPE_EQUALS))
			strbuf_addf(line, "\\x%.2x", p[i]);
		else
			strbuf_addc(line, (char)p[i]);
	}
}

static void add_optional(struct strbuf *line, const void *data, size_t n)
{
	strbuf_addc(line, ' ');
	if (data)
		add_escaped(line, data, n, ESCAPE_DASH);
	else
		strbuf_addc(line, '-');
}

static void add_entry(struct strbuf *line, const struct erofs_entry *entry, bool layer)
{
	const char *payload = entry->link ? entry->link : entry->payload;
	add_escaped(line, entry->path, strlen(entry->path), 0);
	strbuf_addf(line, " %" PRIu64 " %s%o %u %u %u %u %" PRIi64 ".%ld", entry->size,
	            entry->link ? "@" : "", entry->mode, entry->nlink, entry->uid, entry->gid,
	            entry->rdev, (int64_t)entry->mtime.tv_sec, entry->mtime.tv_nsec);
	add_optional(line, payload, strlen(strempty(payload)));
	add_optional(line, entry->content, entry->content ? entry->size : 0);
	strbuf_adds(line, entry->digest ? " " : " -");
	for (size_t i = 0; entry->digest && i < COMPOSEFS_DIGEST; i++)
		strbuf_addf(line, "%.2x", entry->digest[i]);
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		const struct erofs_xattr *xattr = &entry->xattrs[i];
		strbuf_addc(line, ' ');
		add_escaped(line, xattr->name, strlen(xattr->name), ESCAPE_EQUALS);
		strbuf_addc(line, '=');
		add_escaped(line, xattr->value, xattr->len, ESCAPE_EQUALS);
	}
	if (layer && entry->opaque)
		strbuf_adds(line, " " OVERLAY_OPAQUE "=y");
	strbuf_addc(line, '\n');
}

static int put_entry(struct erofs_image *image, const struct erofs_walked *walked, bool layer,
                     struct strbuf *line, struct sink_buffer *out, cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	struct erofs_entry entry;
	int r = erofs_image_entry(image, &walked->inode, &arena, &entry, error);
	if (r < 0)
		return r;
	entry.path = walked->path;
	entry.link = walked->first;
	strbuf_reset(line);
	add_entry(line, &entry, layer);
	return line->failed ? error_oom(error)
	                    : sink_buffer_write(out, line->data, line->len, error);
}

int dump_write(struct erofs_image *image, const char *path, bool layer, const cst_sink *sink,
               cst_error **error)
{
	_cleanup_erofs_walk_ struct erofs_walk *walk = NULL;
	_cleanup_sink_buffer_ struct sink_buffer out = {0};
	_cleanup_strbuf_ struct strbuf line = {0};
	struct erofs_walked walked = {0};
	int r = erofs_walk_new(image, path, layer, &walk, error);
	if (r == 0)
		r = sink_buffer_init(&out, sink, error);
	if (r == 0)
		r = erofs_walk_next(walk, &walked, error);
	while (r == 0 && walked.path) {
		r = put_entry(image, &walked, layer, &line, &out, error);
		if (r == 0)
			r = erofs_walk_next(walk, &walked, error);
	}
	return r == 0 ? sink_buffer_flush(&out, error) : r;
}
