/* SPDX-License-Identifier: Apache-2.0 */
/* The TOML reader and the keys of storage.conf: what version 1.0 takes, 1.1 takes and reads as the
 * same. */
#include "fuzz.h"

#include <string.h>

#include "config/storage_conf.h"

static void log_nothing(enum cst_log_level level, const char *message, void *userdata)
{
}

static void merge(const struct toml_node *root)
{
	_cleanup_settings_ struct settings settings = {0};
	_cleanup_error_ cst_error *error = NULL;
	_cleanup_free_ char *expanded = NULL;
	const struct conf_source source = {.path = (char[]){"fuzz"}};
	cst_set_log(log_nothing, CST_LOG_WARNING, NULL); /* keys are compared for warnings only */
	int code = settings_merge(&settings, root, &source, &error);
	MUST((code == 0) == (error == NULL));
	if (settings.texts[SETTING_GRAPHROOT])
		expanded = config_expand(settings.texts[SETTING_GRAPHROOT], 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	_cleanup_arena_ struct arena arena = {0};
	_cleanup_strbuf_ struct strbuf printed = {0}, newer_printed = {0};
	_cleanup_error_ cst_error *error = NULL, *newer_error = NULL;
	struct toml_node *root = NULL, *newer = NULL;
	int code = toml_parse(text, size, TOML_1_0, &arena, &root, &error);
	int newer_code = toml_parse(text, size, TOML_1_1, &arena, &newer, &newer_error);
	MUST((code == 0) == (root != NULL) && (code == 0) == (error == NULL));
	MUST(code < 0 || newer_code == 0);
	if (newer_code < 0)
		return 0;
	MUST(newer->type == TOML_TABLE);
	toml_print(newer, &newer_printed);
	if (root) {
		toml_print(root, &printed);
		MUST(printed.len == newer_printed.len);
		MUST(memcmp(printed.data, newer_printed.data, printed.len) == 0);
	}
	merge(newer);
	return 0;
}
