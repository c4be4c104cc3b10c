/* SPDX-License-Identifier: Apache-2.0 */
/* Puts together the tree that layers should make, and compares it with a real one (expected.h). */
#include "store/check/expected.h"
#include "archive/tree/walk.h"
#include "archive/tree/xattrs.h"
#include "base/fs.h"
#include "store/check/compare.h"
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define WHITEOUT_PREFIX ".wh."
#define OPAQUE_NAME     ".wh..wh..opq"
#define MAX_SYMLINKS    40

/* A time outside of 1970 to 2106 may not fit the file system, and is not compared. */
#define COMPARED_TIME_MAX UINT32_MAX

struct header {
	const char *name, *linkname; /* cleaned; the latter of hard links only, else "" */
	struct node_attributes attributes;
	size_t number; /* in the archive */
};

struct headers {
	struct header *items;
	size_t len, capacity;
};

struct expected {
	struct expected_options options;
	struct nodes nodes;
	struct arena arena; /* of the headers' texts */
	struct headers headers;
	unsigned layer; /* that is being put together */
};

int expected_new(const struct expected_options *options, struct expected **ret, cst_error **error)
{
	struct expected *expected = new0(struct expected, 1);
	if (!expected)
		return error_oom(error);
	expected->options = *options;
	nodes_init(&expected->nodes);
	*ret = expected;
	return 0;
}

void expected_free(struct expected *expected)
{
	nodes_free(&expected->nodes);
	arena_clear(&expected->arena);
	free(expected->headers.items);
	free(expected);
}

/* "/etc/./x/" and "etc/x" are one path; "": the root. The root's ".." is the root, as it is to the unpacker; the Go command
 * looks for it above. */
static const char *clean_name(struct expected *expected, const char *name)
{
	_cleanup_free_ char *rooted =
	        expected->options.as_upstream ? strdup(name) : str_join("/", name);
	_cleanup_free_ char *clean = rooted ? path_clean(rooted) : NULL;
	if (!clean)
		return NULL;
	const char *at = clean + strspn(clean, "/");
	return arena_strdup(&expected->arena, streq(at, ".") ? "" : at);
}

/* Those that are compared. False: out of memory. */
static bool copy_xattrs(struct arena *arena, const struct tar_header *header,
                        struct node_attributes *ret)
{
	struct tar_xattr *items =
	        header->n_xattrs ? arena_alloc(arena, header->n_xattrs * sizeof(*items)) : NULL;
	for (size_t i = 0; items && i < header->n_xattrs; i++) {
		const struct tar_xattr *from = &header->xattrs[i];
		if (!xattr_is_compared(from->name))
			continue;
		items[ret->n_xattrs++] =
		        (struct tar_xattr){.name = arena_strdup(arena, from->name),
		                           .value = arena_strndup(arena, from->value, from->len),
		                           .len = from->len};
	}
	ret->xattrs = items;
	return !arena->failed;
}

int expected_add(struct expected *expected, const struct tar_header *header, cst_error **error)
{
	if (header->type == 'g' || header->type == 'V')
		return 0;
	struct header *grown = grow_array(expected->headers.items, &expected->headers.capacity,
	                                  expected->headers.len + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	expected->headers.items = grown;
	struct header *new = &grown[expected->headers.len];
	*new = (struct header){
	        .name = clean_name(expected, header->name),
	        .linkname = header->type == '1' ? clean_name(expected, header->linkname) : "",
	        .attributes = {.type = header->type,
	                       .mode = header->mode,
	                       .uid = header->uid,
	                       .gid = header->gid,
	                       .size = header->type == '0' ? header->size : 0,
	                       .mtime = header->mtime.tv_sec,
	                       .target = header->type == '2'
	                                         ? arena_strdup(&expected->arena, header->linkname)
	                                         : "",
	                       .device = header->type == '3' || header->type == '4'
	                                         ? makedev(header->devmajor, header->devminor)
	                                         : 0},
	        .number = expected->headers.len,
	};
	if (!new->name || !new->linkname || !new->attributes.target ||
	    !copy_xattrs(&expected->arena, header, &new->attributes))
		return error_oom(error);
	expected->headers.len++;
	return 0;
}

/* ---- one layer on top of those before ---- */

/* 0: no whiteout; 1: of one name; 2: of all that is below the directory. */
static int whiteout_rank(const char *name)
{
	const char *base = path_base(name);
	return streq(base, OPAQUE_NAME) ? 2 : has_prefix(base, WHITEOUT_PREFIX);
}

static int compare_headers(const void *left, const void *right)
{
	const struct header *a = left, *b = right;
	if ((a->attributes.type == '1') != (b->attributes.type == '1')) /* hard links last */
		return a->attributes.type == '1' ? 1 : -1;
	size_t a_dir = (size_t)(path_base(a->name) - a->name),
	       b_dir = (size_t)(path_base(b->name) - b->name);
	int r = a_dir == b_dir && memcmp(a->name, b->name, a_dir) == 0
	                ? whiteout_rank(b->name) - whiteout_rank(a->name)
	                : strcmp(a->name, b->name);
	if (r == 0)
		r = a->number < b->number ? -1 : a->number > b->number;
	return r;
}

/* Where a path leads when symlinks among its directories are followed, as unpacking does. NULL: out of memory. */
static const char *resolve(struct expected *expected, const char *path)
{
	_cleanup_free_ char *rest = strdup(path);
	_cleanup_strbuf_ struct strbuf at = {0};
	unsigned followed = 0;
	for (char *name = rest; name && *name;) {
		char *end = name + strcspn(name, "/"), *next = end + strspn(end, "/");
		size_t dir_len = at.len;
		if (at.len)
			strbuf_addc(&at, '/');
		strbuf_add(&at, name, (size_t)(end - name));
		const struct node *node =
		        *next ? nodes_get(&expected->nodes, strbuf_str(&at)) : NULL;
		if (!node || node->attributes->type != '2' || followed++ == MAX_SYMLINKS) {
			name = next;
			continue;
		}
		_cleanup_free_ char *dir =
		        strndup(strbuf_str(&at), node->attributes->target[0] == '/' ? 0 : dir_len);
		_cleanup_free_ char *joined =
		        dir ? str_printf("/%s/%s/%s", dir, node->attributes->target, next) : NULL;
		char *clean = joined ? path_clean(joined) : NULL;
		free(rest);
		rest = clean; /* from the top again; ".." of the root is the root */
		name = clean ? clean + 1 : NULL;
		strbuf_reset(&at);
	}
	return at.failed || !rest ? NULL : arena_strdup(&expected->arena, strbuf_str(&at));
}

/* Something in a directory that this layer itself says nothing of changed. */
static void touch(const struct expected *expected, struct node *directory)
{
	if (directory->layer != expected->layer && !expected->options.as_upstream)
		directory->attributes->any_time = true;
}

static void remove_node(struct expected *expected, struct node *node)
{
	if (node == &expected->nodes.root) /* a whiteout without a name, which removes nothing */
		return;
	touch(expected, node->parent);
	nodes_remove(&expected->nodes, node, true, 0);
}

/* The directory in which a path is; those that nobody named are implied. NULL: out of memory. */
static struct node *directory_of(struct expected *expected, const char *path,
                                 const struct node_attributes *implied)
{
	struct node *at = &expected->nodes.root;
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		const char *prefix = arena_strndup(&expected->arena, path, (size_t)(slash - path));
		struct node *next = prefix ? nodes_get(&expected->nodes, prefix) : NULL;
		if (!prefix)
			return NULL;
		if (next && next->attributes->type != '5') {
			remove_node(expected, next);
			next = NULL;
		}
		if (!next) {
			touch(expected, at);
			next = nodes_add(&expected->nodes, at, path_base(prefix), NULL);
			if (!next)
				return NULL;
			*next->attributes = *implied;
			next->attributes->type = '5';
			next->attributes->size = 0;
			next->attributes->unknown = !expected->options.as_upstream;
			next->layer = expected->layer;
		}
		at = next;
	}
	return at;
}

/* What a hard link points to; *ret is NULL if that is not known, or a directory. */
static int link_target(struct expected *expected, const struct header *header,
                       const struct node **ret, cst_error **error)
{
	const char *target = expected->options.as_upstream ? header->linkname
	                                                   : resolve(expected, header->linkname);
	const struct node *node = target ? nodes_get(&expected->nodes, target) : NULL;
	*ret = node && node->attributes->type != '5' ? node : NULL;
	return target ? 0 : error_oom(error);
}

/* The file may have had some before: a directory of an earlier entry, another name of the inode. */
static bool add_xattrs(struct expected *expected, struct node_attributes *to,
                       const struct node_attributes *from)
{
	size_t n = to->n_xattrs;
	struct tar_xattr *all =
	        arena_alloc(&expected->arena, (n + from->n_xattrs) * sizeof(*all) + 1);
	if (!all)
		return false;
	for (size_t i = 0; i < n; i++)
		all[i] = to->xattrs[i];
	for (size_t i = 0; i < from->n_xattrs; i++) {
		size_t at = 0;
		while (at < n && !streq(all[at].name, from->xattrs[i].name))
			at++;
		all[at] = from->xattrs[i];
		n += at == n;
	}
	to->xattrs = all;
	to->n_xattrs = n;
	return true;
}

/* As an entry of the archive says; `to` is what the node had before, all zero of a new one. */
static bool set_attributes(struct expected *expected, struct node_attributes *to,
                           const struct node_attributes *given)
{
	struct node_attributes had = *to;
	*to = *given;
	to->xattrs = had.xattrs;
	to->n_xattrs = had.n_xattrs;
	to->more_xattrs = had.more_xattrs || had.unknown; /* of the same directory below */
	to->size = given->type == '0' ? given->size : 0;
	to->any_time = !expected->options.as_upstream &&
	               (given->mtime < 0 || given->mtime > COMPARED_TIME_MAX);
	return add_xattrs(expected, to, given);
}

/* The header of a hard link has owner, mode and times, too, which the inode gets; a symlink gets the owner only. */
static bool set_link_attributes(struct expected *expected, struct node_attributes *to,
                                const struct node_attributes *given)
{
	struct node_attributes new = *to;
	new.uid = given->uid;
	new.gid = given->gid;
	if (to->type != '2') {
		new.mode = given->mode;
		new.mtime = given->mtime;
	}
	new.xattrs = given->xattrs;
	new.n_xattrs = given->n_xattrs;
	return set_attributes(expected, to, &new);
}

static int create(struct expected *expected, const char *path, const struct header *header,
                  cst_error **error)
{
	bool as_upstream = expected->options.as_upstream, is_link = header->attributes.type == '1';
	struct node_attributes given = header->attributes;
	if (!*path)
		return 0; /* nobody looks at the attributes of the root */
	if (expected->options.own_content && !as_upstream && given.type == '3' && !given.device)
		given = (struct node_attributes){.type = NODE_WHITEOUT, .target = ""};
	const struct node *target = NULL;
	int r = is_link ? link_target(expected, header, &target, error) : 0;
	if (r < 0)
		return r;
	if (target && as_upstream)
		given = *target->attributes;
	given.unknown = is_link && !target && !as_upstream;
	struct node_attributes *shared = target && !as_upstream ? target->attributes : NULL;
	struct node *directory = directory_of(expected, path, &given);
	struct node *node = nodes_get(&expected->nodes, path);
	if (!directory)
		return error_oom(error);
	touch(expected, directory);
	if (node && (node->attributes->type != '5' || given.type != '5')) {
		nodes_remove(&expected->nodes, node, true, 0);
		node = NULL;
	}
	if (!node && !(node = nodes_add(&expected->nodes, directory, path_base(path), shared)))
		return error_oom(error);
	node->layer = expected->layer;
	bool done = shared ? set_link_attributes(expected, shared, &given)
	                   : set_attributes(expected, node->attributes, &given);
	return done ? 0 : error_oom(error);
}

static int whiteout(struct expected *expected, const char *path, const struct header *header,
                    cst_error **error)
{
	const char *base = path_base(path);
	_cleanup_free_ char *dir = strndup(path, base > path ? (size_t)(base - path) - 1 : 0);
	if (!dir)
		return error_oom(error);
	if (streq(base, OPAQUE_NAME)) {
		struct node *node = nodes_get(&expected->nodes, dir);
		if (node)
			nodes_remove(&expected->nodes, node, expected->options.as_upstream,
			             expected->options.as_upstream ? 0 : expected->layer);
		struct header directory = *header;
		directory.attributes.type = '5';
		return expected->options.as_upstream ? create(expected, dir, &directory, error) : 0;
	}
	_cleanup_free_ char *target =
	        str_printf("%s%s%s", dir, *dir ? "/" : "", base + strlen(WHITEOUT_PREFIX));
	struct node *node = target ? nodes_get(&expected->nodes, target) : NULL;
	if (!target)
		return error_oom(error);
	if (node)
		remove_node(expected, node);
	struct header device = *header;
	device.attributes = (struct node_attributes){.type = NODE_WHITEOUT, .target = ""};
	return expected->options.own_content ? create(expected, target, &device, error) : 0;
}

/* A mark that stays a file deletes nothing in its own layer. */
static int mark_file(struct expected *expected, const char *path, const struct header *header,
                     cst_error **error)
{
	struct header mark = *header;
	mark.attributes = (struct node_attributes){.type = NODE_WHITEOUT, .target = ""};
	return create(expected, path, &mark, error);
}

static int apply(struct expected *expected, const struct header *header, cst_error **error)
{
	bool files = expected->options.marks_are_files;
	bool device = header->attributes.type == '3' || header->attributes.type == '4';
	if (device && expected->options.no_devices)
		return 0;
	/* Metadata of aufs, which exists at the root only. */
	if (!expected->options.as_upstream && !files &&
	    has_prefix(header->name, WHITEOUT_PREFIX WHITEOUT_PREFIX) &&
	    !streq(header->name, OPAQUE_NAME))
		return 0;
	const char *path =
	        expected->options.as_upstream ? header->name : resolve(expected, header->name);
	if (!path)
		return error_oom(error);
	if (files && whiteout_rank(path))
		return mark_file(expected, path, header, error);
	return whiteout_rank(path) ? whiteout(expected, path, header, error)
	                           : create(expected, path, header, error);
}

int expected_end_layer(struct expected *expected, cst_error **error)
{
	struct headers *headers = &expected->headers;
	int r = 0;
	expected->layer++;
	if (headers->len &&
	    expected->options.as_upstream) /* we unpack in the order of the archive */
		qsort(headers->items, headers->len, sizeof(*headers->items), compare_headers);
	for (size_t i = 0; r == 0 && i < headers->len; i++)
		r = apply(expected, &headers->items[i], error);
	headers->len = 0;
	return r;
}

/* ---- the real tree ---- */

static int add_difference(struct differences *to, char *text, size_t path_end, cst_error **error)
{
	struct difference *grown =
	        text ? grow_array(to->items, &to->capacity, to->len + 1, sizeof(*grown)) : NULL;
	if (!grown) {
		free(text);
		return error_oom(error);
	}
	to->items = grown;
	grown[to->len++] = (struct difference){.text = text, .path_end = path_end};
	return 0;
}

/* Is the entry one of these marks? The kernel's overlay may have made the layer, before a mount program was used. */
static bool is_mark(struct expected *expected, const struct tree_entry *entry)
{
	const char *base = path_base(entry->path);
	int dir = (int)(base - entry->path);
	bool whiteout = S_ISCHR(entry->stat.st_mode) && entry->stat.st_rdev == 0;
	bool opaque = S_ISDIR(entry->stat.st_mode) &&
	              (xattr_is_opaque(entry->dirfd, entry->name, false) ||
	               xattr_is_opaque(entry->dirfd, entry->name, true));
	_cleanup_free_ char *path = NULL;
	if (whiteout)
		path = str_printf("%.*s" WHITEOUT_PREFIX "%s", dir, entry->path, base);
	else if (opaque)
		path = str_printf("%s/" OPAQUE_NAME, entry->path);
	struct node *node = nodes_get(&expected->nodes, path ? path : entry->path);
	if (!node || node->attributes->type != NODE_WHITEOUT)
		return false;
	node->seen = true;
	return !opaque;
}

/* In the root of a composefs image mkcomposefs hides the names of directories of objects (docs/format/chunked.md, "The image"). */
static bool hides_objects(const struct tree_entry *entry)
{
	struct statfs fs;
	return S_ISCHR(entry->stat.st_mode) && entry->stat.st_rdev == 0 &&
	       strlen(entry->path) == 2 && strspn(entry->path, "0123456789abcdef") == 2 &&
	       fstatfs(entry->dirfd, &fs) == 0 && fs.f_type == EROFS_SUPER_MAGIC_V1;
}

static int compare_entry(struct expected *expected, const struct tree_entry *entry,
                         struct differences *differences, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	if (expected->options.marks_are_files && is_mark(expected, entry))
		return 0;
	struct node *node = nodes_get(&expected->nodes, entry->path);
	bool directory = S_ISDIR(entry->stat.st_mode);
	size_t path_end = strlen(entry->path) + 1;
	if (!node && hides_objects(entry))
		return 0;
	if (S_ISSOCK(entry->stat.st_mode) && expected->options.as_upstream)
		return error_set(error, CST_EARCHIVE, "archive/tar: sockets not supported");
	if (!node || (node->attributes->type == '5') != directory)
		return add_difference(differences,
		                      str_printf("+/%s%s", entry->path, directory ? "/" : ""),
		                      path_end + 1 + directory, error);
	node->seen = true;
	int r = compare_attributes(&expected->options, node->attributes, entry, &text, error);
	if (r < 0 || !text.len)
		return r;
	r = add_difference(differences, str_printf("/%s(%s)", entry->path, text.data), path_end,
	                   error);
	if (r == 0 && !directory && expected->options.as_upstream)
		r = add_difference(differences, str_printf("+/%s(%s)", entry->path, text.data),
		                   path_end + 1, error);
	return r;
}

/* By path; of one path, what is missing first. */
static int compare_texts(const void *left, const void *right)
{
	const char *a = ((const struct difference *)left)->text,
	           *b = ((const struct difference *)right)->text;
	int r = strcmp(a + 1, b + 1);
	return r ? r : (*b == '-') - (*a == '-');
}

static int add_missing(struct expected *expected, struct differences *differences,
                       cst_error **error)
{
	int r = 0;
	for (const struct node *node = expected->nodes.first; r == 0 && node; node = node->newer) {
		bool directory = node->attributes->type == '5';
		if (node->gone || node->seen)
			continue;
		r = add_difference(differences,
		                   str_printf("-/%s%s", node->path, directory ? "/" : ""),
		                   strlen(node->path) + 2 + directory, error);
		if (r == 0)
			differences->items[differences->len - 1].is_whiteout =
			        node->attributes->type == NODE_WHITEOUT;
	}
	return r;
}

int expected_compare(struct expected *expected, int root_fd, struct differences *ret,
                     cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	enum tree_event event = TREE_ENTRY;
	struct tree_entry entry;
	int r = tree_walk_new(&root_fd, 1, false, &walk, error);
	while (r == 0 && (r = tree_walk_next(walk, &event, &entry, error)) == 0 &&
	       event != TREE_END) {
		if (event == TREE_ENTRY)
			r = compare_entry(expected, &entry, ret, error);
	}
	if (r == 0)
		r = add_missing(expected, ret, error);
	if (r == 0 && ret->len)
		qsort(ret->items, ret->len, sizeof(*ret->items), compare_texts);
	return r;
}

void differences_free(struct differences *differences)
{
	for (size_t i = 0; i < differences->len; i++)
		free(differences->items[i].text);
	free(differences->items);
}
