/* SPDX-License-Identifier: Apache-2.0 */
/* `layers --tree` (docs/format/command.md, "Listing and inspecting"). */
#ifndef CST_CLI_TREE_H
#define CST_CLI_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct tree_node {
	const char *parent, *id;
	size_t parent_index; /* TREE_NO_PARENT: not among the nodes */
	/* children in list order, filled in by tree_print */
	size_t first_child, last_child, next_sibling, n_children;
};
#define TREE_NO_PARENT ((size_t)-1)

/* Prints the tree. `print_notes` prints one line for each note of a node, behind the prefix. False:
 * out of memory. */
bool tree_print(struct tree_node *nodes, size_t n,
                void (*print_notes)(size_t index, const char *prefix, void *userdata),
                void *userdata);

#endif
