/* SPDX-License-Identifier: Apache-2.0 */
/* Long work: the input that it reads, and how far it has come. */
#include "command.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- input ---- */

static int64_t input_read(void *userdata, void *buffer, size_t size, cst_error **error)
{
	struct input *input = userdata;
	for (;;) {
		if (input->wait)
			wait_for_input(input->fd);
		if (interrupted_by())
			return cst_error_set(error, CST_ECANCELED, 0, "interrupted");
		ssize_t n = read(input->fd, buffer, size);
		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		int errnum = errno;
		char message[512];
		snprintf(message, sizeof(message), "read %s: %s", input->shown,
		         errno_words(errnum));
		return cst_error_set(error, CST_ESYS, errnum, message);
	}
}

int input_open(const struct invocation *in, const char *path, struct input *input,
               struct progress *progress)
{
	bool from_stdin = is_standard_stream(in, path);
	int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(in, errno, "open", path);
	struct stat status;
	bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
	*input = (struct input){
	        .fd = fd, .shown = from_stdin ? "/dev/stdin" : path, .wait = !regular};
	input->source = (cst_source){.read = input_read, .userdata = input};
	progress->total = regular && status.st_size > 0 ? (uint64_t)status.st_size : 0;
	return 0;
}

void input_close(struct input *input)
{
	if (input->fd > STDERR_FILENO)
		close(input->fd);
}

/* ---- progress ---- */

#define SECOND      INT64_C(1000000000)
#define SHOW_EVERY  (SECOND / 10)
#define BAR_COLUMNS 30

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

/* "[####......]  40%  0:12 left" */
static void put_bar(char *text, size_t size, double part, double seconds)
{
	char bar[BAR_COLUMNS + 1];
	size_t filled = (size_t)(part * BAR_COLUMNS);
	memset(bar, '#', filled);
	memset(bar + filled, '.', BAR_COLUMNS - filled);
	bar[BAR_COLUMNS] = '\0';
	int length = snprintf(text, size, " [%s] %3.0f%%", bar, part * 100);
	/* What the first moments tell of the rest is wrong by far. */
	if (part <= 0 || seconds < 1)
		return;
	double left = seconds / part - seconds;
	unsigned minutes = left < 60 * 5999 ? (unsigned)(left / 60) : 5999;
	snprintf(text + length, size - (size_t)length, "  %u:%02u left", minutes,
	         (unsigned)left % 60);
}

/* Work that neither reads nor writes a stream counts entries only. */
static void show_bar(struct progress *progress, const cst_progress_state *state, uint64_t total,
                     double seconds)
{
	char done[SIZE_TEXT_MAX], rate[SIZE_TEXT_MAX], rest[96] = "";
	const char *what = state->what ? state->what : "";
	bool by_bytes = total > 0 || state->bytes_done > 0;
	uint64_t n = by_bytes ? state->bytes_done : state->entries_done;
	total = by_bytes ? total : state->entries_total;
	if (total > 0 && n <= total)
		put_bar(rest, sizeof(rest), (double)n / (double)total, seconds);
	if (by_bytes)
		dprintf(progress->fd, "\r%s: %s  %s/s%s\033[K", what, size_text(done, (double)n),
		        size_text(rate, seconds > 0 ? (double)n / seconds : 0), rest);
	else
		dprintf(progress->fd, "\r%s: %" PRIu64 " of %" PRIu64 "  %.0f/s%s\033[K", what, n,
		        total, seconds > 0 ? (double)n / seconds : 0, rest);
}

static void show_json(struct progress *progress, const cst_progress_state *state, uint64_t total,
                      double seconds)
{
	dprintf(progress->fd,
	        "{\"what\":\"%s\",\"bytes_done\":%" PRIu64 ",\"bytes_total\":%" PRIu64
	        ",\"entries_done\":%" PRIu64 ",\"entries_total\":%" PRIu64 ",\"seconds\":%.3f}\n",
	        state->what ? state->what : "", state->bytes_done, total, state->entries_done,
	        state->entries_total, seconds);
}

static void show(struct progress *progress, int64_t time)
{
	const cst_progress_state *state = &progress->last;
	uint64_t total = state->bytes_total ? state->bytes_total : progress->total;
	double seconds = (double)(time - progress->started) / (double)SECOND;
	(progress->form == PROGRESS_BAR ? show_bar : show_json)(progress, state, total, seconds);
	progress->last_shown = time;
	progress->shown = true;
}

/* Before the work has its lock, it may report that it began and know no numbers yet. A bar without
 * numbers would hide the message about the wait. */
static bool is_countable(const cst_progress_state *state)
{
	return state->bytes_done || state->bytes_total || state->entries_done ||
	       state->entries_total;
}

static int on_progress(const cst_progress_state *state, void *userdata)
{
	struct progress *progress = userdata;
	if (interrupted_by())
		return 1;
	if (progress->form == PROGRESS_NONE || strcmp(state->what, "wait") == 0)
		return 0; /* interrupt.c tells of waits */
	if (progress->form == PROGRESS_BAR && !is_countable(state))
		return 0;
	progress->last = *state;
	int64_t time = now();
	if (!progress->shown || time - progress->last_shown >= SHOW_EVERY)
		show(progress, time);
	/* A signal may have come while this waited. */
	return interrupted_by() != 0;
}

static const char *const forms[] = {"none", "auto", "json"};

/* The number in --progress-fd. Without the option it is stderr's; -1: the descriptor is not
 * open. */
static int progress_fd(const struct invocation *in)
{
	const char *text = text_of(in, OPT_PROGRESS_FD);
	if (!text || !text[0])
		return STDERR_FILENO;
	char *end;
	errno = 0;
	long number = strtol(text, &end, 10);
	bool valid = !errno && !*end && number >= 0 && number <= INT32_MAX;
	return valid && fcntl((int)number, F_GETFD) >= 0 ? (int)number : -1;
}

int progress_check(const struct invocation *in)
{
	const char *form = text_of(in, OPT_PROGRESS);
	bool known = false;
	for (size_t i = 0; i < 3; i++)
		known = known || strcmp(form, forms[i]) == 0;
	if (!known)
		complain(in, "--progress takes json, none or auto, not '%s'", form);
	else if (progress_fd(in) < 0)
		complain(in, "--progress-fd: '%s' is not an open descriptor",
		         text_of(in, OPT_PROGRESS_FD));
	else
		return 0;
	return EXIT_USAGE;
}

void progress_start(const struct invocation *in, struct progress *progress)
{
	const char *form = text_of(in, OPT_PROGRESS);
	*progress = (struct progress){.in = in, .fd = STDERR_FILENO, .started = now()};
	progress->hook = (cst_progress){.callback = on_progress, .userdata = progress};
	catch_interrupts();
	if (in->personality == GO_STYLE || !form)
		return;
	progress->fd = progress_fd(in);
	if (strcmp(form, "json") == 0)
		progress->form = PROGRESS_JSON;
	else if (strcmp(form, "auto") == 0 && isatty(progress->fd))
		progress->form = PROGRESS_BAR;
}

void progress_end(struct progress *progress)
{
	if (progress->shown && progress->form == PROGRESS_BAR)
		dprintf(progress->fd, "\r\033[K");
	else if (progress->shown && !interrupted_by()) /* nobody may be reading any more */
		show(progress, now());
}
