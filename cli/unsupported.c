/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that this version does not have: their command lines are checked, and then they fail. */
#include "command.h"
#include <stdio.h>
#include <string.h>

int run_unsupported(struct invocation *in)
{
	complain(in, "%s: not supported by this version", in->word);
	return 1;
}

static bool is_unit(const char *unit, size_t length)
{
	static const char *const units[] = {"ns", "us", "\u00b5s", "\u03bcs", "ms", "s", "m", "h"};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i]) == length && strncmp(unit, units[i], length) == 0)
			return true;
	return false;
}

/* Checks a duration as Go writes it ("1h30m", "-1.5h"). Returns an exit code. */
static int check_duration(const struct invocation *in, const char *text)
{
	_cleanup_text_ char *quoted = go_quote(text);
	const char *at = text + (text[0] == '-' || text[0] == '+');
	if (strcmp(at, "0") == 0)
		return 0;
	bool valid = at[0] != '\0';
	while (valid && at[0]) {
		size_t whole = strspn(at, "0123456789");
		size_t fraction = at[whole] == '.' ? strspn(at + whole + 1, "0123456789") : 0;
		const char *unit = at + whole + (at[whole] == '.') + fraction;
		size_t length = strcspn(unit, ".0123456789");
		if (whole + fraction == 0) {
			valid = false;
		} else if (length == 0) {
			complain(in, "time: missing unit in duration %s", quoted);
			return 1;
		} else if (!is_unit(unit, length)) {
			_cleanup_text_ char *word = strndup(unit, length);
			_cleanup_text_ char *shown = word ? go_quote(word) : NULL;
			complain(in, "time: unknown unit %s in duration %s", shown, quoted);
			return 1;
		}
		at = unit + length;
	}
	if (valid)
		return 0;
	complain(in, "time: invalid duration %s", quoted);
	return 1;
}

int run_check(struct invocation *in)
{
	const char *age = text_of(in, OPT_MAX);
	int code = age[0] ? check_duration(in, age) : 0;
	return code ? code : run_unsupported(in);
}

int run_dedup(struct invocation *in)
{
	static const char *const methods[] = {"crc", "size", "sha256"};
	const char *method = text_of(in, OPT_HASH_METHOD);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(method, methods[i]) == 0)
			return run_unsupported(in);
	complain(in, "invalid hash method: %s", method);
	return 1;
}
