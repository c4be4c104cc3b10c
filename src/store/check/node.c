/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of files in memory (node.h). */
#include "store/check/node.h"
#include "base/str.h"

void nodes_init(struct nodes *nodes)
{
	*nodes = (struct nodes){.root = {.path = ""},
	                        .root_attributes = {.type = '5', .target = ""}};
	nodes->root.attributes = &nodes->root_attributes;
	nodes->last = &nodes->first;
}

void nodes_free(struct nodes *nodes)
{
	hashmap_free(&nodes->by_path);
	arena_clear(&nodes->arena);
}

struct node *nodes_get(struct nodes *nodes, const char *path)
{
	return *path ? hashmap_get(&nodes->by_path, path) : &nodes->root;
}

struct node *nodes_add(struct nodes *nodes, struct node *parent, const char *base,
                       struct node_attributes *attributes)
{
	struct node *node = arena_alloc(&nodes->arena, sizeof(*node));
	size_t n = strlen(parent->path), n_base = strlen(base);
	char *path = arena_alloc(&nodes->arena, n + n_base + 2);
	if (!attributes)
		attributes = arena_alloc(&nodes->arena, sizeof(*attributes));
	if (!node || !path || !attributes)
		return NULL;
	memcpy(path, parent->path, n);
	if (n)
		path[n++] = '/';
	memcpy(path + n, base, n_base + 1);
	*node = (struct node){.path = path,
	                      .attributes = attributes,
	                      .parent = parent,
	                      .next = parent->first_child};
	if (!hashmap_put(&nodes->by_path, path, node))
		return NULL;
	if (node->next)
		node->next->previous = node;
	parent->first_child = node;
	*nodes->last = node;
	nodes->last = &node->newer;
	return node;
}

static void forget(struct nodes *nodes, struct node *node)
{
	hashmap_remove(&nodes->by_path, node->path);
	node->gone = true;
	if (node->previous)
		node->previous->next = node->next;
	else
		node->parent->first_child = node->next;
	if (node->next)
		node->next->previous = node->previous;
}

static struct node *deepest(struct node *node)
{
	while (node->first_child)
		node = node->first_child;
	return node;
}

void nodes_remove(struct nodes *nodes, struct node *node, bool itself, unsigned keep)
{
	for (struct node *at = deepest(node), *next; at != node;
	     at = next) { /* trees are deep: no recursion */
		next = at->next ? deepest(at->next) : at->parent;
		if (!at->first_child && at->layer != keep)
			forget(nodes, at);
	}
	if (itself && node != &nodes->root)
		forget(nodes, node);
}
