/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, log lines and the last flush. */
#include "command.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void free_text(char **text)
{
	free(*text);
}

void free_error(cst_error **error)
{
	cst_error_free(*error);
}

void free_pairs(cst_pairs **pairs)
{
	cst_pairs_free(*pairs);
}

void free_strings(cst_strings **strings)
{
	cst_strings_free(*strings);
}

/* Go's texts are the C library's with a small first letter. */
const char *errno_words(int errnum)
{
	static char words[128];
	if (errnum == ENOTSUP)
		return "operation not supported";
	snprintf(words, sizeof(words), "%s", strerror(errnum));
	words[0] = (char)tolower((unsigned char)words[0]);
	return words;
}

void complain(const struct invocation *in, const char *format, ...)
{
	va_list args;
	_cleanup_text_ char *text = NULL;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	fflush(stdout); /* keeps the order where both streams are one */
	if (in->personality == GNU_STYLE)
		fputs("cstorage: ", stderr);
	write_message(stderr, text ? text : "out of memory", in->personality == GO_STYLE);
	fputc('\n', stderr);
}

const char *error_text(const struct invocation *in, const cst_error *error)
{
	return in->personality == GO_STYLE ? cst_error_go_message(error) : cst_error_message(error);
}

void complain_about(const struct invocation *in, const char *operand, const cst_error *error)
{
	if (strcmp(cst_error_object(error), operand) == 0)
		complain(in, "%s", error_text(in, error));
	else
		complain(in, "%s: %s", operand, error_text(in, error));
	hint(in, error);
}

/* On a terminal only: a program that stops the command knows it. */
static void tell_interrupted(const struct invocation *in)
{
	if (in->personality == GNU_STYLE && isatty(STDERR_FILENO))
		complain(in, "%s was interrupted; nothing is half done", in->word);
}

int fail_with_hint(const struct invocation *in, const cst_error *error, const char *text)
{
	if (interrupted_by()) {
		tell_interrupted(in);
		return 128 + interrupted_by();
	}
	complain(in, "%s", error_text(in, error));
	if (text)
		hint_at(in, text);
	else
		hint(in, error);
	return 1;
}

int fail(const struct invocation *in, const cst_error *error)
{
	return fail_with_hint(in, error, NULL);
}

int fail_out_of_memory(const struct invocation *in)
{
	complain(in, "out of memory");
	return 1;
}

int fail_errno(const struct invocation *in, int errnum, const char *what, const char *path)
{
	complain(in, "%s %s: %s", what, path, errno_words(errnum));
	return 1;
}

int finish_output(const struct invocation *in, int code)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	int errnum = errno ? errno : EIO;
	fprintf(stderr, "%swrite /dev/stdout: %s\n",
	        in->personality == GNU_STYLE ? "cstorage: " : "", errno_words(errnum));
	return code ? code : 1;
}

/* ---- log lines, in the form of the Go tools ---- */

static time_t log_start;
static bool log_on_terminal;

static void log_to_terminal(enum cst_log_level level, const char *message)
{
	static const struct {
		const char *name;
		int colour;
	} levels[] = {{"ERRO", 31}, {"WARN", 33}, {"INFO", 36}, {"DEBU", 37}};
	_cleanup_text_ char *plain = plain_text(message);
	fprintf(stderr, "\033[%dm%s\033[0m[%04ld] %-44s \n", levels[level].colour,
	        levels[level].name, (long)(time(NULL) - log_start), plain ? plain : "");
}

static void log_to_file(enum cst_log_level level, const char *message)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	time_t now = time(NULL);
	struct tm local;
	char stamp[40] = "", zone[8] = "Z";
	if (localtime_r(&now, &local)) {
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &local);
		long minutes = local.tm_gmtoff / 60;
		if (minutes)
			snprintf(zone, sizeof(zone), "%c%02u:%02u", minutes < 0 ? '-' : '+',
			         (unsigned)labs(minutes) / 60 % 100, (unsigned)labs(minutes) % 60);
	}
	_cleanup_text_ char *quoted = go_quote(message);
	fprintf(stderr, "time=\"%s%s\" level=%s msg=%s\n", stamp, zone, names[level],
	        quoted ? quoted : "\"\"");
}

static void log_line(enum cst_log_level level, const char *message, void *userdata)
{
	flockfile(stderr); /* may come from any thread */
	(log_on_terminal ? log_to_terminal : log_to_file)(level, message);
	funlockfile(stderr);
}

void log_text(enum cst_log_level level, const char *message)
{
	log_line(level, message, NULL);
}

void set_log_level(enum cst_log_level level)
{
	if (!log_start) {
		log_start = time(NULL);
		log_on_terminal = isatty(STDERR_FILENO);
	}
	cst_set_log(log_line, level, NULL);
}

void debug_line(const char *format, ...)
{
	va_list args;
	_cleanup_text_ char *message = NULL;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	if (message)
		log_line(CST_LOG_DEBUG, message, NULL);
}
