/* SPDX-License-Identifier: Apache-2.0 */
/* What to do next about a failure: one line on stderr behind the message. */
#include "command.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char lists_all[] = "'cstorage tree' lists images, layers and containers";

/* What lists the items among which one was not found. A verb that takes several kinds reports the
 * last one it tried. */
static const char *list_of(const struct invocation *in, const char *list)
{
	return in->command && strstr(in->command->operands, "OrContainer") ? lists_all : list;
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
	case CST_ELAYER_UNKNOWN:
	case CST_EPARENT_UNKNOWN:
	case CST_ENOT_A_LAYER: return list_of(in, "'cstorage layers' lists the layers");
	case CST_EIMAGE_UNKNOWN:
	case CST_ENOT_AN_IMAGE: return list_of(in, "'cstorage images' lists the images");
	case CST_ECONTAINER_UNKNOWN:
	case CST_ENOT_A_CONTAINER: return list_of(in, "'cstorage containers' lists the containers");
	case CST_ENOT_AN_ID: return lists_all;
	case CST_EDATA_UNKNOWN: return list_of_data(in);
	case CST_ELAYER_HAS_CHILDREN:
	case CST_ELAYER_USED_BY_IMAGE:
	case CST_EIMAGE_USED_BY_CONTAINER:
		return "what uses it has to be deleted first; 'cstorage tree' shows it";
	case CST_ELAYER_USED_BY_CONTAINER:
		return in->command->run == run_shutdown
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
	case CST_EBUSY: return "'cstorage locks' shows who holds the lock";
	case CST_ESYS: return of_errno(cst_error_errno(error));
	default: return NULL;
	}
}

void hint(const struct invocation *in, const cst_error *error)
{
	static const char *said;
	if (in->personality == GO_STYLE)
		return;
	const char *text = of_code(in, error), *message = error_text(in, error);
	if (!text && strstr(message, "several valid graphdrivers"))
		text = "-s DRIVER chooses one of them";
	if (!text && strstr(message, "driver not supported"))
		text = "-s takes overlay or vfs; without it the driver is found";
	if (text && text != said)
		fprintf(stderr, "Hint: %s.\n", text);
	said = text;
}
