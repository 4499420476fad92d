/** What a Linux guest is asked, and what its answers are taken for. */
import { describe, expect, test } from 'vitest';
import { runHere } from '../tool/cli/commands/run-here.ts';
import type { ReportOptions } from '../tool/cli/commands/report-options.ts';
import { verifyCommand } from '../tool/cli/commands/verify.ts';
import { arm64, outcomesOf, x86 } from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { libcPort } from '../vmm/sys/libc.ts';
import type { OpenWindow } from '../vmm/vfio/open-windows.ts';
import type { GuestRecord } from '../tool/verify/guest/records.ts';
import { LINUX_ABI } from '../tool/verify/linux/abi.ts';
import {
  filesOf,
  linuxCellOf,
  linuxObservation,
  planLinux,
  planLinuxControl,
  planLinuxPages,
} from '../tool/verify/linux/plan.ts';
import type { LinuxPlan } from '../tool/verify/linux/plan.ts';

const ARM: Platform = { fwb: true, faultForwarding: true, mte: false };
const AMD: Platform = { fwb: null, faultForwarding: null, mte: false, nestedPaging: 'npt', mtrr: 'UC' };

function window(attribute: OpenWindow['attribute']): OpenWindow {
  const length = 0x10_0000n;
  return { bar: 2, offset: 0n, length, attribute, gpa: 1n << 32n, mapping: { address: 0n, length }, access: 'mapped' };
}

function planOf(more: Partial<LinuxPlan> = {}): LinuxPlan {
  return {
    model: arm64,
    platform: ARM,
    source: 'cookie',
    windows: [window('device'), window('wc')],
    by: ['loads', 'loads'],
    prefetchable: [true, true],
    ...more,
  };
}

test('arm64: registers are loaded from, by both files', () => {
  const planned = planLinux(planOf());
  expect([...new Set(planned.map(({ probe }) => probe))]).toEqual([
    'unaligned-load',
    'unaligned-load-simd',
    'unaligned-load-pair',
    'simd-half-aligned',
  ]);
  expect([...new Set(planned.map(({ stage1 }) => stage1.name))]).toEqual(['Device-nGnRE', 'Normal-NC']);
  expect(planned.every(({ registers }) => registers)).toBe(true);
  expect(filesOf(arm64).map(({ stage1, file }) => `${stage1.name} ${file}`)).toEqual([
    'Device-nGnRE resourceN',
    'Normal-NC resourceN_wc',
  ]);
});

test('arm64: by resourceN_wc a device window must fault where a wc window does not', () => {
  const seen = planLinux(planOf())
    .filter(({ probe, stage1 }) => probe === 'unaligned-load' && stage1.name === 'Normal-NC')
    .map(({ prediction }) => outcomesOf(prediction));
  // A register may also abort what it does not support.
  expect(seen).toEqual([['alignment-fault'], ['ok', 'external-abort']]);
});

test('a BAR that is not prefetchable has no resourceN_wc to ask by', () => {
  const plan = planOf({ prefetchable: [false, true] });
  const planned = planLinux(plan);
  const types = (index: number): readonly string[] => [
    ...new Set(planned.filter((check) => check.window === index).map(({ stage1 }) => stage1.name)),
  ];
  expect([types(0), types(1)]).toEqual([['Device-nGnRE'], ['Device-nGnRE', 'Normal-NC']]);
  const pages = planLinuxPages(plan, planned, 4096, false);
  expect(pages.map(({ window: index, stage1, probe }) => `${index} ${stage1.name} ${probe}`)).toEqual([
    ...Array.from({ length: 4 }, () => '0 Device-nGnRE unaligned-load'),
    ...Array.from({ length: 4 }, () => '1 Normal-NC unaligned-load'),
  ]);
});

test("x86: the guest's own list of memory types is its self-check, which is told what to find", () => {
  const planned = planLinux(planOf({ model: x86, platform: AMD }));
  const checks = planned.filter(({ probe }) => probe === 'stage1-self-check');
  expect(checks.map(({ stage1 }) => stage1.name)).toEqual(['UC-', 'WC', 'UC-', 'WC']);
  expect(checks.map((check) => linuxCellOf(x86, check)).map(({ stage1, argument }) => [stage1, argument])).toEqual([
    [LINUX_ABI.resource, 7n],
    [LINUX_ABI.resourceWc, 1n],
    [LINUX_ABI.resource, 7n],
    [LINUX_ABI.resourceWc, 1n],
  ]);
});

test('the control is the memory of the program itself, where nothing may fault', () => {
  const planned = planLinuxControl(arm64, ARM);
  expect(new Set(planned.map(({ stage1 }) => stage1.name))).toEqual(new Set(['Normal-WB']));
  expect(planned.map(({ probe }) => probe)).toContain('unaligned-load');
  expect(new Set(planned.map((check) => linuxCellOf(arm64, check).stage1))).toEqual(new Set([LINUX_ABI.resource]));
});

function record(syndrome: bigint, outcome: GuestRecord['outcome'] = 'not-present'): GuestRecord {
  return {
    cell: 0,
    outcome,
    syndrome,
    address: 0n,
    values: [0n, 0n, 0n, 0n],
  };
}

describe('a check that the guest could not make', () => {
  test.each([
    [LINUX_ABI.notOpened | 2n, /no resource2_wc that can be opened \(errno 2\)/],
    [LINUX_ABI.notMapped | 22n, /refuses to map resource2_wc \(errno 22\)/],
    [LINUX_ABI.notListed | 2n, /shows no memory types.*errno 2/],
  ])('is skipped, with the reason', (syndrome, why) => {
    expect(linuxObservation(record(syndrome), 2, true)).toEqual({ kind: 'skipped', why: expect.stringMatching(why) });
  });

  test('is not one that the CPU lacks an instruction for, nor a fault', () => {
    for (const one of [record(0n), record(LINUX_ABI.notOpened | 2n, 'alignment-fault')])
      expect(linuxObservation(one, 2, false)).toEqual({ kind: 'record', record: one });
  });
});

describe('the command line', () => {
  test('takes a kernel for Linux guests only', async () => {
    await expect(verifyCommand().parseAsync(['--kernel', 'Image'], { from: 'user' })).rejects.toMatchObject({
      code: 'E_USAGE',
      message: expect.stringContaining('--guest linux'),
    });
  });

  test.each(['compare', 'bench'] as const)('has no Linux guests for %s', async (command) => {
    const options = {
      guest: 'linux',
      timeout: 1,
      map: [],
      source: 'cookie',
      iommu: 'auto',
    } as unknown as ReportOptions;
    await expect(runHere(libcPort, command, options)).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});
