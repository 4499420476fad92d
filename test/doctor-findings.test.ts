import { describe, expect, test } from 'vitest';
import { diagnose } from '../tool/host/doctor/doctor.ts';
import type { Diagnosis } from '../tool/host/doctor/doctor.ts';
import type { Finding } from '../tool/host/doctor/finding.ts';
import type { DoctorRequest } from '../tool/host/doctor/passthrough.ts';
import { renderDiagnosis } from '../tool/host/doctor/text.ts';
import { VENDOR_DRIVERS, stubDevice, stubPort } from './stub-port.ts';
import type { Stub } from './stub-port.ts';

const REQUEST: DoctorRequest = { device: null, source: 'cookie', iommu: 'auto' };
const API_VERSION = 0xae00;
const FEATURE = 0x3b75;
const BIND = 0x3b76;

function look(stub: Stub, request: Partial<DoctorRequest> = {}, machine = 'x64'): Diagnosis {
  return diagnose(stubPort(stub).port, { ...REQUEST, ...request }, machine);
}

function finding({ findings }: Diagnosis, id: string): Finding | undefined {
  return findings.find((one) => one.id === id);
}

function x86(vendor: 'GenuineIntel' | 'AuthenticAMD', flags: string, parameter = ''): Stub {
  const path =
    vendor === 'GenuineIntel' ? '/sys/module/kvm_intel/parameters/ept' : '/sys/module/kvm_amd/parameters/npt';
  return { texts: { '/proc/cpuinfo': `vendor_id\t: ${vendor}\nflags\t\t: fpu ${flags}\n`, [path]: parameter } };
}

describe('which kind of KVM', () => {
  test.each([
    ['EPT', x86('GenuineIntel', 'vmx', 'Y\n'), 'ok', /^EPT$/],
    ['EPT switched off', x86('GenuineIntel', 'vmx', 'N\n'), 'missing', /shadow page tables/],
    ['EPT below another hypervisor', x86('GenuineIntel', 'vmx hypervisor', 'Y\n'), 'note', /inside another hypervisor/],
    ['NPT', x86('AuthenticAMD', 'svm', '1\n'), 'note', /no window can be made strict/],
    [
      'a page-table-based one',
      { ...x86('AuthenticAMD', 'hypervisor'), folders: { '/sys/module/kvm_pvm': [] } },
      'missing',
      /kvm_pvm.*says nothing about stage 2/,
    ],
    ['one in software', x86('GenuineIntel', 'hypervisor'), 'missing', /in software/],
  ] as const)('%s', (name, stub, state, detail) => {
    const found = finding(look(stub), 'kvm-kind');
    expect(found?.state).toBe(state);
    expect(found?.detail).toMatch(detail);
    expect(found?.blocks).toBe(name.includes('software') || name.includes('page-table-based'));
  });
});

function cpu(text: string): Stub {
  return { texts: { '/proc/cpuinfo': text } };
}

test('a vendor that is a name of every object is only a text', () => {
  expect(finding(look(cpu('CPU implementer\t: constructor\n'), {}, 'arm64'), 'architecture')?.detail).toBe(
    'arm64, implementer constructor',
  );
  expect(finding(look(cpu('CPU implementer\t: 0xc0\n'), {}, 'arm64'), 'architecture')?.detail).toBe('arm64, Ampere');
});

describe('what is in the way of verify', () => {
  const bound: Stub = {
    ...stubDevice('vfio-pci', '5'),
    nodes: { '/dev/vfio/devices/vfio0': 'ok', '/dev/iommu': 'ok', '/dev/kvm': 'ok' },
    folders: {
      ...stubDevice('vfio-pci', '5').folders,
      '/sys/kernel/iommu_groups': ['5'],
      '/sys/bus/pci/drivers/vfio-pci': [],
      '/sys/bus/pci/devices': ['0000:01:00.0'],
    },
    ioctls: {
      [API_VERSION]: () => 12,
      [BIND]: () => 0,
      0x3b81: () => 0,
      0x3b77: () => 0,
      0x3b6c: () => 0,
      [FEATURE]: () => 0,
    },
  };

  test('an architecture without a guest', () => {
    expect(look({}, {}, 'riscv64').verify.blockedBy).toContain('architecture');
  });

  test('nothing at all is told line by line', () => {
    const diagnosis = look({});
    expect(diagnosis.verify).toEqual({
      runs: false,
      blockedBy: ['kvm', 'kvm-kind', 'iommu', 'vfio', 'vfio-pci', 'device', 'cookies'],
    });
    expect(diagnosis.findings.filter(({ state }) => state === 'missing').map(({ fix }) => fix)).not.toContain(null);
  });

  const NAMED = { device: '0000:01:00.0' } as const;

  test('the device that is named is opened and asked for cookies, and stays switched off', () => {
    const { port } = stubPort(bound);
    const diagnosis = diagnose({ ...port, pwrite: () => expect.unreachable() }, { ...REQUEST, ...NAMED }, 'x64');
    expect(finding(diagnosis, 'cookies')?.state).toBe('ok');
    expect(finding(diagnosis, 'device')?.detail).toMatch(/^0000:01:00\.0 .* iommufd$/);
  });

  test('no device is opened without being named, for that resets it', () => {
    const opened: string[] = [];
    const { port } = stubPort(bound);
    const watched = { ...port, open: (path: string, flags: number) => (opened.push(path), port.open(path, flags)) };
    const diagnosis = diagnose(watched, REQUEST, 'x64');
    expect(opened.filter((path) => path.startsWith('/dev/vfio/devices'))).toEqual([]);
    expect(finding(diagnosis, 'device')).toMatchObject({ state: 'note', blocks: false });
    expect(finding(diagnosis, 'cookies')).toMatchObject({
      state: 'unknown',
      blocks: true,
      fix: expect.stringContaining('-d ADDRESS'),
    });
  });

  test.each(VENDOR_DRIVERS)('%s is a VFIO driver like vfio-pci, which need not be loaded', (driver) => {
    const { '/sys/bus/pci/drivers/vfio-pci': _absent, ...folders } = bound.folders ?? {};
    const variant: Stub = { ...bound, ...stubDevice(driver, '5', 'cdev'), folders };
    expect(finding(look(variant, NAMED), 'cookies')?.state).toBe('ok');
    expect(finding(look(variant), 'vfio-pci')).toMatchObject({ state: 'note', blocks: false });
    expect(look(variant, NAMED).verify.blockedBy.filter((id) => !/^(kvm|vm)/.test(id))).toEqual([]);
    expect(finding(look(variant, { ...NAMED, source: 'sysfs' }), 'device')?.state).toBe('ok');
  });

  test('a kernel that answers ENOTTY has no cookies: only --source cookie minds', () => {
    const stock = { ...bound, ioctls: { ...bound.ioctls, [FEATURE]: 'ENOTTY' as const } };
    expect(finding(look(stock, NAMED), 'cookies')).toMatchObject({ state: 'missing', blocks: true });
    expect(finding(look(stock, { ...NAMED, source: 'legacy' }), 'cookies')).toMatchObject({
      state: 'missing',
      blocks: false,
    });
    expect(finding(look(stock, { ...NAMED, source: 'sysfs' }), 'cookies')).toBeUndefined();
  });

  test('sysfs needs neither IOMMU nor VFIO, memory not even a device', () => {
    expect(look({}, { source: 'sysfs' }).verify.blockedBy).toEqual(['kvm', 'kvm-kind', 'device']);
    expect(look({}, { source: 'memory' }).verify.blockedBy).toEqual(['kvm', 'kvm-kind']);
  });

  test('a device that another driver uses', () => {
    const used = { ...bound, ...stubDevice('nvme', '5') };
    expect(finding(look(used, NAMED), 'device')).toMatchObject({ state: 'missing', blocks: true });
    expect(finding(look(used, { ...NAMED, source: 'sysfs' }), 'device')).toMatchObject({
      state: 'missing',
      blocks: true,
    });
  });

  test('an address that is none is a mistake of the command line, not of the machine', () => {
    expect(() => look({}, { device: 'eth0' })).toThrow(/no PCI address/);
  });

  test('a machine that may not open /dev/kvm', () => {
    expect(finding(look({ nodes: { '/dev/kvm': 'EACCES' } }), 'kvm')).toMatchObject({
      state: 'missing',
      fix: expect.stringContaining('root'),
    });
  });

  test('nothing stays open', () => {
    const { port, open } = stubPort(bound);
    diagnose(port, { ...REQUEST, ...NAMED }, 'x64');
    expect(open.size).toBe(0);
  });
});

function limits(locked: string, held: string): Stub {
  return {
    texts: {
      '/proc/self/limits': `Max locked memory         ${locked}              ${locked}              bytes\n`,
      '/proc/self/status': `CapEff:\t${held}\n`,
    },
  };
}

describe('limits', () => {
  test.each([
    ['unlimited', '0', 'ok'],
    ['8388608', '0', 'ok'],
    ['65536', '0', 'missing'],
    ['65536', '4000', 'ok'],
  ] as const)('RLIMIT_MEMLOCK %s with the capabilities %s is %s', (locked, held, state) => {
    expect(finding(look(limits(locked, held)), 'memlock')?.state).toBe(state);
  });

  test('capabilities that are missing are named', () => {
    expect(finding(look(limits('0', '0000000000004000')), 'capabilities')?.detail).toBe(
      "without CAP_DAC_OVERRIDE (root's files: sysfs, /dev/vfio, debugfs), CAP_SYS_RAWIO (VFIO without an IOMMU), CAP_SYS_ADMIN (resetting a whole slot, tracing)",
    );
  });

  test('lockdown minds sysfs only', () => {
    const locked: Stub = { texts: { '/sys/kernel/security/lockdown': 'none [integrity] confidentiality\n' } };
    expect(finding(look(locked), 'lockdown')).toMatchObject({ state: 'missing', blocks: false });
    expect(finding(look(locked, { source: 'sysfs' }), 'lockdown')).toMatchObject({ state: 'missing', blocks: true });
  });
});

test('the JSON has the fields that scripts rely on', () => {
  const diagnosis = look({});
  expect(Object.keys(diagnosis)).toEqual(['schema', 'kernel', 'machine', 'source', 'verify', 'findings']);
  for (const one of diagnosis.findings) {
    expect(Object.keys(one)).toEqual(['id', 'state', 'detail', 'fix', 'blocks']);
    expect(['ok', 'missing', 'unknown', 'note']).toContain(one.state);
  }
  expect(new Set(diagnosis.findings.map(({ id }) => id)).size).toBe(diagnosis.findings.length);
});

test('the text fits the terminal and is plain where there is none', () => {
  const text = renderDiagnosis(look({}), { columns: 80, color: false });
  expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
  expect(text).not.toContain('\u001B');
  expect(text).toMatch(/^✗ wcvmm verify --source cookie would not run here: kvm, kvm-kind,/m);
});
