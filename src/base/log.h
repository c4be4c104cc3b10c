/* SPDX-License-Identifier: Apache-2.0 */
/* The library prints nothing. It tells the caller's log callback what a user should know although
 * nothing failed. */
#ifndef CST_BASE_LOG_H
#define CST_BASE_LOG_H

#include "base/error.h"
#include <cstorage/types.h>

void log_warning(const char *format, ...) CST_PRINTF(1, 2);
void log_debug(const char *format, ...) CST_PRINTF(1, 2);
void log_error(const char *format, ...) CST_PRINTF(1, 2);
bool log_enabled(enum cst_log_level level);

#endif
