/** What is asked of KVM for a bare guest, and what its answers say of the machine. */
import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { arm64 } from '../vmm/kvm/arch/arm64.ts';
import { x86 } from '../vmm/kvm/arch/x86.ts';
import { hostArchitecture, requireArchitecture } from '../vmm/kvm/arch/index.ts';
import { nestedPaging } from '../vmm/kvm/cpu-x86.ts';
import { kvmFacts } from '../vmm/kvm/facts.ts';
import { initLinuxVcpu, tscKilohertz } from '../vmm/kvm/vcpu-x86.ts';
import { createVm } from '../vmm/kvm/vm.ts';
import { KVM_CAP } from '../vmm/sys/kvm.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { codeOf, stubPort } from './stub-port.ts';

const VERSION = 0xae00;
const CREATE_VM = 0xae01;
const CHECK = 0xae03;
const ENABLE = 0x4068_aea3;
const RUN_SIZE = 0xae04;
const CREATE_VCPU = 0xae41;
const TSC_KHZ = 0xaea3;

/** A KVM that has capabilities, and keeps what was asked of it. */
function kvm(has: Readonly<Record<number, number>>, more: Readonly<Record<number, number | ErrnoName>> = {}) {
  const asked: [number, number][] = [];
  const stub = stubPort({
    nodes: { '/dev/kvm': 'ok' },
    texts: { '/proc/cpuinfo': 'vendor_id\t: AuthenticAMD\n', '/sys/module/kvm_amd/parameters/npt': '1\n' },
  });
  const port: Port = {
    ...stub.port,
    ioctl(fd, request, argument) {
      const answer = more[request];
      if (typeof answer === 'string')
        return stubPort({ ioctls: { [request]: answer } }).port.ioctl(fd, request, argument);
      if (argument instanceof Uint8Array) {
        const view = new DataView(argument.buffer);
        asked.push([request, request === ENABLE ? view.getUint32(0, true) : 0]);
      } else asked.push([request, argument]);
      if (request === CHECK) return has[Number(argument)] ?? 0;
      if (request === CREATE_VM || request === CREATE_VCPU) return stub.port.memfd('', 0n);
      return answer ?? { [VERSION]: 12, [RUN_SIZE]: 4096 }[request] ?? 0;
    },
  };
  return { port, asked, enabled: () => asked.filter(([request]) => request === ENABLE).map(([, what]) => what), stub };
}

/** The type that it is asked for. */
function typeOf(most: number, addressBits: number | undefined): number | undefined {
  const { port, asked, stub } = kvm({ [KVM_CAP.armVmIpaSize]: most });
  const scope = new Scope();
  createVm(port, scope, addressBits === undefined ? {} : { addressBits });
  scope.close();
  expect(stub.open.size).toBe(0);
  return asked.find(([request]) => request === CREATE_VM)?.[1];
}

function refused(node: ErrnoName): string {
  return codeOf(() => createVm(stubPort({ nodes: { '/dev/kvm': node } }).port, new Scope()));
}

describe('a VM', () => {
  test.each([
    ['of a CPU with 40 bits', 40, undefined, 0],
    ['of one with more, which nobody wants', 48, undefined, 0],
    ['of one with more', 48, 44, 44],
    ['of one with fewer than are wanted', 44, 52, 44],
    ['of one with fewer than usual', 36, undefined, 36],
    ['of fewer than usual', 48, 32, 0],
  ])('%s: %i bits, wanted %s, is of type %i', (_what, most, wanted, type) => {
    expect(typeOf(most, wanted)).toBe(type);
  });

  test('is of no other version of KVM, and has no tagging unasked', () => {
    const { port } = kvm({}, { [VERSION]: 13 });
    expect(() => createVm(port, new Scope())).toThrow('/dev/kvm has API version 13; expected 12.');
    expect(codeOf(() => createVm(port, new Scope()))).toBe('E_NO_KVM');
    const [plain, tagged] = [kvm({}), kvm({})];
    createVm(plain.port, new Scope());
    createVm(tagged.port, new Scope(), { mte: true });
    expect([plain.enabled(), tagged.enabled()]).toEqual([[], [KVM_CAP.armMte]]);
  });

  test('needs /dev/kvm', () => {
    expect([refused('ENOENT'), refused('EACCES')]).toEqual(['E_NO_KVM', 'E_PERMISSION']);
    expect(() => createVm(stubPort({}).port, new Scope())).toThrow(/^\/dev\/kvm is missing/);
  });

  test('has the name of its folder in debugfs', () => {
    expect(createVm(kvm({}).port, new Scope()).debugName).toMatch(/^\d+-\d+$/);
  });
});

describe('arm64', () => {
  test('has accesses that KVM cannot describe handed over, where it can', () => {
    const [can, cannot] = [kvm({ [KVM_CAP.armNisvToUser]: 1 }), kvm({})];
    expect([can, cannot].map(({ port }) => arm64.enableExits(port, { vm: 3 }))).toEqual([
      { busLocks: false },
      { busLocks: false },
    ]);
    expect([can.enabled(), cannot.enabled()]).toEqual([[KVM_CAP.armNisvToUser], []]);
  });

  test('says what KVM has, and nothing of what it does not say', () => {
    const all = kvm({ [KVM_CAP.armS2AlignmentFault]: 1, [KVM_CAP.armTranslate]: 1, [KVM_CAP.armMte]: 1 });
    expect(kvmFacts(all.port, arm64)).toMatchObject({ faultForwarding: true, translates: true, mte: true });
    expect(kvmFacts(kvm({}).port, arm64)).toMatchObject({
      faultForwarding: null,
      translates: false,
      mte: false,
      vendor: null,
      nestedPaging: null,
      guestPat: null,
      ticksPerSecond: null,
    });
    expect([all.stub.open.size, all.stub.mapped.size]).toEqual([0, 0]);
  });
});

describe('x86', () => {
  test('has bus locks told, where KVM does', () => {
    const [can, cannot] = [kvm({ [KVM_CAP.x86BusLockExit]: 3 }), kvm({ [KVM_CAP.x86BusLockExit]: 1 })];
    expect(x86.enableExits(can.port, { vm: 3 })).toEqual({ busLocks: (3 & 2) !== 0 });
    expect(x86.enableExits(cannot.port, { vm: 3 })).toEqual({ busLocks: false });
    expect([can.enabled(), cannot.enabled()]).toEqual([[KVM_CAP.x86BusLockExit], []]);
  });

  test('says whose CPU it is, what pages guests and how fast their clock is', () => {
    const known = kvm({ [KVM_CAP.getTscKhz]: 1 }, { [TSC_KHZ]: 2_500_000 });
    expect(x86.facts(known.port, { vm: 3 }, 4)).toEqual({
      fwb: null,
      faultForwarding: null,
      translates: null,
      mte: false,
      vendor: 'AuthenticAMD',
      nestedPaging: 'npt',
      guestPat: true,
      ticksPerSecond: 2_500_000_000,
    });
    expect(x86.facts(kvm({}, { [TSC_KHZ]: 5 }).port, { vm: 3 }, 4).ticksPerSecond).toBeNull();
    expect(x86.facts(kvm({ [KVM_CAP.getTscKhz]: 1 }).port, { vm: 3 }, 4).ticksPerSecond).toBeNull();
  });
});

describe('the architecture', () => {
  test.each([
    ['arm64', 'arm64'],
    ['x64', 'x86'],
  ])('that Node calls %s is %s', (name, arch) => {
    expect(hostArchitecture(name)?.name).toBe(arch);
  });

  test('of another machine is none', () => {
    expect([hostArchitecture('riscv64'), hostArchitecture('x86'), hostArchitecture('')]).toEqual([null, null, null]);
    expect(requireArchitecture()).toBe(hostArchitecture(process.arch));
  });

  test.each([
    ['GenuineIntel', 'kvm_intel/parameters/ept', 'ept'],
    ['AuthenticAMD', 'kvm_amd/parameters/npt', 'npt'],
    ['HygonGenuine', 'kvm_amd/parameters/npt', 'npt'],
  ])('x86 of %s is paged as %s says', (vendor, parameter, paging) => {
    const asked = (value: string): unknown =>
      nestedPaging(
        stubPort({
          texts: {
            '/proc/cpuinfo': `processor : 0\nvendor_id :  ${vendor}\nnot a vendor_id: Other\n`,
            [`/sys/module/${parameter}`]: value,
          },
        }).port,
      );
    expect(['Y\n', '1\n', 'N\n', '0\n', 'NY\n'].map(asked)).toEqual([paging, paging, null, null, null]);
  });
});

/** KVM_GET_SUPPORTED_CPUID, of a CPU with addresses of so many bits. */
function supported(bits: number): (argument: Uint8Array | number) => void {
  return (argument) => {
    if (typeof argument === 'number') return;
    const view = new DataView(argument.buffer);
    view.setUint32(0, 1, true);
    view.setUint32(8, 0x8000_0008, true);
    view.setUint32(8 + 12, bits, true);
  };
}

function clock(has: number, kilohertz: number): number | null {
  return tscKilohertz(stubPort({ ioctls: { [CHECK]: () => has, [TSC_KHZ]: () => kilohertz } }).port, 4, 5);
}

describe('the first instruction of an x86 Linux guest', () => {
  const start = { rip: 0x100_0200n, rsi: 0x9000n, cr3: 0x1000n, gdt: 0x500n, gdtBytes: 32, code: 0x10, data: 0x18 };

  function begun(first: typeof start | null): ReadonlyMap<number, DataView> {
    const asked = new Map<number, DataView>();
    const keep =
      (request: number) =>
      (argument: Uint8Array | number): number => {
        if (typeof argument !== 'number') asked.set(request, new DataView(argument.buffer));
        return 0;
      };
    const requests = [0x4090_ae82, 0x8138_ae83, 0x4138_ae84, 0x4008_ae90, 0x4008_ae89];
    const ioctls = Object.fromEntries(requests.map((request) => [request, keep(request)]));
    const { port } = stubPort({ ioctls: { ...ioctls, [0xc008_ae05]: supported(40), [CHECK]: () => 1 } });
    initLinuxVcpu(port, { kvm: 3, vm: 4 }, 5, { id: 1, count: 2 }, first);
    return asked;
  }

  test('is where the kernel begins, in long mode', () => {
    const asked = begun(start);
    const regs = asked.get(0x4090_ae82);
    expect([regs?.getBigUint64(128, true), regs?.getBigUint64(32, true)]).toEqual([start.rip, start.rsi]);
    expect(asked.has(0x4138_ae84)).toBe(true);
    expect(asked.has(0x4008_ae90)).toBe(true);
  });

  test('is found by another vCPU where it waits for that', () => {
    expect([...begun(null).keys()].toSorted((a, b) => a - b)).toEqual([0x4008_ae89, 0x4008_ae90]);
  });

  test('finds MTRRs as firmware leaves them: memory is write-back, the GiB below 4 GiB uncached', () => {
    const msrs = begun(start).get(0x4008_ae89);
    const entries = Array.from({ length: msrs?.getUint32(0, true) ?? 0 }, (_, index) => [
      msrs?.getUint32(8 + index * 16, true),
      msrs?.getBigUint64(16 + index * 16, true),
    ]);
    expect(entries).toEqual([
      [0x2ff, 0x806n],
      [0x200, 0xc000_0000n],
      [0x201, 0xff_c000_0800n],
      [0x1a0, 1n],
    ]);
  });

  test('may know the clock, where KVM does', () => {
    expect([clock(1, 2_000_000), clock(0, 2_000_000), clock(1, 0)]).toEqual([2_000_000, null, null]);
  });
});
