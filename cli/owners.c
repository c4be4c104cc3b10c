/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs layer-parent-owners and container-parent-owners. */
#include "objects.h"
#include <stdio.h>

struct owners {
	char *id;
	uint32_t *uids, *gids;
	size_t n_uids, n_gids;
};

static void print_ids(const char *title, const uint32_t *ids, size_t n)
{
	printf("%s: [", title);
	for (size_t i = 0; i < n; i++)
		printf("%s%u", i ? " " : "", ids[i]);
	printf("]\n");
}

static void print_json_ids(const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%c%u", i ? ',' : '[', ids[i]);
	fputs(n ? "]" : "null", stdout);
}

static void print_owners(const struct owners *owners, bool json, bool empty_lines)
{
	if (json) {
		fputs("{\"ID\":", stdout);
		json_print_string(owners->id);
		fputs(",\"UIDs\":", stdout);
		print_json_ids(owners->uids, owners->n_uids);
		fputs(",\"GIDs\":", stdout);
		print_json_ids(owners->gids, owners->n_gids);
		fputs("}\n", stdout);
		return;
	}
	print_field("ID: ", owners->id);
	if (owners->n_uids > 0 || empty_lines)
		print_ids("UIDs", owners->uids, owners->n_uids);
	if (owners->n_gids > 0 || empty_lines)
		print_ids("GIDs", owners->gids, owners->n_gids);
}

static bool find_id(cst_store *store, const char *operand, bool container, char **ret)
{
	if (container) {
		cst_container *found = NULL;
		if (cst_store_container(store, operand, &found, NULL) < 0)
			return false;
		(void)!asprintf(ret, "%s", cst_container_id(found));
		cst_container_free(found);
	} else {
		cst_layer *found = NULL;
		if (cst_store_layer(store, operand, &found, NULL) < 0)
			return false;
		(void)!asprintf(ret, "%s", cst_layer_id(found));
		cst_layer_free(found);
	}
	return *ret != NULL;
}

static int print_parent_owners(const struct invocation *in, bool container)
{
	int code = 0;
	for (size_t i = 0; i < in->n_operands; i++) {
		_cleanup_error_ cst_error *error = NULL;
		struct owners owners = {0};
		if (!find_id(in->store, in->operands[i], container, &owners.id)) {
			complain_unknown(in, in->operands[i]);
			code = 1;
			continue;
		}
		int result = (container ? cst_store_container_parent_owners
		                        : cst_store_layer_parent_owners)(
		        in->store, owners.id, &owners.uids, &owners.n_uids, &owners.gids,
		        &owners.n_gids, &error);
		if (result < 0) {
			complain(in, "%s: %s",
			         container ? "ContainerParentOwner" : "LayerParentOwner",
			         error_text(in, error));
			free(owners.id);
			return 1;
		}
		print_owners(&owners, is_on(in, OPT_JSON), container);
		cst_free(owners.uids);
		cst_free(owners.gids);
		free(owners.id);
	}
	return code;
}

int run_layer_parent_owners(struct invocation *in)
{
	return print_parent_owners(in, false);
}

int run_container_parent_owners(struct invocation *in)
{
	return print_parent_owners(in, true);
}
