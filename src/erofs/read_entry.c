/* SPDX-License-Identifier: Apache-2.0 */
/* Reads all there is to say of an inode, and undoes what the writer did for overlay. */
#include "base/str.h"
#include "erofs/read_parts.h"
#include <linux/limits.h>
#include <sys/stat.h>

/* The kernel lists no more of one file. */
#define XATTRS_MAX 65536

static const char *const prefixes[EROFS_PREFIXES] = {
        "",        "user.",    "system.posix_acl_access", "system.posix_acl_default", "trusted.",
        "lustre.", "security."};

struct reading {
	struct erofs_image *image;
	struct arena *arena;
	struct erofs_entry *entry;
	struct erofs_xattr *xattrs; /* of the entry */
	size_t capacity, total;
};

/* ---- one attribute ---- */

static int read_bytes(struct reading *reading, uint64_t at, size_t n, void **ret, cst_error **error)
{
	char *bytes = arena_alloc(reading->arena, n + 1);
	if (!bytes)
		return error_oom(error);
	*ret = bytes;
	return erofs_read(reading->image, at, bytes, n, error);
}

/* The object's name is behind a slash. */
static const char *object_of(const struct erofs_xattr *xattr)
{
	const char *path = xattr->value;
	return xattr->len > 1 && *path == '/' ? path + 1 : path;
}

/* What overlay is told of the file is not its own. True: this was it. */
static bool undo(struct erofs_entry *entry, const struct erofs_xattr *xattr)
{
	static const char *const marks[] = {OVERLAY_ESCAPED "whiteouts", OVERLAY_USER "whiteout",
	                                    OVERLAY_USER "whiteouts"};
	bool regular = S_ISREG(entry->mode);
	if (streq(xattr->name, OVERLAY_REDIRECT)) {
		if (regular)
			entry->payload = object_of(xattr);
		return true;
	}
	if (streq(xattr->name, OVERLAY_METACOPY)) {
		if (regular && xattr->len == 4 + COMPOSEFS_DIGEST)
			entry->digest = (const uint8_t *)xattr->value + 4;
		return true;
	}
	if (streq(xattr->name, OVERLAY_OPAQUE)) {
		entry->opaque = S_ISDIR(entry->mode) && xattr->len == 1 &&
		                *(const char *)xattr->value == 'y';
		return true;
	}
	if (streq(xattr->name, OVERLAY_ESCAPED "whiteout") && regular) {
		entry->mode = S_IFCHR | (entry->mode & 07777);
		entry->size = 0;
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (streq(xattr->name, marks[i]))
			return true;
	return false;
}

static int add(struct reading *reading, struct erofs_xattr *xattr, cst_error **error)
{
	struct erofs_entry *entry = reading->entry;
	if (undo(entry, xattr))
		return 0;
	if (has_prefix(xattr->name, OVERLAY_ESCAPED)) {
		/* "trusted." and what is behind the first "overlay." */
		char *name = arena_strdup(reading->arena, xattr->name);
		if (!name)
			return error_oom(error);
		size_t keep = strlen("trusted."), cut = strlen("overlay.");
		memmove(name + keep, name + keep + cut, strlen(name) - keep - cut + 1);
		xattr->name = name;
	} else if (has_prefix(xattr->name, OVERLAY_ATTRIBUTES)) {
		return 0;
	}
	reading->xattrs[entry->n_xattrs++] = *xattr;
	return 0;
}

/* An entry of an attribute, which ends before `end`. */
static int read_xattr(struct reading *reading, uint64_t at, uint64_t end, uint64_t *next,
                      cst_error **error)
{
	struct erofs_image *image = reading->image;
	struct erofs_xattr_entry head;
	struct erofs_xattr xattr = {0};
	int r = erofs_read(image, at, &head, sizeof(head), error);
	if (r < 0)
		return r;
	size_t n = (size_t)head.name_len + head.value_len;
	at += sizeof(head);
	if (head.prefix >= EROFS_PREFIXES || at > end || n > end - at)
		return erofs_corrupt(image, "an attribute is not whole", error);
	reading->total += sizeof(head) + n;
	if (reading->total > XATTRS_MAX)
		return erofs_corrupt(image, "an inode has too many attributes", error);
	size_t prefix = strlen(prefixes[head.prefix]);
	char *name = arena_alloc(reading->arena, prefix + head.name_len + 1);
	void *value = NULL;
	if (!name)
		return error_oom(error);
	memcpy(name, prefixes[head.prefix], prefix);
	r = erofs_read(image, at, name + prefix, head.name_len, error);
	if (r == 0)
		r = read_bytes(reading, at + head.name_len, head.value_len, &value, error);
	if (r == 0 && (strlen(name) != prefix + head.name_len || !*name))
		r = erofs_corrupt(image, "an attribute has a name that none can have", error);
	xattr = (struct erofs_xattr){.name = name, .value = value, .len = head.value_len};
	*next = (at + n + 3) & ~(uint64_t)3;
	return r == 0 ? add(reading, &xattr, error) : r;
}

/* ---- all of them ---- */

static int read_xattrs(struct reading *reading, const struct erofs_inode *inode, cst_error **error)
{
	struct erofs_image *image = reading->image;
	struct erofs_xattrs head;
	uint64_t at = inode->xattrs_at + sizeof(head), end = inode->xattrs_at + inode->xattrs_size;
	if (inode->xattrs_size == 0)
		return 0;
	int r = erofs_read(image, inode->xattrs_at, &head, sizeof(head), error);
	if (r < 0)
		return r;
	if (head.n_shared * sizeof(uint32_t) > end - at)
		return erofs_corrupt(image, "an attribute is not whole", error);
	/* No entry is shorter than its head. */
	reading->xattrs = arena_alloc(
	        reading->arena, (end - at) / sizeof(uint32_t) * sizeof(struct erofs_xattr) + 1);
	if (!reading->xattrs)
		return error_oom(error);
	uint64_t shared = at, unused;
	for (at += head.n_shared * sizeof(uint32_t);
	     r == 0 && at + sizeof(struct erofs_xattr_entry) < end;)
		r = read_xattr(reading, at, end, &at, error);
	for (unsigned i = 0; r == 0 && i < head.n_shared; i++) {
		uint32_t place;
		r = erofs_read(image, shared + i * sizeof(place), &place, sizeof(place), error);
		if (r == 0)
			r = read_xattr(reading, image->shared_at + place * (uint64_t)sizeof(place),
			               image->size, &unused, error);
	}
	reading->entry->xattrs = reading->xattrs;
	return r;
}

static int read_data(struct reading *reading, const struct erofs_inode *inode, cst_error **error)
{
	bool symlink = S_ISLNK(inode->mode);
	uint64_t limit = symlink ? PATH_MAX - 1 : COMPOSEFS_CONTENT_MAX;
	if (!symlink &&
	    (!S_ISREG(inode->mode) || inode->size == 0 || inode->layout == EROFS_CHUNKS))
		return 0;
	if (inode->size > limit)
		return erofs_corrupt(reading->image, "a symlink or a file in it is too large",
		                     error);
	char *data = arena_alloc(reading->arena, inode->size + 1);
	if (!data)
		return error_oom(error);
	int r = erofs_read_data(reading->image, inode, 0, data, inode->size, error);
	if (r == 0 && symlink && (inode->size == 0 || strlen(data) != inode->size))
		r = erofs_corrupt(reading->image, "a symlink has a target that none can have",
		                  error);
	*(symlink ? (const void **)&reading->entry->payload : &reading->entry->content) = data;
	return r;
}

int erofs_image_entry(struct erofs_image *image, const struct erofs_inode *inode,
                      struct arena *arena, struct erofs_entry *ret, cst_error **error)
{
	struct erofs_entry entry = {
	        .mode = inode->mode,
	        .hides = erofs_hides(inode),
	        .nlink = inode->nlink,
	        .uid = inode->uid,
	        .gid = inode->gid,
	        .rdev = inode->rdev,
	        .size = inode->size,
	        .mtime = inode->mtime,
	};
	struct reading reading = {.image = image, .arena = arena, .entry = &entry};
	int r = read_data(&reading, inode, error);
	if (r == 0)
		r = read_xattrs(&reading, inode, error);
	if (r == 0)
		*ret = entry;
	return r;
}
