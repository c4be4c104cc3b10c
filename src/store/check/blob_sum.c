/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes a blob piece by piece, and what comes out when it is decompressed. */
#include "store/check/blob_sum.h"
#include "base/mem.h"

#define OUT_SIZE ((size_t)256 << 10)

/* What is no stream that can be decompressed is no layer either. That is no error. */
static void give_up_plain(struct blob_sum *sum)
{
	decompressor_free(steal_ptr(&sum->decompressor));
	digester_free(steal_ptr(&sum->plain));
}

void blob_sum_free(struct blob_sum *sum)
{
	give_up_plain(sum);
	digester_free(sum->bytes);
	free(sum->out);
	*sum = (struct blob_sum){0};
}

int blob_sum_begin(struct blob_sum *sum, enum digest_algorithm algorithm, uint64_t plain_max,
                   cst_error **error)
{
	*sum = (struct blob_sum){.plain_left = plain_max};
	int r = digester_new(algorithm, &sum->bytes, error);
	if (r < 0 || !plain_max)
		return r;
	sum->out = malloc(OUT_SIZE);
	return sum->out ? digester_new(DIGEST_SHA256, &sum->plain, error) : error_oom(error);
}

static void add_plain(struct blob_sum *sum, const void *data, size_t n)
{
	if (n > sum->plain_left) {
		give_up_plain(sum);
		return;
	}
	sum->plain_left -= n;
	digester_update(sum->plain, data, n);
}

/* `last`: no input follows. */
static int decompress(struct blob_sum *sum, const void *data, size_t n, bool last,
                      cst_error **error)
{
	size_t used = 0, got = 1;
	bool done = false;
	while (sum->plain && !done && (used < n || got > 0)) {
		_cleanup_error_ cst_error *problem = NULL;
		int r = decompressor_run(sum->decompressor, data, n, &used, last, sum->out,
		                         OUT_SIZE, &got, &done, &problem);
		if (r == CST_ENOMEM)
			return error_propagate(error, steal_ptr(&problem));
		if (r < 0)
			give_up_plain(sum);
		else
			add_plain(sum, sum->out, got);
	}
	return 0;
}

static int detect(struct blob_sum *sum, cst_error **error)
{
	_cleanup_error_ cst_error *problem = NULL;
	enum cst_compression kind = compression_detect(sum->first, sum->n_first);
	int r = decompressor_new(kind, &sum->decompressor, &problem);
	if (r == CST_ENOMEM)
		return error_propagate(error, steal_ptr(&problem));
	if (r < 0)
		give_up_plain(sum);
	sum->detected = true;
	return decompress(sum, sum->first, sum->n_first, false, error);
}

int blob_sum_add(struct blob_sum *sum, const void *data, size_t n, cst_error **error)
{
	const uint8_t *bytes = data;
	digester_update(sum->bytes, data, n);
	if (!sum->plain)
		return 0;
	size_t first = sum->detected ? 0 : MIN(n, COMPRESSION_DETECT_SIZE - sum->n_first);
	memcpy(sum->first + sum->n_first, bytes, first);
	sum->n_first += first;
	int r = !sum->detected && sum->n_first == COMPRESSION_DETECT_SIZE ? detect(sum, error) : 0;
	return r < 0 || !sum->detected ? r
	                               : decompress(sum, bytes + first, n - first, false, error);
}

int blob_sum_end(struct blob_sum *sum, char bytes[DIGEST_TEXT_MAX], char plain[DIGEST_TEXT_MAX],
                 cst_error **error)
{
	int r = sum->plain && !sum->detected ? detect(sum, error) : 0;
	if (r == 0 && sum->plain)
		r = decompress(sum, sum->first, 0, true, error);
	if (r == 0)
		r = digester_finish(sum->bytes, bytes, error);
	*plain = '\0';
	return r == 0 && sum->plain ? digester_finish(sum->plain, plain, error) : r;
}
