/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as Go writes them: "1h30m", "-1.5h". */
#include "command.h"
#include <string.h>

static const struct unit {
	const char *name;
	double nanoseconds;
} units[] = {{"ns", 1},   {"us", 1e3}, {"\u00b5s", 1e3}, {"\u03bcs", 1e3},
             {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},      {"h", 3600e9}};

static const struct unit *find_unit(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i].name) == length && strncmp(name, units[i].name, length) == 0)
			return &units[i];
	return NULL;
}

int parse_duration(const struct invocation *in, const char *text, int64_t *ret)
{
	_cleanup_text_ char *quoted = go_quote(text);
	const char *at = text + (text[0] == '-' || text[0] == '+');
	double sum = 0;
	bool valid = at[0] != '\0';
	while (valid && at[0] && strcmp(at, "0") != 0) {
		size_t whole = strspn(at, "0123456789");
		size_t fraction = at[whole] == '.' ? strspn(at + whole + 1, "0123456789") : 0;
		const char *name = at + whole + (at[whole] == '.') + fraction;
		size_t length = strcspn(name, ".0123456789");
		const struct unit *unit = find_unit(name, length);
		if (whole + fraction == 0) {
			valid = false;
		} else if (length == 0) {
			complain(in, "time: missing unit in duration %s", quoted);
			return 1;
		} else if (!unit) {
			_cleanup_text_ char *word = strndup(name, length);
			_cleanup_text_ char *shown = word ? go_quote(word) : NULL;
			complain(in, "time: unknown unit %s in duration %s", shown, quoted);
			return 1;
		} else {
			sum += strtod(at, NULL) * unit->nanoseconds;
		}
		at = name + length;
	}
	if (!valid || sum > (double)INT64_MAX / 2) {
		complain(in, "time: invalid duration %s", quoted);
		return 1;
	}
	*ret = (int64_t)(text[0] == '-' ? -sum : sum);
	return 0;
}
