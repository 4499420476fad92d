import { describe, expect, test } from 'vitest';
import { watchStage2 } from '../tool/verify/read-back/watch.ts';
import { cpuVendor, nestedPaging } from '../vmm/kvm/cpu-x86.ts';
import { hostMtrr } from '../tool/verify/read-back/host-x86.ts';
import { watchSptes } from '../tool/verify/read-back/spte-watch.ts';
import { Scope } from '../common/scope.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const AMD = {
  '/proc/cpuinfo': 'processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\n',
  '/sys/module/kvm_amd/parameters/npt': 'Y\n',
  '/sys/module/kvm_intel/parameters/ept': 'Y\n',
};
const INTEL = { ...AMD, '/proc/cpuinfo': 'vendor_id\t: GenuineIntel\n' };
const VM = { debugName: '1-3', vcpuThread: 4711 };

/** The port, on which one call is refused. */
function refusing(port: Port, call: 'makeFolder' | 'writeText' | 'list' | 'open', errno: ErrnoName): Port {
  return {
    ...port,
    [call]: (path: string) => {
      throw new SysError(`${call} ${path}`, ERRNO[errno]);
    },
  };
}

describe('which nested paging', () => {
  test.each([
    ['AMD', AMD, 'npt'],
    ['Intel', INTEL, 'ept'],
    ['a vendor that is named like a property', { ...AMD, '/proc/cpuinfo': 'vendor_id\t: constructor\n' }, null],
    ['AMD with it switched off', { ...AMD, '/sys/module/kvm_amd/parameters/npt': 'N\n' }, null],
    ['an older kernel, which says 1', { ...AMD, '/sys/module/kvm_amd/parameters/npt': '1\n' }, 'npt'],
    ['no module', { '/proc/cpuinfo': AMD['/proc/cpuinfo'] }, null],
    ['another vendor', { ...AMD, '/proc/cpuinfo': 'vendor_id\t: CentaurHauls\n' }, null],
    ['no cpuinfo', {}, null],
  ])('%s', (_name, texts, expected) => {
    expect(nestedPaging(stubPort({ texts }).port)).toBe(expected);
  });

  test('the vendor as the CPU has it', () => {
    expect(cpuVendor(stubPort({ texts: AMD }).port)).toBe('AuthenticAMD');
    expect(cpuVendor(stubPort({}).port)).toBeNull();
  });
});

describe('MTRRs', () => {
  test('are unknown without the msr driver', () => {
    expect(hostMtrr(stubPort({}).port, 1n << 32n, 4096n)).toBeNull();
    expect(hostMtrr(stubPort({ nodes: { '/dev/cpu/0/msr': 'EPERM' } }).port, 1n << 32n, 4096n)).toBeNull();
  });

  /** 2 variable ranges: UC from 512 GiB on, one not in use; default WB. */
  const REGISTERS: Readonly<Record<number, bigint>> = {
    0xfe: 2n,
    0x2ff: 0xc06n,
    0x200: 0x80_0000_0000n,
    0x201: 0x80_0000_0800n,
    0x202: 0n,
    0x203: 0n,
  };

  const readRegister: Port['pread'] = (_fd, into, offset) => {
    const value = REGISTERS[Number(offset)];
    if (value === undefined) throw new SysError('pread', 5);
    new DataView(into.buffer).setBigUint64(0, value, true);
    return into.length;
  };

  test('come from their registers, and nothing stays open', () => {
    const { port: stub, open } = stubPort({ nodes: { '/dev/cpu/0/msr': 'ok' } });
    const port: Port = { ...stub, pread: readRegister };
    expect(hostMtrr(port, 0x80_0000_0000n, 1n << 20n)).toBe('UC');
    expect(hostMtrr(port, 1n << 32n, 1n << 20n)).toBe('WB');
    expect(open.size).toBe(0);
  });
});

describe('watching KVM make entries', () => {
  const TRACEFS = '/sys/kernel/tracing';
  const folders = { [`${TRACEFS}/instances`]: [], [`${TRACEFS}/events/kvmmmu/kvm_mmu_set_spte`]: [] };
  const instance = `${TRACEFS}/instances/wcvmm-`;
  /** Every file of an instance can be opened. */
  const anyNode = new Proxy<Record<string, 'ok'>>({}, { get: () => 'ok', has: () => false });
  const event =
    ' wcvmm-4711    [000] .....     1.000000: kvm_mmu_set_spte: gfn 100000 spte 8600000fe0400977 (rwxu) level 1 at 10000\n';

  function watching(trace: string): {
    ranges: unknown;
    written: Map<string, string>;
    folders: Set<string>;
    scope: Scope;
  } {
    const { port, written, folders: made } = stubPort({ folders, texts: AMD, nodes: anyNode });
    const scope = new Scope();
    const watch = watchSptes(
      { ...port, readText: (path) => (path.endsWith('/trace') ? trace : port.readText(path)) },
      scope,
      VM,
      'npt',
    );
    const dump = watch.read();
    return { ranges: dump.kind === 'read' ? dump.ranges : dump.why, written, folders: made, scope };
  }

  test('in an instance of its own, of this vCPU, for windows only, which ends with the scope', () => {
    const { ranges, written, folders: made, scope } = watching(event);
    expect(ranges).toEqual([
      { start: 1n << 32n, end: (1n << 32n) + 4096n, level: 3, memoryType: expect.stringMatching(/^NPT /) },
    ]);
    const [folder = ''] = made;
    expect(folder.startsWith(instance)).toBe(true);
    expect(written.get(`${folder}/set_event_pid`)).toBe('4711');
    expect(written.get(`${folder}/events/kvmmmu/kvm_mmu_set_spte/filter`)).toBe('gfn >= 0x100000');
    expect(written.get(`${folder}/events/kvmmmu/kvm_mmu_set_spte/enable`)).toBe('1');
    scope.close();
    expect(written.get(`${folder}/events/kvmmmu/kvm_mmu_set_spte/enable`)).toBe('0');
    expect(made.size).toBe(0);
  });

  test.each([
    [undefined, 80],
    [4096, 720],
  ])('with room for %s pages: %s KiB of each CPU', (pages, size) => {
    const { port, written } = stubPort({ folders, texts: AMD, nodes: anyNode });
    const scope = new Scope();
    watchSptes(port, scope, { ...VM, ...(pages !== undefined && { pages }) }, 'npt');
    expect([...written].find(([path]) => path.endsWith('/buffer_size_kb'))?.[1]).toBe(String(size));
    scope.close();
  });

  test('says so when events were lost', () => {
    const { ranges, scope } = watching(`${event}CPU:0 [LOST 12 EVENTS]\n`);
    expect(ranges).toMatch(/LOST 12 EVENTS/);
    scope.close();
  });

  test.each([
    ['no nested paging', {}, /neither EPT nor NPT/],
    ['no tracefs', { texts: AMD }, /mount -t tracefs/],
    [
      'no tracepoint',
      { texts: AMD, folders: { [`${TRACEFS}/instances`]: [] } },
      /no tracepoint kvmmmu:kvm_mmu_set_spte/,
    ],
  ])('says why it cannot: %s', async (_name, stub, why) => {
    const scope = new Scope();
    const watch = await watchStage2('x86', stubPort(stub).port, scope, VM);
    const dump = watch.read();
    scope.close();
    expect(dump).toMatchObject({ kind: 'unavailable', why: expect.stringMatching(why) });
  });

  test.each([
    ['root alone may list tracefs', 'list', 'EACCES', /run as root/],
    ['root alone may make an instance', 'makeFolder', 'EPERM', /run as root/],
    ['there is no memory for the buffers', 'makeFolder', 'ENOMEM', /ENOMEM/],
    ['there is an instance of that name', 'makeFolder', 'EEXIST', /EEXIST/],
    ['the buffers cannot have that size', 'writeText', 'ENOMEM', /ENOMEM/],
    ['no file can be opened', 'open', 'EMFILE', /EMFILE/],
  ] as const)('cannot be had where %s, and leaves nothing behind', (_name, call, errno, why) => {
    const { port, folders: made, open } = stubPort({ folders, texts: AMD, nodes: anyNode });
    const scope = new Scope();
    const watch = watchSptes(refusing(port, call, errno), scope, VM, 'npt');
    expect(watch.read()).toMatchObject({ kind: 'unavailable', why: expect.stringMatching(why) });
    scope.close();
    expect([made.size, open.size]).toEqual([0, 0]);
  });

  test('takes KiB of each CPU, and holds its instance as long as it lasts', () => {
    const { port, written, folders: made, open } = stubPort({ folders, texts: AMD, nodes: anyNode });
    const scope = new Scope();
    watchSptes(port, scope, VM, 'npt');
    const [folder = ''] = made;
    expect(Number(written.get(`${folder}/buffer_size_kb`))).toBeLessThanOrEqual(128);
    expect(open.size).toBe(1);
    scope.close();
    expect(open.size).toBe(0);
  });

  test('removes what processes that were killed have left, and nothing else', () => {
    const left = [`wcvmm-${process.pid}-999999`, 'wcvmm-77-1', 'wcvmm-78-1', 'wcvmm-me-1', 'somebody'];
    const removed: string[] = [];
    const { port } = stubPort({
      folders: { ...folders, [`${TRACEFS}/instances`]: left, '/proc/78': [] },
      texts: AMD,
      nodes: anyNode,
    });
    const scope = new Scope();
    const watch = watchSptes(
      {
        ...port,
        removeFolder: (path) => {
          removed.push(path.replace(`${TRACEFS}/instances/`, ''));
          // In use after all.
          if (path.endsWith('wcvmm-77-1')) throw new SysError('rmdir', ERRNO.EBUSY);
        },
        readText: (path) => (path.endsWith('/trace') ? event : port.readText(path)),
      },
      scope,
      VM,
      'npt',
    );
    expect(watch.read().kind).toBe('read');
    expect(removed).toEqual([`wcvmm-${process.pid}-999999`, 'wcvmm-77-1']);
  });
});
