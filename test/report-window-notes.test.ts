import { describe, expect, test } from 'vitest';
import type { Report, ReportWindow } from '../tool/report/report.ts';
import { renderReport } from '../tool/report/text.ts';
import { busLockLines, windowNotes } from '../tool/report/window-notes.ts';
import { changeChecks, sampleReport } from './report-sample.ts';

const style = { columns: 400, color: false };

function withFirst(change: Partial<ReportWindow>): Report {
  const report = sampleReport();
  const [first, ...others] = report.windows;
  if (first === undefined) throw new Error('the sample has windows');
  return { ...report, windows: [{ ...first, ...change }, ...others] };
}

function notesOf(report: Report): readonly string[] {
  return windowNotes(report, style, [...report.windows.keys()]);
}

test('who observed stands at the head of a report, and in its verdict', () => {
  const files = [
    { stage1: 'Device-nGnRE', file: 'resourceN' },
    { stage1: 'Normal-NC', file: 'resourceN_wc' },
  ];
  const text = renderReport(
    { ...sampleReport(), guest: { kind: 'linux', kernel: '6.1.0-9-cloud-arm64', initSeconds: 2.5, files } },
    style,
  );
  expect(text).toContain(
    '\n  guest Linux 6.1.0-9-cloud-arm64, whose program maps BARs by resourceN (Device-nGnRE) and resourceN_wc (Normal-NC)\n',
  );
  expect(text).toMatch(/^. observed {4}by a Linux guest, \d+/m);
  expect(renderReport(sampleReport(), style)).toMatch(/^. observed {4}by \d+/m);
});

describe('under the table of windows', () => {
  test('stands nothing where nothing is out of the ordinary', () => {
    expect(notesOf(sampleReport())).toEqual([]);
    expect(notesOf(withFirst({ strictness: { strict: true, why: 'whatever a guest asks for' } }))).toEqual([]);
  });

  test('stands what a trapped window costs, and by which mapping it is reached', () => {
    expect(notesOf(withFirst({ trapped: { exits: 1234 }, hostVma: { predicted: 'UC', programmed: 'UC' } }))).toEqual([
      '  0  trapped by --enforce: no memslot; each of 1234 accesses exited to the VMM, which performed it on its own mapping (UC)',
    ]);
  });

  test("stands what a Linux guest's own drivers asked for", () => {
    expect(notesOf(withFirst({ guestTypes: ['UC-', 'WC'] }))).toEqual([
      "  0  the guest's own drivers have mapped some of it as UC-, WC, by the guest's list of memory types",
    ]);
  });

  test('stands how a guest relaxes a device window, and the way out', () => {
    const [line = ''] = notesOf(withFirst({ strictness: { strict: false, why: 'a guest that asks for WC gets WC' } }));
    expect(line).toBe(
      '  0  not strict: a guest that asks for WC gets WC. With --enforce it is, at the cost of an exit per access',
    );
    expect(
      renderReport(withFirst({ strictness: { strict: false, why: 'a guest that asks for WC gets WC' } }), style),
    ).toContain(line);
  });

  test('stands nothing of windows that nobody wanted strict', () => {
    const lax = { strictness: { strict: false, why: 'relaxed' } };
    expect(notesOf(withFirst({ ...lax, attribute: 'wc' }))).toEqual([]);
    expect(notesOf(withFirst({ ...lax, source: 'memory' }))).toEqual([]);
  });
});

describe('bus locks', () => {
  test('are not spoken of where KVM does not tell of them', () => {
    expect(busLockLines(sampleReport(), style)).toEqual([]);
  });

  test('are told by probe, and that there were none', () => {
    const told = changeChecks(sampleReport(), ({ probe, window }) => ({ busLocks: probe === 'atomic' ? window : 0 }));
    const perWindow = told.checks.filter(({ probe, window }) => probe === 'atomic' && window === 0).length;
    expect(busLockLines(told, style)).toEqual([`  bus locks  reported by KVM: ${3 * perWindow} in atomic`]);
    expect(
      busLockLines(
        changeChecks(sampleReport(), () => ({ busLocks: 0 })),
        style,
      ),
    ).toEqual(['  bus locks  KVM reported none']);
    expect(renderReport(told, style)).toContain('reported by KVM');
  });
});
