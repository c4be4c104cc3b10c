/* SPDX-License-Identifier: Apache-2.0 */
/* Help of both personalities, made from the table of verbs (docs/format/command.md, "Help"). */
#include "command.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define OPTIONS_MAX 32

/* By first long name, ignoring case. */
static int by_name(const void *a, const void *b)
{
	const struct option *const *left = a, *const *right = b;
	return strcasecmp((*left)->names[0] + 2, (*right)->names[0] + 2);
}

static size_t sorted_options(const struct option_set *set, const struct option **sorted)
{
	size_t n = 0;
	for (size_t t = 0; t < set->n_tables; t++)
		for (size_t i = 0; i < set->sizes[t] && n < OPTIONS_MAX; i++)
			sorted[n++] = &set->tables[t][i];
	qsort(sorted, n, sizeof(*sorted), by_name);
	return n;
}

static void print_names(FILE *to, const struct option *option)
{
	for (size_t n = 0; n < 3 && *option->names[n]; n++)
		fprintf(to, "%s%s", n ? ", " : "  ", option->names[n]);
}

/* Writes `~` for the home directory, unless that is the root. */
static void print_default_text(FILE *to, const char *text)
{
	const char *home = getenv("HOME");
	size_t length = home ? strlen(home) : 0;
	if (strcmp(text, "") == 0 || strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
		return;
	if (length > 0 && strcmp(home, "/") != 0 && strncmp(text, home, length) == 0)
		fprintf(to, "=~%s", text + length);
	else
		fprintf(to, "=%s", text);
}

/* `items` is the list as it is now. Its first initial->n_items items were there when the table was
 * made. */
static void print_default(FILE *to, const struct option *option, const struct option_value *initial,
                          const char *const *items)
{
	switch (option->type) {
	case OPTION_BOOL:
		if (initial->on)
			fputs("=true", to);
		break;
	case OPTION_STRING: print_default_text(to, initial->text ? initial->text : ""); break;
	case OPTION_LIST:
		fputs("=[", to);
		for (size_t i = 0; i < initial->n_items; i++)
			fprintf(to, "%s%s", i ? " " : "", items[i]);
		fputc(']', to);
		break;
	}
}

static char *label_of(const struct option *option, const struct option_set *set,
                      const struct option_value *initial)
{
	char *label = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&label, &size);
	if (!to)
		return NULL;
	print_names(to, option);
	print_default(to, option, &initial[option->id], set->values[option->id].items);
	if (fclose(to) != 0) {
		free(label);
		return NULL;
	}
	return label;
}

static void print_option_table(FILE *to, const struct option_set *set,
                               const struct option_value *initial)
{
	const struct option *sorted[OPTIONS_MAX];
	char *labels[OPTIONS_MAX] = {NULL};
	size_t n = sorted_options(set, sorted), width = 20;
	for (size_t i = 0; i < n; i++) {
		_cleanup_text_ char *label = label_of(sorted[i], set, initial);
		if (label)
			labels[i] = is_terminal(to) ? plain_text(label) : strdup(label);
		size_t length = labels[i] ? text_characters(labels[i]) + 3 : 0;
		width = length > width ? length : width;
	}
	fputc('\n', to);
	for (size_t i = 0; i < n; i++) {
		const char *label = labels[i] ? labels[i] : "";
		fprintf(to, "%s%*s %s", label, (int)(width - text_characters(label)), "",
		        *sorted[i]->go_help ? sorted[i]->go_help : sorted[i]->help);
		if (sorted[i]->id == OPT_UNSHARE)
			fprintf(to, " (default %s)", is_rootless() ? "true" : "false");
		fputc('\n', to);
		free(labels[i]);
	}
}

void go_help_program(const struct option_set *set, const struct option_value *initial,
                     bool all_on_stdout)
{
	printf("Usage: containers-storage command [options [...]]\n\nCommands:\n\n");
	for (size_t i = 0; i < n_commands; i++)
		if (!(commands[i].flags & COMMAND_OURS))
			printf("  %-30s%s\n", commands[i].names[0], commands[i].go_description);
	printf("\nOptions:\n");
	fflush(stdout);
	print_option_table(all_on_stdout ? stdout : stderr, set, initial);
}

void go_help_command(const struct invocation *in, const struct option_value *initial)
{
	printf("Usage: containers-storage %s %s\n\n%s\n\nOptions:\n", in->word,
	       in->command->go_operands, in->command->go_description);
	fflush(stdout);
	print_option_table(stderr, &in->options, initial);
}

/* ---- cstorage ---- */

static void print_gnu_options(const struct option *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char label[64] = "  ";
		if (!*table[i].help)
			continue;
		const char *short_name = NULL;
		for (size_t k = 0; k < 3 && *table[i].names[k]; k++)
			if (table[i].names[k][1] != '-')
				short_name = table[i].names[k];
		strcat(label, short_name ? short_name : "    ");
		strcat(label, short_name ? ", " : "");
		for (size_t k = 0, first = 1; k < 3 && *table[i].names[k]; k++) {
			if (table[i].names[k] == short_name)
				continue;
			strcat(label, first ? "" : ", ");
			strcat(label, table[i].names[k]);
			first = 0;
		}
		if (table[i].type != OPTION_BOOL)
			strcat(label, "=VALUE");
		printf("%-30s%s", label, table[i].help);
		if (*table[i].initial)
			printf(" (default %s)", table[i].initial);
		putchar('\n');
	}
}

void gnu_help_program(void)
{
	static const char *const titles[GROUP_COUNT] = {"Layers", "Images", "Containers",
	                                                "Names, metadata and data items", "Store"};
	printf("Usage: cstorage [OPTION...] COMMAND [OPTION...] [OPERAND...]\n"
	       "Stores filesystem layers, container images and containers.\n");
	for (int group = 0; group < GROUP_COUNT; group++) {
		printf("\n%s:\n", titles[group]);
		for (size_t i = 0; i < n_commands; i++)
			if ((int)commands[i].group == group)
				printf("  %-29s%s\n", commands[i].names[0],
				       commands[i].description);
	}
	printf("\nOptions:\n");
	print_gnu_options(gnu_options, n_gnu_options);
	print_gnu_options(global_options, n_global_options);
	printf("\nITEM: a layer, image or container. An ID, a name, or how an ID begins will do.\n"
	       "'cstorage help COMMAND' tells more about one command.\n");
}

void gnu_help_command(const struct command *command)
{
	struct option_table tables[COMMAND_TABLES_MAX];
	size_t n_tables = command_tables(command, tables);
	printf("Usage: cstorage %s [OPTION...]%s%s\n", command->names[0],
	       command->operands[0] ? " " : "", command->operands);
	for (size_t n = 1; n < 3 && *command->names[n]; n++)
		printf("       cstorage %s ...\n", command->names[n]);
	printf("%s.\n", command->description);
	if (command_code(command)->options.n > 0 || n_tables > 1)
		printf("\nOptions:\n");
	for (size_t i = 0; i < n_tables; i++)
		print_gnu_options(tables[i].options, tables[i].n);
	printf("\nGlobal options:\n");
	print_gnu_options(gnu_options, n_gnu_options);
	print_gnu_options(global_options, n_global_options);
}

/* ---- completion ---- */

static void print_option_candidates(const struct option *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; *table[i].help && k < 3 && *table[i].names[k]; k++)
			printf("%s\t%s\n", table[i].names[k], table[i].help);
}

/* Prints candidates for the word after `words`, one a line with its description: verbs, or the
 * options of a verb. */
int print_completions(const char *const *words, size_t n)
{
	const struct command *command = NULL;
	for (size_t i = 0; i < n && !command; i++)
		command = command_find(words[i]);
	if (!command) {
		for (size_t i = 0; i < n_commands; i++)
			printf("%s\t%s\n", commands[i].names[0], commands[i].description);
		printf("help\tShow help\n");
	} else {
		struct option_table tables[COMMAND_TABLES_MAX];
		size_t n_tables = command_tables(command, tables);
		for (size_t i = 0; i < n_tables; i++)
			print_option_candidates(tables[i].options, tables[i].n);
	}
	print_option_candidates(gnu_options, n_gnu_options);
	print_option_candidates(global_options, n_global_options);
	return 0;
}
