/* SPDX-License-Identifier: Apache-2.0 */
/* Text in a buffer of a fixed size: what does not fit is left out, and `cut` says so. */
#ifndef TEXT_H
#define TEXT_H

#include "linux/abi.h"

struct text {
	char *at;
	wcvmm_u64 length, room;
	int cut;
};

void text_add(struct text *text, const char *more);
void text_add_bytes(struct text *text, const char *more, wcvmm_u64 length);
void text_add_decimal(struct text *text, wcvmm_u64 number);

/* Digits of base 16, with or without "0x", from *at on, which is left behind them; 0 where there are none. */
wcvmm_u64 text_hex(const char **at, const char *end);

#endif
