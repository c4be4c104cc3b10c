/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of an image in one call: all of them or none, the same as one after the other. */
#include "api_fixture.h"
#include <semaphore.h>

#define N 16

struct image {
	struct strbuf tars[N];
	cst_memory memories[N];
	cst_source sources[N];
	cst_layer_options options[N];
	cst_new_layer layers[N];
	char ids[N][8];
	cst_layers_options all;
};

/* Each layer has a file of its own and one in a directory that only the base names; some delete something of the layers below,
 * and one says how the root directory is. */
static void add_entries(struct strbuf *tar, unsigned i)
{
	char name[32], whiteout[32], implied[32];
	const uid_t uid = getuid();
	const gid_t gid = getgid();
	snprintf(name, sizeof(name), "file%u", i);
	snprintf(implied, sizeof(implied), "deep/down/file%u", i);
	snprintf(whiteout, sizeof(whiteout), ".wh.file%u", i - 1);
	if (i == 0) {
		TAR_ADD(tar, .name = "/", .type = '5', .mode = 0711, .uid = uid, .gid = gid);
		TAR_ADD(tar, .name = "deep/", .type = '5', .mode = 0750, .uid = uid, .gid = gid);
		TAR_ADD(tar, .name = "deep/down/", .type = '5', .mode = 0701, .uid = uid,
		        .gid = gid);
		TAR_ADD(tar, .name = "way", .type = '2', .link = "deep/down", .uid = uid,
		        .gid = gid);
	}
	TAR_ADD(tar, .name = name, .data = name, .len = strlen(name), .uid = uid, .gid = gid);
	TAR_ADD(tar, .name = implied, .data = "x", .len = 1, .uid = uid, .gid = gid);
	if (i % 3 == 1)
		TAR_ADD(tar, .name = whiteout, .uid = uid, .gid = gid);
	if (i % 5 == 2)
		TAR_ADD(tar, .name = "way/through", .data = name, .len = 4, .uid = uid, .gid = gid);
	tar_add_end(tar);
}

static void image_make(struct image *image)
{
	*image = (struct image){.all = CST_LAYERS_OPTIONS_INIT};
	for (unsigned i = 0; i < N; i++) {
		add_entries(&image->tars[i], i);
		image->memories[i] =
		        (cst_memory){.data = image->tars[i].data, .size = image->tars[i].len};
		image->sources[i] = cst_source_memory(&image->memories[i]);
		image->options[i] = (cst_layer_options)CST_LAYER_OPTIONS_INIT;
		snprintf(image->ids[i], sizeof(image->ids[i]), "l%02u", i);
		image->options[i].id = image->ids[i];
		image->layers[i] = (cst_new_layer){&image->options[i], &image->sources[i]};
	}
	image->all.layers = image->layers;
	image->all.n_layers = N;
}

static void image_free(struct image *image)
{
	for (unsigned i = 0; i < N; i++)
		strbuf_free(&image->tars[i]);
}
#define _cleanup_image_ _cleanup_(image_free)

static size_t count(const struct api *api)
{
	_cleanup_(cst_layer_list_freep) cst_layer_list *list = NULL;
	assert_int_equal(cst_store_layers(api->store, &list, NULL), 0);
	return cst_layer_list_size(list);
}

/* Nothing is left of what was staged: neither of content nor of tar-splits. */
static void assert_nothing_staged(const struct api *api)
{
	_cleanup_free_ char *command =
	        str_printf("test -z \"$(find %s -path '*/staging/*' -o -path '*/tempdirs/*' -o "
	                   "-path '*-layers/tmp/*')\"",
	                   api->root);
	assert_int_equal(system(command), 0);
}

/* ---- tests ---- */

static void all_in_one(void **state)
{
	struct api *api = api_of(state);
	_cleanup_image_ struct image image;
	_cleanup_(cst_layer_list_freep) cst_layer_list *list = NULL;
	image_make(&image);
	image.options[N - 1].names = &(const char *){"top"};
	image.options[N - 1].n_names = 1;
	assert_int_equal(cst_store_create_layers(api->store, &image.all, &list, NULL), 0);
	assert_int_equal(cst_layer_list_size(list), N);
	for (size_t i = 0; i < N; i++) {
		const cst_layer *layer = cst_layer_list_get(list, i);
		assert_string_equal(cst_layer_id(layer), image.ids[i]);
		assert_string_equal(cst_layer_parent(layer), i ? image.ids[i - 1] : "");
		assert_int_equal(cst_layer_uncompressed_size(layer), image.tars[i].len);
	}
	_cleanup_(cst_layer_freep) cst_layer *top = NULL;
	assert_int_equal(cst_store_layer(api->store, "top", &top, NULL), 0);
	assert_string_equal(cst_layer_id(top), image.ids[N - 1]);
	assert_nothing_staged(api);
}

/* What a layer holds, with all attributes; not its links to those below. */
static char *list_command(const struct api *api, const char *prefix, unsigned i)
{
	return str_printf("(cd %s/%s/%s%02u && find . -printf '%%P %%M %%U %%G %%l\\n' | sort && "
	                  "getfattr -R -d -m - . 2>&1 && find . -type f -not -name link "
	                  "-not -name 'lower*' -exec sha256sum {} + | sort; "
	                  "sha256sum <%s/%s-layers/%s%02u.tar-split.gz)",
	                  api->root, streq(api->driver, "vfs") ? "vfs/dir" : "overlay", prefix, i,
	                  api->root, api->driver, prefix, i);
}

/* The base is read only when the archive on top of it has come to its end, which asks for what the base holds. */
struct gate {
	cst_source base, next;
	sem_t open;
};

static int64_t read_base(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct gate *gate = userdata;
	sem_wait(&gate->open);
	sem_post(&gate->open);
	return gate->base.read(gate->base.userdata, buffer, size, error);
}

static int64_t read_next(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct gate *gate = userdata;
	int64_t n = gate->next.read(gate->next.userdata, buffer, size, error);
	if (n == 0)
		sem_post(&gate->open);
	return n;
}

static void gate_put(struct gate *gate, const struct api *api, struct image *image)
{
	sem_init(&gate->open, 0, streq(api->driver, "vfs"));
	gate->base = image->sources[0];
	gate->next = image->sources[1];
	image->sources[0] = (cst_source){.read = read_base, .userdata = gate};
	image->sources[1] = (cst_source){.read = read_next, .userdata = gate};
}

static void same_as_single(void **state)
{
	struct api *api = api_of(state);
	_cleanup_image_ struct image image;
	struct gate gate;
	image_make(&image);
	gate_put(&gate, api, &image);
	image.all.at_once = 8;
	assert_int_equal(cst_store_create_layers(api->store, &image.all, NULL, NULL), 0);
	for (unsigned i = 0; i < N; i++) {
		char id[16], parent[16];
		snprintf(id, sizeof(id), "one%02u", i);
		snprintf(parent, sizeof(parent), "one%02u", i - 1);
		image.memories[i].offset = 0;
		image.options[i].id = id;
		image.options[i].parent = i ? parent : NULL;
		assert_int_equal(cst_store_create_layer(api->store, &image.options[i],
		                                        &image.sources[i], NULL, NULL),
		                 0);
		_cleanup_free_ char *many = list_command(api, "l", i);
		_cleanup_free_ char *single = list_command(api, "one", i);
		_cleanup_free_ char *same =
		        str_printf("test \"$( %s )\" = \"$( %s )\"", many, single);
		assert_int_equal(system(same), 0);
	}
}

#define DEEP "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20"

static void replace_tar(struct image *image, unsigned i, const char *const *names)
{
	struct strbuf *tar = &image->tars[i];
	strbuf_free(tar);
	for (; *names; names++) {
		bool directory = (*names)[strlen(*names) - 1] == '/';
		TAR_ADD(tar, .name = *names, .type = directory ? '5' : 0, .mode = i ? 0705 : 0711,
		        .uid = getuid(), .gid = getgid());
	}
	tar_add_end(tar);
	image->memories[i] = (cst_memory){.data = tar->data, .size = tar->len};
}

static unsigned mode_in(const struct api *api, const char *id, const char *path)
{
	bool overlay = streq(api->driver, "overlay");
	_cleanup_free_ char *full =
	        str_printf("%s/%s/%s%s/%s", api->root, overlay ? "overlay" : "vfs/dir", id,
	                   overlay ? "/diff" : "", path);
	struct stat st;
	assert_int_equal(lstat(full, &st), 0);
	return st.st_mode & 07777;
}

/* Directories that an archive does not name are as the layers below show them: one has the first of them, another the next, and an
 * opaque one shows nothing more. */
static void directories_below(void **state)
{
	struct api *api = api_of(state);
	_cleanup_image_ struct image image;
	image_make(&image);
	_cleanup_strv_ struct strv base = {0};
	for (const char *slash = strchr(DEEP, '/'); slash; slash = strchr(slash + 1, '/'))
		assert_true(strv_take(&base, strndup(DEEP, (size_t)(slash - DEEP) + 1)));
	assert_true(strv_add(&base, DEEP "/") && strv_add(&base, "a/") && strv_add(&base, "a/b/") &&
	            strv_add(&base, "a/b/c/") && strv_add(&base, "o/") && strv_add(&base, "o/p/"));
	const char *named[32] = {0};
	for (size_t i = 0; i < base.len; i++)
		named[i] = base.items[i];
	replace_tar(&image, 0, named);
	replace_tar(&image, 1, (const char *[]){"1/", "a/", "o/", "o/.wh..wh..opq", NULL});
	replace_tar(
	        &image, 2,
	        (const char *[]){"a/x", "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/x", NULL});
	replace_tar(&image, 3, (const char *[]){"a/y", "a/b/c/y", "o/p/y", DEEP "/y", NULL});
	image.all.n_layers = 4;
	assert_int_equal(cst_store_create_layers(api->store, &image.all, NULL, NULL), 0);
	assert_int_equal(mode_in(api, "l03", "a"), 0705);
	assert_int_equal(mode_in(api, "l03", "a/b"), 0711);
	assert_int_equal(mode_in(api, "l03", "a/b/c"), 0711);
	assert_int_equal(mode_in(api, "l03", "o"), 0705);
	assert_int_equal(mode_in(api, "l03", "o/p"), 0755);
	assert_int_equal(mode_in(api, "l03", "1"), 0705);
	assert_int_equal(mode_in(api, "l03", "1/2"), 0711);
	assert_int_equal(mode_in(api, "l03", DEEP), 0711);
}

static void on_a_parent(void **state)
{
	struct api *api = api_of(state);
	_cleanup_image_ struct image image;
	image_make(&image);
	fill(api);
	image.options[0].parent = "top";
	assert_int_equal(cst_store_create_layers(api->store, &image.all, NULL, NULL), 0);
	_cleanup_(cst_layer_freep) cst_layer *layer = NULL;
	assert_int_equal(cst_store_layer(api->store, "l00", &layer, NULL), 0);
	assert_string_equal(cst_layer_parent(layer), "top");
	if (streq(api->driver, "overlay")) {
		_cleanup_free_ char *path = NULL;
		assert_int_equal(cst_store_mount(api->store, "l15", NULL, &path, NULL), 0);
		_cleanup_free_ char *file = str_printf("%s/etc/hostname", path);
		assert_int_equal(access(file, F_OK), 0);
		assert_int_equal(cst_store_unmount(api->store, "l15", false, NULL, NULL), 0);
	}
}

/* A damaged archive in the middle, and another further up, which is found first: the error is that of the lower one. */
static void damaged(void **state)
{
	struct api *api = api_of(state);
	_cleanup_image_ struct image image;
	_cleanup_error_ cst_error *error = NULL;
	image_make(&image);
	memset(image.tars[12].data + 520, 'x', 200);
	memset(image.tars[13].data, 'x', 200);
	image.memories[12].size = 1200;
	assert_int_equal(cst_store_create_layers(api->store, &image.all, NULL, &error),
	                 CST_EARCHIVE);
	assert_non_null(strstr(cst_error_message(error), "layer \"l12\": "));
	assert_int_equal(count(api), 0);
	assert_nothing_staged(api);
	_cleanup_image_ struct image again;
	image_make(&again);
	assert_int_equal(cst_store_create_layers(api->store, &again.all, NULL, NULL), 0);
	assert_int_equal(count(api), N);
}

static int cancel(const cst_progress_state *state, void *userdata)
{
	*(uint64_t *)userdata = state->bytes_done;
	return state->bytes_done > 0;
}

static void canceled(void **state)
{
	struct api *api = api_of(state);
	_cleanup_image_ struct image image;
	uint64_t done = 0;
	const cst_progress progress = {.callback = cancel, .userdata = &done};
	image_make(&image);
	image.all.progress = &progress;
	assert_int_equal(cst_store_create_layers(api->store, &image.all, NULL, NULL),
	                 CST_ECANCELED);
	assert_true(done > 0);
	assert_int_equal(count(api), 0);
	assert_nothing_staged(api);
}

static void refused(struct api *api, struct image *image, int code)
{
	_cleanup_error_ cst_error *error = NULL;
	size_t before = count(api);
	assert_int_equal(cst_store_create_layers(api->store, &image->all, NULL, &error), code);
	assert_true(*cst_error_message(error));
	assert_int_equal(count(api), before);
}

static void what_does_not_fit(void **state)
{
	struct api *api = api_of(state);
	_cleanup_image_ struct image image;
	image_make(&image);
	image.all.n_layers = 0;
	refused(api, &image, CST_EINVAL);
	image.all.n_layers = 3;
	image.options[1].parent = "l00";
	refused(api, &image, CST_EINVAL);
	image.options[1].parent = NULL;
	image.options[2].is_volatile = true;
	refused(api, &image, CST_EINVAL);
	image.options[2].is_volatile = false;
	image.layers[2].diff = NULL;
	refused(api, &image, CST_EINVAL);
	image.layers[2].diff = &image.sources[2];
	image.options[1].id = "l00";
	refused(api, &image, CST_EDUPLICATE_ID);
	image.options[1].id = "l01";
	const char *name = "name";
	image.options[0].names = image.options[2].names = &name;
	image.options[0].n_names = image.options[2].n_names = 1;
	refused(api, &image, CST_EDUPLICATE_NAME);
	image.options[0].n_names = image.options[2].n_names = 0;
	image.options[0].parent = "nosuch";
	refused(api, &image, CST_ELAYER_UNKNOWN);
	image.options[0].parent = NULL;
	assert_int_equal(create_layer(api, "l02", NULL, NULL, NULL), 0);
	refused(api, &image, CST_EDUPLICATE_ID);
	assert_int_equal(cst_store_delete_layer(api->store, "l02", NULL), 0);
	assert_int_equal(cst_store_create_layers(api->store, &image.all, NULL, NULL), 0);
}

/* Another process makes a layer of the image, or deletes the parent, while they are unpacked. */
struct meanwhile {
	struct api *api;
	cst_store *other;
	bool deletes, done;
};

static int64_t read_meanwhile(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct meanwhile *meanwhile = userdata;
	if (!meanwhile->done) {
		struct api other = *meanwhile->api;
		other.store = meanwhile->other;
		meanwhile->done = true;
		if (meanwhile->deletes)
			assert_int_equal(cst_store_delete_layer(other.store, "base", NULL), 0);
		else
			assert_int_equal(create_layer(&other, "l05", NULL, NULL, NULL), 0);
	}
	return 0;
}

static void somebody_else(struct api *api, bool deletes, int code, size_t left)
{
	_cleanup_(cst_store_closep) cst_store *other = NULL;
	_cleanup_image_ struct image image;
	assert_int_equal(open_store(api, false, &other, NULL), 0);
	struct meanwhile meanwhile = {.api = api, .other = other, .deletes = deletes};
	image_make(&image);
	assert_int_equal(create_layer(api, "base", NULL, NULL, NULL), 0);
	image.options[0].parent = "base";
	image.sources[7] = (cst_source){.read = read_meanwhile, .userdata = &meanwhile};
	assert_int_equal(cst_store_create_layers(api->store, &image.all, NULL, NULL), code);
	assert_int_equal(count(api), left);
	assert_nothing_staged(api);
}

static void made_meanwhile(void **state)
{
	somebody_else(api_of(state), false, CST_EDUPLICATE_ID, 2);
}

static void parent_deleted_meanwhile(void **state)
{
	somebody_else(api_of(state), true, CST_ELAYER_UNKNOWN, 0);
}

#define EACH(X)              \
	X(all_in_one)        \
	X(same_as_single)    \
	X(directories_below) \
	X(on_a_parent)       \
	X(damaged) X(canceled) X(what_does_not_fit) X(made_meanwhile) X(parent_deleted_meanwhile)
DEFINE_RUN_ON_DRIVERS("the layers of an image", EACH)

int main(void)
{
	return run_on_drivers();
}
