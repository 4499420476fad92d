import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { isContradicted } from '../tool/report/report.ts';
import { proofOf } from '../tool/report/proof.ts';
import { suitesOf } from '../tool/report/cases.ts';
import { evidenceText } from '../tool/report/words.ts';
import { readHostMappings } from '../tool/verify/arch/arm64.ts';
import { kindShown, parseProbed, probeHost } from '../tool/verify/read-back/host-probe.ts';
import type { HostProbe, ProbedPage } from '../tool/verify/read-back/host-probe.ts';
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

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('the program of the loads', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const fds = [0, 1].map((index) => {
    writeFileSync(join(folder, `page${index}`), `page ${index}`);
    return openSync(join(folder, `page${index}`), 'r');
  });
  afterAll(() => {
    for (const fd of fds) closeSync(fd);
  });
  const [first = -1, second = -1] = fds;

  /** Runs a shell script in the program's place. */
  function probed(script: string, pages: readonly ProbedPage[] = [{ fd: first, offset: 0n }]): HostProbe {
    const program = join(folder, 'program');
    writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return probeHost(pages, program);
  }

  test('has each file once, from 3 on, and each page by its file and offset', () => {
    const args = join(folder, 'args');
    const pages = [
      { fd: second, offset: 0n },
      { fd: first, offset: 4096n },
      { fd: second, offset: 8192n },
    ];
    const made = probed(
      `echo "$@" >${args}; cat <&3 >>${args}; cat <&4 >>${args}; for each; do echo ok 7/1; done`,
      pages,
    );
    expect(readFileSync(args, 'utf8')).toBe('3:0 4:4096 3:8192\npage 1page 0');
    expect(made).toEqual({ kind: 'made', pages: parseProbed('ok 7/1\nok 7/1\nok 7/1\n') });
  });

  test('leaves no file open, however it ends', () => {
    const before = openFiles();
    for (const script of ['echo ok ok', 'exit 1', 'kill -9 $$']) probed(script);
    expect(openFiles()).toBe(before);
  });

  test.each([
    ['exit 3', /program ended with code 3 at one of its loads$/],
    ['echo ok ok; kill -BUS $$', /program ended with SIGBUS at one of its loads$/],
    ['echo ok ok; echo ok ok', /program answered for 2 of 1 mappings$/],
    ['', /program answered for 0 of 1 mappings$/],
    ['yes ok ok | head -c 100000', /program (?:answered for|ended with SIGKILL)/],
  ])('is not believed that does this: %s', (script, why) => {
    expect(probed(script)).toEqual({ kind: 'unavailable', why: expect.stringMatching(why) as string });
  });

  test('may not be there, or be none', () => {
    const page = { fd: first, offset: 0n };
    const missing = join(folder, 'missing');
    expect(probeHost([page], missing)).toEqual({
      kind: 'unavailable',
      why: `${missing} is not built; "npm run build" does that`,
    });
    const none = join(folder, 'none');
    writeFileSync(none, '');
    expect(probeHost([page], none)).toMatchObject({
      kind: 'unavailable',
      why: expect.stringMatching(/none could not be run: .*EACCES/) as string,
    });
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
