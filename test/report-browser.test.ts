import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatHtml } from '../tool/report/html/page.ts';
import { formatJunit } from '../tool/report/junit.ts';
import { nameMachines } from '../tool/report/machine.ts';
import type { Report } from '../tool/report/report.ts';
import { benchReport, changeChecks, sampleReport, x86Report } from './report-sample.ts';

/** Debian's, as testbed/setup --tests installs it. */
const BROWSER = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const broken = changeChecks(sampleReport(), ({ probe, window }) =>
  probe === 'unaligned-store' && window === 0
    ? { observed: 'ok', verdict: 'mismatch', note: '</style><script>document.title = "owned"</script>' }
    : undefined,
);
const PAGES: readonly (readonly [string, readonly Report[]])[] = [
  ['one report', [sampleReport()]],
  ['a broken one', [broken]],
  ['measurements', [benchReport('measured in an emulator')]],
  ['three machines', [sampleReport(), x86Report('npt'), x86Report('ept')]],
];

describe.skipIf(!existsSync(BROWSER))(`the page in a browser (skipped without ${BROWSER})`, () => {
  let folder = '';
  let context: BrowserContext;
  const requests: string[] = [];
  const complaints: string[] = [];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
    context = await chromium.launchPersistentContext(join(folder, 'profile'), {
      executablePath: BROWSER,
      headless: true,
      args: FLAGS,
    });
    context.on('request', (request) => void requests.push(request.url()));
    context.on('console', (message) => void complaints.push(message.text()));
    context.on('weberror', (error) => void complaints.push(String(error.error())));
  });
  afterAll(async () => {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(
    name: string,
    reports: readonly Report[],
    colorScheme: 'light' | 'dark',
    width: number,
  ): Promise<Page> {
    const path = join(folder, `${name.replaceAll(' ', '-')}.html`);
    writeFileSync(path, formatHtml(nameMachines(reports.map((report, index) => ({ path: `r${index}.json`, report })))));
    const page = await context.newPage();
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    requests.length = 0;
    complaints.length = 0;
    await page.goto(pathToFileURL(path).href);
    return page;
  }

  describe.each(PAGES)('%s', (name, reports) => {
    it.each([
      ['light', 1200],
      ['dark', 1200],
      ['light', 400],
      ['dark', 400],
    ] as const)('is accessible, fits and asks for nothing: %s, %i px', async (scheme, width) => {
      const page = await open(name, reports, scheme, width);
      const overflow = await page.evaluate(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      expect(overflow).toBe(0);
      expect(requests).toEqual([page.url()]);
      expect(complaints).toEqual([]);
      // As a tool of the browser, not as a script of the page, which its policy would refuse.
      await page.evaluate(AXE);
      const faults = await page.evaluate(
        `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.slice(0, 3).map(({ html, any }) => html.slice(0, 120) + ' ' + (any[0]?.message ?? '')).join(' | ')))`,
      );
      expect(faults).toEqual([]);
      await page.close();
    });
  });

  async function backgroundIn(scheme: 'light' | 'dark'): Promise<string> {
    const page = await open('dark', [sampleReport()], scheme, 800);
    const colour = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    await page.close();
    return String(colour);
  }

  it('is dark where that is wanted', async () => {
    expect(await backgroundIn('light')).toBe('rgb(255, 255, 255)');
    expect(await backgroundIn('dark')).toBe('rgb(20, 23, 27)');
  });

  it('can be walked with the keyboard, from a tile to its reason', async () => {
    const page = await open('keyboard', [broken], 'light', 1000);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.className')).toBe('skip');
    const seen: string[] = [];
    for (let press = 0; press < 40 && seen.at(-1) !== 'mismatch'; press += 1) {
      await page.keyboard.press('Tab');
      seen.push(
        String(
          await page.evaluate(
            "document.activeElement.closest('td.mismatch') ? 'mismatch' : document.activeElement.tagName",
          ),
        ),
      );
    }
    expect(seen).toContain('DIV');
    expect(seen.at(-1)).toBe('mismatch');
    await page.keyboard.press('Enter');
    expect(await page.evaluate("document.querySelector(':target').textContent")).toContain('unaligned-store');
    await page.close();
  });

  it('says to a screen reader what the pictures show', async () => {
    const page = await open('reader', [sampleReport()], 'light', 1000);
    await expect(page.locator('body').ariaSnapshot()).resolves.toMatch(
      /img "BAR 2.*bar2:0-64K device, bar2:64K-2M wc, bar2:2M-4M default"/,
    );
    expect(await page.getByRole('rowheader', { name: 'Normal-NC', exact: true }).count()).toBe(3);
    expect(
      await page.getByRole('link', { name: 'ok!2 zero-block: it worked, predicted alignment-fault: erratum' }).count(),
    ).toBe(11);
    await page.close();
  });

  it('runs nothing that a report brings, and no script at all', async () => {
    const page = await open('script', [broken], 'light', 1000);
    expect(await page.title()).toContain('wcvmm');
    expect(await page.locator('script').count()).toBe(0);
    await page.close();
  });

  it('reads the JUnit file as XML', async () => {
    const page = await open('xml', [broken], 'light', 1000);
    const xml = formatJunit([{ name: 'arm64', report: broken }]);
    const found = await page.evaluate(
      `(({ documentElement }) => [documentElement.nodeName, documentElement.querySelectorAll('failure').length])(new DOMParser().parseFromString(${JSON.stringify(xml)}, 'application/xml'))`,
    );
    expect(found).toEqual(['testsuites', 5]);
    await page.close();
  });
});
