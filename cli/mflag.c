/* SPDX-License-Identifier: Apache-2.0 */
/* The option syntax of containers-storage (docs/format/command.md, "Option parsing"). One leading
 * dash is removed. What is left is looked up among long names, which begin with a second dash, and
 * single letters. Several unknown letters are a group. */
#include "command.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct words {
	const char *const *next;
	size_t left;
	size_t used;
};

enum word_result { WORD_OPTION, WORD_END, WORD_GROUP, WORD_ERROR, WORD_HELP };

static enum word_result failed(struct go_parser *parser, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
static enum word_result failed(struct go_parser *parser, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *message = NULL;
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	fflush(stdout);
	write_message(stderr, message ? message : "out of memory", true);
	fputc('\n', stderr);
	if (strcmp(parser->program, parser->name) == 0)
		fprintf(stderr, "See '%s --help'.\n", parser->program);
	else
		fprintf(stderr, "See '%s %s --help'.\n", parser->program, parser->name);
	free(parser->message);
	parser->message = message;
	return WORD_ERROR;
}

/* Removes one pair of equal outer quotes. A single quote character is a value like any other. */
static const char *without_quotes(struct option_set *set, const char *text)
{
	size_t length = strlen(text);
	if (length < 2 || (text[0] != '"' && text[0] != '\'') || text[length - 1] != text[0])
		return text;
	return option_keep(set, strndup(text + 1, length - 2));
}

static enum word_result set_bool(struct go_parser *parser, const struct option *option,
                                 const char *name, size_t length, const char *value)
{
	bool on = true;
	if (value && !parse_go_bool(value, &on)) {
		_cleanup_text_ char *quoted = go_quote(value);
		return failed(parser,
		              "invalid boolean value %s for  -%.*s: strconv.ParseBool: parsing %s: "
		              "invalid syntax",
		              quoted, (int)length, name, quoted);
	}
	parser->set->values[option->id].on = on;
	parser->set->values[option->id].given = true;
	return WORD_OPTION;
}

static enum word_result set_text(struct go_parser *parser, const struct option *option,
                                 const char *value)
{
	struct option_value *to = &parser->set->values[option->id];
	to->given = true;
	if (option->type == OPTION_STRING)
		to->text = value;
	else if (!option_append(to, value))
		return failed(parser, "out of memory");
	return WORD_OPTION;
}

static const char *take(struct words *words)
{
	words->left--;
	words->used++;
	return *words->next++;
}

/* Parses an option without its first dash. `equals` is where its value begins. */
static enum word_result parse_option(struct go_parser *parser, const char *name,
                                     struct words *words)
{
	const char *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const char *value = equals ? without_quotes(parser->set, equals + 1) : NULL;
	if (equals && !value)
		return failed(parser, "out of memory");

	/* The table has names with all their dashes. A long name has one more dash than was
	 * removed. */
	const struct option *option = NULL;
	if (name[0] == '-' ? length > 1 : length == 1)
		option = option_find(parser->set, name - 1, length + 1);
	if (!option && length == 4 && strncmp(name, "help", length) == 0) {
		option = option_find(parser->set, "--help", 6);
		if (option)
			fputs("Warning: '-help' is deprecated, it will be replaced by '--help' "
			      "soon. "
			      "See usage.\n",
			      stderr);
	}
	if (!option) {
		static const char *const help_words[] = {"-help", "help", "h"};
		for (size_t i = 0; i < 3; i++) {
			if (strlen(help_words[i]) == length &&
			    strncmp(name, help_words[i], length) == 0) {
				parser->show_usage(parser->userdata);
				return WORD_HELP;
			}
		}
		if (name[0] == '-')
			return failed(parser, "flag provided but not defined: -%.*s", (int)length,
			              name);
		return WORD_GROUP;
	}
	if (option->type == OPTION_BOOL)
		return set_bool(parser, option, name, length, value);
	if (!value && words->left == 0)
		return failed(parser, "flag needs an argument: -%.*s", (int)length, name);
	return set_text(parser, option, value ? value : take(words));
}

static size_t character_length(const char *text)
{
	size_t length = 1;
	while (((unsigned char)text[length] & 0xc0) == 0x80)
		length++;
	return length;
}

/* Each character of a group is an option of its own. The Go tool drops an `=value` behind it; here
 * that is an error. */
static enum word_result parse_group(struct go_parser *parser, const char *word, struct words *words)
{
	const char *name = word + 1, *equals = strchr(name, '=');
	if (equals)
		return failed(parser, "bad flag syntax: %s", word);
	for (const char *letter = name; *letter;) {
		size_t length = character_length(letter);
		char alone[8] = "-";
		if (length > sizeof(alone) - 2)
			return failed(parser, "flag provided but not defined: -%s", name);
		memcpy(alone + 1, letter, length);
		letter += length;
		if (strcmp(alone, "--") == 0)
			continue;
		if (parse_option(parser, alone + 1, words) != WORD_OPTION)
			return failed(parser, "flag provided but not defined: -%s", name);
	}
	return WORD_OPTION;
}

static enum word_result parse_word(struct go_parser *parser, struct words *words)
{
	if (words->left == 0)
		return WORD_END;
	const char *word = *words->next;
	if (word[0] != '-' || word[1] == '\0')
		return WORD_END;
	if (strcmp(word, "--") == 0) {
		take(words);
		return WORD_END;
	}
	if (word[1] == '=')
		return failed(parser, "bad flag syntax: %s", word);
	take(words);
	enum word_result result = parse_option(parser, word + 1, words);
	if (result != WORD_GROUP)
		return result;
	if (word[1 + character_length(word + 1)] != '\0' && word[2] != '=')
		return parse_group(parser, word, words);
	return failed(parser, "flag provided but not defined: -%.*s", (int)strcspn(word + 1, "="),
	              word + 1);
}

enum parse_result go_parse(struct go_parser *parser, const char *const *args, size_t n,
                           size_t *n_used)
{
	struct words words = {.next = args, .left = n};
	enum word_result result = WORD_OPTION;
	while (result == WORD_OPTION)
		result = parse_word(parser, &words);
	*n_used = words.used;
	if (result == WORD_HELP) {
		free(parser->message);
		parser->message = strdup("flag: help requested");
		return PARSE_HELP;
	}
	return result == WORD_END ? PARSE_DONE : PARSE_ERROR;
}
