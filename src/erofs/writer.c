/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the entries of an image, and turns what overlay would take for its own into content. */
#include "base/fs.h"
#include "erofs/tree.h"
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>

/* What mkcomposefs takes of one file: half of what EROFS could hold. */
#define XATTRS_MAX 32767

int erofs_writer_new(bool layer, struct erofs_writer **ret, cst_error **error)
{
	struct erofs_writer *writer = new0(struct erofs_writer, 1);
	if (!writer)
		return error_oom(error);
	writer->layer = layer;
	*ret = writer;
	return 0;
}

void erofs_writer_free(struct erofs_writer *writer)
{
	if (!writer)
		return;
	hashmap_free(&writer->paths);
	free(writer->links);
	free(writer->inodes);
	free(writer->shared);
	arena_clear(&writer->arena);
	free(writer);
}

const char *node_name(const struct node *node)
{
	return path_base(node->path);
}

/* One "/" before each name, and none behind the last: the root is "". */
static void clean(const char *path, struct strbuf *to)
{
	for (const char *name = path; *name;) {
		size_t n = strcspn(name, "/");
		if (n > 0) {
			strbuf_addc(to, '/');
			strbuf_add(to, name, n);
		}
		name += n + (name[n] == '/');
	}
}

static int refuse(const char *path, const char *why, cst_error **error)
{
	return error_set(error, CST_EINVAL, "composefs image: \"%s\" %s", path, why);
}

static int find_parent(const struct erofs_writer *writer, char *path, struct node **ret,
                       cst_error **error)
{
	char *slash = strrchr(path, '/');
	if (!path_is_component(slash + 1))
		return refuse(path, "has no name that a file can have", error);
	if (strlen(slash + 1) > EROFS_NAME_MAX)
		return refuse(path, "has a name of more than 255 bytes", error);
	*slash = '\0';
	struct node *parent = hashmap_get(&writer->paths, path);
	*slash = '/';
	if (!parent)
		return refuse(path, "comes before its directory", error);
	if (parent->is_link || !is_dir(parent))
		return refuse(path, "is below something that is no directory", error);
	*ret = parent;
	return 0;
}

int node_new(struct erofs_writer *writer, const char *path, struct node *parent, struct node **ret,
             cst_error **error)
{
	struct node *node = arena_alloc(&writer->arena, sizeof(*node));
	char *copy = arena_strdup(&writer->arena, path);
	if (!node || !copy || !hashmap_put(&writer->paths, copy, node))
		return error_oom(error);
	node->path = copy;
	node->parent = parent ? parent : node;
	if (parent) {
		node->next = parent->last_child;
		parent->last_child = node;
		parent->n_children++;
	}
	*ret = node;
	return 0;
}

/* ---- checks ---- */

static bool has_known_type(mode_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
	       S_ISFIFO(mode) || S_ISSOCK(mode);
}

static int check_data(const struct erofs_entry *entry, cst_error **error)
{
	const char *payload = strempty(entry->payload);
	unsigned bits;
	if (strlen(payload) >= PATH_MAX)
		return refuse(entry->path, "has a target of more than 4095 bytes", error);
	if (S_ISLNK(entry->mode) && !*payload)
		return refuse(entry->path, "is a symlink without a target", error);
	if (!S_ISREG(entry->mode) || entry->size == 0)
		return 0;
	if (entry->content && entry->size > COMPOSEFS_CONTENT_MAX)
		return refuse(entry->path, "has content of more than 5000 bytes", error);
	if (!entry->content && chunks_of(entry->size, &bits) > COMPOSEFS_CHUNKS_MAX)
		return refuse(entry->path, "is larger than an image can say", error);
	return 0;
}

static int check_xattrs(const struct erofs_entry *entry, cst_error **error)
{
	size_t total = sizeof(struct erofs_xattrs);
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		size_t n = strlen(entry->xattrs[i].name);
		if (n == 0 || n > XATTR_NAME_MAX)
			return refuse(entry->path,
			              "has an attribute whose name is empty or too long", error);
		if (entry->xattrs[i].len > XATTRS_MAX)
			return refuse(entry->path, "has an attribute that is too large", error);
		/* An entry has 4 bytes before the name, and up to 3 behind the value. */
		total += 7 + n + entry->xattrs[i].len;
		if (total > XATTRS_MAX)
			return refuse(entry->path, "has too many attributes", error);
	}
	return 0;
}

static int check_entry(const struct erofs_entry *entry, cst_error **error)
{
	if (entry->hides)
		return 0;
	if (entry->opaque && !S_ISDIR(entry->mode))
		return refuse(entry->path, "is opaque, but no directory", error);
	if (!has_known_type(entry->mode))
		return refuse(entry->path, "has a type that no file has", error);
	if (entry->link)
		return S_ISDIR(entry->mode)
		               ? refuse(entry->path, "is a hard link to a directory", error)
		               : 0;
	if (entry->mtime.tv_nsec < 0 || entry->mtime.tv_nsec > 999999999)
		return refuse(entry->path, "has a time that is none", error);
	int r = check_data(entry, error);
	return r == 0 ? check_xattrs(entry, error) : r;
}

/* ---- attributes ---- */

/* Room for so many further attributes. */
static bool make_room(struct erofs_writer *writer, struct node *node, size_t n)
{
	struct xattr *larger =
	        arena_alloc(&writer->arena, (node->n_xattrs + n) * sizeof(struct xattr));
	if (!larger)
		return false;
	if (node->n_xattrs > 0)
		memcpy(larger, node->xattrs, node->n_xattrs * sizeof(struct xattr));
	node->xattrs = larger;
	return true;
}

static void add_xattr(struct node *node, const char *name, const void *value, size_t len)
{
	node->xattrs[node->n_xattrs] = (struct xattr){
	        .name = name, .value = value, .len = (uint16_t)len, .shared_at = node->n_xattrs};
	node->n_xattrs++;
}

int node_set_xattr(struct erofs_writer *writer, struct node *node, const char *name,
                   const void *value, size_t len, cst_error **error)
{
	if (!make_room(writer, node, 1))
		return error_oom(error);
	add_xattr(node, name, value, len);
	return 0;
}

static void *copy_bytes(struct arena *arena, const void *data, size_t n)
{
	void *copy = arena_alloc(arena, n + 1);
	return copy && n > 0 ? memcpy(copy, data, n) : copy;
}

/* Overlay takes an attribute of its own that has one more "overlay." in its name for content. */
static const char *escape(struct arena *arena, const char *name)
{
	if (!has_prefix(name, OVERLAY_ATTRIBUTES))
		return arena_strdup(arena, name);
	size_t n = sizeof(OVERLAY_ESCAPED) + strlen(name);
	char *escaped = arena_alloc(arena, n);
	if (escaped)
		snprintf(escaped, n, OVERLAY_ESCAPED "%s", name + strlen(OVERLAY_ATTRIBUTES));
	return escaped;
}

/* Where overlay finds the data, and the digest that it must have (the kernel's struct ovl_metacopy). */
static void refer_to_object(struct erofs_writer *writer, struct node *node,
                            const struct erofs_entry *entry)
{
	struct {
		uint8_t version, len, flags, algorithm, digest[COMPOSEFS_DIGEST];
	} metacopy = {.len = sizeof(metacopy), .algorithm = 1};
	if (entry->digest)
		memcpy(metacopy.digest, entry->digest, COMPOSEFS_DIGEST);
	size_t n = entry->digest ? sizeof(metacopy) : 0;
	add_xattr(node, OVERLAY_METACOPY, copy_bytes(&writer->arena, &metacopy, n), n);
	if (isempty(entry->payload))
		return;
	n = strlen(entry->payload) + 1;
	char *path = arena_alloc(&writer->arena, n + 1);
	if (path)
		snprintf(path, n + 1, "/%s", entry->payload);
	add_xattr(node, OVERLAY_REDIRECT, path, n);
}

/* A whiteout that is content is a file that says so, and its directory says that it has some. */
static void make_harmless(struct erofs_writer *writer, struct node *node)
{
	node->mode = S_IFREG | (node->mode & ~(uint32_t)S_IFMT);
	node->size = 0;
	node->parent->has_whiteouts = true;
	writer->composefs_version = 1;
	add_xattr(node, OVERLAY_ESCAPED "whiteout", "", 0);
	add_xattr(node, OVERLAY_USER "whiteout", "", 0);
}

static int take_xattrs(struct erofs_writer *writer, struct node *node,
                       const struct erofs_entry *entry, cst_error **error)
{
	struct arena *arena = &writer->arena;
	bool whiteout = S_ISCHR(entry->mode) && entry->rdev == 0;
	size_t own = whiteout || has_object(node) ? 2 : entry->opaque;
	if (entry->n_xattrs + own > 0 && !make_room(writer, node, entry->n_xattrs + own))
		return error_oom(error);
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		const struct erofs_xattr *xattr = &entry->xattrs[i];
		add_xattr(node, escape(arena, xattr->name),
		          copy_bytes(arena, xattr->value, xattr->len), xattr->len);
	}
	if (has_object(node))
		refer_to_object(writer, node, entry);
	if (whiteout)
		make_harmless(writer, node);
	if (entry->opaque)
		add_xattr(node, OVERLAY_OPAQUE, "y", 1);
	return arena->failed ? error_oom(error) : 0;
}

/* ---- adding ---- */

static int fill(struct erofs_writer *writer, struct node *node, const struct erofs_entry *entry,
                cst_error **error)
{
	node->mode = entry->mode;
	node->nlink = entry->nlink;
	node->uid = entry->uid;
	node->gid = entry->gid;
	node->size = entry->size;
	node->mtime = entry->mtime;
	if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
		node->rdev = entry->rdev;
	if (S_ISLNK(entry->mode)) {
		node->payload = arena_strdup(&writer->arena, entry->payload);
		node->size = strlen(entry->payload);
	}
	if (S_ISREG(entry->mode) && entry->size > 0 && entry->content)
		node->content = copy_bytes(&writer->arena, entry->content, entry->size);
	if (writer->arena.failed)
		return error_oom(error);
	return take_xattrs(writer, node, entry, error);
}

static int fill_whiteout(struct node *node)
{
	node->mode = S_IFCHR;
	node->nlink = 1;
	node->mtime = node->parent->mtime;
	return 0;
}

static int fill_link(struct erofs_writer *writer, struct node *node,
                     const struct erofs_entry *entry, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf target = {0};
	clean(entry->link, &target);
	struct node **links = grow_array(writer->links, &writer->links_capacity,
	                                 writer->n_links + 1, sizeof(*links));
	if (!links)
		return error_oom(error);
	writer->links = links;
	links[writer->n_links++] = node;
	node->mode = entry->mode;
	node->is_link = true;
	node->payload = arena_strdup(&writer->arena, strbuf_str(&target));
	return target.failed || writer->arena.failed ? error_oom(error) : 0;
}

int erofs_writer_add(struct erofs_writer *writer, const struct erofs_entry *entry,
                     cst_error **error)
{
	_cleanup_strbuf_ struct strbuf path = {0};
	struct node *parent = NULL, *node;
	clean(entry->path, &path);
	bool is_root = path.len == 0 && !path.failed && *entry->path;
	if (path.failed)
		return error_oom(error);
	int r = check_entry(entry, error);
	if (r == 0 && is_root && (!S_ISDIR(entry->mode) || entry->link || entry->hides))
		r = refuse("/", "is no directory", error);
	if (r == 0 && !is_root && (path.len == 0 || entry->path[strlen(entry->path) - 1] == '/'))
		r = refuse(entry->path, "has no name that a file can have", error);
	if (r == 0 && !is_root)
		r = find_parent(writer, path.data, &parent, error);
	if (r == 0 && hashmap_contains(&writer->paths, strbuf_str(&path)))
		r = refuse(entry->path, "is there twice", error);
	if (r == 0)
		r = node_new(writer, strbuf_str(&path), parent, &node, error);
	if (r < 0)
		return r;
	if (is_root)
		writer->root = node;
	if (entry->hides)
		return fill_whiteout(node);
	return entry->link ? fill_link(writer, node, entry, error)
	                   : fill(writer, node, entry, error);
}
