import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { suitesOf } from '../tool/report/cases.ts';
import { escapeMarkup } from '../tool/report/escape.ts';
import { formatJunit } from '../tool/report/junit.ts';
import { formatTap } from '../tool/report/tap.ts';
import type { Report } from '../tool/report/report.ts';
import { readTap, xmlFault } from './report-readers.ts';
import { unreadReport, changeChecks, sampleReport, x86Report } from './report-sample.ts';

const sample = sampleReport();
const broken = changeChecks(sample, ({ probe, window, stage1 }) => {
  if (probe === 'unaligned-store' && window === 0 && stage1 === 'Normal-NC')
    return { observed: 'ok', verdict: 'mismatch', note: 'Device memory requires alignment' };
  return probe === 'fetch' && window === 0
    ? { observed: null, verdict: 'skipped', note: 'the guest ended before this check' }
    : undefined;
});
const one = (report: Report): Parameters<typeof formatJunit>[0] => [{ name: 'arm64', report }];

/** Anything that a string can hold: controls, halves of surrogate pairs, quotes. */
const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      '<',
      '>',
      '&',
      '"',
      "'",
      '#',
      '\\',
      '\n',
      '\r',
      '\t',
      '\0',
      '\u001B',
      '\uD800',
      '\uDC00',
      '\uFFFE',
      ']]>',
      '# SKIP',
      '\u2028',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
});
const hostile = (text: string): Report =>
  changeChecks({ ...sample, platform: { ...sample.platform, kernel: text } }, ({ window }) =>
    window === 0 ? { stage1: text, note: text } : undefined,
  );

describe('cases', () => {
  it('are all checks, and three of evidence for each window', () => {
    const cases = suitesOf(one(sample)).flatMap((suite) => suite.cases);
    expect(cases).toHaveLength(sample.checks.length + 3 * sample.windows.length);
    const kinds = (kind: string): number => cases.filter(({ result }) => result.kind === kind).length;
    expect(kinds('known')).toBe(sample.summary.erratum);
    expect(kinds('failed')).toBe(0);
    // The host's mapping cannot be read back on arm64: one more for each window.
    expect(kinds('skipped')).toBe(sample.summary.unobservable + sample.windows.length);
  });

  it('fail where a window was programmed otherwise', () => {
    const windows = sample.windows.map((window) => ({
      ...window,
      stage2: { ...window.stage2, programmed: 'Normal-WB' },
    }));
    const failed = suitesOf(one(sampleReport({ windows }))).flatMap(({ cases }) =>
      cases.filter(({ result }) => result.kind === 'failed'),
    );
    expect(failed.map(({ name }) => name)).toEqual(['stage 2', 'stage 2', 'stage 2']);
    expect(failed[0]?.result).toMatchObject({ why: 'programmed Normal-WB, predicted Device-nGnRE' });
  });
});

describe('a window whose type nothing shows', () => {
  const blind = unreadReport();

  it('is an error of its own in JUnit', () => {
    const xml = formatJunit(one(blind));
    expect(xml).toMatch(/^<testsuites name="wcvmm" tests="\d+" failures="0" errors="3" /m);
    expect(xml.match(/name="proof memory type"><error type="not proven" message="the memory type was /g)).toHaveLength(
      3,
    );
  });

  it('is not ok in TAP, and says so', () => {
    const tap = formatTap(one(blind));
    expect(readTap(tap).map(({ ok }) => ok)).toEqual([false, false, false]);
    expect(tap.match(/^ {4}not ok \d+ - proof memory type\n {6}---\n {6}severity: not proven$/gm)).toHaveLength(3);
  });

  it('passes where it was read back', () => {
    expect(formatJunit(one(x86Report('npt')))).toMatch(/name="proof memory type"\/>/);
  });
});

describe('JUnit', () => {
  const xml = formatJunit(one(broken));

  it('counts what it lists', () => {
    expect(
      xml.startsWith(
        '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="wcvmm" tests="264" failures="1" errors="0" skipped="105">',
      ),
    ).toBe(true);
    expect(xml.match(/<testcase /g)).toHaveLength(264);
    expect(xml.match(/<failure /g)).toHaveLength(1);
    expect(xml.match(/<skipped /g)).toHaveLength(105);
    const sums = [...xml.matchAll(/<testsuite .*tests="(\d+)"/g)].map(([, tests]) => Number(tests));
    expect(sums.reduce((a, b) => a + b, 0)).toBe(264);
  });

  it('says why', () => {
    expect(xml).toContain(
      '<testcase classname="arm64.bar2:0-64K=device" name="Normal-NC unaligned-store"><failure type="mismatch" message="predicted alignment-fault, observed ok: Device memory requires alignment">',
    );
    expect(xml).toMatch(/name="Device-nGnRnE zero-block"><skipped message="erratum qemu-dczva-device: /);
    expect(xml).toContain('<skipped message="the guest ended before this check"/>');
  });

  it('names suites of several machines apart', () => {
    const all = formatJunit([...one(sample), { name: 'x86 AMD', report: x86Report('npt') }]);
    const names = [...all.matchAll(/<testsuite name="([^"]*)"/g)].map(([, name]) => name);
    expect(names).toHaveLength(6);
    expect(new Set(names).size).toBe(6);
  });

  it('stays well-formed whatever the texts are', () => {
    expect(xmlFault(xml)).toBeNull();
    expect(xmlFault(xml.replace('</testcase>', ''))).toContain('testcase');
    fc.assert(
      fc.property(anyText, (text) => {
        expect(xmlFault(formatJunit(one(hostile(text))))).toBeNull();
      }),
      { numRuns: 50 },
    );
  });
});

describe('escapeMarkup', () => {
  it('leaves nothing that ends an attribute or an element, and only characters', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const escaped = escapeMarkup(text);
        expect(escaped).toMatch(/^(?:[^&<>"'\t\n\r]|&(?:amp|lt|gt|quot|#39|#9|#10|#13);)*$/u);
        expect(escaped).not.toMatch(/\p{Cs}/u);
      }),
    );
  });

  it('keeps what is legal', () => {
    expect(escapeMarkup('a<b & "c" → 𝄞')).toBe('a&lt;b &amp; &quot;c&quot; → 𝄞');
    expect(escapeMarkup('\u001B[31m\uD834 \0')).toBe('\uFFFD[31m\uFFFD \uFFFD');
  });
});

describe('TAP', () => {
  const tap = formatTap(one(broken));

  it('is version 14 with a subtest per window, and plans that hold', () => {
    const points = readTap(tap);
    expect(points.map(({ ok }) => ok)).toEqual([false, true, true]);
    expect(points.map(({ subtests }) => subtests.length)).toEqual([88, 88, 88]);
  });

  it('skips with the reason, and has errata to do', () => {
    expect(tap).toMatch(/^ {4}ok \d+ - Device-nGnRnE fetch # SKIP the guest ended before this check$/m);
    expect(tap).toMatch(/^ {4}not ok \d+ - Device-nGnRnE zero-block # TODO qemu-dczva-device: /m);
    expect(tap).toMatch(
      /^ {4}not ok \d+ - Normal-NC unaligned-store\n {6}---\n {6}severity: failed\n {6}message: "predicted alignment-fault/m,
    );
  });

  it('plans nothing where there is nothing', () => {
    expect(formatTap(one(sampleReport({ windows: [], checks: [] })))).toBe(
      'TAP version 14\n1..0 # SKIP the report has no windows\n',
    );
  });

  it('reads the same whatever the texts are', () => {
    const results = readTap(formatTap(one(sample)));
    fc.assert(
      fc.property(anyText, (text) => {
        expect(readTap(formatTap(one(hostile(text))))).toEqual(results);
      }),
      { numRuns: 50 },
    );
  });
});
