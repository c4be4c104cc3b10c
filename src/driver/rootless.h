/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CST_DRIVER_ROOTLESS_H
#define CST_DRIVER_ROOTLESS_H

#include <stdbool.h>

/* Does this process lack what root of the machine may do: another user, inside a user namespace, or
 * without CAP_SYS_ADMIN? Same answer as the Go tools' (docs/format/config.md, "Rootless defaults").
 */
bool driver_is_rootless(void);

#endif
