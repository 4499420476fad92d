/** A second reader of stage 2, where no debugger of the emulator's shows it: its tables, in the memory of the emulated machine. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { nameOfLeaf, nameOfStage2 } from '../memattr/index.ts';
import type { Arch } from '../memattr/index.ts';
import type { Monitor } from '../testbed/monitor.ts';
import { inTestbed } from './support.ts';
import { OutsideMemory } from './outside-tables.ts';
import type { OutsideLeaf } from './outside-tables.ts';

const MIB = 1 << 20;
/** As little as an instance boots with: all of it is read. */
const MEMORY = 512;

interface Bed {
  readonly machine: 'arm64' | 'x86-amd';
  readonly arch: Arch;
  /** Where RAM starts. */
  readonly base: bigint;
  typeOf(leaf: OutsideLeaf): string;
}

const BEDS: Readonly<Record<'arm64' | 'amd', Bed>> = {
  arm64: {
    machine: 'arm64',
    arch: 'arm64',
    base: 0x4000_0000n,
    // MemAttr is bits 5:2; the CPU has FWB.
    typeOf: ({ descriptor }) => nameOfStage2(Number((descriptor >> 2n) & 0xfn), { fwb: true }),
  },
  amd: {
    machine: 'x86-amd',
    arch: 'x86',
    base: 0n,
    typeOf: ({ descriptor, size }) => nameOfLeaf('npt', descriptor, size > 4096),
  },
};

/** What the tables of a guest say that holds still, of three windows of one BAR: `bar2` from 2 MiB, 4 MiB and 6 MiB on. */
async function seenFromOutside(bed: Bed, kernel: 'patched' | 'wrong-type'): Promise<readonly unknown[]> {
  let monitor: Monitor | undefined;
  let seen: readonly unknown[] | undefined;
  const look = async (): Promise<void> => {
    if (monitor === undefined) throw new Error('no monitor');
    const { folder } = monitor;
    await monitor.ask('stop');
    await monitor.ask(`pmemsave ${bed.base} ${MEMORY * MIB} memory.bin`);
    const windows = new OutsideMemory(bed.arch, readFileSync(join(folder, 'memory.bin')), bed.base).windows();
    const first = windows[0]?.leaf?.address ?? 0n;
    seen = windows.map(({ leaf }) => leaf && [bed.typeOf(leaf), leaf.size, Number(leaf.address - first) / MIB]);
  };
  const windows = ['2M-4M=device', '4M-6M=wc', '6M-8M=default'].flatMap((window) => ['-m', `bar2:${window}`]);
  let looking: Promise<void> | undefined;
  await inTestbed({
    arch: bed.machine,
    kernel,
    memory: MEMORY,
    run: { kind: 'wcvmm', args: ['run', '-d', '0000:03:00.0', ...windows, '--timeout', '600', 'hold.elf'] },
    inputs: [join(projectRoot, `${bed.arch}-tests/build/hold.elf`)],
    monitor: (opened) => (monitor = opened),
    onStdout: () => {
      // The guest holds still: nothing more is wanted of it.
      looking ??= look().finally(() => monitor?.ask('quit').catch(() => {}));
    },
  }).catch((error: unknown) => {
    if (seen === undefined && looking === undefined) throw error;
  });
  await looking;
  return seen ?? [];
}

describe('stage 2, read in the memory of the emulated machine', () => {
  test('says what was asked for on AMD', async () => {
    expect(await seenFromOutside(BEDS.amd, 'patched')).toEqual([
      ['NPT UC', 2 * MIB, 0],
      ['NPT WC', 2 * MIB, 2],
      ['NPT WB', 2 * MIB, 4],
    ]);
  });

  test('notices on AMD a KVM that swaps UC and WC', async () => {
    expect((await seenFromOutside(BEDS.amd, 'wrong-type')).map((leaf) => (leaf as unknown[])[0])).toEqual([
      'NPT WC',
      'NPT UC',
      'NPT WB',
    ]);
  });

  test('says what was asked for on arm64', async () => {
    expect(await seenFromOutside(BEDS.arm64, 'patched')).toEqual([
      ['Device-nGnRE', 2 * MIB, 0],
      ['Normal-NC', 2 * MIB, 2],
      ['Normal-NC', 2 * MIB, 4],
    ]);
  });
});
