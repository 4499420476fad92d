import { describe, expect, test } from 'vitest';
import type { Report } from '../tool/report/report.ts';
import { inOneBoot } from './support.ts';

const DEVICE = ['-d', '0000:01:00.0'] as const;

describe('a stock kernel', async () => {
  const [cookie, legacy, sysfs, legacyWc] = await inOneBoot(
    [
      ['verify', ...DEVICE],
      ['verify', ...DEVICE, '--source', 'legacy', '--json', '-'],
      ['verify', ...DEVICE, '--source', 'sysfs', '--json', '-'],
      ['verify', ...DEVICE, '--source', 'legacy', '-m', 'bar2=wc'],
    ],
    { kernel: 'stock', timeout: 300 },
  );
  const report = (done: typeof legacy): Report => JSON.parse(done?.stdout ?? '') as Report;

  test('refuses a cookie, names what it lacks and ends with 2', () => {
    expect(cookie?.code).toBe(2);
    expect(cookie?.stderr).toMatch(/E_COOKIE_UNSUPPORTED.*VFIO_DEVICE_FEATURE_MMAP_COOKIE/);
  });

  test('still gives verdicts for legacy offsets', () => {
    expect(legacy?.code).toBe(0);
    const { summary, platform, device, windows } = report(legacy);
    expect(summary.mismatch).toBe(0);
    expect(summary.match).toBeGreaterThan(0);
    expect(platform.cookies).toBe(false);
    expect(device.source).toBe('legacy');
    expect(windows[0]?.stage2).toMatchObject({ predicted: 'Normal-NC', programmed: null });
  });

  test('still gives verdicts for sysfs, and a strict window ends the VM with EFAULT', () => {
    expect(sysfs?.code).toBe(0);
    const { checks, windows, platform, limits } = report(sysfs);
    expect(windows.filter(({ source }) => source === undefined).map(({ stage2 }) => stage2.predicted)).toEqual([
      'Device-nGnRE',
      'Device-nGnRE',
    ]);
    const killed = checks.filter(({ observed }) => observed === 'vm-killed');
    expect(killed.length).toBeGreaterThan(0);
    for (const { verdict, predicted, alternatives, stage1 } of killed) {
      expect([verdict, predicted, alternatives]).toEqual(['match', 'alignment-fault', ['vm-killed']]);
      expect(stage1).toMatch(/^Normal/);
    }
    expect(platform.faultForwarding).toBeNull();
    expect(limits?.join('\n')).toMatch(/does not say whether it forwards stage-2 alignment faults/);
  });

  test('gives the legacy offset no attribute but default', () => {
    expect(legacyWc?.code).toBe(2);
    expect(legacyWc?.stderr).toMatch(/E_SOURCE.*kernel-patches/);
  });
});
