import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ARCHES, ATTRIBUTES, NESTED_PAGING, OUTCOMES, PROBES, SOURCES, SPEAKS_OF } from '../memattr/index.ts';
import { renderBench } from '../tool/report/bench.ts';
import { renderCompare } from '../tool/report/compare.ts';
import { FORMATS, FORMAT_NAMES } from '../tool/report/formats.ts';
import { formatReport } from '../tool/report/json.ts';
import { nameMachines } from '../tool/report/machine.ts';
import { renderMachines } from '../tool/report/machines-text.ts';
import { COMMANDS, NO_OUTCOME, QUANTITIES, TOUCHED_BY, UNITS, VERDICTS, summarise } from '../tool/report/report.ts';
import type { Check, Figure, Report, ReportWindow } from '../tool/report/report.ts';
import { parseReport } from '../tool/report/schema.ts';
import { renderReport } from '../tool/report/text.ts';
import { weighed } from '../tool/report/worth.ts';
import { publishedFaults, readTap, xmlFault } from './report-readers.ts';

/** Reports as they could be, sensible or not: all that the reader accepts, the writers must be able to tell. */

const line = fc.oneof(
  fc.constantFrom('', 'WC', 'Normal-NC', 'EPT UC IPAT', 'UC or WC', '<b>&', '# SKIP'),
  fc
    .string({ maxLength: 12, unit: 'binary' })
    .filter((text) => /^[^\p{Cc}\u200E\u200F\u2028-\u202E\u2066-\u2069]*$/u.test(text)),
);
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null });
const count = fc.oneof(fc.constantFrom(0, 1, 4096, 2 ** 33), fc.maxSafeNat());
const source = fc.constantFrom(...SOURCES);
// Without the outcome `undefined`, which could not be told from a value that is missing.
const outcome = fc.constantFrom(...OUTCOMES.filter((name) => name !== 'undefined'));

const window: fc.Arbitrary<ReportWindow> = fc.record(
  {
    bar: fc.nat(5),
    offset: count,
    length: count.map((length) => Math.max(length, 1)),
    attribute: fc.constantFrom(...ATTRIBUTES),
    hostVma: fc.record(
      { predicted: line, programmed: maybe(line), reserved: fc.array(line, { maxLength: 2 }) },
      { requiredKeys: ['predicted', 'programmed'] },
    ),
    stage2: fc.record({ predicted: line, programmed: maybe(line), blockSize: maybe(count) }),
    coverage: fc.record({ pageSize: count, pages: count, touched: count, unlike: count, readBack: maybe(count) }),
    touched: fc.record({
      by: fc.constantFrom(...TOUCHED_BY),
      offsets: fc.array(count, { maxLength: 2 }),
      bytes: count,
    }),
    control: fc.constant(true as const),
    source,
    strictness: fc.record({ strict: fc.boolean(), why: line }),
    mtrr: maybe(line),
    trapped: fc.record({ exits: count }),
  },
  { requiredKeys: ['bar', 'offset', 'length', 'attribute', 'hostVma', 'stage2'] },
);

function check(windows: number): fc.Arbitrary<Check> {
  return fc.record(
    {
      window: fc.nat(windows - 1),
      stage1: line,
      probe: fc.constantFrom(...PROBES),
      effective: line,
      predicted: fc.oneof(outcome, fc.constantFrom(...NO_OUTCOME)),
      observed: maybe(outcome),
      alternatives: fc.array(outcome, { maxLength: 2 }),
      verdict: fc.constantFrom(...VERDICTS),
      note: maybe(line),
      measured: fc.record({ amount: count, ticks: count, ticksPerSecond: count }),
      busLocks: count,
      offset: count,
      speaksOf: fc.constantFrom(...SPEAKS_OF),
      excludes: fc.array(line, { maxLength: 2 }),
    },
    { requiredKeys: ['window', 'stage1', 'probe', 'effective', 'predicted', 'observed', 'verdict', 'note'] },
  );
}

function figure(windows: number): fc.Arbitrary<Figure> {
  const words = fc.integer({ min: 8, max: 4096 });
  const amount = fc.oneof(fc.constantFrom(0, 1e15, Number.MIN_VALUE), fc.double({ min: 0, max: 1e12, noNaN: true }));
  return fc.record({
    window: fc.nat(windows - 1),
    stage1: line,
    effective: line,
    quantity: fc.constantFrom(...QUANTITIES),
    size: words,
    stride: words,
    unit: fc.constantFrom(...UNITS),
    median: amount,
    low: amount,
    high: amount,
    repetitions: count,
  });
}

const report: fc.Arbitrary<Report> = fc.array(window, { maxLength: 4 }).chain((windows) => {
  const list = <T>(of: (windows: number) => fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
    windows.length === 0 ? fc.constant([]) : fc.array(of(windows.length), { maxLength: 12 });
  return fc
    .record(
      {
        schema: fc.constant('wcvmm.report/1'),
        command: fc.constantFrom(...COMMANDS),
        arch: fc.constantFrom(...ARCHES),
        origin: fc.record({
          host: maybe(line),
          machine: maybe(line),
          firmware: maybe(line),
          hypervisor: maybe(fc.boolean()),
          cpu: fc.record({ model: maybe(line), stepping: maybe(line), microcode: maybe(line) }),
          kernelBuild: maybe(line),
          series: maybe(line),
          wcvmm: line,
          time: line,
          asked: fc.array(line, { maxLength: 3 }),
        }),
        platform: fc.record(
          {
            kind: fc.constantFrom('testbed', 'native'),
            emulator: maybe(line),
            kernel: line,
            cookies: fc.boolean(),
            fwb: maybe(fc.boolean()),
            faultForwarding: maybe(fc.boolean()),
            vendor: line,
            nestedPaging: maybe(fc.constantFrom(...NESTED_PAGING)),
          },
          { requiredKeys: ['kind', 'emulator', 'kernel', 'cookies', 'fwb'] },
        ),
        device: fc.record(
          {
            address: maybe(line),
            id: maybe(line),
            source,
            bars: fc.array(fc.record({ bar: fc.nat(5), size: count }), { maxLength: 3 }),
          },
          { requiredKeys: ['address', 'id', 'source'] },
        ),
        windows: fc.constant(windows),
        checks: list(check),
        limits: fc.array(line, { maxLength: 2 }),
        bench: fc.record({ meaningless: maybe(line), runs: count, figures: list(figure) }),
      },
      { requiredKeys: ['schema', 'command', 'arch', 'platform', 'device', 'windows', 'checks'] },
    )
    .map((all) => Object.assign(all, { summary: summarise(all.checks) }) as Report);
});

const style = { columns: 100, color: false };

it('is read back as it was written, and the published schema agrees', () => {
  fc.assert(
    fc.property(report, (any) => {
      expect(publishedFaults(JSON.parse(formatReport(any)))).toBeNull();
      expect(parseReport(formatReport(any))).toEqual(JSON.parse(JSON.stringify(weighed(any))));
    }),
  );
});

it('is told in every form, alone and beside others, whatever it says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(report, { minLength: 1, maxLength: 3 }), async (reports) => {
      const named = nameMachines(reports.map((one, index) => ({ path: `${index}.json`, report: one })));
      const written = new Map<string, string>();
      for (const format of FORMAT_NAMES) written.set(format, await FORMATS[format].write(named));
      expect(xmlFault(written.get('junit') ?? '')).toBeNull();
      expect(() => readTap(written.get('tap') ?? '')).not.toThrow();
      const texts = [
        renderMachines(named, style),
        ...reports.flatMap((one) => [renderReport(one, style), renderCompare(one, style), renderBench(one, style)]),
      ];
      for (const text of texts) expect(/\p{Cc}(?<!\n)/u.exec(text)).toBeNull();
      const values = [...texts, written.get('html') ?? ''].map(
        (text) => /.{0,60}(NaN|Infinity|undefined|\[object).{0,20}/.exec(text)?.[0],
      );
      expect(values.filter((value) => value !== undefined)).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
