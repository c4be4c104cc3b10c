/* SPDX-License-Identifier: Apache-2.0 */
/* Subordinate ids of users: from the files, or by libsubid where nsswitch.conf names another
 * source. */
#include "idmap/subid.h"
#include "base/fs.h"
#include "base/log.h"
#include "idmap/intervals.h"
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>

#define SUBID_FILE_MAX (16 * 1024 * 1024)

bool subid_add(struct subid_ranges *ranges, uint64_t start, uint64_t count)
{
	struct subid_range_item *grown =
	        grow_array(ranges->items, &ranges->capacity, ranges->len + 1, sizeof(*grown));
	if (!grown)
		return false;
	ranges->items = grown;
	ranges->items[ranges->len++] = (struct subid_range_item){start, count};
	return true;
}

void subid_free_ranges(struct subid_ranges *ranges)
{
	free(ranges->items);
	*ranges = (struct subid_ranges){0};
}

/* ---- files ---- */

static char *trim(char *s)
{
	while (*s && strchr(" \t\r\v\f", *s))
		s++;
	size_t n = strlen(s);
	while (n && strchr(" \t\r\v\f", s[n - 1]))
		s[--n] = '\0';
	return s;
}

static int parse_number(const char *field, const char *path, uint64_t *ret, cst_error **error)
{
	if (!parse_u64(field, UINT32_MAX, ret))
		return error_set(error, CST_EINVAL,
		                 "string to int conversion failed during subuid/gid parsing of %s: "
		                 "strconv.Atoi: parsing \"%s\": invalid syntax",
		                 path, field);
	return 0;
}

static int parse_line(char *line, const char *user, const char *uid, const char *path,
                      struct subid_ranges *ranges, cst_error **error)
{
	char *fields[3] = {line, NULL, NULL};
	size_t n = 1;
	for (char *s = line; *s; s++) {
		if (*s != ':')
			continue;
		*s = '\0';
		if (n < 3)
			fields[n] = s + 1;
		n++;
	}
	if (n != 3)
		return error_set(error, CST_EINVAL,
		                 "cannot parse subuid/gid information: Format not correct for %s "
		                 "file",
		                 path);
	if (!streq(fields[0], user) && !(uid && streq(fields[0], uid)) && !streq(user, "ALL"))
		return 0;
	uint64_t start, count;
	int code = parse_number(fields[1], path, &start, error);
	if (code == 0)
		code = parse_number(fields[2], path, &count, error);
	if (code < 0)
		return code;
	return subid_add(ranges, start, count) ? 0 : error_oom(error);
}

int subid_parse(char *text, const char *user, const char *uid, const char *path,
                struct subid_ranges *ranges, cst_error **error)
{
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		line = trim(line);
		if (!*line || *line == '#')
			continue;
		int code = parse_line(line, user, uid, path, ranges, error);
		if (code < 0)
			return code;
	}
	return 0;
}

static int read_ranges(const char *path, const char *user, const char *uid,
                       struct subid_ranges *ranges, cst_error **error)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int code = fs_read_file(AT_FDCWD, path, SUBID_FILE_MAX, &text, &len, error);
	return code < 0 ? code : subid_parse(text, user, uid, path, ranges, error);
}

/* ---- which source ---- */

/* Only the words of the line `subid:` count. "[NOTFOUND=return]" is an action, not a source. */
bool subid_nsswitch_names_other(const char *text)
{
	bool in_action = false;
	for (const char *line = text; *line; line += *line == '\n') {
		const char *end = strchrnul(line, '\n');
		const char *stop = memchr(line, '#', (size_t)(end - line));
		stop = stop ? stop : end;
		line += strspn(line, " \t");
		if (strncmp(line, "subid:", 6) != 0) {
			line = end;
			continue;
		}
		for (line += 6; line < stop;) {
			line += strspn(line, " \t");
			size_t n = strcspn(line, " \t#\n");
			if (!n)
				break;
			if (*line == '[')
				in_action = true;
			if (!in_action && !(n == 5 && memcmp(line, "files", 5) == 0))
				return true;
			if (line[n - 1] == ']')
				in_action = false;
			line += n;
		}
		line = end;
	}
	return false;
}

static bool library_is_configured(void)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	if (fs_read_file(AT_FDCWD, "/etc/nsswitch.conf", 1024 * 1024, &text, &len, NULL) < 0)
		return false;
	return subid_nsswitch_names_other(text);
}

/* ---- maps ---- */

static int compare_starts(const void *a, const void *b)
{
	const struct subid_range_item *x = a, *y = b;
	return (x->start > y->start) - (x->start < y->start);
}

int subid_to_map(struct subid_ranges *ranges, struct idmap *map, cst_error **error)
{
	struct idmap added = {.ranges = new0(cst_idmap, ranges->len + 1)};
	_cleanup_free_ cst_idmap *owned = added.ranges;
	uint64_t container_id = 0;
	if (!owned)
		return error_oom(error);
	if (ranges->len)
		qsort(ranges->items, ranges->len, sizeof(ranges->items[0]), compare_starts);
	for (size_t i = 0; i < ranges->len; i++) {
		const struct subid_range_item *item = &ranges->items[i];
		if (item->start > UINT32_MAX || item->count > UINT32_MAX ||
		    container_id > UINT32_MAX)
			return error_set(error, CST_EINVAL,
			                 "subordinate ID range %" PRIu64 ":%" PRIu64
			                 " does not fit into 32 bits",
			                 item->start, item->count);
		added.ranges[added.len++] = (cst_idmap){
		        (uint32_t)container_id, (uint32_t)item->start, (uint32_t)item->count};
		container_id += item->count;
	}
	return idmap_append(map, &added, error);
}

/* The decimal uid of a user name, NULL if there is no such user. */
static int user_id_text(const char *user, char **ret, cst_error **error)
{
	_cleanup_free_ char *buffer = NULL;
	struct passwd entry, *found = NULL;
	int code = ERANGE;
	for (size_t size = 1024; code == ERANGE && size <= 1024 * 1024; size *= 4) {
		free(buffer);
		buffer = malloc(size);
		if (!buffer)
			return error_oom(error);
		code = getpwnam_r(user, &entry, buffer, size, &found);
	}
	char *text = found ? str_printf("%u", (unsigned)found->pw_uid) : NULL;
	if (found && !text)
		return error_oom(error);
	*ret = text;
	return 0;
}

static int find_ranges(const char *user, bool group, const char *path, struct subid_ranges *ranges,
                       cst_error **error)
{
	_cleanup_free_ char *uid = NULL;
	bool available = false;
	int code = user_id_text(user, &uid, error);
	if (code < 0)
		return code;
	if (library_is_configured()) {
		code = subid_ask_library(user, uid, group, ranges, &available, error);
		if (code < 0 || available)
			return code;
		log_warning("/etc/nsswitch.conf names a source of subordinate IDs, but libsubid "
		            "cannot be loaded: only %s is read",
		            path);
	}
	return read_ranges(path, user, uid, ranges, error);
}

/* ---- no ranges ---- */

/* useradd gives ranges of this size, from here on. */
#define NEW_RANGE 65536
#define NEW_START 100000

int subid_free_start(char *text, uint64_t *ret)
{
	_cleanup_subids_ struct subid_ranges ranges = {0};
	_cleanup_intervals_ struct intervals all = {0}, taken = {0}, free_ids = {0};
	if (subid_parse(text, "ALL", NULL, "", &ranges, NULL) < 0 ||
	    !intervals_add(&all, NEW_START, UINT32_MAX))
		return CST_EINVAL;
	for (size_t i = 0; i < ranges.len; i++)
		if (!intervals_add(&taken, ranges.items[i].start, ranges.items[i].count))
			return CST_ENOMEM;
	intervals_join(&taken);
	if (!intervals_subtract(&all, &taken, &free_ids))
		return CST_ENOMEM;
	for (size_t i = 0; i < free_ids.len; i++) {
		*ret = free_ids.items[i].start;
		if (free_ids.items[i].end - *ret >= NEW_RANGE)
			return 0;
	}
	return CST_EINVAL;
}

/* Names the line that the file lacks, unless the ids come from elsewhere or the file is not understood. */
static int none_found(const char *user, bool group, const char *path, cst_error **error)
{
	const char *kind = group ? "gid" : "uid", *owner = group ? "group" : "user";
	_cleanup_free_ char *text = NULL;
	uint64_t start;
	size_t len;
	int r = fs_read_file(AT_FDCWD, path, SUBID_FILE_MAX, &text, &len, NULL);
	if (r < 0 || library_is_configured() || subid_free_start(text, &start) < 0)
		return error_set(error, CST_EINVAL, "no sub%s ranges found for %s \"%s\" in %s",
		                 kind, owner, user, path);
	error_set(error, CST_EINVAL,
	          "no sub%s ranges found for %s \"%s\" in %s, which lacks a line such as "
	          "\"%s:%" PRIu64 ":%u\"",
	          kind, owner, user, path, user, start, NEW_RANGE);
	return error_go_words(error, CST_EINVAL, user, "no sub%s ranges found for %s \"%s\" in %s",
	                      kind, owner, user, path);
}

int idmap_add_subids(const char *user, bool group, struct idmap *map, cst_error **error)
{
	_cleanup_subids_ struct subid_ranges ranges = {0};
	const char *path = group ? "/etc/subgid" : "/etc/subuid";
	int code = find_ranges(user, group, path, &ranges, error);
	if (code < 0)
		return code;
	return !ranges.len ? none_found(user, group, path, error)
	                   : subid_to_map(&ranges, map, error);
}
