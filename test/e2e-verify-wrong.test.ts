/**
 * Kernels that make other memory types than they should, on arm64: found by what was read back, by the CPU's own walk, and, where nothing
 * can be read, by the guest alone.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { proofOf } from '../tool/report/proof.ts';
import { isControl } from '../tool/report/report.ts';
import type { Check, Report } from '../tool/report/report.ts';
import { ATTACHED, DEVICES, mapsOf } from './register-devices.ts';
import { inTestbed } from './support.ts';

/** Verifies once with stage 2's dump, and once after it was taken away. */
const SCRIPT = `
  wcvmm verify -d 0000:01:00.0 --json read.json; echo $? >read.code
  umount /sys/kernel/debug
  wcvmm verify -d 0000:01:00.0 --json hidden.json; echo $? >hidden.code`;

/** After that, the same of registers. */
const REGISTERS = DEVICES.map(
  (device, index) => `
  wcvmm bind ${device.address}
  wcvmm verify -d ${device.address} ${mapsOf(device).join(' ')} --json registers${index}.json; echo $? >registers${index}.code`,
).join('');

interface Verified {
  readonly report: Report;
  readonly code: number;
}

let folder = '';
interface Found {
  readonly read: Verified;
  readonly hidden: Verified;
  /** By device of DEVICES; of one kernel only. */
  readonly registers: readonly Verified[];
}

async function verified(kernel: 'wrong-type' | 'wrong-cacheable'): Promise<Found> {
  const outputDir = join(folder, 'out');
  const { stderr } = await inTestbed({
    kernel,
    run: { kind: 'program', args: ['sh', '-c', kernel === 'wrong-type' ? SCRIPT + REGISTERS : SCRIPT] },
    emulatorOptions: ATTACHED,
    timeout: 300,
    outputDir,
  });
  const result = (name: string): Verified => {
    const text = (end: string): string => readFileSync(join(outputDir, `${name}.${end}`), 'utf8');
    return { report: JSON.parse(text('json')) as Report, code: Number(text('code')) };
  };
  expect(stderr).not.toMatch(/umount:/);
  return {
    read: result('read'),
    hidden: result('hidden'),
    registers: kernel === 'wrong-type' ? DEVICES.map((_, index) => result(`registers${index}`)) : [],
  };
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Mismatches in windows of the device. */
function wrongIn(report: Report): readonly Check[] {
  return report.checks.filter(({ window, verdict }) => {
    const of = report.windows[window];
    return verdict === 'mismatch' && of !== undefined && !isControl(report, of);
  });
}

function programmed(report: Report): readonly (string | null)[] {
  return report.windows.filter((window) => !isControl(report, window)).map(({ stage2 }) => stage2.programmed);
}

function missing(): never {
  throw new Error('it was not verified');
}

const ALIGNMENT = ['load', 'store', 'load-simd', 'store-simd', 'load-pair', 'store-pair'].map(
  (what) => `unaligned-${what}`,
);

describe('a KVM that swaps Device and Normal-NC', () => {
  let found: Found;
  beforeAll(async () => {
    found = await verified('wrong-type');
  });

  test('is found by stage 2 as it was read back', () => {
    const { report, code } = found.read;
    expect(code).toBe(1);
    expect(programmed(report)).toEqual(['Normal-NC', 'Device-nGnRE', 'Device-nGnRE']);
    expect(report.checks.some(({ note }) => note?.startsWith('KVM programmed stage 2 as') === true)).toBe(true);
  });

  test('is found by the guest alone', () => {
    const { report, code } = found.hidden;
    expect(code).toBe(1);
    expect(programmed(report)).toEqual([null, null, null]);
    const first = wrongIn(report).filter(({ offset, probe }) => offset === undefined && ALIGNMENT.includes(probe));
    // Whatever the guest may have as Normal memory, in each window.
    expect(new Set(first.map(({ stage1 }) => stage1))).toEqual(new Set(['Normal-NC', 'Normal-WB']));
    expect(first.length).toBe(3 * 2 * ALIGNMENT.length);
  });

  test.each(DEVICES.map(({ name }, index) => [name, index] as const))(
    'is found by the guest alone in the registers of %s, with loads only',
    (_name, index) => {
      const { report, code } = found.registers[index] ?? missing();
      expect(code).toBe(1);
      expect(new Set(programmed(report))).toEqual(new Set([null]));
      const windows = [...report.windows.entries()].filter(([, window]) => !isControl(report, window));
      for (const [index, { touched }] of windows) {
        expect(touched?.by).toBe('loads');
        const wrong = wrongIn(report).filter(({ window, speaksOf }) => window === index && speaksOf === 'type');
        expect(new Set(wrong.map(({ stage1 }) => stage1))).toEqual(new Set(['Normal-NC', 'Normal-WB']));
      }
    },
  );

  test("is found by the CPU's own walk", () => {
    const walked = wrongIn(found.hidden.report).filter(({ probe }) => probe === 'stage1-self-check');
    const types = walked.map(({ window, stage1, combined }) => `${window} ${stage1}: ${combined}`);
    expect(types).toEqual(expect.arrayContaining(['0 Normal-WB: Normal-NC', '1 Normal-NC: Device-nGnRE']));
  });
});

describe('a KVM that makes windows of Normal-NC cacheable, and leaves RAM alone', () => {
  let found: Found;
  beforeAll(async () => {
    found = await verified('wrong-cacheable');
  });

  test('is found by stage 2 as it was read back', () => {
    const { report, code } = found.read;
    expect(code).toBe(1);
    expect(programmed(report)).toEqual(['Device-nGnRE', 'Normal-WB', 'Normal-WB']);
    // The guest ran, and its memory is as it should be.
    const control = report.windows.find((window) => isControl(report, window));
    expect(control?.stage2.programmed).toBe('Normal-WB');
  });

  test("is found by the CPU's own walk, and by nothing else that a guest sees on QEMU", () => {
    const { report, code } = found.hidden;
    expect(code).toBe(1);
    expect(programmed(report)).toEqual([null, null, null]);
    const wrong = wrongIn(report);
    expect(new Set(wrong.map(({ probe }) => probe))).toEqual(new Set(['stage1-self-check']));
    expect(new Set(wrong.map(({ window }) => window))).toEqual(new Set([1, 2]));
    const types = wrong.map(({ window, stage1, combined }) => `${window} ${stage1}: ${combined}`);
    expect(types).toEqual(expect.arrayContaining(['1 Normal-NC: Normal-WB', '2 Normal-WB: Normal-WB']));
    // As the report says of what was seen.
    expect(proofOf(report).notToldApart).toContainEqual({
      type: 'Normal-NC',
      from: expect.arrayContaining(['Normal-WB']),
    });
  });
});
