/* SPDX-License-Identifier: Apache-2.0 */
/* What the user can do about a failure: one line on stderr behind the message. */
#include "nearest.h"
#include "objects.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The verb that lists items of these kinds. */
static const char *list_of(unsigned kinds)
{
	switch (kinds) {
	case KIND_LAYER: return "'cstorage layers' lists the layers";
	case KIND_IMAGE: return "'cstorage images' lists the images";
	case KIND_CONTAINER: return "'cstorage containers' lists the containers";
	default: return "'cstorage tree' lists images, layers and containers";
	}
}

static const char *list_of_data(const struct invocation *in)
{
	const char *verb = in->command->names[0];
	if (strstr(verb, "container"))
		return "'cstorage list-container-data' lists the data items of a container";
	if (strstr(verb, "image"))
		return "'cstorage list-image-data' lists the data items of an image";
	return "'cstorage list-layer-data' lists the data items of a layer";
}

static const char *of_errno(int errnum)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
		if (geteuid() != 0)
			return "'cstorage unshare' gives a shell in which the files of your "
			       "containers are yours";
		return is_rootless() ? "it belongs to another user; root's store takes root" : NULL;
	case ENOSPC:
	case EDQUOT: return "'cstorage df' shows what takes how much room";
	default: return NULL;
	}
}

static const char *of_code(const struct invocation *in, const cst_error *error)
{
	switch (cst_error_code(error)) {
	case CST_EDATA_UNKNOWN: return list_of_data(in);
	case CST_ELAYER_HAS_CHILDREN:
	case CST_ELAYER_USED_BY_IMAGE:
	case CST_EIMAGE_USED_BY_CONTAINER:
		return "what uses it has to be deleted first; 'cstorage tree' shows it";
	case CST_ELAYER_USED_BY_CONTAINER:
		return command_code(in->command)->run == run_shutdown
		               ? "'cstorage shutdown --force' unmounts the layers first"
		               : "the container has to be deleted first; 'cstorage tree' shows it";
	case CST_EDUPLICATE_ID:
	case CST_EDUPLICATE_NAME:
	case CST_EDUPLICATE_IMAGE_NAMES:
	case CST_EDUPLICATE_LAYER_NAMES: return "'cstorage inspect' shows what has it";
	case CST_ELAYER_NOT_MOUNTED: return "'cstorage mount' mounts it";
	case CST_EINVALID_MAPPINGS:
	case CST_ENO_AVAILABLE_IDS: return "/etc/subuid and /etc/subgid say which ids there are";
	case CST_EINCOMPLETE_OPTIONS: return "-g and -R say where the store is, or storage.conf(5)";
	case CST_ESTORE_READ_ONLY:
		if (is_on(in, OPT_READ_ONLY_STORE))
			return "without --read-only-store it can be changed";
		return in->store_options.read_only
		               ? "the graph root cannot be written by this user, so "
		                 "the store is only read"
		               : NULL;
	case CST_ECORRUPT:
		if (!in->store || command_code(in->command)->run == run_check)
			return NULL;
		return "'cstorage check' tells what is damaged, and mends it with --repair";
	case CST_EBUSY: return "'cstorage locks' shows who holds the lock";
	case CST_ESYS: return of_errno(cst_error_errno(error));
	default: return NULL;
	}
}

/* Does not print the same line twice in a row. */
static void say(const char *text)
{
	static char *said;
	if (said && strcmp(said, text) == 0)
		return;
	free(said);
	said = strdup(text);
	fputs("Hint: ", stderr);
	write_message(stderr, text, false);
	fputc('\n', stderr);
}

/* ---- what was not found ---- */

/* Of more objects the nearest is not looked for: a mistyped name would cost more than a right one. */
#define MANY 2000

struct search {
	struct nearest nearest;
	enum kinds kind;                 /* of the nearest */
	char beginning[2][SHORT_ID + 1]; /* of IDs that begin with the word */
	size_t n_beginning;
};

static void offer_beginning(struct search *search, const char *id)
{
	if (strncmp(id, search->nearest.word, strlen(search->nearest.word)) != 0)
		return;
	if (search->n_beginning < 2)
		snprintf(search->beginning[search->n_beginning], SHORT_ID + 1, "%s", id);
	search->n_beginning++;
}

/* A word of hex digits may be the beginning of an ID, so it is compared with as many digits of each
 * ID. */
static void offer_id(struct nearest *nearest, const char *id)
{
	char beginning[65];
	size_t length = strlen(nearest->word);
	bool is_hex = length >= 6 && length < sizeof(beginning) &&
	              strspn(nearest->word, "0123456789abcdef") == length;
	if (is_hex && strlen(id) >= length) {
		snprintf(beginning, sizeof(beginning), "%.*s", (int)length, id);
		nearest_offer(nearest, beginning);
	}
}

static void offer(enum kinds kind, const char *id, const char *const *names, size_t n,
                  void *userdata)
{
	struct search *search = userdata;
	const char *before = search->nearest.found;
	for (size_t i = 0; i < n; i++)
		nearest_offer(&search->nearest, names[i]);
	offer_id(&search->nearest, id);
	offer_beginning(search, id);
	if (search->nearest.found != before)
		search->kind = kind;
}

static const char *article(unsigned kinds)
{
	return kinds == KIND_IMAGE ? "an" : "a";
}

/* The full name of an image that was named as podman allows it: "alpine" is docker.io/library/alpine:latest. */
static char *full_name(const struct invocation *in, unsigned kinds, const char *text)
{
	char *name = NULL;
	if (!(kinds & KIND_IMAGE) || cst_image_name_normalise(text, &name, NULL) < 0)
		return NULL;
	if (strcmp(name, text) != 0 && object_kinds(in->store, KIND_IMAGE, name))
		return name;
	free(name);
	return NULL;
}

static int of_unknown(const struct invocation *in, unsigned kinds, const char *text, char **line)
{
	_cleanup_text_ char *full = full_name(in, kinds, text);
	struct search search = {.nearest = {.word = text}};
	if (full)
		return asprintf(line, "did you mean the image '%s'?", full);
	if (text[0])
		each_object(in->store, kinds, MANY, offer, &search);
	int length = 0;
	if (search.n_beginning > 1)
		length = asprintf(line,
		                  "several IDs begin with '%s', such as %s and %s: more digits of "
		                  "it are needed.",
		                  text, search.beginning[0], search.beginning[1]);
	else if (search.nearest.found)
		length = asprintf(line, "did you mean the %s '%s'?", kinds_text(search.kind),
		                  search.nearest.found);
	else
		length = asprintf(line, "%s.", list_of(kinds));
	nearest_done(&search.nearest);
	return length;
}

/* The item exists, but not as what the verb takes. */
static int of_other_kind(const struct invocation *in, unsigned kinds, unsigned other,
                         const char *text, char **line)
{
	if (command_code(in->command)->run == run_mount && other == KIND_IMAGE)
		return asprintf(line, "'%s' is an image, which is mounted with --read-only.", text);
	return asprintf(line, "'%s' is %s %s, not %s %s.", text, article(other), kinds_text(other),
	                article(kinds), kinds_text(kinds));
}

void hint_unknown(const struct invocation *in, unsigned kinds, const char *text)
{
	_cleanup_text_ char *line = NULL;
	/* Without --read-only only layers and containers are mounted. */
	if (command_code(in->command)->run == run_mount)
		kinds = is_on(in, OPT_READ_ONLY) ? KIND_IMAGE : KIND_LAYER | KIND_CONTAINER;
	unsigned other = text[0] ? object_kinds(in->store, KIND_ANY & ~kinds, text) : 0;
	/* Keeps the lowest bit: the first of these kinds. */
	other &= ~other + 1;
	int length = other ? of_other_kind(in, kinds, other, text, &line)
	                   : of_unknown(in, kinds, text, &line);
	if (length < 0)
		line = NULL;
	if (line)
		say(line);
}

static bool is_unknown(int code)
{
	static const int codes[] = {CST_ELAYER_UNKNOWN,   CST_EPARENT_UNKNOWN,
	                            CST_ENOT_A_LAYER,     CST_EIMAGE_UNKNOWN,
	                            CST_ENOT_AN_IMAGE,    CST_ECONTAINER_UNKNOWN,
	                            CST_ENOT_A_CONTAINER, CST_ENOT_AN_ID};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i] == code)
			return true;
	return false;
}

/* The first operand that names nothing. Of LAYER:PATH (the verb copy) that is the part in front of
 * the colon. */
static char *unknown_operand(const struct invocation *in)
{
	for (size_t i = 0; i < in->n_operands; i++) {
		const char *operand = in->operands[i];
		bool has_path = command_code(in->command)->run == run_copy;
		if (has_path && !strchr(operand, ':'))
			continue;
		char *name = has_path ? strndup(operand, strcspn(operand, ":")) : strdup(operand);
		if (!name || object_kinds(in->store, in->command->kinds, name) == 0)
			return name;
		free(name);
	}
	return NULL;
}

static void hint_of_unknown(const struct invocation *in, const cst_error *error)
{
	const char *object = cst_error_object(error);
	_cleanup_text_ char *operand = object[0] ? strdup(object) : unknown_operand(in);
	hint_unknown(in, in->command->kinds, operand ? operand : "");
}

void hint_at(const struct invocation *in, const char *text)
{
	_cleanup_text_ char *line = NULL;
	if (in->personality != GO_STYLE && asprintf(&line, "%s.", text) >= 0)
		say(line);
}

void hint(const struct invocation *in, const cst_error *error)
{
	if (in->personality == GO_STYLE)
		return;
	if (in->store && in->command->kinds && is_unknown(cst_error_code(error))) {
		hint_of_unknown(in, error);
		return;
	}
	const char *text = of_code(in, error), *message = error_text(in, error);
	if (!text && strstr(message, "several valid graphdrivers"))
		text = "-s DRIVER chooses one of them";
	if (!text && strstr(message, "driver not supported"))
		text = "-s takes btrfs, overlay, vfs or zfs; without it the driver is found";
	if (text)
		hint_at(in, text);
}
