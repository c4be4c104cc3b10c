/* SPDX-License-Identifier: Apache-2.0 */
/* check as containers-storage prints it (docs/format/command.md, "check, gc, dedup, wipe"). */
#include "check.h"
#include <string.h>

bool same_object(const cst_finding *a, const cst_finding *b)
{
	return cst_finding_kind(a) == cst_finding_kind(b) &&
	       strcmp(cst_finding_id(a), cst_finding_id(b)) == 0;
}

bool is_own(const cst_finding *finding)
{
	return cst_finding_origin_kind(finding) == cst_finding_kind(finding) &&
	       strcmp(cst_finding_origin_id(finding), cst_finding_id(finding)) == 0;
}

bool is_first_of_object(const cst_findings *findings, size_t i)
{
	return i == 0 ||
	       !same_object(cst_findings_get(findings, i), cst_findings_get(findings, i - 1));
}

static const struct group {
	enum cst_kind kind;
	bool read_only;
	const char *title, *member;
} groups[] = {
        {CST_KIND_LAYER, false, "layer", "Layers"},
        {CST_KIND_LAYER, true, "read-only layer", "ROLayers"},
        {CST_KIND_IMAGE, false, "image", "Images"},
        {CST_KIND_IMAGE, true, "read-only image", "ROImages"},
        {CST_KIND_CONTAINER, false, "container", "Containers"},
};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

static size_t group_of(const cst_finding *finding)
{
	size_t i = 0;
	while (groups[i].kind != (enum cst_kind)cst_finding_kind(finding) ||
	       groups[i].read_only != cst_finding_read_only(finding))
		i++;
	return i;
}

static void count_objects(const cst_findings *findings, size_t counts[GROUPS])
{
	memset(counts, 0, GROUPS * sizeof(counts[0]));
	for (size_t i = 0; i < cst_findings_size(findings); i++)
		counts[group_of(cst_findings_get(findings, i))] += is_first_of_object(findings, i);
}

static void go_print_json(const cst_findings *findings)
{
	for (size_t g = 0; g < GROUPS; g++) {
		bool any = false;
		printf("%s\"%s\":{", g ? "," : "{", groups[g].member);
		for (size_t i = 0; i < cst_findings_size(findings); i++) {
			const cst_finding *finding = cst_findings_get(findings, i);
			if (group_of(finding) != g)
				continue;
			if (is_first_of_object(findings, i)) {
				fputs(any ? "]," : "", stdout);
				json_print_string(cst_finding_id(finding));
				fputs(":[{}", stdout);
			} else {
				fputs(",{}", stdout);
			}
			any = true;
		}
		fputs(any ? "]}" : "}", stdout);
	}
	puts("}");
}

static void go_print(const cst_findings *findings)
{
	for (size_t g = 0; g < GROUPS; g++) {
		for (size_t i = 0; i < cst_findings_size(findings); i++) {
			const cst_finding *finding = cst_findings_get(findings, i);
			if (group_of(finding) != g)
				continue;
			if (is_first_of_object(findings, i)) {
				printf("%s ", groups[g].title);
				show_text(stdout, cst_finding_id(finding));
				puts(":");
			}
			print_field(" ", cst_finding_go_message(finding));
		}
	}
}

void go_print_findings(const struct invocation *in, const cst_findings *findings)
{
	(is_on(in, OPT_JSON) ? go_print_json : go_print)(findings);
}

int go_told(const struct invocation *in, const cst_findings *findings)
{
	size_t n[GROUPS];
	count_objects(findings, n);
	if (cst_findings_size(findings) == 0)
		return 0;
	complain(in,
	         "%zu layer errors, %zu read-only layer errors, %zu image errors, %zu read-only "
	         "image errors, %zu container errors",
	         n[0], n[1], n[2], n[3], n[4]);
	return 1;
}

int go_repaired(const struct invocation *in, const cst_findings *findings,
                const cst_repairs *repairs)
{
	const char *first = NULL;
	size_t n[GROUPS], failed = 0;
	for (size_t i = 0; i < cst_repairs_size(repairs); i++) {
		if (cst_repairs_result(repairs, i) == 0)
			continue;
		const char *message = cst_repairs_go_message(repairs, i);
		first = first ? first : message;
		if (is_on(in, OPT_JSON))
			fputs(failed++ ? ",{}" : "[{}", stdout);
		else
			complain(in, "%s", message);
	}
	if (failed)
		puts("]");
	if (first) {
		complain(in, "%s", first);
		return 1;
	}
	count_objects(findings, n);
	bool force = is_on(in, OPT_FORCE);
	if (n[1] + n[3] == 0 && (force || n[4] == 0))
		return 0;
	if (force)
		complain(in, "%zu read-only layer errors, %zu read-only image errors", n[1], n[3]);
	else
		complain(in,
		         "%zu read-only layer errors, %zu read-only image errors, %zu container "
		         "errors",
		         n[1], n[3], n[4]);
	return 1;
}

void go_shut_down(const struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_strings_ cst_strings *mounted = NULL;
	if (cst_store_shutdown(in->store, true, &mounted, &error) < 0)
		complain(in, "shutdown: %s", cst_error_go_message(error));
	else if (cst_strings_size(mounted))
		complain(in, "shutdown: a layer is mounted: %s",
		         cst_strerror(CST_ELAYER_USED_BY_CONTAINER));
}
