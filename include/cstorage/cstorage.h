/* SPDX-License-Identifier: Apache-2.0 */
/* libcstorage: container storage. This header brings in all others. */
#ifndef CSTORAGE_H
#define CSTORAGE_H

#include <cstorage/additional_layer.h>
#include <cstorage/archive.h>
#include <cstorage/check.h>
#include <cstorage/chunked.h>
#include <cstorage/composefs.h>
#include <cstorage/dedup.h>
#include <cstorage/error.h>
#include <cstorage/http.h>
#include <cstorage/ids.h>
#include <cstorage/import.h>
#include <cstorage/lock.h>
#include <cstorage/pull.h>
#include <cstorage/records.h>
#include <cstorage/report.h>
#include <cstorage/staged.h>
#include <cstorage/store.h>
#include <cstorage/types.h>

#endif
