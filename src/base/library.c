/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a shared library once for the process, whichever thread asks first. */
#include "base/library.h"
#include <dlfcn.h>
#include <pthread.h>

static pthread_mutex_t load_mutex = PTHREAD_MUTEX_INITIALIZER;

static int load(struct library *library, cst_error **error)
{
	void *handle = NULL;
	for (const char *const *name = library->sonames; *name && !handle; name++)
		handle = dlopen(*name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!handle)
		return error_set(error, CST_ENOTSUP, "%s is needed %s and cannot be loaded: %s",
		                 library->sonames[0], library->needed_for, dlerror());
	for (const struct library_symbol *symbol = library->symbols; symbol->name; symbol++) {
		void *address = dlsym(handle, symbol->name);
		if (!address)
			return error_set(error, CST_ENOTSUP, "%s is needed %s and lacks %s",
			                 library->sonames[0], library->needed_for, symbol->name);
		*(void **)symbol->pointer = address;
	}
	__atomic_store_n(&library->loaded, true, __ATOMIC_RELEASE);
	return 0;
}

int library_load(struct library *library, cst_error **error)
{
	if (library_is_loaded(library))
		return 0;
	pthread_mutex_lock(&load_mutex);
	int r = library->loaded ? 0 : load(library, error);
	pthread_mutex_unlock(&load_mutex);
	return r;
}
