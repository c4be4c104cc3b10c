/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#include <stdio.h>
#include <string.h>

/* A line of the answer: "not there" for whatever kind of failure says so; an error is another answer. */
static void say(const char *question, const char *word, int r, char *found)
{
	printf("%s %s: %d %s\n", question, word, r, r == 0 && found ? found : "");
	cst_free(found);
}

#define SAY_ONE(kind, question, word, call)                              \
	do {                                                             \
		cst_##kind *found = NULL;                                \
		char *text = NULL;                                       \
		int r = (call);                                          \
		if (r == 0)                                              \
			r = cst_##kind##_json(found, &text, NULL, NULL); \
		say(question, word, r, text);                            \
		cst_##kind##_free(found);                                \
	} while (0)

#define SAY_LIST(kind, question, word, call)                                                       \
	do {                                                                                       \
		cst_##kind##_list *found = NULL;                                                   \
		int r = (call);                                                                    \
		say(question, word, r, NULL);                                                      \
		for (size_t i = 0; r == 0 && i < cst_##kind##_list_size(found); i++) {             \
			char *text = NULL;                                                         \
			r = cst_##kind##_json(cst_##kind##_list_get(found, i), &text, NULL, NULL); \
			say("-", "", r, text);                                                     \
		}                                                                                  \
		cst_##kind##_list_free(found);                                                     \
	} while (0)

static void answer(cst_store *store, const char *word)
{
	char *id = NULL;
	printf("exists %s: %d\n", word, cst_store_exists(store, word));
	int r = cst_store_lookup(store, word, &id, NULL);
	say("lookup", word, r, id);
	SAY_ONE(layer, "layer", word, cst_store_layer(store, word, &found, NULL));
	SAY_ONE(image, "image", word, cst_store_image(store, word, &found, NULL));
	SAY_ONE(container, "container", word, cst_store_container(store, word, &found, NULL));
	SAY_ONE(container, "container of layer", word,
	        cst_store_container_by_layer(store, word, &found, NULL));
	SAY_LIST(image, "images on", word,
	         cst_store_images_by_top_layer(store, word, &found, NULL));
	if (strncmp(word, "sha256:", 7) != 0)
		return;
	SAY_LIST(image, "images by digest", word,
	         cst_store_images_by_digest(store, word, &found, NULL));
	SAY_LIST(layer, "layers by compressed digest", word,
	         cst_store_layers_by_compressed_digest(store, word, &found, NULL));
	SAY_LIST(layer, "layers by diff digest", word,
	         cst_store_layers_by_diff_digest(store, word, &found, NULL));
	SAY_LIST(layer, "layers by TOC digest", word,
	         cst_store_layers_by_toc_digest(store, word, &found, NULL));
}

int print_answers(cst_store *store, char **words, cst_error **error)
{
	(void)error;
	for (; *words; words++)
		answer(store, *words);
	SAY_LIST(layer, "all", "layers", cst_store_layers(store, &found, NULL));
	SAY_LIST(image, "all", "images", cst_store_images(store, &found, NULL));
	SAY_LIST(container, "all", "containers", cst_store_containers(store, &found, NULL));
	return 0;
}
