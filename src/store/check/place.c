/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of places share: blobs with the digests that their names tell, and those that they have. */
#include "store/check/place.h"
#include "base/fs.h"
#include "base/types.h"

void blob_reader_done(struct blob_reader *reader)
{
	if (reader->unpacked)
		plain_source_free(reader->unpacked);
	closep(&reader->fd);
}

/* ---- names ---- */

static size_t count_hex(const char *text)
{
	return strspn(text, "0123456789abcdef");
}

/* A name that is a digest, "blobs/sha512/HEX" or "HEX.tar", tells it. */
static const char *digest_of_name(struct arena *arena, const char *path)
{
	const char *name = path_base(path);
	size_t n = count_hex(name);
	bool ends = name[n] == '\0' || name[n] == '.';
	_cleanup_free_ char *digest = NULL;
	if (ends && n == 64)
		digest = str_printf("sha256:%.64s", name);
	else if (ends && n == 96)
		digest = str_printf("sha384:%.96s", name);
	else if (ends && n == 128)
		digest = str_printf("sha512:%.128s", name);
	else
		return "";
	return digest ? arena_strdup(arena, digest) : NULL;
}

int place_add(struct place *place, const char *path, struct blob **ret, cst_error **error)
{
	if (place->len >= PLACE_BLOBS_MAX)
		return error_set(error, CST_EINVAL, "%s has more than %d files", place->path,
		                 PLACE_BLOBS_MAX);
	struct blob *grown =
	        grow_array(place->blobs, &place->capacity, place->len + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	place->blobs = grown;
	*ret = &grown[place->len];
	**ret = (struct blob){.name = arena_strdup(&place->arena, path),
	                      .named = digest_of_name(&place->arena, path),
	                      .digest = "",
	                      .plain = ""};
	if (!(*ret)->name || !(*ret)->named)
		return error_oom(error);
	place->len++;
	return 0;
}

/* ---- content ---- */

static int tell(const struct place *place, cst_error **error)
{
	const cst_progress_state state = {
	        .size = sizeof(state), .what = "repair", .bytes_done = *place->bytes_read};
	return progress_tell(place->progress, &state, error);
}

int place_sum(struct place *place, struct blob_sum *sum, const void *data, size_t n,
              cst_error **error)
{
	*place->bytes_read += n;
	int r = tell(place, error);
	return r == 0 ? blob_sum_add(sum, data, n, error) : r;
}

int place_sum_end(struct place *place, struct blob_sum *sum, struct blob *blob, cst_error **error)
{
	char digest[DIGEST_TEXT_MAX], plain[DIGEST_TEXT_MAX];
	int r = blob_sum_end(sum, digest, plain, error);
	if (r < 0)
		return r;
	blob->digest = arena_strdup(&place->arena, digest);
	blob->plain = arena_strdup(&place->arena, plain);
	return place->arena.failed ? error_oom(error) : 0;
}
