/* crc32c - the Castagnoli CRC. OpenSSL has none, so it is ours: the processor's own instruction
 * where there is one, eight tables elsewhere. Both give the same value; the test compares them. */
#include "host/crypto.h"

#include <pthread.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t table[8][256];
static uint32_t (*update)(uint32_t crc, const uint8_t *p, size_t n);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static void make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;
		for (int bit = 0; bit < 8; bit++) {
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
		}
		table[0][i] = crc;
	}
	for (uint32_t i = 0; i < 256; i++) {
		for (int t = 1; t < 8; t++) {
			uint32_t before = table[t - 1][i];
			table[t][i] = (before >> 8) ^ table[0][before & 255];
		}
	}
}

static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v = load64(p) ^ crc;
		crc = table[7][v & 255] ^ table[6][(v >> 8) & 255] ^ table[5][(v >> 16) & 255] ^
		      table[4][(v >> 24) & 255] ^ table[3][(v >> 32) & 255] ^
		      table[2][(v >> 40) & 255] ^ table[1][(v >> 48) & 255] ^ table[0][v >> 56];
	}
#endif
	for (; n > 0; n--) {
		crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 255];
	}
	return crc;
}

#if defined(__x86_64__)
/* One dependent chain runs at 2.6 byte/cycle, above 5 GB/s: far from being what a cut waits for. */
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *p,
                                                                 size_t n)
{
	uint64_t wide = crc;
	for (; n >= 8; n -= 8, p += 8) {
		wide = __builtin_ia32_crc32di(wide, load64(p));
	}
	crc = (uint32_t)wide;
	for (; n > 0; n--) {
		crc = __builtin_ia32_crc32qi(crc, *p++);
	}
	return crc;
}
#endif

static void choose(void)
{
	make_tables();
	update = by_table;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("sse4.2")) {
		update = by_instruction;
	}
#endif
}

uint32_t dif_crc32c(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, choose);
	return n == 0 ? crc : ~update(~crc, p, n);
}

uint32_t dif_crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, choose);
	return n == 0 ? crc : ~by_table(~crc, p, n);
}
