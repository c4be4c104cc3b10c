/* SPDX-License-Identifier: Apache-2.0 */
/* Puts together the tree that layers should make, and compares it with a real one (expected.h). */
#include "store/check/expected.h"
#include "archive/tree/walk.h"
#include "base/fs.h"
#include "base/hashmap.h"
#include "store/check/node.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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

/* "/etc/./x/" and "etc/x" are one path; "": the root. */
static const char *clean_name(struct expected *expected, const char *name)
{
	_cleanup_free_ char *clean = path_clean(name);
	if (!clean)
		return NULL;
	const char *at = clean + strspn(clean, "/");
	return arena_strdup(&expected->arena, streq(at, ".") ? "" : at);
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
	if (!new->name || !new->linkname || !new->attributes.target)
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
		if (!node || node->attributes.type != '2' || followed++ == MAX_SYMLINKS) {
			name = next;
			continue;
		}
		_cleanup_free_ char *dir =
		        strndup(strbuf_str(&at), node->attributes.target[0] == '/' ? 0 : dir_len);
		_cleanup_free_ char *joined =
		        dir ? str_printf("/%s/%s/%s", dir, node->attributes.target, next) : NULL;
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
		directory->any_time = true;
}

static void remove_node(struct expected *expected, struct node *node)
{
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
		if (next && next->attributes.type != '5') {
			remove_node(expected, next);
			next = NULL;
		}
		if (!next) {
			touch(expected, at);
			next = nodes_add(&expected->nodes, at, path_base(prefix));
			if (!next)
				return NULL;
			next->attributes = *implied;
			next->attributes.type = '5';
			next->attributes.size = 0;
			next->unknown = !expected->options.as_upstream;
			next->layer = expected->layer;
		}
		at = next;
	}
	return at;
}

/* A hard link is what it points to. */
static void follow_link(struct expected *expected, const struct header *header,
                        struct node_attributes *attributes, bool *unknown)
{
	const char *target = expected->options.as_upstream ? header->linkname
	                                                   : resolve(expected, header->linkname);
	const struct node *node = target ? nodes_get(&expected->nodes, target) : NULL;
	if (node && node->attributes.type != '5')
		*attributes = node->attributes;
	*unknown = node ? node->unknown : !expected->options.as_upstream;
}

static int create(struct expected *expected, const char *path, const struct header *header,
                  cst_error **error)
{
	struct node_attributes attributes = header->attributes;
	bool unknown = false;
	if (attributes.type == '1')
		follow_link(expected, header, &attributes, &unknown);
	if (!*path)
		return 0; /* nobody looks at the attributes of the root */
	struct node *directory = directory_of(expected, path, &attributes);
	struct node *node = nodes_get(&expected->nodes, path);
	if (!directory)
		return error_oom(error);
	touch(expected, directory);
	if (node && (node->attributes.type != '5' || attributes.type != '5')) {
		nodes_remove(&expected->nodes, node, true, 0);
		node = NULL;
	}
	if (!node && !(node = nodes_add(&expected->nodes, directory, path_base(path))))
		return error_oom(error);
	node->attributes = attributes;
	node->unknown = unknown;
	node->any_time = !expected->options.as_upstream &&
	                 (attributes.mtime < 0 || attributes.mtime > COMPARED_TIME_MAX);
	node->layer = expected->layer;
	node->attributes.size = attributes.type == '0' ? attributes.size : 0;
	return 0;
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

static int apply(struct expected *expected, const struct header *header, cst_error **error)
{
	/* Metadata of aufs, which exists at the root only. */
	if (!expected->options.as_upstream &&
	    has_prefix(header->name, WHITEOUT_PREFIX WHITEOUT_PREFIX) &&
	    !streq(header->name, OPAQUE_NAME))
		return 0;
	const char *path =
	        expected->options.as_upstream ? header->name : resolve(expected, header->name);
	if (!path)
		return error_oom(error);
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

static struct node_attributes attributes_of(const struct stat *st)
{
	mode_t format = st->st_mode & S_IFMT;
	struct node_attributes a = {
	        .type = format == S_IFREG   ? '0'
	                : format == S_IFLNK ? '2'
	                : format == S_IFCHR ? '3'
	                : format == S_IFBLK ? '4'
	                : format == S_IFDIR ? '5'
	                : format == S_IFIFO ? '6'
	                                    : 's',
	        .mode = st->st_mode & 07777,
	        .uid = st->st_uid,
	        .gid = st->st_gid,
	        .size = format == S_IFREG ? (uint64_t)st->st_size : 0,
	        .mtime = st->st_mtim.tv_sec,
	        .target = "",
	        .device = format == S_IFCHR || format == S_IFBLK ? st->st_rdev : 0,
	};
	return a;
}

/* Appends "NAME:a￫b" if the two are not the same. */
#define ARROW "\xef\xbf\xab"
#define ADD_DIFFERENCE(text, ignored, name, format, a, b)                    \
	do {                                                                 \
		if (!(ignored) && (a) != (b))                                \
			strbuf_addf(text, "%s" name ":" format ARROW format, \
			            (text)->len ? "," : "", a, b);           \
	} while (0)

/* The Go command looks at neither. */
static int add_more_differences(const struct tree_entry *entry,
                                const struct node_attributes *wanted,
                                const struct node_attributes *real, struct strbuf *text,
                                cst_error **error)
{
	char target[PATH_MAX];
	ssize_t n = real->type == '2'
	                    ? readlinkat(entry->dirfd, entry->name, target, sizeof(target) - 1)
	                    : 0;
	if (n < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "readlink %s", entry->path);
	target[n] = '\0';
	if (wanted->type == '2' && real->type == '2' && !streq(wanted->target, target))
		strbuf_addf(text, "%starget:%s" ARROW "%s", text->len ? "," : "", wanted->target,
		            target);
	if (wanted->type == real->type)
		ADD_DIFFERENCE(text, false, "device", "0x%" PRIx64, (uint64_t)wanted->device,
		               (uint64_t)real->device);
	return 0;
}

/* What is different about a file that should be as `node` and is as `st`; "" nothing. */
static int compare_attributes(const struct expected *expected, const struct node *node,
                              struct node_attributes real, struct strbuf *text, cst_error **error)
{
	const struct expected_options *options = &expected->options;
	const struct node_attributes *wanted = &node->attributes;
	mode_t compared = options->as_upstream ? 0777 : 07777;
	strbuf_reset(text);
	if (node->unknown || (wanted->type == NODE_WHITEOUT && real.type == NODE_WHITEOUT))
		return 0;
	if (options->maps && (!idmap_to_container(&options->maps->uids, real.uid, &real.uid) ||
	                      !idmap_to_container(&options->maps->gids, real.gid, &real.gid)))
		strbuf_addf(text, "owner %u:%u is not in the layer's id maps", real.uid, real.gid);
	ADD_DIFFERENCE(text, options->ignore_types, "filetype", "%d", wanted->type, real.type);
	ADD_DIFFERENCE(text, options->ignore_owners, "uid", "%u", wanted->uid, real.uid);
	ADD_DIFFERENCE(text, options->ignore_owners, "gid", "%u", wanted->gid, real.gid);
	ADD_DIFFERENCE(text, false, "size", "%" PRIu64, wanted->size, real.size);
	/* The mode of a symlink is 777, whatever the archive says. */
	if (!options->ignore_modes && (wanted->type != '2' || options->as_upstream) &&
	    (wanted->mode & compared) != (real.mode & compared))
		ADD_DIFFERENCE(text, false, "mode", "%04o", wanted->mode, real.mode);
	ADD_DIFFERENCE(text, node->any_time, "mtime", "0x%" PRIx64, wanted->mtime, real.mtime);
	return text->failed ? error_oom(error) : 0;
}

static int add_text(struct strv *differences, char *text, cst_error **error)
{
	return strv_take(differences, text) ? 0 : error_oom(error);
}

static int compare_entry(struct expected *expected, const struct tree_entry *entry,
                         struct strv *differences, cst_error **error)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	struct node *node = nodes_get(&expected->nodes, entry->path);
	struct node_attributes real = attributes_of(&entry->stat);
	bool directory = real.type == '5';
	if (real.type == 's' && expected->options.as_upstream)
		return error_set(error, CST_EARCHIVE, "archive/tar: sockets not supported");
	if (expected->options.own_content && real.type == '3' && entry->stat.st_rdev == 0)
		real.type = NODE_WHITEOUT;
	if (!node || (node->attributes.type == '5') != directory)
		return add_text(differences,
		                str_printf("+/%s%s", entry->path, directory ? "/" : ""), error);
	node->seen = true;
	int r = compare_attributes(expected, node, real, &text, error);
	if (r == 0 && !expected->options.as_upstream && !node->unknown &&
	    real.type != NODE_WHITEOUT)
		r = add_more_differences(entry, &node->attributes, &real, &text, error);
	if (r < 0 || !text.len)
		return r;
	r = add_text(differences, str_printf("/%s(%s)", entry->path, text.data), error);
	if (r == 0 && !directory && expected->options.as_upstream)
		r = add_text(differences, str_printf("+/%s(%s)", entry->path, text.data), error);
	return r;
}

/* By path; of one path, what is missing first. */
static int compare_texts(const void *left, const void *right)
{
	const char *a = *(char *const *)left, *b = *(char *const *)right;
	int r = strcmp(a + 1, b + 1);
	return r ? r : (*b == '-') - (*a == '-');
}

int expected_compare(struct expected *expected, int root_fd, struct strv *differences,
                     cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	enum tree_event event = TREE_ENTRY;
	struct tree_entry entry;
	int r = tree_walk_new(&root_fd, 1, false, &walk, error);
	while (r == 0 && (r = tree_walk_next(walk, &event, &entry, error)) == 0 &&
	       event != TREE_END) {
		if (event == TREE_ENTRY)
			r = compare_entry(expected, &entry, differences, error);
	}
	for (const struct node *node = expected->nodes.first; r == 0 && node; node = node->newer) {
		if (!node->gone && !node->seen)
			r = add_text(differences,
			             str_printf("-/%s%s", node->path,
			                        node->attributes.type == '5' ? "/" : ""),
			             error);
	}
	if (r == 0 && differences->len)
		qsort(differences->items, differences->len, sizeof(char *), compare_texts);
	return r;
}
