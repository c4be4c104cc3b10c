/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the driver's options. The messages are those of the Go tools (docs/format/drivers.md, "Options"). */
#include "base/fs.h"
#include "config/size.h"
#include "driver/backing.h"
#include "driver/option.h"
#include "driver/overlay/overlay.h"
#include "driver/rootless.h"
#include <errno.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct parser { /* with what is checked once all options are read */
	struct overlay_options *options;
	const char *graph_root;
	bool as_upstream, composefs;
};

static int option_image_store(struct parser *p, const char *value, cst_error **error)
{
	_cleanup_strv_ struct strv paths = {0};

	if (isempty(value))
		return 0;
	if (!strv_split(&paths, value, ','))
		return error_oom(error);
	for (size_t i = 0; i < paths.len; i++) {
		_cleanup_free_ char *path = path_clean(paths.items[i]);
		struct stat st;

		if (!path)
			return error_oom(error);
		if (*path != '/')
			return error_set(
			        error, CST_EINVAL,
			        "overlay: image path \"%s\" is not absolute.  Can not be relative",
			        path);
		if (stat(path, &st) < 0)
			return error_sys(error, errno,
			                 "overlay: can't stat imageStore dir %s: stat %s", path,
			                 path);
		if (!S_ISDIR(st.st_mode))
			return error_set(error, CST_EINVAL,
			                 "overlay: image path \"%s\" must be a directory", path);
		if (!strv_add(&p->options->image_stores, path))
			return error_oom(error);
	}
	return 0;
}

/* One additional layer store: path[:ref]. */
static int add_layer_store(struct overlay_options *options, const char *text, cst_error **error)
{
	_cleanup_strv_ struct strv parts = {0};
	_cleanup_free_ char *path = NULL;
	bool with_reference = false;

	if (!strv_split(&parts, text, ':'))
		return error_oom(error);
	path = path_clean(parts.items[0]);
	if (!path)
		return error_oom(error);
	if (*path != '/')
		return error_set(error, CST_EINVAL,
		                 "overlay: additionallayerstore path \"%s\" is not absolute.  Can "
		                 "not be relative",
		                 path);
	_cleanup_free_ char *itself = str_join(path, "/", ".");
	_cleanup_close_ int fd = -1;
	if (!itself)
		return error_oom(error);
	int errnum = overlay_ask(OVERLAY_ASK_OPEN, itself, O_PATH | O_DIRECTORY, &fd, NULL);
	if (errnum && errnum != ENOTDIR)
		return error_sys(error, errnum,
		                 "overlay: can't stat additionallayerstore dir: stat %s", path);
	if (errnum)
		return error_set(error, CST_EINVAL,
		                 "overlay: additionallayerstore path \"%s\" must be a directory",
		                 path);
	for (size_t i = 1; i < parts.len; i++) {
		if (!streq(parts.items[i], "ref"))
			return error_set(error, CST_EINVAL,
			                 "overlay: additionallayerstore config \"%s\" contains "
			                 "unknown option \"%s\"",
			                 path, parts.items[i]);
		if (with_reference)
			return error_set(error, CST_EINVAL,
			                 "overlay: additionallayerstore config of \"%s\" contains "
			                 "\"ref\" option twice",
			                 path);
		with_reference = true;
	}
	struct overlay_layer_store *stores =
	        grow_array(options->layer_stores, &options->layer_stores_capacity,
	                   options->n_layer_stores + 1, sizeof(*stores));
	if (!stores)
		return error_oom(error);
	options->layer_stores = stores;
	stores[options->n_layer_stores++] = (struct overlay_layer_store){
	        .path = steal_ptr(&path), .with_reference = with_reference};
	return 0;
}

static int option_layer_store(struct parser *p, const char *value, cst_error **error)
{
	_cleanup_strv_ struct strv stores = {0};
	int r = 0;

	if (isempty(value))
		return 0;
	if (!strv_split(&stores, value, ','))
		return error_oom(error);
	for (size_t i = 0; r == 0 && i < stores.len; i++)
		r = add_layer_store(p->options, stores.items[i], error);
	return r;
}

static int option_mount_program(struct parser *p, const char *value, cst_error **error)
{
	free(steal_ptr(&p->options->mount_program));
	if (isempty(value))
		return 0;
	if (faccessat(AT_FDCWD, value, F_OK, 0) < 0)
		return error_sys(error, errno, "overlay: can't stat program \"%s\": faccessat %s",
		                 value, value);
	p->options->mount_program = strdup(value);
	return p->options->mount_program ? 0 : error_oom(error);
}

static int option_mountopt(struct parser *p, const char *value, cst_error **error)
{
	_cleanup_mount_options_ struct mount_options words = {0};
	int r = mount_options_add(&words, value, error);
	if (r < 0)
		return error_prefix(error, r, "overlay.mountopt");
	char *copy = strdup(value);

	if (!copy)
		return error_oom(error);
	free(p->options->mount_options);
	p->options->mount_options = copy;
	return 0;
}

static int option_size(struct parser *p, const char *value, cst_error **error)
{
	return size_parse(value, &p->options->quota.bytes, error);
}

static int option_inodes(struct parser *p, const char *value, cst_error **error)
{
	return driver_parse_number("ParseUint", value, 10, UINT64_MAX, &p->options->quota.inodes,
	                           error);
}

static int option_force_mask(struct parser *p, const char *value, cst_error **error)
{
	uint64_t mask = streq(value, "shared") ? 0755 : 0700;
	int r = 0;

	if (!streq(value, "shared") && !streq(value, "private"))
		r = driver_parse_number("ParseInt", value, 8, UINT32_MAX, &mask, error);
	if (r == 0)
		p->options->force_mask = (int)(mask & 07777);
	return r;
}

static int option_sync(struct parser *p, const char *value, cst_error **error)
{
	bool none = strcasecmp(value, "none") == 0;

	if (!none && *value && strcasecmp(value, "filesystem") != 0)
		return error_set(error, CST_EINVAL,
		                 "invalid sync mode for overlay driver: invalid sync mode: \"%s\"",
		                 value);
	p->options->no_sync = none;
	return 0;
}

static int option_skip_mount_home(struct parser *p, const char *value, cst_error **error)
{
	return driver_parse_bool(value, &p->options->skip_mount_home, error);
}

static int option_ignore_chown_errors(struct parser *p, const char *value, cst_error **error)
{
	return driver_parse_bool(value, &p->options->ignore_chown_errors, error);
}

static int option_use_composefs(struct parser *p, const char *value, cst_error **error)
{
	return driver_parse_bool(value, &p->options->use_composefs, error);
}

/* No Go tool knows it. */
static int option_fs_verity(struct parser *p, const char *value, cst_error **error)
{
	static const char *const words[] = {[OVERLAY_VERITY_TRY] = "try",
	                                    [OVERLAY_VERITY_OFF] = "off",
	                                    [OVERLAY_VERITY_REQUIRE] = "require"};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (streq(value, words[i])) {
			p->options->verity = (enum overlay_verity)i;
			return 0;
		}
	}
	return error_set(error, CST_EINVAL,
	                 "overlay: fs_verity is \"%s\", and must be \"off\", \"try\" or "
	                 "\"require\"",
	                 value);
}

static int option_ignored(struct parser *p, const char *value, cst_error **error)
{
	return 0;
}

static const struct {
	const char *key;
	int (*parse)(struct parser *p, const char *value, cst_error **error);
	const char *told; /* its name in debug lines; NULL: they do not have it */
} known[] = {
        {"additionalimagestore", option_image_store, "imagestore"},
        {"additionallayerstore", option_layer_store, "additionallayerstore"},
        {"force_mask", option_force_mask, "force_mask"},
        {"fs_verity", option_fs_verity, NULL},
        {"ignore_chown_errors", option_ignore_chown_errors, "ignore_chown_errors"},
        {"imagestore", option_image_store, "imagestore"},
        {"inodes", option_inodes, "inodes"},
        {"mount_program", option_mount_program, "mount_program"},
        {"mountopt", option_mountopt, NULL},
        {"override_kernel_check", option_ignored, NULL},
        {"size", option_size, "size"},
        {"skip_mount_home", option_skip_mount_home, "skip_mount_home"},
        {"sync", option_sync, "sync"},
        {"use_composefs", option_use_composefs, "use_composefs"},
};

static int note_told(struct parser *p, const char *key, const char *value, cst_error **error)
{
	_cleanup_free_ char *text = str_join(key, "=", value);

	return text && strv_add(&p->options->told, text) ? 0 : error_oom(error);
}

static int parse_option(struct parser *p, const char *name, const char *option, cst_error **error)
{
	_cleanup_free_ char *key = NULL, *value = NULL;
	bool skip = false;
	int r = driver_parse_option(name, option, &key, &value, &skip, error);
	if (r < 0 || skip)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!streq(known[i].key, key) ||
		    (p->as_upstream && known[i].parse == option_fs_verity))
			continue;
		r = known[i].parse(p, value, error);
		return r < 0 || !known[i].told ? r : note_told(p, known[i].told, value, error);
	}
	return error_set(error, CST_EINVAL, "unknown option \"%s\" (\"%s\")", key, option);
}

static int check_supported(const struct parser *p, cst_error **error)
{
	const struct driver_quota *quota = &p->options->quota;
	uint32_t magic = 0;

	if (p->options->use_composefs && driver_is_rootless())
		return error_set(error, CST_ENOTSUP,
		                 "composefs is not supported in user namespaces");
	if (!quota->bytes && !quota->inodes)
		return 0;
	int r = backing_magic(p->graph_root, &magic, error);
	if (r < 0)
		return r;
	if (magic != BACKING_XFS && (p->as_upstream || magic != BACKING_EXT4))
		return error_set(error, CST_EINVAL,
		                 "storage option overlay.size and overlay.inodes only supported "
		                 "for backingFS XFS. Found %s",
		                 backing_name(magic));
	return 0;
}

int overlay_options_parse(const struct driver_config *config, const char *name,
                          struct overlay_options *ret, cst_error **error)
{
	_cleanup_(overlay_options_free) struct overlay_options options = {.force_mask = -1};
	struct parser parser = {.options = &options,
	                        .graph_root = config->graph_root,
	                        .as_upstream = config->as_upstream};
	int r = 0;

	for (size_t i = 0; r == 0 && i < config->n_options; i++)
		r = parse_option(&parser, name, config->options[i], error);
	if (r == 0)
		r = check_supported(&parser, error);
	if (r < 0)
		return r;
	*ret = options;
	options = (struct overlay_options){0};
	return 0;
}

void overlay_options_free(struct overlay_options *options)
{
	free(steal_ptr(&options->mount_options));
	free(steal_ptr(&options->mount_program));
	strv_free(&options->image_stores);
	for (size_t i = 0; i < options->n_layer_stores; i++)
		free(options->layer_stores[i].path);
	free(steal_ptr(&options->layer_stores));
	strv_free(&options->told);
}
