import { describe, expect, test } from 'vitest';
import { MODELS, outcomesOf } from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { exitCodeOf, proofOf } from '../tool/report/proof.ts';
import { TOUCHED_BY } from '../tool/report/report.ts';
import type { Report, ReportWindow } from '../tool/report/report.ts';
import { renderReport } from '../tool/report/text.ts';
import {
  TOUCHED_BYTES,
  allowedProbes,
  keepsWhatIsStored,
  predictedOfRegisters,
  touchedBy,
} from '../tool/verify/contents.ts';
import { checkOf } from '../tool/verify/evidence.ts';
import { cellOf, planChecks } from '../tool/verify/plan.ts';
import type { PciDevice } from '../vmm/sys/pci.ts';
import type { OpenWindow } from '../vmm/vfio/open-windows.ts';
import { sampleReport } from './report-sample.ts';
import { codeOf, stubPort } from './stub-port.ts';

const ARM: Platform = { fwb: true, faultForwarding: true, mte: false };
const { arm64, x86 } = MODELS;

const WINDOW = { bar: 0, offset: 0n, mapping: { address: 0x7000n, length: 4096n } } as OpenWindow;

function device(id: string): PciDevice {
  return { id } as PciDevice;
}

/** A port whose BAR is these words. */
function portOf(): { port: ReturnType<typeof stubPort>['port']; words: Uint32Array } {
  const bytes = new ArrayBuffer(64);
  return { port: { ...stubPort({}).port, view: () => bytes }, words: new Uint32Array(bytes).fill(0x1234_5678) };
}

function made(store: (all: number[], at: string, value: number) => boolean): number[] {
  const words = Array.from({ length: 16 }, () => 0);
  return new Proxy(words, { set: (all, at, value: number) => store(all, String(at), value) });
}

describe('how a window is touched', () => {
  test.each([
    ['memory in the place of a BAR', null, false, 'memory'],
    ['a BAR that is known as memory', '1234:1111', false, 'memory'],
    ['any other', '8086:10d3', false, 'loads'],
    ['any other that keeps what is stored, where stores are allowed', '8086:10d3', true, 'memory'],
  ] as const)('%s', (_name, id, allowed, by) => {
    const { port, words } = portOf();
    expect(touchedBy(port, { pci: id === null ? null : device(id) }, WINDOW, allowed)).toBe(by);
    // What was there is there again.
    expect(new Set(words)).toEqual(new Set([0x1234_5678]));
  });

  test.each([
    ['nothing', 0],
    ['half of the bits', 0x0000_ffff],
  ])('words that keep %s of what is stored are no memory', (_name, mask) => {
    const words = Array.from({ length: 16 }, () => 0);
    const masked = new Proxy(words, { set: (all, at, value: number) => Reflect.set(all, at, value & mask) });
    expect([keepsWhatIsStored(words), keepsWhatIsStored(masked)]).toEqual([true, false]);
  });

  test('words that keep but one of the patterns, that are one register, or of which one keeps anything, are no memory', () => {
    const masked = made((all, at, value) => Reflect.set(all, at, value & 0x5a5a_5a7f));
    const aliased = made((all, _at, value) => all.fill(value).length > 0);
    const single = made((all, at, value) => at !== '3' || Reflect.set(all, at, value));
    expect([masked, aliased, single].map(keepsWhatIsStored)).toEqual([false, false, false]);
  });

  test('where stores are allowed, what does not keep them is stored to, and no data expected', () => {
    // Half of it: what is beyond keeps nothing.
    const port = { ...stubPort({}).port, view: () => new ArrayBuffer(32) };
    expect(touchedBy(port, { pci: device('8086:10d3') }, WINDOW, true)).toBe('stores');
  });

  test('the first 64 bytes are looked at, and a device that does not answer them is lost', () => {
    const asked: unknown[] = [];
    const view = (...of: readonly unknown[]): ArrayBuffer => {
      asked.push(of);
      return new ArrayBuffer(64);
    };
    const answering = { ...stubPort({}).port, view, busErrors: () => 5 };
    const lost = { ...answering, busErrors: () => asked.length };
    const touch = (port: typeof lost): unknown => touchedBy(port, { pci: device('8086:10d3') }, WINDOW, true);
    expect(touch(answering)).toBe('memory');
    expect(asked).toEqual([[0x7000n, 64]]);
    expect(codeOf(() => touch(lost))).toBe('E_DEVICE_LOST');
  });

  test('without permission nothing is even looked at', () => {
    const { port } = stubPort({});
    const looked = { ...port, view: () => expect.unreachable() };
    expect(touchedBy(looked, { pci: device('8086:10d3') }, WINDOW, false)).toBe('loads');
  });
});

describe('the probes of registers', () => {
  test('only load, unless stores are allowed, and never expect data back', () => {
    expect(allowedProbes(arm64.probes, 'loads')).toEqual([
      'stage1-self-check',
      'unaligned-load',
      'unaligned-load-simd',
      'unaligned-load-pair',
      'simd-half-aligned',
    ]);
    expect(
      allowedProbes(arm64.probes, 'stores').filter((probe) => !allowedProbes(arm64.probes, 'loads').includes(probe)),
    ).toEqual(['unaligned-store', 'unaligned-store-simd', 'unaligned-store-pair', 'zero-block']);
    expect(allowedProbes(arm64.probes, 'memory')).toEqual(arm64.probes);
    expect(allowedProbes(x86.probes, 'loads')).toEqual(['stage1-self-check', 'unaligned-load']);
  });

  test('are all of them on memory, and loads are among the stores', () => {
    for (const { probes } of [arm64, x86]) {
      expect(allowedProbes(probes, 'memory')).toEqual(probes);
      expect(allowedProbes(probes, 'stores')).toEqual(expect.arrayContaining([...allowedProbes(probes, 'loads')]));
    }
  });

  test('touch less of a page the less they may do', () => {
    const { loads, stores, memory } = TOUCHED_BYTES;
    expect([loads, stores, memory].toSorted((a, b) => a - b)).toEqual([loads, stores, 4096]);
    // A pair of registers from +8 on.
    expect(loads).toBe(8 + 16);
  });

  test.each(TOUCHED_BY)('are planned so: %s', (by) => {
    const windows = [{ attribute: 'wc', access: 'mapped', by } as const];
    const planned = planChecks(arm64, ARM, 'cookie', windows);
    expect([...new Set(planned.map(({ probe }) => probe))]).toEqual(allowedProbes(arm64.probes, by));
    for (const check of planned) {
      expect(cellOf(check, arm64.stage1Types, 0n).registers).toBe(by !== 'memory');
      expect(outcomesOf(check.prediction)?.includes('external-abort') ?? false).toBe(
        by !== 'memory' && outcomesOf(check.prediction)?.includes('ok') === true,
      );
    }
  });

  test('may be aborted where they would work, whatever else may be', () => {
    const why = 'one; a device may also abort an access that its registers do not support';
    expect(predictedOfRegisters({ kind: 'outcome', outcome: 'ok', why: 'one' })).toEqual({
      kind: 'one-of',
      outcomes: ['ok', 'external-abort'],
      why,
    });
    expect(predictedOfRegisters({ kind: 'one-of', outcomes: ['vm-killed', 'ok'], why: 'one' })).toEqual({
      kind: 'one-of',
      outcomes: ['vm-killed', 'ok', 'external-abort'],
      why,
    });
    const any = { kind: 'any', why: 'nobody knows' } as const;
    expect(predictedOfRegisters(any)).toEqual(any);
  });

  test('a fault of the type is still the only outcome', () => {
    const fault = { kind: 'outcome', outcome: 'alignment-fault', why: 'Device' } as const;
    expect(predictedOfRegisters(fault)).toEqual(fault);
  });
});

/** What a report makes of windows of registers on a kernel that gives `made` instead of what it should. */
function verifiedOn(attribute: 'device' | 'wc', made: string, emulator: string | null): Report {
  const planned = planChecks(arm64, ARM, 'cookie', [{ attribute, access: 'mapped', by: 'loads' }]);
  const facts = { model: arm64, platform: ARM, ticksPerSecond: null, emulator };
  const checks = planned.map((check) => {
    const [outcome = 'ok'] = outcomesOf(arm64.predict(check.probe, check.stage1, made, ARM)) ?? [];
    const record = { cell: 0, outcome: outcome as 'ok', syndrome: 0n, address: 0n, values: [0n, 0n, 0n, 0n] as const };
    return checkOf(facts, { check, observation: { kind: 'record', record }, busLocks: null }, null);
  });
  const stage2 = planned[0]?.stage2 ?? '';
  const window: ReportWindow = {
    bar: 0,
    offset: 0,
    length: 4096,
    attribute,
    hostVma: { predicted: 'Normal-NC', programmed: null },
    stage2: { predicted: stage2, programmed: null, blockSize: null },
  };
  const platform = { ...sampleReport().platform, emulator, faultForwarding: true };
  return sampleReport({ windows: [window], checks, platform });
}

describe.each([null, 'qemu-10.0.2'])('loads of registers, with nothing read back, on %s', (emulator) => {
  test.each([
    ['device', 'Device-nGnRE'],
    ['wc', 'Normal-NC'],
  ] as const)('%s that is %s is proven by what was observed', (attribute, made) => {
    const report = verifiedOn(attribute, made, emulator);
    expect(report.summary.mismatch).toBe(0);
    expect(proofOf(report).checks.type.shown).toBe(emulator === null ? 8 : 6);
    expect(exitCodeOf(report)).toBe(0);
  });

  test.each([
    ['device', 'Normal-NC'],
    ['wc', 'Device-nGnRE'],
  ] as const)('%s that is %s is a mismatch', (attribute, made) => {
    expect(exitCodeOf(verifiedOn(attribute, made, emulator))).toBe(1);
  });
});

function touched(by: (typeof TOUCHED_BY)[number]): Report {
  const [window, ...others] = sampleReport().windows;
  if (window === undefined) throw new Error('no window');
  return sampleReport({ windows: [{ ...window, touched: { by, offsets: [0, 4096], bytes: 24 } }, ...others] });
}

function text(by: (typeof TOUCHED_BY)[number]): string {
  return renderReport(touched(by), { columns: 400, color: false });
}

describe('the report says what was touched', () => {
  test('of registers, and which bytes', () => {
    expect(text('loads')).toMatch(
      /^ {2}0 {2}not known to be memory: only loads, of at most 24 bytes from \+0, \+4K; /m,
    );
    expect(text('stores')).toMatch(/^ {2}0 {2}does not behave as memory: loads and stores, of at most 24 bytes /m);
    expect(text('memory')).not.toContain('behave');
  });
});
