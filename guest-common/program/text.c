// SPDX-License-Identifier: Apache-2.0
#include "program/text.h"

void text_add_bytes(struct text *text, const char *more, wcvmm_u64 length)
{
	for (wcvmm_u64 i = 0; i < length; i++) {
		/* Room for the byte that ends it. */
		if (text->length + 1 >= text->room) {
			text->cut = 1;
			return;
		}
		text->at[text->length++] = more[i];
		text->at[text->length] = 0;
	}
}

void text_add(struct text *text, const char *more)
{
	wcvmm_u64 length = 0;

	while (more[length])
		length++;
	text_add_bytes(text, more, length);
}

void text_add_decimal(struct text *text, wcvmm_u64 number)
{
	char digits[20];
	unsigned at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	text_add_bytes(text, digits + at, sizeof(digits) - at);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

wcvmm_u64 text_hex(const char **at, const char *end)
{
	wcvmm_u64 value = 0;

	if (end - *at > 2 && (*at)[0] == '0' && (*at)[1] == 'x')
		*at += 2;
	while (*at < end && digit(**at) >= 0)
		value = value << 4 | (wcvmm_u64)digit(*(*at)++);
	return value;
}
