/* SPDX-License-Identifier: Apache-2.0 */
/* From argv to a verb and its exit code (docs/format/command.md, "Process flow"). */
#include "command.h"
#include "config.h"
#include "nearest.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum personality personality_of(const char *program)
{
	const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
	return strcmp(name, "containers-storage") == 0 || strcmp(name, "oci-storage") == 0
	               ? GO_STYLE
	               : GNU_STYLE;
}

static void remember_values(const struct option_set *set, struct option_value *copy)
{
	memcpy(copy, set->values, sizeof(set->values));
}

/* Prints on stdout as the Go tool does, unless a program reads JSON there. */
static int cannot_open(struct invocation *in, const cst_error *error)
{
	bool to_stdout = in->personality == GO_STYLE && !is_on(in, OPT_JSON);
	FILE *to = to_stdout ? stdout : stderr;
	fputs(in->personality == GNU_STYLE ? "cstorage: error initializing: "
	                                   : "error initializing: ",
	      to);
	write_message(to, error_text(in, error), in->personality == GO_STYLE);
	fputc('\n', to);
	hint(in, error);
	return 1;
}

/* Root may ask for a namespace. Another user gets one unless the verb only reads. A process that
 * already is root in one gets none. */
static bool wants_namespace(const struct invocation *in)
{
	const struct option_value *unshare_option = value_of(in, OPT_UNSHARE);
	bool wanted = unshare_option->given ? unshare_option->on
	                                    : geteuid() != 0 && !in->store_options.read_only;
	return wanted && !(geteuid() == 0 && is_rootless());
}

/* To open a store takes room if the run directory is not there yet, as after a reboot. What is only
 * read needs no run directory, so a full disk keeps nobody from reading. */
static int open_also_on_full_disk(struct invocation *in, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	int r = cst_store_open(&in->store_options, &in->store, &problem);
	int errnum = cst_error_errno(problem);
	if (r < 0 && in->command->flags & COMMAND_READS && (errnum == ENOSPC || errnum == EDQUOT)) {
		if (is_on(in, OPT_DEBUG))
			debug_line("%s: the store is only read", error_text(in, problem));
		in->store_options.read_only = true;
		return cst_store_open(&in->store_options, &in->store, error);
	}
	if (r < 0) {
		*error = problem;
		problem = NULL;
	}
	return r;
}

/* containers-storage loads images and containers with the store, whatever the verb is, so damaged
 * records are an error of opening it. */
static int open_store(struct invocation *in, cst_error **error)
{
	cst_image_list *images = NULL;
	cst_container_list *containers = NULL;
	int r = open_also_on_full_disk(in, error);
	if (r == 0 && in->personality == GO_STYLE)
		r = cst_store_images(in->store, &images, error);
	if (r == 0 && in->personality == GO_STYLE)
		r = cst_store_containers(in->store, &containers, error);
	cst_image_list_free(images);
	cst_container_list_free(containers);
	return r;
}

/* A verb that makes nothing needs a store that is there, since the directory may be mistyped.
 * containers-storage makes one all the same. */
static bool needs_store(const struct invocation *in)
{
	return in->personality == GNU_STYLE && !(in->command->flags & COMMAND_MAKES_STORE);
}

/* Finds out which store is meant and opens it, in a user namespace where one is needed. Returns an exit code. */
static int enter_store(struct invocation *in, const struct option_value *before)
{
	_cleanup_error_ cst_error *error = NULL;
	/* Whether a user needs a namespace depends on the store. */
	bool ask_first = in->personality == GNU_STYLE && geteuid() != 0;
	if (ask_first && prepare_store_options(in, before, &error) < 0)
		return cannot_open(in, error);
	if (wants_namespace(in)) {
		int code = enter_user_namespace(in);
		if (code)
			return code;
	}
	if (!ask_first && prepare_store_options(in, before, &error) < 0)
		return cannot_open(in, error);
	if (!is_on(in, OPT_DEBUG))
		set_log_level(CST_LOG_ERROR);
	if (needs_store(in) && !store_is_there(in))
		return 1;
	return open_store(in, &error) < 0 ? cannot_open(in, error) : 0;
}

int need_store(struct invocation *in)
{
	return enter_store(in, NULL);
}

/* Opens the store and runs the verb: the part that both personalities share. */
static int run_command(struct invocation *in, const struct option_value *before)
{
	bool wants_store = in->personality == GO_STYLE || !(in->command->flags & COMMAND_NO_STORE);
	/* The Go tool logs errors only from here on, and its debug output begins with the store's
	 * options. cstorage first says where these come from, and what is wrong there. */
	if (in->personality == GO_STYLE)
		set_log_level(CST_LOG_ERROR);
	else if (is_on(in, OPT_DEBUG))
		set_log_level(CST_LOG_DEBUG);
	int code = wants_store ? enter_store(in, before) : 0;
	return code ? code : command_code(in->command)->run(in);
}

/* ---- containers-storage ---- */

struct go_usage {
	struct invocation *in;
	struct option_value initial[OPTION_COUNT];
};

static void show_program_usage(void *userdata)
{
	struct go_usage *usage = userdata;
	go_help_program(&usage->in->options, usage->initial, false);
}

static void show_command_usage(void *userdata)
{
	struct go_usage *usage = userdata;
	go_help_command(usage->in, usage->initial);
}

/* Parses the options in front of the verb. Returns an exit code, or -1 to go on. */
static int go_parse_program(struct go_usage *usage, const char *const *words, size_t n,
                            size_t *n_used)
{
	struct invocation *in = usage->in;
	option_set_add(&in->options, global_options, n_global_options);
	option_set_add(&in->options, &help_option, 1);
	in->options.values[OPT_UNSHARE].on = is_rootless(); /* the default that help shows */
	remember_values(&in->options, usage->initial);
	if (n == 0) {
		show_program_usage(usage);
		return 1;
	}
	struct go_parser parser = {.program = in->program,
	                           .name = "containers-storage",
	                           .set = &in->options,
	                           .show_usage = show_program_usage,
	                           .userdata = usage};
	enum parse_result result = go_parse(&parser, words, n, n_used);
	_cleanup_text_ char *message = parser.message;
	if (result != PARSE_DONE) {
		write_message(stdout, message ? message : "out of memory", true);
		printf(" while parsing arguments (1)\n");
		show_program_usage(usage);
		return 1;
	}
	if (is_on(in, OPT_HELP)) {
		go_help_program(&in->options, usage->initial, true);
		return 0;
	}
	return -1;
}

static int check_operands(struct go_usage *usage)
{
	struct invocation *in = usage->in;
	if (in->n_operands < in->command->min_operands) {
		printf("%s: more arguments required.\n", in->word);
	} else if (in->n_operands > in->command->max_operands) {
		printf("%s: too many arguments ([", in->word);
		for (size_t i = 0; i < in->n_operands; i++) {
			fputs(i ? " " : "", stdout);
			show_text(stdout, in->operands[i]);
		}
		printf("]).\n");
	} else {
		return -1;
	}
	show_command_usage(usage);
	return 1;
}

/* The options behind the verb start with the values of those in front of it. */
static int go_parse_command(struct go_usage *usage, const char *const *words, size_t n)
{
	struct invocation *in = usage->in;
	in->options.n_tables = 0;
	option_set_add(&in->options, global_options, n_global_options);
	const struct option_table *options = &command_code(in->command)->options;
	option_set_add(&in->options, options->options, options->n);
	remember_values(&in->options, usage->initial);
	struct go_parser parser = {.program = in->program,
	                           .name = in->word,
	                           .set = &in->options,
	                           .show_usage = show_command_usage,
	                           .userdata = usage};
	size_t n_used = 0;
	enum parse_result result = go_parse(&parser, words, n, &n_used);
	free(parser.message);
	if (result != PARSE_DONE)
		return EXIT_GO_USAGE;
	in->operands = words + n_used;
	in->n_operands = n - n_used;
	return check_operands(usage);
}

static int go_main(struct invocation *in, const char *const *words, size_t n)
{
	struct go_usage usage = {.in = in};
	size_t n_used = 0;
	set_log_level(CST_LOG_WARNING);
	int code = go_parse_program(&usage, words, n, &n_used);
	if (code >= 0)
		return code;
	struct option_value before[OPTION_COUNT];
	remember_values(&in->options, before);
	go_configured_defaults(in);
	if (n_used == n) {
		show_program_usage(&usage);
		return 1;
	}
	in->word = words[n_used];
	in->command = command_find(in->word);
	if (!in->command || in->command->flags & COMMAND_OURS) {
		show_keyed(stdout, in->word, "unrecognized command.");
		return 1;
	}
	code = go_parse_command(&usage, words + n_used + 1, n - n_used - 1);
	return code >= 0 ? code : run_command(in, before);
}

/* ---- cstorage ---- */

static int gnu_usage_error(const struct invocation *in)
{
	if (in->command)
		fprintf(stderr, "Try 'cstorage %s --help'.\n", in->command->names[0]);
	else
		fprintf(stderr, "Try 'cstorage --help'.\n");
	return EXIT_USAGE;
}

static int unknown_command(const struct invocation *in, const char *word)
{
	_cleanup_nearest_ struct nearest nearest = {.word = word};
	for (size_t i = 0; i < n_commands; i++)
		nearest_offer(&nearest, commands[i].names[0]);
	if (nearest.found)
		complain(in, "unknown command '%s'; did you mean '%s'?", word, nearest.found);
	else
		complain(in, "unknown command '%s'", word);
	return gnu_usage_error(in);
}

static int gnu_help(const struct invocation *in, const char *const *words, size_t n)
{
	if (n == 0 || strcmp(words[0], "help") == 0) {
		gnu_help_program();
		return 0;
	}
	const struct command *command = command_find(words[0]);
	if (!command)
		return unknown_command(in, words[0]);
	gnu_help_command(command);
	return 0;
}

/* Finds the verb, which is the first operand; only global options can be in front of it. Returns
 * its place, or n. */
static size_t find_verb(const struct option_set *set, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *word = words[i];
		if (strcmp(word, "--") == 0)
			return i + 1;
		if (word[0] != '-' || word[1] == '\0')
			return i;
		if (strchr(word, '='))
			continue;
		size_t length = strlen(word);
		const char name[3] = {'-', word[length - 1], '\0'};
		const struct option *option =
		        word[1] == '-' ? option_find(set, word, length) : option_find(set, name, 2);
		/* A short option with a value takes the next word only if it ends its group. */
		bool glued = false;
		for (size_t k = 1; word[1] != '-' && k + 1 < length; k++) {
			const char each[3] = {'-', word[k], '\0'};
			const struct option *inner = option_find(set, each, 2);
			glued = glued || (inner && inner->type != OPTION_BOOL);
		}
		if (option && option->type != OPTION_BOOL && !glued)
			i++;
	}
	return n;
}

static bool print_version(const struct invocation *in)
{
	if (is_on(in, OPT_VERSION))
		printf("cstorage %s\n", CST_VERSION);
	return is_on(in, OPT_VERSION);
}

static int gnu_parse_words(struct invocation *in, const char **words, size_t n)
{
	size_t n_operands = 0;
	bool stop_early = in->command->flags & COMMAND_STOP_EARLY;
	if (gnu_parse(&in->options, words, n, stop_early, &n_operands) != PARSE_DONE)
		return gnu_usage_error(in);
	if (print_version(in))
		return 0;
	in->operands = words;
	in->n_operands = n_operands;
	if (is_on(in, OPT_HELP)) {
		gnu_help_command(in->command);
		return 0;
	}
	if (n_operands < in->command->min_operands) {
		complain(in, "%s: operand missing", in->word);
		return gnu_usage_error(in);
	}
	if (n_operands > in->command->max_operands) {
		complain(in, "%s: unexpected operand '%s'", in->word,
		         words[in->command->max_operands]);
		return gnu_usage_error(in);
	}
	if (in->command->flags & COMMAND_PROGRESS && progress_check(in))
		return EXIT_USAGE;
	return -1;
}

static void add_verb_options(struct invocation *in)
{
	struct option_table tables[COMMAND_TABLES_MAX];
	size_t n = command_tables(in->command, tables);
	for (size_t i = 0; i < n; i++)
		option_set_add(&in->options, tables[i].options, tables[i].n);
}

/* Parses everything in front of the verb; *verb is its place. Returns an exit code, or -1 to go
 * on. */
static int gnu_parse_front(struct invocation *in, const char **words, size_t n, size_t *verb)
{
	*verb = find_verb(&in->options, words, n);
	if (*verb < n) {
		in->word = words[*verb];
		in->command = command_find(in->word);
	}
	if (in->command)
		add_verb_options(in);
	size_t n_front = *verb < n ? *verb : n, n_operands = 0;
	if (n_front > 0 && strcmp(words[n_front - 1], "--") == 0)
		n_front--;
	if (gnu_parse(&in->options, words, n_front, false, &n_operands) != PARSE_DONE)
		return gnu_usage_error(in);
	if (print_version(in))
		return 0;
	if (in->word && strcmp(in->word, "help") == 0)
		return gnu_help(in, words + *verb + 1, n - *verb - 1);
	if (is_on(in, OPT_HELP)) /* --help in front of a verb is help about that verb */
		return gnu_help(in, words + *verb, *verb < n ? 1 : 0);
	if (in->command)
		return -1;
	if (in->word)
		return unknown_command(in, in->word);
	complain(in, "no command given");
	return gnu_usage_error(in);
}

/* Completes an operand that is being typed. Mistakes in the words before it are not reported
 * here. */
static int complete_operand(struct invocation *in, const char **words, size_t n)
{
	size_t verb = find_verb(&in->options, words, n), n_operands = 0;
	in->command = verb < n ? command_find(words[verb]) : NULL;
	if (!in->command)
		return 0;
	add_verb_options(in);
	if (gnu_parse(&in->options, words, verb, false, &n_operands) != PARSE_DONE ||
	    gnu_parse(&in->options, words + verb + 1, n - verb - 1, false, &in->n_operands) !=
	            PARSE_DONE)
		return 0;
	set_log_level(CST_LOG_ERROR);
	print_operand_candidates(in);
	return 0;
}

static int gnu_main(struct invocation *in, const char **words, size_t n)
{
	option_set_add(&in->options, global_options, n_global_options);
	option_set_add(&in->options, gnu_options, n_gnu_options);
	set_log_level(CST_LOG_WARNING);
	if (n > 0 && strcmp(words[0], "__complete") == 0)
		return print_completions(words + 1, n - 1);
	if (n > 0 && strcmp(words[0], "__complete_operand") == 0)
		return complete_operand(in, words + 1, n - 1);
	size_t verb = 0;
	int code = gnu_parse_front(in, words, n, &verb);
	if (code < 0)
		code = gnu_parse_words(in, words + verb + 1, n - verb - 1);
	return code >= 0 ? code : run_command(in, NULL);
}

/* The process that started this one may have closed these descriptors. Then a file of the store
 * could get their number, and output would go into it. So this process opens them; reading and
 * writing fails as on a closed one. */
static void occupy_standard_descriptors(void)
{
	struct pollfd standard[] = {
	        {.fd = STDIN_FILENO}, {.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};
	if (poll(standard, 3, 0) <= 0)
		return;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (standard[fd].revents & POLLNVAL &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			_exit(1);
}

int main(int argc, char **argv)
{
	occupy_standard_descriptors();
	struct invocation in = {.program = argc > 0 ? argv[0] : "cstorage"};
	const char **words = (const char **)argv + (argc > 0);
	size_t n = argc > 0 ? (size_t)argc - 1 : 0;
	in.personality = personality_of(in.program);
	int code = in.personality == GO_STYLE ? go_main(&in, words, n) : gnu_main(&in, words, n);
	cst_store_close(in.store);
	cst_config_free(in.config);
	option_set_done(&in.options);
	free(in.graph_root);
	free(in.run_root);
	return finish_output(&in, code);
}
