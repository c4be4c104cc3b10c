/* SPDX-License-Identifier: Apache-2.0 */
/* Images and containers by their keys: with an index, without, and after edits. */
#include "index_fixture.h"

#include <unistd.h>

#define MANY 300

static void add_item(struct strbuf *json, struct random *r, unsigned i)
{
	strbuf_addf(json, "%s{\"id\":\"id%u\",\"layer\":\"l%u\",\"image\":\"i%u\"", i ? "," : "", i,
	            below(r, 2) ? below(r, WORDS) : 1000 + i, below(r, MANY));
	if (!below(r, 3))
		strbuf_addf(json, ",\"mapped-layers\":[\"l%u\",\"l%u\"]", below(r, WORDS),
		            below(r, WORDS));
	if (below(r, 2))
		strbuf_addf(json, ",\"digest\":\"sha256:%064u\"", below(r, WORDS));
	strbuf_addc(json, '}');
}

/* Records that are images as well as containers: each kind keeps what it does not know. */
static void put_items(struct fixture *f, const char *name, uint64_t seed)
{
	struct random r = {seed};
	_cleanup_strbuf_ struct strbuf json = {0};
	strbuf_addc(&json, '[');
	for (unsigned i = 0; i < MANY; i++)
		add_item(&json, &r, i);
	strbuf_addc(&json, ']');
	put_file(f, name, json.data);
}

static void same_by_key(const struct record_set *a, const struct record_set *b, unsigned keys,
                        const char *text)
{
	const void *first = NULL, *second = NULL;
	do {
		first = record_set_next(a, keys, text, first);
		second = record_set_next(b, keys, text, second);
		assert_int_equal(!first, !second);
		if (first)
			assert_string_equal(*(const char *const *)first,
			                    *(const char *const *)second);
	} while (first);
}

static void same_by_keys(const struct record_set *a, const struct record_set *b)
{
	static const unsigned masks[] = {KEY_LAYER, KEY_MAPPED, KEY_LAYER | KEY_MAPPED, KEY_DIGEST,
	                                 KEY_IMAGE, KEY_ID,     KEY_IMAGE | KEY_LAYER};
	for (unsigned i = 0; i < MANY; i++) {
		char texts[4][80];
		(void)snprintf(texts[0], sizeof(texts[0]), "l%u", i < MANY / 2 ? i : 900 + i);
		(void)snprintf(texts[1], sizeof(texts[1]), "sha256:%064u", i);
		(void)snprintf(texts[2], sizeof(texts[2]), "i%u", i);
		(void)snprintf(texts[3], sizeof(texts[3]), "id%u", i);
		for (size_t n = 0; n < 4 * ARRAY_SIZE(masks); n++)
			same_by_key(a, b, masks[n / 4], texts[n % 4]);
	}
	same_by_key(a, b, KEY_LAYER, "");
}

static void test_images(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	bool repair;
	put_items(&f, "images.json", 1);
	_cleanup_images_ struct record_set *plain = images_loaded(&f);
	_cleanup_images_ struct record_set *t = indexed(images_new(&f), &f);
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	assert_non_null(t->base);
	same_by_keys(plain, t);
	assert_non_null(record_set_next(t, KEY_LAYER | KEY_MAPPED, "l1", NULL));
	char digest[80];
	(void)snprintf(digest, sizeof(digest), "sha256:%064u", 1);
	assert_non_null(record_set_next(t, KEY_DIGEST, digest, NULL));
}

static void test_containers(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	bool repair;
	put_items(&f, "containers.json", 2);
	_cleanup_containers_ struct record_set *plain = containers_loaded(&f);
	_cleanup_containers_ struct record_set *t = indexed(containers_new(&f), &f);
	assert_int_equal(containers_load(&f, t, &repair, NULL), 0);
	assert_non_null(t->base);
	same_by_keys(plain, t);
	const char *image = container_table_at(plain, 0)->image;
	assert_non_null(record_set_next(t, KEY_IMAGE, image, NULL));
}

/* Those that were edited come at the end. */
static void test_edited(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	bool repair;
	put_file(&f, "images.json",
	         "[{\"id\":\"A\",\"layer\":\"l\"},{\"id\":\"B\",\"mapped-layers\":[\"l\"]},{\"id\":"
	         "\"C\",\"layer\":"
	         "\"l\"}]");
	_cleanup_images_ struct record_set *t = indexed(images_new(&f), &f);
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	set_image_metadata(t, "A", "edited");
	static const char *const ids[] = {"B", "C", "A"};
	const cst_image *image = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		image = image_table_by_layer(t, IMAGE_ANY_LAYER, "l", image);
		assert_string_equal(image->id, ids[i]);
	}
	assert_null(image_table_by_layer(t, IMAGE_ANY_LAYER, "l", image));
	assert_string_equal(image_table_by_layer(t, IMAGE_MAPPED_LAYER, "l", NULL)->id, "B");
	assert_true(record_set_remove(t, "C"));
	assert_null(image_table_by_layer(t, IMAGE_ANY_LAYER, "none", NULL));
	image = image_table_by_layer(t, IMAGE_ANY_LAYER, "l", NULL);
	assert_string_equal(image_table_by_layer(t, IMAGE_ANY_LAYER, "l", image)->id, "A");
}

/* Without an index, too, the walk goes on behind the last record found, wherever edits of others have moved that. */
static void test_moved(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	bool repair;
	put_items(&f, "images.json", 3);
	_cleanup_images_ struct record_set *t = images_new(&f);
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	for (unsigned gone = 0; gone < MANY; gone += 2) {
		char id[16], last[16] = "";
		size_t found = 0, wanted = 0;
		(void)snprintf(id, sizeof(id), "id%u", gone);
		(void)record_set_remove(t, id);
		(void)snprintf(id, sizeof(id), "new%u", gone);
		const cst_image added = {.id = id, .layer = "l1", .digest = "", .metadata = ""};
		assert_true(record_set_add(t, &added));
		for (size_t i = 0; i < record_set_size(t); i++)
			wanted += streq(image_table_at(t, i)->layer, "l1");
		for (const cst_image *image = NULL;
		     (image = image_table_by_layer(t, IMAGE_TOP_LAYER, "l1", image)); found++)
			(void)snprintf(last, sizeof(last), "%s", image->id);
		assert_int_equal(found, wanted);
		assert_string_equal(last, id);
	}
}

/* The walk goes on where it was when all records had to be parsed in the middle of it. */
static void test_fallen_back(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	bool repair;
	static const char text[] = "[{\"id\":\"Z\"},{\"id\":\"A\",\"layer\":\"l\"},"
	                           "{\"id\":\"B\",\"layer\":\"l\",\"metadata\":\"old\"}]";
	put_file(&f, "images.json", text);
	_cleanup_images_ struct record_set *t = indexed(images_new(&f), &f);
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	const cst_image *image = image_table_by_layer(t, IMAGE_TOP_LAYER, "l", NULL);
	assert_string_equal(image->id, "A");
	_cleanup_close_ int fd = openat(f.dir.fd, "images.json", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "new", 3, strstr(text, "old") - text), 3);
	image = image_table_by_layer(t, IMAGE_TOP_LAYER, "l", image);
	assert_null(t->base);
	assert_string_equal(image->id, "B");
	assert_null(image_table_by_layer(t, IMAGE_TOP_LAYER, "l", image));
}

/* A look-up reads what it finds, and no more. */
static void test_reads_little(void **state)
{
	_cleanup_fixture_ struct fixture f = quick_fixture_make();
	bool repair;
	put_items(&f, "images.json", 3);
	_cleanup_images_ struct record_set *first = indexed(images_new(&f), &f);
	_cleanup_images_ struct record_set *t = indexed(images_new(&f), &f);
	assert_int_equal(images_load(&f, first, &repair, NULL), 0);
	assert_int_equal(images_load(&f, t, &repair, NULL), 0);
	size_t found = 0, read = 0;
	for (const void *image = NULL; (image = record_set_next(t, KEY_MAPPED, "l1", image));)
		found++;
	for (size_t i = 0; record_set_next_known(t, &i);)
		read++;
	assert_int_equal(read, found);
	assert_in_range(found, 1, MANY / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_images),      cmocka_unit_test(test_containers),
	        cmocka_unit_test(test_edited),      cmocka_unit_test(test_moved),
	        cmocka_unit_test(test_fallen_back), cmocka_unit_test(test_reads_little),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
