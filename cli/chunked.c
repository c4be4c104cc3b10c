/* SPDX-License-Identifier: Apache-2.0 */
/* The verb chunked, for layers of which parts can be fetched: zstd:chunked and eStargz. */
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static void free_toc(cst_toc **toc)
{
	cst_toc_free(*toc);
}
#define _cleanup_toc_ __attribute__((cleanup(free_toc)))

static void close_blob(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define _cleanup_blob_ __attribute__((cleanup(close_blob)))

static int fail_blob(const struct invocation *in, const cst_error *error)
{
	if (interrupted_by())
		return fail(in, error);
	complain(in, "%s: %s", in->operands[1], cst_error_message(error));
	return 1;
}

/* Opens the blob that is the last operand, and reads its TOC. Returns an exit code. */
static int open_blob(const struct invocation *in, int *ret_fd, cst_toc **ret)
{
	_cleanup_error_ cst_error *error = NULL;
	const char *path = in->operands[1];
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret_fd < 0)
		return fail_errno(in, errno, "open", path);
	cst_toc_options options = CST_TOC_OPTIONS_INIT;
	options.digest = text_of(in, OPT_TOC_DIGEST);
	if (cst_toc_read(*ret_fd, &options, ret, &error) == 0)
		return 0;
	return fail_blob(in, error);
}

/* ---- inspect ---- */

static const char *format_name(const cst_toc *toc)
{
	return cst_toc_format(toc) == CST_TOC_ESTARGZ ? "eStargz" : "zstd:chunked";
}

static const char *type_name(char type)
{
	static const char *const names[] = {"file",  "hardlink", "symlink", "char",
	                                    "block", "dir",      "fifo"};
	return names[type - '0'];
}

static void print_json_part(const char *name, const char *digest, cst_blob_part part)
{
	printf(",\"%s\":", name);
	if (part.size == 0) {
		fputs("null", stdout);
		return;
	}
	fputs("{\"digest\":", stdout);
	json_print_string(digest);
	printf(",\"offset\":%" PRIu64 ",\"size\":%" PRIu64 ",\"plain-size\":%" PRIu64 "}",
	       part.offset, part.size, part.plain_size);
}

static void print_json_chunks(const cst_toc *toc, size_t index, size_t n)
{
	fputs(",\"chunks\":[", stdout);
	for (size_t i = 0; i < n; i++) {
		cst_toc_chunk chunk = CST_TOC_CHUNK_INIT;
		cst_toc_chunk_get(toc, index, i, &chunk, NULL);
		printf("%s{\"digest\":\"%s\",\"file-offset\":%" PRIu64 ",\"size\":%" PRIu64
		       ",\"blob-offset\":%" PRIu64 ",\"blob-size\":%" PRIu64 ",\"zeros\":%s}",
		       i ? "," : "", chunk.digest, chunk.file_offset, chunk.chunk_size,
		       chunk.blob_offset, chunk.blob_size, chunk.zeros ? "true" : "false");
	}
	putchar(']');
}

static void print_json_entry(const cst_toc *toc, size_t index)
{
	cst_toc_entry entry = CST_TOC_ENTRY_INIT;
	cst_toc_entry_get(toc, index, &entry, NULL);
	fputs("{\"name\":", stdout);
	json_print_string(entry.name);
	fputs(",\"link-name\":", stdout);
	json_print_string(entry.link_name);
	printf(",\"type\":\"%s\",\"size\":%" PRIu64 ",\"mode\":%" PRId64 ",\"uid\":%" PRIu32
	       ",\"gid\":%" PRIu32 ",\"xattrs\":%zu,\"digest\":\"%s\"",
	       type_name(entry.type), entry.file_size, entry.mode, entry.uid, entry.gid,
	       entry.n_xattrs, entry.digest);
	print_json_chunks(toc, index, entry.n_chunks);
	putchar('}');
}

static void print_json(const cst_toc *toc)
{
	printf("{\"format\":\"%s\"", format_name(toc));
	print_json_part("toc", cst_toc_digest(toc), cst_toc_place(toc));
	print_json_part("tar-split", cst_toc_tarsplit_digest(toc), cst_toc_tarsplit_place(toc));
	fputs(",\"entries\":[", stdout);
	for (size_t i = 0; i < cst_toc_size(toc); i++) {
		fputs(i ? "," : "", stdout);
		print_json_entry(toc, i);
	}
	puts("]}");
}

static void print_part(const char *label, cst_blob_part part)
{
	char packed[SIZE_TEXT_MAX], plain[SIZE_TEXT_MAX];
	if (part.size == 0)
		printf("%s: none\n", label);
	else
		printf("%s: at byte %" PRIu64 ", %s, %s unpacked\n", label, part.offset,
		       size_text(packed, (double)part.size),
		       size_text(plain, (double)part.plain_size));
}

static void add_row(struct table *table, const cst_toc *toc, size_t index)
{
	cst_toc_entry entry = CST_TOC_ENTRY_INIT;
	uint64_t stored = 0, holes = 0;
	cst_toc_entry_get(toc, index, &entry, NULL);
	for (size_t i = 0; i < entry.n_chunks; i++) {
		cst_toc_chunk chunk = CST_TOC_CHUNK_INIT;
		cst_toc_chunk_get(toc, index, i, &chunk, NULL);
		stored += chunk.blob_size;
		holes += chunk.zeros ? chunk.chunk_size : 0;
	}
	table_add(table, "%s", type_name(entry.type));
	table_add(table, "%04" PRIo64, (uint64_t)entry.mode & 07777);
	table_add(table, "%" PRIu32 ":%" PRIu32, entry.uid, entry.gid);
	table_add_size(table, entry.file_size);
	table_add_size(table, holes);
	table_add_size(table, stored);
	table_add(table, "%zu", entry.n_chunks);
	table_add(table, "%.*s", SHORT_ID, entry.digest[0] ? strchr(entry.digest, ':') + 1 : "");
	table_add(table, "%s%s%s", entry.name, entry.link_name[0] ? " -> " : "", entry.link_name);
}

static int print_text(const struct invocation *in, const cst_toc *toc)
{
	static const char *const titles[] = {"TYPE",   "MODE",   "OWNER",  "SIZE", "HOLES",
	                                     "STORED", "CHUNKS", "SHA256", "NAME"};
	struct table table = {.n_columns = 9, .right = 0x78};
	printf("Format: %s\nTOC digest: %s\n", format_name(toc), cst_toc_digest(toc));
	print_part("TOC", cst_toc_place(toc));
	print_part("tar-split", cst_toc_tarsplit_place(toc));
	printf("Entries: %zu\n\n", cst_toc_size(toc));
	for (size_t i = 0; i < 9; i++)
		table_add(&table, "%s", titles[i]);
	for (size_t i = 0; i < cst_toc_size(toc); i++)
		add_row(&table, toc, i);
	return table_print(in, &table);
}

static int inspect(struct invocation *in)
{
	_cleanup_toc_ cst_toc *toc = NULL;
	_cleanup_blob_ int fd = -1;
	int code = open_blob(in, &fd, &toc);
	if (code)
		return code;
	if (!is_on(in, OPT_JSON))
		return print_text(in, toc);
	print_json(toc);
	return 0;
}

/* ---- create and verify ---- */

static void print_result(const struct invocation *in, const cst_chunked_result *result,
                         const char *format)
{
	const struct member {
		const char *name, *label, *text;
	} members[] = {
	        {"format", "Format", format},
	        {"digest", "Blob", result->blob_digest},
	        {"diff-digest", "DiffID", result->diff_digest},
	        {"toc-digest", "TOC digest", result->toc_digest},
	        {"manifest-position", "TOC position", result->position},
	        {"tarsplit-position", "tar-split position", result->tarsplit_position},
	};
	bool json = is_on(in, OPT_JSON);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (json)
			printf("%s\"%s\":\"%s\"", i ? "," : "{", members[i].name, members[i].text);
		else if (members[i].text[0])
			printf("%s: %s\n", members[i].label, members[i].text);
	}
	printf(json ? ",\"size\":%" PRIu64 ",\"diff-size\":%" PRIu64 ",\"entries\":%" PRIu64 "}\n"
	            : "Size: %" PRIu64 "\nUnpacked: %" PRIu64 "\nEntries: %" PRIu64 "\n",
	       result->blob_size, result->diff_size, result->entries);
}

/* A file is a tar; what is no file is a layer. */
static int create_blob(struct invocation *in, const cst_sink *blob, cst_chunked_result *result)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_input_ struct input input = {.fd = -1};
	struct progress progress;
	cst_chunked_options options = CST_CHUNKED_OPTIONS_INIT;
	const char *what = in->operands[1];
	bool is_file = is_standard_stream(in, what) || access(what, F_OK) == 0;
	int code = is_file ? 0 : need_store(in);
	if (code)
		return code;
	progress_start(in, &progress);
	options.progress = &progress.hook;
	code = is_file ? input_open(in, what, &input, &progress) : 0;
	if (code)
		return code;
	int r = is_file ? cst_chunked_create(&input.source, blob, &options, result, &error)
	                : cst_store_diff_chunked(in->store, what, blob, &options, result, &error);
	progress_end(&progress);
	return r < 0 ? fail(in, error) : 0;
}

static int create(struct invocation *in)
{
	_cleanup_output_ struct output output = {.fd = -1};
	cst_chunked_result result = CST_CHUNKED_RESULT_INIT;
	bool to_stdout = is_standard_stream(in, text_of(in, OPT_FILE));
	if (to_stdout && (is_terminal(stdout) || is_on(in, OPT_JSON))) {
		complain(in, "chunked: stdout gets the blob; -o FILE keeps it");
		return EXIT_USAGE;
	}
	int code = output_open(in, text_of(in, OPT_FILE), &output);
	if (code)
		return code;
	const cst_sink blob = {.write = output_write, .userdata = &output};
	code = create_blob(in, &blob, &result);
	code = code ? code : output_commit(in, &output);
	if (code == 0 && !to_stdout)
		print_result(in, &result, "zstd:chunked");
	return code;
}

static int verify(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_toc_ cst_toc *toc = NULL;
	_cleanup_blob_ int fd = -1;
	struct progress progress;
	cst_chunked_result result = CST_CHUNKED_RESULT_INIT;
	int code = open_blob(in, &fd, &toc);
	if (code)
		return code;
	progress_start(in, &progress);
	int r = cst_toc_verify(toc, fd, &progress.hook, &result, &error);
	progress_end(&progress);
	if (r < 0)
		return fail_blob(in, error);
	print_result(in, &result, format_name(toc));
	return 0;
}

int run_chunked(struct invocation *in)
{
	static const struct {
		const char *name;
		int (*run)(struct invocation *in);
	} actions[] = {{"inspect", inspect}, {"create", create}, {"verify", verify}};
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(in->operands[0], actions[i].name) == 0)
			return actions[i].run(in);
	complain(in, "chunked: there is no action '%s', but inspect, create and verify",
	         in->operands[0]);
	return EXIT_USAGE;
}
