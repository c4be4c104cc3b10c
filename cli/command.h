/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the command share: the table of verbs and their options, one invocation,
 * output. The program has two personalities. Called as containers-storage or oci-storage it is that
 * command: its option syntax, texts, streams and exit codes (docs/format/command.md). Called by any
 * other name it is cstorage: GNU option syntax, results on stdout, messages on stderr. Both have
 * the same verbs, which do the same. */
#ifndef CST_CLI_COMMAND_H
#define CST_CLI_COMMAND_H

#include <cstorage/cstorage.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- options ---- */

enum option_id {
	/* global */
	OPT_GRAPH,
	OPT_RUN,
	OPT_IMAGE_STORE,
	OPT_TRANSIENT_STORE,
	OPT_STORAGE_DRIVER,
	OPT_STORAGE_OPT,
	OPT_DEBUG,
	OPT_UNSHARE,
	OPT_READ_ONLY_STORE,
	OPT_HELP,
	OPT_VERSION,
	/* of verbs */
	OPT_JSON,
	OPT_QUIET,
	OPT_TREE,
	OPT_FROM,
	OPT_FORCE,
	OPT_REPAIR,
	OPT_MAX,
	OPT_FILE,
	OPT_NAME,
	OPT_ID,
	OPT_LABEL,
	OPT_READ_ONLY,
	OPT_VOLATILE,
	OPT_DIGEST,
	OPT_METADATA,
	OPT_METADATA_FILE,
	OPT_HOST_UID_MAP,
	OPT_HOST_GID_MAP,
	OPT_UID_MAP,
	OPT_GID_MAP,
	OPT_SUBUID_MAP,
	OPT_SUBGID_MAP,
	OPT_HASH_METHOD,
	OPT_TEST,
	OPT_LAYERS,
	OPT_IMAGES,
	OPT_CONTAINERS,
	OPT_OLDER_THAN,
	OPT_CHOWN,
	OPT_UNCOMPRESSED,
	OPT_GZIP,
	OPT_BZIP2,
	OPT_XZ,
	OPT_VERIFY,
	OPT_LAYER,
	OPT_IMAGE,
	OPT_CONTAINER,
	OPT_MOUNT_OPTIONS,
	OPT_ARCHITECTURE,
	OPT_OS,
	OPT_PROGRESS,
	OPT_PROGRESS_FD,
	OPT_FORMAT,
	OPT_FILTER,
	OPT_SORT,
	OPT_NO_TRUNC,
	OPT_PARENT,
	OPT_EXPECT_DIGEST,
	OPT_SIZE,
	OPT_INODES,
	OPT_AUTO_USERNS,
	OPT_LABEL_OPTION,
	OPT_TOC_DIGEST,
	OPT_OF_IMAGE,
	OPT_URL,
	OPT_HEADER,
	OPT_CA_FILE,
	OPTION_COUNT,
};

enum option_type { OPTION_BOOL, OPTION_STRING, OPTION_LIST };

struct option {
	enum option_id id;
	enum option_type type;
	/* Arrays, since the loader would write each pointer at every start (docs/design.md, "Dependencies"). */
	char names[3][20]; /* "--json", "-j": in the order help shows them */
	char initial[8];   /* default of a string */
	char help[96];     /* "": cstorage knows it, but does not offer it */
	char go_help[64];  /* of containers-storage; "": the same */
};

struct option_value {
	const char *text;   /* strings; never NULL */
	const char **items; /* lists; append only */
	size_t n_items;
	bool on; /* booleans */
	bool given;
};

/* A command line can have the options of several tables. */
#define OPTION_TABLES_MAX 6
struct option_set {
	const struct option *tables[OPTION_TABLES_MAX];
	size_t sizes[OPTION_TABLES_MAX];
	size_t n_tables;
	struct option_value values[OPTION_COUNT];
	char **kept; /* values that are not words of the command line */
	size_t n_kept;
};

extern const struct option global_options[];
extern const size_t n_global_options;
extern const struct option help_option, gnu_options[];
extern const size_t n_gnu_options;

void option_set_add(struct option_set *set, const struct option *table, size_t n);
const struct option *option_find(const struct option_set *set, const char *name, size_t length);
bool option_append(struct option_value *value, const char *item); /* false: out of memory */
const char *option_keep(struct option_set *set, char *value); /* takes it; NULL: out of memory */
bool parse_go_bool(const char *text, bool *ret);
void option_set_done(struct option_set *set);

/* ---- verbs ---- */

enum command_group {
	GROUP_LAYERS,
	GROUP_IMAGES,
	GROUP_CONTAINERS,
	GROUP_DATA,
	GROUP_STORE,
	GROUP_COUNT
};

enum command_flags {
	COMMAND_NO_STORE = 1,   /* cstorage runs it without opening the store */
	COMMAND_ADD_JSON = 2,   /* --json is cstorage's addition */
	COMMAND_PROGRESS = 4,   /* takes --progress */
	COMMAND_STOP_EARLY = 8, /* the first operand ends the options, in both personalities */
	COMMAND_OURS = 32,      /* containers-storage does not know it */
	COMMAND_READS = 64,     /* changes nothing */
	COMMAND_LISTS = 128,    /* takes --format, --filter, --sort, --no-trunc and --quiet */
	COMMAND_DRY_RUN = 2048, /* takes --dry-run */
	COMMAND_CHECKS = 1024, /* takes --tree and --from */
	COMMAND_CLAIMS = 4096, /* takes --expect-digest, --toc-digest, --url and what belongs to it */
	COMMAND_MAKES_CONTAINER = 8192, /* takes --userns, --size, --inodes and --label-option */
	COMMAND_VERIFIES = 16384, /* takes --verify */
	COMMAND_MAKES_STORE = 512, /* makes the store if there is none; the other verbs need one */
};

/* What an operand may name. */
enum kinds { KIND_LAYER = 1, KIND_IMAGE = 2, KIND_CONTAINER = 4, KIND_ANY = 7 };

struct invocation;
struct option_table {
	const struct option *options;
	size_t n;
};

/* A verb: see verbs.h. Arrays, as in struct option. */
struct command {
	char names[3][28];
	char go_operands[88], go_description[80]; /* of containers-storage's help */
	char operands[72], description[72];       /* of our help; operands "a|b X": the first is one of these words */
	unsigned min_operands, max_operands;      /* max UINT_MAX: any number */
	enum command_group group;
	unsigned flags;
	unsigned kinds; /* of the things that operands name */
};

struct command_code {
	struct option_table options;
	int (*run)(struct invocation *invocation); /* returns the exit code */
};
const struct command_code *command_code(const struct command *command);

extern const struct command commands[];
extern const size_t n_commands;
const struct command *command_find(const char *word);

#define COMMAND_TABLES_MAX 4
/* The tables of options that cstorage's verb has, global ones not among them. Returns how many. */
size_t command_tables(const struct command *command, struct option_table tables[COMMAND_TABLES_MAX]);

/* ---- one run of the program ---- */

enum personality { GO_STYLE, GNU_STYLE };

enum { EXIT_USAGE = 2, EXIT_GO_USAGE = 125 };

struct invocation {
	enum personality personality;
	const char *program; /* argv[0] */
	const struct command *command;
	const char *word; /* the verb as it was typed */
	const char *const *operands;
	size_t n_operands;
	struct option_set options;
	cst_config *config;
	cst_store_options store_options; /* borrows from config, options and what follows */
	cst_wait lock_wait;
	char *graph_root, *run_root;     /* made absolute */
	cst_store *store;
};

static inline bool is_on(const struct invocation *in, enum option_id id)
{
	return in->options.values[id].on;
}

static inline const char *text_of(const struct invocation *in, enum option_id id)
{
	return in->options.values[id].text;
}

static inline const struct option_value *value_of(const struct invocation *in, enum option_id id)
{
	return &in->options.values[id];
}

/* The operands without repetitions, in byte order, as a JSON object has its keys. Returns how many.
 * The caller frees *ret. */
size_t sorted_operands(const struct invocation *in, const char ***ret);
/* Was the operand given before, further to the front? */
bool is_repeated_operand(const struct invocation *in, size_t index);

/* ---- parsing ---- */

enum parse_result { PARSE_DONE, PARSE_ERROR, PARSE_HELP };

/* Parses options as containers-storage does (docs/format/command.md, "Option parsing"), up to the
 * first operand; *n_used words were options. `name` is the command's, for messages. `show_usage` is
 * called where help is asked for. PARSE_ERROR leaves the message in message[]. */
struct go_parser {
	const char *program, *name;
	struct option_set *set;
	void (*show_usage)(void *userdata);
	void *userdata;
	char *message; /* of the last failure; the caller frees it */
};
enum parse_result go_parse(struct go_parser *parser, const char *const *words, size_t n,
                           size_t *n_used);

/* Parses GNU options and moves the operands to the front of `words`, *n_operands of them.
 * `stop_early`: the first operand ends the options. Messages go to stderr. */
enum parse_result gnu_parse(struct option_set *set, const char **words, size_t n, bool stop_early,
                            size_t *n_operands);

/* ---- help ---- */

/* `initial`: the values that the table shows as defaults. */
void go_help_program(const struct option_set *set, const struct option_value *initial,
                     bool all_on_stdout);
void go_help_command(const struct invocation *in, const struct option_value *initial);
void gnu_help_program(void);
void gnu_help_command(const struct command *command);
int print_completions(const char *const *words, size_t n);
/* Prints the names in the store that the next operand of in->command can have. */
void print_operand_candidates(struct invocation *in);

/* ---- opening ---- */

bool is_rootless(void);
/* Loads the configuration as this personality reads it. */
int load_config(const struct invocation *in, const char *file, cst_config **config,
                cst_error **error);
/* Fills store_options from the options and the configuration. */
int prepare_store_options(struct invocation *in, const struct option_value *before,
                          cst_error **error);
void go_configured_defaults(struct invocation *in);
/* Is there a store where in->store_options say? If not, prints a message. */
bool store_is_there(const struct invocation *in);

/* For a verb with COMMAND_NO_STORE that needs the store after all; before any thread exists. Returns an exit code. */
int need_store(struct invocation *in);

/* ---- output ---- */

#define _cleanup_text_  __attribute__((cleanup(free_text)))
#define _cleanup_error_ __attribute__((cleanup(free_error)))
void free_text(char **text);
void free_error(cst_error **error);
void free_strings(cst_strings **strings);
#define _cleanup_strings_ __attribute__((cleanup(free_strings)))
void free_pairs(cst_pairs **pairs);
#define _cleanup_pairs_ __attribute__((cleanup(free_pairs)))

/* Prints a message on stderr, after what stdout holds. cstorage puts its name in front. */
void complain(const struct invocation *in, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
/* Prints an error of the library so. Returns exit code 1, or 128 plus the signal if one asked this
 * process to stop. */
int fail(const struct invocation *in, const cst_error *error);
/* The same with a hint of the verb's own; NULL: it has none. */
int fail_with_hint(const struct invocation *in, const cst_error *error, const char *text);
int fail_out_of_memory(const struct invocation *in);
/* Prints the failure of one operand, and the hint. The operand is named once. */
void complain_about(const struct invocation *in, const char *operand, const cst_error *error);
/* The text of an error: the library's, or the Go command's where this process is called like it. */
const char *error_text(const struct invocation *in, const cst_error *error);
/* Prints "PATH: <text of errnum>" as containers-storage does. Returns exit code 1. */
int fail_errno(const struct invocation *in, int errnum, const char *what, const char *path);
const char *errno_words(int errnum);

/* Prints what the user can do about the error that was just printed, if there is something.
 * cstorage only. */
void hint(const struct invocation *in, const cst_error *error);
/* Prints this hint, which gets a full stop. cstorage only. */
void hint_at(const struct invocation *in, const char *text);

/* Flushes stdout and reports if something could not be written. Returns the exit code to use
 * instead of `code`. */
int finish_output(const struct invocation *in, int code);

/* ---- text for people ---- */

/* "12.3 MiB" */
#define SIZE_TEXT_MAX 32
const char *size_text(char text[SIZE_TEXT_MAX], double bytes);
/* How many digits of a full ID people read and write. */
#define SHORT_ID 12
/* Names joined by ", ". The caller frees it; NULL: out of memory. */
char *joined_names(const char *const *names, size_t n);
bool is_utf8_locale(void);
size_t text_characters(const char *text); /* of UTF-8 */
/* An age in one unit, the largest that it has: "5 min", "3 days". */
const char *age_text(char text[SIZE_TEXT_MAX], int64_t seconds);
/* How many columns stdout has; 0: it is no terminal. */
size_t terminal_columns(void);

/* A table whose columns are as wide as their cells. What is not printable in a cell is escaped. */
struct table {
	size_t n_columns;
	size_t limit;      /* columns of the terminal that it has to fit; 0: any number */
	unsigned right;    /* bit i: column i is aligned to the right */
	unsigned flexible; /* bit i: column i may be cut short to fit */
	char **cells;
	size_t n_cells;
	bool failed;
};
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_add_size(struct table *table, uint64_t bytes);
int table_print(const struct invocation *in, struct table *table); /* and frees it; an exit code */

/* JSON, to stdout. Strings have the escapes of Go's encoder. */
void json_write_string(FILE *to, const char *text);
void json_print_string(const char *text);
void json_print_bytes(const char *text, size_t length);
void json_print_names(const char *const *names, size_t n); /* `null` if there are none */
void json_print_strings(const cst_strings *strings, const char *if_empty);
void json_print_pairs(const cst_pairs *pairs); /* [["Root","/g"],...] */
int json_print_layer(const struct invocation *in, const cst_layer *layer);
int json_print_image(const struct invocation *in, const cst_image *image);
/* Prints an image that was just made: its ID and names, or its record as JSON. Returns an exit
 * code. */
int print_new_image(const struct invocation *in, const cst_image *image);
int json_print_container(const struct invocation *in, const cst_container *container);
void json_print_base64(const void *data, size_t size);
/* Prints JSON that is complete. On a terminal, what is not printable in it becomes escapes of
 * JSON. */
void json_print_raw(const char *json, size_t size);

/* A string as Go's %q writes it: what is not printable becomes an escape. The caller frees it.
 * NULL: out of memory. */
char *go_quote(const char *text);
/* Does a terminal show what is written there? False for streams other than stdin, stdout and
 * stderr. */
bool is_terminal(FILE *to);
/* Prints a text that the store or a stranger made: a name, an ID, a path, a digest. On a terminal,
 * what is not printable is written as go_quote() does; elsewhere the bytes stay as they are. */
void show_text(FILE *to, const char *text);
/* The same for content of several lines: line ends and tabs stay. */
void show_content(FILE *to, const void *data, size_t size);
void show_keyed(FILE *to, const char *key, const char *text); /* the line "KEY: TEXT" */
/* Lines on stdout, each a label and a text that goes through show_text(). */
void print_field(const char *label, const char *text);
void print_fields(const char *label, const char *const *texts, size_t n);
/* The text with everything escaped that is not printable, wherever it will go. The caller frees it.
 * NULL: out of memory. The other function prints it. */
char *plain_text(const char *text);
void show_plain(FILE *to, const char *text);
/* False for control and format characters, and for those that change the direction of writing. */
bool is_printable(uint32_t point);
/* How many columns of a terminal a character takes: 2 for most of East Asia, 0 for accents that
 * join the character before. */
size_t character_columns(uint32_t point);
/* Prints a message for people. A stranger may have made the names in it, so they are escaped as in
 * show_text(); cstorage escapes them also where no terminal shows the message. `only_in_quotes`:
 * without a terminal, escape only where the Go tool does. */
void write_message(FILE *to, const char *text, bool only_in_quotes);
/* The UTF-8 character at `text`: its length, 0 if it is not valid. */
size_t utf8_decode(const char *text, size_t left, uint32_t *ret);

/* "1h30m", in nanoseconds. Returns an exit code, message printed. */
int parse_duration(const struct invocation *in, const char *text, int64_t *ret);

void debug_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_text(enum cst_log_level level, const char *message);
void set_log_level(enum cst_log_level level);

/* ---- files ---- */

/* Does a file operand mean stdin or stdout? "" does, and in cstorage "-" too. */
bool is_standard_stream(const struct invocation *in, const char *path);

/* Reads a whole file (NULL or "": stdin) and puts a NUL behind it. Returns an exit code after
 * printing the message. */
int read_whole_file(const struct invocation *in, const char *path, char **ret, size_t *ret_size);

/* Where results go: stdout, or a file that appears under its name once all of it is written. */
struct output {
	int fd;
	const char *shown;     /* for messages: "/dev/stdout" or the path as given */
	char *target, *staged; /* set if staged: rename staged to target */
};
int output_open(const struct invocation *in, const char *path, struct output *output);
/* The write function of a cst_sink. */
int output_write(void *output, const void *data, size_t size, cst_error **error);
int output_commit(const struct invocation *in, struct output *output);
void output_abandon(struct output *output);
#define _cleanup_output_ __attribute__((cleanup(output_abandon)))

/* ---- long work ---- */

/* From here on SIGINT and SIGTERM ask the work to stop, instead of ending the process. */
void catch_interrupts(void);
int interrupted_by(void); /* the signal, or 0 */
/* Waits until there is input at `fd` or one of the signals comes. A handler that only sets a flag
 * could run between the look at the flag and the read, and be missed. */
void wait_for_input(int fd);
/* While the store waits for a lock, the signals end the wait, and a terminal shows who holds the
 * lock. */
void watch_lock_waits(struct invocation *in);

struct progress {
	cst_progress hook; /* hand &progress.hook to the library */
	const struct invocation *in;
	enum { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_JSON } form;
	int fd;
	uint64_t total;              /* bytes of the input if known */
	int64_t started, last_shown; /* nanoseconds */
	cst_progress_state last;
	bool shown;
};
/* Do --progress and --progress-fd make sense? Returns an exit code. */
int progress_check(const struct invocation *in);
void progress_start(const struct invocation *in, struct progress *progress);
void progress_end(struct progress *progress);

/* A file or stdin as the input of long work. A signal ends its wait for input. */
struct input {
	int fd;
	const char *shown;
	bool wait; /* not a regular file */
	cst_source source;
};
int input_open(const struct invocation *in, const char *path, struct input *input,
               struct progress *progress);
void input_close(struct input *input);
#define _cleanup_input_ __attribute__((cleanup(input_close)))

/* ---- user namespace ---- */

/* Puts this process in a user namespace in which it is root. The caller goes on in a child; the
 * parent waits in this function and exits with the child's status. Call it before any thread
 * exists. If it fails, it returns an exit code. */
int enter_user_namespace(const struct invocation *in);
/* Looks for an executable file in the directories of $PATH. */
bool find_program(const char *name, char *path, size_t size);

/* ---- the verbs ---- */

int run_additional_layer(struct invocation *in);
int run_chunked(struct invocation *in);
int run_df(struct invocation *in);
int run_inspect(struct invocation *in);
int run_locks(struct invocation *in);
int run_tree(struct invocation *in);
int run_check(struct invocation *in);
int run_gc(struct invocation *in);
int run_prune(struct invocation *in);
int run_config(struct invocation *in);
int run_container(struct invocation *in);
int run_containers(struct invocation *in);
int run_container_parent_owners(struct invocation *in);
int run_layer_parent_owners(struct invocation *in);
int run_list_container_data(struct invocation *in);
int run_get_container_data(struct invocation *in);
int run_get_container_data_size(struct invocation *in);
int run_get_container_data_digest(struct invocation *in);
int run_set_container_data(struct invocation *in);
int run_list_image_data(struct invocation *in);
int run_get_image_data(struct invocation *in);
int run_get_image_data_size(struct invocation *in);
int run_get_image_data_digest(struct invocation *in);
int run_set_image_data(struct invocation *in);
int run_list_layer_data(struct invocation *in);
int run_get_layer_data(struct invocation *in);
int run_set_layer_data(struct invocation *in);
int run_get_container_directory(struct invocation *in);
int run_get_container_run_directory(struct invocation *in);
int run_get_image_directory(struct invocation *in);
int run_get_image_run_directory(struct invocation *in);
int run_create_layer(struct invocation *in);
int run_import(struct invocation *in);
int run_import_layer(struct invocation *in);
int run_import_layers(struct invocation *in);
int run_staged(struct invocation *in);
int run_discard_staged(struct invocation *in);
int run_create_image(struct invocation *in);
int run_create_container(struct invocation *in);
int run_delete(struct invocation *in);
int run_delete_layer(struct invocation *in);
int run_delete_image(struct invocation *in);
int run_delete_container(struct invocation *in);
int run_changes(struct invocation *in);
int run_diff_size(struct invocation *in);
int run_copy(struct invocation *in);
int run_storage_layers(struct invocation *in);
int run_create_storage_layer(struct invocation *in);
int run_diff(struct invocation *in);
int run_apply_diff(struct invocation *in);
int run_exists(struct invocation *in);
int run_image(struct invocation *in);
int run_images(struct invocation *in);
int run_images_by_digest(struct invocation *in);
int run_layer(struct invocation *in);
int run_layers(struct invocation *in);
int run_metadata(struct invocation *in);
int run_set_metadata(struct invocation *in);
int run_mount(struct invocation *in);
int run_unmount(struct invocation *in);
int run_mounted(struct invocation *in);
int run_get_names(struct invocation *in);
int run_add_names(struct invocation *in);
int run_remove_names(struct invocation *in);
int run_set_names(struct invocation *in);
int run_shutdown(struct invocation *in);
int run_status(struct invocation *in);
int run_unshare(struct invocation *in);
int run_version(struct invocation *in);
int run_wipe(struct invocation *in);
int run_dedup(struct invocation *in);
int run_create_composefs(struct invocation *in);
int run_dump_composefs(struct invocation *in);
int run_apply_directory(struct invocation *in);

#endif
