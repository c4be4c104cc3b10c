/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that the library has and the command has not, for the crash tests; options as the
 * command's:
 *
 *   operation OPTION... [--read-only] image ID NAME LAYER FILE...
 *   operation OPTION... [--read-only] container ID NAME IMAGE FILE...
 *       makes an image or a container whose data items are the files, in one call, and prints its
 * ID operation OPTION... volatile-layer ID NAME PARENT ARCHIVE     prints its ID operation
 * OPTION... mount-image IMAGE operation OPTION... unmount-image IMAGE operation OPTION... file
 * image|container ID directory|run-directory PATH FILE operation OPTION... read reads all there is:
 * records, data items, layers operation OPTION... refuse IMAGE CONTAINER LAYER OTHER-LAYER tries
 * every change there is; succeeds if each is refused because the store is read-only
 *   operation OPTION... stage ID|-|keep|keep-for LAYER ARCHIVE FILE    stages a layer, which is committed or kept
 *   operation OPTION... adopt ID|-                                     commits what is kept
 *   operation OPTION... put-additional ID PARENT DIGEST                a layer of an additional layer store
 *   operation OPTION... discard                                        removes what is kept
 *   operation OPTION... answers WORD...                                prints what the store answers to every look-up
 */
#include "answers.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ITEMS 16

static cst_data_item items[MAX_ITEMS];
static size_t n_items;

static int failed(const char *what)
{
	perror(what);
	return -1;
}

static int read_item(const char *path)
{
	const char *slash = strrchr(path, '/');
	FILE *file = fopen(path, "re");
	size_t room = 1 << 20;
	char *data = malloc(room);

	if (!file || !data || n_items == MAX_ITEMS)
		return failed(path);
	items[n_items].key = slash ? slash + 1 : path;
	items[n_items].data = data;
	items[n_items].data_size = fread(data, 1, room, file);
	n_items++;
	fclose(file);
	return 0;
}

static int read_items(char **paths)
{
	for (; *paths; paths++)
		if (read_item(*paths) < 0)
			return -1;
	return 0;
}

/* ---- verbs ---- */

static int make_image(cst_store *store, char **argv, cst_error **error)
{
	const char *names[] = {argv[1]};
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	int r;

	if (read_items(argv + 3) < 0)
		return -1;
	options.id = argv[0];
	options.names = names;
	options.n_names = 1;
	options.layer = argv[2];
	options.data = items;
	options.n_data = n_items;
	r = cst_store_create_image(store, &options, NULL, error);
	if (r == 0)
		puts(argv[0]);
	return r;
}

static int make_container(cst_store *store, char **argv, cst_error **error)
{
	const char *names[] = {argv[1]};
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	int r;

	if (read_items(argv + 3) < 0)
		return -1;
	options.id = argv[0];
	options.names = names;
	options.n_names = 1;
	options.image = argv[2];
	options.data = items;
	options.n_data = n_items;
	r = cst_store_create_container(store, &options, NULL, error);
	if (r == 0)
		puts(argv[0]);
	return r;
}

static int make_volatile_layer(cst_store *store, char **argv, cst_error **error)
{
	const char *names[] = {argv[1]};
	cst_layer_options options = CST_LAYER_OPTIONS_INIT;
	FILE *archive = fopen(argv[3], "re");
	int r;

	if (!archive)
		return failed(argv[3]);
	cst_source source = cst_source_fd(fileno(archive));
	options.id = argv[0];
	options.names = names;
	options.n_names = 1;
	options.parent = argv[2];
	options.is_volatile = true;
	r = cst_store_create_layer(store, &options, &source, NULL, error);
	fclose(archive);
	if (r == 0)
		puts(argv[0]);
	return r;
}

static int mount_image(cst_store *store, char **argv, cst_error **error)
{
	char *path = NULL;
	int r = cst_store_mount_image(store, argv[0], NULL, &path, error);

	cst_free(path);
	return r;
}

static int unmount_image(cst_store *store, char **argv, cst_error **error)
{
	return cst_store_unmount_image(store, argv[0], false, NULL, error);
}

static int write_file(cst_store *store, char **argv, cst_error **error)
{
	enum cst_kind kind = strcmp(argv[0], "image") == 0 ? CST_KIND_IMAGE : CST_KIND_CONTAINER;
	enum cst_directory directory =
	        strcmp(argv[2], "directory") == 0 ? CST_DIRECTORY : CST_RUN_DIRECTORY;

	if (read_item(argv[4]) < 0)
		return -1;
	return cst_store_set_directory_file(store, kind, argv[1], directory, argv[3], items[0].data,
	                                    items[0].data_size, error);
}

/* ---- a store that is only read ---- */

static int discard(void *userdata, const void *data, size_t size, cst_error **error)
{
	(void)userdata, (void)data, (void)size, (void)error;
	return 0;
}

static int read_data(cst_store *store, enum cst_kind kind, const char *id, cst_error **error)
{
	cst_strings *names = NULL;
	int r = cst_store_data_names(store, kind, id, &names, error);

	for (size_t i = 0; r == 0 && i < cst_strings_size(names); i++) {
		void *data = NULL;
		size_t size;

		r = cst_store_data(store, kind, id, cst_strings_get(names, i), &data, &size, error);
		cst_free(data);
	}
	cst_strings_free(names);
	return r;
}

static int read_layer(cst_store *store, const cst_layer *layer, cst_error **error)
{
	const cst_sink sink = {.write = discard};
	int r = read_data(store, CST_KIND_LAYER, cst_layer_id(layer), error);

	return r == 0 ? cst_store_diff(store, NULL, cst_layer_id(layer), NULL, &sink, error) : r;
}

static int read_all(cst_store *store, char **argv, cst_error **error)
{
	cst_layer_list *layers = NULL;
	cst_image_list *images = NULL;
	cst_container_list *containers = NULL;
	int r = cst_store_snapshot(store, &layers, &images, &containers, error);

	(void)argv;
	for (size_t i = 0; r == 0 && i < cst_layer_list_size(layers); i++)
		r = read_layer(store, cst_layer_list_get(layers, i), error);
	for (size_t i = 0; r == 0 && i < cst_image_list_size(images); i++)
		r = read_data(store, CST_KIND_IMAGE, cst_image_id(cst_image_list_get(images, i)),
		              error);
	for (size_t i = 0; r == 0 && i < cst_container_list_size(containers); i++)
		r = read_data(store, CST_KIND_CONTAINER,
		              cst_container_id(cst_container_list_get(containers, i)), error);
	cst_layer_list_free(layers);
	cst_image_list_free(images);
	cst_container_list_free(containers);
	return r;
}

/* What was made just now is old enough. */
static int prune(cst_store *store, char **argv, cst_error **error)
{
	cst_prune_options options = CST_PRUNE_OPTIONS_INIT;

	(void)argv;
	options.images = true;
	options.older_than = -INT64_C(3600000000000);
	return cst_store_prune(store, &options, NULL, error);
}

/* With so few files in memory that the layers are walked through several times. */
static int dedup(cst_store *store, char **argv, cst_error **error)
{
	cst_dedup_options options = CST_DEDUP_OPTIONS_INIT;
	cst_dedup_result result = CST_DEDUP_RESULT_INIT;

	options.files_at_once = (size_t)atoi(argv[0]);
	int r = cst_store_dedup(store, &options, &result, error);
	if (r == 0)
		printf("%llu %llu\n", (unsigned long long)result.files,
		       (unsigned long long)result.equal);
	return r;
}

static int repair(cst_store *store, char **argv, cst_error **error)
{
	cst_check_options options = CST_CHECK_OPTIONS_INIT;
	cst_findings *findings = NULL;

	(void)argv;
	options.parts = CST_CHECK_DATA;
	options.unreferenced_age = -INT64_C(3600000000000);
	int r = cst_store_check(store, &options, &findings, error);
	if (r == 0)
		r = cst_store_repair(store, findings, NULL, NULL, error);
	cst_findings_free(findings);
	return r;
}

/* Mends the content of layers from a place, or without one; a step that failed is a failure. */
static int repair_from(cst_store *store, char **argv, cst_error **error)
{
	cst_check_options options = CST_CHECK_OPTIONS_INIT;
	cst_repair_options repair_options = CST_REPAIR_OPTIONS_INIT;
	cst_findings *findings = NULL;
	cst_repairs *repairs = NULL;
	const char *place = argv[0];

	repair_options.from = &place;
	repair_options.n_from = *place ? 1 : 0;
	int r = cst_store_check(store, &options, &findings, error);
	if (r == 0)
		r = cst_store_repair(store, findings, &repair_options, &repairs, error);
	for (size_t i = 0; r == 0 && i < cst_repairs_size(repairs); i++) {
		if (cst_repairs_action(repairs, i) != CST_REPAIR_MENDED)
			r = cst_error_set(error, CST_ECORRUPT, 0, cst_repairs_message(repairs, i));
	}
	cst_repairs_free(repairs);
	cst_findings_free(findings);
	return r;
}

/* Nothing may be left that is wrong. */
static int mend(cst_store *store, char **argv, cst_error **error)
{
	cst_findings *findings = NULL, *left = NULL;

	(void)argv;
	int r = cst_store_check(store, NULL, &findings, error);
	if (r == 0)
		r = cst_store_repair(store, findings, NULL, NULL, error);
	if (r == 0)
		r = cst_store_check(store, NULL, &left, error);
	for (size_t i = 0; r == 0 && i < cst_findings_size(left); i++)
		fprintf(stderr, "%s\n", cst_finding_message(cst_findings_get(left, i)));
	r = r == 0 && cst_findings_size(left) ? -1 : r;
	cst_findings_free(findings);
	cst_findings_free(left);
	return r;
}

static int refused(const char *what, int r, cst_error **error)
{
	if (r == CST_ESTORE_READ_ONLY) {
		cst_error_free(*error);
		*error = NULL;
		return 0;
	}
	fprintf(stderr, "%s: %s\n", what, r == 0 ? "was done" : "failed for another reason");
	return r == 0 ? -1 : r;
}

static int refuse(cst_store *store, char **argv, cst_error **error)
{
	const char *image = argv[0], *container = argv[1], *layer = argv[2], *other = argv[3],
	           *names[] = {"n"};
	cst_layer_options layer_options = CST_LAYER_OPTIONS_INIT;
	cst_image_options image_options = CST_IMAGE_OPTIONS_INIT;
	cst_container_options container_options = CST_CONTAINER_OPTIONS_INIT;
	cst_memory memory = {.data = (char[1024]){0}, .size = 1024};
	const cst_source source = cst_source_memory(&memory);
	const cst_copy_place from = {.path = "/etc/passwd"},
	                     to = {.layer = other, .path = "/passwd"};
	char *path = NULL;
	int r = 0;

	image_options.layer = layer;
	container_options.image = image;
#define REFUSED(call) (r = r < 0 ? r : refused(#call, call, error))
	REFUSED(cst_store_create_layer(store, &layer_options, NULL, NULL, error));
	REFUSED(cst_store_create_layer(store, &layer_options, &source, NULL, error));
	REFUSED(cst_store_create_driver_layer(store, &layer_options, NULL, error));
	REFUSED(cst_store_apply_diff(store, other, &source, NULL, error));
	REFUSED(cst_store_copy(store, &from, 1, &to, NULL, error));
	REFUSED(cst_store_delete_layer(store, other, error));
	REFUSED(cst_store_create_image(store, &image_options, NULL, error));
	REFUSED(cst_store_delete_image(store, image, true, NULL, error));
	REFUSED(cst_store_create_container(store, &container_options, NULL, error));
	REFUSED(cst_store_delete_container(store, container, error));
	REFUSED(cst_store_delete(store, other, NULL, NULL, error));
	REFUSED(cst_store_wipe(store, NULL, error));
	REFUSED(cst_store_gc(store, NULL, NULL, error));
	REFUSED(cst_store_prune(store, NULL, NULL, error));
	REFUSED(cst_store_mount(store, container, NULL, &path, error));
	REFUSED(cst_store_mount_image(store, image, NULL, &path, error));
	REFUSED(cst_store_unmount(store, container, true, NULL, error));
	REFUSED(cst_store_unmount_image(store, image, true, NULL, error));
	REFUSED(cst_store_set_names(store, layer, names, 1, error));
	REFUSED(cst_store_add_names(store, image, names, 1, error));
	REFUSED(cst_store_remove_names(store, container, names, 1, error));
	REFUSED(cst_store_set_metadata(store, layer, "m", error));
	REFUSED(cst_store_set_data(store, CST_KIND_LAYER, layer, "k", "d", 1, error));
	REFUSED(cst_store_set_data(store, CST_KIND_IMAGE, image, "k", "d", 1, error));
	REFUSED(cst_store_set_data(store, CST_KIND_CONTAINER, container, "k", "d", 1, error));
	REFUSED(cst_store_set_directory_file(store, CST_KIND_IMAGE, image, CST_DIRECTORY, "f", "d",
	                                     1, error));
	REFUSED(cst_store_set_directory_file(store, CST_KIND_CONTAINER, container,
	                                     CST_RUN_DIRECTORY, "f", "d", 1, error));
	REFUSED(cst_store_image_directory(store, image, &path, error));
	REFUSED(cst_store_image_run_directory(store, image, &path, error));
	REFUSED(cst_store_container_directory(store, container, &path, error));
	REFUSED(cst_store_container_run_directory(store, container, &path, error));
	REFUSED(cst_store_shutdown(store, true, NULL, error));
#undef REFUSED
	cst_free(path);
	return r;
}

/* ---- staged layers ---- */

#define TOC "sha256:abababababababababababababababababababababababababababababababab"

/* Fills it with an archive, and says that it has a TOC and the file as a data item. */
static int fill(cst_staged_layer *staged, const char *archive, char **item, cst_error **error)
{
	FILE *file = fopen(archive, "re");
	cst_staged_results results = CST_STAGED_RESULTS_INIT;

	if (!file)
		return failed(archive);
	if (read_items(item) < 0)
		return -1;
	const cst_source source = cst_source_fd(fileno(file));
	int r = cst_staged_layer_apply(staged, &source, NULL, error);
	fclose(file);
	results.toc_digest = TOC;
	results.data = items;
	results.n_data = n_items;
	return r == 0 ? cst_staged_layer_describe(staged, &results, error) : r;
}

static int commit(cst_staged_layer *staged, const char *id, cst_error **error)
{
	cst_staged_commit_options options = CST_STAGED_COMMIT_OPTIONS_INIT;
	options.id = strcmp(id, "-") == 0 ? NULL : id;
	int r = cst_staged_layer_commit(staged, &options, NULL, error);
	if (r == 0)
		puts(id);
	return r;
}

/* ID PARENT ARCHIVE ITEM: for a new layer. ID "-": PARENT is a layer that gets the content. ID "keep": it is kept; "keep-for": both. */
static int stage(cst_store *store, char **argv, cst_error **error)
{
	cst_stage_options options = CST_STAGE_OPTIONS_INIT;
	cst_staged_layer *staged = NULL;
	bool existing = strcmp(argv[0], "-") == 0 || strcmp(argv[0], "keep-for") == 0;

	if (existing)
		options.layer = argv[1];
	else
		options.parent = argv[1];
	int r = cst_store_stage_layer(store, &options, &staged, error);
	if (r == 0)
		r = fill(staged, argv[2], argv + 3, error);
	if (r == 0 && strncmp(argv[0], "keep", 4) == 0)
		r = cst_staged_layer_keep(staged, NULL, error);
	else if (r == 0)
		r = commit(staged, argv[0], error);
	if (r == 0)
		puts("done");
	cst_staged_layer_free(staged);
	return r;
}

/* The one that is kept. */
static int find_staged(cst_store *store, char **id, cst_error **error)
{
	cst_strings *ids = NULL;
	int r = cst_store_staged_layers(store, &ids, error);
	if (r == 0 && cst_strings_size(ids) != 1) {
		fprintf(stderr, "%zu staged layers are kept\n", cst_strings_size(ids));
		r = -1;
	}
	if (r == 0 && !(*id = strdup(cst_strings_get(ids, 0))))
		r = failed("strdup");
	cst_strings_free(ids);
	return r;
}

static int adopt(cst_store *store, char **argv, cst_error **error)
{
	char *id = NULL;
	cst_staged_layer *staged = NULL;
	int r = find_staged(store, &id, error);
	if (r == 0)
		r = cst_store_adopt_staged_layer(store, id, &staged, error);
	if (r == 0)
		r = commit(staged, argv[0], error);
	cst_staged_layer_free(staged);
	free(id);
	return r;
}

static int discard_staged(cst_store *store, char **argv, cst_error **error)
{
	char *id = NULL;
	int r = find_staged(store, &id, error);
	(void)argv;
	if (r == 0)
		r = cst_store_discard_staged_layer(store, id, error);
	free(id);
	return r;
}

/* ---- additional layer stores ---- */

static int put_additional(cst_store *store, char **argv, cst_error **error)
{
	cst_additional_layer *found = NULL;
	cst_additional_layer_options options = CST_ADDITIONAL_LAYER_OPTIONS_INIT;
	options.id = argv[0];
	options.parent = argv[1];
	int r = cst_store_find_additional_layer(store, argv[2], NULL, &found, error);
	if (r == 0)
		r = cst_additional_layer_put(found, &options, NULL, error);
	if (r == 0)
		puts(argv[0]);
	cst_additional_layer_free(found);
	return r;
}

/* ---- which store ---- */

static const struct verb {
	const char *name;
	int n_arguments; /* at least */
	int (*run)(cst_store *store, char **argv, cst_error **error);
} verbs[] = {
        {"image", 3, make_image},
        {"container", 3, make_container},
        {"volatile-layer", 4, make_volatile_layer},
        {"mount-image", 1, mount_image},
        {"unmount-image", 1, unmount_image},
        {"file", 5, write_file},
        {"read", 0, read_all},
        {"refuse", 4, refuse},
        {"prune", 0, prune},
        {"repair", 0, repair},
        {"dedup", 1, dedup},
        {"repair-from", 1, repair_from},
        {"mend", 0, mend},
        {"stage", 4, stage},
        {"adopt", 1, adopt},
        {"discard", 0, discard_staged},
        {"put-additional", 3, put_additional},
        {"answers", 0, print_answers},
};

static const struct option known[] = {
        {"image-store", required_argument, NULL, 'i'},
        {"transient-store", no_argument, NULL, 't'},
        {"storage-opt", required_argument, NULL, 'o'},
        {"read-only", no_argument, NULL, 'r'},
        {0},
};

static int parse(int argc, char **argv, cst_store_options *options)
{
	static const char *driver_options[1];
	int option;

	while ((option = getopt_long(argc, argv, "+g:R:s:", known, NULL)) >= 0) {
		switch (option) {
		case 'g': options->graph_root = optarg; break;
		case 'R': options->run_root = optarg; break;
		case 's': options->driver = optarg; break;
		case 'i': options->image_store = optarg; break;
		case 't': options->transient_store = true; break;
		case 'r': options->read_only = true; break;
		case 'o':
			driver_options[0] = optarg;
			options->driver_options = driver_options;
			options->n_driver_options = 1;
			break;
		default: return -1;
		}
	}
	return 0;
}

static int run(const struct verb *verb, const cst_store_options *options, char **argv)
{
	cst_store *store = NULL;
	cst_error *error = NULL;
	int r = cst_store_open(options, &store, &error);

	if (r == 0)
		r = verb->run(store, argv, &error);
	if (r < 0)
		fprintf(stderr, "%s\n", error ? cst_error_message(error) : verb->name);
	fflush(stdout);
	cst_error_free(error);
	cst_store_close(store);
	return r < 0;
}

int main(int argc, char **argv)
{
	cst_store_options options = CST_STORE_OPTIONS_INIT;

	if (parse(argc, argv, &options) == 0 && optind < argc) {
		const char *name = argv[optind++];

		for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
			if (strcmp(name, verbs[i].name) == 0 &&
			    argc - optind >= verbs[i].n_arguments)
				return run(&verbs[i], &options, argv + optind);
	}
	fprintf(stderr, "usage: see operation.c\n");
	return 2;
}
