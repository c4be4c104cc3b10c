/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the documents of an image. Unknown members are skipped; what is missing or of another kind
 * is refused. */
#include "oci/manifest.h"
#include "base/json.h"

#define REF_NAME   "org.opencontainers.image.ref.name"
#define MAX_LAYERS 10000 /* images that tools make have some hundred at most */

void descriptors_free(struct descriptors *list)
{
	free(list->items);
	*list = (struct descriptors){0};
}

void manifest_free(struct manifest *manifest)
{
	descriptors_free(&manifest->layers);
}

void image_config_free(struct image_config *config)
{
	strv_free(&config->diff_ids);
}

bool is_index(const struct descriptor *d)
{
	return streq(d->media_type, "application/vnd.oci.image.index.v1+json") ||
	       streq(d->media_type, "application/vnd.docker.distribution.manifest.list.v2+json");
}

/* ---- members that tell what a document is ---- */

enum { CONFIG = 1, LAYERS = 2, MANIFESTS = 4, OLD_LAYERS = 8, HISTORY = 16 };

/* The member of a manifest or an index that this key names; 0: none of them. It is refused the second time. */
static unsigned member_of(struct json_reader *r, const char *key, unsigned *seen)
{
	static const struct {
		const char *key;
		unsigned member;
	} members[] = {{"config", CONFIG},
	               {"layers", LAYERS},
	               {"manifests", MANIFESTS},
	               {"fsLayers", OLD_LAYERS},
	               {"history", HISTORY}};
	unsigned member = 0;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (json_key_is(key, members[i].key))
			member = members[i].member;
	if (member & *seen)
		json_fail(r, "a member comes twice");
	*seen |= member;
	return member;
}

/* Another tool could read it as another image, which then had the same digest (CVE-2021-41190). */
static int check_members(unsigned seen, unsigned allowed, const char *shown, cst_error **error)
{
	return seen & ~allowed ? error_set(error, CST_EARCHIVE,
	                                   "%s has members of several kinds of document", shown)
	                       : 0;
}

static bool read_annotations(struct json_reader *r, struct descriptor *d)
{
	const char *key;
	if (!json_object_begin(r))
		return json_ok(r);
	while (json_object_next(r, &key))
		if (!(streq(key, REF_NAME) ? json_string(r, &d->reference) : json_skip(r)))
			return false;
	return json_ok(r);
}

static bool read_platform(struct json_reader *r, struct descriptor *d)
{
	const char *key;
	if (!json_object_begin(r))
		return json_ok(r);
	while (json_object_next(r, &key)) {
		if (json_key_is(key, "architecture"))
			json_string(r, &d->architecture);
		else if (json_key_is(key, "os"))
			json_string(r, &d->os);
		else
			json_skip(r);
	}
	return json_ok(r);
}

static bool read_descriptor(struct json_reader *r, struct descriptor *d)
{
	const char *key;
	*d = (struct descriptor){.media_type = "",
	                         .digest = "",
	                         .size = -1,
	                         .reference = "",
	                         .architecture = "",
	                         .os = ""};
	if (!json_object_begin(r))
		return json_fail(r, "a descriptor is missing");
	while (json_object_next(r, &key)) {
		if (json_key_is(key, "mediaType"))
			json_string(r, &d->media_type);
		else if (json_key_is(key, "digest"))
			json_string(r, &d->digest);
		else if (json_key_is(key, "size"))
			json_int64(r, &d->size);
		else if (json_key_is(key, "annotations"))
			read_annotations(r, d);
		else if (json_key_is(key, "platform"))
			read_platform(r, d);
		else
			json_skip(r);
	}
	return json_ok(r);
}

static bool read_descriptors(struct json_reader *r, struct descriptors *list)
{
	if (!json_array_begin(r))
		return json_ok(r);
	while (json_array_next(r)) {
		if (list->len == MAX_LAYERS)
			return json_fail(r, "there are too many descriptors");
		void *grown = grow_array(list->items, &list->capacity, list->len + 1,
		                         sizeof(*list->items));
		if (!grown) {
			r->arena->failed = true;
			return json_fail(r, "there is not enough memory");
		}
		list->items = grown;
		if (!read_descriptor(r, &list->items[list->len]))
			return false;
		list->len++;
	}
	return json_ok(r);
}

/* Makes the reader's error one of the archive: nothing in the store is damaged. */
static int document_error(const struct json_reader *r, const char *shown, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (r->arena->failed)
		return error_oom(error);
	(void)json_error(r, shown, &problem);
	return error_set(error, CST_EARCHIVE, "%s", cst_error_message(problem));
}

int index_parse(const char *json, size_t len, const char *shown, struct arena *arena,
                struct descriptors *ret, cst_error **error)
{
	struct json_reader r;
	const char *key;
	_cleanup_(descriptors_free) struct descriptors list = {0};
	unsigned seen = 0;
	json_reader_init(&r, json, len, arena);
	bool read = json_object_begin(&r);
	while (read && json_object_next(&r, &key))
		read = member_of(&r, key, &seen) == MANIFESTS ? read_descriptors(&r, &list)
		                                              : json_skip(&r);
	if (!json_ok(&r) || !json_finish(&r) || arena->failed)
		return document_error(&r, shown, error);
	int result = check_members(seen, MANIFESTS, shown, error);
	if (result < 0)
		return result;
	*ret = list;
	list = (struct descriptors){0};
	return 0;
}

static int check_manifest(const struct manifest *manifest, int64_t schema, const char *shown,
                          cst_error **error)
{
	if (schema != 2 || !manifest->config.digest)
		return error_set(error, CST_ENOTSUP,
		                 "%s is not a manifest of OCI or of Docker's schema 2", shown);
	for (size_t i = 0; i < manifest->layers.len; i++) {
		const char *type = manifest->layers.items[i].media_type;
		if (!strstr(type, "tar") || strstr(type, "encrypted"))
			return error_set(error, CST_ENOTSUP,
			                 "%s has a layer of the media type \"%s\", which cannot be "
			                 "unpacked",
			                 shown, type);
	}
	return 0;
}

int manifest_parse(const char *json, size_t len, const char *shown, struct arena *arena,
                   struct manifest *ret, cst_error **error)
{
	struct json_reader r;
	const char *key;
	int64_t schema = 0;
	unsigned seen = 0;
	_cleanup_(manifest_free) struct manifest manifest = {0};
	json_reader_init(&r, json, len, arena);
	bool read = json_object_begin(&r);
	while (read && json_object_next(&r, &key)) {
		unsigned member = member_of(&r, key, &seen);
		if (member == CONFIG)
			read_descriptor(&r, &manifest.config);
		else if (member == LAYERS)
			read_descriptors(&r, &manifest.layers);
		else if (json_key_is(key, "schemaVersion"))
			json_int64(&r, &schema);
		else
			json_skip(&r);
	}
	if (!json_ok(&r) || !json_finish(&r) || arena->failed)
		return document_error(&r, shown, error);
	int result = check_manifest(&manifest, schema, shown, error);
	if (result == 0)
		result = check_members(seen, CONFIG | LAYERS, shown, error);
	if (result < 0)
		return result;
	*ret = manifest;
	manifest = (struct manifest){0};
	return 0;
}

static bool read_diff_ids(struct json_reader *r, struct strv *diff_ids)
{
	if (!json_array_begin(r))
		return json_ok(r);
	while (json_array_next(r)) {
		const char *id = "";
		if (!json_string(r, &id))
			return false;
		if (!strv_add(diff_ids, id)) {
			r->arena->failed = true;
			return json_fail(r, "there is not enough memory");
		}
	}
	return json_ok(r);
}

static bool read_rootfs(struct json_reader *r, struct strv *diff_ids, bool *seen)
{
	const char *key;
	if (!json_object_begin(r))
		return json_ok(r);
	while (json_object_next(r, &key)) {
		if (!json_key_is(key, "diff_ids"))
			json_skip(r);
		else if (*seen)
			json_fail(r, "a member comes twice");
		else
			*seen = read_diff_ids(r, diff_ids);
	}
	return json_ok(r);
}

int image_config_parse(const char *json, size_t len, const char *shown, struct image_config *ret,
                       cst_error **error)
{
	struct json_reader r;
	const char *key, *created = "";
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_(image_config_free) struct image_config config = {0};
	bool seen = false;
	json_reader_init(&r, json, len, &arena);
	bool read = json_object_begin(&r);
	while (read && json_object_next(&r, &key)) {
		if (json_key_is(key, "created"))
			json_string(&r, &created);
		else if (json_key_is(key, "rootfs"))
			read_rootfs(&r, &config.diff_ids, &seen);
		else
			json_skip(&r);
	}
	if (!json_ok(&r) || !json_finish(&r) || arena.failed)
		return document_error(&r, shown, error);
	config.has_created = timestamp_parse(created, strlen(created), &config.created);
	*ret = config;
	config = (struct image_config){0};
	return 0;
}
