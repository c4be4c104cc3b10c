/* SPDX-License-Identifier: Apache-2.0 */
/* The verb layers with --tree. */
#include "tree.h"
#include "command.h"
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Children are linked once, so that any number of layers in chains of any length costs one pass.
 * The path from the root down is on a stack of this file, not on the stack of the thread. */
struct root {
	const char *name;
	size_t first_child, last_child, n_children;
	size_t order; /* of appearance */
};

struct walk {
	struct tree_node *nodes;
	void (*print_notes)(size_t index, const char *prefix, void *userdata);
	void *userdata;
	char *indent; /* two columns for each level */
	size_t indent_length, indent_allocated;
};

static const char stem[] = "\u2500", more[] = "\u251c", last[] = "\u2514", vertical[] = "\u2502";

static int by_id(const void *a, const void *b)
{
	const struct tree_node *const *left = a, *const *right = b;
	return strcmp((*left)->id, (*right)->id);
}

/* Fills in parent_index. */
static bool find_parents(struct tree_node *nodes, size_t n)
{
	struct tree_node **sorted = calloc(n, sizeof(struct tree_node *));
	if (!sorted)
		return false;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &nodes[i];
	qsort(sorted, n, sizeof(struct tree_node *), by_id);
	for (size_t i = 0; i < n; i++) {
		struct tree_node wanted = {.id = nodes[i].parent}, *key = &wanted;
		struct tree_node **found =
		        bsearch(&key, sorted, n, sizeof(struct tree_node *), by_id);
		nodes[i].parent_index = found ? (size_t)(*found - nodes) : TREE_NO_PARENT;
	}
	free(sorted);
	return true;
}

static void link_child(struct tree_node *nodes, size_t *first, size_t *last_linked, size_t child)
{
	if (*first == TREE_NO_PARENT)
		*first = child;
	else
		nodes[*last_linked].next_sibling = child;
	*last_linked = child;
}

static void link_children(struct tree_node *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		nodes[i].first_child = nodes[i].last_child = nodes[i].next_sibling = TREE_NO_PARENT;
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].parent_index == TREE_NO_PARENT)
			continue;
		struct tree_node *parent = &nodes[nodes[i].parent_index];
		link_child(nodes, &parent->first_child, &parent->last_child, i);
		parent->n_children++;
	}
}

static bool set_indent(struct walk *walk, size_t length, const char *tail)
{
	size_t needed = length + strlen(tail) + 1;
	if (needed > walk->indent_allocated) {
		size_t allocated = needed * 2 + 64;
		char *grown = realloc(walk->indent, allocated);
		if (!grown)
			return false;
		walk->indent = grown;
		walk->indent_allocated = allocated;
	}
	strcpy(walk->indent + length, tail);
	walk->indent_length = length + strlen(tail);
	return true;
}

/* Prints one node at the current indent. The indent is then that of its children. */
static bool print_node(struct walk *walk, size_t index)
{
	bool is_last = walk->nodes[index].next_sibling == TREE_NO_PARENT;
	printf("%s%s%s", walk->indent, is_last ? last : more, stem);
	print_field("", walk->nodes[index].id);
	char tail[8];
	snprintf(tail, sizeof(tail), "%s ", is_last ? " " : vertical);
	if (!set_indent(walk, walk->indent_length, tail))
		return false;
	walk->print_notes(index, walk->indent, walk->userdata);
	return true;
}

/* Goes back to the indent of a node whose children have been printed. */
static void outdent(struct walk *walk, size_t index)
{
	bool was_last = walk->nodes[index].next_sibling == TREE_NO_PARENT;
	walk->indent_length -= was_last ? 2 : strlen(vertical) + 1;
	walk->indent[walk->indent_length] = '\0';
}

static bool print_subtree(struct walk *walk, size_t first)
{
	size_t index = first, depth = 0;
	if (!set_indent(walk, 0, ""))
		return false;
	for (;;) {
		struct tree_node *node = &walk->nodes[index];
		if (!print_node(walk, index))
			return false;
		if (node->first_child != TREE_NO_PARENT) {
			index = node->first_child;
			depth++;
			continue;
		}
		outdent(walk, index);
		while (walk->nodes[index].next_sibling == TREE_NO_PARENT) {
			if (depth == 0)
				return true;
			index = walk->nodes[index].parent_index;
			depth--;
			outdent(walk, index);
		}
		index = walk->nodes[index].next_sibling;
	}
}

static int by_children(const void *a, const void *b)
{
	const struct root *left = a, *right = b;
	if (left->n_children != right->n_children)
		return left->n_children < right->n_children ? -1 : 1;
	return left->order < right->order ? -1 : 1;
}

/* Collects the parents that are no nodes themselves, each with its children linked. Returns how
 * many. */
static size_t collect_roots(struct tree_node *nodes, size_t n, struct root *roots)
{
	size_t n_roots = 0;
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].parent_index != TREE_NO_PARENT)
			continue;
		size_t r = 0;
		while (r < n_roots && strcmp(roots[r].name, nodes[i].parent) != 0)
			r++;
		if (r == n_roots)
			roots[n_roots++] = (struct root){
			        .name = nodes[i].parent, .first_child = TREE_NO_PARENT, .order = r};
		link_child(nodes, &roots[r].first_child, &roots[r].last_child, i);
		roots[r].n_children++;
	}
	return n_roots;
}

bool tree_print(struct tree_node *nodes, size_t n,
                void (*print_notes)(size_t index, const char *prefix, void *userdata),
                void *userdata)
{
	if (n == 0)
		return true;
	struct root *roots = calloc(n, sizeof(*roots));
	bool ok = roots && find_parents(nodes, n);
	struct walk walk = {.nodes = nodes, .print_notes = print_notes, .userdata = userdata};
	if (ok) {
		link_children(nodes, n);
		size_t n_roots = collect_roots(nodes, n, roots);
		qsort(roots, n_roots, sizeof(*roots), by_children);
		for (size_t r = 0; r < n_roots && ok; r++) {
			print_field("", roots[r].name);
			ok = print_subtree(&walk, roots[r].first_child);
		}
	}
	free(walk.indent);
	free(roots);
	return ok;
}
