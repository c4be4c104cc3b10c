/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs create-layer, create-image and create-container. */
#include "create.h"
#include "command.h"
#include <stdio.h>
#include <string.h>

void id_maps_done(struct id_maps *maps)
{
	free(maps->uids);
	free(maps->gids);
}

bool append_ranges(cst_idmap **list, size_t *n, cst_idmap *ranges, size_t n_ranges)
{
	bool ok = true;
	if (n_ranges > 0) {
		cst_idmap *grown = reallocarray(*list, *n + n_ranges, sizeof(**list));
		if (grown) {
			memcpy(grown + *n, ranges, n_ranges * sizeof(*grown));
			*list = grown;
			*n += n_ranges;
		}
		ok = grown != NULL;
	}
	cst_free(ranges);
	return ok;
}

/* Adds the maps of one kind: the ranges of sub-ids first, then explicit maps. */
static int add_maps(const struct invocation *in, const char *sub_owner, const char *map, bool group,
                    cst_idmap **list, size_t *n)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_idmap *ranges = NULL;
	size_t n_ranges = 0;
	if (sub_owner[0]) {
		if (cst_idmap_subids(sub_owner, group, &ranges, &n_ranges, &error) < 0)
			return fail(in, error);
		if (!append_ranges(list, n, ranges, n_ranges))
			return fail_out_of_memory(in);
	}
	ranges = NULL;
	n_ranges = 0;
	if (map[0]) {
		if (cst_idmap_parse(map, group, &ranges, &n_ranges, &error) < 0)
			return fail(in, error);
		if (!append_ranges(list, n, ranges, n_ranges))
			return fail_out_of_memory(in);
	}
	return 0;
}

int id_maps_from_options(const struct invocation *in, struct id_maps *maps)
{
	const char *uid_map = text_of(in, OPT_UID_MAP), *gid_map = text_of(in, OPT_GID_MAP);
	const char *subuids = text_of(in, OPT_SUBUID_MAP), *subgids = text_of(in, OPT_SUBGID_MAP);
	maps->host_uids = is_on(in, OPT_HOST_UID_MAP);
	maps->host_gids = is_on(in, OPT_HOST_GID_MAP);
	if (maps->host_uids && (uid_map[0] || subuids[0])) {
		complain(in, "host uid map specified along with UID mapping");
		return 1;
	}
	if (maps->host_gids && (gid_map[0] || subgids[0])) {
		complain(in, "host gid map specified along with GID mapping");
		return 1;
	}
	/* One owner alone is meant for both kinds. */
	const char *user = subuids[0] ? subuids : subgids, *group = subgids[0] ? subgids : subuids;
	int code = add_maps(in, user, uid_map, false, &maps->uids, &maps->n_uids);
	return code ? code : add_maps(in, group, gid_map, true, &maps->gids, &maps->n_gids);
}

static void print_created(const char *id, const char *const *names, size_t n)
{
	print_field("", id);
	print_fields("\t", names, n);
}

int print_new_layer(const struct invocation *in, const cst_layer *layer)
{
	const char *const *names = NULL;
	size_t n = cst_layer_names(layer, &names);
	if (!is_on(in, OPT_JSON)) {
		print_created(cst_layer_id(layer), names, n);
		return 0;
	}
	int code = json_print_layer(in, layer);
	putchar('\n');
	return code;
}

void layer_options_from(const struct invocation *in, const struct id_maps *maps,
                        cst_layer_options *options)
{
	*options = (cst_layer_options)CST_LAYER_OPTIONS_INIT;
	options->id = text_of(in, OPT_ID);
	options->parent = in->n_operands > 0 ? in->operands[0] : "";
	options->names = (const char *const *)value_of(in, OPT_NAME)->items;
	options->n_names = value_of(in, OPT_NAME)->n_items;
	options->mount_label = text_of(in, OPT_LABEL);
	options->writable = !is_on(in, OPT_READ_ONLY);
	options->host_uid_map = maps->host_uids;
	options->host_gid_map = maps->host_gids;
	options->uid_map = maps->uids;
	options->n_uid_map = maps->n_uids;
	options->gid_map = maps->gids;
	options->n_gid_map = maps->n_gids;
}

int run_create_layer(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_id_maps_ struct id_maps maps = {0};
	int code = id_maps_from_options(in, &maps);
	if (code)
		return code;
	cst_layer_options options;
	layer_options_from(in, &maps, &options);
	cst_layer *layer = NULL;
	if (cst_store_create_layer(in->store, &options, NULL, &layer, &error) < 0)
		return fail(in, error);
	code = print_new_layer(in, layer);
	cst_layer_free(layer);
	return code;
}

/* --metadata-file is used rather than --metadata. *ret is NULL or malloc'ed; the caller keeps it
 * while it uses *metadata. */
static int metadata_from_options(const struct invocation *in, char **ret, const char **metadata)
{
	const char *file = text_of(in, OPT_METADATA_FILE);
	size_t size = 0;
	*metadata = text_of(in, OPT_METADATA);
	if (!file[0])
		return 0;
	int code = read_whole_file(in, file, ret, &size);
	if (code)
		return code;
	*metadata = *ret;
	return 0;
}

int print_new_image(const struct invocation *in, const cst_image *image)
{
	const char *const *names = NULL;
	size_t n = cst_image_names(image, &names);
	if (!is_on(in, OPT_JSON)) {
		print_created(cst_image_id(image), names, n);
		return 0;
	}
	int code = json_print_image(in, image);
	putchar('\n');
	return code;
}

int run_create_image(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_text_ char *content = NULL;
	cst_image_options options = CST_IMAGE_OPTIONS_INIT;
	int code = metadata_from_options(in, &content, &options.metadata);
	if (code)
		return code;
	options.id = text_of(in, OPT_ID);
	options.layer = in->n_operands > 0 ? in->operands[0] : "";
	options.names = (const char *const *)value_of(in, OPT_NAME)->items;
	options.n_names = value_of(in, OPT_NAME)->n_items;
	options.digest = text_of(in, OPT_DIGEST);
	cst_image *image = NULL;
	if (cst_store_create_image(in->store, &options, &image, &error) < 0)
		return fail(in, error);
	code = print_new_image(in, image);
	cst_image_free(image);
	return code;
}

static int create_container(const struct invocation *in, const cst_container_options *options)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_container *container = NULL;
	if (cst_store_create_container(in->store, options, &container, &error) < 0)
		return fail(in, error);
	int code = 0;
	const char *const *names = NULL;
	size_t n = cst_container_names(container, &names);
	if (is_on(in, OPT_JSON)) {
		code = json_print_container(in, container);
		putchar('\n');
	} else {
		print_created(cst_container_id(container), names, n);
	}
	cst_container_free(container);
	return code;
}

/* Adds "size=10G" if the option was given. False: out of memory. */
static bool add_limit(const struct invocation *in, enum option_id id, const char *key, char **text,
                      const char **limits, size_t *n)
{
	if (!value_of(in, id)->given)
		return true;
	if (asprintf(text, "%s=%s", key, text_of(in, id)) < 0)
		*text = NULL;
	limits[*n] = *text;
	*n += *text != NULL;
	return *text;
}

int run_create_container(struct invocation *in)
{
	_cleanup_text_ char *content = NULL;
	_cleanup_id_maps_ struct id_maps maps = {0};
	_cleanup_auto_userns_ struct auto_userns userns = {0};
	_cleanup_text_ char *size = NULL, *inodes = NULL;
	const char *limits[2];
	cst_container_options options = CST_CONTAINER_OPTIONS_INIT;
	options.storage_options = limits;
	int code = metadata_from_options(in, &content, &options.metadata);
	code = code ? code : id_maps_from_options(in, &maps);
	code = code ? code : auto_userns_from_options(in, &userns, &options);
	if (code)
		return code;
	if (!add_limit(in, OPT_SIZE, "size", &size, limits, &options.n_storage_options) ||
	    !add_limit(in, OPT_INODES, "inodes", &inodes, limits, &options.n_storage_options)) {
		complain(in, "out of memory");
		return 1;
	}
	options.id = text_of(in, OPT_ID);
	options.image = in->operands[0];
	options.names = (const char *const *)value_of(in, OPT_NAME)->items;
	options.n_names = value_of(in, OPT_NAME)->n_items;
	options.label_options = (const char *const *)value_of(in, OPT_LABEL_OPTION)->items;
	options.n_label_options = value_of(in, OPT_LABEL_OPTION)->n_items;
	options.is_volatile = is_on(in, OPT_VOLATILE);
	options.host_uid_map = maps.host_uids;
	options.host_gid_map = maps.host_gids;
	options.uid_map = maps.uids;
	options.n_uid_map = maps.n_uids;
	options.gid_map = maps.gids;
	options.n_gid_map = maps.n_gids;
	return create_container(in, &options);
}
