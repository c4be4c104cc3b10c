/* SPDX-License-Identifier: Apache-2.0 */
/* The option --userns=auto[:size=N,uidmapping=MAP,gidmapping=MAP], which podman words like this, too. */
#include "create.h"
#include <string.h>

void auto_userns_done(struct auto_userns *userns)
{
	free(userns->uids);
	free(userns->gids);
}

static int add_mapping(const struct invocation *in, const char *map, bool group, cst_idmap **list,
                       size_t *n)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_idmap *ranges = NULL;
	size_t n_ranges = 0;
	if (cst_idmap_parse(map, group, &ranges, &n_ranges, &error) < 0)
		return fail(in, error);
	return append_ranges(list, n, ranges, n_ranges) ? 0 : fail_out_of_memory(in);
}

static bool parse_size(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* Takes one "key=value". Returns an exit code. */
static int take(const struct invocation *in, struct auto_userns *userns, const char *item)
{
	cst_auto_userns_options *options = &userns->options;
	if (strncmp(item, "uidmapping=", 11) == 0)
		return add_mapping(in, item + 11, false, &userns->uids, &options->n_uid_map);
	if (strncmp(item, "gidmapping=", 11) == 0)
		return add_mapping(in, item + 11, true, &userns->gids, &options->n_gid_map);
	if (strncmp(item, "size=", 5) == 0 && parse_size(item + 5, &options->ids))
		return 0;
	complain(in, "--userns=auto takes size=N, uidmapping=MAP and gidmapping=MAP, not \"%s\"",
	         item);
	return 1;
}

int auto_userns_from_options(const struct invocation *in, struct auto_userns *userns,
                             cst_container_options *options)
{
	const char *text = text_of(in, OPT_AUTO_USERNS);
	if (!value_of(in, OPT_AUTO_USERNS)->given)
		return 0;
	if (strcmp(text, "auto") != 0 && strncmp(text, "auto:", 5) != 0) {
		complain(in,
		         "--userns takes auto, or auto:size=N,uidmapping=MAP,gidmapping=MAP, "
		         "not \"%s\"",
		         text);
		return 1;
	}
	userns->options = (cst_auto_userns_options)CST_AUTO_USERNS_OPTIONS_INIT;
	_cleanup_text_ char *list = text[4] ? strdup(text + 5) : NULL;
	if (text[4] && !list)
		return fail_out_of_memory(in);
	char *rest = list;
	int code = 0;
	for (char *item; !code && (item = strsep(&rest, ","));)
		code = take(in, userns, item);
	userns->options.uid_map = userns->uids;
	userns->options.gid_map = userns->gids;
	options->auto_userns = &userns->options;
	return code;
}
