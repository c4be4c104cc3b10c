/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a layer: a tar becomes an image of one layer, the image a container; the container is mounted and
 * gets a file; what it changed is written to a tar; then everything is deleted again.
 *
 *     cc import-and-run.c $(pkg-config --cflags --libs libcstorage) -o import-and-run
 *     ./import-and-run FOLDER LAYER.tar CHANGES.tar [DRIVER]
 *
 * FOLDER is where the store is made (FOLDER/root, FOLDER/run); the tar may be compressed. Mounting with overlay needs
 * root; the driver "vfs" does without.
 */
#include <cstorage/cstorage.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What one run holds; run() fills it, release() gives everything back, whatever became of run(). */
struct run {
	cst_store *store;
	cst_layer *layer;
	cst_container *container;
	char *path;
	const char *tar;
	int out;
};

static int open_store(struct run *run, const char *folder, const char *driver, cst_error **error)
{
	char root[4096], state[4096];
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	snprintf(root, sizeof(root), "%s/root", folder);
	snprintf(state, sizeof(state), "%s/run", folder);
	options.graph_root = root;
	options.run_root = state;
	options.driver = driver;
	return cst_store_open(&options, &run->store, error);
}

/* The tar becomes an image of one layer, with a configuration and a manifest, so that podman can run it, too. */
static int import(struct run *run, cst_error **error)
{
	static const char *const names[] = {"localhost/example:latest"};
	char source[4096];
	cst_image *image = NULL;
	cst_import_options options = CST_IMPORT_OPTIONS_INIT;
	options.names = names;
	options.n_names = 1;
	snprintf(source, sizeof(source), "tar:%s", run->tar);
	int r = cst_store_import_image(run->store, source, &options, &image, error);
	if (r == 0)
		r = cst_store_layer(run->store, cst_image_top_layer(image), &run->layer, error);
	cst_image_free(image);
	if (r < 0)
		return r;
	printf("layer      %s\n", cst_layer_id(run->layer));
	printf("  DiffID   %s\n", cst_layer_diff_digest(run->layer));
	return 0;
}

static int list_images(struct run *run, cst_error **error)
{
	cst_image_list *list = NULL;
	int r = cst_store_images(run->store, &list, error);
	for (size_t i = 0; i < cst_image_list_size(list); i++) {
		const cst_image *image = cst_image_list_get(list, i);
		const char *const *names;
		size_t n = cst_image_names(image, &names);
		printf("image      %s\n", cst_image_id(image));
		for (size_t j = 0; j < n; j++)
			printf("  name     %s\n", names[j]);
	}
	cst_image_list_free(list);
	return r;
}

/* Where a container would be started; this one only writes a file. */
static int use_container(struct run *run, cst_error **error)
{
	char name[4096];
	int r = cst_store_mount(run->store, cst_container_id(run->container), NULL, &run->path,
	                        error);
	if (r < 0)
		return r;
	printf("mounted at %s\n", run->path);
	snprintf(name, sizeof(name), "%s/hello", run->path);
	FILE *file = fopen(name, "w");
	if (!file || fputs("hello from the container\n", file) < 0)
		r = cst_error_set(error, CST_EIO_CALLBACK, 0, "writing into the container failed");
	if (file)
		fclose(file);
	/* Also after a failure: else the mount would stay. */
	int unmounted = cst_store_unmount(run->store, cst_container_id(run->container), false, NULL,
	                                  r < 0 ? NULL : error);
	return r < 0 ? r : unmounted;
}

static int write_changes(struct run *run, cst_error **error)
{
	const char *id = cst_container_layer(run->container);
	cst_sink sink = cst_sink_fd(run->out);
	cst_diff_options options = CST_DIFF_OPTIONS_INIT;
	cst_changes *changes = NULL;
	int r = cst_store_changes(run->store, NULL, id, &changes, error);
	for (size_t i = 0; i < cst_changes_size(changes); i++) {
		static const char *const kinds[] = {"modified", "added", "deleted"};
		printf("%-10s %s\n", kinds[cst_changes_kind(changes, i)],
		       cst_changes_path(changes, i));
	}
	cst_changes_free(changes);
	options.compression = CST_PLAIN;
	return r < 0 ? r : cst_store_diff(run->store, NULL, id, &options, &sink, error);
}

static int run_all(struct run *run, const char *folder, const char *driver, cst_error **error)
{
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	int r = open_store(run, folder, driver, error);
	if (r == 0)
		r = import(run, error);
	if (r == 0)
		r = list_images(run, error);
	options.image = "localhost/example:latest";
	if (r == 0)
		r = cst_store_create_container(run->store, &options, &run->container, error);
	if (r == 0)
		r = use_container(run, error);
	if (r == 0)
		r = write_changes(run, error);
	if (r == 0)
		r = cst_store_delete_container(run->store, cst_container_id(run->container), error);
	if (r == 0) /* and its layer, which nobody needs any more */
		r = cst_store_delete_image(run->store, options.image, true, NULL, error);
	if (r == 0) /* overlay keeps its home mounted while the store is in use */
		r = cst_store_shutdown(run->store, false, NULL, error);
	return r;
}

static void release(struct run *run)
{
	cst_free(run->path);
	cst_container_free(run->container);
	cst_layer_free(run->layer);
	cst_store_close(run->store);
	close(run->out);
}

int main(int argc, char **argv)
{
	struct run run = {NULL, NULL, NULL, NULL, argv[2], -1};
	cst_error *error = NULL;
	if (argc < 4) {
		fprintf(stderr, "usage: %s FOLDER LAYER.tar CHANGES.tar [DRIVER]\n", argv[0]);
		return 2;
	}
	run.out = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (run.out < 0) {
		perror(argv[3]);
		return 1;
	}
	int r = run_all(&run, argv[1], argc > 4 ? argv[4] : NULL, &error);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], cst_error_message(error));
	cst_error_free(error);
	release(&run);
	return r < 0 ? 1 : 0;
}
