import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compareFleet } from '../tool/fleet/compare.ts';
import { formatFleetJunit, formatFleetTap } from '../tool/fleet/cases.ts';
import { formatFleetHtml } from '../tool/fleet/html/page.ts';
import { parseHosts } from '../tool/fleet/hosts.ts';
import { rulesOf } from '../tool/fleet/judge.ts';
import { formatFleetJson } from '../tool/fleet/json.ts';
import { isAsExpected, renderFleet } from '../tool/fleet/text.ts';
import type { Fleet } from '../tool/fleet/tally.ts';
import { formatReport } from '../tool/report/json.ts';
import type { Report } from '../tool/report/report.ts';
import { NOW, amdReport, armReport, origin, profile } from './fleet-sample.ts';
import { xmlFault } from './report-readers.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-fleet-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Made once: weighing all their checks takes a while. */
const ARM = armReport();
const AMD = amdReport();

function put(host: string, report: Report): void {
  writeFileSync(join(folder, `${host}.json`), formatReport(report));
}

function fleet(hosts?: string, paths: readonly string[] = [folder]): Promise<Fleet> {
  return compareFleet({
    paths,
    rules: rulesOf(profile, undefined, NOW),
    hosts: hosts === undefined ? null : parseHosts(hosts, 'hosts'),
  });
}

const STYLE = { columns: 100, color: false };

describe('a fleet', () => {
  beforeEach(() => {
    for (const host of ['arm-1', 'arm-2', 'arm-3']) put(host, ARM);
    put('arm-4', { ...ARM, origin: origin({ firmware: 'F 0.9' }) });
    put('arm-5', { ...ARM, origin: origin({ time: '2026-11-01T00:00:00Z' }) });
    put('amd-1', AMD);
    put('amd-2', { ...AMD, windows: AMD.windows.map((one) => Object.assign({}, one, { attribute: 'wc' as const })) });
    put('new-1', { ...ARM, origin: origin({ machine: 'New' }) });
    writeFileSync(join(folder, 'broken.json'), '{ "schema": ');
    writeFileSync(join(folder, 'stock.error'), 'noise\nwcvmm: E_COOKIE_UNSUPPORTED: no cookies\u001B[2J\n');
    writeFileSync(join(folder, 'notes.txt'), 'not a report');
  });

  test('groups hosts that are alike, names the odd ones, and says what is wrong', async () => {
    expect(renderFleet(await fleet(), STYLE)).toMatchInlineSnapshot(`
      "wcvmm compare --expect

      amd.metal
        ✗ differs      1 host: amd-2
                       wc: stage 2 is NPT UC, expected NPT WC
                       wc: host mapping is UC, expected WC
                       wc: stage 2 is NPT WB, expected NPT WC
                       wc: host mapping is UC-, expected WC
                       ≠ stage 2 of default not known (others NPT WB); stage 2 of device not known (others
                         NPT UC); stage 2 of wc NPT UC, NPT WC, NPT WB (others NPT WC)
        ✓ as expected  1 host: amd-1

      arm.metal
        ? not verified 1 host: arm-5
                       stale: older than 24h
        ✓ as expected  3 hosts: arm-1, arm-2, arm-3
        ✓ as expected  1 host: arm-4
                       ≠ firmware F 0.9 (others F 1.0)

      unknown kind
        ? not verified 1 host: broken
                       no report: the file is not a report that can be read
        ? not verified 1 host: new-1
                       unknown kind: it matches none of the profile
        ? not verified 1 host: stock
                       no report: E_COOKIE_UNSUPPORTED: no cookies�[2J

      ✗ 5 of 10 hosts as expected, 1 differs, 4 not verified
      "
    `);
  });

  test('a host of the list without a report is not verified, nor is one that the list does not have', async () => {
    const listed = await fleet('arm-1 arm.metal\ngone arm.metal\nodd-1 odd.metal\nstock arm.metal\n');
    const state = (host: string): unknown => {
      const group = listed.groups.find(({ hosts }) => hosts.includes(host));
      return [group?.kind, group?.state, group?.reasons];
    };
    expect(state('arm-1')).toEqual(['arm.metal', 'as expected', []]);
    expect(state('gone')).toEqual(['arm.metal', 'not verified', ['no report']]);
    expect(state('odd-1')).toEqual([null, 'not verified', ['no report', 'unknown kind: the profile has no odd.metal']]);
    expect(state('arm-2')).toEqual([null, 'not verified', ['unknown kind: the list of hosts does not have it']]);
    expect(state('stock')).toEqual([
      'arm.metal',
      'not verified',
      ['no report: E_COOKIE_UNSUPPORTED: no cookies\u{FFFD}[2J'],
    ]);
    expect(listed.hosts).toBe(12);
    expect(isAsExpected(listed)).toBe(false);
  });

  test('two reports of one host are none', async () => {
    mkdirSync(join(folder, 'again'));
    writeFileSync(join(folder, 'again', 'arm-1.json'), formatReport(ARM));
    const found = await fleet(undefined, [folder, join(folder, 'again')]);
    expect(found.groups.find(({ hosts }) => hosts.includes('arm-1'))).toMatchObject({
      state: 'not verified',
      reasons: ['there is more than one report of it'],
    });
    const once = await fleet(undefined, [join(folder, 'arm-1.json'), join(folder, 'arm-1.json')]);
    expect(isAsExpected(once)).toBe(true);
  });

  test('only as expected passes in JUnit, TAP and JSON', async () => {
    const found = await fleet();
    const junit = formatFleetJunit(found);
    expect(xmlFault(junit)).toBeNull();
    expect(junit).toContain('<testsuites name="wcvmm fleet" tests="10" failures="1" errors="4" skipped="0">');
    expect([...junit.matchAll(/<testcase [^>]*name="([^"]*)"\/>/g)].map(([, name]) => name)).toEqual([
      'amd-1',
      'arm-1',
      'arm-2',
      'arm-3',
      'arm-4',
    ]);
    const points = readTapPoints(formatFleetTap(found));
    expect(points.filter((ok) => ok)).toHaveLength(5);
    expect(points).toHaveLength(10);
    expect(JSON.parse(formatFleetJson(found))).toMatchObject({
      schema: 'wcvmm.fleet/1',
      asExpected: false,
      hosts: 10,
      counts: { 'as expected': 5, differs: 1, 'not verified': 4 },
    });
  });

  test('the page has every host, and nothing of a report is markup', async () => {
    put('a"><script>1<script>', { ...ARM, origin: origin({ machine: '<script>2</script>' }) });
    const page = formatFleetHtml(await fleet());
    expect(page.match(/<script/g)).toHaveLength(1);
    for (const host of ['arm-1', 'amd-2', 'new-1', 'broken', 'stock']) expect(page).toContain(`<li>${host}</li>`);
  });
});

test('a fleet that is as expected, and one without hosts, which is not', async () => {
  put('arm-1', ARM);
  expect(renderFleet(await fleet(), STYLE)).toMatchInlineSnapshot(`
    "wcvmm compare --expect

    arm.metal
      ✓ as expected  1 host: arm-1

    ✓ 1 of 1 host as expected
    "
  `);
  expect(isAsExpected(await fleet())).toBe(true);
  rmSync(join(folder, 'arm-1.json'));
  expect(isAsExpected(await fleet())).toBe(false);
});

test('a path that does not exist is an error', async () => {
  await expect(fleet(undefined, [join(folder, 'none')])).rejects.toThrow(expect.objectContaining({ code: 'E_REPORT' }));
});

/** Points of a flat TAP. */
function readTapPoints(tap: string): readonly boolean[] {
  const [version, plan, ...lines] = tap.trimEnd().split('\n');
  expect(version).toBe('TAP version 14');
  const points = lines.flatMap((line) => (/^(?:not )?ok \d+ - /.test(line) ? [line.startsWith('ok')] : []));
  expect(plan).toBe(`1..${points.length}`);
  return points;
}
