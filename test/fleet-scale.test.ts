/** 1,500 reports in a heap that holds a few hundred at most, and a page of 10,000 hosts in a browser. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeFleet } from '../bench/fleet-reports.ts';
import type { GeneratedFleet } from '../bench/fleet-reports.ts';
import { projectRoot } from '../common/paths.ts';
import { formatFleetHtml } from '../tool/fleet/html/page.ts';
import type { FleetJson } from '../tool/fleet/json.ts';
import { Tally } from '../tool/fleet/tally.ts';

const CLI = join(projectRoot, 'dist/tool/cli/cli.js');
const REPORTS = 1500;
const KINDS = 200;
/** MiB. */
const HEAP = 40;

describe.skipIf(!existsSync(CLI))('many reports (skipped before `npm run build`)', () => {
  let folder = '';
  let fleet: GeneratedFleet;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wcvmm-fleet-'));
    fleet = writeFleet(folder, REPORTS, KINDS, true);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('are read one by one: all of them together do not fit', () => {
    const { profile, hosts: list, reports } = fleet;
    const { stdout, status } = inSmallHeap(
      CLI,
      'compare',
      '--expect',
      profile,
      '--hosts',
      list,
      reports,
      '--json',
      '-',
    );
    const { counts, groups, hosts } = JSON.parse(String(stdout)) as FleetJson;
    const every = (nth: number): number => [...Array(REPORTS).keys()].filter((host) => host % nth === 1).length;
    const both = [...Array(REPORTS).keys()].filter((host) => host % 211 === 1 && host % 499 === 1).length;
    expect(hosts).toBe(REPORTS + 1);
    expect(counts['not verified']).toBe(every(499) + 1);
    expect(counts.differs).toBe(every(211) - both);
    expect(new Set(groups.map(({ kind }) => kind)).size).toBe(KINDS);
    expect(status).toBe(1);
  });

  test('the control: a program that keeps them dies of it', () => {
    const keep = `const fs = require('node:fs'), kept = []; for (const name of fs.readdirSync(process.argv[1])) kept.push(JSON.parse(fs.readFileSync(process.argv[1] + '/' + name)));`;
    expect(inSmallHeap('-e', keep, fleet.reports).status).not.toBe(0);
  });

  test('their size is that of real ones', () => {
    const [first = ''] = readdirSync(fleet.reports);
    expect(statSync(join(fleet.reports, first)).size).toBeGreaterThan(30_000);
  });
});

function inSmallHeap(...args: readonly string[]): ReturnType<typeof spawnSync> {
  return spawnSync(process.execPath, [`--max-old-space-size=${HEAP}`, ...args], { encoding: 'utf8' });
}

/** Debian's, as testbed/setup --tests installs it. */
const BROWSER = '/usr/bin/chromium';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

describe.skipIf(!existsSync(BROWSER))(`a page of 10,000 hosts in a browser (skipped without ${BROWSER})`, () => {
  let folder = '';
  let path = '';
  const contexts: BrowserContext[] = [];
  const complaints: string[] = [];
  const requests: string[] = [];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wcvmm-fleet-'));
    path = join(folder, 'fleet.html');
    const tally = new Tally();
    for (let host = 0; host < 10_000; host++) {
      const kind = `kind-${host % KINDS}.metal`;
      const facts = { kernel: '7.3.4', firmware: host % 97 === 1 ? 'F 1.0' : 'F 1.1' };
      const name = `host-${String(host).padStart(5, '0')}`;
      if (host % 211 === 1)
        tally.add(name, { kind, state: 'differs', reasons: ['wc: stage 2 is NPT UC, expected NPT WC'] }, facts);
      else if (host % 499 === 1) tally.add(name, { kind, state: 'not verified', reasons: ['no report'] }, null);
      else tally.add(name, { kind, state: 'as expected', reasons: [] }, facts);
    }
    writeFileSync(path, formatFleetHtml(tally.fleet()));
  });
  afterAll(async () => {
    for (const context of contexts) await context.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(javaScriptEnabled: boolean): Promise<Page> {
    const context = await chromium.launchPersistentContext(join(folder, `profile-${String(javaScriptEnabled)}`), {
      executablePath: BROWSER,
      headless: true,
      javaScriptEnabled,
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync'],
    });
    contexts.push(context);
    context.on('request', (request) => void requests.push(request.url()));
    context.on('console', (message) => void complaints.push(message.text()));
    context.on('weberror', (error) => void complaints.push(String(error.error())));
    const page = await context.newPage();
    await page.goto(pathToFileURL(path).href);
    return page;
  }

  test('loads nothing else, says what is wrong, and finds a host', async () => {
    const page = await open(true);
    expect(await page.title()).toMatch(/^wcvmm: 99\d\d of 10000 hosts as expected/);
    expect(await page.locator('.kind').count()).toBe(KINDS);
    await page.getByLabel('Search hosts, kinds and reasons').fill('host-00212');
    expect(await page.locator('.group:visible').count()).toBe(1);
    expect(await page.locator('.hosts li:visible').allTextContents()).toEqual(['host-00212']);
    expect(await page.getByRole('status').textContent()).toBe('1 host');
    await page.getByLabel('Search hosts, kinds and reasons').fill('stage 2 is NPT UC');
    expect(await page.locator('.group:visible').count()).toBeGreaterThan(40);
    expect(await page.locator('.group.expected:visible').count()).toBe(0);
    await page.getByLabel('Search hosts, kinds and reasons').fill('kind-7.metal');
    expect(await page.locator('.kind:visible h2').allTextContents()).toEqual(['kind-7.metal']);
    await page.getByLabel('Search hosts, kinds and reasons').fill('');
    expect(await page.locator('.kind:visible').count()).toBe(KINDS);
    expect(requests.filter((url) => !url.startsWith('file:'))).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test.each(['light', 'dark'] as const)('axe finds nothing, %s', async (colorScheme) => {
    const [context] = contexts;
    const page = context?.pages().at(-1);
    if (page === undefined) throw new Error('no page');
    await page.emulateMedia({ colorScheme });
    await page.getByLabel('Search hosts, kinds and reasons').fill('kind-7.metal');
    await page.evaluate(AXE);
    const found = (await page.evaluate(
      '(async () => (await axe.run({ exclude: [".kind[hidden]"] })).violations.map(({ id, nodes }) => id + ": " + nodes[0].html))()',
    )) as readonly string[];
    expect(found).toEqual([]);
  });

  test('without scripts every host is there, and there is no field that does nothing', async () => {
    const page = await open(false);
    expect(await page.locator('.hosts li').count()).toBe(10_000);
    expect(await page.getByLabel('Search hosts, kinds and reasons').isVisible()).toBe(false);
    await page.locator('.group.differs summary').first().click();
    expect(await page.locator('.group.differs .hosts li').first().isVisible()).toBe(true);
  });
});
