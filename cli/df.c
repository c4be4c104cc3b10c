/* SPDX-License-Identifier: Apache-2.0 */
/* The verb df: what takes how much room on the disk. */
#include "command.h"
#include <inttypes.h>

static const struct {
	enum cst_kind kind;
	const char *title, *member;
} kinds[] = {
        {CST_KIND_LAYER, "LAYERS", "layers"},
        {CST_KIND_IMAGE, "IMAGES", "images"},
        {CST_KIND_CONTAINER, "CONTAINERS", "containers"},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- JSON ---- */

static void print_json_entry(const cst_usage_entry *entry)
{
	fputs("{\"id\":", stdout);
	json_print_string(entry->id);
	fputs(",\"names\":", stdout);
	if (entry->n_names)
		json_print_names(entry->names, entry->n_names);
	else
		fputs("[]", stdout);
	printf(",\"content\":%" PRIu64 ",\"exclusive\":%" PRIu64 ",\"shared\":%" PRIu64
	       ",\"data\":%" PRIu64 ",\"entries\":%" PRIu64,
	       entry->content, entry->exclusive, entry->shared, entry->data, entry->entries);
	if (entry->kind == CST_KIND_LAYER)
		printf(",\"images\":%zu,\"containers\":%zu", entry->images, entry->containers);
	printf(",\"readonly\":%s}", entry->read_only ? "true" : "false");
}

static void print_json(const cst_usage *usage)
{
	for (size_t k = 0; k < N_KINDS; k++) {
		bool first = true;
		printf("%s\"%s\":[", k ? "," : "{", kinds[k].member);
		for (size_t i = 0; i < cst_usage_size(usage); i++) {
			const cst_usage_entry *entry = cst_usage_get(usage, i);
			if (entry->kind != kinds[k].kind)
				continue;
			fputs(first ? "" : ",", stdout);
			print_json_entry(entry);
			first = false;
		}
		putchar(']');
	}
	const cst_usage_total *total = cst_usage_get_total(usage);
	printf(",\"total\":{\"content\":%" PRIu64 ",\"data\":%" PRIu64 ",\"unused\":%" PRIu64
	       "}}\n",
	       total->content, total->data, total->unused);
}

/* ---- text ---- */

static void add_users(struct table *table, const cst_usage_entry *entry)
{
	if (entry->images + entry->containers == 0)
		table_add(table, "nobody");
	else
		table_add(table, "%zu image%s, %zu container%s", entry->images,
		          entry->images == 1 ? "" : "s", entry->containers,
		          entry->containers == 1 ? "" : "s");
}

static void add_row(struct table *table, const cst_usage_entry *entry)
{
	_cleanup_text_ char *names = joined_names(entry->names, entry->n_names);
	table_add(table, "%.*s", SHORT_ID, entry->id);
	table_add_size(table, entry->content + entry->data);
	table_add_size(table, entry->exclusive);
	table_add_size(table, entry->shared);
	table_add_size(table, entry->data);
	if (entry->kind == CST_KIND_LAYER)
		add_users(table, entry);
	table_add(table, "%s%s", names ? names : "", entry->read_only ? " (read-only)" : "");
}

static int print_kind(const struct invocation *in, const cst_usage *usage, size_t k, bool *any)
{
	static const char *const titles[] = {"ID", "TOTAL", "OWN", "SHARED", "DATA"};
	bool layers = kinds[k].kind == CST_KIND_LAYER;
	struct table table = {.n_columns = layers ? 7 : 6, .right = 0x1e};
	for (size_t i = 0; i < cst_usage_size(usage); i++) {
		const cst_usage_entry *entry = cst_usage_get(usage, i);
		if (entry->kind != kinds[k].kind)
			continue;
		for (size_t t = 0; t < 5 && table.n_cells < 5; t++)
			table_add(&table, "%s", titles[t]);
		if (table.n_cells == 5 && layers)
			table_add(&table, "USED BY");
		if (table.n_cells < table.n_columns)
			table_add(&table, "NAMES");
		add_row(&table, entry);
	}
	if (table.n_cells == 0)
		return 0;
	printf("%s%s\n", *any ? "\n" : "", kinds[k].title);
	*any = true;
	return table_print(in, &table);
}

static int print_text(const struct invocation *in, const cst_usage *usage)
{
	char content[SIZE_TEXT_MAX], data[SIZE_TEXT_MAX], unused[SIZE_TEXT_MAX], sum[SIZE_TEXT_MAX];
	const cst_usage_total *total = cst_usage_get_total(usage);
	bool any = false;
	int code = 0;
	for (size_t k = 0; k < N_KINDS && code == 0; k++)
		code = print_kind(in, usage, k, &any);
	printf("%sTotal: %s (content %s, data %s); in layers that nobody uses: %s\n",
	       any ? "\n" : "", size_text(sum, (double)(total->content + total->data)),
	       size_text(content, (double)total->content), size_text(data, (double)total->data),
	       size_text(unused, (double)total->unused));
	return code;
}

int run_df(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	struct progress progress;
	cst_usage *usage = NULL;
	progress_start(in, &progress);
	int result = cst_store_usage(in->store, in->operands, in->n_operands, &progress.hook,
	                             &usage, &error);
	progress_end(&progress);
	if (result < 0)
		return fail(in, error);
	int code = 0;
	if (is_on(in, OPT_JSON))
		print_json(usage);
	else
		code = print_text(in, usage);
	cst_usage_free(usage);
	return code;
}
