/* SPDX-License-Identifier: Apache-2.0 */
/* Small tars for tests, assembled by hand so that wrong ones can be made too. */
#ifndef TAR_BUILD_H
#define TAR_BUILD_H

#include "base/str.h"
#include <stdint.h>
#include <stdio.h>

struct tar_entry {
	const char *name, *link;
	char type; /* 0: '0' */
	unsigned mode, uid, gid;
	long mtime;
	const void *data;
	size_t len;
	const char *size; /* the field as text, instead of len */
	unsigned major, minor;
};

static inline void tar_add_padding(struct strbuf *tar)
{
	static const char zero[512];
	strbuf_add(tar, zero, -tar->len & 511);
}

static inline void tar_add_header(struct strbuf *tar, const struct tar_entry *e)
{
	char block[512] = {0};
	unsigned sum = 0;

	snprintf(block, 101, "%s", e->name);
	snprintf(block + 100, 8, "%07o", (e->mode ? e->mode : 0644) & 07777777);
	snprintf(block + 108, 8, "%07o", e->uid & 07777777);
	snprintf(block + 116, 8, "%07o", e->gid & 07777777);
	if (e->size)
		memcpy(block + 124, e->size, strlen(e->size));
	else
		snprintf(block + 124, 12, "%011zo", e->len & 077777777777);
	snprintf(block + 136, 12, "%011lo",
	         e->mtime ? (unsigned long)e->mtime & 077777777777 : 1600000000UL);
	memset(block + 148, ' ', 8);
	block[156] = e->type ? e->type : '0';
	snprintf(block + 157, 101, "%s", e->link ? e->link : "");
	memcpy(block + 257,
	       "ustar\0"
	       "00",
	       8);
	snprintf(block + 329, 8, "%07o", e->major & 07777777);
	snprintf(block + 337, 8, "%07o", e->minor & 07777777);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (unsigned char)block[i];
	snprintf(block + 148, 8, "%06o", sum & 0777777);
	block[155] = ' ';
	strbuf_add(tar, block, sizeof(block));
}

static inline void tar_add(struct strbuf *tar, const struct tar_entry *e)
{
	tar_add_header(tar, e);
	if (e->len > 0)
		strbuf_add(tar, e->data, e->len);
	tar_add_padding(tar);
}

#define TAR_ADD(tar, ...) tar_add((tar), &(struct tar_entry){__VA_ARGS__})

/* One "LENGTH KEY=VALUE\n" at the end of records. */
static inline void pax_record(struct strbuf *records, const char *key, const void *value, size_t n)
{
	size_t base = strlen(key) + n + 3, total = base + 1;
	char digits[24];

	while ((size_t)snprintf(digits, sizeof(digits), "%zu", total) + base != total)
		total = base + strlen(digits);
	strbuf_addf(records, "%zu %s=", total, key);
	strbuf_add(records, value, n);
	strbuf_addc(records, '\n');
}

static inline void tar_add_pax(struct strbuf *tar, const struct strbuf *records)
{
	TAR_ADD(tar, .name = "PaxHeaders.0/x", .type = 'x', .data = records->data,
	        .len = records->len);
}

static inline void tar_add_pax_one(struct strbuf *tar, const char *key, const char *value)
{
	_cleanup_strbuf_ struct strbuf records = {0};
	pax_record(&records, key, value, strlen(value));
	tar_add_pax(tar, &records);
}

static inline void tar_add_end(struct strbuf *tar)
{
	static const char zero[1024];
	strbuf_add(tar, zero, sizeof(zero));
}

#endif
