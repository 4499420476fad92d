import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kindOfOutcome } from '../tool/report/html/kind.ts';
import { html } from '../tool/report/html/markup.ts';
import { rangeOf } from '../tool/report/html/plot.ts';
import { formatHtml } from '../tool/report/html/page.ts';
import { nameMachines } from '../tool/report/machine.ts';
import type { Figure, Report } from '../tool/report/report.ts';
import { unreadReport, benchReport, changeChecks, sampleReport, sampleWindow, x86Report } from './report-sample.ts';

const sample = sampleReport();
const pageOf = (...reports: readonly Report[]): string =>
  formatHtml(nameMachines(reports.map((report, index) => ({ path: `r${index}.json`, report }))));
const broken = changeChecks(sample, ({ probe, window }) =>
  probe === 'unaligned-store' && window === 0
    ? { observed: 'ok', verdict: 'mismatch', note: 'Device memory requires alignment' }
    : undefined,
);
const PAGES: readonly (readonly [string, string])[] = [
  ['one report', pageOf(sample)],
  ['a broken one', pageOf(broken)],
  ['three machines', pageOf(sample, x86Report('npt'), x86Report('ept'))],
  ['measurements', pageOf(benchReport('measured in an emulator'))],
  ['measurements and checks', pageOf(benchReport(), sample)],
  ['nothing asked', pageOf(sampleReport({ checks: [], windows: [] }))],
];

const tagsOf = (page: string): string[] => page.match(/<[^>]*>/g) ?? [];
const idsOf = (page: string): string[] => [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id ?? '');

describe('markup', () => {
  it('escapes what is put in, and leaves markup as it is', () => {
    expect(html`<b title="${'"<&'}">${['x', html`<i>${'<'}</i>`, null]}${null}${5}</b>`.text).toBe(
      '<b title="&quot;&lt;&amp;">x<i>&lt;</i>5</b>',
    );
  });
});

describe.each(PAGES)('the page of %s', (_, page) => {
  it('is complete in itself, and says so to the browser', () => {
    const [, style = ''] = /<style>([^]*?)<\/style>/.exec(page) ?? [];
    const hash = createHash('sha256').update(style).digest('base64');
    expect(page).toContain(
      `content="default-src &#39;none&#39;; style-src &#39;sha256-${hash}&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;"`,
    );
    for (const tag of tagsOf(page)) {
      expect(tag).not.toMatch(/^<(script|link|img|iframe|object|embed|base|form|image|use)\b/);
      expect(tag).not.toMatch(/\s(on\w+|style|src|srcset|action|xlink:href)=/);
      expect(/href="([^#"]*)/.exec(tag)?.[1] ?? '').toBe('');
      expect(/url\(([^#)]*)/.exec(tag)?.[1] ?? '').toBe('');
    }
    expect(style).not.toMatch(/url\(|@import|https?:/);
  });

  it('closes its elements in order, and has each id once', () => {
    const open: string[] = [];
    const closed: string[] = [];
    for (const tag of tagsOf(page).slice(1)) {
      const [, close, name = ''] = /^<(\/?)([a-z0-9]+)/i.exec(tag) ?? [];
      if (close === '/') closed.push(`${open.pop() ?? ''} ${name}`);
      else if (!tag.endsWith('/>') && name !== 'meta' && name !== 'br') open.push(name);
    }
    expect(open).toEqual([]);
    expect(closed.filter((pair) => pair.split(' ')[0] !== pair.split(' ')[1])).toEqual([]);
    const ids = idsOf(page);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('leads nowhere that is not there', () => {
    const ids = new Set(idsOf(page));
    const targets = [...page.matchAll(/(?:href="#|url\(#|aria-labelledby=")([^")]*)/g)].map(([, id]) => id ?? '');
    expect(targets.filter((id) => !ids.has(id))).toEqual([]);
  });
});

/** The elements of a page whose every text is this one. */
function skeleton(text: string): string[] {
  const everywhere = {
    ...sample,
    platform: { ...sample.platform, kernel: text, emulator: text },
    device: { ...sample.device, id: text },
    limits: [text],
  };
  const report = changeChecks(everywhere, ({ window }) => (window === 0 ? { note: text, effective: text } : undefined));
  return tagsOf(pageOf(report)).map((tag) => /^<\/?[a-z0-9!]*/i.exec(tag)?.[0] ?? '');
}

describe('what the page says', () => {
  it('of a run that holds, and one that does not', () => {
    expect(pageOf(sample)).toContain('memory type was read back or observed, and nothing contradicts the model.');
    expect(pageOf(sample)).toContain('by 36 of 36 checks that can tell types apart');
    const page = pageOf(broken);
    expect(page).toContain('5 checks are not as predicted.');
    expect(page).toContain('href="#m0-mismatches"');
    expect(page).toContain('Device memory requires alignment');
  });

  it('of a run that proves nothing', () => {
    const page = pageOf(unreadReport());
    expect(page).toContain(
      '<div class="verdict unproven"><p><span class="mark" aria-hidden="true">?</span> Not proven: ',
    );
    expect(page).not.toContain('verdict held');
  });

  it('draws the BAR to scale, and magnifies windows in a small part of it', () => {
    const bars = [{ bar: 2, size: 0x40_0000 }];
    const page = pageOf(sampleReport({ device: { ...sample.device, bars } }));
    expect(page).toMatch(/<rect class="fill" x="50\.000%" y="2" width="50\.000%"/);
    expect(page).not.toContain('magnified');
    const large = pageOf(sampleReport({ device: { ...sample.device, bars: [{ bar: 2, size: 2 ** 33 }] } }));
    expect(large).toContain('BAR 2</b>, 8G');
    expect(large).toContain('magnified');
    expect(pageOf(sample)).toContain('the report does not say how large it is');
  });

  it('of an emulator that no timing is real', () => {
    expect(pageOf(sample)).toContain('<b>Emulated</b> by qemu-10.0.2');
    expect(pageOf(x86Report('npt'))).not.toContain('Emulated');
    expect(pageOf(sample, x86Report('npt'))).toContain('<b>Emulated</b> arm64 by qemu-10.0.2: ');
  });

  it('of an emulator on its measurements too, over each plot', () => {
    const page = pageOf(benchReport('measured in an emulator'));
    expect(page).toContain('<b>Not a hardware figure:</b> measured in an emulator.');
    expect(page.match(/class="watermark"/g)).toHaveLength(3);
    expect(pageOf(benchReport())).not.toMatch(/watermark"|Not a hardware/);
  });

  it('of measurements beside other machines', () => {
    expect(pageOf(benchReport(), benchReport('an emulator'))).toContain('640 MB/s (Normal-NC) not hardware');
  });

  it('of measurements in the checks of a verification', () => {
    const measured = { amount: 4096, ticks: 100, ticksPerSecond: 25_000_000 };
    const page = pageOf(
      changeChecks(sample, ({ predicted }) => (predicted === 'measurement' ? { measured } : undefined)),
    );
    expect(page).toContain('1024 MB/s');
    expect(page).toContain('Not a hardware figure');
  });

  it('of what was not read back, and of what is not as predicted', () => {
    const unread = sampleReport({
      windows: sample.windows.map((window) => ({
        ...window,
        stage2: { ...window.stage2, programmed: null, blockSize: null },
      })),
    });
    expect(pageOf(unread)).toContain('not read back');
    const [, ...rest] = sample.windows;
    const wrong = sampleReport({
      windows: [
        {
          ...sampleWindow('device', 0, 0x1_0000),
          stage2: { predicted: 'Device-nGnRE', programmed: 'Normal-NC', blockSize: null },
        },
        ...rest,
      ],
    });
    expect(pageOf(wrong)).toContain('1 window was not programmed as predicted.');
    expect(pageOf(wrong)).toContain('✗ not Device-nGnRE');
    const trapped = sampleReport({
      windows: [{ ...sampleWindow('device', 0, 0x1_0000), trapped: { exits: 12 } }, ...rest],
    });
    expect(pageOf(trapped)).toContain('each of 12 accesses exited to the VMM');
  });

  it('is text, whatever it is made of', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.constantFrom(
        '</style><script>alert(1)</script>',
        '"><img src=x onerror=alert(1)>',
        '<!--',
        ']]>',
        '\u0000\uD800',
        '&lt;',
      ),
    );
    const usual = skeleton('usual');
    fc.assert(
      fc.property(texts, (text) => {
        fc.pre(text.trim() !== '' && !/^(usual| or )/.test(text));
        expect(skeleton(text)).toEqual(usual);
      }),
      { numRuns: 50 },
    );
  });
});

describe('kinds', () => {
  it('of outcomes', () => {
    expect(
      (['ok', 'alignment-fault', 'vm-killed', 'wrong-data', 'not-present', null] as const).map(kindOfOutcome),
    ).toEqual(['worked', 'fault', 'lost', 'lost', 'none', 'none']);
  });
});

function figures(...values: readonly number[]): Figure[] {
  return (benchReport().bench?.figures ?? [])
    .slice(0, values.length)
    .map((figure, index) => Object.assign({}, figure, { low: values[index], high: values[index] }));
}

describe('rangeOf', () => {
  it('holds every figure, in whole decades', () => {
    expect(rangeOf(figures(12, 25_600))).toEqual({ bottom: 1, top: 5 });
    expect(rangeOf(figures(900, 950))).toEqual({ bottom: 0, top: 3 });
    expect(rangeOf(figures(0, 0))).toEqual({ bottom: 0, top: 3 });
    expect(rangeOf([])).toEqual({ bottom: 0, top: 3 });
    expect(rangeOf(figures(1e-200, 1e15))).toEqual({ bottom: 12, top: 15 });
    expect(rangeOf(figures(1e-3, 1e15))).toEqual({ bottom: 3, top: 15 });
  });
});
