/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs layers and layer. */
#include "command.h"
#include "list.h"
#include "objects.h"
#include "tree.h"
#include "uses.h"
#include <stdio.h>
#include <string.h>

/* What a line about a layer begins with: an indent in lists, the lines of the tree in a tree. */
struct note_style {
	const char *prefix, *name, *image, *image_name, *container, *container_name;
	bool mounts;
};

static void print_notes_of(const struct note_style *style, const char *label,
                           const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fputs(style->prefix, stdout);
		print_field(label, texts[i]);
	}
}

static void print_notes(const struct uses *uses, const cst_layer *layer,
                        const struct note_style *style)
{
	const char *const *names = NULL, *id = cst_layer_id(layer);
	size_t n = cst_layer_names(layer, &names);
	print_notes_of(style, style->name, names, n);
	const char *mount_point = cst_layer_mount_point(layer);
	if (style->mounts && mount_point[0])
		print_notes_of(style, "mount: ", &mount_point, 1);
	const struct layer_users *users = uses_of(uses, id);
	for (const struct use *use = users->uses; use < users->uses + users->n; use++) {
		const char *user =
		        use->image ? cst_image_id(use->image) : cst_container_id(use->container);
		n = use->image ? cst_image_names(use->image, &names)
		               : cst_container_names(use->container, &names);
		print_notes_of(style, use->image ? style->image : style->container, &user, 1);
		print_notes_of(style, use->image ? style->image_name : style->container_name, names,
		               n);
	}
}

static void print_text(const cst_layer_list *list, const struct uses *uses)
{
	static const struct note_style style = {.prefix = "\t",
	                                        .name = "name: ",
	                                        .image = "image: ",
	                                        .image_name = "\tname: ",
	                                        .container = "container: ",
	                                        .container_name = "\tname: "};
	for (size_t i = 0; i < cst_layer_list_size(list); i++) {
		const cst_layer *layer = cst_layer_list_get(list, i);
		print_field("", cst_layer_id(layer));
		print_notes(uses, layer, &style);
	}
}

struct tree_context {
	const cst_layer_list *list;
	const struct uses *uses;
};

static void print_tree_notes(size_t index, const char *prefix, void *userdata)
{
	const struct tree_context *context = userdata;
	const struct note_style style = {.prefix = prefix,
	                                 .name = "name: ",
	                                 .image = "image: ",
	                                 .image_name = "image name: ",
	                                 .container = "container: ",
	                                 .container_name = "container name: ",
	                                 .mounts = true};
	print_notes(context->uses, cst_layer_list_get(context->list, index), &style);
}

static bool print_tree(const cst_layer_list *list, const struct uses *uses)
{
	size_t n = cst_layer_list_size(list);
	struct tree_node *nodes = calloc(n ? n : 1, sizeof(*nodes));
	if (!nodes)
		return false;
	for (size_t i = 0; i < n; i++) {
		const cst_layer *layer = cst_layer_list_get(list, i);
		const char *parent = cst_layer_parent(layer);
		nodes[i].parent = parent[0] ? parent : "(base)";
		nodes[i].id = cst_layer_id(layer);
	}
	struct tree_context context = {.list = list, .uses = uses};
	bool ok = tree_print(nodes, n, print_tree_notes, &context);
	free(nodes);
	return ok;
}

static int print_json(const struct invocation *in, const cst_layer_list *list)
{
	size_t n = cst_layer_list_size(list);
	for (size_t i = 0; i < n; i++) {
		putchar(i ? ',' : '[');
		int code = json_print_layer(in, cst_layer_list_get(list, i));
		if (code)
			return code;
	}
	fputs(n ? "]\n" : "null\n", stdout);
	return 0;
}

static int print_layers(const struct invocation *in, const cst_layer_list *list)
{
	if (is_on(in, OPT_JSON))
		return print_json(in, list);
	if (is_on(in, OPT_QUIET) && !is_on(in, OPT_TREE)) {
		for (size_t i = 0; i < cst_layer_list_size(list); i++)
			print_field("", cst_layer_id(cst_layer_list_get(list, i)));
		return 0;
	}
	struct uses uses = {0};
	bool ok = uses_find(in->store, NULL, &uses);
	if (ok && is_on(in, OPT_TREE))
		ok = print_tree(list, &uses);
	else if (ok)
		print_text(list, &uses);
	uses_done(&uses);
	if (!ok)
		complain(in, "out of memory");
	return ok ? 0 : 1;
}

/* ---- cstorage ---- */

enum {
	ID,
	PARENT,
	CREATED,
	SIZE,
	USED,
	NAMES,
	AGE,
	IMAGES,
	CONTAINERS,
	DIGEST,
	COMPRESSED_DIGEST,
	MOUNT_POINT,
	MOUNTS,
	READ_ONLY,
	METADATA
};

static const struct field fields[] = {
        [ID] = {"id", "ID", FIELD_ID},
        [PARENT] = {"parent", "PARENT", FIELD_ID},
        [CREATED] = {"created", "AGE", FIELD_TIME},
        [SIZE] = {"size", "SIZE", FIELD_SIZE},
        [USED] = {"used", "USED BY", FIELD_TEXT},
        [NAMES] = {"names", "NAMES", FIELD_TEXTS},
        [AGE] = {"age", NULL, FIELD_AGE},
        [IMAGES] = {"images", NULL, FIELD_NUMBER},
        [CONTAINERS] = {"containers", NULL, FIELD_NUMBER},
        [DIGEST] = {"digest", NULL, FIELD_TEXT},
        [COMPRESSED_DIGEST] = {"compressed-digest", NULL, FIELD_TEXT},
        [MOUNT_POINT] = {"mountpoint", NULL, FIELD_TEXT},
        [MOUNTS] = {"mounts", NULL, FIELD_NUMBER},
        [READ_ONLY] = {"readonly", NULL, FIELD_BOOL},
        [METADATA] = {"metadata", NULL, FIELD_TEXT},
};

/* Found when a field first asks for them, since that costs more than the list of layers. */
struct late_uses {
	struct uses uses;
	bool looked, found;
};

struct layer_rows {
	const cst_layer_list *layers;
	cst_store *store;
	struct late_uses *late;
};

/* NULL: out of memory. */
static const struct uses *uses_of_rows(const struct layer_rows *rows)
{
	struct late_uses *late = rows->late;
	if (!late->looked)
		late->found = uses_find(rows->store, rows->layers, &late->uses);
	late->looked = true;
	return late->found ? &late->uses : NULL;
}

/* Makes "image NAME, 2 containers": a single user is named. */
static char *users_text(const struct layer_rows *rows, size_t row, const char *id)
{
	const struct uses *uses = uses_of_rows(rows);
	if (!uses)
		return NULL;
	const cst_image *image = NULL;
	const cst_container *container = NULL;
	size_t images = 0, containers = 0;
	const struct layer_users *users_here = uses_of(uses, id);
	for (const struct use *use = users_here->uses; use < users_here->uses + users_here->n;
	     use++) {
		image = use->image ? use->image : image;
		container = use->container ? use->container : container;
		images += use->image != NULL;
		containers += use->container != NULL;
	}
	struct users users = {0};
	const char *const *names = NULL;
	size_t n = image ? cst_image_names(image, &names) : 0;
	users_add(&users, "image", images, image ? cst_image_id(image) : "", names, n);
	n = container ? cst_container_names(container, &names) : 0;
	users_add(&users, "container", containers, container ? cst_container_id(container) : "",
	          names, n);
	users_add(&users, "layer", uses_children(users_here, rows->layers, row), "", NULL, 0);
	return users_done(&users);
}

static void count_users(const struct layer_rows *rows, const char *id, bool images,
                        struct value *ret)
{
	const struct uses *uses = uses_of_rows(rows);
	if (!uses)
		return;
	const struct layer_users *users = uses_of(uses, id);
	for (const struct use *use = users->uses; use < users->uses + users->n; use++)
		ret->number += images ? use->image != NULL : use->container != NULL;
}

static void find_value(const struct list *list, size_t row, size_t field, struct value *ret)
{
	const struct layer_rows *rows = list->source;
	const cst_layer *layer = cst_layer_list_get(rows->layers, row);
	const char *id = cst_layer_id(layer);
	switch (field) {
	case ID: ret->text = id; break;
	case PARENT: ret->text = cst_layer_parent(layer); break;
	case CREATED:
	case AGE: ret->number = cst_layer_created(layer, NULL); break;
	case SIZE: ret->number = layer_content_size(list->in, layer); break;
	case USED: ret->text = ret->owned = users_text(rows, row, id); break;
	case NAMES: ret->n_texts = cst_layer_names(layer, &ret->texts); break;
	case IMAGES:
	case CONTAINERS: count_users(rows, id, field == IMAGES, ret); break;
	case DIGEST: ret->text = cst_layer_diff_digest(layer); break;
	case COMPRESSED_DIGEST: ret->text = cst_layer_compressed_digest(layer); break;
	case MOUNT_POINT: ret->text = cst_layer_mount_point(layer); break;
	case MOUNTS: ret->number = cst_layer_mount_count(layer); break;
	case READ_ONLY: ret->number = cst_layer_read_only(layer); break;
	case METADATA: ret->text = cst_layer_metadata(layer); break;
	}
}

static int print_row_json(const struct list *list, size_t row)
{
	const struct layer_rows *rows = list->source;
	return json_print_layer(list->in, cst_layer_list_get(rows->layers, row));
}

static int list_layers(const struct invocation *in, const cst_layer_list *layers)
{
	struct late_uses late = {0};
	struct layer_rows rows = {.layers = layers, .store = in->store, .late = &late};
	struct list list = {.fields = fields,
	                    .n_fields = sizeof(fields) / sizeof(fields[0]),
	                    .n_rows = cst_layer_list_size(layers),
	                    .find = find_value,
	                    .print_json = print_row_json,
	                    .json_if_empty = "null",
	                    .in = in,
	                    .source = &rows};
	int code = list_print(&list);
	if (late.looked && !late.found) {
		complain(in, "out of memory");
		code = 1;
	}
	uses_done(&late.uses);
	return code;
}

static bool is_given(const char *text)
{
	return text && text[0];
}

/* Asks for what is printed only. */
static int find_layers(const struct invocation *in, bool as_table, cst_layer_list **ret,
                       cst_error **error)
{
	unsigned wanted = CST_LAYER_FIELD_NAMES;
	if (is_on(in, OPT_JSON) || is_given(text_of(in, OPT_FORMAT)) ||
	    is_given(text_of(in, OPT_SORT)) || value_of(in, OPT_FILTER)->n_items)
		return cst_store_layers(in->store, ret, error);
	if (is_on(in, OPT_TREE))
		wanted |= CST_LAYER_FIELD_PARENT;
	else if (is_on(in, OPT_QUIET))
		wanted = 0;
	else if (as_table)
		wanted |= CST_LAYER_FIELD_PARENT | CST_LAYER_FIELD_CREATED | CST_LAYER_FIELD_DIFF;
	return cst_store_layers_with(in->store, wanted, ret, error);
}

int run_layers(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_layer_list *layers = NULL;
	bool as_table = in->personality == GNU_STYLE && !is_on(in, OPT_TREE);
	if (find_layers(in, as_table, &layers, &error) < 0)
		return fail(in, error);
	int code = (as_table ? list_layers : print_layers)(in, layers);
	cst_layer_list_free(layers);
	return code;
}

static void print_map(const char *kind, const cst_idmap *map, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%s mapping: (container=%u, host=%u, size=%u)\n", kind, map[i].container_id,
		       map[i].host_id, map[i].size);
}

static void print_layer(const cst_layer *layer)
{
	const cst_idmap *map = NULL;
	const char *const *names = NULL;
	print_field("ID: ", cst_layer_id(layer));
	size_t n = cst_layer_uid_map(layer, &map);
	print_map("UID", map, n);
	n = cst_layer_gid_map(layer, &map);
	print_map("GID", map, n);
	if (cst_layer_parent(layer)[0])
		print_field("Parent: ", cst_layer_parent(layer));
	n = cst_layer_names(layer, &names);
	print_fields("Name: ", names, n);
	if (cst_layer_read_only(layer))
		printf("Read Only: true\n");
}

/* containers-storage says nothing about operands that do not exist; the exit code shows it. */
int run_layer(struct invocation *in)
{
	size_t found = 0;
	int code = 0;
	bool json = is_on(in, OPT_JSON);
	for (size_t i = 0; i < in->n_operands; i++) {
		cst_layer *layer = NULL;
		if (cst_store_layer(in->store, in->operands[i], &layer, NULL) < 0) {
			complain_unknown(in, in->operands[i]);
			continue;
		}
		if (json) {
			putchar(found ? ',' : '[');
			code = json_print_layer(in, layer) ? 1 : code;
		} else {
			print_layer(layer);
		}
		found++;
		cst_layer_free(layer);
	}
	if (json)
		fputs(found ? "]\n" : "[]\n", stdout);
	return found == in->n_operands ? code : 1;
}
