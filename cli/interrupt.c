/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT and SIGTERM, for all verbs. A verb that does long work catches them: the work stops at the
 * next point where nothing is half done, and the command exits with 128 plus the number of the
 * signal. All other verbs are ended by the signal itself, which harms no store. */
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SAY_AFTER_MS 1000

static volatile sig_atomic_t interrupt_signal;
static int interrupt_pipe[2] = {-1, -1}; /* readable once a signal came */

static void on_interrupt(int signal_number)
{
	int saved = errno;
	interrupt_signal = signal_number;
	(void)!write(interrupt_pipe[1], "", 1);
	errno = saved;
}

void catch_interrupts(void)
{
	if (interrupt_pipe[0] >= 0 || pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	/* The second signal ends the process at once. */
	struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
	const int caught[] = {SIGINT, SIGTERM};
	for (size_t i = 0; i < 2; i++) {
		struct sigaction old;
		if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(caught[i], &action, NULL);
	}
}

int interrupted_by(void)
{
	return interrupt_signal;
}

void wait_for_input(int fd)
{
	struct pollfd wait[] = {{.fd = fd, .events = POLLIN},
	                        {.fd = interrupt_pipe[0], .events = POLLIN}};
	while (poll(wait, 2, -1) < 0 && errno == EINTR)
		;
}

/* ---- waiting for a lock ---- */

/* Prints it once for each lock. If this process waits for the same lock again, another process
 * holds it by then, or it is free soon. */
static void say_who_holds(const struct invocation *in, const cst_wait_state *wait)
{
	static char said[512];
	if (wait->waited_ms < SAY_AFTER_MS || in->personality == GO_STYLE ||
	    !isatty(STDERR_FILENO) || strncmp(said, wait->lock, sizeof(said) - 1) == 0)
		return;
	snprintf(said, sizeof(said), "%s", wait->lock);
	complain(in, "waiting for %s, which is held by %s", wait->lock,
	         wait->holder[0] ? wait->holder : "another process");
}

static int on_lock_wait(const cst_wait_state *wait, void *userdata)
{
	say_who_holds(userdata, wait);
	return interrupted_by() != 0;
}

void watch_lock_waits(struct invocation *in)
{
	in->lock_wait = (cst_wait){.callback = on_lock_wait, .userdata = in};
	in->store_options.wait = &in->lock_wait;
}
