import {
  type Attribute,
  type NestedPaging,
  type Outcome,
  type Platform,
  type ProbeName,
  arm64,
  outcomesOf,
  x86,
} from '../memattr/index.ts';
import { weighed } from '../tool/report/worth.ts';
import {
  type Bench,
  type Check,
  type Figure,
  type Predicted,
  type Report,
  type ReportWindow,
  summarise,
} from '../tool/report/report.ts';

/** A report as a run on the arm64 testbed gives it. The rules below are only rough enough to make it look real. */

export const STAGE1 = ['Device-nGnRnE', 'Device-nGnRE', 'Device-GRE', 'Normal-NC', 'Normal-WB'] as const;

const STAGE2: Readonly<Record<Attribute, string>> = { device: 'Device-nGnRE', wc: 'Normal-NC', default: 'Normal-NC' };
const ORDER = [...STAGE1];

export function sampleWindow(attribute: Attribute, offset: number, length: number): ReportWindow {
  return {
    bar: 2,
    offset,
    length,
    attribute,
    hostVma: { predicted: attribute === 'wc' ? 'Normal-NC' : 'Device-nGnRnE', programmed: null },
    stage2: {
      predicted: STAGE2[attribute],
      programmed: STAGE2[attribute],
      blockSize: length >= 0x20_0000 ? 0x20_0000 : 4096,
    },
  };
}

function combine(stage1: string, stage2: string): string {
  return (
    ORDER[
      Math.min(ORDER.indexOf(stage1 as (typeof STAGE1)[number]), ORDER.indexOf(stage2 as (typeof STAGE1)[number]))
    ] ?? stage1
  );
}

function predict(probe: ProbeName, effective: string): Predicted {
  const device = effective.startsWith('Device');
  if (probe === 'store-bandwidth' || probe === 'load-latency') return 'measurement';
  if (probe === 'fetch') return 'fetch-abort';
  if (probe === 'tag-retention') return effective === 'Normal-Tagged' ? 'ok' : 'not-present';
  if (device && (probe === 'exclusive' || probe === 'atomic')) return 'any';
  return device && /unaligned|simd|zero/.test(probe) ? 'alignment-fault' : 'ok';
}

const NOTES: Readonly<Partial<Record<ProbeName, string>>> = {
  exclusive: 'whether Device memory supports exclusives is up to the implementation (Arm ARM B2.17.5)',
  atomic: 'whether Device memory supports single-copy atomics beyond the interconnect is up to the implementation',
  'tag-retention': "the guest's CPU lacks allocation tags (MTE)",
  'store-bandwidth':
    'an emulator models neither gathering nor write buffers: its timing says nothing about the memory type',
  'load-latency':
    'an emulator models neither gathering nor write buffers: its timing says nothing about the memory type',
};

const ERRATA: Readonly<Partial<Record<ProbeName, string>>> = {
  'zero-block': 'qemu-dczva-device: DC ZVA to Device memory completes; the architecture requires an alignment fault',
  'simd-half-aligned':
    'qemu-simd-8: a 128-bit load aligned to 8 bytes completes in Device memory; the architecture requires 16',
};

function checkOf(window: number, stage1: string, probe: ProbeName, stage2: string): Check {
  const effective = combine(stage1, stage2);
  const predicted = predict(probe, effective);
  const base = { window, stage1, probe, effective, predicted };
  if (predicted === 'any' || predicted === 'measurement')
    return { ...base, observed: 'ok', verdict: 'unobservable', note: NOTES[probe] ?? '' };
  if (predicted === 'not-present')
    return { ...base, observed: 'not-present', verdict: 'unobservable', note: NOTES[probe] ?? '' };
  const erratum = predicted === 'alignment-fault' ? ERRATA[probe] : undefined;
  if (erratum !== undefined) return { ...base, observed: 'ok', verdict: 'erratum', note: erratum };
  return { ...base, observed: predicted as Outcome, verdict: 'match', note: null };
}

export function sampleReport(change: Partial<Report> = {}): Report {
  const windows = [
    sampleWindow('device', 0, 0x1_0000),
    sampleWindow('wc', 0x1_0000, 0x1f_0000),
    sampleWindow('default', 0x20_0000, 0x20_0000),
  ];
  const checks = windows.flatMap(({ stage2 }, window) =>
    STAGE1.flatMap((stage1) => arm64.probes.map((probe) => checkOf(window, stage1, probe, stage2.predicted))),
  );
  const report: Report = {
    schema: 'wcvmm.report/1',
    command: 'verify',
    arch: 'arm64',
    platform: { kind: 'testbed', emulator: 'qemu-10.0.2', kernel: '7.3.4-wcvmm', cookies: true, fwb: true },
    device: { address: '0000:01:00.0', id: '1af4:1110', source: 'cookie' },
    windows,
    checks,
    summary: summarise(checks),
    ...change,
  };
  return weighed({ ...report, summary: summarise(report.checks) });
}

/** `report` with those checks replaced that `change` returns something for. */
export function changeChecks(report: Report, change: (check: Check) => Partial<Check> | undefined): Report {
  const checks = report.checks.map((check): Check => Object.assign({}, check, change(check)));
  return { ...report, checks, summary: summarise(checks) };
}

/** A report as an x86 machine of either vendor gives it, everything as the model says. */
export function x86Report(nestedPaging: NestedPaging, emulator: string | null = null): Report {
  const platform: Platform = { fwb: null, faultForwarding: false, mte: false, nestedPaging, mtrr: 'UC' };
  const attributes = ['device', 'wc', 'default'] as const;
  const windows = attributes.map((attribute, index): ReportWindow => ({
    bar: 2,
    offset: index * 0x10_0000,
    length: 0x10_0000,
    attribute,
    hostVma: { predicted: x86.hostVma(attribute, 'cookie'), programmed: x86.hostVma(attribute, 'cookie') },
    stage2: {
      predicted: x86.stage2(attribute, 'cookie', platform),
      programmed: x86.stage2(attribute, 'cookie', platform),
      blockSize: 4096,
    },
    strictness: x86.strictness(attribute, 'cookie', platform),
  }));
  const checks = windows.flatMap(({ stage2 }, window) =>
    x86.stage1Types.flatMap((type) =>
      x86.probes.map((probe): Check => {
        const prediction = x86.predict(probe, type, stage2.predicted, platform);
        const [known] = outcomesOf(prediction) ?? [];
        return {
          window,
          stage1: type.name,
          probe,
          effective: x86.effective(type, stage2.predicted, platform),
          predicted: known ?? (prediction.kind === 'measurement' ? 'measurement' : 'any'),
          observed: known ?? 'ok',
          verdict: known === undefined ? 'unobservable' : 'match',
          note: known === undefined ? prediction.why : null,
        };
      }),
    ),
  );
  return weighed({
    schema: 'wcvmm.report/1',
    command: 'verify',
    arch: 'x86',
    platform: {
      kind: emulator === null ? 'native' : 'testbed',
      emulator,
      kernel: '7.3.4-wcvmm',
      cookies: true,
      fwb: null,
      nestedPaging,
    },
    device: { address: '0000:01:00.0', id: '1af4:1110', source: 'cookie' },
    windows,
    checks,
    summary: summarise(checks),
  });
}

/** As bench gives it: the wc window's Normal-NC combines, and device's does not. */
export function benchReport(meaningless: Bench['meaningless'] = null): Report {
  const report = sampleReport({
    command: 'bench',
    checks: [],
    ...(meaningless === null && {
      platform: { kind: 'native', emulator: null, kernel: '7.3.4', cookies: true, fwb: true },
    }),
  });
  const points: readonly Pick<Figure, 'quantity' | 'size' | 'stride'>[] = [
    ...[64, 256, 1024, 4096].map((size) => ({ quantity: 'store-bandwidth', size, stride: 8 }) as const),
    ...[64, 256].map((stride) => ({ quantity: 'store-bandwidth', size: 4096, stride }) as const),
    { quantity: 'load-latency', size: 4096, stride: 64 },
    { quantity: 'write-to-visible', size: 4096, stride: 64 },
  ];
  const figures = report.windows.flatMap(({ stage2 }, window) =>
    STAGE1.flatMap((stage1) =>
      points.map((point) => figureAt(point, window, stage1, combine(stage1, stage2.predicted))),
    ),
  );
  return { ...report, bench: { meaningless, runs: 9, figures } };
}

function figureAt(
  { quantity, size, stride }: Pick<Figure, 'quantity' | 'size' | 'stride'>,
  window: number,
  stage1: string,
  effective: string,
): Figure {
  const speed = effective.startsWith('Normal') ? 40 : 1;
  const rate = stride === 8 ? speed * Math.sqrt(size) * 10 : speed * (5000 / stride);
  const median = quantity === 'store-bandwidth' ? rate : quantity === 'load-latency' ? 900 : 1200 + speed;
  return {
    window,
    stage1,
    effective,
    quantity,
    size,
    stride,
    unit: quantity === 'store-bandwidth' ? 'MB/s' : 'ns',
    median,
    low: median * 0.95,
    high: median * 1.1,
    repetitions: 100,
  };
}

function unread(window: ReportWindow): ReportWindow {
  return { ...window, stage2: { ...window.stage2, programmed: null } };
}

/** An x86 machine's on which nobody could read the kernel back: nothing shows its types. */
export function unreadReport(): Report {
  const report = x86Report('npt');
  return { ...report, windows: report.windows.map(unread) };
}
