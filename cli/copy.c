/* SPDX-License-Identifier: Apache-2.0 */
/* The verb copy. */
#include "objects.h"
#include <stdio.h>
#include <string.h>

/* A number as Go's strconv.ParseUint(text, 10, 32) reads it. Returns an exit code. */
static int parse_owner(const struct invocation *in, const char *kind, const char *text,
                       uint32_t *ret)
{
	const char *problem = text[0] ? NULL : "invalid syntax";
	uint64_t value = 0;
	for (const char *at = text; *at && !problem; at++) {
		if (*at < '0' || *at > '9')
			problem = "invalid syntax";
		else if ((value = value * 10 + (uint64_t)(*at - '0')) > UINT32_MAX)
			problem = "value out of range";
	}
	if (problem) {
		_cleanup_text_ char *quoted = go_quote(text);
		complain(in, "bad %s: strconv.ParseUint: parsing %s: %s", kind, quoted, problem);
		return 1;
	}
	*ret = (uint32_t)value;
	return 0;
}

/* Reads "U" or "U:G". Without a group it is the number of the user. */
static int parse_chown(const struct invocation *in, cst_copy_options *options)
{
	const char *text = text_of(in, OPT_CHOWN), *colon = strchr(text, ':');
	if (!text[0])
		return 0;
	_cleanup_text_ char *user = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
	if (!user) {
		complain(in, "out of memory");
		return 1;
	}
	options->chown = true;
	int code = parse_owner(in, "UID", user, &options->uid);
	return code ? code : parse_owner(in, "GID", colon ? colon + 1 : user, &options->gid);
}

struct places {
	cst_copy_place *items;
	/* What is in front of the colons. */
	char **layers;
	size_t n;
};

static void places_done(struct places *places)
{
	for (size_t i = 0; places->layers && i < places->n; i++)
		free(places->layers[i]);
	free(places->layers);
	free(places->items);
}

/* Splits LAYER:PATH; a path without a layer is one of the caller's. A container means its layer. */
static bool split_operands(const struct invocation *in, struct places *places)
{
	places->n = in->n_operands;
	places->items = calloc(in->n_operands, sizeof(*places->items));
	places->layers = calloc(in->n_operands, sizeof(*places->layers));
	if (!places->items || !places->layers)
		return false;
	for (size_t i = 0; i < places->n; i++) {
		const char *operand = in->operands[i], *colon = strchr(operand, ':');
		places->items[i].path = operand;
		if (!colon)
			continue;
		_cleanup_text_ char *word = strndup(operand, (size_t)(colon - operand));
		places->layers[i] = word ? layer_of_operand(in, word) : NULL;
		if (!places->layers[i])
			return false;
		places->items[i].layer = places->layers[i];
		places->items[i].path = colon + 1;
	}
	return true;
}

/* Is this a layer? `in_full`: only its ID or a name counts, not the beginning of its ID. */
static bool is_layer(const struct invocation *in, const char *text, bool in_full)
{
	cst_layer *layer = NULL;
	const char *const *names = NULL;
	if (cst_store_layer(in->store, text, &layer, NULL) < 0)
		return false;
	bool found = !in_full || strcmp(cst_layer_id(layer), text) == 0;
	for (size_t i = 0, n = cst_layer_names(layer, &names); i < n && !found; i++)
		found = strcmp(names[i], text) == 0;
	cst_layer_free(layer);
	return found;
}

/* Refuses ":/path", which the library would take for a path of the caller's file system. It looks
 * for the target first, so that a missing layer is reported before a later mistake. */
static bool names_nothing(const struct invocation *in, const struct places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		const char *layer = places->layers[i ? i - 1 : places->n - 1];
		if (layer && !layer[0])
			return true;
		if (layer && !is_layer(in, layer, false))
			return false;
	}
	return false;
}

/* Warns of a forgotten colon: the copy would go to a file that has the name of a layer. Only full
 * IDs count, since any word can be the beginning of a random ID. */
static void warn_of_layer(const struct invocation *in, const char *operand)
{
	if (is_layer(in, operand, true))
		complain(in,
		         "warning: \"%s\" is a layer, but without \":/PATH\" behind it a file here",
		         operand);
}

static int copy_places(struct invocation *in, const struct places *places,
                       cst_copy_options *options)
{
	_cleanup_error_ cst_error *error = NULL;
	const cst_copy_place *target = &places->items[places->n - 1];
	if (names_nothing(in, places)) {
		complain(in, "error finding layer \"\": %s", cst_strerror(CST_ELAYER_UNKNOWN));
		return 1;
	}
	if (!target->layer)
		warn_of_layer(in, target->path);
	struct progress progress;
	progress_start(in, &progress);
	options->progress = &progress.hook;
	options->measure = progress.form != PROGRESS_NONE;
	int result =
	        cst_store_copy(in->store, places->items, places->n - 1, target, options, &error);
	progress_end(&progress);
	return result < 0 ? fail(in, error) : 0;
}

int run_copy(struct invocation *in)
{
	__attribute__((cleanup(places_done))) struct places places = {0};
	cst_copy_options options = CST_COPY_OPTIONS_INIT;
	int code = parse_chown(in, &options);
	if (code)
		return code;
	if (!split_operands(in, &places)) {
		complain(in, "out of memory");
		return 1;
	}
	return copy_places(in, &places, &options);
}
