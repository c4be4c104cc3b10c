/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, in the order of the archive. It is a strand of its own kind: before an entry that needs
 * finished files it stops, and goes on when the last open file is done. Nothing blocks. Such an entry
 * is a hard link, which sets owner and times of an inode that may still be written, and in a layer
 * that is in use each one, since only one thing can be in the private directory (place.c).
 */
#include "archive/unpack/namespace.h"
#include "archive/unpack/directories.h"
#include "base/fs.h"
#include "base/log.h"
#include <errno.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The kernel's: 12 bits of major, 20 of minor. */
#define MAJOR_MAX 0xfffU
#define MINOR_MAX 0xfffffU

/* ---- what this archive made ---- */

static int remember(struct namespace *ns, const struct entry *e, const struct directory *parent,
                    cst_error **error)
{
	int r = own_add(&ns->target->own, parent, e->base, e->body_number, error);
	return r < 0 ? r : sync_list_add(&ns->target->sync, e->path, strlen(e->path), error);
}

/* ---- making room ---- */

static int remove_directory(struct namespace *ns, const struct entry *e,
                            const struct directory *parent, cst_error **error)
{
	struct directory doomed;

	if (directory_open_child(&ns->target->own, parent, e->base, &doomed) < 0)
		return error_sys(error, errno, "open /%s", e->path);
	int r = ns->saved ? saved_bodies_keep(ns->saved, &doomed, error) : 0;
	close(doomed.fd);
	if (r < 0)
		return r;
	ns->content_size_unknown = true;
	return fs_remove_tree(parent->fd, e->base, e->path, error);
}

/* Something has the entry's name: it is removed, unless this archive brought it under another
 * spelling. The tar-split could then not give back the first body. Directories may be replaced:
 * their files are kept for it. */
static int make_room(struct namespace *ns, const struct entry *e, const struct directory *parent,
                     cst_error **error)
{
	struct stat st;

	if (fstatat(parent->fd, e->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(error, errno, "lstat /%s", e->path);
	bool own = own_has(&ns->target->own, parent, e->base, NULL);
	if (own && ns->saved && !S_ISDIR(st.st_mode))
		return error_set(error, CST_EARCHIVE, "duplicates of file paths not supported");
	if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
		directory_paths_changed(ns->target);
	if (S_ISDIR(st.st_mode))
		return remove_directory(ns, e, parent, error);
	/* In a layer that is in use a rename will replace it: the name is never missing. */
	bool replaced_later = ns->target->options->in_use && e->header.type != '5';
	if (!replaced_later && sys_unlinkat(parent->fd, e->base, 0) < 0)
		return error_sys(error, errno, "unlinkat /%s", e->path);
	if (own && S_ISREG(st.st_mode) && st.st_nlink == 1)
		ns->content_size -= st.st_size;
	return 0;
}

/* ---- one kind of entry each: -1 and errno ---- */

struct creation {
	struct namespace *namespace;
	struct entry *entry;
	struct directory parent;
	struct place place; /* where it is made */
	int link_fd; /* the file that gets a further name; hard links: O_PATH; else of another layer, or -1 */
};

/* The permissions that it will have; the set-id bits come when its owner is right. Nobody else can reach it before. */
static mode_t permissions(const struct creation *c)
{
	return metadata_mode(&c->namespace->target->metadata, c->entry) & 0777;
}

static int make_link(struct creation *c)
{
	return sys_flink(c->link_fd, c->place.fd, c->place.name);
}

static int make_file(struct creation *c)
{
	if (c->link_fd >= 0 && make_link(c) == 0)
		return c->link_fd;
	if (c->link_fd >= 0 && errno == EEXIST)
		return -1;
	return sys_openat(c->place.fd, c->place.name,
	                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, permissions(c));
}

static int make_directory(struct creation *c)
{
	/* It is opened before it is finished. */
	return sys_mkdirat(c->place.fd, c->place.name, permissions(c) | 0700);
}

static int make_symlink(struct creation *c)
{
	return sys_symlinkat(c->entry->header.linkname, c->place.fd, c->place.name);
}

static mode_t node_type(const struct entry *e)
{
	return e->header.type == '3' ? S_IFCHR : e->header.type == '4' ? S_IFBLK : S_IFIFO;
}

static int make_node(struct creation *c)
{
	const struct tar_header *h = &c->entry->header;
	mode_t type = node_type(c->entry);

	return sys_mknodat(c->place.fd, c->place.name, type | (h->mode & 0777),
	                   type == S_IFIFO ? 0 : makedev(h->devmajor, h->devminor));
}

/* The Go command does not say which link. */
static int link_failed(const struct entry *e, int errnum, cst_error **error)
{
	error_sys(error, errnum, "link /%s to %s", e->path, e->header.linkname);
	return error_go_words(error, CST_ESYS, NULL, "%s", errno_text(errnum));
}

static int creation_failed(const struct entry *e, cst_error **error)
{
	switch (e->header.type) {
	case '1': return link_failed(e, errno, error);
	case '2': return error_sys(error, errno, "symlink %s /%s", e->header.linkname, e->path);
	case '3':
	case '4':
	case '6': return error_sys(error, errno, "mknod /%s", e->path);
	case '5': return error_sys(error, errno, "mkdir /%s", e->path);
	default: return error_sys(error, errno, "open /%s", e->path);
	}
}

/* Makes it, a second time if something was in the way. 0 or a descriptor, or a negative code. */
static int create(struct creation *c, int (*make)(struct creation *c), cst_error **error)
{
	bool in_use = c->namespace->target->options->in_use;
	int made = in_use ? -1 : make(c);

	if (in_use || (made < 0 && errno == EEXIST)) {
		int r = make_room(c->namespace, c->entry, &c->parent, error);
		if (r < 0)
			return r;
		made = make(c);
	}
	return made < 0 ? creation_failed(c->entry, error) : made;
}

/* It is complete, and gets its name. */
static int settle(const struct creation *c, cst_error **error)
{
	const struct entry *e = c->entry;

	if (place_settle(&c->namespace->target->making, c->parent.fd, e->base, PLACE_REPLACE) < 0)
		return creation_failed(e, error);
	return 0;
}

static int create_file(struct creation *c, struct chunk *chunk, bool begun, cst_error **error)
{
	struct namespace *ns = c->namespace;
	_cleanup_close_ int shared = shared_open(&ns->shared, c->entry, begun);

	c->link_fd = shared;
	int fd = create(c, make_file, error);
	if (fd < 0)
		return fd;
	bool linked = fd == shared;
	if (linked)
		shared = -1;
	ns->current = out_file_new(ns->writers, chunk, c->entry, c->parent.fd, fd);
	if (!ns->current) {
		close(fd);
		return error_oom(error);
	}
	ns->content_size += (int64_t)c->entry->header.size;
	struct out_file *file = ns->current;
	file->begun = file->cloned = file->linked = linked;
	return linked ? shared_note(&ns->shared, fd, error)
	              : place_note_made(&ns->target->making, fd, error);
}

/* Makes the directory, or takes the one that is there. *opaque: it takes the place of something else, and what that hid
 * must not come back. */
static int need_directory(struct creation *c, struct directory *ret, struct stat *ret_stat,
                          bool *kept, bool *opaque, cst_error **error)
{
	struct namespace *ns = c->namespace;
	const struct entry *e = c->entry;
	struct stat st;

	*kept = *opaque = false;
	int r = ns->target->options->in_use ? -1 : make_directory(c);
	if (r < 0 && !ns->target->options->in_use && errno != EEXIST)
		return creation_failed(e, error);
	if (r < 0) {
		bool there = fstatat(c->parent.fd, e->base, &st, AT_SYMLINK_NOFOLLOW) == 0;
		*kept = there && S_ISDIR(st.st_mode);
		*opaque = there && !*kept;
		r = *kept ? 0 : create(c, make_directory, error);
		if (r < 0)
			return r;
	}
	const struct place at = *kept ? (struct place){c->parent.fd, e->base} : c->place;
	_cleanup_close_ int fd =
	        openat(at.fd, at.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret_stat) < 0)
		return error_sys(error, errno, "open /%s", e->path);
	*ret = directory_of(&ns->target->own, steal_fd(&fd), ret_stat);
	return 0;
}

/* An existing directory stays with its content. */
static int create_directory(struct creation *c, cst_error **error)
{
	struct namespace *ns = c->namespace;
	struct entry *e = c->entry;
	struct directory directory;
	struct stat st;
	bool kept, opaque;

	int r = need_directory(c, &directory, &st, &kept, &opaque, error);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = directory.fd;
	if (opaque && mark_opaque(ns->target->options, fd) < 0)
		return error_sys(error, errno, "lsetxattr /%s", e->path);
	r = metadata_directory(&ns->target->metadata, e, fd, &st, error);
	if (r == 0 && !kept)
		r = settle(c, error);
	if (r == 0)
		r = directory_times_add(ns->times, e, &directory, error);
	bool keep = r == 0 && !ns->target->options->in_use;
	if (keep && directory_cache_keep(ns->target, e->path, &directory))
		fd = -1;
	return r;
}

/* What was made and is not opened: its attributes, and its name. */
static int finish_special(struct creation *c, mode_t type, cst_error **error)
{
	struct namespace *ns = c->namespace;
	struct stat st;
	int r = place_hold(&c->place, type, c->entry->path, &st, error);

	if (r < 0)
		return r;
	_cleanup_close_ int fd = r;
	r = S_ISLNK(type) ? metadata_symlink(&ns->target->metadata, c->entry, fd, &st, error)
	                  : metadata_node(&ns->target->metadata, c->entry, fd, &st, error);
	if (r == 0)
		r = place_note_made(&ns->target->making, fd, error);
	return r < 0 ? r : settle(c, error);
}

static int create_node(struct creation *c, cst_error **error)
{
	const struct tar_header *h = &c->entry->header;

	if (h->type != '6' && c->namespace->target->options->userns)
		return 0;
	if (h->type != '6' && (h->devmajor > MAJOR_MAX || h->devminor > MINOR_MAX))
		return error_set(error, CST_EARCHIVE,
		                 "mknod /%s: device number %u:%u is out of range", c->entry->path,
		                 h->devmajor, h->devminor);
	int r = create(c, make_node, error);
	return r < 0 ? r : finish_special(c, node_type(c->entry), error);
}

static int create_symlink(struct creation *c, cst_error **error)
{
	int r = create(c, make_symlink, error);
	return r < 0 ? r : finish_special(c, S_IFLNK, error);
}

/* The file that a hard link is to. It is held from here on, so that the new name and the attributes
 * go to the same file. */
static int hold_target(struct creation *c, int *ret, cst_error **error)
{
	struct namespace *ns = c->namespace;
	const char *linkname = c->entry->header.linkname;
	_cleanup_free_ char *target = malloc(strlen(linkname) + 1);
	struct directory parent;
	uint32_t form;

	if (!target)
		return error_oom(error);
	unpack_clean_name(linkname, target, &form);
	if (!*target)
		return link_failed(c->entry, EPERM, error); /* the root */
	const char *base = unpack_base_name(target);
	size_t n = (size_t)(base - target);
	if (directory_get(ns->target, target, n > 0 ? n - 1 : 0, DIRECTORY_MUST_EXIST, &parent) < 0)
		return link_failed(c->entry, errno, error);
	_cleanup_close_ int fd = openat(parent.fd, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return link_failed(c->entry, errno, error);
	if (ns->target->options->in_use && own_has(&ns->target->own, &parent, base, NULL) &&
	    !place_is_made(&ns->target->making, fd))
		return error_set(error, CST_ECORRUPT,
		                 "/%s: the file that /%s is a hard link to was replaced by another "
		                 "process",
		                 target, c->entry->path);
	*ret = steal_fd(&fd);
	return 0;
}

/* Owner, mode and times of the link's own header go to the shared inode, unless that is a symlink. In
 * a layer that is in use only what this archive made gets them: anything else may be a file that
 * somebody put there to get them. */
static int link_attributes(struct creation *c, cst_error **error)
{
	struct namespace *ns = c->namespace;
	struct stat st;

	if (ns->target->options->force_mask >= 0)
		return 0;
	if (fstat(c->link_fd, &st) < 0)
		return link_failed(c->entry, errno, error);
	if (shared_has(&ns->shared, &st))
		return shared_check_link(&ns->shared, c->entry, c->link_fd, error);
	if (ns->target->options->in_use && !place_is_made(&ns->target->making, c->link_fd)) {
		log_warning("/%s: owner and mode stay those of the existing file that it is a "
		            "hard link to, since the layer is in use",
		            c->entry->path);
		return 0;
	}
	return S_ISLNK(st.st_mode)
	               ? metadata_symlink(&ns->target->metadata, c->entry, c->link_fd, &st, error)
	               : metadata_node(&ns->target->metadata, c->entry, c->link_fd, &st, error);
}

static int create_link(struct creation *c, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int r = hold_target(c, &fd, error);

	c->link_fd = fd;
	if (r == 0)
		r = create(c, make_link, error);
	if (r == 0)
		r = link_attributes(c, error);
	return r < 0 ? r : settle(c, error);
}

/* ---- entries ---- */

static int apply_root(struct namespace *ns, const struct entry *e, cst_error **error)
{
	bool skip = e->root_by_dot && ns->target->options->whiteouts != UNPACK_WHITEOUT_APPLY &&
	            ns->target->options->force_mask < 0;

	if (skip)
		return 0;
	_cleanup_close_ int fd =
	        openat(ns->target->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(error, errno, "open /");
	ns->root_named = true;
	int r = metadata_directory(&ns->target->metadata, e, fd, &st, error);
	const struct directory root = directory_of(&ns->target->own, fd, &st);
	return r < 0 ? r : directory_times_add(ns->times, e, &root, error);
}

static int create_entry(struct namespace *ns, struct chunk *chunk, struct entry *e, bool begun,
                        cst_error **error)
{
	struct creation c = {.namespace = ns, .entry = e, .link_fd = -1};
	char type = e->header.type;
	int r;

	if (!*e->path)
		return apply_root(ns, e, error);
	if (directory_get_parent(ns->target, e, DIRECTORY_CREATE, &c.parent) < 0)
		return creation_failed(e, error);
	c.place = place_of(&ns->target->making, c.parent.fd, e->base);
	if (type == '1')
		r = create_link(&c, error);
	else if (type == '2')
		r = create_symlink(&c, error);
	else if (type == '5')
		r = create_directory(&c, error);
	else if (type == '0' || ns->target->options->force_mask >= 0)
		r = create_file(&c, chunk, begun, error);
	else
		r = create_node(&c, error);
	return r < 0 ? r : remember(ns, e, &c.parent, error);
}

static int map_ids(struct namespace *ns, struct entry *e, cst_error **error)
{
	e->host_uid = e->header.uid;
	e->host_gid = e->header.gid;
	if (!ns->target->options->maps)
		return 0;
	return idmaps_to_host(ns->target->options->maps, e->header.uid, e->header.gid, &e->host_uid,
	                      &e->host_gid, error);
}

static int apply_entry(struct namespace *ns, struct chunk *chunk, struct entry *e, bool begun,
                       cst_error **error)
{
	if (e->action == ENTRY_IGNORE)
		return 0;
	if (e->action != ENTRY_WHITEOUT || ns->target->directories.stale)
		whiteouts_forget(&ns->whiteouts);
	directory_cache_begin_entry(ns->target);
	int r = map_ids(ns, e, error);
	if (r < 0)
		return r;
	switch (e->action) {
	case ENTRY_WHITEOUT: return whiteout_apply(&ns->whiteouts, e, error);
	case ENTRY_OPAQUE: return whiteout_apply_opaque(&ns->whiteouts, e, error);
	default: return create_entry(ns, chunk, e, begun, error);
	}
}

/* ---- ops of a chunk ---- */

struct body_span {
	const struct op *first;
	size_t bytes;
};

/* The body up to `end` goes to the writers. At the end of the body the part that stood for it goes
 * along. */
static void hand_over_body(struct namespace *ns, struct chunk *chunk, const struct body_span *span,
                           const struct op *end)
{
	struct out_file *file = ns->current;

	if (!end)
		atomic_fetch_add_explicit(&file->parts, 1, memory_order_relaxed);
	else
		ns->current = NULL;
	if (out_file_add(ns->writers, chunk, file, span->first, end, span->bytes) < 0) {
		cst_error *error = NULL;
		error_oom(&error);
		work_fail(ns->work, file->entry->number, error);
		out_file_release(file);
	}
}

static void begin_entry(struct namespace *ns, struct chunk *chunk, const struct op *op)
{
	struct entry *e = op->entry;
	bool begun = op->next && op->next->kind == OP_BODY;
	cst_error *error = NULL;

	if (work_failed(ns->work, e->number))
		return;
	if (apply_entry(ns, chunk, e, begun, &error) < 0)
		work_fail(ns->work, e->number, error);
}

/* True: an entry has to wait for open files; the last of them starts the task again. */
static bool must_wait(struct namespace *ns, const struct op *op)
{
	bool is_link = op->entry->action == ENTRY_CREATE && op->entry->header.type == '1';

	if (!is_link && !ns->target->options->in_use)
		return false;
	writers_flush(ns->writers);
	ns->cursor = op; /* before: the task may run again at once */
	if (writers_wait(ns->writers, &ns->task))
		return true;
	ns->cursor = NULL;
	return false;
}

/* False: stopped before the end. */
static bool run_ops(struct namespace *ns, struct chunk *chunk)
{
	struct body_span span = {chunk->first, 0};
	const struct op *op = ns->cursor ? ns->cursor : chunk->first;

	ns->cursor = NULL;
	for (; op; op = op->next) {
		switch (op->kind) {
		case OP_ENTRY:
			if (must_wait(ns, op))
				return false;
			begin_entry(ns, chunk, op);
			span = (struct body_span){op->next, 0};
			break;
		case OP_BODY: span.bytes += op->len; break;
		case OP_BODY_END:
			if (ns->current)
				hand_over_body(ns, chunk, &span, op);
			break;
		default: break;
		}
	}
	if (ns->current && span.bytes > 0)
		hand_over_body(ns, chunk, &span, NULL);
	writers_flush(ns->writers);
	return true;
}

static void start(struct namespace *ns)
{
	work_begin_task(ns->work);
	pool_submit(ns->work->pool, &ns->task);
}

static void namespace_run(struct task *task)
{
	struct namespace *ns =
	        (struct namespace *)((char *)task - offsetof(struct namespace, task));
	struct chunk *chunk = ns->queue_head;

	if (run_ops(ns, chunk)) {
		pthread_mutex_lock(&ns->work->lock);
		ns->queue_head = chunk->next;
		if (!ns->queue_head)
			ns->queue_tail = NULL;
		ns->active = ns->queue_head != NULL;
		bool more = ns->active;
		pthread_mutex_unlock(&ns->work->lock);
		chunk_unref(chunk);
		if (more)
			start(ns);
	}
	work_end_task(ns->work);
}

void namespace_submit(struct namespace *ns, struct chunk *chunk)
{
	pthread_mutex_lock(&ns->work->lock);
	chunk->next = NULL;
	if (ns->queue_tail)
		ns->queue_tail->next = chunk;
	else
		ns->queue_head = chunk;
	ns->queue_tail = chunk;
	bool idle = !ns->active;
	ns->active = true;
	pthread_mutex_unlock(&ns->work->lock);
	if (idle)
		start(ns);
}

void namespace_init(struct namespace *ns)
{
	ns->task.run = namespace_run;
	ns->whiteouts = (struct whiteouts){.target = ns->target, .way = WAY_INIT};
	ns->shared.metadata = &ns->target->metadata;
}

void namespace_free(struct namespace *ns)
{
	whiteouts_forget(&ns->whiteouts);
	hash_set_free(&ns->shared.inodes);
}
