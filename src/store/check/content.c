/* SPDX-License-Identifier: Apache-2.0 */
/* What records point at: data items, and the content of layers. No lock is held while it is read. */
#include "archive/tar/tar.h"
#include "archive/tarsplit/tarsplit.h"
#include "base/digest.h"
#include "base/types.h"
#include "driver/rootless.h"
#include "store/check/check.h"
#include "store/check/data_digest.h"
#include "store/check/expected.h"
#include "store/core/lookup.h"
#include "store/layer/replace.h"
#include "store/layer/view.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

/* A failure that says nothing about the store, but of this process or this moment. */
static bool is_ours(int code, const cst_error *problem)
{
	static const int momentary[] = {ENOMEM, EMFILE, ENFILE, EINTR,    ENOSPC,
	                                EDQUOT, EBUSY,  EAGAIN, ETIMEDOUT};
	bool ours = code == CST_ENOMEM || code == CST_ECANCELED;
	for (size_t i = 0; i < ARRAY_SIZE(momentary) && code == CST_ESYS; i++)
		ours = ours || cst_error_errno(problem) == momentary[i];
	return ours;
}

/* ---- data items ---- */

#define SIGNED_MANIFEST_MAX (4 << 20)

static void data_unreadable(struct checked *item, const char *key, const cst_error *problem)
{
	static const char *const missing[] = {"layer data item is missing",
	                                      "image data item is missing",
	                                      "container data item is missing"};
	bool gone = cst_error_code(problem) == CST_EDATA_UNKNOWN;
	findings_add(&item->found, gone ? CST_FINDING_DATA_MISSING : CST_FINDING_DATA_UNREADABLE,
	             &item->about, NULL,
	             gone ? str_printf("its data item \"%s\" has no file", key)
	                  : str_printf("its data item \"%s\" cannot be read: %s", key,
	                               cst_error_message(problem)),
	             str_printf("data item \"%s\": %s", key,
	                        gone ? missing[item->about.kind - CST_KIND_LAYER]
	                             : cst_error_go_message(problem)));
}

/* The Go command takes a size that is not recorded for 0; a layer has no sizes. */
static void check_size(struct checked *item, const char *key, int64_t wanted, int64_t size)
{
	if (item->about.kind == CST_KIND_LAYER || size == wanted ||
	    (wanted < 0 && (size == 0 || !check_wants(item->check, CST_CHECK_MOUNTS))))
		return;
	findings_add(&item->found, CST_FINDING_DATA_SIZE, &item->about, NULL,
	             str_printf("its data item \"%s\" has %" PRId64 " bytes, but %" PRId64
	                        " are recorded",
	                        key, size, MAX(wanted, (int64_t)0)),
	             str_printf("data item \"%s\": %s data item has incorrect size", key,
	                        kind_of(item->about.kind)->name));
}

/* A signed manifest of schema 1 is known by the digest of what is signed in it, which is another one than that of the file. */
static bool is_signed_manifest(const char *key, int fd)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	return has_prefix(key, "manifest") && lseek(fd, 0, SEEK_SET) == 0 &&
	       fs_read_fd(fd, key, SIGNED_MANIFEST_MAX, &text, &len, NULL) == 0 &&
	       strstr(text, "\"signatures\"");
}

/* `recorded` NULL: a layer's, of which nothing is recorded. A failure to read is told of as one. */
static int check_digest(struct checked *item, const char *key, const struct data_item *recorded,
                        int fd, cst_error **problem)
{
	char digest[DIGEST_TEXT_MAX];
	const char *named = data_key_digest(key);
	const char *wanted =
	        recorded && digest_validate(recorded->digest, NULL) == 0 ? recorded->digest : named;
	int r = data_digest(fd, key, strempty(wanted), digest, problem);
	if (r < 0 || !recorded || check_wants(item->check, CST_CHECK_MOUNTS))
		return r;
	bool right = (!wanted || streq(wanted, digest)) &&
	             (!named || digest_algorithm_of(named) != digest_algorithm_of(wanted) ||
	              streq(named, digest));
	if (!right && !is_signed_manifest(key, fd))
		findings_add(
		        &item->found, CST_FINDING_DATA_DIGEST, &item->about, NULL,
		        str_printf("its data item \"%s\" has the digest %s, and should have %s",
		                   key, digest, named && !streq(named, digest) ? named : wanted),
		        strdup(""));
	return 0;
}

/* Of an item of another size the digest is another one, too. */
static int check_data_item(struct checked *item, const char *key, const struct data_item *recorded,
                           cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st = {0};
	int64_t size = recorded ? recorded->size : -1;
	int r = cst_store_open_data(item->check->store, item->about.kind, item->about.id, key, &fd,
	                            &problem);
	if (r == 0 && fstat(fd, &st) < 0)
		r = error_sys(&problem, errno, "stat %s", key);
	bool same_size = size < 0 || size == (int64_t)st.st_size;
	if (r == 0 && check_wants(item->check, CST_CHECK_CONTENT))
		r = check_digest(item, key, same_size ? recorded : NULL, fd, &problem);
	if (is_ours(r, problem))
		return error_propagate(error, steal_ptr(&problem));
	if (r < 0)
		data_unreadable(item, key, problem);
	else
		check_size(item, key, size, (int64_t)st.st_size);
	return 0;
}

int check_data(struct checked *item, cst_error **error)
{
	const struct kind *kind = kind_of(item->about.kind);
	struct strings names = record_data_names(kind, item->record);
	struct data_items items = record_data(kind, item->record);
	int r = 0;
	for (size_t i = 0; r == 0 && i < names.len; i++)
		r = check_data_item(item, names.items[i], i < items.len ? &items.items[i] : NULL,
		                    error);
	return r;
}

/* ---- the archive of a layer ---- */

struct hashing {
	struct check *check;
	struct digester *digester;
	uint64_t bytes;
};

static int hash(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct hashing *hashing = userdata;
	digester_update(hashing->digester, data, n);
	hashing->bytes += n;
	return check_progress(hashing->check, n, error);
}

static void unreadable(struct checked *layer, enum cst_finding_code code, const char *what,
                       const cst_error *problem, const char *go_prefix)
{
	findings_add(&layer->found, code, &layer->about, NULL,
	             str_printf("%s: %s", what, cst_error_message(problem)),
	             str_printf("%s%s", go_prefix, cst_error_go_message(problem)));
}

static void compare_sums(struct checked *layer, const char *digest, uint64_t bytes)
{
	const cst_layer *record = layer->record;
	layer->whole = true;
	if (!streq(digest, record->diff_digest)) {
		layer->whole = false;
		findings_add(
		        &layer->found, CST_FINDING_CONTENT_DIGEST, &layer->about, NULL,
		        str_printf("its archive comes out with the digest %s, but %s is recorded",
		                   digest, record->diff_digest),
		        strdup("layer content incorrect digest"));
	}
	if (record->diff_size != -1 && (int64_t)bytes != record->diff_size) {
		layer->whole = false;
		findings_add(&layer->found, CST_FINDING_CONTENT_SIZE, &layer->about, NULL,
		             str_printf("its archive comes out with %" PRIu64 " bytes, but %" PRId64
		                        " are recorded",
		                        bytes, record->diff_size),
		             str_printf("read %" PRIu64 " bytes instead of %" PRId64
		                        " bytes: layer content incorrect size",
		                        bytes, record->diff_size));
	}
}

/* What is shorter is no gzip stream: the Go command then does not begin to read. */
#define GZIP_MIN 18

/* The Go command reads an archive to its end even after an error, and so tells of it twice; here it forgets that a store
 * is read-only. */
static void unreadable_to_its_end(struct checked *layer, const cst_error *problem)
{
	struct subject plain = layer->about;
	plain.read_only = false;
	findings_add(&layer->found, CST_FINDING_CONTENT_UNREADABLE, &layer->about, &plain,
	             str_printf("its archive cannot be given back: %s", cst_error_message(problem)),
	             str_printf("consume any trailer after the EOF marker: %s",
	                        cst_error_go_message(problem)));
}

static int check_archive(struct checked *layer, struct layer_view *view, cst_error **error)
{
	_cleanup_digester_ struct digester *digester = NULL;
	_cleanup_error_ cst_error *problem = NULL;
	const cst_layer *record = layer->record;
	char digest[DIGEST_TEXT_MAX];
	int r = digester_new(digest_algorithm_of(record->diff_digest), &digester, error);
	if (r < 0)
		return r;
	struct hashing hashing = {.check = layer->check, .digester = digester};
	r = layer_view_write_tar(view, 0, NULL, &(cst_sink){.write = hash, .userdata = &hashing},
	                         &problem);
	if (is_ours(r, problem))
		return error_propagate(error, steal_ptr(&problem));
	if (r == 0) {
		r = digester_finish(digester, digest, error);
		if (r == 0)
			compare_sums(layer, digest, hashing.bytes);
		return r;
	}
	if (check_wants(layer->check, CST_CHECK_MOUNTS) && view->tarsplit.st_size >= GZIP_MIN)
		unreadable_to_its_end(layer, problem);
	_cleanup_free_ char *objects = NULL;
	r = damaged_objects(view->driver, layer->about.id, &objects, error);
	if (r < 0)
		return r;
	findings_add(
	        &layer->found, CST_FINDING_CONTENT_UNREADABLE, &layer->about, NULL,
	        str_printf("its archive cannot be given back: %s%s%s", cst_error_message(problem),
	                   objects ? "; objects that hold something else than their names say: "
	                           : "",
	                   strempty(objects)),
	        str_printf("%s", cst_error_go_message(problem)));
	return 0;
}

/* ---- the files of a layer ---- */

struct parsing {
	struct tar_reader *reader;
	struct expected *expected;
};

static int parse(void *userdata, const void *data, size_t n, cst_error **error)
{
	struct parsing *parsing = userdata;
	enum tar_event event = TAR_ENTRY;
	const void *piece;
	size_t len;
	tar_reader_feed(parsing->reader, data, n);
	int r = 0;
	while (r == 0 && (r = tar_reader_next(parsing->reader, &event, &piece, &len, error)) == 0 &&
	       event != TAR_NEED_DATA) {
		if (event == TAR_ENTRY)
			r = expected_add(parsing->expected, tar_reader_header(parsing->reader),
			                 error);
	}
	return r;
}

static int add_headers(struct layer_view *view, struct expected *expected, cst_error **error)
{
	_cleanup_(tar_reader_freep) struct tar_reader *reader = NULL;
	int r = tar_reader_new(&reader, error);
	if (r < 0)
		return r;
	struct parsing parsing = {.reader = reader, .expected = expected};
	const cst_sink sink = {.write = parse, .userdata = &parsing};
	r = view->tarsplit_fd >= 0
	            ? tarsplit_reassemble(view->tarsplit_fd, &(struct tarsplit_reading){0}, &sink,
	                                  error)
	            : layer_view_write_tar(view, 0, NULL, &sink, error);
	return r == 0 ? expected_end_layer(expected, error) : r;
}

/* Of a layer and those below it, base first. A layer whose content is not known is told by *known. */
static int add_chain(struct checked *layer, struct expected *expected, bool *known,
                     cst_error **error)
{
	struct check *check = layer->check;
	struct checked **chain = NULL;
	size_t n = 0, capacity = 0;
	int r = 0;
	*known = true;
	for (struct checked *at = layer; r == 0 && *known && at; n++) {
		struct checked **grown = grow_array(chain, &capacity, n + 1, sizeof(*grown));
		if (!grown) {
			r = error_oom(error);
			break;
		}
		chain = grown;
		chain[n] = at;
		const cst_layer *record = at->record;
		struct checked *parent =
		        *record->parent
		                ? inventory_get(&check->before, CST_KIND_LAYER, record->parent)
		                : NULL;
		*known = *record->diff_digest && (!*record->parent || parent) &&
		         n < check->before.n_items &&
		         (at->whole || !check_wants(check, CST_CHECK_MOUNTS));
		at = parent;
	}
	while (r == 0 && *known && n > 0) {
		_cleanup_layer_view_ struct layer_view view = LAYER_VIEW_INIT;
		r = layer_view_open(check->store, NULL, chain[--n]->about.id, &view, error);
		if (r == 0)
			r = add_headers(&view, expected, error);
	}
	free(chain);
	return r;
}

static bool has_option(const cst_store *store, const char *part)
{
	for (size_t i = 0; i < store->driver_options.len; i++) {
		if (strstr(store->driver_options.items[i], part))
			return true;
	}
	return false;
}

static int expected_for(struct checked *layer, struct idmaps *maps, struct expected **ret,
                        cst_error **error)
{
	cst_store *store = layer->check->store;
	bool masked = has_option(store, "force_mask=");
	int r = layer_content_maps(store, layer->record, maps, error);
	if (r < 0)
		return r;
	bool mounts = check_wants(layer->check, CST_CHECK_MOUNTS);
	const struct expected_options options = {
	        .as_upstream = mounts,
	        .own_content = !mounts && !(store->driver->ops->capabilities & DRIVER_WHOLE_TREES),
	        .marks_are_files = !mounts && store->driver->marks_are_files,
	        .no_devices = !mounts && driver_is_rootless(),
	        .ignore_owners = masked || has_option(store, "ignore_chown_errors=true"),
	        .ignore_modes = masked,
	        .ignore_types = masked,
	        .maps = idmaps_equal(maps, NULL) ? NULL : maps,
	};
	return expected_new(&options, ret, error);
}

/* A difference as a sentence. The caller's; NULL: out of memory. */
static char *in_words(const struct difference *difference)
{
	static const char arrow[] = "\xef\xbf\xab";
	const char *text = difference->text, *from = text + difference->path_end;
	if (*text == '+' || *text == '-')
		return str_printf("%s is %s", text + 1,
		                  *text == '-' ? "missing" : "not in its archive");
	_cleanup_strbuf_ struct strbuf words = {0};
	strbuf_addf(&words, "%.*s is changed: ", (int)(from - text), text);
	for (const char *at = from + 1; *at && at[1]; at++) {
		bool is_arrow = has_prefix(at, arrow);
		strbuf_adds(&words, is_arrow ? " -> " : "");
		if (is_arrow)
			at += sizeof(arrow) - 2;
		else
			strbuf_addc(&words, *at);
	}
	return words.failed ? NULL : strbuf_steal(&words);
}

/* What the layers below one show; opened when somebody first looks. */
struct below {
	cst_store *store;
	const char *parent; /* "": there are none */
	struct driver_view *view;
	int root_fd;
};

static void below_close(struct below *below)
{
	if (below->view)
		below->store->driver->ops->view_close(below->view);
}

static int below_open(struct below *below, cst_error **error)
{
	const struct driver_ops *ops = below->store->driver->ops;
	_cleanup_hold_ struct hold layers = {0};
	int r = hold_read_locked(below->store, CST_KIND_LAYER, &layers, error);
	if (r == 0)
		r = ops->view_open(below->store->driver, below->parent, NULL, NULL, &below->view,
		                   error);
	return r == 0 ? ops->view_tree(below->view, &below->root_fd, error) : r;
}

/* A whiteout is made only where there is something to hide (docs/format/archive.md, "Marks"). If the layers below cannot be
 * looked at they have findings of their own. */
static bool shows_below(struct below *below, const char *path)
{
	_cleanup_error_ cst_error *problem = NULL;
	if (isempty(below->parent) ||
	    (below->root_fd < 0 && (below->view || below_open(below, &problem) < 0)))
		return false;
	_cleanup_close_ int fd = fs_open_in_root(below->root_fd, path, O_PATH | O_NOFOLLOW);
	return fd >= 0;
}

static int add_differences(struct checked *layer, struct expected *expected, int root_fd,
                           const char *go_failed, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_differences_ struct differences differences = {0};
	_cleanup_(below_close) struct below below = {
	        .store = layer->check->store,
	        .parent = ((const cst_layer *)layer->record)->parent,
	        .root_fd = -1};
	int r = expected_compare(expected, root_fd, &differences, &problem);
	if (is_ours(r, problem))
		return error_propagate(error, steal_ptr(&problem));
	if (r < 0) {
		unreadable(layer, CST_FINDING_TREE_UNREADABLE, "its files cannot be listed",
		           problem, go_failed);
		return 0;
	}
	for (size_t i = 0; i < differences.len; i++) {
		if (differences.items[i].is_whiteout &&
		    !shows_below(&below, differences.items[i].text + 2))
			continue;
		findings_add(&layer->found, CST_FINDING_TREE_CHANGED, &layer->about, NULL,
		             in_words(&differences.items[i]),
		             str_printf("%s, layer content modified", differences.items[i].text));
	}
	return 0;
}

/* A copy for other id maps need not have files of its own: some drivers put it on top of the layer that it is a copy of. */
static bool has_own_files(const struct checked *layer)
{
	return !layer->is_copy ||
	       layer->check->store->driver->ops->capabilities & DRIVER_WHOLE_TREES;
}

static int open_names(struct driver *driver, const char *id, int *ret_fd, cst_error **error)
{
	const struct driver_ops *ops = driver->ops;
	return ops->names_open ? ops->names_open(driver, id, ret_fd, error)
	                       : ops->content_open(driver, id, ret_fd, error);
}

/* The layer's own files, where the driver has them. */
static int check_tree(struct checked *layer, struct layer_view *view, cst_error **error)
{
	_cleanup_(expected_freep) struct expected *expected = NULL;
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_close_ int root_fd = -1;
	struct driver *driver = view->driver;
	struct idmaps maps;
	bool known = true;
	int r = expected_for(layer, &maps, &expected, error);
	if (r < 0)
		return r;
	if (driver->ops->capabilities & DRIVER_WHOLE_TREES)
		r = add_chain(layer, expected, &known, &problem);
	else
		r = add_headers(view, expected, &problem);
	if (r == 0 && known)
		r = open_names(driver, layer->about.id, &root_fd, &problem);
	if (is_ours(r, problem))
		return error_propagate(error, steal_ptr(&problem));
	if (r < 0)
		unreadable(layer, CST_FINDING_TREE_UNREADABLE, "its files cannot be compared",
		           problem, "");
	return r == 0 && known ? add_differences(layer, expected, root_fd, "", error) : 0;
}

int check_layer_content(struct checked *layer, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	_cleanup_layer_view_ struct layer_view view = LAYER_VIEW_INIT;
	struct check *check = layer->check;
	const cst_layer *record = layer->record;
	bool mounts = check_wants(check, CST_CHECK_MOUNTS);
	if (mounts && !*record->diff_digest)
		return 0;
	int r = *record->diff_digest ? digest_validate(record->diff_digest, &problem) : 0;
	if (r == 0)
		r = layer_view_open(check->store, NULL, layer->about.id, &view, &problem);
	if (is_ours(r, problem))
		return error_propagate(error, steal_ptr(&problem));
	if (r < 0) {
		unreadable(layer,
		           *record->diff_digest ? CST_FINDING_CONTENT_UNREADABLE
		                                : CST_FINDING_NOT_MOUNTABLE,
		           "it cannot be opened", problem, "");
		return 0;
	}
	if (!*record->diff_digest)
		return 0;
	if (!mounts && view.tarsplit_fd < 0 && !view.foreign && !*record->toc_digest)
		findings_add(&layer->found, CST_FINDING_NO_TARSPLIT, &layer->about, NULL,
		             strdup("its tar-split is missing"), strdup(""));
	if (check_wants(check, CST_CHECK_TREES) && !mounts && view.tarsplit_fd >= 0 &&
	    has_own_files(layer)) {
		r = check_tree(layer, &view, error);
		if (r == 0 && lseek(view.tarsplit_fd, 0, SEEK_SET) < 0)
			r = error_sys(error, errno, "lseek");
	}
	return r == 0 && check_wants(check, CST_CHECK_CONTENT) ? check_archive(layer, &view, error)
	                                                       : r;
}

/* ---- as the Go command looks ---- */

static int compare_mounted(struct checked *layer, const char *path, cst_error **error)
{
	_cleanup_(expected_freep) struct expected *expected = NULL;
	_cleanup_close_ int root_fd = -1;
	struct idmaps maps;
	bool known = false;
	int r = expected_for(layer, &maps, &expected, error);
	if (r == 0)
		r = add_chain(layer, expected, &known, error);
	if (r == 0 && known)
		r = fs_open_dir(path, &root_fd, error);
	return r == 0 && known
	               ? add_differences(layer, expected, root_fd, "scanning contents: ", error)
	               : r;
}

int check_layer_mount(struct checked *layer, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	cst_mount_options options = CST_MOUNT_OPTIONS_INIT;
	cst_store *store = layer->check->store;
	const cst_layer *record = layer->record;
	const char *const read_only[] = {"ro"};
	char *path = NULL;
	options.options = read_only;
	options.n_options = 1;
	options.label = record->mount_label;
	int r = cst_store_mount(store, layer->about.id, &options, &path, &problem);
	if (is_ours(r, problem))
		return error_propagate(error, steal_ptr(&problem));
	if (r < 0) {
		unreadable(layer, CST_FINDING_NOT_MOUNTABLE, "it cannot be mounted", problem, "");
		return 0;
	}
	bool compare = check_wants(layer->check, CST_CHECK_TREES) &&
	               check_wants(layer->check, CST_CHECK_CONTENT);
	r = compare ? compare_mounted(layer, path, error) : 0;
	cst_free(path);
	if (cst_store_unmount(store, layer->about.id, false, NULL, &problem) < 0)
		unreadable(layer, CST_FINDING_NOT_MOUNTABLE, "it cannot be unmounted", problem, "");
	return r;
}
