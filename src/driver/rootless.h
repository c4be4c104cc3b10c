/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this process must do without what only root in the first user namespace can do. */
#ifndef CST_DRIVER_ROOTLESS_H
#define CST_DRIVER_ROOTLESS_H

#include <stdbool.h>

/* Is this process another user than root, in a user namespace, or without CAP_SYS_ADMIN? The Go tools give the same answer
 * (docs/format/config.md, "Rootless defaults"). */
bool driver_is_rootless(void);

#endif
