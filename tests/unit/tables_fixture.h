/* SPDX-License-Identifier: Apache-2.0 */
/* Layers for the tests of tables. Vectors: docs/format/store.md. */
#ifndef CST_TESTS_UNIT_TABLES_FIXTURE_H
#define CST_TESTS_UNIT_TABLES_FIXTURE_H

#include "records_fixture.h"

#define TIME "\"created\":\"0001-01-01T00:00:00Z\""

static inline cst_layer new_layer(const char *id, enum layer_file file)
{
	return (cst_layer){.id = id,
	                   .parent = "",
	                   .metadata = "",
	                   .mount_label = "",
	                   .created = TIMESTAMP_ZERO,
	                   .compressed_digest = "",
	                   .diff_digest = "",
	                   .toc_digest = "",
	                   .mount_point = "",
	                   .file = file};
}

static inline void add_layer(struct record_set *t, const char *id, const char *parent,
                             enum layer_file file, const char *const *names, size_t n)
{
	cst_layer layer = new_layer(id, file);
	layer.parent = parent;
	layer.names = (struct strings){.items = names, .len = n};
	assert_true(record_set_add(t, &layer));
}

static inline void assert_children(const struct record_set *t, const char *id, const char *want)
{
	_cleanup_strbuf_ struct strbuf found = {0};
	const cst_layer *child = layer_table_first_child(t, id);
	for (; child; child = layer_table_next_child(t, child))
		strbuf_adds(&found, child->id);
	assert_string_equal(strbuf_str(&found), want);
}

#endif
