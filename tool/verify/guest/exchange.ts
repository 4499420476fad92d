import { wcvmmPattern } from './abi.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { Exchange, HostCheck } from '../../../vmm/kvm/vcpu-protocol.ts';

const WORDS = 8;

/**
 * The host's half of the data probe of cell `cell`; null where there is nothing to report. The number comes from the guest:
 * one that no exchange has is ignored, and the guest's record then says what became of it.
 *
 * The BAR is touched as 32-bit words. Through a DataView or a byte array V8 reads and writes byte by byte until it optimises
 * them, and a device sees torn accesses.
 */
export function exchange(port: Port, exchanges: readonly Exchange[], cell: number): HostCheck | null {
  const entry = exchanges.find((candidate) => candidate.cell === cell);
  if (entry === undefined) return null;
  const bar = new Uint32Array(port.view(entry.address, WORDS * 8));
  if (entry.direction === 'host-writes') {
    for (const [at, word] of patternWords(entry.seed).entries()) bar[at] = word;
    return null;
  }
  const expected = patternWords(BigInt.asUintN(64, ~entry.seed));
  const bad = expected.findIndex((word, at) => bar[at] !== word);
  return { cell, firstBad: bad < 0 ? null : Math.floor(bad / 2) };
}

/** Little-endian halves of the eight 64-bit words. */
function patternWords(seed: bigint): number[] {
  return Array.from({ length: WORDS }, (_, index) => wcvmmPattern(seed, index)).flatMap((word) => [
    Number(word & 0xffff_ffffn),
    Number(word >> 32n),
  ]);
}
