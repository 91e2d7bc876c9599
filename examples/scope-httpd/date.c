/* examples/scope-httpd/date.c: dates, as RFC 9110 writes them. */
#define _GNU_SOURCE
#include "httpd.h"

#include <stdio.h>
#include <string.h>

static void put_two(char *out, int value)
{
	out[0] = (char)('0' + value / 10 % 10);
	out[1] = (char)('0' + value % 10);
}

void date_write(time_t when, char out[DATE_SIZE])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const time_t last = 253402300799; /* of the year 9999 */
	struct tm tm;

	/* Some file systems keep times that no calendar has. */
	when = when < 0 ? 0 : when > last ? last : when;
	gmtime_r(&when, &tm);
	memcpy(out, "Sun, 06 Nov 1994 08:49:37 GMT", DATE_SIZE);
	memcpy(out, days + 3 * tm.tm_wday, 3);
	put_two(out + 5, tm.tm_mday);
	memcpy(out + 8, months + 3 * tm.tm_mon, 3);
	put_two(out + 12, (tm.tm_year + 1900) / 100);
	put_two(out + 14, tm.tm_year);
	put_two(out + 17, tm.tm_hour);
	put_two(out + 20, tm.tm_min);
	put_two(out + 23, tm.tm_sec);
}

time_t date_parse(struct span text)
{
	/* The form in use, and the two that a server still has to understand. */
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT",
					    "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};
	char copy[48];
	unsigned i;

	if (text.size >= sizeof copy)
		return -1;
	memcpy(copy, text.at, text.size);
	copy[text.size] = '\0';
	for (i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = {0};
		const char *end = strptime(copy, forms[i], &tm);

		if (end && *end == '\0')
			return timegm(&tm);
	}
	return -1;
}
