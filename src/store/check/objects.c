/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects of a composefs layer do not hold what their names say? Looked at only when the layer was found to be damaged. */
#include "archive/tree/walk.h"
#include "base/digest.h"
#include "base/fs.h"
#include "store/check/check.h"
#include <errno.h>
#include <stdio.h>

#define NAMED_MAX 3

static int digest_object(const struct tree_entry *entry, char ret[DIGEST_TEXT_MAX],
                         cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	char buffer[16384];
	ssize_t n = 1;
	_cleanup_close_ int fd =
	        openat(entry->dirfd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r = fd < 0 ? error_sys(error, errno, "open %s", entry->path)
	               : digester_new(DIGEST_SHA256, &digester, error);
	while (r == 0 && (n = fs_read_full(fd, buffer, sizeof(buffer))) > 0)
		digester_update(digester, buffer, (size_t)n);
	if (r == 0 && n < 0)
		return error_sys(error, errno, "read %s", entry->path);
	return r == 0 ? digester_finish(digester, ret, error) : r;
}

/* What cannot be read is damaged, too. */
static bool is_right(const struct tree_entry *entry)
{
	char digest[DIGEST_TEXT_MAX], name[DIGEST_TEXT_MAX];
	if (digest_object(entry, digest, NULL) < 0)
		return false;
	const char *hex = digest_hex(digest);
	snprintf(name, sizeof(name), "%.2s/%s", hex, hex + 2);
	return streq(name, entry->path);
}

int damaged_objects(struct driver *driver, const char *id, char **ret, cst_error **error)
{
	_cleanup_tree_walk_ struct tree_walk *walk = NULL;
	_cleanup_strbuf_ struct strbuf text = {0};
	_cleanup_close_ int fd = -1;
	enum tree_event event = TREE_ENTRY;
	struct tree_entry entry;
	size_t n = 0;
	*ret = NULL;
	if (!driver->ops->objects_open || driver->ops->objects_open(driver, id, &fd, NULL) < 0)
		return 0;
	int r = tree_walk_new(&fd, 1, true, &walk, error);
	while (r == 0 && (r = tree_walk_next(walk, &event, &entry, error)) == 0 &&
	       event != TREE_END) {
		if (event != TREE_ENTRY || !S_ISREG(entry.stat.st_mode) || is_right(&entry))
			continue;
		if (n++ < NAMED_MAX)
			strbuf_addf(&text, "%s%s", n > 1 ? ", " : "", entry.path);
	}
	if (r < 0 || n == 0)
		return r;
	if (n > NAMED_MAX)
		strbuf_addf(&text, " and %zu more", n - NAMED_MAX);
	*ret = strbuf_steal(&text);
	return *ret ? 0 : error_oom(error);
}
