/* SPDX-License-Identifier: Apache-2.0 */
/* The log callback, which the whole process shares. */
#include "base/log.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	pthread_mutex_t mutex; /* so that callback and userdata change together */
	cst_log_callback callback;
	void *userdata;
	atomic_int level; /* -1: off */
} sink = {.mutex = PTHREAD_MUTEX_INITIALIZER, .level = -1};

void cst_set_log(cst_log_callback callback, enum cst_log_level level, void *userdata)
{
	pthread_mutex_lock(&sink.mutex);
	sink.callback = callback;
	sink.userdata = userdata;
	sink.level = callback ? (int)level : -1;
	pthread_mutex_unlock(&sink.mutex);
}

bool log_enabled(enum cst_log_level level)
{
	return (int)level <= sink.level;
}

static void log_message(enum cst_log_level level, const char *format, va_list args)
{
	if (!log_enabled(level))
		return;
	char *message = NULL;
	if (vasprintf(&message, format, args) < 0)
		return;
	pthread_mutex_lock(&sink.mutex);
	cst_log_callback callback = sink.callback;
	void *userdata = sink.userdata;
	pthread_mutex_unlock(&sink.mutex);
	if (callback)
		callback(level, message, userdata);
	free(message);
}

#define DEFINE_LOG(name, level)                   \
	void name(const char *format, ...)        \
	{                                         \
		va_list args;                     \
		va_start(args, format);           \
		log_message(level, format, args); \
		va_end(args);                     \
	}

DEFINE_LOG(log_error, CST_LOG_ERROR)
DEFINE_LOG(log_warning, CST_LOG_WARNING)
DEFINE_LOG(log_debug, CST_LOG_DEBUG)
