/* SPDX-License-Identifier: Apache-2.0 */
/* The verb inspect: the record of an item, and what is known about it beyond that. */
#include "command.h"
#include <inttypes.h>
#include <string.h>

/* ---- members ---- */

static void put_key(FILE *to, const char *key)
{
	fprintf(to, ",\"%s\":", key);
}

static void put_member(FILE *to, const char *key, const char *text)
{
	put_key(to, key);
	json_write_string(to, text);
}

/* A number, or null where there is none. */
static void put_size(FILE *to, const char *key, int64_t size)
{
	put_key(to, key);
	if (size < 0)
		fputs("null", to);
	else
		fprintf(to, "%" PRId64, size);
}

static void put_strings(FILE *to, const char *key, const cst_strings *strings)
{
	put_key(to, key);
	fputc('[', to);
	for (size_t i = 0; i < cst_strings_size(strings); i++) {
		fputs(i ? "," : "", to);
		json_write_string(to, cst_strings_get(strings, i));
	}
	fputc(']', to);
}

static void put_record(FILE *to, const char *kind, const char *json, size_t size)
{
	fprintf(to, "{\"kind\":\"%s\",\"record\":", kind);
	fwrite(json, 1, size, to);
}

/* ---- what belongs to a layer, whoever's it is ---- */

static void put_paths(const struct invocation *in, FILE *to, const char *layer)
{
	_cleanup_pairs_ cst_pairs *pairs = NULL;
	put_key(to, "paths");
	if (!layer[0] || cst_store_layer_paths(in->store, layer, &pairs, NULL) < 0) {
		fputs("null", to);
		return;
	}
	for (size_t i = 0; i < cst_pairs_size(pairs); i++) {
		fputc(i ? ',' : '{', to);
		json_write_string(to, cst_pairs_key(pairs, i));
		fputc(':', to);
		json_write_string(to, cst_pairs_value(pairs, i));
	}
	fputs("}", to);
}

static void put_mount(FILE *to, const cst_layer *layer)
{
	put_member(to, "mountpoint", layer ? cst_layer_mount_point(layer) : "");
	put_key(to, "mountcount");
	fprintf(to, "%d", layer ? cst_layer_mount_count(layer) : 0);
}

/* Prints the IDs of the images or containers that have this layer. */
static void put_users(const struct invocation *in, FILE *to, const char *layer)
{
	cst_image_list *images = NULL;
	cst_container *container = NULL;
	put_key(to, "images");
	fputc('[', to);
	(void)cst_store_images_by_top_layer(in->store, layer, &images, NULL);
	for (size_t i = 0; i < cst_image_list_size(images); i++) {
		fputs(i ? "," : "", to);
		json_write_string(to, cst_image_id(cst_image_list_get(images, i)));
	}
	fputc(']', to);
	cst_image_list_free(images);
	put_key(to, "container");
	if (cst_store_container_by_layer(in->store, layer, &container, NULL) == 0)
		json_write_string(to, cst_container_id(container));
	else
		fputs("null", to);
	cst_container_free(container);
}

static int64_t layer_size(const struct invocation *in, const char *id)
{
	int64_t size = -1;
	if (cst_store_layer_size(in->store, id, &size, NULL) == 0 && size >= 0)
		return size;
	return cst_store_diff_size(in->store, NULL, id, &size, NULL) == 0 ? size : -1;
}

static int put_layer(const struct invocation *in, FILE *to, const cst_layer *layer,
                     cst_error **error)
{
	_cleanup_strings_ cst_strings *children = NULL;
	const char *id = cst_layer_id(layer);
	char *json = NULL;
	size_t size = 0;
	int result = cst_layer_json(layer, &json, &size, error);
	if (result == 0)
		result = cst_store_layer_children(in->store, id, &children, error);
	if (result == 0) {
		put_record(to, "layer", json, size);
		put_size(to, "size", layer_size(in, id));
		put_mount(to, layer);
		put_strings(to, "children", children);
		put_users(in, to, id);
		put_paths(in, to, id);
		fputc('}', to);
	}
	cst_free(json);
	return result;
}

/* ---- images ---- */

/* Prints the IDs from the top layer to the base. */
static void put_chain(const struct invocation *in, FILE *to, const char *top)
{
	char *id = strdup(top);
	bool first = true;
	cst_layer_list *all = NULL;
	/* A layer of another store can name one of ours as its parent, and so make a circle. No
	 * chain is longer than this. */
	size_t left = cst_store_layers(in->store, &all, NULL) == 0 ? cst_layer_list_size(all) : 0;
	cst_layer_list_free(all);
	put_key(to, "layers");
	fputc('[', to);
	while (id && id[0]) {
		cst_layer *layer = NULL;
		fputs(first ? "" : ",", to);
		json_write_string(to, id);
		first = false;
		char *parent = NULL;
		if (left-- > 0 && cst_store_layer(in->store, id, &layer, NULL) == 0)
			parent = strdup(cst_layer_parent(layer));
		cst_layer_free(layer);
		free(id);
		id = parent;
	}
	free(id);
	fputc(']', to);
}

static int put_containers(const struct invocation *in, FILE *to, const char *image,
                          cst_error **error)
{
	cst_container_list *list = NULL;
	bool first = true;
	int result = cst_store_containers(in->store, &list, error);
	put_key(to, "containers");
	fputc('[', to);
	for (size_t i = 0; i < cst_container_list_size(list); i++) {
		const cst_container *container = cst_container_list_get(list, i);
		if (strcmp(cst_container_image(container), image) != 0)
			continue;
		fputs(first ? "" : ",", to);
		json_write_string(to, cst_container_id(container));
		first = false;
	}
	fputc(']', to);
	cst_container_list_free(list);
	return result;
}

static int put_image(const struct invocation *in, FILE *to, const cst_image *image,
                     cst_error **error)
{
	char *json = NULL;
	size_t length = 0;
	int64_t size = -1;
	int result = cst_image_json(image, &json, &length, error);
	if (result == 0) {
		put_record(to, "image", json, length);
		(void)cst_store_image_size(in->store, cst_image_id(image), &size, NULL);
		put_size(to, "size", size);
		put_chain(in, to, cst_image_top_layer(image));
		result = put_containers(in, to, cst_image_id(image), error);
		put_key(to, "readonly");
		fputs(cst_image_read_only(image) ? "true" : "false", to);
		put_paths(in, to, cst_image_top_layer(image));
		fputc('}', to);
	}
	cst_free(json);
	return result;
}

/* ---- containers ---- */

/* What cannot be measured is told; all else is shown. */
static int64_t container_size(const struct invocation *in, const char *id)
{
	_cleanup_error_ cst_error *problem = NULL;
	int64_t size = -1;
	if (cst_store_container_size(in->store, id, &size, &problem) < 0)
		complain(in, "warning: the size of container %s is not known: %s", id,
		         error_text(in, problem));
	return size;
}

static int put_container(const struct invocation *in, FILE *to, const cst_container *container,
                         cst_error **error)
{
	cst_layer *layer = NULL;
	char *json = NULL;
	size_t length = 0;
	int result = cst_container_json(container, &json, &length, error);
	if (result == 0) {
		put_record(to, "container", json, length);
		put_size(to, "size", container_size(in, cst_container_id(container)));
		(void)cst_store_layer(in->store, cst_container_layer(container), &layer, NULL);
		put_mount(to, layer);
		put_paths(in, to, cst_container_layer(container));
		fputc('}', to);
		cst_layer_free(layer);
	}
	cst_free(json);
	return result;
}

/* ---- the verb ---- */

/* The library tells why, which may be that records cannot be read. */
static int not_found(const struct invocation *in, const char *item, cst_error **error)
{
	char *id = NULL;
	int result = cst_store_lookup(in->store, item, &id, error);
	cst_free(id);
	return result < 0 ? result
	                  : cst_error_set(error, CST_ENOT_AN_ID, 0, "it was deleted meanwhile");
}

/* Prints a container, an image or a layer, looked for in this order. The ID of a container's layer
 * means the layer. */
static int put_item(const struct invocation *in, FILE *to, const char *item, cst_error **error)
{
	cst_container *container = NULL;
	cst_image *image = NULL;
	cst_layer *layer = NULL;
	int result = cst_store_container(in->store, item, &container, NULL);
	if (result == 0 && strncmp(cst_container_layer(container), item, strlen(item)) != 0)
		result = put_container(in, to, container, error);
	else if (cst_store_image(in->store, item, &image, NULL) == 0)
		result = put_image(in, to, image, error);
	else if (cst_store_layer(in->store, item, &layer, NULL) == 0)
		result = put_layer(in, to, layer, error);
	else
		result = not_found(in, item, error);
	cst_container_free(container);
	cst_image_free(image);
	cst_layer_free(layer);
	return result;
}

static void new_line(unsigned depth)
{
	printf("\n%*s", (int)(2 * depth), "");
}

/* Prints the string that begins at `json`, with both quotes. Returns its length. */
static size_t print_string(const char *json, size_t size)
{
	size_t i = 1;
	while (i < size && json[i] != '"')
		i += json[i] == '\\' ? 2 : 1;
	size_t length = i < size ? i + 1 : size;
	json_print_raw(json, length);
	return length;
}

/* Prints compact JSON with line breaks: strings are copied, and everything else is punctuation. */
static void print_indented(const char *json, size_t size)
{
	unsigned depth = 0;
	for (size_t i = 0; i < size; i++) {
		char c = json[i];
		if (c == '"')
			i += print_string(json + i, size - i) - 1;
		else
			putchar(c);
		char next = i + 1 < size ? json[i + 1] : '\0';
		if ((c == '{' || c == '[') && next != '}' && next != ']')
			new_line(++depth);
		else if (c == '{' || c == '[')
			putchar(json[++i]);
		else if (c == ',')
			new_line(depth);
		else if (c == ':')
			putchar(' ');
		if ((next == '}' || next == ']') && c != '{' && c != '[' && depth > 0)
			new_line(--depth);
	}
	putchar('\n');
}

/* Items that do not exist are reported on stderr; the others are shown all the same. */
int run_inspect(struct invocation *in)
{
	char *json = NULL;
	size_t size = 0, found = 0;
	int code = 0;
	FILE *to = open_memstream(&json, &size);
	for (size_t i = 0; to && i < in->n_operands; i++) {
		_cleanup_error_ cst_error *error = NULL;
		_cleanup_text_ char *one = NULL;
		size_t length = 0;
		FILE *to_one = open_memstream(&one, &length);
		if (!to_one)
			break;
		int result = put_item(in, to_one, in->operands[i], &error);
		fclose(to_one);
		if (result < 0) {
			complain_about(in, in->operands[i], error);
			code = 1;
			continue;
		}
		fputc(found++ ? ',' : '[', to);
		fwrite(one, 1, length, to);
	}
	bool ok = to && fputs(found ? "]" : "[]", to) >= 0 && fclose(to) == 0;
	if (!ok) {
		complain(in, "out of memory");
	} else if (is_on(in, OPT_JSON)) {
		json_print_raw(json, size);
		putchar('\n');
	} else {
		print_indented(json, size);
	}
	free(json);
	return ok ? code : 1;
}
