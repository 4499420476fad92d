/** Verdicts on arm64 where the stage-2 dump cannot be read, and of what KVM says of stage-2 alignment faults. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { arm64, outcomesOf } from '../memattr/index.ts';
import { exitCodeOf } from '../tool/report/proof.ts';
import { summarise } from '../tool/report/report.ts';
import type { Check, Report } from '../tool/report/report.ts';
import { parseReport } from '../tool/report/schema.ts';
import { renderReport } from '../tool/report/text.ts';
import { verifyArm64 } from '../tool/verify/arch/arm64.ts';
import { checkOf, describeWindow } from '../tool/verify/evidence.ts';
import type { Observation } from '../tool/verify/run-checks.ts';
import { limitsOf } from '../tool/verify/limits.ts';
import { runsOf, mayKillVm, planChecks } from '../tool/verify/plan.ts';
import type { PlannedCheck } from '../tool/verify/plan.ts';
import type { KvmFacts } from '../vmm/kvm/arch/arch.ts';
import { arm64 as arm64Kvm } from '../vmm/kvm/arch/arm64.ts';
import type { BarSource } from '../vmm/vfio/source.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName } from '../vmm/sys/port.ts';
import type { OpenWindow } from '../vmm/vfio/open-windows.ts';
import { stubPort } from './stub-port.ts';

const KVM_CHECK_EXTENSION = 0xae03;
const KVM_GET_ONE_REG = 0x4010aeab;

/** As the series defines it. */
const [, KVM_CAP_ARM_S2_ALIGNMENT_FAULT] = readdirSync(join(projectRoot, 'kernel-patches'))
  .filter((name) => name.endsWith('.patch'))
  .map((name) => readFileSync(join(projectRoot, 'kernel-patches', name), 'utf8'))
  .flatMap((patch) => /^\+#define KVM_CAP_ARM_S2_ALIGNMENT_FAULT (\d+)$/m.exec(patch) ?? [])
  .map(Number);

interface Kernel {
  /** What KVM_CHECK_EXTENSION answers for the capability. */
  readonly capability: number | ErrnoName;
  readonly forwards: boolean;
  /** What KVM makes of the window of the attribute device. */
  readonly device?: string;
}

const WINDOWS = (['device', 'wc', 'default'] as const).map((attribute, index): OpenWindow => {
  const offset = BigInt(index) << 20n;
  const mapping = { address: 0x7f00_0000_0000n + offset, length: 1n << 20n };
  return { bar: 2, offset, length: 1n << 20n, attribute, access: 'mapped', gpa: (1n << 32n) + offset, mapping };
});
const SOURCE = { kind: 'cookie' } as BarSource;
const UNREADABLE = { kind: 'unavailable', why: 'it may only be read by root' } as const;

function factsOn({ capability }: Kernel): KvmFacts {
  const { port } = stubPort({
    ioctls: {
      [KVM_CHECK_EXTENSION](asked) {
        if (asked !== KVM_CAP_ARM_S2_ALIGNMENT_FAULT) return 0;
        if (typeof capability === 'number') return capability;
        throw new SysError('ioctl', ERRNO[capability]);
      },
      [KVM_GET_ONE_REG]: () => 0,
    },
  });
  return arm64Kvm.facts(port, { vm: 3 }, 4);
}

function observationOf(check: PlannedCheck, { forwards, device }: Kernel): Observation {
  const { probe, stage1, stage2, window } = check;
  const made = WINDOWS[window]?.attribute === 'device' ? (device ?? stage2) : stage2;
  const seen = arm64.predict(probe, stage1, made, { fwb: false, faultForwarding: forwards, mte: false });
  const outcome = outcomesOf(seen)?.[0] ?? 'ok';
  return outcome === 'vm-killed'
    ? { kind: 'vm-killed', why: 'KVM_RUN failed' }
    : { kind: 'record', record: { cell: 0, outcome, syndrome: 0n, address: 0n, values: [0n, 0n, 0n, 0n] } };
}

function verifyOn(kernel: Kernel): { report: Report; planned: readonly PlannedCheck[] } {
  const facts = factsOn(kernel);
  const platform = verifyArm64.windowsPlatform(stubPort({}).port, facts, SOURCE, WINDOWS);
  const planned = planChecks(arm64, platform, 'cookie', WINDOWS);
  const known = {
    model: arm64,
    source: SOURCE,
    platform,
    stage2: UNREADABLE,
    windowExits: [],
    pageSize: 4096,
    ticksPerSecond: null,
    emulator: null,
  };
  const checks = planned.map((check): Check =>
    checkOf(known, { check, observation: observationOf(check, kernel), busLocks: null }, null),
  );
  const report: Report = {
    schema: 'wcvmm.report/1',
    command: 'verify',
    arch: 'arm64',
    platform: { kind: 'native', emulator: null, kernel: '7.3.4', cookies: true, fwb: facts.fwb },
    device: { address: '0000:01:00.0', id: '1af4:1110', source: 'cookie' },
    windows: WINDOWS.map((window, index) => describeWindow(known, index, window, undefined)),
    checks,
    limits: limitsOf({
      source: 'cookie',
      stage2: UNREADABLE,
      hostMappings: verifyArm64.readHostMappings(stubPort({}).port, []),
      blindness: null,
      unknowns: verifyArm64.unknowns(platform),
    }),
    summary: summarise(checks),
  };
  return { report: parseReport(JSON.stringify(report)), planned };
}

const KERNELS: readonly (readonly [string, Kernel])[] = [
  ['that forwards and says so', { capability: 1, forwards: true }],
  ['that forwards and does not say so', { capability: 0, forwards: true }],
  ['that does not forward', { capability: 0, forwards: false }],
  ['that refuses the question', { capability: 'EINVAL', forwards: false }],
];

describe.each(KERNELS)('a right kernel %s, its dump unreadable', (_name, kernel) => {
  const { report, planned } = verifyOn(kernel);

  test('has no mismatch', () => {
    expect(report.checks.filter(({ verdict }) => verdict === 'mismatch')).toEqual([]);
    expect(exitCodeOf(report)).toBe(0);
  });

  test('is checked in a VM of its own by whatever may end one', () => {
    const deadly = planned.filter(mayKillVm);
    expect(deadly.length).toBe(kernel.capability === 1 ? 0 : 16);
    expect(runsOf(planned).filter((run) => run.some(mayKillVm))).toEqual(deadly.map((check) => [check]));
  });

  test('is reported with what is not known', () => {
    const text = renderReport(report, { columns: 400, color: false });
    expect(text.includes('does not say whether it forwards stage-2 alignment faults')).toBe(kernel.capability !== 1);
  });
});

test.each(KERNELS)('a kernel %s and makes Normal-NC of device is found by what guests see', (_name, kernel) => {
  const { report } = verifyOn({ ...kernel, device: 'Normal-NC' });
  const wrong = report.checks.filter(({ verdict }) => verdict === 'mismatch');
  expect(wrong.length).toBe(16);
  expect(wrong.every(({ window, observed }) => window === 0 && observed === 'ok')).toBe(true);
  expect(exitCodeOf(report)).toBe(1);
  expect(renderReport(report, { columns: 400, color: false })).toContain(
    kernel.capability === 1 ? 'predicted   alignment-fault, for' : 'predicted   alignment-fault or vm-killed, for',
  );
});
