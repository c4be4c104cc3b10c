/* SPDX-License-Identifier: Apache-2.0 */
/* check: what is wrong in the store, and with --repair what is done about it. */
#include "check.h"
#include <string.h>

const char *kind_name(int kind)
{
	static const char *const names[] = {"file", "layer", "image", "container"};
	return names[kind];
}

static bool is_from(const cst_finding *finding, const cst_finding *of)
{
	return !is_own(finding) && cst_finding_origin_kind(finding) == cst_finding_kind(of) &&
	       strcmp(cst_finding_origin_id(finding), cst_finding_id(of)) == 0;
}

/* The next object that has findings of what `of` is about, from number *at on; NULL: no more. */
static const cst_finding *next_affected(const cst_findings *findings, const cst_finding *of,
                                        size_t *at)
{
	while (*at < cst_findings_size(findings)) {
		const cst_finding *finding = cst_findings_get(findings, (*at)++);
		if (!is_from(finding, of))
			continue;
		while (*at < cst_findings_size(findings) &&
		       same_object(finding, cst_findings_get(findings, *at)))
			(*at)++;
		return finding;
	}
	return NULL;
}

/* ---- as cstorage prints ---- */

static void print_json_finding(const cst_findings *findings, const cst_finding *finding)
{
	const struct member {
		const char *name, *text;
	} members[] = {
	        {"code", cst_finding_name(finding)},
	        {"kind", kind_name(cst_finding_kind(finding))},
	        {"id", cst_finding_id(finding)},
	        {"message", cst_finding_message(finding)},
	        {"meaning", cst_finding_meaning(finding)},
	        {"remedy", cst_finding_remedy(finding)},
	};
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		printf("%s\"%s\":", i ? "," : "{", members[i].name);
		json_print_string(members[i].text);
	}
	printf(",\"readonly\":%s,\"affects\":[", cst_finding_read_only(finding) ? "true" : "false");
	size_t at = 0, n = 0;
	for (const cst_finding *other; (other = next_affected(findings, finding, &at)); n++) {
		printf("%s{\"kind\":\"%s\",\"id\":", n ? "," : "",
		       kind_name(cst_finding_kind(other)));
		json_print_string(cst_finding_id(other));
		putchar('}');
	}
	fputs("]}", stdout);
}

static void print_json(const cst_findings *findings)
{
	bool any = false;
	for (size_t i = 0; i < cst_findings_size(findings); i++) {
		const cst_finding *finding = cst_findings_get(findings, i);
		if (!is_own(finding))
			continue;
		fputs(any ? "," : "[", stdout);
		print_json_finding(findings, finding);
		any = true;
	}
	puts(any ? "]" : "[]");
}

#define LINES_OF_OBJECT 10 /* of one code: a whole directory may be gone */

static void print_affected(const cst_findings *findings, const cst_finding *of)
{
	size_t at = 0, n = 0;
	for (const cst_finding *other; (other = next_affected(findings, of, &at)); n++) {
		_cleanup_text_ char *id = plain_text(cst_finding_id(other));
		printf("%s%s %.*s", n ? ", " : "  is part of: ", kind_name(cst_finding_kind(other)),
		       SHORT_ID, id ? id : "");
	}
	if (n)
		putchar('\n');
}

static void print_object_line(const cst_finding *object)
{
	printf("%s ", kind_name(cst_finding_kind(object)));
	show_text(stdout, cst_finding_id(object));
	puts(cst_finding_read_only(object) ? " (read-only)" : "");
}

/* Without "layer ID: ", which stands in front of every message. */
static void print_finding(const cst_finding *finding)
{
	size_t object =
	        strlen(kind_name(cst_finding_kind(finding))) + strlen(cst_finding_id(finding)) + 3;
	printf("  %s: ", cst_finding_name(finding));
	print_field("", cst_finding_message(finding) + object);
}

/* The findings of one object that are its own; those of what it is built on are told there. Returns how many. */
static size_t print_object(const cst_findings *findings, size_t first)
{
	const cst_finding *object = cst_findings_get(findings, first), *last = NULL;
	size_t n = 0, of_code = 0;
	for (size_t i = first; i < cst_findings_size(findings); i++) {
		const cst_finding *finding = cst_findings_get(findings, i);
		if (!same_object(finding, object))
			break;
		if (!is_own(finding))
			continue;
		if (n++ == 0)
			print_object_line(object);
		of_code = last && cst_finding_code(last) == cst_finding_code(finding) ? of_code + 1
		                                                                      : 1;
		if (of_code <= LINES_OF_OBJECT)
			print_finding(finding);
		else if (of_code == LINES_OF_OBJECT + 1)
			puts("  ...");
		last = finding;
	}
	if (n) {
		print_affected(findings, object);
		printf("  which means: %s\n  what helps: %s\n", cst_finding_meaning(last),
		       cst_finding_remedy(last));
	}
	return n;
}

static int print_text(const cst_findings *findings)
{
	size_t n = 0, objects = 0;
	for (size_t i = 0; i < cst_findings_size(findings); i++) {
		size_t told = is_first_of_object(findings, i) ? print_object(findings, i) : 0;
		n += told;
		objects += told > 0;
	}
	if (n == 0)
		puts("Nothing is wrong.");
	else
		printf("%zu finding%s, %zu object%s\n", n, n == 1 ? "" : "s", objects,
		       objects == 1 ? "" : "s");
	return n > 0;
}

/* ---- run ---- */

static unsigned parts_of(const struct invocation *in)
{
	bool quick = is_on(in, OPT_QUIET);
	if (in->personality == GO_STYLE)
		return CST_CHECK_DATA | CST_CHECK_CONTENT | CST_CHECK_MOUNTS |
		       (quick ? 0 : CST_CHECK_TREES);
	if (quick)
		return CST_CHECK_DATA;
	return CST_CHECK_DATA | CST_CHECK_TREES | (is_on(in, OPT_TREE) ? 0 : CST_CHECK_CONTENT);
}

static const char *action_name(int action)
{
	static const char *const names[] = {[CST_REPAIR_MENDED] = "mended",
	                                    [CST_REPAIR_DELETED] = "deleted",
	                                    [CST_REPAIR_FAILED] = "failed",
	                                    [CST_REPAIR_LEFT] = "left"};
	return names[action];
}

static void print_json_repair(const cst_repairs *repairs, size_t i)
{
	int action = cst_repairs_action(repairs, i);
	bool done = action == CST_REPAIR_MENDED || action == CST_REPAIR_DELETED;
	printf("%s{\"kind\":\"%s\",\"id\":", i ? "," : "", kind_name(cst_repairs_kind(repairs, i)));
	json_print_string(cst_repairs_id(repairs, i));
	printf(",\"action\":\"%s\",\"done\":%s,\"message\":", action_name(action),
	       done ? "true" : "false");
	json_print_string(cst_repairs_message(repairs, i));
	putchar('}');
}

static int repaired(const struct invocation *in, const cst_repairs *repairs)
{
	size_t n[CST_REPAIR_LEFT + 1] = {0};
	bool json = is_on(in, OPT_JSON);
	fputs(json ? "[" : "", stdout);
	for (size_t i = 0; i < cst_repairs_size(repairs); i++) {
		int action = cst_repairs_action(repairs, i);
		n[action]++;
		if (json)
			print_json_repair(repairs, i);
		else if (action == CST_REPAIR_FAILED)
			complain(in, "%s", cst_repairs_message(repairs, i));
		else
			print_field("", cst_repairs_message(repairs, i));
	}
	fputs(json ? "]\n" : "", stdout);
	if (!json && cst_repairs_size(repairs))
		printf("%zu mended, %zu deleted, %zu failed, %zu left as they are\n",
		       n[CST_REPAIR_MENDED], n[CST_REPAIR_DELETED], n[CST_REPAIR_FAILED],
		       n[CST_REPAIR_LEFT]);
	return n[CST_REPAIR_FAILED] + n[CST_REPAIR_LEFT] > 0;
}

static int repair(const struct invocation *in, const cst_findings *findings)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_repair_options options = CST_REPAIR_OPTIONS_INIT;
	cst_repairs *repairs = NULL;
	options.remove_containers = is_on(in, OPT_FORCE);
	options.delete_only = in->personality == GO_STYLE;
	options.from = in->options.values[OPT_FROM].items;
	options.n_from = in->options.values[OPT_FROM].n_items;
	struct progress progress;
	progress_start(in, &progress);
	options.progress = &progress.hook;
	int result = cst_store_repair(in->store, findings, &options, &repairs, &error);
	progress_end(&progress);
	if (result < 0)
		return fail(in, error);
	int code = in->personality == GO_STYLE ? go_repaired(in, findings, repairs)
	                                       : repaired(in, repairs);
	cst_repairs_free(repairs);
	return code;
}

static int told(const struct invocation *in, const cst_findings *findings)
{
	bool json = is_on(in, OPT_JSON), repairs = is_on(in, OPT_REPAIR) || is_on(in, OPT_FORCE);
	int code = 0;
	if (in->personality == GO_STYLE) {
		go_print_findings(in, findings);
		code = repairs ? 0 : go_told(in, findings);
	} else if (json) {
		print_json(findings);
		code = cst_findings_size(findings) > 0;
	} else {
		code = print_text(findings);
	}
	return repairs ? repair(in, findings) : code;
}

int run_check(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_check_options options = CST_CHECK_OPTIONS_INIT;
	struct progress progress;
	cst_findings *findings = NULL;
	options.parts = parts_of(in);
	const char *age = text_of(in, OPT_MAX);
	int code = age[0] ? parse_duration(in, age, &options.unreferenced_age) : 0;
	if (code)
		return code;
	if (!is_on(in, OPT_REPAIR) && !is_on(in, OPT_FORCE) && value_of(in, OPT_FROM)->n_items) {
		complain(in, "check: --from is where --repair takes blobs from; it needs --repair");
		return EXIT_USAGE;
	}
	progress_start(in, &progress);
	options.progress = &progress.hook;
	int result = cst_store_check(in->store, &options, &findings, &error);
	progress_end(&progress);
	code = result < 0 ? fail(in, error) : told(in, findings);
	cst_findings_free(findings);
	if (in->personality == GO_STYLE)
		go_shut_down(in);
	return code;
}
