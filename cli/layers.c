/* SPDX-License-Identifier: Apache-2.0 */
/* layers and layer. */
#include "command.h"
#include "tree.h"
#include <search.h>
#include <stdio.h>
#include <string.h>

/* Who uses a layer: sorted by layer, then by the order of the users' lists. */
struct use {
	const char *layer;
	size_t order;
	const cst_image *image;
	const cst_container *container;
};

struct uses {
	struct use *items;
	size_t n;
	cst_image_list *images;
	cst_container_list *containers;
};

static int by_layer(const void *a, const void *b)
{
	const struct use *left = a, *right = b;
	int order = strcmp(left->layer, right->layer);
	return order ? order : left->order < right->order ? -1 : left->order > right->order;
}

static void uses_done(struct uses *uses)
{
	free(uses->items);
	cst_image_list_free(uses->images);
	cst_container_list_free(uses->containers);
}

static void add_image(struct uses *uses, const cst_image *image)
{
	const char *const *mapped = NULL;
	size_t n = cst_image_mapped_layers(image, &mapped);
	struct use use = {.layer = cst_image_top_layer(image), .image = image};
	for (size_t i = 0; i <= n; i++) {
		use.order = uses->n;
		uses->items[uses->n++] = use;
		use.layer = i < n ? mapped[i] : "";
	}
}

/* Lists that cannot be read leave the layers without their users, as upstream. */
static bool find_uses(cst_store *store, struct uses *uses)
{
	(void)cst_store_images(store, &uses->images, NULL);
	(void)cst_store_containers(store, &uses->containers, NULL);
	size_t n = cst_container_list_size(uses->containers);
	for (size_t i = 0; i < cst_image_list_size(uses->images); i++) {
		const char *const *mapped = NULL;
		n += 1 + cst_image_mapped_layers(cst_image_list_get(uses->images, i), &mapped);
	}
	uses->items = calloc(n ? n : 1, sizeof(*uses->items));
	if (!uses->items)
		return false;
	for (size_t i = 0; i < cst_image_list_size(uses->images); i++)
		add_image(uses, cst_image_list_get(uses->images, i));
	for (size_t i = 0; i < cst_container_list_size(uses->containers); i++) {
		const cst_container *container = cst_container_list_get(uses->containers, i);
		uses->items[uses->n] = (struct use){.layer = cst_container_layer(container),
		                                    .order = uses->n,
		                                    .container = container};
		uses->n++;
	}
	qsort(uses->items, uses->n, sizeof(*uses->items), by_layer);
	return true;
}

/* The first use of a layer, or the end. */
static const struct use *first_use(const struct uses *uses, const char *layer)
{
	size_t low = 0, high = uses->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(uses->items[middle].layer, layer) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return uses->items + low;
}

/* How a line about a layer begins: text lists indent, the tree has its lines in front. */
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
	const struct use *end = uses->items + uses->n;
	for (const struct use *use = first_use(uses, id); use < end && strcmp(use->layer, id) == 0;
	     use++) {
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
	bool ok = find_uses(in->store, &uses);
	if (ok && is_on(in, OPT_TREE))
		ok = print_tree(list, &uses);
	else if (ok)
		print_text(list, &uses);
	uses_done(&uses);
	if (!ok)
		complain(in, "out of memory");
	return ok ? 0 : 1;
}

int run_layers(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_layer_list *list = NULL;
	if (cst_store_layers(in->store, &list, &error) < 0)
		return fail(in, error);
	int code = print_layers(in, list);
	cst_layer_list_free(list);
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

/* Those that do not exist are left out without a word; the exit code tells. */
int run_layer(struct invocation *in)
{
	size_t found = 0;
	int code = 0;
	bool json = is_on(in, OPT_JSON);
	for (size_t i = 0; i < in->n_operands; i++) {
		cst_layer *layer = NULL;
		if (cst_store_layer(in->store, in->operands[i], &layer, NULL) < 0)
			continue;
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
