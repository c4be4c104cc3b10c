/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 and CRC-64 by ISA-L where it is built and worth loading, else by tables made at first use.
 * Both give the same sums. */
#include "base/checksum.h"
#include "config.h"
#include <pthread.h>
#include <string.h>
#if HAVE_ISAL
#include "base/isal.h"
#endif

#if HAVE_ISAL
/* To checksum fewer bytes, as in a header or an announcement, the tables are quicker than loading
 * ISA-L, and quicker than calling it. */
#define WORTH_LOADING 1024
#define WORTH_A_CALL  32

static bool isal_for(size_t n, const struct isal **ret)
{
	bool worth = n >= WORTH_LOADING || (n >= WORTH_A_CALL && isal_is_loaded());
	return worth && isal_load(ret, NULL) == 0;
}
#endif

#define POLYNOMIAL64 0xd800000000000000U
static uint64_t tables[2][256];
static uint64_t shifts[64]; /* x^(8 * 2^i): what 2^i bytes behind it multiply a CRC-64 by */
static pthread_once_t once = PTHREAD_ONCE_INIT;
enum { CRC32, CRC64 };

/* The product of two polynomials modulo that of CRC-64. The highest bit is that of x^0. */
static uint64_t multiply64(uint64_t a, uint64_t b)
{
	uint64_t product = 0;
	for (; a; a <<= 1) {
		product ^= b & -(a >> 63);
		b = b >> 1 ^ (POLYNOMIAL64 & -(b & 1));
	}
	return product;
}

static void fill_tables(void)
{
	static const uint64_t polynomials[] = {[CRC32] = 0xedb88320, [CRC64] = POLYNOMIAL64};
	for (int kind = CRC32; kind <= CRC64; kind++) {
		for (unsigned i = 0; i < 256; i++) {
			uint64_t crc = i;
			for (int bit = 0; bit < 8; bit++)
				crc = crc & 1 ? (crc >> 1) ^ polynomials[kind] : crc >> 1;
			tables[kind][i] = crc;
		}
	}
	shifts[0] = UINT64_C(1) << 55; /* x^8 */
	for (unsigned i = 1; i < 64; i++)
		shifts[i] = multiply64(shifts[i - 1], shifts[i - 1]);
}

static uint64_t by_table(int kind, uint64_t crc, const void *data, size_t n)
{
	pthread_once(&once, fill_tables);
	const uint64_t *table = tables[kind];
	for (const unsigned char *p = data; n > 0; n--, p++)
		crc = table[(crc ^ *p) & 0xff] ^ (crc >> 8);
	return crc;
}

uint32_t crc32_gzip(uint32_t crc, const void *data, size_t n)
{
#if HAVE_ISAL
	const struct isal *isal;
	if (isal_for(n, &isal))
		return isal->crc32(crc, data, n);
#endif
	return ~(uint32_t)by_table(CRC32, ~crc, data, n);
}

uint64_t crc64_iso(uint64_t crc, const void *data, size_t n)
{
#if HAVE_ISAL
	const struct isal *isal;
	if (isal_for(n, &isal))
		return isal->crc64_iso(crc, data, n);
#endif
	return ~by_table(CRC64, ~crc, data, n);
}

uint64_t crc64_iso_join(uint64_t crc, uint64_t next, uint64_t n)
{
	pthread_once(&once, fill_tables);
	for (; n > 0; n &= n - 1)
		crc = multiply64(shifts[__builtin_ctzll(n)], crc);
	return crc ^ next;
}

/* Both halves of the product: what changes the highest bits of a word changes all of the sum. */
static uint64_t mix(uint64_t sum, uint64_t word)
{
	unsigned __int128 product = (unsigned __int128)(sum ^ word) * 0x9e3779b97f4a7c15U;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t sum64(uint64_t start, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t sum = mix(start, n), word;
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		sum = mix(sum, word);
	}
	word = 0;
	memcpy(&word, p, n);
	return mix(sum, word);
}
