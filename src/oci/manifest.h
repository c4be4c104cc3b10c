/* SPDX-License-Identifier: Apache-2.0 */
/* What the JSON documents of an image say: an index of manifests, a manifest, a configuration.
 * Those of OCI and of Docker (schema 2) have the same members
 * (https://github.com/opencontainers/image-spec). The strings go into the arena. */
#ifndef CST_OCI_MANIFEST_H
#define CST_OCI_MANIFEST_H

#include "base/timestamp.h"
#include "oci/layout.h"

struct manifest {
	struct descriptor config;
	struct descriptors layers; /* the base first */
};

struct image_config {
	struct strv diff_ids; /* of the layers, the base first */
	bool has_created;
	struct timestamp created;
};

/* `shown` names the document in messages. CST_EARCHIVE: it is no such document. CST_ENOTSUP: it is
 * of another kind. */
int index_parse(const char *json, size_t len, const char *shown, struct arena *arena, struct descriptors *ret,
		cst_error **error);
int manifest_parse(const char *json, size_t len, const char *shown, struct arena *arena, struct manifest *ret,
		   cst_error **error);
int image_config_parse(const char *json, size_t len, const char *shown, struct image_config *ret, cst_error **error);

bool is_index(const struct descriptor *d);
void manifest_free(struct manifest *manifest);
void descriptors_free(struct descriptors *list);
void image_config_free(struct image_config *config);

#endif
