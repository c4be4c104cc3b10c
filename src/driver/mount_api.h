/* SPDX-License-Identifier: Apache-2.0 */
/* What fsopen() and its like take, from linux/mount.h. glibc has them in sys/mount.h from 2.36 on, musl has not. */
#ifndef CST_DRIVER_MOUNT_API_H
#define CST_DRIVER_MOUNT_API_H

#include <sys/mount.h>

#ifndef FSOPEN_CLOEXEC
#define FSOPEN_CLOEXEC 1
#endif
#ifndef FSMOUNT_CLOEXEC
#define FSMOUNT_CLOEXEC 1
#endif
enum { CONFIG_FLAG = 0, CONFIG_STRING = 1, CONFIG_FD = 5, CONFIG_CREATE = 6 };

#endif
