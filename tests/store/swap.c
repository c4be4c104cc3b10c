/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: swap DIRECTORY UID COUNT spin|list link:TARGET|file:TEXT
 *
 * An unprivileged user at work in a directory of his own, for swaps.sh: as soon as DIRECTORY has an
 * entry n<NUMBER>, this puts another file in its place by one exchange of names: a symlink to TARGET,
 * or a file of his with TEXT and mode 0755. `spin` waits for n0, n1, ... in that order; `list` looks
 * for what is new in the directory (a mounted overlay remembers the names that it did not find).
 * Runs until it is killed, and prints nothing.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *bait; /* what is put there */

static void make_bait(void)
{
	if (strncmp(bait, "link:", 5) == 0) {
		if (symlink(bait + 5, "bait") < 0)
			err(1, "symlink");
		return;
	}
	int fd = open("bait", O_WRONLY | O_CREAT | O_EXCL, 0755);
	size_t n = strlen(bait + 5);
	if (fd < 0 || write(fd, bait + 5, n) != (ssize_t)n || fchmod(fd, 0755) < 0)
		err(1, "bait");
	close(fd);
}

static bool swap(const char *name)
{
	if (syscall(SYS_renameat2, AT_FDCWD, "bait", AT_FDCWD, name, RENAME_EXCHANGE) < 0)
		return false;
	(void)unlink("bait"); /* what the command made */
	make_bait();
	return true;
}

static void spin(unsigned count)
{
	char name[16];
	for (unsigned i = 0;; i = (i + 1) % count) {
		snprintf(name, sizeof(name), "n%u", i);
		while (!swap(name))
			;
	}
}

/* Each number once: what was swapped is not swapped back. */
static void list(unsigned count)
{
	bool *seen = calloc(count, sizeof(*seen));
	for (DIR *dir = opendir("."); dir && seen; rewinddir(dir)) {
		const struct dirent *entry;
		while ((entry = readdir(dir))) {
			unsigned number;
			if (sscanf(entry->d_name, "n%u", &number) == 1 && number < count &&
			    !seen[number])
				seen[number] = swap(entry->d_name);
		}
	}
	err(1, "list");
}

int main(int argc, char **argv)
{
	if (argc != 6 || (strncmp(argv[5], "link:", 5) != 0 && strncmp(argv[5], "file:", 5) != 0))
		errx(2, "usage: swap DIRECTORY UID COUNT spin|list link:TARGET|file:TEXT");
	uid_t uid = (uid_t)atol(argv[2]);
	unsigned count = (unsigned)atol(argv[3]);
	bait = argv[5];
	if (chdir(argv[1]) < 0)
		err(1, "%s", argv[1]);
	if (setgid(uid) < 0 || setuid(uid) < 0)
		err(1, "user %u", uid);
	make_bait();
	if (strcmp(argv[4], "spin") == 0)
		spin(count);
	list(count);
}
