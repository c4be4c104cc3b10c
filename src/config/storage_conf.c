/* SPDX-License-Identifier: Apache-2.0 */
/* Store options from the files and the environment (docs/format/config.md, "storage.conf"). */
#include "config/storage_conf.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/types.h"
#include <errno.h>
#include <sys/sysmacros.h>

/* ---- files ---- */

/* /dev/null is what users name to say "no configuration". Its number is Linux's (devices.txt). */
static bool is_null_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* A FIFO without a writer, or a device without an end, would make this process wait for ever. */
static int open_conf(const char *path, int *ret, cst_error **error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (fd < 0)
		return error_sys(error, errno, "open %s", path);
	if (fstat(fd, &st) < 0)
		return error_sys(error, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !is_null_device(&st))
		return error_set(error, CST_EINVAL,
		                 "read %s: not a regular file: copy what it gives into one", path);
	*ret = steal_fd(&fd);
	return 0;
}

static int read_conf(const char *path, char **data, size_t *len, cst_error **error)
{
	_cleanup_close_ int fd = -1;
	int code = open_conf(path, &fd, error);
	if (code == CST_ESYS)
		return code;
	if (code == 0)
		code = fs_read_fd(fd, path, TOML_MAX_SIZE, data, len, error);
	if (code < 0)
		error_prefix(error, code, "decode configuration \"%s\"", path);
	return code;
}

static int merge_file(struct settings *settings, const struct conf_source *source,
                      cst_error **error)
{
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_free_ char *data = NULL;
	size_t len = 0;
	struct toml_node *root = NULL;
	int code = read_conf(source->path, &data, &len, error);
	if (code < 0)
		return code;
	code = toml_parse(data, len, TOML_1_1, &arena, &root, error);
	if (code == 0)
		code = settings_merge(settings, root, source, error);
	if (code < 0)
		error_prefix(error, code, "decode configuration \"%s\"", source->path);
	return code;
}

static int merge_files(struct settings *settings, const struct conf_files *files, cst_error **error)
{
	int code = 0;
	for (size_t i = 0; code == 0 && i < files->len; i++)
		code = merge_file(settings, &files->items[i], error);
	return code;
}

/* ---- roots ---- */

static const char *text_of(const struct settings *settings, enum setting setting)
{
	return strempty(settings->texts[setting]);
}

/* Does this path mean root's store? It does if a file that everybody reads names one directory.
 * There the Go tools up to 1.62 gave a user the user's own paths, and later ones fail for every
 * user. A path with a variable in it is meant for users, and one that this user can write to
 * works. */
static bool is_for_root(const struct settings *settings, enum setting setting, uid_t user,
                        const char *path)
{
	const struct setting_origin *origin = &settings->origins[setting];
	if (user == 0 || settings->as_upstream || setting == SETTING_ROOTLESS_STORAGE_PATH ||
	    !origin->source->shared || strchr(text_of(settings, setting), '$') ||
	    config_can_write(path))
		return false;
	log_debug("%s:%u: %s %s is not used: user %u cannot write there", origin->source->path,
	          origin->line, setting_infos[setting].key, path, (unsigned)user);
	return true;
}

/* A path and where it comes from. */
struct place {
	char **path, **origin;
};

static char *set_in(const struct setting_origin *origin)
{
	char room[NUMBER_TEXT_MAX];
	return str_join("set in ", origin->source->path, ":", number_text(origin->line, room));
}

/* The path that a file sets. *place.path stays NULL if none does, or if the path means root's
 * store. */
static int set_place(struct place place, const struct settings *settings, enum setting setting,
                     uid_t user, cst_error **error)
{
	_cleanup_free_ char *path = NULL, *origin = NULL;
	const char *text = text_of(settings, setting);
	const struct setting_origin *from = &settings->origins[setting];
	if (!*text)
		return 0;
	origin = set_in(from);
	if (!origin)
		return error_oom(error);
	int code = config_expand_path(text, user, setting_infos[setting].key, &path, error);
	if (code < 0)
		return settings->as_upstream ? code : error_suffix(error, code, " (%s)", origin);
	if (is_for_root(settings, setting, user, path))
		return 0;
	*place.path = steal_ptr(&path);
	*place.origin = steal_ptr(&origin);
	return 0;
}

/* Root does not use rootless_storage_path: a file for everybody may set it beside root's graphroot.
 * Yet 1.64 warns of it. */
static void warn_of_both(const struct settings *settings, uid_t user)
{
	if (*text_of(settings, SETTING_ROOTLESS_STORAGE_PATH) &&
	    (user != 0 || settings->as_upstream))
		log_warning("Both rootless_storage_path and graphroot are set, using graphroot "
		            "setting only, rootless_storage_path is deprecated and should be "
		            "removed from the config");
}

/* The path if no file sets one. `name` is for messages. */
static int set_default_place(struct place place, const struct settings *settings, uid_t user,
                             const char *name, int (*find)(uid_t, char **, cst_error **),
                             const char *(*origin)(uid_t), cst_error **error)
{
	int code = find(user, place.path, error);
	if (code < 0)
		return settings->as_upstream
		               ? code
		               : error_suffix(error, code, " (the %s, %s)", name, origin(user));
	*place.origin = strdup(origin(user));
	return *place.origin ? 0 : error_oom(error);
}

static int set_graph_root(cst_config *config, const struct settings *settings, uid_t user,
                          cst_error **error)
{
	struct place place = {&config->graph_root, &config->graph_root_origin};
	int code = set_place(place, settings, SETTING_GRAPHROOT, user, error);
	if (code == 0 && config->graph_root)
		warn_of_both(settings, user);
	if (code == 0 && !config->graph_root && user != 0)
		code = set_place(place, settings, SETTING_ROOTLESS_STORAGE_PATH, user, error);
	if (code < 0 || config->graph_root)
		return code;
	return set_default_place(place, settings, user, "graph root", config_default_graph_root,
	                         config_default_graph_root_origin, error);
}

static int set_run_root(cst_config *config, const struct settings *settings, uid_t user,
                        cst_error **error)
{
	struct place place = {&config->run_root, &config->run_root_origin};
	int code = set_place(place, settings, SETTING_RUNROOT, user, error);
	if (code < 0 || config->run_root)
		return code;
	return set_default_place(place, settings, user, "run root", config_default_run_root,
	                         config_default_run_root_origin, error);
}

static bool same_directory(const char *a, const char *b)
{
	struct stat x, y;
	if (streq(a, b))
		return true;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int set_image_store(cst_config *config, const struct settings *settings, uid_t user,
                           cst_error **error)
{
	const char *text = text_of(settings, SETTING_IMAGESTORE);
	if (!*text)
		return 0;
	_cleanup_free_ char *path = config_expand(text, user);
	if (!path)
		return error_oom(error);
	if (is_for_root(settings, SETTING_IMAGESTORE, user, path))
		return 0;
	if (same_directory(path, config->graph_root))
		return error_set(error, CST_EINVAL,
		                 "imagestore %s must either be not set or be different than "
		                 "graphroot",
		                 path);
	config->image_store = steal_ptr(&path);
	return 0;
}

/* ---- driver and its options ---- */

static int set_driver(cst_config *config, const struct settings *settings, cst_error **error)
{
	const char *driver = getenv("STORAGE_DRIVER");
	if (isempty(driver))
		driver = text_of(settings, SETTING_DRIVER);
	if (streq(driver, "overlay2")) {
		log_warning("Switching default driver from overlay2 to the equivalent overlay "
		            "driver");
		driver = "overlay";
	}
	config->driver = strdup(driver);
	return config->driver ? 0 : error_oom(error);
}

static bool add_option(cst_config *config, const struct settings *settings, enum setting setting,
                       const char *value)
{
	return strv_take(&config->driver_options,
	                 str_join(setting_infos[setting].option, "=", value)) &&
	       strv_take(&config->driver_option_origins, set_in(&settings->origins[setting]));
}

static bool add_list(cst_config *config, const struct settings *settings, enum setting setting,
                     uid_t user)
{
	const struct strv *values = &settings->lists[setting];
	for (size_t i = 0; i < values->len; i++) {
		_cleanup_free_ char *value = config_expand(values->items[i], user);
		if (!value || !add_option(config, settings, setting, value))
			return false;
	}
	return true;
}

static int take_given_options(cst_config *config, const char *given, cst_error **error)
{
	bool ok = !*given || strv_split(&config->driver_options, given, ',');
	for (size_t i = 0; ok && i < config->driver_options.len; i++)
		ok = strv_add(&config->driver_option_origins, "from $STORAGE_OPTS");
	return ok ? 0 : error_oom(error);
}

/* The list. STORAGE_OPTS replaces it as a whole. */
static int set_driver_options(cst_config *config, const struct settings *settings, uid_t user,
                              cst_error **error)
{
	const char *given = getenv("STORAGE_OPTS");
	if (given)
		return take_given_options(config, given, error);
	bool ok = true;
	for (enum setting i = SETTING_DRIVER_OPTIONS; ok && i < SETTING_COUNT; i++) {
		if (setting_infos[i].kind == SETTING_LIST)
			ok = add_list(config, settings, i, user);
		else if (!isempty(settings->texts[i]))
			ok = add_option(config, settings, i, settings->texts[i]);
	}
	return ok ? 0 : error_oom(error);
}

const char *config_driver_option_origin(const cst_store_options *options, size_t index)
{
	const cst_config *config = options->config;
	bool configured = config && options->driver_options == config->options.driver_options;
	return configured && !options->as_upstream ? config->driver_option_origins.items[index]
	                                           : NULL;
}

/* ---- all of it ---- */

static uint32_t number_of(const struct settings *settings, enum setting setting)
{
	uint64_t number = 0;
	(void)parse_u64(text_of(settings, setting), UINT32_MAX, &number); /* "" leaves it 0 */
	return (uint32_t)number;
}

static bool is_true(const struct settings *settings, enum setting setting)
{
	return streq(text_of(settings, setting), "true");
}

/* Compares "key=value" by key only: as whole strings "a-b=" would come before "a=". */
static int compare_pairs(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	size_t n = strcspn(x, "="), m = strcspn(y, "=");
	int order = memcmp(x, y, MIN(n, m));
	return order ? order : (n > m) - (n < m);
}

static int fill_config(cst_config *config, struct settings *settings, uid_t user, cst_error **error)
{
	int code = set_graph_root(config, settings, user, error);
	if (code == 0)
		code = set_run_root(config, settings, user, error);
	if (code == 0)
		code = set_image_store(config, settings, user, error);
	if (code == 0)
		code = set_driver(config, settings, error);
	if (code == 0)
		code = set_driver_options(config, settings, user, error);
	if (code < 0)
		return code;
	config->driver_priority = settings->lists[SETTING_DRIVER_PRIORITY];
	settings->lists[SETTING_DRIVER_PRIORITY] = (struct strv){0};
	config->pull_options = settings->pull_options;
	settings->pull_options = (struct strv){0};
	if (config->pull_options.len > 1)
		qsort(config->pull_options.items, config->pull_options.len, sizeof(char *),
		      compare_pairs);
	config->root_auto_userns_user = steal_ptr(&settings->texts[SETTING_ROOT_AUTO_USERNS_USER]);
	return 0;
}

/* Fills the public view, which borrows everything from the configuration. */
static void fill_options(cst_config *config, const struct settings *settings)
{
	config->options = (cst_store_options){
	        .size = sizeof(config->options),
	        .graph_root = config->graph_root,
	        .run_root = config->run_root,
	        .image_store = config->image_store,
	        .driver = config->driver,
	        .driver_priority = (const char *const *)config->driver_priority.items,
	        .n_driver_priority = config->driver_priority.len,
	        .driver_options = (const char *const *)config->driver_options.items,
	        .n_driver_options = config->driver_options.len,
	        .root_auto_userns_user = config->root_auto_userns_user,
	        .auto_userns_min_size = number_of(settings, SETTING_AUTO_USERNS_MIN_SIZE),
	        .auto_userns_max_size = number_of(settings, SETTING_AUTO_USERNS_MAX_SIZE),
	        .pull_options = (const char *const *)config->pull_options.items,
	        .n_pull_options = config->pull_options.len,
	        .has_pull_options = settings->has_pull_options,
	        .disable_volatile = is_true(settings, SETTING_DISABLE_VOLATILE),
	        .transient_store = is_true(settings, SETTING_TRANSIENT_STORE),
	        .graph_root_origin = settings->as_upstream ? NULL : config->graph_root_origin,
	        .run_root_origin = settings->as_upstream ? NULL : config->run_root_origin,
	        .general_driver_options = !settings->as_upstream && !getenv("STORAGE_OPTS"),
	        .as_upstream = settings->as_upstream,
	};
}

DEFINE_CLEANUP(cst_config *, cst_config_free)

static int load(const char *file, bool as_upstream, cst_config **config, cst_error **error)
{
	_cleanup_(conf_files_free) struct conf_files files = {0};
	_cleanup_settings_ struct settings settings = {.as_upstream = as_upstream};
	_cleanup_(cst_config_freep) cst_config *loaded = new0(cst_config, 1);
	uid_t user = config_user();
	if (!loaded)
		return error_oom(error);
	int code = config_find_files(file, user, &files, error);
	if (code == 0)
		code = merge_files(&settings, &files, error);
	if (code == 0)
		code = fill_config(loaded, &settings, user, error);
	if (code < 0)
		return code;
	fill_options(loaded, &settings);
	*config = steal_ptr(&loaded);
	return 0;
}

int cst_config_load(const char *file, cst_config **config, cst_error **error)
{
	return load(file, false, config, error);
}

int cst_config_load_as_upstream(const char *file, cst_config **config, cst_error **error)
{
	return load(file, true, config, error);
}

int cst_config_options(const cst_config *config, cst_store_options *options, cst_error **error)
{
	int r = result_check(options, "cst_store_options", error);
	if (r < 0)
		return r;
	cst_store_options all = config->options;
	all.config = config;
	result_give(options, &all, sizeof(all));
	return 0;
}

int store_options_take(cst_store_options *ret, const cst_store_options *given, cst_error **error)
{
	int r = options_take(ret, sizeof(*ret), given, "cst_store_options", error);
	if (r == 0 && given && ret->config && given->size < sizeof(*ret))
		memcpy((char *)ret + given->size, (const char *)&ret->config->options + given->size,
		       sizeof(*ret) - given->size);
	return r;
}

void cst_config_free(cst_config *config)
{
	if (!config)
		return;
	free(config->graph_root);
	free(config->run_root);
	free(config->image_store);
	free(config->graph_root_origin);
	free(config->run_root_origin);
	free(config->driver);
	free(config->root_auto_userns_user);
	strv_free(&config->driver_priority);
	strv_free(&config->driver_options);
	strv_free(&config->driver_option_origins);
	strv_free(&config->pull_options);
	free(config);
}
