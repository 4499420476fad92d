import { expect, it, vi } from 'vitest';
import type { Stage1Type } from '../memattr/index.ts';
import { measure } from '../tool/bench/measure.ts';
import type { Measurer } from '../tool/bench/measure.ts';
import { POINTS } from '../tool/bench/points.ts';
import { ABI } from '../tool/verify/guest/abi.ts';
import type { GuestLog } from '../tool/verify/guest/records.ts';
import type { GuestRequest, GuestRun } from '../tool/verify/guest/run.ts';
import type { OpenWindow } from '../vmm/vfio/open-windows.ts';

/** How many VMs there were; each had three exits in the first window and none in the second. */
let guests = 0;

vi.mock('../tool/verify/guest/run.ts', () => ({
  runGuest: (_port: unknown, _arch: unknown, _thread: unknown, { cells }: GuestRequest): Promise<GuestRun> => {
    guests += 1;
    return Promise.resolve({
      exit: { kind: 'done', status: 0 } as GuestRun['exit'],
      hostChecks: [],
      translations: [],
      windowExits: [3, 0],
      busLocks: null,
      log: new Uint8Array(cells.length),
      stage2: { kind: 'read', ranges: [] },
    });
  },
}));
vi.mock('../tool/verify/guest/exit.ts', () => ({ describeExit: () => null }));
vi.mock('../tool/verify/guest/records.ts', () => ({
  decodeLog: (log: Uint8Array): GuestLog => ({
    running: null,
    records: Array.from(log, (_, cell) => ({
      cell,
      outcome: 'ok',
      syndrome: 0n,
      address: 0n,
      values: [4096n, 1000n, 1_000_000_000n, 0n],
    })),
  }),
}));

const types = (count: number): readonly Stage1Type[] =>
  Array.from({ length: count }, (_, encoding) => ({ name: `type ${encoding}`, encoding }));

it.each([
  ['one VM for all cells', types(2), 1],
  ['as many VMs as the cells need', types(Math.ceil(ABI.maxCells / POINTS.length / 2) + 1), 2],
])('counts the exits of every VM: %s', async (_name, stage1Types, each) => {
  guests = 0;
  const windows = [{ access: 'trapped' }, { access: 'mapped' }] as unknown as readonly OpenWindow[];
  const runs = 3;
  const doing = { facts: { ticksPerSecond: null }, stage1Types, request: { runs } } as unknown as Measurer;
  const { exits } = await measure(doing, windows, 'test memory');
  // Two calibrations, then the runs.
  expect(guests).toBe((2 + runs) * each);
  expect(exits).toEqual([3 * guests, 0]);
});
