/** `wcvmm verify --guest linux` in the testbeds: the same questions, asked by a program in a Linux guest. */
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { testbedKernel } from '../testbed/index.ts';
import { proofOf } from '../tool/report/proof.ts';
import type { Report } from '../tool/report/report.ts';
import { isControl } from '../tool/report/report.ts';
import { parseReport } from '../tool/report/index.ts';
import { inOneBoot } from './support.ts';
import type { Finished } from './support.ts';

const IVSHMEM = '0000:01:00.0';
const NVME = '0000:02:00.0';
const ask = (kernel: string, ...more: readonly string[]): readonly string[] => [
  'verify',
  '--guest',
  'linux',
  '--kernel',
  basename(kernel),
  '--timeout',
  '240',
  ...more,
];
const JSON_REPORT = ['--json', '-'] as const;

function reportOf(done: Finished | undefined): Report {
  expect(done?.stderr).not.toContain('E_');
  return parseReport(done?.stdout ?? '');
}

function programmed(report: Report): readonly (readonly (string | null)[])[] {
  return report.windows
    .filter((window) => !isControl(report, window))
    .map(({ attribute, stage2 }) => [attribute, stage2.predicted, stage2.programmed]);
}

describe('arm64', async () => {
  const kernel = await testbedKernel('arm64');
  const [memory, registers, control, sysfs] = await inOneBoot(
    [
      ask(kernel, '-d', IVSHMEM, ...JSON_REPORT),
      ask(kernel, '-d', NVME, '-m', 'bar0:0-4K=device', ...JSON_REPORT),
      ask(kernel, '-d', IVSHMEM, '--predict', 'unaligned-load@Normal-NC=ok'),
      ask(kernel, '-d', IVSHMEM, '--source', 'sysfs'),
    ],
    { arch: 'arm64', inputs: [kernel], timeout: 600 },
  );

  test('a Linux guest sees the type of each window, beside what KVM programmed', () => {
    const report = reportOf(memory);
    expect(memory?.code).toBe(0);
    expect(report.guest).toMatchObject({ kind: 'linux', kernel: expect.stringMatching(/-wcvmm$/) });
    expect(programmed(report)).toEqual([
      ['device', 'Device-nGnRE', 'Device-nGnRE'],
      ['wc', 'Normal-NC', 'Normal-NC'],
      ['default', 'Normal-NC', 'Normal-NC'],
    ]);
    // By loads of the host's own, before the guest ran; the guest's memory is none of the host's windows.
    expect(report.windows.map(({ hostVma }) => hostVma.observed)).toEqual(['Device', 'Normal', 'Device', undefined]);
    const loads = report.checks.filter(
      ({ probe, stage1, offset }) => probe === 'unaligned-load' && stage1 === 'Normal-NC' && offset === undefined,
    );
    expect(loads.map(({ observed }) => observed)).toEqual(['alignment-fault', 'ok', 'ok']);
    const { checks, notProven, pages } = proofOf(report);
    expect(checks.type).toEqual({ shown: 18, of: 18 });
    expect([notProven, pages?.touched, report.summary.mismatch, report.summary.skipped]).toEqual([[], 15, 0, 0]);
  });

  test("the guest's own memory is the control, where the same loads do not fault", () => {
    const report = reportOf(memory);
    const index = report.windows.findIndex((window) => isControl(report, window));
    expect(report.windows[index]?.stage2).toMatchObject({ predicted: 'Normal-WB', programmed: 'Normal-WB' });
    const seen = report.checks.filter(({ window }) => window === index).map(({ observed }) => observed);
    expect(new Set(seen)).toEqual(new Set(['ok']));
  });

  test('a BAR of registers that is not prefetchable is asked by resourceN alone, and proven by what was programmed', () => {
    const report = reportOf(registers);
    expect(registers?.code).toBe(0);
    expect(new Set(report.checks.filter(({ window }) => window === 0).map(({ stage1 }) => stage1))).toEqual(
      new Set(['Device-nGnRE']),
    );
    expect(report.limits).toContainEqual(
      expect.stringMatching(/^BAR 0 is not prefetchable, so Linux has no resource0_wc/),
    );
    expect(programmed(report)).toEqual([['device', 'Device-nGnRE', 'Device-nGnRE']]);
    expect(report.windows[0]?.touched?.by).toBe('loads');
  });

  test('a wrong prediction is a mismatch', () => {
    expect(control?.code).toBe(1);
    expect(control?.stdout).toMatch(/^✗ mismatch {2}bar2:0-1M=device.*: unaligned-load under stage 1 Normal-NC/m);
  });

  test('a source without VFIO is refused', () => {
    expect([sysfs?.code, sysfs?.stderr]).toEqual([2, expect.stringMatching(/E_USAGE: --guest linux passes a device/)]);
  });
});

describe('x86 AMD', async () => {
  const kernel = await testbedKernel('x86-amd');
  const command = ask(kernel, '-d', IVSHMEM, ...JSON_REPORT);
  const [done] = await inOneBoot([command], { arch: 'x86-amd', inputs: [kernel], timeout: 600 });
  const [wrong] = await inOneBoot([command], {
    arch: 'x86-amd',
    kernel: 'wrong-type',
    inputs: [kernel],
    timeout: 600,
  });

  test("stage 2 and the host's mapping are as predicted, and the guest has on record what it asked for", () => {
    const report = reportOf(done);
    expect(done?.code).toBe(0);
    expect(programmed(report)).toEqual([
      ['device', 'NPT UC', 'NPT UC'],
      ['wc', 'NPT WC', 'NPT WC'],
      ['default', 'NPT WB', 'NPT WB'],
    ]);
    expect(report.windows.slice(0, 3).map(({ hostVma }) => hostVma.programmed)).toEqual(['UC', 'WC', 'UC-']);
    const own = report.checks.filter(({ probe }) => probe === 'stage1-self-check');
    expect(own.map(({ stage1, observed }) => `${stage1} ${observed}`)).toEqual(
      Array.from({ length: 3 }, () => ['UC- ok', 'WC ok']).flat(),
    );
  });

  test('a KVM that swaps UC and WC is found out', () => {
    expect(wrong?.code).toBe(1);
    expect(programmed(reportOf(wrong))).toEqual([
      ['device', 'NPT UC', 'NPT WC'],
      ['wc', 'NPT WC', 'NPT UC'],
      ['default', 'NPT WB', 'NPT WB'],
    ]);
  });
});
