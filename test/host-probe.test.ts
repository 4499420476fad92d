import { describe, expect, test } from 'vitest';
import { isContradicted } from '../tool/report/report.ts';
import { proofOf } from '../tool/report/proof.ts';
import { suitesOf } from '../tool/report/cases.ts';
import { evidenceText } from '../tool/report/words.ts';
import { readHostMappings } from '../tool/verify/arch/arm64.ts';
import { kindShown, parseProbed, probeHost } from '../tool/verify/read-back/host-probe.ts';
import type { ProbedPage } from '../tool/verify/read-back/host-probe.ts';
import type { HostMapped } from '../tool/verify/arch/arch.ts';
import { sampleReport } from './report-sample.ts';

describe("the host probe's lines", () => {
  test.each([
    ['ok ok', 'Normal'],
    ['ok 7/1', 'Device'],
    ['ok 7/3', 'Normal'],
    ['ok 7/2', null],
    ['ok 11/1', null],
    ['7/2 7/2', null],
    ['7/1 7/1', null],
    ['refused 22', null],
  ])('%s shows %s', (line, kind) => {
    const [loads] = parseProbed(`${line}\n`);
    expect(loads && kindShown(loads)).toBe(kind);
  });

  test.each(['', 'ok', 'ok ok ok', 'ok  ok', 'refused', 'refused -22', 'ok ok\r', 'Segmentation fault'])(
    'what is none of its own ends them: %j',
    (line) => {
      expect(parseProbed(`ok 7/1\n${line}\nok ok\n`)).toHaveLength(1);
    },
  );

  test('no mapping needs no program', () => {
    expect(probeHost([])).toEqual({ kind: 'made', pages: [] });
  });
});

function slice(start: bigint): (window: { offset: bigint; length: bigint }) => ProbedPage {
  return ({ offset }) => ({ fd: 7, offset: start + offset });
}

describe("the host's own mappings on arm64", () => {
  const opened = [
    { source: { slice: slice(0x1000_0000n) }, windows: [{ offset: 0n }, { offset: 0x1000n }] },
    { source: {}, windows: [{ offset: 0n }] },
    { source: { slice: slice(0n) }, windows: [{ offset: 0n }] },
  ] as unknown as readonly HostMapped[];

  test('are probed each at its start, in their order', () => {
    let asked: readonly ProbedPage[] = [];
    const mappings = readHostMappings(opened, (pages) => {
      asked = pages;
      return { kind: 'made', pages: parseProbed('ok 7/1\nok ok\nrefused 13\n') };
    });
    expect(asked.map(({ offset }) => offset)).toEqual([0x1000_0000n, 0x1000_1000n, 0n]);
    expect(mappings.kind === 'read' && mappings.windows.map(({ observed }) => observed)).toEqual([
      'Device',
      'Normal',
      null,
      null,
    ]);
  });

  test('are not known where the program could not be run', () => {
    expect(readHostMappings(opened, () => ({ kind: 'unavailable', why: 'it is not built' }))).toEqual({
      kind: 'unavailable',
      why: 'it is not built',
    });
  });
});

describe('what the loads showed, in a report', () => {
  const seen = { predicted: 'Device-nGnRnE', programmed: null, observed: 'Device' } as const;
  const wrong = { predicted: 'Normal-NC', programmed: null, observed: 'Device' } as const;

  test('agrees with the prediction, or contradicts it', () => {
    expect([isContradicted(seen), isContradicted(wrong)]).toEqual([false, true]);
    expect(isContradicted({ ...seen, observed: 'Normal' })).toBe(true);
    expect([evidenceText(seen), evidenceText(wrong)]).toEqual([
      'Device-nGnRnE (Device seen)',
      'Device seen ✗ not Normal-NC',
    ]);
  });

  test('is counted apart from what was read back, and is a case of its own', () => {
    const report = sampleReport();
    const [first] = report.windows;
    if (first === undefined) throw new Error('the sample has windows');
    const one = { ...report, windows: [{ ...first, hostVma: seen }, ...report.windows.slice(1)] };
    expect([proofOf(one).hostLoads, proofOf(one).hostVma.shown]).toEqual([{ shown: 1, of: 1 }, 0]);
    const other = { ...report, windows: [{ ...first, hostVma: wrong }, ...report.windows.slice(1)] };
    expect(proofOf(other).hostLoads).toEqual({ shown: 0, of: 1 });
    const cases = (of: typeof one) =>
      suitesOf([{ name: 'x', report: of }])[0]?.cases.filter(({ group }) => group === 'observed') ?? [];
    expect(cases(one).map(({ result }) => result.kind)).toEqual(['passed']);
    expect(cases(other).map(({ result }) => result.kind)).toEqual(['failed']);
    expect(cases(report)).toEqual([]);
  });
});
