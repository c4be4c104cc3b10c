/* SPDX-License-Identifier: Apache-2.0 */
/* Finds which store to open, from the options and the configuration (docs/format/config.md,
 * "CLI"). */
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes a path absolute and cleans it as text, as Go does. "" stays "". */
static char *absolute_path(const char *path)
{
	if (!path || !path[0])
		return strdup("");
	_cleanup_text_ char *here = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	if (!here)
		return NULL;
	size_t room = strlen(here) + 1 + strlen(path) + 1;
	_cleanup_text_ char *joined = malloc(room);
	char *clean = malloc(room), *end = clean;
	if (!joined || !clean) {
		free(clean);
		return NULL;
	}
	stpcpy(stpcpy(stpcpy(joined, here), "/"), path);
	for (char *next = joined, *part; (part = strsep(&next, "/"));) {
		if (!part[0] || strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			while (end > clean && *--end != '/')
				;
			continue;
		}
		*end++ = '/';
		end = stpcpy(end, part);
	}
	if (end == clean)
		*end++ = '/';
	*end = '\0';
	return clean;
}

/* If none of these is in front of the verb, the configuration replaces all store options. */
static bool names_a_store(const struct option_value *values)
{
	return values[OPT_GRAPH].text[0] || values[OPT_RUN].text[0] ||
	       values[OPT_STORAGE_DRIVER].text[0] || values[OPT_STORAGE_OPT].n_items > 0;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

int load_config(const struct invocation *in, const char *file, cst_config **config,
                cst_error **error)
{
	return in->personality == GO_STYLE ? cst_config_load_as_upstream(file, config, error)
	                                   : cst_config_load(file, config, error);
}

/* The options behind the verb, and the defaults in its help, start with the values of the
 * configuration. Errors in it are reported later, when the store is opened. */
void go_configured_defaults(struct invocation *in)
{
	struct option_value *values = in->options.values;
	if (names_a_store(values) || load_config(in, NULL, &in->config, NULL) < 0)
		return;
	cst_store_options configured = CST_STORE_OPTIONS_INIT;
	const cst_store_options *options = &configured;
	if (cst_config_options(in->config, &configured, NULL) < 0)
		return;
	values[OPT_GRAPH].text = or_empty(options->graph_root);
	values[OPT_RUN].text = or_empty(options->run_root);
	values[OPT_STORAGE_DRIVER].text = or_empty(options->driver);
	/* The Go tool loses these two if they are in front of the verb; here they count. */
	if (!values[OPT_IMAGE_STORE].given)
		values[OPT_IMAGE_STORE].text = or_empty(options->image_store);
	if (!values[OPT_TRANSIENT_STORE].given)
		values[OPT_TRANSIENT_STORE].on = options->transient_store;
	for (size_t i = 0; i < options->n_driver_options; i++)
		(void)option_append(&values[OPT_STORAGE_OPT], options->driver_options[i]);
}

static int set_roots(struct invocation *in, const char *graph_root, const char *run_root,
                     cst_error **error)
{
	in->graph_root = absolute_path(graph_root);
	in->run_root = absolute_path(run_root);
	if (!in->graph_root || !in->run_root)
		return cst_error_set(error, CST_ENOMEM, 0, "cannot find the store's directories");
	in->store_options.graph_root = in->graph_root;
	in->store_options.run_root = in->run_root;
	return 0;
}

/* containers-storage begins its log with what was asked for, the files that it read, and the
 * driver. */
static void log_store_options(const struct invocation *in, bool configured)
{
	const cst_store_options *options = &in->store_options;
	const struct option_value *values = in->options.values;
	bool as_given = in->personality == GO_STYLE;
	_cleanup_text_ char *list = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&list, &size);
	if (!to)
		return;
	for (size_t i = 0; i < options->n_driver_options; i++)
		fprintf(to, "%s%s", i ? " " : "", options->driver_options[i]);
	fclose(to);
	debug_line("Root: %s", as_given && !values[OPT_GRAPH].text[0] ? "" : options->graph_root);
	debug_line("Run Root: %s", as_given && !values[OPT_RUN].text[0] ? "" : options->run_root);
	debug_line("Driver Name: %s", or_empty(options->driver));
	debug_line("Driver Options: [%s]", list ? list : "");
	const char *const files[] = {getenv("CONTAINERS_STORAGE_CONF"),
	                             getenv("CONTAINERS_STORAGE_CONF_OVERRIDE")};
	for (size_t i = 0; i < 2 && as_given && !configured; i++)
		if (files[i] && files[i][0])
			debug_line("Read config file \"%s\"", files[i]);
	if (as_given && options->driver && options->driver[0])
		debug_line("[graphdriver] trying provided driver \"%s\"", options->driver);
	if (options->read_only)
		debug_line("The store is only read");
}

/* Is it on a medium that cannot be written, or another user's? */
static bool cannot_write(const char *root)
{
	return faccessat(AT_FDCWD, root, W_OK, AT_EACCESS) < 0 &&
	       (errno == EROFS || errno == EACCES);
}

/* It is there but cannot be written. */
static bool only_readable(const char *root)
{
	return faccessat(AT_FDCWD, root, R_OK | X_OK, AT_EACCESS) == 0 && cannot_write(root);
}

/* Is vfs the only driver that has been in this root? */
static bool only_vfs_is_there(const char *root)
{
	static const char *const others[] = {"overlay", "overlay2", "btrfs", "zfs"};
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool only = fd >= 0 && faccessat(fd, "vfs", F_OK, 0) == 0;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		only = only && faccessat(fd, others[i], F_OK, 0) < 0;
	if (fd >= 0)
		close(fd);
	return only;
}

/* cstorage only reads a store that it cannot write. containers-storage ignores a store of vfs if no
 * driver is named, and makes one of another driver; after that it cannot tell which one to use. So
 * a verb that reads must not make one. */
static bool only_reads(const struct invocation *in)
{
	const char *driver = in->store_options.driver;
	if (in->personality == GNU_STYLE)
		return is_on(in, OPT_READ_ONLY_STORE) || only_readable(in->graph_root);
	return in->command->flags & COMMAND_READS && !or_empty(driver)[0] &&
	       only_vfs_is_there(in->graph_root) && !cannot_write(in->graph_root) &&
	       !cannot_write(in->run_root);
}

/* Sets where the roots come from, for the library's messages. containers-storage does not say
 * it. */
static void set_origins(struct invocation *in, const cst_store_options *configured)
{
	const struct option_value *values = in->options.values;
	cst_store_options *options = &in->store_options;
	if (in->personality == GO_STYLE)
		return;
	options->graph_root_origin =
	        values[OPT_GRAPH].text[0] ? "given with --graph" : configured->graph_root_origin;
	options->run_root_origin =
	        values[OPT_RUN].text[0] ? "given with --run" : configured->run_root_origin;
}

/* In containers-storage, `before` has the options in front of the verb, and the current values
 * began as a copy of those or of the configuration. In cstorage it is NULL: the place of an option
 * does not matter. */
int prepare_store_options(struct invocation *in, const struct option_value *before,
                          cst_error **error)
{
	const struct option_value *values = in->options.values;
	/* The configuration is always read, since a broken one is an error. */
	bool configured_before = in->config != NULL;
	if (!in->config) {
		int result = load_config(in, NULL, &in->config, error);
		if (result < 0)
			return result;
	}
	cst_store_options from_file = CST_STORE_OPTIONS_INIT;
	const cst_store_options *configured = &from_file;
	int result = cst_config_options(in->config, &from_file, error);
	if (result < 0)
		return result;
	bool own_store = names_a_store(before ? before : values);
	in->store_options = own_store ? (cst_store_options)CST_STORE_OPTIONS_INIT : *configured;
	const char *graph_root = values[OPT_GRAPH].text, *run_root = values[OPT_RUN].text;
	if (!graph_root[0] && (!before || run_root[0] || !own_store))
		graph_root = or_empty(configured->graph_root);
	if (!run_root[0] && (!before || graph_root[0] || !own_store))
		run_root = or_empty(configured->run_root);
	result = set_roots(in, graph_root, run_root, error);
	if (result < 0)
		return result;
	if (values[OPT_IMAGE_STORE].text[0])
		in->store_options.image_store = values[OPT_IMAGE_STORE].text;
	if (values[OPT_STORAGE_DRIVER].text[0])
		in->store_options.driver = values[OPT_STORAGE_DRIVER].text;
	if (values[OPT_TRANSIENT_STORE].given)
		in->store_options.transient_store = values[OPT_TRANSIENT_STORE].on;
	if (before || own_store) {
		in->store_options.driver_options = values[OPT_STORAGE_OPT].items;
		in->store_options.n_driver_options = values[OPT_STORAGE_OPT].n_items;
	}
	in->store_options.as_upstream = in->personality == GO_STYLE;
	set_origins(in, configured);
	in->store_options.read_only = only_reads(in);
	watch_lock_waits(in);
	if (is_on(in, OPT_DEBUG)) {
		set_log_level(CST_LOG_DEBUG);
		log_store_options(in, configured_before);
	}
	return 0;
}

/* Do the Go tools assume that this process is in a user namespace (docs/format/config.md, "Rootless
 * defaults")? */
bool is_rootless(void)
{
	const char *uid = getenv("_CONTAINERS_ROOTLESS_UID");
	if (geteuid() != 0 || getenv("_CONTAINERS_USERNS_CONFIGURED"))
		return true;
	return uid && uid[0] && strcmp(uid, "0") != 0;
}
