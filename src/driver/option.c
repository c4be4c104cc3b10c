/* SPDX-License-Identifier: Apache-2.0 */
/* Splits the option strings of drivers, and reads the values that more than one driver has. */
#include "driver/option.h"
#include "base/log.h"
#include "driver/driver.h"
#include <ctype.h>

const char *const driver_names[] = {"btrfs", "overlay", "overlay2", "vfs", "zfs", NULL};

static char *trimmed(const char *s, size_t n)
{
	while (n && isspace((unsigned char)*s)) {
		s++;
		n--;
	}
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	return strndup(s, n);
}

static bool is_driver_name(const char *name)
{
	for (const char *const *known = driver_names; *known; known++)
		if (streq(*known, name))
			return true;
	return false;
}

/* overlay2 is another name of overlay, so both take the options of either. */
static bool same_driver(const char *a, const char *b)
{
	return streq(a, b) || (has_prefix(a, "overlay") && has_prefix(b, "overlay"));
}

int driver_parse_option(const char *driver, const char *option, char **ret_key, char **ret_value,
                        bool *skip, cst_error **error)
{
	const char *equals = strchr(option, '=');
	if (!equals)
		return error_set(error, CST_EINVAL, "unable to parse key/value option: %s", option);
	_cleanup_free_ char *key = trimmed(option, (size_t)(equals - option)),
	                    *value = trimmed(equals + 1, strlen(equals + 1));
	if (!key || !value)
		return error_oom(error);
	str_lower(key);
	bool other = false;
	char *dot = strchr(key, '.');
	if (dot) {
		*dot = '\0';
		if (*key && !is_driver_name(key))
			return error_set(error, CST_EINVAL,
			                 "unknown driver \"%s\" in option \"%s\"", key, option);
		other = *key && !same_driver(key, driver); /* an empty name means every driver */
	}
	char *bare = strdup(dot ? dot + 1 : key);
	if (!bare)
		return error_oom(error);
	*skip = other;
	*ret_key = bare;
	*ret_value = steal_ptr(&value);
	return 0;
}

bool driver_may_skip_option(const struct driver_config *config, const char *option)
{
	size_t key_len = strcspn(option, "=");
	bool skip = config->general_options && !memchr(option, '.', key_len);
	if (skip)
		log_debug("option %s is for other drivers than this store's", option);
	return skip;
}

int driver_parse_bool(const char *value, bool *ret, cst_error **error)
{
	static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
	static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (streq(value, yes[i]) || streq(value, no[i])) {
			*ret = streq(value, yes[i]);
			return 0;
		}
	}
	return error_set(error, CST_EINVAL, "strconv.ParseBool: parsing \"%s\": invalid syntax",
	                 value);
}

int driver_parse_number(const char *what, const char *value, int base, uint64_t max, uint64_t *ret,
                        cst_error **error)
{
	const char *problem = *value ? NULL : "invalid syntax";
	uint64_t number = 0;

	for (const char *c = value; *c && (!problem || streq(problem, "value out of range")); c++) {
		unsigned digit = (unsigned)(*c - '0');

		if (*c < '0' || digit >= (unsigned)base)
			problem = "invalid syntax";
		else if (!problem && number > (max - digit) / (unsigned)base)
			problem = "value out of range";
		else
			number = number * (unsigned)base + digit;
	}
	if (problem)
		return error_set(error, CST_EINVAL, "strconv.%s: parsing \"%s\": %s", what, value,
		                 problem);
	*ret = number;
	return 0;
}

int driver_split_layer_option(const char *option, char **ret_key, const char **ret_value,
                              cst_error **error)
{
	size_t len = strcspn(option, "=");
	char *key = strndup(option, len);
	if (!key)
		return error_oom(error);
	*ret_key = key;
	*ret_value = option[len] ? option + len + 1 : NULL;
	return 0;
}
