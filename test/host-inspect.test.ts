import { afterEach, describe, expect, test } from 'vitest';
import { inspect } from '../tool/host/mappings/inspect.ts';
import { renderInspection } from '../tool/host/mappings/inspect-text.ts';
import { parseIoremaps } from '../tool/host/mappings/ioremaps.ts';
import { describeProcess, parseMaps } from '../tool/host/mappings/processes.ts';
import { MEMTYPES } from '../tool/verify/read-back/paths.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import { FakeMachine } from './fake-machine.ts';
import { codeOf } from './stub-port.ts';

const ADDRESS = '0000:01:00.0';
/** Of FakeMachine's BAR 2, 4 MiB. */
const START = 0x80_0000_0000n;
const FOLDER = `/sys/devices/pci0000:00/${ADDRESS}`;
const SYSFS = '00:16';

const machines: FakeMachine[] = [];
afterEach(() => {
  for (const machine of machines.splice(0)) machine.remove();
});

function line(path: string, { offset = START, device = SYSFS, permissions = 'rw-s' } = {}): string {
  return `7f0000000000-7f0000100000 ${permissions} ${offset.toString(16).padStart(8, '0')} ${device} 1234                       ${path}\n`;
}

function machineWith(processes: Readonly<Record<number, string>>, memtypes?: string): FakeMachine {
  const machine = new FakeMachine([{ address: ADDRESS, driver: 'vfio-pci' }]);
  machines.push(machine);
  machine.file('/proc/self/mountinfo', '22 1 0:22 / /sys rw,nosuid - sysfs sysfs rw\n');
  machine.file('/proc/stat', 'cpu 1 2 3\nbtime 1700000000\n');
  for (const [pid, maps] of Object.entries(processes)) {
    machine.file(`/proc/${pid}/maps`, maps);
    machine.file(`/proc/${pid}/comm`, 'dpdk\n');
    machine.file(`/proc/${pid}/stat`, `${pid} (dp) dk)) S ${Array.from({ length: 18 }, () => '0').join(' ')} 250 0\n`);
  }
  if (memtypes !== undefined) machine.file(MEMTYPES, `PAT memtype list:\n${memtypes}`);
  return machine;
}

function hex(value: bigint): string {
  return (START + value).toString(16).padStart(16, '0');
}

function memtype(from: bigint, to: bigint, type: string): string {
  return `PAT: [mem 0x${hex(from)}-0x${hex(to)}] ${type}\n`;
}

const MIB = 1n << 20n;

describe('inspect', () => {
  test('a process with a BAR mapped through sysfs, its bytes, its type and its age', () => {
    const machine = machineWith(
      {
        41: line(`${FOLDER}/resource2_wc`, { offset: START + MIB }),
        42: line('/usr/lib/libc.so.6', { permissions: 'r--p' }),
      },
      // Both neighbours end or begin exactly where the mapping does.
      memtype(0n, MIB, 'uncached-minus') +
        memtype(MIB, 2n * MIB, 'write-combining') +
        memtype(2n * MIB, 3n * MIB, 'uncached-minus'),
    );
    const seen = inspect(machine.port, 'x86', { pid: null });
    expect(seen.mappings).toEqual([
      {
        device: ADDRESS,
        driver: 'vfio-pci',
        bar: 2,
        offset: Number(MIB),
        length: Number(MIB),
        by: {
          kind: 'process',
          process: { pid: 41, command: 'dpdk', started: '2023-11-14T22:13:22.000Z' },
          file: `${FOLDER}/resource2_wc`,
          writable: true,
        },
        types: ['WC'],
        evidence: 'recorded',
        certain: true,
      },
    ]);
    expect(seen.records.map(({ offset, type }) => [offset, type])).toEqual([
      [0, 'UC-'],
      [Number(MIB), 'WC'],
      [Number(2n * MIB), 'UC-'],
    ]);
    const text = renderInspection(seen, { columns: 100, color: false });
    expect(text).toMatch(/bar2:1M +1M +WC +process 41 \(dpdk\), started 2023-11-14T22:13:22\.000Z: resource2_wc/);
    expect(text.match(/on record; no mapping/g)).toHaveLength(2);
  });

  test('arm64 says what the file gives, and that nothing shows it', () => {
    const machine = machineWith({ 41: line(`${FOLDER}/resource2_wc`) + line(`${FOLDER}/resource2`) });
    const { mappings, limits, records } = inspect(machine.port, 'arm64', { pid: 41 });
    expect(mappings.map(({ types, evidence }) => [types, evidence])).toEqual([
      [['Normal-NC'], 'assumed'],
      [['Device-nGnRE'], 'assumed'],
    ]);
    expect([records, limits[0]]).toEqual([[], expect.stringContaining('on arm64')]);
  });

  test.each([
    ['the region in the upper bits', (2n << 40n) + MIB, 2, Number(MIB)],
    ['a physical address, up to Linux 6.9', START + MIB, 2, Number(MIB)],
    ['a region that the device has not', 3n << 40n, null, null],
    ['an offset that means nothing', 99n << 40n, null, null],
  ])('VFIO: %s', (_name, offset, bar, at) => {
    const machine = machineWith(
      { 41: line('anon_inode:[vfio-device]', { offset, device: '00:0f' }) },
      memtype(0n, 2n * MIB, 'write-combining'),
    );
    machine.rawLink('/proc/41/fd/7', 'anon_inode:[vfio-device]');
    machine.file('/proc/41/fdinfo/7', `pos:\t0\nvfio-device-syspath: ${FOLDER}\n`);
    const { mappings } = inspect(machine.port, 'x86', { pid: null });
    expect(mappings.map((one) => [one.device, one.bar, one.offset, one.types])).toEqual([
      [ADDRESS, bar, at, bar === null ? null : ['WC']],
    ]);
  });

  test('VFIO without a word of the kernel: the device is not known; its node names it', () => {
    const nameless = machineWith({ 41: line('anon_inode:[vfio-device]', { offset: 2n << 40n }) }, '');
    expect(inspect(nameless.port, 'x86', { pid: null }).mappings).toMatchObject([
      { device: null, bar: null, types: null },
    ]);
    const node = machineWith({ 41: line('/dev/vfio/devices/vfio3', { offset: 2n << 40n }) }, '');
    node.file(`${FOLDER}/vfio-dev/vfio3/dev`, '511:3\n');
    // What is mapped as it is touched, and not on record, is UC-.
    expect(inspect(node.port, 'x86', { pid: null }).mappings).toMatchObject([
      { device: ADDRESS, bar: 2, offset: 0, types: ['UC-'], evidence: 'assumed' },
    ]);
  });

  test("a driver's own mapping, and /dev/mem", () => {
    const machine = machineWith(
      { 41: line('/dev/mem', { offset: START + MIB }) + line('/dev/mem', { offset: 0n }) },
      memtype(0n, 8192n, 'uncached-minus'),
    );
    machine.file(
      '/proc/vmallocinfo',
      '0xffffc90000000000-0xffffc90000003000   12288 nvme_map+0x3c/0x60 [nvme] phys=0x0000008000000000 ioremap\n0xffffc90000005000-0xffffc90000007000    8192 acpi_os_map+0x1 phys=0x000000007ffe0000 ioremap\n',
    );
    const { mappings } = inspect(machine.port, 'x86', { pid: null });
    expect(mappings.map(({ by, offset, length, types }) => [by.kind, offset, length, types])).toEqual([
      ['process', Number(MIB), Number(MIB), ['UC-']],
      ['kernel', 0, 8192, ['UC-']],
    ]);
  });

  test('who may not be looked at is counted, and an error where it was asked for', () => {
    const machine = machineWith({ 41: '' });
    const port = {
      ...machine.port,
      readText: (path: string) => {
        if (path === '/proc/41/maps') throw new SysError(`read ${path}`, ERRNO.EACCES);
        return machine.port.readText(path);
      },
    };
    expect(inspect(port, 'x86', { pid: null }).limits.join()).toMatch(
      /1 process could not be looked at; root, outside of containers, can/,
    );
    expect(codeOf(() => inspect(port, 'x86', { pid: 41 }))).toBe('E_PERMISSION');
    expect(codeOf(() => inspect(port, 'x86', { pid: 43 }))).toBe('E_USAGE');
  });
});

describe('what a hostile process may write', () => {
  test('into its name', () => {
    const machine = machineWith({ 41: line(`${FOLDER}/resource2`) });
    machine.file('/proc/41/comm', 'a\u001B[2J\u202Eevil\n');
    machine.file('/proc/41/stat', '41 (x) S 1 2 3 ) R) not numbers\n');
    expect(describeProcess(machine.port, 41)).toEqual({ pid: 41, command: 'a [2J evil', started: null });
  });

  test('as a file that is called like one of sysfs', () => {
    const machine = machineWith({
      // Another file system has another number; a path in a mount namespace of its own may be anything.
      41: line(`${FOLDER}/resource2_wc`, { device: '08:01' }),
      42:
        line(`/home/x${FOLDER}/resource2_wc`) +
        line(`${FOLDER}/resource2_wc (deleted)`) +
        line(`${FOLDER}/resource2_wc\\012rw-s`),
      43: line(`${FOLDER}/resource2`, { permissions: 'rw-p' }),
    });
    const { mappings } = inspect(machine.port, 'x86', { pid: null });
    expect(mappings.map(({ certain, by }) => [certain, by.kind === 'process' && by.process.pid])).toEqual([
      [false, 41],
    ]);
  });

  test.each([
    'garbage',
    '7f0000100000-7f0000000000 rw-s 0 00:16 1 /x',
    '7f0000000000-7f0000000000 rw-s 0 00:16 1 /x',
    '-1-2 rw-s 0 00:16 1 /x',
    '7f0000000000-7f00001000000000000 rw-s 0 00:16 1 /x',
    '7f0000000000-7f0000100000 rw-s 0 00:16 1',
    '',
  ])('a line of no such shape: %j', (text) => {
    expect(parseMaps(text)).toEqual([]);
  });

  test("an offset beyond every BAR, and a size of the kernel's that makes no sense", () => {
    const machine = machineWith({ 41: line(`${FOLDER}/resource2`, { offset: 0xffff_ffff_ffff_f000n }) }, '');
    expect(inspect(machine.port, 'x86', { pid: null }).mappings).toMatchObject([{ bar: 2, offset: null, types: null }]);
    expect(parseIoremaps('0x0-0x1000 4096 f+0x0 phys=0x1000 ioremap\nx\n0x0-0x9 1 phys= ioremap\n', 4096)).toEqual([]);
  });
});
