/* SPDX-License-Identifier: Apache-2.0 */
/* Encodes and decodes base64 (base64.h). */
#include "base/base64.h"
#include <endian.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Headers of a tar are zeros for the most part. */
#define ZEROS 48
static const unsigned char zeros[ZEROS];

/* Each byte of `v` holds 0..63, and becomes its digit. All of them at once: A to Z, and from 26, 52, 62 and 63 on
 * the distances to a to z, 0 to 9, + and /. */
static uint64_t digits_of(uint64_t v)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t from26 = ((v + (128 - 26) * ones) >> 7) & ones;
	uint64_t from52 = ((v + (128 - 52) * ones) >> 7) & ones;
	uint64_t from62 = ((v + (128 - 62) * ones) >> 7) & ones;
	uint64_t from63 = ((v + (128 - 63) * ones) >> 7) & ones;

	return v + 'A' * ones + 6 * from26 - 75 * from52 - 15 * from62 + 3 * from63;
}

/* Six bytes of the eight at `in` become eight digits. */
static void encode_six(const unsigned char *in, char *out)
{
	uint64_t v;

	memcpy(&v, in, sizeof(v));
	v = be64toh(v) >> 16;
	v = (v & 0xffffff) | (v & 0xffffff000000) << 8;
	v = (v & 0x00000fff00000fff) | (v & 0x00fff00000fff000) << 4;
	v = (v & 0x003f003f003f003f) | (v & 0x0fc00fc00fc00fc0) << 2;
	v = htobe64(digits_of(v));
	memcpy(out, &v, sizeof(v));
}

static char *encode_groups(const unsigned char *in, size_t n, char *p)
{
	for (; n >= 3; in += 3, n -= 3) {
		uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		*p++ = alphabet[v >> 18];
		*p++ = alphabet[v >> 12 & 63];
		*p++ = alphabet[v >> 6 & 63];
		*p++ = alphabet[v & 63];
	}
	if (n > 0) {
		uint32_t v = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0);
		*p++ = alphabet[v >> 18];
		*p++ = alphabet[v >> 12 & 63];
		*p++ = n > 1 ? alphabet[v >> 6 & 63] : '=';
		*p++ = '=';
	}
	return p;
}

void base64_encode(struct strbuf *out, const void *data, size_t n)
{
	const unsigned char *in = data;
	char *p = strbuf_extend(out, (n + 2) / 3 * 4);

	if (!p)
		return;
	while (n >= sizeof(uint64_t)) {
		if (in[0] == 0 && n >= ZEROS && memcmp(in, zeros, ZEROS) == 0) {
			memset(p, alphabet[0], ZEROS / 3 * 4);
			p += ZEROS / 3 * 4;
			in += ZEROS;
			n -= ZEROS;
			continue;
		}
		encode_six(in, p);
		p += 8;
		in += 6;
		n -= 6;
	}
	encode_groups(in, n, p);
}

/* 0..63, or 64 for what is not a digit. */
static void base64_table(unsigned char table[256])
{
	memset(table, 64, 256);
	for (unsigned char i = 0; i < 64; i++)
		table[(unsigned char)alphabet[i]] = i;
}

/* The last group: two or three digits and padding. */
static bool decode_tail(const unsigned char table[256], const unsigned char *in, unsigned char *out,
                        size_t *out_len, size_t *bad)
{
	unsigned digits = in[2] == '=' ? 2 : 3;
	for (unsigned i = 0; i < 4; i++) {
		if (i < digits ? table[in[i]] == 64 : in[i] != '=') {
			*bad = i;
			return false;
		}
	}
	uint32_t bits = (uint32_t)table[in[0]] << 18 | (uint32_t)table[in[1]] << 12 |
	                (digits == 3 ? (uint32_t)table[in[2]] << 6 : 0);
	out[(*out_len)++] = (unsigned char)(bits >> 16);
	if (digits == 3)
		out[(*out_len)++] = (unsigned char)(bits >> 8);
	return true;
}

bool base64_decode(const char *text, size_t len, unsigned char *out, size_t *out_len, size_t *bad)
{
	unsigned char table[256];
	base64_table(table);
	const unsigned char *in = (const unsigned char *)text;
	*out_len = 0;
	for (size_t i = 0; i < len; i += 4) {
		if (len - i < 4) {
			*bad = i;
			return false;
		}
		unsigned char a = table[in[i]], b = table[in[i + 1]], c = table[in[i + 2]],
		              d = table[in[i + 3]];
		if ((a | b | c | d) & 64) {
			bool last = i + 4 == len && decode_tail(table, in + i, out, out_len, bad);
			if (last)
				return true;
			for (*bad = i; table[in[*bad]] < 64;)
				(*bad)++;
			return false;
		}
		uint32_t bits = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | d;
		out[(*out_len)++] = (unsigned char)(bits >> 16);
		out[(*out_len)++] = (unsigned char)(bits >> 8);
		out[(*out_len)++] = (unsigned char)bits;
	}
	return true;
}
