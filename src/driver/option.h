/* SPDX-License-Identifier: Apache-2.0 */
/* Option strings of drivers, "[driver.]key=value": what all drivers read alike (docs/format/drivers.md, "Option strings"). */
#ifndef CST_DRIVER_OPTION_H
#define CST_DRIVER_OPTION_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

struct driver_config;

/* The names that a driver can have, sorted, ended by NULL; this build lacks some of the drivers. */
extern const char *const driver_names[];

/* Splits one option of a driver. *skip: it is another driver's. The key is in lower case. CST_EINVAL with Go's messages. The
 * two strings are the caller's. */
int driver_parse_option(const char *driver, const char *option, char **key, char **value, bool *skip, cst_error **error);

/* May a driver pass over this option, which it does not have? */
bool driver_may_skip_option(const struct driver_config *config, const char *option);

/* A value as Go's strconv.ParseBool reads it. CST_EINVAL with Go's message. */
int driver_parse_bool(const char *value, bool *ret, cst_error **error);

/* Reads a number in Go's way; `what` is Go's function, ParseUint or ParseInt, which its message names. */
int driver_parse_number(const char *what, const char *value, int base, uint64_t max, uint64_t *ret, cst_error **error);

/* Splits an option of a layer, "key=value"; without '=' the value is NULL. The key is the caller's, as it was given; *ret_value is
 * in the option. */
int driver_split_layer_option(const char *option, char **ret_key, const char **ret_value, cst_error **error);

#endif
