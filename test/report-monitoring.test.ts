import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { kindOfType } from '../memattr/index.ts';
import { monitored } from '../tool/cli/commands/monitoring.ts';
import { formatFeatureLabels, formatPrometheus, labelValue } from '../tool/report/monitoring.ts';
import type { Verification } from '../tool/report/monitoring.ts';
import type { Report } from '../tool/report/report.ts';
import { changeChecks, sampleReport, unreadReport, x86Report } from './report-sample.ts';

const PROMTOOL = '/usr/bin/promtool';
const time = new Date('2026-11-21T12:00:00.750Z');

const mismatch = changeChecks(sampleReport(), ({ probe, window }) =>
  probe === 'unaligned-load' && window === 0 ? { observed: 'ok', verdict: 'mismatch', note: 'wrong' } : undefined,
);
const found: readonly (readonly [string, string, Verification])[] = [
  ['arm64', 'match', { report: sampleReport(), time }],
  ['x86', 'match', { report: x86Report('npt'), time }],
  ['a mismatch', 'mismatch', { report: mismatch, time }],
  ['nothing shown', 'not-proven', { report: unreadReport(), time }],
  ['an error', 'error', { report: null, error: 'E_COOKIE_UNSUPPORTED', time }],
  ['a hostile device', 'match', { report: hostile(), time }],
];

function hostile(): Report {
  return sampleReport({ device: { address: '"} 1\\\n', id: null, source: 'cookie' } });
}

describe.each(found)('%s', (_, result, verification) => {
  test('gauges: one result, and it is the right one', () => {
    const text = formatPrometheus(verification);
    expect([...text.matchAll(/^wcvmm_verify_result\{result="([a-z-]+)"\} 1$/gm)].map(([, one]) => one)).toEqual([
      result,
    ]);
    expect(text).toMatch(/^wcvmm_verify_timestamp_seconds 1795262400$/m);
    const wrong = result === 'match' ? /^wcvmm_window_proven\{.*\} 0$/m : /^wcvmm_verify_result\{result="match"\} 1$/m;
    expect(text).not.toMatch(wrong);
  });

  test.skipIf(!existsSync(PROMTOOL))(`promtool finds nothing wrong (skipped without ${PROMTOOL})`, () => {
    const { status, stdout, stderr } = spawnSync(PROMTOOL, ['check', 'metrics'], {
      input: formatPrometheus(verification),
      encoding: 'utf8',
    });
    expect([status, stdout + stderr]).toEqual([0, '']);
  });

  test('labels that Kubernetes takes, until they expire', () => {
    const [expiry = '', ...lines] = formatFeatureLabels(verification).trimEnd().split('\n');
    expect(expiry).toBe('# +expiry-time=2026-11-22T12:00:00Z');
    expect(lines[0]).toBe(`feature.node.kubernetes.io/wcvmm.result=${result}`);
    for (const line of lines)
      expect(line).toMatch(
        /^feature\.node\.kubernetes\.io\/[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?=[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/,
      );
  });
});

test.skipIf(!existsSync(PROMTOOL))(`promtool can say no (skipped without ${PROMTOOL})`, () => {
  const bad = formatPrometheus({ report: sampleReport(), time }).replace('# HELP wcvmm_verify_checks', '# HELP x');
  expect(spawnSync(PROMTOOL, ['check', 'metrics'], { input: bad }).status).not.toBe(0);
});

test('what stage 2 became; what was not proven has no type', () => {
  expect(formatFeatureLabels({ report: sampleReport(), time })).toContain('wcvmm.stage2.device=Device-nGnRE\n');
  expect(formatFeatureLabels({ report: x86Report('ept'), time })).toContain('wcvmm.stage2.device=EPT_UC_IPAT\n');
  expect(formatFeatureLabels({ report: unreadReport(), time })).toContain('wcvmm.stage2.device=not_proven\n');
  const [first, ...others] = sampleReport().windows;
  if (first === undefined) throw new Error('no window');
  const mixed = sampleReport({
    windows: [first, ...others.map((window) => Object.assign({}, window, { attribute: 'device' as const }))],
  });
  expect(formatFeatureLabels({ report: mixed, time })).toContain('wcvmm.stage2.device=several\n');
});

test('any text becomes a value that Kubernetes takes, and types stay apart', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      expect(labelValue(text)).toMatch(/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/);
    }),
  );
  const types = ['UC', 'UC-', 'WC', 'NPT UC', 'NPT UC-', 'EPT UC', 'EPT UC IPAT', 'Device-nGnRE', 'Normal-NC'];
  expect(types.filter((type) => type.includes(' ') || kindOfType(type) !== 'unknown')).toEqual(types);
  expect(new Set(types.map(labelValue)).size).toBe(types.length);
});

describe('the files', () => {
  let folder = '';
  let options = { prom: '', nfd: '' };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wcvmm-monitoring-'));
    options = { prom: join(folder, 'wcvmm.prom'), nfd: join(folder, 'wcvmm') };
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const results = (): readonly string[] =>
    [options.prom, options.nfd].map(
      (path) => /result="([a-z-]+)"\} 1$|result=([a-z-]+)$/m.exec(readFileSync(path, 'utf8'))?.slice(1).join('') ?? '',
    );

  test('are written whole, and nothing else is left', async () => {
    await monitored(options, () => Promise.resolve(sampleReport()));
    expect(results()).toEqual(['match', 'match']);
    expect(readdirSync(folder).toSorted()).toEqual(['wcvmm', 'wcvmm.prom']);
  });

  test('say so when the next verification fails, and the failure goes on', async () => {
    await monitored(options, () => Promise.resolve(sampleReport()));
    const error = new WcvmmError('E_DEVICE_ABSENT', 'gone');
    await expect(monitored(options, () => Promise.reject(error))).rejects.toBe(error);
    expect(results()).toEqual(['error', 'error']);
    expect(readFileSync(options.nfd, 'utf8')).toContain('wcvmm.error=E_DEVICE_ABSENT\n');
    await monitored(options, () => Promise.resolve(null));
    expect(results()).toEqual(['error', 'error']);
  });

  test('a folder that does not exist is an error before anything is verified', async () => {
    const none = { prom: join(folder, 'none', 'wcvmm.prom') };
    await expect(monitored(none, () => Promise.reject(new Error('it ran')))).rejects.toThrow(
      expect.objectContaining({ code: 'E_REPORT' }),
    );
    writeFileSync(join(folder, 'file'), '');
    await expect(
      monitored({ nfd: join(folder, 'file', 'x') }, () => Promise.reject(new Error('it ran'))),
    ).rejects.toThrow(expect.objectContaining({ code: 'E_REPORT' }));
  });
});
