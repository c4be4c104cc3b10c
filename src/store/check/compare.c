/* SPDX-License-Identifier: Apache-2.0 */
/* Compares one real file with the headers of its archive (compare.h). */
#include "store/check/compare.h"
#include "archive/tar/tar.h"
#include "archive/tree/xattrs.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CAPABILITY "security.capability"

/* ---- extended attributes ---- */

bool xattr_is_compared(const char *name)
{
	static const char *const others[] = {"user.overlay.", "user.fuseoverlayfs.",
	                                     "user.containers."};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (has_prefix(name, others[i]))
			return false;
	}
	return has_prefix(name, "user.") || streq(name, CAPABILITY);
}

/* Of a capability set, what does not depend on the user namespace in which it was written and is read. */
struct capabilities {
	bool effective;
	uint32_t sets[4];
};

/* False: not a form that is known. */
static bool read_capabilities(const struct tar_xattr *xattr, struct capabilities *ret)
{
	uint32_t words[XATTR_CAPS_SZ_3 / sizeof(uint32_t)] = {0};
	if (xattr->len != XATTR_CAPS_SZ_2 && xattr->len != XATTR_CAPS_SZ_3)
		return false;
	memcpy(words, xattr->value,
	       xattr->len); /* little-endian, as this program's platforms are */
	ret->effective = words[0] & VFS_CAP_FLAGS_EFFECTIVE;
	memcpy(ret->sets, &words[1], sizeof(ret->sets));
	return true;
}

static bool same_value(const struct tar_xattr *a, const struct tar_xattr *b)
{
	struct capabilities x, y;
	if (streq(a->name, CAPABILITY) && read_capabilities(a, &x) && read_capabilities(b, &y))
		return x.effective == y.effective && memcmp(x.sets, y.sets, sizeof(x.sets)) == 0;
	return a->len == b->len && memcmp(a->value, b->value, a->len) == 0;
}

static const struct tar_xattr *find(const struct tar_xattr *items, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (streq(items[i].name, name))
			return &items[i];
	}
	return NULL;
}

/* Can a missing attribute be a loss? Not where the file system has none of the kind. */
static bool can_have(const struct tree_entry *entry, const char *name)
{
	char path[XATTR_PATH_MAX];
	xattr_path(path, entry->dirfd, entry->name);
	return lgetxattr(path, name, NULL, 0) >= 0 || errno == ENODATA;
}

static void add_xattr(struct strbuf *text, const char *name, const char *what)
{
	strbuf_addf(text, "%sxattr %s %s", text->len ? "," : "", name, what);
}

static int compare_xattrs(const struct node_attributes *wanted, const struct tree_entry *entry,
                          struct strbuf *text, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_xattrs_ struct xattrs real = {0};
	int r = xattrs_read(entry->dirfd, entry->name, xattr_is_compared, &real, entry->path,
	                    &problem);
	/* Gone meanwhile; or a capability of a user namespace that this one knows nothing of. */
	if (r < 0 && (cst_error_errno(problem) == ENOENT || cst_error_errno(problem) == EOVERFLOW))
		return 0;
	if (r < 0)
		return error_propagate(error, steal_ptr(&problem));
	for (size_t i = 0; i < wanted->n_xattrs; i++) {
		const struct tar_xattr *want = &wanted->xattrs[i],
		                       *have = find(real.items, real.len, want->name);
		if (have && !same_value(want, have))
			add_xattr(text, want->name, "is changed");
		/* Some versions of the Go tools set no empty ones. */
		else if (!have && want->len && can_have(entry, want->name))
			add_xattr(text, want->name, "is missing");
	}
	for (size_t i = 0; i < real.len && !wanted->more_xattrs; i++) {
		if (!find(wanted->xattrs, wanted->n_xattrs, real.items[i].name))
			add_xattr(text, real.items[i].name, "is not in its archive");
	}
	return 0;
}

/* ---- the rest ---- */

static struct node_attributes attributes_of(const struct stat *st)
{
	char type = tar_type_of(st->st_mode);
	return (struct node_attributes){
	        .type = type ? type : 's',
	        .mode = st->st_mode & 07777,
	        .uid = st->st_uid,
	        .gid = st->st_gid,
	        .size = type == '0' ? (uint64_t)st->st_size : 0,
	        .mtime = st->st_mtim.tv_sec,
	        .device = type == '3' || type == '4' ? st->st_rdev : 0,
	};
}

/* Appends "NAME:a￫b" if the two are not the same. */
#define ARROW "\xef\xbf\xab"
#define ADD_DIFFERENCE(text, ignored, name, format, a, b)                    \
	do {                                                                 \
		if (!(ignored) && (a) != (b))                                \
			strbuf_addf(text, "%s" name ":" format ARROW format, \
			            (text)->len ? "," : "", a, b);           \
	} while (0)

/* What the Go command compares. */
static void add_differences(const struct expected_options *options,
                            const struct node_attributes *wanted, struct node_attributes real,
                            struct strbuf *text)
{
	mode_t compared = options->as_upstream ? 0777 : 07777;
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
	ADD_DIFFERENCE(text, wanted->any_time, "mtime", "0x%" PRIx64, wanted->mtime, real.mtime);
}

/* And what it does not. */
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
	return compare_xattrs(wanted, entry, text, error);
}

int compare_attributes(const struct expected_options *options, const struct node_attributes *wanted,
                       const struct tree_entry *entry, struct strbuf *text, cst_error **error)
{
	struct node_attributes real = attributes_of(&entry->stat);
	bool whiteout = options->own_content && real.type == '3' && real.device == 0;
	int r = 0;
	strbuf_reset(text);
	if (wanted->unknown || (whiteout && wanted->type == NODE_WHITEOUT))
		return 0;
	real.type = whiteout ? NODE_WHITEOUT : real.type;
	add_differences(options, wanted, real, text);
	if (!options->as_upstream && !whiteout)
		r = add_more_differences(entry, wanted, &real, text, error);
	return r == 0 && text->failed ? error_oom(error) : r;
}
