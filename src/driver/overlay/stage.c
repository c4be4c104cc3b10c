/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a layer in a staging directory, where nobody sees it, and fills it. Opens the content of layers for that. */
#include "archive/tree/copy.h"
#include "base/fs.h"
#include "driver/backing.h"
#include "driver/naive.h"
#include "driver/overlay/below.h"
#include "driver/quota.h"
#include "driver/rootless.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

void overlay_stage_free(struct driver_staged *staged)
{
	if (!staged)
		return;
	if (staged->has_project)
		quota_release(staged->overlay->base.home, staged->dir_fd);
	overlay_stage_foreign_end(staged);
	closep(&staged->diff_fd);
	closep(&staged->dir_fd);
	tempdir_free(staged->temp);
	idmaps_free(&staged->maps);
	free(staged->path);
	free(staged->lower);
	free(staged->lower_layers);
	free(staged->lower_id);
	free(staged);
}
DEFINE_CLEANUP(struct driver_staged *, overlay_stage_free)

/* ---- filling ---- */

/* A container's layer gets a project where the Go tools give it one, or if somebody asks for limits. */
static int assign_quota(struct driver_staged *s, const struct driver_stage_options *options,
                        cst_error **error)
{
	struct overlay *o = s->overlay;
	struct driver_quota quota = o->options.quota;
	int r = quota_parse(options, &quota, error);
	if (r < 0 || !options->writable ||
	    (o->magic != BACKING_XFS && !options->n_storage_options && !quota.bytes &&
	     !quota.inodes))
		return r;
	if (!overlay_has_quotas(o, NULL))
		return options->n_storage_options == 0
		               ? 0
		               : error_set(error, CST_ENOTSUP,
		                           "--storage-opt is supported only for overlay over xfs "
		                           "with 'pquota' mount option");
	r = quota_assign(o->base.home, s->dir_fd, &quota, error);
	s->has_project = r == 0;
	return r;
}

static bool has_maps(const struct idmaps *maps)
{
	return maps && (maps->uids.len || maps->gids.len);
}

/* Does the parent's content belong to other ids than the new layer's? */
static bool reowns(const struct driver_stage_options *options)
{
	return !isempty(options->parent) && !idmaps_equal(options->maps, options->parent_maps);
}

static int read_root_of(const struct overlay *o, const struct overlay_dirs *dirs, size_t home,
                        const char *id, int layer_fd, struct root_attributes *ret,
                        cst_error **error)
{
	_cleanup_free_ char *shown = path_join(o->homes[home].path, id), *foreign = NULL;
	_cleanup_close_ int fd = -1;
	int r = overlay_foreign_content(o, dirs, home, id, &foreign, error);
	if (r == 0 && foreign) /* it may hang */
		r = overlay_content_open_at(o, dirs, home, id, &fd, error);
	if (r < 0)
		return r;
	return foreign ? overlay_read_root(fd, ".", ret, strempty(shown), error)
	               : overlay_read_root(layer_fd, "diff", ret, strempty(shown), error);
}

int overlay_root_attributes(const struct overlay *o, const struct overlay_dirs *dirs,
                            const struct driver_stage_options *options, struct root_attributes *ret,
                            cst_error **error)
{
	struct root_attributes attributes = {.mode = 0555};
	uint32_t uid = 0, gid = 0;
	int r;

	if (options->staged_parent) {
		attributes = options->staged_parent->root;
	} else if (!isempty(options->parent)) {
		_cleanup_close_ int fd = -1;
		size_t home;

		r = overlay_layer_open(o, dirs, options->parent, &home, &fd, error);
		if (r == 0)
			r = read_root_of(o, dirs, home, options->parent, fd, &attributes, error);
		if (r < 0)
			return r;
	}
	if ((isempty(options->parent) && has_maps(options->maps)) || reowns(options)) {
		r = options->maps ? idmaps_root(options->maps, &uid, &gid, error) : 0;
		if (r < 0)
			return r;
		attributes.uid = uid;
		attributes.gid = gid;
	}
	*ret = attributes;
	return 0;
}

int overlay_make_dir(int parent_fd, const char *name, const struct root_attributes *owner,
                     mode_t mode, int *ret_fd, const char *shown, cst_error **error)
{
	_cleanup_close_ int fd = -1;

	if (sys_mkdirat(parent_fd, name, 0700) < 0)
		return error_sys(error, errno, "mkdir %s/%s", shown, name);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", shown, name);
	if ((owner->uid != geteuid() || owner->gid != getegid()) &&
	    sys_fchown(fd, owner->uid, owner->gid) < 0)
		return error_sys(error, errno, "chown %s/%s", shown, name);
	if (mode != 0700 && sys_fchmod(fd, mode) < 0)
		return error_sys(error, errno, "chmod %s/%s", shown, name);
	if (ret_fd)
		*ret_fd = steal_fd(&fd);
	return 0;
}

static int write_text(const struct driver_staged *s, const char *name, const char *text,
                      mode_t mode, cst_error **error)
{
	return fs_write_file(s->dir_fd, name, text, strlen(text), mode, s->path, error);
}

/* The lists of a child of a staged layer, which gets the ID `id`. */
static int lists_below(const struct driver_staged *parent, const char *id, char **lower,
                       char **lower_layers, cst_error **error)
{
	*lower = str_printf("%s/%s%s%s", OVERLAY_LINK_DIR, parent->link, parent->lower ? ":" : "",
	                    strempty(parent->lower));
	*lower_layers =
	        str_printf("%s%s%s", id, parent->lower ? ":" : "", strempty(parent->lower_layers));
	return *lower && *lower_layers ? 0 : error_oom(error);
}

static int write_lists(struct driver_staged *s, const struct overlay_dirs *dirs, const char *parent,
                       cst_error **error)
{
	int r = s->parent ? lists_below(s->parent, parent, &s->lower, &s->lower_layers, error)
	                  : overlay_child_lists(s->overlay, dirs, parent, &s->lower,
	                                        &s->lower_layers, error);
	if (r == 0)
		r = write_text(s, "lower", s->lower, 0666, error);
	return r < 0 ? r : write_text(s, "lower-layers", s->lower_layers, 0666, error);
}

static int note_inode(struct driver_staged *s, cst_error **error)
{
	struct stat st;
	if (fstat(s->dir_fd, &st) < 0)
		return error_sys(error, errno, "stat %s", s->path);
	s->inode = st.st_ino;
	return 0;
}

/* Makes all that a layer's directory has (docs/format/drivers.md, "Layer directory"). */
static int fill(struct driver_staged *s, const struct overlay_dirs *dirs,
                const struct driver_stage_options *options, cst_error **error)
{
	struct root_attributes root = {0}, owner = {0};
	int mask = s->overlay->options.force_mask;
	int r = overlay_root_attributes(s->overlay, dirs, options, &root, error);
	s->root = s->inherited = root;
	if (r == 0 && options->maps)
		r = idmaps_root(options->maps, &owner.uid, &owner.gid, error);
	if (mask >= 0)
		root = (struct root_attributes){owner.uid, owner.gid, (mode_t)mask};
	if (r == 0)
		r = overlay_new_link(s->link, error);
	if (r == 0)
		r = overlay_make_dir(s->temp->fd, s->name, &owner, 0700, &s->dir_fd, s->path,
		                     error);
	if (r == 0)
		r = note_inode(s, error);
	if (r == 0)
		r = assign_quota(s, options, error);
	if (r == 0)
		r = overlay_make_dir(s->dir_fd, "diff", &root, root.mode, &s->diff_fd, s->path,
		                     error);
	if (r == 0 && mask >= 0)
		r = overlay_note_root(s->diff_fd, &s->root, s->path, error);
	if (r == 0)
		r = write_text(s, "link", s->link, 0644, error);
	if (r == 0)
		r = overlay_make_dir(s->dir_fd, "work", &root, 0700, NULL, s->path, error);
	if (r == 0)
		r = overlay_make_dir(s->dir_fd, "merged", &root, 0700, NULL, s->path, error);
	if (r < 0)
		return r;
	if (!isempty(options->parent))
		r = write_lists(s, dirs, options->parent, error);
	else
		r = overlay_make_dir(s->dir_fd, "empty", &root, 0700, NULL, s->path, error);
	if (r == 0 && reowns(options))
		r = overlay_reown_parent(s->overlay, dirs, options, s->dir_fd, s->path, error);
	return r;
}

/* Was a release of the time of 1.43 here? Those make this directory with the store. */
static bool has_old_users(const struct overlay *o)
{
	_cleanup_free_ char *path = path_join(o->homes[0].path, "../mounts");

	return path && fs_exists(AT_FDCWD, path);
}

int overlay_new_temp(const struct overlay *o, size_t home, struct tempdir **ret, cst_error **error)
{
	enum tempdir_layout layout = has_old_users(o) ? TEMPDIR_PAIR : TEMPDIR_STAGING;
	_cleanup_free_ char *root = path_join(o->homes[home].path, overlay_area_of(layout));

	return root ? tempdir_new(root, layout, ret, error) : error_oom(error);
}

/* Makes an empty staging directory in one of the homes, or takes that of a parent which is staged there. */
static int stage_in(struct overlay *o, size_t home, const struct idmaps *maps,
                    struct driver_staged *parent, const char *lower_id, struct driver_staged **ret,
                    cst_error **error)
{
	_cleanup_(overlay_stage_freep) struct driver_staged *s = NULL;

	s = new0(struct driver_staged, 1);
	if (!s)
		return error_oom(error);
	*s = (struct driver_staged){
	        .overlay = o, .home = home, .parent = parent, .dir_fd = -1, .diff_fd = -1};
	if (!idmaps_copy(&s->maps, maps) ||
	    (!isempty(lower_id) && !parent && !(s->lower_id = strdup(lower_id))))
		return error_oom(error);
	int r = 0;
	if (parent)
		s->temp = tempdir_share(parent->temp);
	else
		r = overlay_new_temp(o, home, &s->temp, error);
	if (r < 0)
		return r;
	s->number = parent ? parent->number + 1 : 0;
	if (s->number)
		snprintf(s->name, sizeof(s->name), STAGED_DIR "%u", s->number);
	else
		strcpy(s->name, STAGED_DIR);
	s->path = path_join3(s->temp->shown, s->temp->name, s->name);
	if (!s->path)
		return error_oom(error);
	*ret = steal_ptr(&s);
	return 0;
}

int overlay_stage(struct driver *d, const struct driver_stage_options *options,
                  struct driver_staged **ret, cst_error **error)
{
	_cleanup_(overlay_stage_freep) struct driver_staged *s = NULL;
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	struct overlay *o = overlay_of(d);
	int r = 0;
	if (options->writable && o->options.force_mask >= 0 && !o->program)
		r = error_set(error, CST_ENOTSUP,
		              "overlay: force_mask option for writeable layers is only supported "
		              "with a mount_program");
	if (r == 0 && options->staged_parent && reowns(options))
		r = error_set(error, CST_ENOTSUP,
		              "overlay: the layers of an image must have the same id maps");
	if (r == 0)
		r = overlay_dirs_open(o, &dirs, error);
	dirs.mends = true;
	if (r == 0)
		r = stage_in(o, options->writable ? 0 : o->read_only_home, options->maps,
		             options->staged_parent, options->parent, &s, error);
	if (r == 0)
		s->of_image = options->of_image;
	if (r == 0)
		r = fill(s, &dirs, options, error);
	if (r == 0)
		*ret = steal_ptr(&s);
	return r;
}

/* Opens a layer's own content, and tells in which home the layer is. `change`: only one that new content can come to. */
static int open_content(struct overlay *o, const char *id, bool change, size_t *ret_home,
                        int *ret_fd, cst_error **error)
{
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_close_ int layer_fd = -1;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, ret_home, &layer_fd, error);
	if (r == 0 && change)
		r = overlay_must_be_directory(o, &dirs, *ret_home, id, error);
	return r == 0 ? overlay_content_open_at(o, &dirs, *ret_home, id, ret_fd, error) : r;
}

int overlay_stage_copy(struct driver *d, const char *id, const struct idmaps *maps,
                       struct driver_staged **ret, cst_error **error)
{
	_cleanup_(overlay_stage_freep) struct driver_staged *s = NULL;
	_cleanup_close_ int diff_fd = -1;
	const struct root_attributes root = {.uid = geteuid(), .gid = getegid()};
	struct overlay *o = overlay_of(d);
	size_t home;
	int r = open_content(o, id, true, &home, &diff_fd, error);
	if (r == 0)
		r = stage_in(o, home, maps, NULL, id, &s, error);
	if (r == 0)
		r = overlay_make_dir(s->temp->fd, s->name, &root, 0700, &s->dir_fd, s->path, error);
	if (r == 0)
		r = note_inode(s, error);
	if (r == 0) /* or it could not be moved to where the old content is */
		r = quota_share(diff_fd, s->dir_fd, s->path, error);
	if (r == 0)
		r = overlay_make_dir(s->dir_fd, "diff", &root, 0700, &s->diff_fd, s->path, error);
	if (r == 0)
		r = copy_tree(diff_fd, s->diff_fd, &(struct copy_options){.sync = d->sync_content},
		              error);
	if (r == 0)
		*ret = steal_ptr(&s);
	return r;
}

int overlay_content_open(struct driver *d, const char *id, int *ret_fd, cst_error **error)
{
	size_t home;
	return open_content(overlay_of(d), id, false, &home, ret_fd, error);
}

int overlay_stage_in_place(struct driver *d, const char *id, const struct idmaps *maps,
                           struct driver_staged **ret, cst_error **error)
{
	_cleanup_(overlay_stage_freep) struct driver_staged *s = new0(struct driver_staged, 1);
	if (!s)
		return error_oom(error);
	*s = (struct driver_staged){.overlay = overlay_of(d), .dir_fd = -1, .diff_fd = -1};
	if (!idmaps_copy(&s->maps, maps))
		return error_oom(error);
	int r = open_content(s->overlay, id, true, &s->home, &s->diff_fd, error);
	if (r < 0)
		return r;
	s->path = path_join(s->overlay->homes[s->home].path, id);
	s->lower_id = strdup(id);
	if (!s->path || !s->lower_id)
		return error_oom(error);
	*ret = steal_ptr(&s);
	return 0;
}

/* An entry of the archive says how the root directory is. */
static int note_root(struct driver_staged *s, cst_error **error)
{
	s->root_named = true;
	return overlay_read_root(s->diff_fd, ".", &s->root, s->path, error);
}

static enum unpack_whiteouts whiteouts_of(const struct overlay *o)
{
	return o->base.marks_are_files ? UNPACK_WHITEOUT_KEEP : UNPACK_WHITEOUT_OVERLAY;
}

int overlay_stage_unpack(struct driver_staged *staged, const cst_source *source,
                         const struct driver_unpack_policy *policy, struct unpack_result *ret,
                         cst_error **error)
{
	const struct overlay *o = staged->overlay;
	struct unpack_options options = naive_unpack_options(policy, &staged->maps);
	options.whiteouts = whiteouts_of(o);
	options.userns = driver_is_rootless();
	options.ignore_chown_errors = o->options.ignore_chown_errors;
	options.force_mask = o->options.force_mask;
	options.in_use = !staged->temp;
	/* What becomes an object of composefs changes its attributes. */
	options.share_files = !options.in_use && !o->options.use_composefs;
	options.sync_later = staged->of_image;
	_cleanup_(overlay_below_free) struct overlay_below below;
	overlay_below_init(&below, staged, policy);
	options.below = &below.unpack;
	_cleanup_error_ cst_error *problem = NULL;
	int r = unpack_layer(staged->diff_fd, source, &options, ret, &problem);
	/* Why the lowers are not known says more than what became of it. */
	if (r < 0)
		r = error_propagate(error, steal_ptr(below.problem ? &below.problem : &problem));
	if (r == 0 && staged->of_image && ret->root_named)
		r = note_root(staged, error);
	return r;
}

int overlay_stage_open(struct driver_staged *staged, struct driver_filling *ret, cst_error **error)
{
	const struct overlay *o = staged->overlay;
	*ret = (struct driver_filling){.whiteouts = whiteouts_of(o),
	                               .force_mask = o->options.force_mask,
	                               .userns = driver_is_rootless(),
	                               .ignore_chown_errors = o->options.ignore_chown_errors};
	return naive_reopen(staged->diff_fd, &ret->fd, error);
}

/* ---- layers of an image ---- */

static bool same_root(const struct root_attributes *a, const struct root_attributes *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->mode == b->mode;
}

static int set_root(const struct driver_staged *s, const char *name,
                    const struct root_attributes *root, mode_t mode, cst_error **error)
{
	bool masked = s->overlay->options.force_mask >= 0, content = streq(name, "diff");
	_cleanup_free_ char *path = path_join(s->name, name);
	if (!path)
		return error_oom(error);
	_cleanup_close_ int fd =
	        openat(s->temp->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_sys(error, errno, "open %s/%s", s->path, name);
	if (masked)
		return content ? overlay_note_root(fd, root, s->path, error) : 0;
	if (sys_fchown(fd, root->uid, root->gid) < 0 || sys_fchmod(fd, mode) < 0)
		return error_sys(error, errno, "chown %s/%s", s->path, name);
	return 0;
}

/* The parent's root directory had other attributes when this layer was staged than its archive gave it. */
int overlay_stage_settle(struct driver_staged *s, cst_error **error)
{
	const struct root_attributes *root = s->parent ? &s->parent->root : &s->inherited;
	if (same_root(root, &s->inherited))
		return 0;
	int r = set_root(s, "work", root, 0700, error);
	if (r == 0)
		r = set_root(s, "merged", root, 0700, error);
	if (r < 0 || s->root_named)
		return r;
	r = set_root(s, "diff", root, root->mode, error);
	if (r == 0)
		s->root = *root;
	return r;
}

int overlay_stage_barrier(struct driver_staged *staged, int also_fd, cst_error **error)
{
	return naive_barrier(staged->temp, also_fd, error);
}

/* ---- which content ---- */

/* That of an image is that of the directory of its objects; where the content is in an additional layer store it is that of the
 * symlink. */
int overlay_content_identity(struct driver *d, const char *id, struct driver_identity *ret,
                             cst_error **error)
{
	const struct overlay *o = overlay_of(d);
	_cleanup_dirs_ struct overlay_dirs dirs = {0};
	_cleanup_close_ int layer_fd = -1, fd = -1;
	size_t home;
	int r = overlay_dirs_open(o, &dirs, error);
	if (r == 0)
		r = overlay_layer_open(o, &dirs, id, &home, &layer_fd, error);
	if (r < 0)
		return r;
	fd = openat(layer_fd, "diff", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? naive_identity(fd, ret, error)
	               : error_sys(error, errno, "open %s/%s/diff", o->homes[home].path, id);
}

int overlay_staged_identity(struct driver_staged *staged, struct driver_identity *ret,
                            cst_error **error)
{
	return naive_identity(staged->diff_fd, ret, error);
}

const char *overlay_staged_id(struct driver_staged *staged)
{
	return tempdir_number(staged->temp);
}

const char *overlay_stage_note(struct driver_staged *staged)
{
	return staged->link;
}
