// SPDX-License-Identifier: Apache-2.0
// Lines of the list: "PAT: [mem 0x00000000fe000000-0x00000000fe400000] uncached-minus". The second address is behind the range.
#include "program/memtype.h"
#include "program/calls.h"
#include "program/text.h"

static const struct {
	const char *name;
	wcvmm_u32 type;
} types[] = {
	{ "uncached-minus\n", 7 }, { "uncached\n", 0 }, { "write-combining\n", 1 }, { "write-through\n", 4 },
	{ "write-protected\n", 5 }, { "write-back\n", 6 },
};

static int starts_with(const char *at, const char *end, const char *what)
{
	while (*what && at < end && *at == *what)
		at++, what++;
	return !*what;
}

static wcvmm_u32 type_at(const char *at, const char *end)
{
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (starts_with(at, end, types[i].name))
			return types[i].type;
	return MEMTYPE_NONE;
}

long memtype_at(wcvmm_u64 physical)
{
	static char list[WCVMM_LINUX_MAX_TEXT];
	const long length = read_file(MEMTYPES, list, sizeof(list));
	const char *at = list, *end = list + (length < 0 ? 0 : length);

	if (length < 0)
		return length;
	/* Ranges that overlap have the same type: the kernel gives a second one the type of the first. */
	for (; at < end; at++) {
		if (!starts_with(at, end, "[mem 0x"))
			continue;
		at += sizeof("[mem ") - 1;

		const wcvmm_u64 from = text_hex(&at, end);

		at += at < end;

		const wcvmm_u64 to = text_hex(&at, end);

		at += 2;
		if (from <= physical && physical < to)
			return type_at(at, end);
	}
	return MEMTYPE_NONE;
}
