/* SPDX-License-Identifier: Apache-2.0 */
/* The list of findings, with what each code means and what mends it (check.h of the API). */
#include "store/check/findings.h"
#include "base/str.h"
#include "store/core/kind.h"

/* What a code means to a user, and what mends it. */
static const struct words {
	char name[24], meaning[104], remedy[128];
} words[] = {
        [CST_FINDING_PARENT_MISSING] =
                {"parent-missing", "the layer cannot be mounted",
                 "a repair, if the parent's files are still there; else import or "
                 "pull again what the layer belongs to"},
        [CST_FINDING_DATA_MISSING] = {"data-missing",
                                      "what belongs to the item cannot be read, such as a manifest",
                                      "import or pull it again"},
        [CST_FINDING_DATA_UNREADABLE] =
                {"data-unreadable", "what belongs to the item cannot be read, such as a manifest",
                 "look for faults of the disk; import or pull it again"},
        [CST_FINDING_DATA_SIZE] = {"data-size",
                                   "the data item was changed or cut after it was stored",
                                   "import or pull it again"},
        [CST_FINDING_CONTENT_UNREADABLE] =
                {"content-unreadable",
                 "the layer's archive cannot be given back, so images with it cannot be pushed",
                 "repair it from the layer's blob (--from), or import it again"},
        [CST_FINDING_CONTENT_DIGEST] =
                {"content-digest", "files of the layer were changed after it was imported",
                 "repair it from the layer's blob (--from), or import it again"},
        [CST_FINDING_CONTENT_SIZE] =
                {"content-size", "files of the layer were changed after it was imported",
                 "repair it from the layer's blob (--from), or import it again"},
        [CST_FINDING_TREE_CHANGED] =
                {"tree-changed", "containers see something else than the image has",
                 "repair it from the layer's blob (--from), or import it again"},
        [CST_FINDING_TREE_UNREADABLE] =
                {"tree-unreadable", "containers may see less than the image has",
                 "look for faults of the disk; repair it from the layer's blob (--from)"},
        [CST_FINDING_NOT_MOUNTABLE] = {"not-mountable",
                                       "neither the layer nor what is built on it can be used",
                                       "repair it from the layer's blob (--from), or import it "
                                       "again; delete the container that it is of"},
        [CST_FINDING_UNREFERENCED] = {"unreferenced", "the layer takes room that nobody uses",
                                      "delete the layer if nobody is making an image of it"},
        [CST_FINDING_NO_RECORD] =
                {"no-record", "the directory takes room that nobody uses, or its record was lost",
                 "a repair, which makes the records again that others need; gc "
                 "removes what nobody needs"},
        [CST_FINDING_LAYER_MISSING] =
                {"layer-missing", "the image or container cannot be used",
                 "a repair, if the layer's files are still there; else import or "
                 "pull the image again"},
        [CST_FINDING_IMAGE_MISSING] = {"image-missing",
                                       "the container runs, but nobody knows of what image",
                                       "pull the image again, or delete the container"},
        [CST_FINDING_LINK] = {"link", "what is built on the layer may not be mountable",
                              "a repair makes the link again"},
        [CST_FINDING_LOWER] = {"lower",
                               "the layer is mounted without what it is built on, or not at all",
                               "a repair writes the lists again"},
        [CST_FINDING_DATA_DIGEST] = {"data-digest",
                                     "the data item, or what is recorded of it, was changed",
                                     "a repair, if something proves that the file is right; else "
                                     "import or pull it again"},
        [CST_FINDING_MOUNT] = {"mount", "the layer cannot be deleted, and counts as in use",
                               "a repair drops the count"},
        [CST_FINDING_RECORDS] =
                {"records",
                 "nothing can be done with what the file lists; nothing else was looked at",
                 "a repair keeps what can be read, and puts the file aside"},
        [CST_FINDING_LOCK_FILE] =
                {"lock-file", "whoever needs the lock is refused, such as a new container",
                 "a repair moves a directory away; remove anything else when no tool is at work in "
                 "the store"},
        [CST_FINDING_RECORD] = {"record", "the object cannot be used",
                                "delete the record from the file by hand, or what it is about"},
        [CST_FINDING_DIRECTORY] = {"directory", "the layer cannot be mounted",
                                   "a repair makes the directory again"},
        [CST_FINDING_NO_TARSPLIT] = {"no-tar-split",
                                     "the layer's archive may come out with another digest, and "
                                     "then images with it cannot be pushed",
                                     "repair it from the layer's blob (--from); without, a repair "
                                     "packs its files anew"},
};

const char *subject_name(const struct subject *subject)
{
	return subject->kind == FILE_SUBJECT ? "file" : kind_of(subject->kind)->name;
}

static struct cst_finding *append(struct cst_findings *findings)
{
	struct cst_finding *grown =
	        grow_array(findings->items, &findings->capacity, findings->len + 1, sizeof(*grown));
	if (!grown) {
		findings->failed = true;
		return NULL;
	}
	findings->items = grown;
	grown[findings->len] = (struct cst_finding){0};
	return &grown[findings->len++];
}

void findings_add(struct cst_findings *findings, enum cst_finding_code code,
                  const struct subject *about, const struct subject *go_about, char *detail,
                  char *go_detail)
{
	const struct subject *named = go_about ? go_about : about;
	_cleanup_free_ char *message =
	        str_printf("%s %s: %s", subject_name(about), about->id, strempty(detail));
	_cleanup_free_ char *go_message =
	        str_printf("%s%s %s: %s", named->read_only ? "read-only " : "", subject_name(named),
	                   named->id, strempty(go_detail));
	bool failed = !detail || !go_detail || !message || !go_message;
	free(detail);
	free(go_detail);
	if (failed) {
		findings->failed = true;
		return;
	}
	struct cst_finding *new = append(findings);
	if (!new)
		return;
	new->code = code;
	new->about = *about;
	new->about.id = arena_strdup(&findings->arena, about->id);
	new->origin = new->about;
	new->message = arena_strdup(&findings->arena, message);
	new->go_message = arena_strdup(&findings->arena, go_message);
	findings->failed = findings->failed || findings->arena.failed;
}

void findings_copy(struct cst_findings *to, const struct cst_findings *from,
                   const struct subject *about)
{
	to->failed = to->failed || from->failed;
	for (size_t i = 0; i < from->len; i++) {
		struct cst_finding *new = append(to);
		if (!new)
			return;
		*new = from->items[i];
		if (about)
			new->about = *about;
		new->about.id = arena_strdup(&to->arena, new->about.id);
		new->origin.id = arena_strdup(&to->arena, new->origin.id);
		new->message = arena_strdup(&to->arena, new->message);
		new->go_message = arena_strdup(&to->arena, new->go_message);
		to->failed = to->failed || to->arena.failed;
	}
}

void findings_done(struct cst_findings *findings)
{
	arena_clear(&findings->arena);
	free(findings->items);
}

/* ---- as callers see them ---- */

size_t cst_findings_size(const cst_findings *findings)
{
	return findings ? findings->len : 0;
}

const cst_finding *cst_findings_get(const cst_findings *findings, size_t index)
{
	return findings && index < findings->len ? &findings->items[index] : NULL;
}

void cst_findings_free(cst_findings *findings)
{
	if (!findings)
		return;
	findings_done(findings);
	free(findings);
}

int cst_finding_code(const cst_finding *finding)
{
	return finding->code;
}

const char *cst_finding_name(const cst_finding *finding)
{
	return words[finding->code].name;
}

int cst_finding_kind(const cst_finding *finding)
{
	return finding->about.kind;
}

const char *cst_finding_id(const cst_finding *finding)
{
	return finding->about.id;
}

bool cst_finding_read_only(const cst_finding *finding)
{
	return finding->about.read_only;
}

int cst_finding_origin_kind(const cst_finding *finding)
{
	return finding->origin.kind;
}

const char *cst_finding_origin_id(const cst_finding *finding)
{
	return finding->origin.id;
}

const char *cst_finding_message(const cst_finding *finding)
{
	return finding->message;
}

const char *cst_finding_go_message(const cst_finding *finding)
{
	return finding->go_message;
}

const char *cst_finding_meaning(const cst_finding *finding)
{
	return words[finding->code].meaning;
}

const char *cst_finding_remedy(const cst_finding *finding)
{
	return words[finding->code].remedy;
}
