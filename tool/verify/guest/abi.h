/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the VMM and a bare guest agree on, for every architecture. tool/verify/guest/abi.ts is the same in TypeScript
 * and test/guest-abi.test.ts compiles this file and compares the two.
 *
 *   guest RAM   +0            the guest's ELF segments (linked at the architecture's RAM base)
 *               +PARAMS       struct wcvmm_params, written by the VMM before the first entry
 *               +CELLS        struct wcvmm_cell[params.cell_count], written by the VMM
 *               +LOG          struct wcvmm_log, written by the guest, read (and never trusted) by the VMM
 *   doorbell                  one page with no memslot: every store there is an exit to the VMM
 *   windows                   one memslot each, at the gpa that the VMM chose; stage 1 is the guest's own
 *
 * A cell is one question: this window, this stage-1 type, this probe. The guest answers every cell with one
 * record, in order. It stores record_count's increment after the record, so a record that is counted is whole;
 * `running` names the cell that was under way if the guest, or its whole VM, dies inside a probe.
 */
#ifndef WCVMM_GUEST_ABI_H
#define WCVMM_GUEST_ABI_H

#define WCVMM_ABI_MAGIC		0x314d4d5643570000ull
#define WCVMM_ABI_VERSION	1u

/* Offsets from the start of guest RAM. */
#define WCVMM_PARAMS_OFFSET	0x100000ull
#define WCVMM_CELLS_OFFSET	0x110000ull
#define WCVMM_LOG_OFFSET	0x180000ull
#define WCVMM_RAM_SIZE		0x400000ull

#define WCVMM_MAX_WINDOWS	16u
#define WCVMM_MAX_STAGE1	6u
#define WCVMM_MAX_CELLS		4096u
#define WCVMM_MAX_RECORDS	4096u

/* Registers of the doorbell page; 32-bit stores. */
#define WCVMM_DOORBELL_PUTCHAR	0x000ull	/* one byte to the guest console */
#define WCVMM_DOORBELL_EXIT	0x008ull	/* the guest is done; the value is one of WCVMM_STATUS_* */
/*
 * The value is a cell's index; the VMM touches the BAR through its own mapping, then re-enters. data-read rings
 * once, before it reads, so that the VMM can write the pattern; data-write and fence-visibility ring once, after
 * they wrote; arm64's stage1-self-check rings once, after it has loaded a word, so that the VMM can have it translated.
 */
#define WCVMM_DOORBELL_SYNC	0x010ull

#define WCVMM_STATUS_OK		0u	/* every cell has its record */
#define WCVMM_STATUS_BAD_PARAMS	1u	/* params: magic, version, a count, a type, or a window that cannot be mapped */
#define WCVMM_STATUS_EXCEPTION	2u	/* an exception that no probe provoked; the console says which */
#define WCVMM_STATUS_BAD_CPU	3u	/* the CPU lacks what the runtime itself needs */

#define WCVMM_CELL_VERBOSE	1u	/* cell.flags: one line on the console for this cell */
/*
 * cell.flags: what lies there may be a device's registers, which do not keep what is stored. Nothing but the probing
 * access is made, and no data is expected back; data-read is one aligned 64-bit load. Only for stage1-self-check,
 * unaligned-*, simd-half-aligned, zero-block and data-read.
 */
#define WCVMM_CELL_REGISTERS	2u
#define WCVMM_MAX_REPETITIONS	0x100000ull	/* of a bandwidth or latency cell; more is a bad cell */

/*
 * The argument of a bandwidth or latency cell. Size: bytes that each repetition goes over, stride: from one 64-bit
 * access to the next; both multiples of 8 and at most 4096, 0 stands for 4096 bytes and the probe's usual stride.
 */
#define WCVMM_MEASURE_REPETITIONS_MASK	0x7fffffffull
#define WCVMM_MEASURE_STORE_FIRST	0x80000000ull	/* latency: of a store until it can be read back */
#define WCVMM_MEASURE_SIZE_SHIFT	32
#define WCVMM_MEASURE_STRIDE_SHIFT	48

#ifndef __ASSEMBLER__

typedef unsigned char wcvmm_u8;
typedef unsigned int wcvmm_u32;
typedef unsigned long long wcvmm_u64;

struct wcvmm_window {
	wcvmm_u64 gpa;		/* start, page-aligned */
	wcvmm_u64 length;	/* bytes, a multiple of the page size */
};

struct wcvmm_params {
	wcvmm_u64 magic;
	wcvmm_u32 version;
	wcvmm_u32 window_count;
	wcvmm_u32 stage1_count;
	wcvmm_u32 cell_count;
	/* arm64: MAIR_EL1 attribute bytes, of which every value is legal to ask for; x86: PAT types 0, 1, 4 to 7. */
	wcvmm_u8 stage1[8];
	struct wcvmm_window windows[WCVMM_MAX_WINDOWS];
};

struct wcvmm_cell {
	wcvmm_u32 window;	/* index into params.windows */
	wcvmm_u32 stage1;	/* index into params.stage1 */
	wcvmm_u32 probe;	/* enum wcvmm_probe */
	wcvmm_u32 flags;	/* WCVMM_CELL_* */
	wcvmm_u64 offset;	/* where in the window the probe may touch; 64-byte aligned, 4096 bytes are its own */
	wcvmm_u64 argument;	/* bandwidth, latency: WCVMM_MEASURE_*; every other probe: the seed of its pattern, if any */
};

enum wcvmm_probe {
	WCVMM_PROBE_STAGE1_SELF_CHECK	= 1,	/* value[0], [1] = arm64: PAR_EL1, MAIR byte; x86: PAT MSR, PTE */
	WCVMM_PROBE_UNALIGNED_LOAD	= 2,	/* 64-bit general register at +1 */
	WCVMM_PROBE_UNALIGNED_STORE	= 3,
	WCVMM_PROBE_UNALIGNED_LOAD_SIMD	= 4,	/* 128-bit register at +1 */
	WCVMM_PROBE_UNALIGNED_STORE_SIMD = 5,
	WCVMM_PROBE_UNALIGNED_LOAD_PAIR	= 6,	/* pair of 64-bit registers at +4 */
	WCVMM_PROBE_UNALIGNED_STORE_PAIR = 7,
	WCVMM_PROBE_SIMD_HALF_ALIGNED	= 8,	/* 128-bit load at +8 */
	WCVMM_PROBE_ZERO_BLOCK		= 9,	/* arm64: DC ZVA; value[0] = bytes per block */
	WCVMM_PROBE_EXCLUSIVE		= 10,	/* arm64: LDXR, STXR; value[0] = the last try's status, value[1] = tries */
	WCVMM_PROBE_ATOMIC		= 11,	/* arm64: LSE LDADD; x86: locked add */
	WCVMM_PROBE_FETCH		= 12,	/* branch into the window, which holds a return instruction */
	/* 64 bytes that the host wrote: wcvmm_pattern(argument, 0..7). value[0] = first bad index or 8, value[1] = what it held */
	WCVMM_PROBE_DATA_READ		= 13,
	WCVMM_PROBE_DATA_WRITE		= 14,	/* 64 bytes for the host to read: wcvmm_pattern(~argument, 0..7) */
	/* arm64: STG, LDG. value[0] = 1 when the tag came back (else wrong-data), [1] = stored, [2] = read, [3] = before */
	WCVMM_PROBE_TAG_RETENTION	= 15,
	WCVMM_PROBE_STORE_BANDWIDTH	= 16,	/* value[0] = bytes, value[1] = ticks, [2] = ticks per second or 0 */
	WCVMM_PROBE_LOAD_LATENCY	= 17,	/* value[0] = loads; value[1] and [2] as above */
	/* x86. 18 to 21 read back 64 bytes that they stored; if wrong, value[0] = first bad index, [1] = what it held. */
	WCVMM_PROBE_NT_STORE		= 18,	/* MOVNTI, SFENCE */
	WCVMM_PROBE_NT_LOAD		= 19,	/* MOVNTDQA */
	WCVMM_PROBE_DIRECT_STORE	= 20,	/* MOVDIR64B, SFENCE */
	WCVMM_PROBE_CACHE_FLUSH		= 21,	/* CLFLUSH */
	WCVMM_PROBE_FENCE_VISIBILITY	= 22,	/* as data-write, SFENCE and no cache flush before the sync */
	WCVMM_PROBE_LOCKED_ACCESS	= 23,	/* LOCK XADD, aligned: a bus lock where memory is not write-back */
	/*
	 * value[0], [1] = loads and stores of the window, value[2], [3] = of the same bytes mapped UC: one access each, in
	 * sixteenths of a tick. Bits 31:0 and 63:32: between these the median lies, with 95 % certainty.
	 */
	WCVMM_PROBE_TIMING_CLASS	= 24,
};

enum wcvmm_outcome {
	WCVMM_OUTCOME_OK		= 1,	/* completed with no exception, and the data was right */
	WCVMM_OUTCOME_ALIGNMENT_FAULT	= 2,
	WCVMM_OUTCOME_EXTERNAL_ABORT	= 3,	/* synchronous, data */
	WCVMM_OUTCOME_FETCH_ABORT	= 4,
	WCVMM_OUTCOME_UNDEFINED		= 5,
	WCVMM_OUTCOME_ATOMIC_FAULT	= 6,	/* unsupported exclusive or atomic access, DFSC 0x35 */
	WCVMM_OUTCOME_OTHER_FAULT	= 7,
	WCVMM_OUTCOME_WRONG_DATA	= 8,	/* completed, and the data was not what the probe stored */
	WCVMM_OUTCOME_NOT_PRESENT	= 9,	/* the CPU, as the guest sees it, lacks the feature */
	WCVMM_OUTCOME_BAD_CELL		= 10,	/* the VMM asked for a probe, window or offset that does not exist */
};

struct wcvmm_record {
	wcvmm_u32 cell;		/* index of the cell that this answers */
	wcvmm_u32 outcome;	/* enum wcvmm_outcome */
	wcvmm_u64 syndrome;	/* arm64: ESR_EL1; x86: vector << 32 | error code; 0 = no exception */
	wcvmm_u64 address;	/* arm64: FAR_EL1; x86: CR2 */
	wcvmm_u64 value[4];
	wcvmm_u64 reserved;	/* 0 */
};

struct wcvmm_log {
	wcvmm_u64 magic;
	wcvmm_u32 record_count;
	wcvmm_u32 running;	/* index of the cell under way + 1; 0 = none */
	wcvmm_u64 reserved[6];
	struct wcvmm_record records[WCVMM_MAX_RECORDS];
};

/*
 * The 64-bit word number `index` of the pattern that `seed` names: splitmix64's output number index + 1. All
 * arithmetic is modulo 2^64. Words are little-endian in memory.
 */
static inline wcvmm_u64 wcvmm_pattern(wcvmm_u64 seed, wcvmm_u32 index)
{
	wcvmm_u64 z = seed + (index + 1ull) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

#endif /* !__ASSEMBLER__ */

#endif
