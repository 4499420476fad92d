import { describe, expect, test } from 'vitest';
import { packageVersion } from '../common/version.ts';
import { parseReport } from '../tool/report/schema.ts';
import { VERIFY_ARCHITECTURES } from '../tool/verify/arch/index.ts';
import { belowHypervisor, insideConfidential } from '../tool/verify/limits.ts';
import { originHere } from '../tool/verify/origin.ts';
import { sampleReport } from './report-sample.ts';
import { stubPort } from './stub-port.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';

const NOW = new Date('2026-11-21T18:00:00Z');
/** More flags than fit in a field of a report. */
const FLAGS = `${'flag_of_some_length '.repeat(100)}hypervisor lahf_lm`;
const CPUINFO = [0, 1]
  .map(
    (processor) => `processor\t: ${processor}
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC 9005
stepping\t: ${processor + 1}
microcode\t: 0x1000065
flags\t\t: ${FLAGS}
`,
  )
  .join('\n');

const X86 = {
  '/proc/cpuinfo': CPUINFO,
  '/proc/version': 'Linux version 7.3.4-wcvmm (root@build) (gcc 12) #1 SMP Sat Nov 21\n',
  '/sys/class/dmi/id/sys_vendor': 'Amazon EC2\n',
  '/sys/class/dmi/id/product_name': 'm8a.metal\n',
  '/sys/class/dmi/id/bios_vendor': 'Amazon EC2\n',
  '/sys/class/dmi/id/bios_version': '1.0\u001B[2J\n',
};

describe('where a report was made', () => {
  test('on x86', () => {
    const { port } = stubPort({ texts: X86 });
    expect(originHere(port, VERIFY_ARCHITECTURES.x86, ['verify', '-d', '0000:01:00.0'], NOW)).toEqual({
      host: expect.any(String),
      machine: 'Amazon EC2 m8a.metal',
      // What firmware says cannot move a terminal's cursor.
      firmware: 'Amazon EC2 1.0 [2J',
      hypervisor: true,
      confidential: null,
      cpu: { model: 'AMD EPYC 9005', stepping: 'family 26 model 2 stepping 1', microcode: '0x1000065' },
      kernelBuild: 'Linux version 7.3.4-wcvmm (root@build) (gcc 12) #1 SMP Sat Nov 21',
      series: 'wcvmm',
      wcvmm: packageVersion(),
      time: '2026-11-21T18:00:00.000Z',
      asked: ['verify', '-d', '0000:01:00.0'],
    });
  });

  test('on x86 that is not a guest', () => {
    const { port } = stubPort({ texts: { '/proc/cpuinfo': CPUINFO.replaceAll('hypervisor ', '') } });
    expect(originHere(port, VERIFY_ARCHITECTURES.x86, [], NOW).hypervisor).toBe(false);
  });

  test('on arm64, by MIDR', () => {
    const texts = {
      '/proc/cpuinfo': 'processor\t: 0\nCPU variant\t: 0x1\nCPU part\t: 0xd4f\nCPU revision\t: 2\n',
      '/sys/devices/system/cpu/cpu0/regs/identification/midr_el1': '0x00000000411fd4f2\n',
    };
    const { cpu, hypervisor, series } = originHere(stubPort({ texts }).port, VERIFY_ARCHITECTURES.arm64, [], NOW);
    expect(cpu).toEqual({ model: '0x00000000411fd4f2', stepping: 'r1p2', microcode: null });
    expect([hypervisor, series]).toEqual([null, null]);
  });

  test.each(['x86', 'arm64'] as const)('on %s that shows nothing is not known, and the report is still one', (arch) => {
    const origin = originHere(stubPort({}).port, VERIFY_ARCHITECTURES[arch], [], NOW);
    expect(origin).toMatchObject({ machine: null, firmware: null, hypervisor: null, kernelBuild: null, series: null });
    expect(origin.cpu).toEqual({ model: null, stepping: null, microcode: null });
    expect(parseReport(JSON.stringify(sampleReport({ origin }))).origin).toEqual(origin);
  });

  test('below a hypervisor is said, unless it is an emulator, which is named', () => {
    const origin = originHere(stubPort({ texts: X86 }).port, VERIFY_ARCHITECTURES.x86, [], NOW);
    const { platform } = sampleReport();
    expect(belowHypervisor({ origin, platform })).toEqual([]);
    expect(belowHypervisor({ origin, platform: { ...platform, emulator: null } })).toHaveLength(1);
    expect(belowHypervisor({ platform: { ...platform, emulator: null } })).toEqual([]);
  });

  test.each<[string, string, boolean | null]>([
    ['QEMU', 'Standard PC (Q35 + ICH9, 2009)', true],
    ['Amazon EC2', 'm8g.large', true],
    ['Amazon EC2', 'm8g.metal-24xl', false],
    ['Microsoft Corporation', 'Virtual Machine', true],
    ['Microsoft Corporation', 'C2030', null],
    ['Dell Inc.', 'PowerEdge', null],
  ])('on arm64 the vendor says whether it is below a hypervisor: %s %s', (vendor, product, hypervisor) => {
    const texts = { '/sys/class/dmi/id/sys_vendor': `${vendor}\n`, '/sys/class/dmi/id/product_name': `${product}\n` };
    expect(originHere(stubPort({ texts }).port, VERIFY_ARCHITECTURES.arm64, [], NOW).hypervisor).toBe(hypervisor);
  });

  test.each([
    ['x86', { texts: { '/proc/cpuinfo': CPUINFO.replaceAll('lahf_lm', 'tdx_guest') } }, 'TDX'],
    ['x86', { nodes: { '/dev/sev-guest': 'ok' } }, 'SEV-SNP'],
    ['x86', {}, null],
    ['arm64', { folders: { '/sys/module/arm_cca_guest': [] } }, 'Arm CCA'],
    ['arm64', {}, null],
  ] as const)('on %s inside a confidential guest or not: %j', (arch, stub, kind) => {
    const origin = originHere(stubPort(stub).port, VERIFY_ARCHITECTURES[arch], [], NOW);
    expect(origin.confidential).toBe(kind);
    expect(insideConfidential({ origin })).toHaveLength(kind === null ? 0 : 1);
    expect(parseReport(JSON.stringify(sampleReport({ origin }))).origin).toEqual(origin);
  });
});

describe('the registers of all CPUs', () => {
  const MTRR_CAPABILITY = 0xfen;
  const FIRST_VARIABLE = 0x200n;

  /** One variable MTRR; CPU n's is `ranges[n]`. */
  function limitsOf(ranges: readonly (bigint | null)[]): readonly string[] {
    const { port } = stubPort({ folders: { '/dev/cpu': ['microcode', ...ranges.map((_, cpu) => String(cpu))] } });
    return VERIFY_ARCHITECTURES.x86.hostLimits({
      ...port,
      open: (path) => Number(/^\/dev\/cpu\/(\d+)\/msr$/.exec(path)?.[1]),
      pread: (fd, into, offset) => {
        const range = ranges[fd] ?? null;
        if (range === null) throw new SysError('pread', ERRNO.EIO);
        const value = offset === MTRR_CAPABILITY ? 1n : offset === FIRST_VARIABLE ? range : 7n;
        new DataView(into.buffer).setBigUint64(0, value, true);
        return 8;
      },
    });
  }

  test('are looked at, and one that is unlike is named', () => {
    expect(limitsOf([6n, 6n, 6n])).toEqual([]);
    expect(limitsOf([6n])).toEqual([]);
    expect(limitsOf([6n, 6n, 0x8000_0001n]).join()).toMatch(/MTRRs of CPU 2 are not those of CPU 0/);
    expect(limitsOf([6n, null, 6n]).join()).toMatch(/read on 2 of 3 CPUs/);
    expect(limitsOf([null]).join()).toMatch(/were not read/);
  });
});
