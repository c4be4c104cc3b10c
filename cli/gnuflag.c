/* SPDX-License-Identifier: Apache-2.0 */
/* GNU option syntax: options anywhere, --name=value, groups of short options, the last with its
 * value glued on, and `--`. */
#include "command.h"
#include "nearest.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct gnu_words {
	const char **all;
	size_t n, next;
};

static bool failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool failed(const char *format, ...)
{
	va_list args;
	_cleanup_text_ char *message = NULL;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	fputs("cstorage: ", stderr);
	write_message(stderr, message ? message : "out of memory", false);
	fputc('\n', stderr);
	return false;
}

static bool set_value(struct option_set *set, const struct option *option, const char *value)
{
	struct option_value *to = &set->values[option->id];
	to->given = true;
	if (option->type == OPTION_STRING)
		to->text = value;
	else if (!option_append(to, value))
		return failed("out of memory");
	return true;
}

static bool set_bool(struct option_set *set, const struct option *option, const char *value)
{
	bool on = true;
	if (value && !parse_go_bool(value, &on))
		return failed("option '%s' takes true or false, not '%s'", option->names[0], value);
	set->values[option->id].on = on;
	set->values[option->id].given = true;
	return true;
}

static bool unknown_option(const struct option_set *set, const char *word, size_t length)
{
	_cleanup_text_ char *name = strndup(word, length);
	_cleanup_nearest_ struct nearest nearest = {.word = name ? name : word};
	for (size_t t = 0; t < set->n_tables; t++)
		for (size_t i = 0; i < set->sizes[t]; i++)
			for (size_t k = 0; *set->tables[t][i].help && k < 3; k++)
				if (*set->tables[t][i].names[k] &&
				    set->tables[t][i].names[k][1] == '-')
					nearest_offer(&nearest, set->tables[t][i].names[k]);
	if (nearest.found)
		return failed("unknown option '%s'; did you mean '%s'?", nearest.word,
		              nearest.found);
	return failed("unknown option '%s'", nearest.word);
}

static bool parse_long(struct option_set *set, const char *word, struct gnu_words *words)
{
	size_t length = strcspn(word, "=");
	const char *value = word[length] ? word + length + 1 : NULL;
	const struct option *option = option_find(set, word, length);
	if (!option)
		return unknown_option(set, word, length);
	if (option->type == OPTION_BOOL)
		return set_bool(set, option, value);
	if (!value && words->next == words->n)
		return failed("option '%s' needs a value", word);
	return set_value(set, option, value ? value : words->all[words->next++]);
}

static bool parse_short(struct option_set *set, const char *word, struct gnu_words *words)
{
	for (const char *letter = word + 1; *letter; letter++) {
		const char name[3] = {'-', *letter, '\0'};
		const struct option *option = option_find(set, name, 2);
		if (!option)
			return failed("unknown option '%s'", name);
		if (option->type == OPTION_BOOL) {
			set_bool(set, option, NULL);
			continue;
		}
		if (letter[1])
			return set_value(set, option, letter + 1);
		if (words->next == words->n)
			return failed("option '%s' needs a value", name);
		return set_value(set, option, words->all[words->next++]);
	}
	return true;
}

enum parse_result gnu_parse(struct option_set *set, const char **args, size_t n, bool stop_early,
                            size_t *n_operands)
{
	struct gnu_words words = {.all = args, .n = n};
	size_t operands = 0;
	bool only_operands = false;
	while (words.next < n) {
		const char *word = args[words.next++];
		if (only_operands || word[0] != '-' || word[1] == '\0') {
			args[operands++] = word;
			only_operands = only_operands || stop_early;
		} else if (strcmp(word, "--") == 0) {
			only_operands = true;
		} else if (!(word[1] == '-' ? parse_long : parse_short)(set, word, &words)) {
			return PARSE_ERROR;
		}
	}
	*n_operands = operands;
	return PARSE_DONE;
}
