import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { describeExit } from '../tool/verify/guest/exit.ts';
import { bareMachine, linuxMachine } from '../tool/verify/guest/places.ts';
import { LINUX_MAP } from '../vmm/machines/linux-map.ts';
import { describeLinuxExit } from '../tool/verify/linux/exit.ts';
import { lastFault, traceFault } from '../tool/verify/read-back/fault-trace.ts';
import type { MemoryFault, VcpuExit } from '../vmm/kvm/exits.ts';
import { explainKilled, watchDevice } from '../vmm/machines/killed.ts';
import type { DeviceState, KilledMachine } from '../vmm/machines/killed.ts';
import type { OpenWindows } from '../vmm/vfio/open-windows.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const WINDOW = { bar: 2, attribute: 'device', offset: 0n, length: 0x1_0000n, gpa: 0x1_0000_0000n, access: 'mapped' };
const OPENED = { source: { pci: { address: '0000:01:00.0' } }, windows: [WINDOW] } as unknown as OpenWindows;

function fault(gpa: bigint, more: Partial<MemoryFault> = {}): MemoryFault {
  return { gpa, length: 4096n, isPrivate: false, pc: null, access: null, isAlignment: null, ...more };
}

function killed(errno: ErrnoName, at: MemoryFault | null = null): VcpuExit & { kind: 'killed' } {
  return { kind: 'killed', errno: ERRNO[errno], fault: at };
}

function machine(device: DeviceState): KilledMachine {
  return bareMachine('x86', OPENED, device);
}

describe('a guest that KVM has killed', () => {
  test.each<[string, bigint, Partial<MemoryFault>, DeviceState, RegExp]>([
    [
      'a window',
      0x1_0000_2000n,
      {},
      'answers',
      /at gpa 0x100002000, 8K into the window bar2:0-64K=device: the host could not map the page of the BAR/,
    ],
    [
      'a window of a device that is off',
      0x1_0000_0000n,
      {},
      'undecoded',
      /memory decoding is off \(its command register\)/,
    ],
    ['a window of a device that was pulled', 0x1_0000_0000n, {}, 'absent', /has gone from this machine/],
    ['a window of a device that is silent', 0x1_0000_0000n, {}, 'silent', /does not answer any more/],
    [
      'RAM',
      0x4000_1000n,
      { pc: 0x10n, access: 'write' },
      'answers',
      /4K into guest RAM \(write by the instruction at 0x10\): the host has no page to give/,
    ],
    ['private memory', 0x4000_0000n, { isPrivate: true }, 'answers', /private memory, as a confidential guest does/],
    ['nothing', 0x2_0000_0000n, {}, 'answers', /at gpa 0x200000000: no memslot is known there/],
  ])('in %s', (_name, gpa, more, device, sentence) => {
    expect(describeExit(killed('EFAULT', fault(gpa, more)), machine(device))).toMatch(sentence);
  });

  test('of an access that its type forbids', () => {
    const at = fault(0x1_0000_0001n, { isAlignment: true });
    expect(explainKilled(killed('EFAULT', at), bareMachine('arm64', OPENED, 'answers'))).toMatch(
      /bar2:0-64K=device: the access is one that stage 2 forbids there/,
    );
  });

  test('where nobody says where', () => {
    expect(explainKilled(killed('EFAULT'), machine('answers'))).toMatch(
      /does not say at which address, and its tracepoint/,
    );
    const arm64 = explainKilled(killed('EFAULT'), bareMachine('arm64', OPENED, 'answers'));
    expect(arm64).toMatch(/Most likely.*unaligned, to a window \(the window bar2:0-64K=device\)/);
    expect(explainKilled(killed('EFAULT'), bareMachine('arm64', OPENED, 'undecoded'))).toMatch(
      /address\. The device's memory decoding is off/,
    );
    expect(explainKilled(killed('EFAULT'), null)).not.toMatch(/Bad address|undefined/);
  });

  test('by another errno', () => {
    expect(explainKilled(killed('EHWPOISON', fault(0x4000_0000n)), machine('answers'))).toMatch(
      /EHWPOISON at gpa 0x40000000, 0 into guest RAM: the host's memory/,
    );
    expect(explainKilled(killed('EIO'), machine('answers'))).toMatch(/KVM_RUN failed with EIO/);
  });

  test('an access that came out as one to nothing, where there is memory', () => {
    const exit = { kind: 'unmapped', space: 'mmio', address: 0x1_0000_2000n, isWrite: false, length: 4 } as const;
    expect(describeExit(exit, machine('undecoded'))).toMatch(
      /read 4 bytes at gpa 0x100002000, 8K into the window.*memory decoding is off/,
    );
    expect(describeExit({ ...exit, address: 0x3_0000_0000n }, machine('answers'))).toMatch(
      /neither memory nor a device/,
    );
    expect(describeExit(exit)).toMatch(/neither memory nor a device/);
  });

  test('is a Linux one', () => {
    expect(
      describeLinuxExit(
        killed('EFAULT', fault(0x40_0000_1000n)),
        linuxMachine('arm64', LINUX_MAP.arm64, ['answers', 'undecoded']),
      ),
    ).toMatch(/4K into the range of 64-bit BARs: the device's memory decoding is off.*console/);
    expect(
      describeLinuxExit(killed('EFAULT', fault(0x4000_0000n)), linuxMachine('arm64', LINUX_MAP.arm64, [])),
    ).toMatch(/0 into guest RAM/);
  });
});

describe("what the device's configuration says", () => {
  const CONFIG = '/sys/bus/pci/devices/0000:01:00.0/config';

  function stateOf(bytes: readonly number[] | ErrnoName): DeviceState {
    const { port, open } = stubPort({ nodes: { [CONFIG]: 'ok' } });
    const scope = new Scope();
    const state = watchDevice(
      {
        ...port,
        pread: (_fd, into) => {
          if (typeof bytes === 'string') throw new SysError('pread', ERRNO[bytes]);
          into.set(bytes);
          return bytes.length;
        },
      },
      scope,
      '0000:01:00.0',
    )();
    scope.close();
    expect(open.size).toBe(0);
    return state;
  }

  test.each<[readonly number[] | ErrnoName, DeviceState]>([
    [[0xf4, 0x1a, 0x10, 0x11, 0x06, 0x00], 'answers'],
    [[0xf4, 0x1a, 0x10, 0x11, 0x04, 0x00], 'undecoded'],
    [[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 'silent'],
    [[0xf4, 0x1a], 'unknown'],
    ['ENODEV', 'absent'],
    ['EIO', 'unknown'],
  ])('%j', (bytes, state) => {
    expect(stateOf(bytes)).toBe(state);
  });

  test('nothing, where it may not be opened', () => {
    expect(watchDevice(stubPort({}).port, new Scope(), '0000:01:00.0')()).toBe('unknown');
  });
});

describe('the trace of a fault', () => {
  const X86 =
    ' node-91    [000] d..1.  12.3: kvm_page_fault: vcpu 0 rip 0x40001003 address 0x0000000080002000 error_code 0x100000006\n';
  const ARM64 =
    ' node-91    [001] d..1.  12.3: kvm_guest_fault: ipa 0x80002000, hsr 0x93c08021, hxfar 0x80002001, pc 0x00000000400010\n';

  test('says where, by what and why', () => {
    expect(lastFault('x86', `# tracer: nop\n${X86.replace('80002000', '40000000')}${X86}`)).toEqual({
      gpa: 0x8000_2000n,
      length: null,
      isPrivate: false,
      pc: 0x4000_1003n,
      access: 'write',
      isAlignment: false,
    });
    expect(lastFault('arm64', ARM64)).toMatchObject({
      gpa: 0x8000_2001n,
      pc: 0x40_0010n,
      access: 'read',
      isAlignment: true,
    });
    expect(lastFault('arm64', ARM64.replace('8021', '8046'))).toMatchObject({ access: 'write', isAlignment: false });
  });

  test.each(['', 'garbage', X86.replace('address', 'adress'), `${X86.trim()} and more`])(
    'of another shape says nothing: %j',
    (text) => {
      expect(lastFault('x86', text)).toBeNull();
    },
  );

  test('says a read for what is none', () => {
    expect(lastFault('x86', X86.replace('error_code 0x100000006', 'error_code 0x100000004'))).toMatchObject({
      access: 'read',
      isAlignment: false,
    });
    expect(lastFault('arm64', ARM64)).toMatchObject({ isPrivate: false });
    expect(lastFault('x86', X86.replace('vcpu 0', 'vcpu 12'))).not.toBeNull();
    expect(lastFault('x86', X86.trimEnd())).not.toBeNull();
    expect(lastFault('arm64', ARM64.replaceAll('0x', ''))).toEqual(lastFault('arm64', ARM64));
    expect(lastFault('arm64', `${ARM64.trim()} and more`)).toBeNull();
  });

  test.each([
    ['arm64', 'kvm_guest_fault', ARM64, {}],
    [
      'x86',
      'kvm_page_fault',
      X86,
      {
        '/proc/cpuinfo': 'vendor_id\t: AuthenticAMD\n',
        '/sys/module/kvm_amd/parameters/npt': '1\n',
      },
    ],
  ] as const)('is made while the guest is entered once more: %s', async (arch, event, line, texts) => {
    const root = '/sys/kernel/tracing';
    const stub = stubPort({
      folders: { [`${root}/instances`]: [], [`${root}/events/kvm/${event}`]: [] },
      nodes: new Proxy<Record<string, 'ok'>>({}, { get: () => 'ok', has: () => false }),
      texts,
    });
    let entered = false;
    const port = {
      ...stub.port,
      readText: (path: string) => {
        if (path.endsWith('/trace')) return entered ? line : '';
        return stub.port.readText(path);
      },
    };
    const scope = new Scope();
    const found = await traceFault(port, scope, arch, 91, () => Promise.resolve((entered = true)));
    expect(found).toEqual(lastFault(arch, line));
    expect(found).not.toBeNull();
    expect([...stub.written].find(([path]) => path.endsWith(`/kvm/${event}/filter`))?.[1]).toBe('0');
    // A trace that cannot be read says nothing.
    const unreadable = {
      ...stub.port,
      readText: (path: string) => (path.endsWith('/trace') ? stub.port.readText('none') : stub.port.readText(path)),
    };
    expect(await traceFault(unreadable, scope, arch, 91, () => Promise.resolve())).toBeNull();
    scope.close();
  });

  test('is not made where there is none, and the guest is not entered again', async () => {
    let entered = 0;
    const again = (): Promise<number> => Promise.resolve((entered += 1));
    expect(await traceFault(stubPort({}).port, new Scope(), 'arm64', 1, again)).toBeNull();
    expect(await traceFault(stubPort({}).port, new Scope(), 'x86', 1, again)).toBeNull();
    expect(entered).toBe(0);
  });
});
