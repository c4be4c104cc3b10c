/* SPDX-License-Identifier: Apache-2.0 */
/* libcstorage: container storage. This header brings in all others. */
#ifndef CSTORAGE_H
#define CSTORAGE_H

#include <cstorage/error.h>
#include <cstorage/records.h>
#include <cstorage/store.h>
#include <cstorage/types.h>

#endif
