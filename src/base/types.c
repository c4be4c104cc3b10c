/* SPDX-License-Identifier: Apache-2.0 */
/* The public types of <cstorage/types.h>: sources and sinks, lists, pairs, the version, and the
 * size checks of option structs. */
#include "base/types.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/sys.h"
#include "config.h"
#include <errno.h>
#include <unistd.h>

/* ---- streams ---- */

static int64_t read_fd(void *userdata, void *buffer, size_t size, cst_error **error)
{
	int fd = (int)(intptr_t)userdata;
	ssize_t n;
	do
		n = read(fd, buffer, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_sys(error, errno, "read") : n;
}

static int write_fd(void *userdata, const void *data, size_t size, cst_error **error)
{
	int fd = (int)(intptr_t)userdata;
	return sys_write_all(fd, data, size) < 0 ? error_sys(error, errno, "write") : 0;
}

cst_source cst_source_fd(int fd)
{
	return (cst_source){.read = read_fd, .userdata = (void *)(intptr_t)fd};
}

cst_sink cst_sink_fd(int fd)
{
	return (cst_sink){.write = write_fd, .userdata = (void *)(intptr_t)fd};
}

static int64_t read_memory(void *userdata, void *buffer, size_t size, cst_error **error)
{
	cst_memory *memory = userdata;
	size_t n = MIN(size, memory->size - memory->offset);
	if (n)
		memcpy(buffer, memory->data + memory->offset, n);
	memory->offset += n;
	return (int64_t)n;
}

static int write_memory(void *userdata, const void *data, size_t size, cst_error **error)
{
	cst_memory *memory = userdata;
	if (size > SIZE_MAX - memory->size)
		return error_oom(error);
	char *grown =
	        grow_array(memory->data, &memory->offset, MAX(memory->size + size, (size_t)1), 1);
	if (!grown)
		return error_oom(error);
	memory->data = grown;
	if (size)
		memcpy(memory->data + memory->size, data, size);
	memory->size += size;
	return 0;
}

cst_source cst_source_memory(cst_memory *memory)
{
	return (cst_source){.read = read_memory, .userdata = memory};
}

cst_sink cst_sink_memory(cst_memory *memory)
{
	return (cst_sink){.write = write_memory, .userdata = memory};
}

int64_t source_read(const cst_source *source, void *buffer, size_t size, cst_error **error)
{
	cst_error *reason = NULL;
	int64_t n = source->read(source->userdata, buffer, size, &reason);
	if (n >= 0 && (uint64_t)n <= size)
		return n;
	if (!reason)
		return error_set(error, CST_EIO_CALLBACK,
		                 "the caller's source failed without saying why");
	return error_propagate(error, reason);
}

int sink_write(const cst_sink *sink, const void *data, size_t size, cst_error **error)
{
	cst_error *reason = NULL;
	if (sink->write(sink->userdata, data, size, &reason) == 0)
		return 0;
	if (!reason)
		return error_set(error, CST_EIO_CALLBACK,
		                 "the caller's sink failed without saying why");
	return error_propagate(error, reason);
}

int progress_tell(const cst_progress *progress, const cst_progress_state *state, cst_error **error)
{
	if (!progress || !progress->callback || !progress->callback(state, progress->userdata))
		return 0;
	return error_about(error, CST_ECANCELED, state->what);
}

#define PIECE ((size_t)256 << 10)

int source_to_file(const cst_source *source, int fd, const char *shown, struct digester *digester,
                   const cst_progress *progress, int64_t *size, cst_error **error)
{
	_cleanup_free_ char *buffer = malloc(PIECE);
	if (!buffer)
		return error_oom(error);
	for (int64_t total = 0;;) {
		const cst_progress_state state = {
		        .size = sizeof(state), .what = "import", .bytes_done = (uint64_t)total};
		int r = progress_tell(progress, &state, error);
		int64_t n = r < 0 ? r : source_read(source, buffer, PIECE, error);
		if (n == 0)
			*size = total;
		if (n <= 0)
			return (int)n;
		if (digester)
			digester_update(digester, buffer, (size_t)n);
		if (sys_write_all(fd, buffer, (size_t)n) < 0)
			return error_sys(error, errno, "write %s", shown);
		total += n;
	}
}

/* ---- lists of strings ---- */

struct cst_strings {
	struct strv v;
};

int strings_give(struct strv *v, cst_strings **ret, cst_error **error)
{
	if (!ret)
		return 0;
	cst_strings *strings = new0(cst_strings, 1);
	if (!strings)
		return error_oom(error);
	strings->v = *v;
	*v = (struct strv){0};
	*ret = strings;
	return 0;
}

size_t cst_strings_size(const cst_strings *strings)
{
	return strings ? strings->v.len : 0;
}

const char *cst_strings_get(const cst_strings *strings, size_t index)
{
	return strings && index < strings->v.len ? strings->v.items[index] : NULL;
}

void cst_strings_free(cst_strings *strings)
{
	if (!strings)
		return;
	strv_free(&strings->v);
	free(strings);
}

/* ---- pairs ---- */

struct cst_pairs {
	struct strv v; /* key, value, key, value */
};

int pairs_give(struct strv *v, cst_pairs **ret, cst_error **error)
{
	cst_pairs *pairs = new0(cst_pairs, 1);
	if (!pairs)
		return error_oom(error);
	pairs->v = *v;
	*v = (struct strv){0};
	*ret = pairs;
	return 0;
}

size_t cst_pairs_size(const cst_pairs *pairs)
{
	return pairs ? pairs->v.len / 2 : 0;
}

const char *cst_pairs_key(const cst_pairs *pairs, size_t index)
{
	return index < cst_pairs_size(pairs) ? pairs->v.items[2 * index] : NULL;
}

const char *cst_pairs_value(const cst_pairs *pairs, size_t index)
{
	return index < cst_pairs_size(pairs) ? pairs->v.items[2 * index + 1] : NULL;
}

void cst_pairs_free(cst_pairs *pairs)
{
	if (!pairs)
		return;
	strv_free(&pairs->v);
	free(pairs);
}

/* ---- version ---- */

const char *cst_version(void)
{
	return CST_VERSION;
}

uint32_t cst_version_number(void)
{
	uint32_t number = 0;
	const char *part = CST_VERSION;
	for (int i = 0; i < 3; i++) {
		char *end;
		number = number * 1000 + (uint32_t)strtoul(part, &end, 10);
		part = *end == '.' ? end + 1 : end;
	}
	return number;
}

void cst_free(void *memory)
{
	free(memory);
}

/* ---- options ---- */

/* No options of ours are larger: an _INIT macro did not set this size. */
#define OPTIONS_SIZE_MAX 4096

static int check_size(size_t size, const char *name, cst_error **error)
{
	if (size >= sizeof(size) && size <= OPTIONS_SIZE_MAX)
		return 0;
	return error_set(error, CST_EINVAL,
	                 "a struct %s was not made with its _INIT macro: its size is %zu", name,
	                 size);
}

static bool is_zero(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

int options_take(void *to, size_t size, const void *given, const char *name, cst_error **error)
{
	size_t theirs;
	if (!given)
		return 0;
	memcpy(&theirs, given, sizeof(theirs));
	int r = check_size(theirs, name, error);
	if (r < 0)
		return r;
	if (theirs > size && !is_zero((const char *)given + size, theirs - size))
		return error_set(
		        error, CST_EINVAL,
		        "a struct %s has a member that this version of libcstorage does not know: "
		        "the program needs a newer one",
		        name);
	memcpy(to, given, MIN(size, theirs));
	memcpy(to, &size, sizeof(size));
	return 0;
}

int result_check(const void *to, const char *name, cst_error **error)
{
	size_t theirs;
	if (!to)
		return 0;
	memcpy(&theirs, to, sizeof(theirs));
	return check_size(theirs, name, error);
}

void result_give(void *to, const void *from, size_t size)
{
	size_t theirs;
	if (!to)
		return;
	memcpy(&theirs, to, sizeof(theirs));
	size_t filled = MIN(size, theirs);
	memcpy(to, from, filled);
	memcpy(to, &filled, sizeof(filled));
}
