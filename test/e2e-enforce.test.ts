import { describe, expect, test } from 'vitest';
import type { Check, Report } from '../tool/report/report.ts';
import { inOneBoot } from './support.ts';
import type { Finished } from './support.ts';

const DEVICE_WINDOW = ['-d', '0000:01:00.0', '-m', 'bar2:0-64K=device'] as const;
const WINDOWS = [...DEVICE_WINDOW, '-m', 'bar2:64K-128K=wc'] as const;

function reportOf(done: Finished | undefined): Report {
  return JSON.parse(done?.stdout ?? '') as Report;
}

/** Those of the first window, the device window. */
function checksOf({ checks }: Report, probe: string): readonly Check[] {
  return checks.filter((check) => check.window === 0 && check.probe === probe);
}

describe.each([
  // The kernel of the testbeds carries MOVNTDQA out, and QEMU has no MOVDIR64B.
  { arch: 'x86-amd', guest: 'x86', stage2: 'NPT UC', hostVma: 'UC', mappedIsStrict: false, relaxed: 'WB', killed: [] },
  {
    arch: 'arm64',
    guest: 'arm64',
    stage2: 'Device-nGnRE',
    hostVma: 'Device-nGnRnE',
    mappedIsStrict: true,
    relaxed: 'Normal-WB',
    killed: [
      'unaligned-load-simd',
      'unaligned-store-simd',
      'unaligned-load-pair',
      'unaligned-store-pair',
      'simd-half-aligned',
      'zero-block',
      'exclusive',
      'atomic',
    ],
  },
])('--enforce on the $arch testbed', async ({ arch, guest, stage2, hostVma, mappedIsStrict, relaxed, killed }) => {
  const [mapped, trapped, pointless, run] = await inOneBoot(
    [
      ['verify', ...DEVICE_WINDOW, '--json', '-'],
      ['verify', ...WINDOWS, '--enforce', '--json', '-'],
      ['verify', '-d', '0000:01:00.0', '-m', 'bar2=wc', '--enforce'],
      ['run', ...WINDOWS, '--enforce', '--json', '-', `/wcvmm/${guest}-tests/build/guest.elf`],
    ],
    { arch },
  );

  test('without it the device window has a memslot, and no access is an exit', () => {
    const [window] = reportOf(mapped).windows;
    expect(window?.trapped).toBeUndefined();
    expect(window?.stage2).toMatchObject({ predicted: stage2, programmed: stage2 });
    expect(window?.strictness?.strict).toBe(mappedIsStrict);
    expect(mapped?.code).toBe(0);
  });

  test('with it stage 2 maps nothing there, every access is an exit, and the window is strict', () => {
    const [device, wc] = reportOf(trapped).windows;
    expect(device?.stage2).toEqual({ predicted: 'trapped', programmed: 'trapped', blockSize: null });
    expect(device?.trapped?.exits).toBeGreaterThan(1000);
    expect(device?.strictness).toEqual({ strict: true, why: expect.stringContaining(hostVma) });
    expect([device?.hostVma.predicted, device?.hostVma.programmed ?? hostVma]).toEqual([hostVma, hostVma]);
    expect(wc?.trapped).toBeUndefined();
    expect(wc?.stage2.programmed).not.toBe('trapped');
  });

  test('every check is as the model has it', () => {
    const report = reportOf(trapped);
    expect(report.checks.filter(({ verdict }) => verdict === 'mismatch' || verdict === 'skipped')).toEqual([]);
    for (const { window, effective } of report.checks) expect(window === 0 ? effective : hostVma).toContain(hostVma);
    expect(trapped?.code).toBe(0);
  });

  test.each(['data-read', 'data-write'])('the data of %s is right, whatever the guest calls the memory', (probe) => {
    const checks = checksOf(reportOf(trapped), probe);
    expect(checks.length).toBeGreaterThanOrEqual(5);
    expect(new Set(checks.map(({ observed, verdict }) => `${observed} ${verdict}`))).toEqual(new Set(['ok match']));
  });

  test('is refused where there is no device window, with what to do', () => {
    expect(pointless?.code).toBe(2);
    expect(pointless?.stderr).toMatch(/E_USAGE: --enforce .*no --map asks for one.*Or leave out --enforce/);
  });

  test('run says what is trapped', () => {
    expect(run?.stderr).toMatch(/^bar2:0\+64K device at gpa 0x100000000: trapped: no memslot, 0 accesses were exits$/m);
    expect(JSON.parse(run?.stdout.slice(run.stdout.indexOf('{')) ?? '')).toMatchObject({
      exit: { kind: 'done' },
      windows: [{ trapped: { exits: 0 } }, { attribute: 'wc' }],
    });
    expect(run?.code).toBe(0);
  });

  test('an access that KVM cannot carry out ends its VM, and the next question gets another', () => {
    const answers = reportOf(trapped).checks.filter(({ window, stage1 }) => window === 0 && stage1 === relaxed);
    expect(answers.filter(({ observed }) => observed === 'vm-killed').map(({ probe }) => probe)).toEqual(killed);
    expect(answers.length).toBeGreaterThan(killed.length + 5);
  });
});
