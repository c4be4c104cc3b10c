/* SPDX-License-Identifier: Apache-2.0 */
/* The verb locks: who holds which lock file of the store. It does not open the store, so that it
 * also works while another process blocks it. */
#include "command.h"
#include <inttypes.h>
#include <unistd.h>

static void print_json(const cst_lock_holders *holders)
{
	putchar('[');
	for (size_t i = 0; i < cst_lock_holders_size(holders); i++) {
		const cst_lock_holder *holder = cst_lock_holders_get(holders, i);
		fputs(i ? ",{\"lock\":" : "{\"lock\":", stdout);
		json_print_string(holder->lock);
		fputs(",\"path\":", stdout);
		json_print_string(holder->path);
		printf(",\"mode\":\"%s\",\"waiting\":%s",
		       holder->mode == CST_LOCK_WRITE ? "write" : "read",
		       holder->waiting ? "true" : "false");
		if (holder->pid) {
			printf(",\"pid\":%" PRId64 ",\"command\":", holder->pid);
			json_print_string(holder->command);
		} else {
			fputs(",\"pid\":null,\"command\":null", stdout);
		}
		putchar('}');
	}
	fputs("]\n", stdout);
}

static int print_text(const struct invocation *in, const cst_lock_holders *holders)
{
	struct table table = {.n_columns = 6, .right = 1 << 3};
	static const char *const titles[] = {"LOCK", "MODE", "STATE", "PID", "COMMAND", "PATH"};
	for (size_t i = 0; i < 6 && cst_lock_holders_size(holders) > 0; i++)
		table_add(&table, "%s", titles[i]);
	if (cst_lock_holders_size(holders) == 0 && isatty(STDOUT_FILENO))
		printf("No lock of this store is held.\n");
	for (size_t i = 0; i < cst_lock_holders_size(holders); i++) {
		const cst_lock_holder *holder = cst_lock_holders_get(holders, i);
		table_add(&table, "%s", holder->lock);
		table_add(&table, "%s", holder->mode == CST_LOCK_WRITE ? "write" : "read");
		table_add(&table, "%s", holder->waiting ? "waits" : "holds");
		if (holder->pid)
			table_add(&table, "%" PRId64, holder->pid);
		else
			table_add(&table, "?");
		table_add(&table, "%s", holder->pid ? holder->command : "?");
		table_add(&table, "%s", holder->path);
	}
	return table_print(in, &table);
}

int run_locks(struct invocation *in)
{
	_cleanup_error_ cst_error *error = NULL;
	cst_lock_holders *holders = NULL;
	int result = prepare_store_options(in, NULL, &error);
	if (result == 0)
		result = cst_store_options_lock_holders(&in->store_options, &holders, &error);
	if (result < 0)
		return fail(in, error);
	int code = 0;
	if (is_on(in, OPT_JSON))
		print_json(holders);
	else
		code = print_text(in, holders);
	cst_lock_holders_free(holders);
	return code;
}
