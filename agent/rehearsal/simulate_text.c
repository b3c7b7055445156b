/* simulate_text - numbers and Spanish dates as text. Half a gigabyte goes through here, so no
 * printf. */
#include "rehearsal/simulate_private.h"

#define FIRST_MINUTE (20u * 60) /* the first cut: 7 June 2026, 20:00 */
#define FIRST_DAY 7u
#define DAY 1440u

void dif_sim_str(struct dif_buf *b, const char *s)
{
	dif_buf_add(b, s, strlen(s));
}

void dif_sim_num(struct dif_buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof digits;
	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	dif_buf_add(b, digits + at, sizeof digits - at);
}

void dif_sim_hex(struct dif_buf *b, uint64_t v)
{
	char digits[16];
	for (size_t i = sizeof digits; i-- > 0; v >>= 4) {
		digits[i] = "0123456789abcdef"[v & 15];
	}
	dif_buf_add(b, digits, sizeof digits);
}

void dif_sim_share(struct dif_buf *b, uint64_t part, uint64_t of)
{
	uint64_t v = of > 0 ? part * 1000000 / of : 0;
	dif_sim_num(b, v / 10000);
	char places[5] = {'.'};
	v %= 10000;
	for (size_t i = 4; i > 0; i--, v /= 10) {
		places[i] = (char)('0' + v % 10);
	}
	dif_buf_add(b, places, sizeof places);
}

static void two(char *to, uint32_t v)
{
	to[0] = (char)('0' + v / 10 % 10);
	to[1] = (char)('0' + v % 10);
}

void dif_sim_date(struct dif_buf *b, uint32_t minute)
{
	char day[2];
	two(day, FIRST_DAY + (FIRST_MINUTE + minute) / DAY);
	dif_buf_add(b, day, sizeof day);
	DIF_SIM_LIT(b, " junio 2026");
}

void dif_sim_time(struct dif_buf *b, uint32_t minute)
{
	uint32_t of_day = (FIRST_MINUTE + minute) % DAY;
	char text[5] = "00:00";
	two(text, of_day / 60);
	two(text + 3, of_day % 60);
	dif_buf_add(b, text, sizeof text);
}

void dif_sim_stamp(struct dif_buf *b, uint32_t minute)
{
	uint32_t of_day = (FIRST_MINUTE + minute) % DAY;
	char text[13] = "20260600_0000";
	two(text + 6, FIRST_DAY + (FIRST_MINUTE + minute) / DAY);
	two(text + 9, of_day / 60);
	two(text + 11, of_day % 60);
	dif_buf_add(b, text, sizeof text);
}

void dif_sim_place_name(struct dif_buf *b, const struct dif_sim_place *at)
{
	char name[3] = {at->of_section == 0 ? 'B' : 'C'};
	two(name + 1, at->of_section == 0 ? 1 : at->of_section);
	dif_buf_add(b, name, sizeof name);
}
