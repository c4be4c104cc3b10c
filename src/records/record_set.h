/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tables of layers, images and containers have in common: records of one kind out of up to
 * three files, found by ID, name and prefix, edited in memory and saved.
 *
 * Memory: what was loaded lies in one arena; a record that was edited since has an arena of its
 * own. A record that an edit replaced or removed is kept until the next save or load, so that
 * pointers into it stay good that long; a save that finds many edited or removed records copies all
 * that is left into a new arena.
 */
#ifndef CST_RECORDS_RECORD_SET_H
#define CST_RECORDS_RECORD_SET_H

#include "base/hashmap.h"
#include "records/index_file.h"
#include "records/prefix_index.h"
#include "records/record_fields.h"
#include "records/record_file.h"
#include "records/table.h"
#include <pthread.h>

#define SLOT_CHAINS 4

/* Called for each of the keys of a record, until it returns false. */
struct key_visitor {
	bool (*visit)(void *userdata, enum record_key key, const char *text);
	void *userdata;
};

/* The place of a record, for as long as it is in the set. With a base only those that were looked up have
 * one. */
struct slot {
	void *record; /* NULL: one that cannot be served, kept as raw JSON */
	const char *raw;
	size_t raw_len;
	const char *why; /* static text: why it cannot be served */
	struct arena memory; /* empty: the record lies in the arena of the load */
	unsigned file;
	uint32_t at, length;            /* while loading: of its JSON in the file */
	size_t place;                   /* in the list of all when it came there; edits of others move it */
	uint32_t number;                /* in the index; UINT32_MAX: it is not there */
	bool edited;                    /* since the index was made; a new one, too */
	uint32_t order;                 /* among those that were edited */
	bool lost_name;                 /* while loading */
	size_t walk;                    /* while loading: the walk up the parents that met it */
	struct slot *next[SLOT_CHAINS]; /* for chain_index */
	char id[];
};

#define RECORD_IS_CIRCLE "it is its own ancestor"

struct slots {
	struct slot **items;
	size_t len, capacity;
};

/* One of three: layers, images, containers. */
struct record_kind {
	const char *what;    /* "layer" */
	size_t size;         /* of the record, which begins with its ID */
	size_t names;        /* offset of its struct strings */
	bool last_wins;      /* of two records with one ID */
	int duplicate_names; /* error code when a read-only store has a name twice */
	const char *(*parent)(const void *record); /* NULL: such records have none */
	int64_t (*size_of)(const void *record); /* of its content, for the index; -1: the record does not say. NULL: such records have none */
	void (*read)(struct record_reader *r, void *record);
	bool (*copy)(struct arena *arena, const void *from, void *to);
	void (*write)(struct json_writer *w, const void *record);
	/* Sets what is not in the JSON. `old`: the record before the edit, NULL for a new or loaded
	 * one. */
	bool (*settle)(struct record_set *set, struct arena *arena, void *record, const void *old,
	               unsigned file);
	/* Which file a new record goes to; NULL: the first. */
	unsigned (*file_of)(const struct record_set *set, const void *record);
	/* One more way to find a record, before the prefixes; NULL: none. */
	void *(*find)(const struct record_set *set, const char *id);
	/* A load found all records. *repair is set if one of them is a writer's to mend. NULL: nothing
	 * to do. */
	int (*loaded)(struct record_set *set, bool *repair, cst_error **error);
	/* The keys but ID and names. "" is none. False: a visit returned false. */
	bool (*keys)(const void *record, const struct key_visitor *visitor);
	/* May no index have this record, because a load looks for such ones? NULL: never. */
	bool (*wants_repair)(const void *record);
	/* Keeps the table's own indexes, where the set has no base; NULL: there are none. index: false when out of memory. */
	bool (*index)(struct record_set *set, struct slot *slot);
	void (*unindex)(struct record_set *set, struct slot *slot);
	void (*removed)(struct record_set *set, const void *record); /* NULL: nothing to do */
	void (*clear)(struct record_set *set); /* everything goes */
	void (*freed)(struct record_set *set); /* what else the table owns; NULL: nothing */
};

enum dirt { CLEAN, LOST_NAMES, LOST_RECORDS, EDITED };

struct record_set {
	const struct record_kind *kind;
	struct record_file files[RECORD_FILES];
	enum dirt dirty[RECORD_FILES];
	unsigned n_files;
	unsigned order[RECORD_FILES]; /* of saving: what the records of a file build on is in those before */
	bool read_only;

	struct lock_token token;
	bool loaded;  /* memory holds what the files held */
	bool stale;   /* must be loaded again whatever the token says */
	bool damaged; /* the last load failed on the content of a file */
	bool broken;  /* an edit ran out of memory half-way, or records cannot be read any more */
	cst_error *problem; /* why they cannot */
	bool salvaging; /* this load takes of a damaged file what can be read: its number is then in `salvaged` */
	unsigned salvaged; /* a mask */
	size_t unusable; /* records that are kept as raw JSON: a set with such has no index */

	/* record_base.h */
	void *blank; /* a record without anything, for walks over records that cannot be read */
	struct record_base *base;        /* NULL: all records are in memory */
	struct record_base *former_base; /* its records are still looked at */
	struct index_file *opened_index; /* from open until parse */
	char *index_dir, *index_name;    /* NULL: the set has no index */
	bool writes_index;
	size_t worth_an_index; /* bytes of records from which on the set has one */

	/* With a base only `visible` is used, and only once the base is prepared for edits. */
	struct slots content[RECORD_FILES]; /* of each file, raw ones too, in order */
	struct slots visible;               /* all that can be served, in order of files */
	struct hashmap by_id, by_name;
	struct prefix_index prefixes;
	pthread_mutex_t lazy; /* held while a look-up builds an index, or uses the base */

	struct arena loaded_memory, raw_memory;
	size_t edited,
	        removed; /* records with memory of their own; records of the load that are gone */
	struct arena *retired; /* memory of replaced records, freed by save and load */
	size_t n_retired, retired_capacity;
};

/* `size` of the whole table, which begins with its set. NULL: out of memory. */
void *record_set_new(const struct record_kind *kind, size_t size, bool read_only);
int record_set_add_file(struct record_set *set, const char *dir, const char *name, bool is_volatile,
                        cst_error **error);
struct slot *record_set_slot(const struct record_set *set, const char *id);
struct slot *record_set_unusable_slot(const struct record_set *set, size_t i); /* NULL: there are not so many */
bool record_set_put(struct record_set *set, const void *record, bool dirty); /* replaces */

/* Parts shared by the files of this folder only. */
void record_set_clear(struct record_set *set); /* forgets all records */
struct slot *record_slot_new(const char *id, unsigned file);
void record_slot_free(struct slot *slot);
/* Parses what the set has open. *index: for a set that is worth one; else NULL. */
int record_load_all(struct record_set *set, bool *repair, struct index_file **index, cst_error **error);
/* The same, of a set that has it as a base now; what was handed out stays. */
int record_load_again(struct record_set *set, cst_error **error);
bool record_slots_insert(struct slots *slots, size_t at, struct slot *slot);
void record_slots_remove(struct slots *slots, const struct slot *slot);
bool record_index_names(struct record_set *set, struct slot *slot);
/* Visits ID, names and the keys of the kind. */
bool record_visit_keys(const struct record_set *set, const void *record,
                       const struct key_visitor *visitor);
bool record_has_key(const struct record_set *set, const void *record, unsigned keys,
                    const char *text); /* as one of these keys, a mask */
uint32_t record_key_hash(const uint64_t secret[2], enum record_key key, const char *text);
void record_set_release(struct record_set *set); /* frees what was retired */

#endif
