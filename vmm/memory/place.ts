import { WcvmmError } from '../../common/errors.ts';

/** 1 GiB: the largest block that both a host page table and stage 2 use for a BAR with 4 KiB pages. */
const LARGEST_BLOCK = 1n << 30n;

/** Where one window goes. Addresses and lengths are bytes. */
export interface Placement {
  gpa: bigint;
  length: bigint;
  /** Power of two, the largest block that this window can hold. */
  alignment: bigint;
  /** The host mapping's address must equal this modulo `alignment`; `gpa` and the window's offset do already. */
  phase: bigint;
}

/**
 * Guest physical addresses for `windows`, in their order, ascending and never overlapping.
 *
 * KVM may map a block of stage 2 (2 MiB, 1 GiB) only if guest physical address, host virtual address and
 * physical address agree modulo the block (arch/arm64/kvm/mmu.c, fault_supports_stage2_huge_mapping;
 * x86 checks the same when a memslot is made). An 8 GiB BAR is then 8 entries instead of two million faults.
 * A BAR is aligned to its own size, so its physical address is fixed by the window's offset: gpa and hva follow
 * that offset modulo A = min(largest power of two <= length, 1 GiB). The gpa is chosen first, for the host has
 * the freedom to reserve more address space than it uses (`reservationSize`, `addressIn`) and the guest has not.
 *
 * @param base lowest gpa to use
 * @param alignment power of two, at least the page size; no two windows share a block of this size
 * @param limit first gpa that the guest cannot address
 * @throws WcvmmError E_MAP_RANGE when the windows do not fit below `limit`
 */
export function placeWindows(
  windows: readonly { offset: bigint; length: bigint }[],
  { base, alignment, limit = 1n << 39n }: { base: bigint; alignment: bigint; limit?: bigint },
): Placement[] {
  let free = base;
  return windows.map(({ offset, length }) => {
    const block = blockAlignment(length);
    const phase = offset % block;
    const step = block > alignment ? block : alignment;
    const gpa = roundUp(free, step) + phase;
    free = gpa + length;
    if (free > limit) {
      throw new WcvmmError(
        'E_MAP_RANGE',
        `the windows need guest physical addresses up to 0x${free.toString(16)} and the guest has them up to 0x${limit.toString(16)}: map less`,
      );
    }
    return { gpa, length, alignment: block, phase };
  });
}

/** min(largest power of two <= length, 1 GiB). */
export function blockAlignment(length: bigint): bigint {
  if (length <= 0n) throw new RangeError('a window has at least one byte');
  let block = 1n;
  while (block < LARGEST_BLOCK && block << 1n <= length) block <<= 1n;
  return block;
}

/** Bytes of address space that surely hold an address with the right phase and the window behind it. */
export function reservationSize({ length, alignment }: Placement): bigint {
  return length + alignment;
}

/** The lowest address in a reservation at `start` that is congruent with the placement's gpa. */
export function addressIn(start: bigint, { alignment, phase }: Placement): bigint {
  const address = start - (start % alignment) + phase;
  return address < start ? address + alignment : address;
}

function roundUp(value: bigint, to: bigint): bigint {
  return value + ((to - (value % to)) % to);
}
