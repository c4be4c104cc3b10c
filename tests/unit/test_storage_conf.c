/* SPDX-License-Identifier: Apache-2.0 */
/* storage.conf: keys, merging, expansion, environment, defaults. The search below /etc and /usr is
 * covered by tests/interop/config.sh, in a mount namespace and against the real program. */
#include "base/fs.h"
#include "config/size.h"
#include "config/storage_conf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/cst-test-conf-XXXXXX";
static char logged[4096];

static void log_to_memory(enum cst_log_level level, const char *message, void *userdata)
{
	if (level <= CST_LOG_WARNING && strlen(logged) + strlen(message) + 2 < sizeof(logged))
		strcat(strcat(logged, message), "\n");
}

static char *write_conf(const char *name, const char *content)
{
	char *path = path_join(directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(content, file);
	fclose(file);
	return path;
}

/* The configuration as `config` prints it, or the error, with the name of the file as F. */
static char *load(const char *file)
{
	cst_config *config = NULL;
	cst_error *error = NULL;
	char *json = NULL;
	logged[0] = '\0';
	if (cst_config_load(file, &config, &error) < 0) {
		assert_null(config);
		_cleanup_strbuf_ struct strbuf text = {0};
		const char *s = cst_error_message(error);
		for (const char *at; (at = strstr(s, directory)); s = at + strcspn(at, "\": ")) {
			strbuf_add(&text, s, (size_t)(at - s));
			strbuf_adds(&text, "F");
		}
		strbuf_adds(&text, s);
		cst_error_free(error);
		return strbuf_steal(&text);
	}
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	assert_int_equal(0, cst_config_options(config, &options, NULL));
	assert_int_equal(0, cst_store_options_json(&options, &json, NULL));
	cst_config_free(config);
	return json;
}

static void check(const char *content, const char *wanted)
{
	_cleanup_free_ char *path = write_conf("storage.conf", content), *got = load(path);
	assert_string_equal(wanted, got);
}

#define R     "[storage]\ngraphroot=\"/t/g\"\nrunroot=\"/t/r\"\n"
#define ROOTS "{\"runroot\":\"/t/r\",\"root\":\"/t/g\","

static void test_keys(void **state)
{
	check("", "{\"runroot\":\"/run/containers/storage\",\"root\":"
	          "\"/var/lib/containers/storage\",\"PullOptions\":null}");
	check(R "driver=\"vfs\"\ntransient_store=true\ndriver_priority=[\"vfs\",\"overlay\"]\n"
	        "[storage.options]\ndisable-volatile=true\nroot-auto-userns-user=\"containers\"\n"
	        "auto-userns-min-size=5\nauto-userns-max-size=6\n",
	      ROOTS "\"driver\":\"vfs\",\"driver-priority\":[\"vfs\",\"overlay\"],"
	            "\"root_auto_ns_user\":\"containers\",\"auto_userns_min_size\":5,"
	            "\"auto_userns_max_size\":6,\"PullOptions\":null,\"disable-volatile\":true,"
	            "\"transient_store\":true}");
	check(R "[storage.options.vfs]\nignore_chown_errors=\"1\"\n[storage.options.overlay]\n"
	        "size=\"1G\"\nmount_program=\"/x\"\n[storage.options.btrfs]\nmin_space=\"1G\"\n"
	        "size=\"2G\"\n[storage.options.zfs]\nfsname=\"z/x\"\nmountopt=\"m\"\nsize=\"3G\"\n",
	      ROOTS "\"driver-options\":[\"btrfs.min_space=1G\",\"btrfs.size=2G\","
	            "\"overlay.mount_program=/x\",\"overlay.size=1G\","
	            "\"vfs.ignore_chown_errors=1\",\"zfs.fsname=z/x\",\"zfs.mountopt=m\","
	            "\"zfs.size=3G\"],\"PullOptions\":null}");
	check(R "[storage.options]\nmountopt=\"a,b\"\nforce_mask=0o755\nsize=\"\"\n"
	        "skip_mount_home=\"False\"\nadditionallayerstores=[\"/t:ref\"]\n"
	        "additionalimagestores=[\"/b\",\"/a\"]\n",
	      ROOTS "\"driver-options\":[\"imagestore=/b\",\"imagestore=/a\","
	            "\"additionallayerstore=/t:ref\",\"skip_mount_home=False\",\"force_mask=755\","
	            "\"mountopt=a,b\"],\"PullOptions\":null}");
	check(R "[storage.options.pull_options]\nz=\"x\"\nz-a=\"\"\nA=\"y=1\"\n",
	      ROOTS "\"PullOptions\":{\"A\":\"y=1\",\"z\":\"x\",\"z-a\":\"\"}}");
	check(R "[storage.options.pull_options]\n", ROOTS "\"PullOptions\":{}}");
	check("[storage]\nrunroot=\"/t/r\"\nrootless_storage_path=\"/t/k\"", /* not for root */
	      "{\"runroot\":\"/t/r\",\"root\":\"/var/lib/containers/"
	      "storage\",\"PullOptions\":null}");
	check("[STORAGE]\nGraphRoot=\"/t/g\"\nRUNROOT=\"/t/r\"\nDriver=\"vfs\"",
	      ROOTS "\"driver\":\"vfs\",\"PullOptions\":null}");
}

static void test_type_errors(void **state)
{
#define E "decode configuration \"F\": toml: line 2 (last key \"storage."
	check(R "driver=\"vfs\"\ntransient_store=\"true\"\n",
	      "decode configuration \"F\": toml: line 5 (last key \"storage.transient_store\"): "
	      "incompatible types: TOML value has type string; destination has type boolean");
	check("[storage]\ndriver=1\n",
	      E "driver\"): incompatible types: TOML value has type int64; destination has type "
	        "string");
	check("[storage.options]\nforce_mask=\"0755\"\n", E
	      "options.force_mask\"): incompatible types: TOML value has type string; destination "
	      "has type integer");
	check("[storage.options]\nauto-userns-min-size=-1\n",
	      E "options.auto-userns-min-size\"): -1 is out of range for uint32");
	check("[storage.options]\nauto-userns-max-size=4294967296\n",
	      E "options.auto-userns-max-size\"): 4294967296 is out of range for uint32");
	check("[storage]\ndriver_priority=\"/x\"\n",
	      E "driver_priority\"): unable to cast to interface array: /x");
	check("[storage]\ndriver_priority=[\"x\",1]\n",
	      E "driver_priority\"): unsupported item in attributed string slice: 1");
	check("[storage]\ndriver_priority=[{append=\"x\"}]\n",
	      E "driver_priority\"): unable to cast append to bool: append");
	check("[storage]\ndriver_priority=[{prepend=true}]\n",
	      E "driver_priority\"): unsupported key \"prepend\" in map: map[prepend:true]");
	check("[storage.options.pull_options]\nx=true\n",
	      E "options.pull_options.x\"): incompatible types: TOML value has type bool; "
	        "destination "
	        "has type string");
	check("[storage]\noptions=1\n",
	      E "options\"): type mismatch for storage.options: expected table but found int64");
	check("[storage]\ndriver=\"a\\u0000b\"\n",
	      E "driver\"): the value contains a NUL character");
}

static void test_keys_without_effect(void **state)
{
	static const struct {
		const char *lines, *warning; /* NULL: none */
	} rows[] = {
	        {"[storage]\nfoo=1", "2: unknown key storage.foo is ignored"},
	        {"[other]\na=1", "1: unknown table other is ignored"},
	        /* mistyped */
	        {"[storage]\ngraphrot=''",
	         "2: unknown key storage.graphrot is ignored: did you mean "
	         "storage.graphroot?"},
	        {"[storage]\ngraph-root=''",
	         "2: unknown key storage.graph-root is ignored: did you "
	         "mean storage.graphroot?"},
	        {"[storage.options]\nszie='1G'",
	         "2: unknown key storage.options.szie is ignored: did "
	         "you mean storage.options.size?"},
	        {"[storage.options.overlay]\nMountpt='x'",
	         "2: unknown key storage.options.overlay.Mountpt is ignored: did you mean "
	         "storage.options.overlay.mountopt?"},
	        {"[storage.options.vsf]\nsync='none'",
	         "1: unknown table storage.options.vsf is ignored: did you mean "
	         "storage.options.vfs?"},
	        {"[sotrage]\ndriver='vfs'",
	         "1: unknown table sotrage is ignored: did you mean storage?"},
	        {"[storage.option]\nsize='1'",
	         "1: unknown table storage.option is ignored: did you "
	         "mean storage.options?"},
	        /* misplaced */
	        {"driver='vfs'", "1: unknown key driver is ignored: did you mean storage.driver?"},
	        {"[storage]\n\nmountopt='x'", "3: unknown key storage.mountopt is ignored: did you "
	                                      "mean storage.options.mountopt?"},
	        {"[storage.options]\nimagestore='/x'",
	         "2: unknown key storage.options.imagestore is ignored: did you mean "
	         "storage.imagestore?"},
	        {"[storage.options]\nuse_composefs='true'",
	         "2: unknown key storage.options.use_composefs is ignored: did you mean "
	         "storage.options.overlay.use_composefs?"},
	        {"[storage.options]\nostree_repos=''",
	         "2: unknown key storage.options.ostree_repos is ignored: did you mean "
	         "storage.options.pull_options.ostree_repos?"},
	        {"[overlay]\nsize='1'", "1: unknown table overlay is ignored: did you mean "
	                                "storage.options.overlay?"},
	        {"[storage.pull_options]\nuse_hard_links='true'",
	         "1: unknown table storage.pull_options is ignored: did you mean "
	         "storage.options.pull_options?"},
	        /* removed */
	        {"[storage.options]\nremap-uids='0:1:2'",
	         "2: key storage.options.remap-uids is ignored: containers/storage no longer has "
	         "it"},
	        {"[storage.options.thinpool]\nfs='xfs'",
	         "1: table storage.options.thinpool is ignored: containers/storage no longer has "
	         "it"},
	        {"[storage.options.thinpool]", NULL},
	        {"[storage.options.pull_options]\nanything='x'", NULL},
	        {"[STORAGE]\nDriver='vfs'", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *path = write_conf("storage.conf", rows[i].lines),
		                    *got = load(path);
		_cleanup_free_ char *wanted =
		        rows[i].warning ? str_printf("%s:%s\n", path, rows[i].warning) : strdup("");
		assert_int_equal('{', got[0]);
		assert_string_equal(wanted, logged);
	}
}

/* A key may be as long as the file. */
static void test_long_unknown_key(void **state)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	for (size_t i = 0; i < 100000; i++)
		strbuf_addc(&text, 'a');
	strbuf_adds(&text, "=1");
	_cleanup_free_ char *path = write_conf("storage.conf", strbuf_str(&text));
	cst_config *config = NULL;
	assert_int_equal(0, cst_config_load(path, &config, NULL));
	cst_config_free(config);
}

static void check_as_upstream(const char *content, const char *wanted)
{
	_cleanup_free_ char *path = write_conf("storage.conf", content), *json = NULL;
	cst_config *config = NULL;
	cst_error *error = NULL;
	logged[0] = '\0';
	if (cst_config_load_as_upstream(path, &config, &error) < 0) {
		assert_string_equal(wanted, cst_error_message(error));
		cst_error_free(error);
		return;
	}
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	assert_int_equal(0, cst_config_options(config, &options, NULL));
	assert_true(options.as_upstream);
	assert_false(options.general_driver_options);
	assert_null(options.graph_root_origin);
	assert_null(options.run_root_origin);
	assert_int_equal(0, cst_store_options_json(&options, &json, NULL));
	assert_string_equal(wanted, json);
	cst_config_free(config);
}

static void test_as_upstream(void **state)
{
	check_as_upstream(R "foo=1\n[storage.options]\nremap-uids='0:1:2'\nmountopt='m'\n",
	                  ROOTS "\"driver-options\":[\"mountopt=m\"],\"PullOptions\":null}");
	assert_string_equal("", logged);
	check_as_upstream("[storage]\nrunroot='x'\n",
	                  "runroot \"x\" must be an absolute path, but expands to \"x\"");
}

static void check_origins(const char *content, const char *graph, const char *run)
{
	_cleanup_free_ char *path = write_conf("storage.conf", content);
	cst_config *config = NULL;
	assert_int_equal(0, cst_config_load(path, &config, NULL));
	cst_store_options options = CST_STORE_OPTIONS_INIT;
	assert_int_equal(0, cst_config_options(config, &options, NULL));
	assert_string_equal(graph, options.graph_root_origin);
	assert_string_equal(run, options.run_root_origin);
	assert_true(options.general_driver_options);
	cst_config_free(config);
}

static void test_origins(void **state)
{
	_cleanup_free_ char *line_2 = str_printf("set in %s/storage.conf:2", directory),
	                    *line_3 = str_printf("set in %s/storage.conf:3", directory);
	check_origins(R, line_2, line_3);
	check_origins("", "the default", "the default");
	setenv("_CONTAINERS_ROOTLESS_UID", "5000", 1);
	setenv("XDG_RUNTIME_DIR", directory, 1);
	check_origins("", "from $HOME", "from $XDG_RUNTIME_DIR");
	check_origins("[storage]\nrootless_storage_path='/x'", line_2, "from $XDG_RUNTIME_DIR");
	setenv("XDG_DATA_HOME", "/data", 1);
	check_origins("", "from $XDG_DATA_HOME", "from $XDG_RUNTIME_DIR");
	unsetenv("XDG_DATA_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	setenv("_CONTAINERS_ROOTLESS_UID", "0", 1);
}

static void test_can_write(void **state)
{
	_cleanup_free_ char *below = path_join(directory, "a/b/c"),
	                    *file = write_conf("storage.conf", ""), *in_file = path_join(file, "x");
	assert_true(config_can_write(directory));
	assert_true(config_can_write(below));
	assert_false(config_can_write(in_file));
	assert_false(config_can_write("/proc/self/status/x"));
}

/* Whoever reads a FIFO without a writer or a device without an end waits for ever. */
static void test_not_a_file(void **state)
{
	static const char refused[] =
	        "decode configuration \"F\": read F: not a regular file: copy "
	        "what it gives into one";
	_cleanup_free_ char *fifo = path_join(directory, "fifo"),
	                    *to_fifo = path_join(directory, "to-fifo"),
	                    *file = write_conf("storage.conf", R),
	                    *to_file = path_join(directory, "to-file");
	assert_int_equal(0, mkfifo(fifo, 0600));
	assert_int_equal(0, symlink(fifo, to_fifo));
	assert_int_equal(0, symlink(file, to_file));
	alarm(20); /* a reader that waits ends the test */
	_cleanup_free_ char *of_fifo = load(fifo), *of_link = load(to_fifo), *good = load(to_file),
	                    *of_zero = load("/dev/zero"), *of_null = load("/dev/null");
	alarm(0);
	assert_string_equal(refused, of_fifo);
	assert_string_equal(refused, of_link);
	assert_string_equal(ROOTS "\"PullOptions\":null}", good);
	assert_string_equal(
	        "decode configuration \"/dev/zero\": read /dev/zero: not a regular file: "
	        "copy what it gives into one",
	        of_zero);
	assert_int_equal('{', of_null[0]);
	_cleanup_free_ char *large = path_join(directory, "large");
	int fd = open(large, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, (off_t)1 << 40));
	close(fd);
	_cleanup_free_ char *of_large = load(large);
	assert_non_null(strstr(of_large, "larger than 1048576 bytes"));
}

static void test_expansion(void **state)
{
	static const char *const cases[][2] = {
	        {"$HOME/${FOO}x/$UID/../$UNDEF/y", "/tmp/hh/x/0//../y"},
	        {"/tmp/h/$UIDX/x", "/tmp/h/0X/x"},
	        {"/tmp/h/a$/x", "/tmp/h/a$/x"},
	        {"a$$b$1c$", "abc$"},
	        {"${HOME", "HOME"},
	        {"${}x", "x"},
	        {"${UID}y", "y"},
	        {"${HOME}z", "/tmp/hhz"},
	        {"$HOME_z", ""},
	};
	setenv("HOME", "/tmp/hh", 1);
	unsetenv("UNDEF");
	unsetenv("UID");
	for (size_t i = 1; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = config_expand(cases[i][0], 0);
		assert_string_equal(cases[i][1], got);
	}
	check("[storage]\nrunroot=\"/t/r\"\ngraphroot=\"$HOME/${FOO}x/$UID/../$UNDEF/y\"",
	      "{\"runroot\":\"/t/r\",\"root\":\"/tmp/hh/x/y\",\"PullOptions\":null}");
	check("[storage]\nrunroot=\"/t/r\"\ngraphroot=\"$UNDEF\"",
	      "graphroot \"$UNDEF\" must be an absolute path, but expands to \"\" (set in F:3)");
	check("[storage]\nrunroot=\"x/y\"\ngraphroot=\"/t/g\"",
	      "runroot \"x/y\" must be an absolute path, but expands to \"x/y\" (set in F:2)");
	setenv("HOME", "/root", 1);
}

static void test_image_store(void **state)
{
	_cleanup_free_ char *wanted = NULL, *conf = NULL;
	check(R "imagestore=\"/t/g\"\n",
	      "imagestore /t/g must either be not set or be different than graphroot");
	check(R "imagestore=\"/t/h\"\n", ROOTS "\"imagestore\":\"/t/h\",\"PullOptions\":null}");
	/* the same directory by another name */
	conf = str_printf("[storage]\nrunroot=\"/t/r\"\ngraphroot=\"%s\"\nimagestore=\"%s/\"\n",
	                  directory, directory);
	check(conf, "imagestore F must either be not set or be different than graphroot");
}

static void test_driver(void **state)
{
	check(R "driver=\"overlay2\"\n", ROOTS "\"driver\":\"overlay\",\"PullOptions\":null}");
	assert_string_equal("Switching default driver from overlay2 to the equivalent overlay "
	                    "driver\n",
	                    logged);
	setenv("STORAGE_DRIVER", "vfs", 1);
	setenv("STORAGE_OPTS", "a=b,,c", 1);
	check(R "driver=\"overlay\"\n[storage.options]\nsize=\"1\"",
	      ROOTS "\"driver\":\"vfs\",\"driver-options\":[\"a=b\",\"\",\"c\"],"
	            "\"PullOptions\":null}");
	setenv("STORAGE_DRIVER", "", 1);
	setenv("STORAGE_OPTS", "", 1);
	check(R "driver=\"overlay\"\n[storage.options]\nsize=\"1\"",
	      ROOTS "\"driver\":\"overlay\",\"PullOptions\":null}");
	unsetenv("STORAGE_DRIVER");
	unsetenv("STORAGE_OPTS");
}

/* One array after the other, as files would give them. */
static void check_priority(const char *const *values, size_t n, const char *wanted)
{
	_cleanup_settings_ struct settings settings = {0};
	_cleanup_strbuf_ struct strbuf got = {0};
	const struct conf_source source = {.path = (char[]){"f"}};
	for (size_t i = 0; i < n; i++) {
		_cleanup_arena_ struct arena arena = {0};
		_cleanup_free_ char *text = str_printf("storage.driver_priority = %s", values[i]);
		struct toml_node *root;
		assert_int_equal(0, toml_parse(text, strlen(text), TOML_1_1, &arena, &root, NULL));
		assert_int_equal(0, settings_merge(&settings, root, &source, NULL));
	}
	strv_foreach (item, &settings.lists[SETTING_DRIVER_PRIORITY]) {
		strbuf_adds(&got, item);
	}
	assert_string_equal(wanted, strbuf_str(&got));
}

static void test_merge(void **state)
{
	check_priority((const char *const[]){"['1']", "['2']"}, 2, "2");
	check_priority((const char *const[]){"['1']", "['2']", "[{append=true},'3']", "['4']"}, 4,
	               "234");
	check_priority(
	        (const char *const[]){"['1',{append=true}]", "['2']", "['3',{append=false}]"}, 3,
	        "3");
	check_priority((const char *const[]){"[{append=true},{append=false},'x']", "['y']", "[]"},
	               3, "");

	_cleanup_free_ char *override = write_conf(
	        "override.conf", "[storage.options]\nsize=\"2\"\n[storage.options.pull_options]\n"
	                         "b=\"3\"\n");
	setenv("CONTAINERS_STORAGE_CONF_OVERRIDE", override, 1);
	check(R "[storage.options]\nsize=\"1\"\nmountopt=\"m\"\n[storage.options.pull_options]\n"
	        "b=\"1\"\nc=\"2\"\n",
	      ROOTS "\"driver-options\":[\"size=2\",\"mountopt=m\"],"
	            "\"PullOptions\":{\"b\":\"3\",\"c\":\"2\"}}");
	setenv("CONTAINERS_STORAGE_CONF_OVERRIDE", "/nonexist", 1);
	check(R, "open /nonexist: no such file or directory");
	unsetenv("CONTAINERS_STORAGE_CONF_OVERRIDE");
}

static void test_files(void **state)
{
	_cleanup_free_ char *missing = load("/nonexist"), *dir = load(directory);
	assert_string_equal("open /nonexist: no such file or directory", missing);
	assert_string_equal("decode configuration \"F\": read F: is a directory" + 0, dir);
}

static void test_users(void **state)
{
	setenv("_CONTAINERS_ROOTLESS_UID", "5000", 1);
	setenv("HOME", "/home/u", 1);
	setenv("XDG_RUNTIME_DIR", directory, 1);
	unsetenv("XDG_DATA_HOME");
	_cleanup_free_ char *plain = str_printf("{\"runroot\":\"%s/containers\",\"root\":\"/home/u/"
	                                        ".local/share/containers/storage\","
	                                        "\"PullOptions\":null}",
	                                        directory);
	check("", plain);
	check("[storage]\nrunroot=\"/t/r\"\nrootless_storage_path=\"/x/$USER-$UID\"",
	      "{\"runroot\":\"/t/r\",\"root\":\"/x/tst-5000\",\"PullOptions\":null}");
	check(R "rootless_storage_path=\"/x\"", ROOTS "\"PullOptions\":null}");
	assert_non_null(strstr(logged, "Both rootless_storage_path and graphroot are set"));
	setenv("XDG_DATA_HOME", "/data", 1);
	setenv("XDG_RUNTIME_DIR", "/nope", 1);
	check("[storage]\nrunroot=\"/t/r\"", "{\"runroot\":\"/t/r\",\"root\":"
	                                     "\"/data/containers/storage\",\"PullOptions\":null}");
	check("", "lstat /nope: no such file or directory (the run root, from $XDG_RUNTIME_DIR)");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_DATA_HOME");

	/* no run directory given, /run/user/2147483000 cannot be there: the one in $TMPDIR, if it
	 * is ours alone */
	_cleanup_free_ char *run = str_printf("%s/storage-run-2147483000", directory);
	_cleanup_free_ char *refused = str_printf(
	        "path \"%s\" exists and it is not writeable only by the current user", run);
	if (geteuid() != 0) { /* root could make the directory below /run/user */
		char *path = NULL;
		cst_error *error = NULL;
		setenv("TMPDIR", directory, 1);
		assert_int_equal(0, config_default_run_root(2147483000, &path, NULL));
		assert_true(has_prefix(path, run));
		free(path);
		assert_int_equal(0, chmod(run, 0720));
		assert_int_equal(CST_EINVAL, config_default_run_root(2147483000, &path, &error));
		assert_string_equal(refused, cst_error_message(error));
		cst_error_free(error);
		unsetenv("TMPDIR");
	}
	setenv("_CONTAINERS_ROOTLESS_UID", "0", 1);
	setenv("HOME", "/root", 1);
}

static void test_json_maps(void **state)
{
	static const cst_idmap map[] = {{0, 100, 10}, {10, 200, UINT32_MAX}};
	static const char *const options[] = {"a=\"<x>\""};
	cst_store_options store = CST_STORE_OPTIONS_INIT;
	_cleanup_free_ char *json = NULL;
	store.uid_map = map;
	store.n_uid_map = 2;
	store.gid_map = map;
	store.n_gid_map = 1;
	store.driver_options = options;
	store.n_driver_options = 1;
	assert_int_equal(0, cst_store_options_json(&store, &json, NULL));
	assert_string_equal(
	        "{\"driver-options\":[\"a=\\\"\\u003cx\\u003e\\\"\"],\"uidmap\":["
	        "{\"container_id\":0,\"host_id\":100,\"size\":10},"
	        "{\"container_id\":10,\"host_id\":200,\"size\":4294967295}],\"gidmap\":["
	        "{\"container_id\":0,\"host_id\":100,\"size\":10}],\"PullOptions\":null}",
	        json);
}

static void test_size(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} good[] = {
	        {"0", 0},
	        {"512", 512},
	        {"1.", 1},
	        {"1 ", 1},
	        {".5k", 512},
	        {"512b", 512},
	        {"1K", 1024},
	        {"10G", 10ull << 30},
	        {"1.5 MiB", 3 << 19},
	        {"2tb", 2ull << 40},
	        {"1PIB", 1ull << 50},
	        {"0.5k", 512},
	        {"007 kB", 7 * 1024},
	};
	static const char *const bad[][2] = {
	        {"x", "invalid size: 'x'"},
	        {"", "invalid size: ''"},
	        {"-1", "invalid size: '-1'"},
	        {".", "strconv.ParseFloat: parsing \".\": invalid syntax"},
	        {"1q", "invalid suffix: 'q'"},
	        {"1bb", "invalid suffix: 'bb'"},
	        {"1kbb", "invalid suffix: 'kbb'"},
	        {"1XY", "invalid suffix: 'xy'"},
	        {"1ABCD", "invalid suffix: 'ABCD'"},
	        {"1  k", "strconv.ParseFloat: parsing \"1 \": invalid syntax"},
	        {"1.2.3", "strconv.ParseFloat: parsing \"1.2.3\": invalid syntax"},
	        {"9999p0", "strconv.ParseFloat: parsing \"9999p0\": invalid syntax"},
	        {"8192p", "invalid size: '8192p'"},
	};
	uint64_t size = 1;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(0, size_parse(good[i].text, &size, NULL));
		assert_int_equal(good[i].size, size);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_error_ cst_error *error = NULL;
		assert_int_equal(CST_EINVAL, size_parse(bad[i][0], &size, &error));
		assert_string_equal(bad[i][1], cst_error_message(error));
	}
}

static int set_up(void **state)
{
	static const char *const variables[] = {
	        "CONTAINERS_STORAGE_CONF", "CONTAINERS_STORAGE_CONF_OVERRIDE",
	        "STORAGE_DRIVER",          "STORAGE_OPTS",
	        "XDG_CONFIG_HOME",         "FOO"};
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	setenv("_CONTAINERS_ROOTLESS_UID", "0", 1);
	setenv("HOME", "/root", 1);
	setenv("USER", "tst", 1);
	cst_set_log(log_to_memory, CST_LOG_WARNING, NULL);
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	return fs_remove_tree(AT_FDCWD, directory, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_type_errors),
	        cmocka_unit_test(test_keys_without_effect),
	        cmocka_unit_test(test_long_unknown_key),
	        cmocka_unit_test(test_as_upstream),
	        cmocka_unit_test(test_origins),
	        cmocka_unit_test(test_can_write),
	        cmocka_unit_test(test_not_a_file),
	        cmocka_unit_test(test_expansion),
	        cmocka_unit_test(test_image_store),
	        cmocka_unit_test(test_driver),
	        cmocka_unit_test(test_merge),
	        cmocka_unit_test(test_files),
	        cmocka_unit_test(test_users),
	        cmocka_unit_test(test_json_maps),
	        cmocka_unit_test(test_size),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
