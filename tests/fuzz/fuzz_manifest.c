/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of an image: an index, a manifest, a configuration. No bytes are an index and a manifest. */
#include "fuzz.h"

#include <string.h>

#include "base/str.h"
#include "oci/manifest.h"

static void look_at(const struct descriptors *list)
{
	for (size_t i = 0; i < list->len; i++) {
		const struct descriptor *d = &list->items[i];
		MUST(strlen(d->media_type) + strlen(d->digest) + strlen(d->reference) < SIZE_MAX);
		(void)is_index(d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *)data;
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_(descriptors_free) struct descriptors index = {0};
	_cleanup_(manifest_free) struct manifest manifest = {0};
	_cleanup_(image_config_free) struct image_config config = {0};
	_cleanup_error_ cst_error *error = NULL, *other = NULL, *third = NULL;
	int r = index_parse(json, size, "it", &arena, &index, &error);
	MUST((r == 0) == (error == NULL) && (r == 0 || index.len == 0));
	int code = manifest_parse(json, size, "it", &arena, &manifest, &other);
	MUST((code == 0) == (other == NULL));
	MUST(code < 0 || (manifest.config.digest && index.len == 0));
	look_at(&index);
	look_at(&manifest.layers);
	code = image_config_parse(json, size, "it", &config, &third);
	MUST((code == 0) == (third == NULL));
	return 0;
}
