/* SPDX-License-Identifier: Apache-2.0 */
/* The verb tree: each image with its layers, from the top down, and its containers; at the end what
 * belongs to no image. */
#include "command.h"
#include "list.h"
#include <inttypes.h>
#include <string.h>

struct node {
	const cst_layer *layer;
	int64_t size;  /* -1: unknown */
	size_t parent; /* index, or NONE */
	/* How many images are made of it. */
	size_t images;
	bool of_container;
};
#define NONE ((size_t)-1)

struct forest {
	cst_layer_list *layers;
	cst_image_list *images;
	cst_container_list *containers;
	struct node *nodes;   /* as `layers` */
	struct node **sorted; /* by ID */
	size_t n;
};

static void forest_done(struct forest *forest)
{
	cst_layer_list_free(forest->layers);
	cst_image_list_free(forest->images);
	cst_container_list_free(forest->containers);
	free(forest->nodes);
	free(forest->sorted);
}

static int by_id(const void *a, const void *b)
{
	const struct node *const *left = a, *const *right = b;
	return strcmp(cst_layer_id((*left)->layer), cst_layer_id((*right)->layer));
}

static size_t find(const struct forest *forest, const char *id)
{
	size_t low = 0, high = forest->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(cst_layer_id(forest->sorted[middle]->layer), id);
		if (order == 0)
			return (size_t)(forest->sorted[middle] - forest->nodes);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NONE;
}

/* Calls visit for a layer and all below it. In a damaged store the parents can be a circle; then it
 * ends after one round. */
#define FOR_CHAIN(forest, index, id)                                      \
	for (size_t index = find(forest, id), left_##index = (forest)->n; \
	     index != NONE && left_##index > 0;                           \
	     index = (forest)->nodes[index].parent, left_##index--)

static void count_images(struct forest *forest, const cst_image *image)
{
	const char *const *mapped = NULL;
	FOR_CHAIN(forest, at, cst_image_top_layer(image))
	forest->nodes[at].images++;
	for (size_t i = 0, n = cst_image_mapped_layers(image, &mapped); i < n; i++) {
		size_t copy = find(forest, mapped[i]);
		if (copy != NONE)
			forest->nodes[copy].images++;
	}
}

static void count_users(struct forest *forest)
{
	for (size_t i = 0; i < cst_image_list_size(forest->images); i++)
		count_images(forest, cst_image_list_get(forest->images, i));
	for (size_t i = 0; i < cst_container_list_size(forest->containers); i++) {
		size_t own = find(
		        forest, cst_container_layer(cst_container_list_get(forest->containers, i)));
		if (own != NONE)
			forest->nodes[own].of_container = true;
	}
}

static int forest_load(const struct invocation *in, struct forest *forest, cst_error **error)
{
	int result = cst_store_snapshot(in->store, &forest->layers, &forest->images,
	                                &forest->containers, error);
	if (result < 0)
		return result;
	forest->n = cst_layer_list_size(forest->layers);
	forest->nodes = calloc(forest->n + 1, sizeof(*forest->nodes));
	forest->sorted = calloc(forest->n + 1, sizeof(*forest->sorted));
	if (!forest->nodes || !forest->sorted)
		return cst_error_set(error, CST_ENOMEM, 0, "out of memory");
	for (size_t i = 0; i < forest->n; i++) {
		const cst_layer *layer = cst_layer_list_get(forest->layers, i);
		forest->nodes[i] =
		        (struct node){.layer = layer, .size = layer_content_size(in, layer)};
		forest->sorted[i] = &forest->nodes[i];
	}
	qsort(forest->sorted, forest->n, sizeof(*forest->sorted), by_id);
	for (size_t i = 0; i < forest->n; i++)
		forest->nodes[i].parent = find(forest, cst_layer_parent(forest->nodes[i].layer));
	count_users(forest);
	return 0;
}

static int64_t image_size(const struct forest *forest, const cst_image *image)
{
	int64_t sum = 0;
	FOR_CHAIN(forest, at, cst_image_top_layer(image))
	sum += forest->nodes[at].size > 0 ? forest->nodes[at].size : 0;
	return sum;
}

static int64_t container_size(const struct forest *forest, const cst_container *container)
{
	size_t own = find(forest, cst_container_layer(container));
	return own == NONE ? -1 : forest->nodes[own].size;
}

/* Is it a layer that neither an image nor a container uses? */
static bool is_stray(const struct node *node)
{
	return node->images == 0 && !node->of_container;
}

static bool has_image(const struct forest *forest, const cst_container *container)
{
	for (size_t i = 0; i < cst_image_list_size(forest->images); i++)
		if (strcmp(cst_image_id(cst_image_list_get(forest->images, i)),
		           cst_container_image(container)) == 0)
			return true;
	return false;
}

/* Is it shown below `image`? NULL: is it shown below no image? */
static bool belongs_to(const struct forest *forest, const cst_container *container,
                       const cst_image *image)
{
	return image ? strcmp(cst_container_image(container), cst_image_id(image)) == 0
	             : !has_image(forest, container);
}

/* ---- JSON ---- */

static void json_item(const char *id, const char *const *names, size_t n, int64_t size)
{
	fputs("{\"id\":", stdout);
	json_print_string(id);
	fputs(",\"names\":", stdout);
	if (n)
		json_print_names(names, n);
	else
		fputs("[]", stdout);
	if (size < 0)
		fputs(",\"size\":null", stdout);
	else
		printf(",\"size\":%" PRId64, size);
}

static void json_layer(const struct node *node, bool *first)
{
	const char *const *names = NULL;
	size_t n = cst_layer_names(node->layer, &names);
	fputs(*first ? "" : ",", stdout);
	*first = false;
	json_item(cst_layer_id(node->layer), names, n, node->size);
	printf(",\"images\":%zu}", node->images);
}

static void json_mapped(const struct forest *forest, const cst_image *image)
{
	const char *const *mapped = NULL;
	bool first = true;
	fputs("],\"mapped\":[", stdout);
	for (size_t i = 0, n = cst_image_mapped_layers(image, &mapped); i < n; i++) {
		size_t at = find(forest, mapped[i]);
		if (at != NONE)
			json_layer(&forest->nodes[at], &first);
	}
}

static void json_containers(const struct forest *forest, const cst_image *image)
{
	bool first = true;
	fputs("],\"containers\":[", stdout);
	for (size_t i = 0; i < cst_container_list_size(forest->containers); i++) {
		const cst_container *container = cst_container_list_get(forest->containers, i);
		const char *const *names = NULL;
		if (!belongs_to(forest, container, image))
			continue;
		size_t n = cst_container_names(container, &names);
		fputs(first ? "" : ",", stdout);
		first = false;
		json_item(cst_container_id(container), names, n, container_size(forest, container));
		putchar('}');
	}
	fputs("]}", stdout);
}

static void print_json(const struct forest *forest)
{
	const char *const *names = NULL;
	bool first = true;
	putchar('[');
	for (size_t i = 0; i < cst_image_list_size(forest->images); i++) {
		const cst_image *image = cst_image_list_get(forest->images, i);
		size_t n = cst_image_names(image, &names);
		fputs("{\"image\":", stdout);
		json_item(cst_image_id(image), names, n, image_size(forest, image));
		fputs("},\"layers\":[", stdout);
		first = true;
		FOR_CHAIN(forest, at, cst_image_top_layer(image))
		json_layer(&forest->nodes[at], &first);
		json_mapped(forest, image);
		json_containers(forest, image);
		putchar(',');
	}
	fputs("{\"image\":null,\"layers\":[", stdout);
	first = true;
	for (size_t i = 0; i < forest->n; i++)
		if (is_stray(&forest->nodes[i]))
			json_layer(&forest->nodes[i], &first);
	fputs("],\"mapped\":[", stdout);
	json_containers(forest, NULL);
	fputs("]\n", stdout);
}

/* ---- text ---- */

/* A line below a title is printed when the next one is known, because the last line has another
 * branch. */
struct branches {
	const char *more, *last;
	char *held;
	const char *title;
};

static void flush_branch(struct branches *branches, const char *branch)
{
	if (branches->held)
		printf("%s %s\n", branch, branches->held);
	free(branches->held);
	branches->held = NULL;
}

static void add_branch(struct branches *branches, const char *kind, const char *id,
                       const char *const *names, size_t n, int64_t size, const char *note)
{
	_cleanup_text_ char *joined = joined_names(names, n);
	char text[SIZE_TEXT_MAX] = "?", *line = NULL;
	if (branches->title)
		printf("%s\n", branches->title);
	branches->title = NULL;
	flush_branch(branches, branches->more);
	if (size >= 0)
		size_text(text, (double)size);
	if (asprintf(&line, "%s %.*s  %s%s%s%s", kind, SHORT_ID, id, text, n ? "  " : "",
	             joined ? joined : "", note) < 0)
		return;
	branches->held = plain_text(line);
	free(line);
}

static void add_layer(struct branches *branches, const struct node *node, const char *remark)
{
	const char *const *names = NULL;
	size_t n = cst_layer_names(node->layer, &names);
	char note[80] = "", shared[40] = "";
	if (node->images > 1)
		snprintf(shared, sizeof(shared), "  (in %zu images)", node->images);
	snprintf(note, sizeof(note), "%s%s", remark, shared);
	add_branch(branches, "layer", cst_layer_id(node->layer), names, n, node->size, note);
}

/* Adds the copies of the top layer that have other owners, for containers with ID maps. */
static void add_mapped(struct branches *branches, const struct forest *forest,
                       const cst_image *image)
{
	const char *const *mapped = NULL;
	for (size_t i = 0, n = cst_image_mapped_layers(image, &mapped); i < n; i++) {
		size_t at = find(forest, mapped[i]);
		if (at != NONE)
			add_layer(branches, &forest->nodes[at], "  (mapped copy)");
	}
}

static void add_containers(struct branches *branches, const struct forest *forest,
                           const cst_image *image)
{
	for (size_t i = 0; i < cst_container_list_size(forest->containers); i++) {
		const cst_container *container = cst_container_list_get(forest->containers, i);
		const char *const *names = NULL;
		if (!belongs_to(forest, container, image))
			continue;
		size_t n = cst_container_names(container, &names);
		size_t own = find(forest, cst_container_layer(container));
		bool mounted = own != NONE && cst_layer_mount_count(forest->nodes[own].layer) > 0;
		add_branch(branches, "container", cst_container_id(container), names, n,
		           container_size(forest, container), mounted ? "  (mounted)" : "");
	}
}

static void print_text(const struct forest *forest)
{
	bool utf8 = is_utf8_locale();
	struct branches branches = {.more = utf8 ? "\u251c\u2500\u2500" : "|--",
	                            .last = utf8 ? "\u2514\u2500\u2500" : "`--"};
	for (size_t i = 0; i < cst_image_list_size(forest->images); i++) {
		const cst_image *image = cst_image_list_get(forest->images, i);
		const char *const *names = NULL;
		size_t n = cst_image_names(image, &names);
		_cleanup_text_ char *joined = joined_names(names, n);
		_cleanup_text_ char *shown = joined ? plain_text(joined) : NULL;
		_cleanup_text_ char *id = plain_text(cst_image_id(image));
		char size[SIZE_TEXT_MAX];
		printf("image %.*s  %s%s%s\n", SHORT_ID, id ? id : "",
		       size_text(size, (double)image_size(forest, image)), n ? "  " : "",
		       shown ? shown : "");
		FOR_CHAIN(forest, at, cst_image_top_layer(image))
		add_layer(&branches, &forest->nodes[at], "");
		add_mapped(&branches, forest, image);
		add_containers(&branches, forest, image);
		flush_branch(&branches, branches.last);
	}
	branches.title = "(no image)";
	for (size_t i = 0; i < forest->n; i++)
		if (is_stray(&forest->nodes[i]))
			add_layer(&branches, &forest->nodes[i], "");
	add_containers(&branches, forest, NULL);
	flush_branch(&branches, branches.last);
}

int run_tree(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	struct forest forest = {0};
	int result = forest_load(in, &forest, &error);
	if (result == 0 && is_on(in, OPT_JSON))
		print_json(&forest);
	else if (result == 0)
		print_text(&forest);
	forest_done(&forest);
	return result < 0 ? fail(in, error) : 0;
}
