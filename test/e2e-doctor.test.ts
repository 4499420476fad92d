import { describe, expect, test } from 'vitest';
import type { Diagnosis } from '../tool/host/doctor/doctor.ts';
import { inOneBoot, insideScript } from './support.ts';
import type { Finished } from './support.ts';

const DEVICE = ['-d', '0000:01:00.0'] as const;

function states({ stdout }: Finished): Readonly<Record<string, string>> {
  const { findings } = JSON.parse(stdout) as Diagnosis;
  return Object.fromEntries(findings.map(({ id, state }) => [id, state]));
}

/** What doctor says of verify is what verify then does. */
function agree(doctor: Finished | undefined, verify: Finished | undefined): void {
  expect(doctor?.code === 0).toBe(verify?.code !== 2);
}

/** An instance on a machine that is busy with others. */
const SLOW = 300;

describe('doctor', { timeout: SLOW * 1000 }, () => {
  test('on the patched kernel everything is there, and verify runs', async () => {
    const [plain, json, verify, unnamed] = await inOneBoot(
      [
        ['doctor', ...DEVICE],
        ['doctor', ...DEVICE, '--json'],
        ['verify', ...DEVICE],
        ['doctor', '--json'],
      ],
      { timeout: SLOW },
    );
    expect(plain?.stdout).toContain('✓ wcvmm verify --source cookie would run here');
    expect(plain?.code).toBe(0);
    expect(states(json ?? fail())).toMatchObject({
      architecture: 'ok',
      kvm: 'ok',
      'kvm-kind': 'ok',
      vm: 'ok',
      fwb: 'ok',
      'fault-forwarding': 'ok',
      irqchip: 'ok',
      iommu: 'ok',
      vfio: 'ok',
      'vfio-pci': 'ok',
      device: 'ok',
      cookies: 'ok',
      'huge-pfnmaps': 'ok',
      debugfs: 'ok',
      'stage2-dump': 'ok',
    });
    agree(plain, verify);
    // No device is opened that nobody named, so nobody can tell; and verify needs a name too.
    expect(states(unnamed ?? fail())).toMatchObject({ device: 'note', cookies: 'unknown' });
    expect(unnamed?.code).toBe(1);
  });

  test('on a stock kernel the cookies are missing, and each source is told apart', async () => {
    const sources = ['cookie', 'sysfs', 'legacy'] as const;
    const found = await inOneBoot(
      sources.flatMap((source) => [
        ['doctor', ...DEVICE, '--source', source],
        ['verify', ...DEVICE, '--source', source],
      ]),
      { kernel: 'stock', timeout: SLOW },
    );
    expect(found.map(({ code }) => code)).toEqual([1, 2, 0, 0, 0, 0]);
    for (const index of [0, 2, 4]) agree(found[index], found[index + 1]);
    expect(found[0]?.stdout).toMatch(/missing {2}cookies .*VFIO_DEVICE_FEATURE_MMAP_COOKIE \(probed\)/);
  });

  test('without an IOMMU', async () => {
    const [cookie, sysfs] = await inOneBoot(
      [
        ['doctor', ...DEVICE],
        ['doctor', ...DEVICE, '--source', 'sysfs'],
      ],
      { iommu: false, timeout: SLOW },
    );
    expect([cookie?.code, sysfs?.code]).toEqual([1, 0]);
    expect(cookie?.stdout).toMatch(/would not run here: iommu, /);
  });

  test('for a user who may nothing', async () => {
    const { code, stdout } = await insideScript('unprivileged', ['doctor', ...DEVICE], { timeout: SLOW });
    expect(code).toBe(1);
    expect(stdout).toMatch(/missing {2}kvm .*may not open/);
    expect(stdout).toContain('CAP_IPC_LOCK');
  });
});

function fail(): never {
  throw new Error('the command did not run');
}
