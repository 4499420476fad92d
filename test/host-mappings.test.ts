import { afterEach, describe, expect, test } from 'vitest';
import { buildProgram } from '../tool/cli/commands/program.ts';
import { checkHost } from '../tool/host/mappings/host-check.ts';
import { lookAtRecord, lookByLoads } from '../tool/host/mappings/look.ts';
import type { Look, Looked } from '../tool/host/mappings/look.ts';
import { exitCodeOfHost } from '../tool/host/mappings/result.ts';
import type { HostReport } from '../tool/host/mappings/result.ts';
import { hostTargets, whyRefused } from '../tool/host/mappings/targets.ts';
import type { HostTarget } from '../tool/host/mappings/targets.ts';
import type { ProbeHost } from '../tool/verify/read-back/host-probe.ts';
import { renderHost } from '../tool/host/mappings/text.ts';
import { MEMTYPES } from '../tool/verify/read-back/paths.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { Port } from '../vmm/sys/port.ts';
import { FakeMachine } from './fake-machine.ts';
import type { FakeDevice } from './fake-machine.ts';

const ADDRESS = '0000:01:00.0';
const ABSENT = '0x0000000000000000 0x0000000000000000 0x0000000000000000';
const [START, SIZE] = [0x80_0000_0000n, 4n << 20n];
const SMALL = '0x00000000fe000000 0x00000000fe0000ff 0x0000000000040200';
const PLAIN_64K = '0x00000000fe010000 0x00000000fe01ffff 0x0000000000040200';
const WIDE = '0x0000008000000000 0x00000080003fffff 0x000000000014220c';
const REQUEST = { device: null, bar: null, asked: [] };

const machines: FakeMachine[] = [];
afterEach(() => {
  for (const machine of machines.splice(0)) machine.remove();
});

function machineWith(
  device: Partial<FakeDevice> = {},
  files: readonly string[] = ['resource2', 'resource2_wc'],
): FakeMachine {
  const machine = new FakeMachine([
    {
      address: ADDRESS,
      classCode: '0x050000',
      resource: [ABSENT, ABSENT, WIDE, ABSENT, ABSENT, ABSENT].join('\n'),
      ...device,
    },
  ]);
  for (const file of files) machine.file(`${machine.folderOf(ADDRESS)}/${file}`, '');
  machine.file(`${machine.folderOf(ADDRESS)}/enable`, '0\n');
  machines.push(machine);
  return machine;
}

/** Answers in the order of the targets that can be tried. */
function answers(...looked: readonly Looked[]): Look {
  return (targets) => targets.map((_, index) => looked[index] ?? { kind: 'refused', why: 'no answer' });
}

const device: Looked = { kind: 'loaded', shown: 'Device', length: SIZE };
const normal: Looked = { kind: 'loaded', shown: 'Normal', length: SIZE };

function check(...looked: readonly Looked[]): HostReport {
  return checkHost(machineWith().port, 'arm64', REQUEST, answers(...looked));
}

describe('verify --host on arm64', () => {
  test('matches where the one faults and the other does not', () => {
    const report = check(device, normal);
    expect(report.mappings.map(({ file, predicted, verdict }) => [file, predicted, verdict])).toEqual([
      ['resource2', 'Device-nGnRE', 'match'],
      ['resource2_wc', 'Normal-NC', 'match'],
    ]);
    expect(exitCodeOfHost(report)).toBe(0);
    expect(renderHost(report, { columns: 200, color: false })).toContain(
      `✓ 2 of 2 mappings are as predicted; write-combining: ${ADDRESS} resource2_wc`,
    );
  });

  test('a fault of the write-combining one is a mismatch', () => {
    const report = check(device, device);
    expect(report.mappings.map(({ verdict }) => verdict)).toEqual(['match', 'mismatch']);
    expect(exitCodeOfHost(report)).toBe(1);
  });

  test('where nothing faults, the strict one is wrong, and of the other nothing is shown', () => {
    const report = check(normal, normal);
    expect(report.mappings.map(({ verdict, excludes }) => [verdict, excludes.length])).toEqual([
      ['mismatch', 4],
      ['unobservable', 0],
    ]);
    expect(report.mappings[0]?.note).toMatch(/emulator that does not model alignment faults/);
  });

  test('one that is alone is not proven: the load might work on anything', () => {
    const machine = machineWith({}, ['resource2_wc']);
    const report = checkHost(machine.port, 'arm64', REQUEST, answers(normal));
    expect(report.mappings.map(({ verdict }) => verdict)).toEqual(['skipped', 'unobservable']);
    expect(exitCodeOfHost(report)).toBe(3);
  });

  test('nothing mapped is no answer', () => {
    const report = check({ kind: 'refused', why: 'because' }, { kind: 'refused', why: 'because' });
    expect([exitCodeOfHost(report), report.limits]).toEqual([2, []]);
    expect(report.mappings.map(({ note }) => note)).toEqual(['because', 'because']);
  });
});

function targetsOf(machine: FakeMachine): readonly HostTarget[] {
  return hostTargets(machine.port, { device: ADDRESS, bar: 2 });
}

const firstRefused: ProbeHost = (pages) => ({
  kind: 'made',
  pages: pages.map((_, index) =>
    index === 0
      ? { kind: 'refused', errno: ERRNO.EINVAL }
      : {
          kind: 'loaded',
          aligned: { kind: 'fault', signal: '7/3' },
          unaligned: { kind: 'fault', signal: '7/3' },
        },
  ),
});

describe('the loads', () => {
  test('a device without a driver is switched on for them, and off again', () => {
    const machine = machineWith();
    const written: string[] = [];
    machine.onWrite = (_count, path) => void written.push(path);
    const looked = lookByLoads(machine.port, (pages) => {
      expect(machine.port.readText(`${machine.folderOf(ADDRESS)}/enable`)).toBe('1');
      return {
        kind: 'made',
        pages: pages.map(() => ({ kind: 'loaded', aligned: { kind: 'ok' }, unaligned: { kind: 'alignment-fault' } })),
      };
    })(targetsOf(machine));
    expect(looked.map(({ kind }) => kind)).toEqual(['loaded', 'loaded']);
    expect(machine.port.readText(`${machine.folderOf(ADDRESS)}/enable`)).toBe('0');
    expect(written).toHaveLength(2);
  });

  test('a refused mapping, a device that does not answer, a program that is not there', () => {
    const machine = machineWith({ driver: 'nvme' });
    const [refused, silent] = lookByLoads(machine.port, firstRefused)(targetsOf(machine));
    expect(refused).toMatchObject({
      kind: 'refused',
      why: expect.stringMatching(/driver nvme has claimed the BAR.*IO_STRICT_DEVMEM/) as string,
    });
    expect(silent).toMatchObject({ kind: 'hidden', why: expect.stringMatching(/does not answer loads/) as string });
    const absent = lookByLoads(machine.port, () => ({ kind: 'unavailable', why: 'not built' }))(targetsOf(machine));
    expect(absent).toMatchObject([{ kind: 'hidden', why: 'not built' }, { kind: 'hidden' }]);
  });
});

const LIST = 'PAT memtype list:\n';

function hex(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}

function entry(start: bigint, end: bigint, type: string): string {
  return `PAT: [mem 0x${hex(start)}-0x${hex(end)}] ${type}\n`;
}

/** A kernel that gives a page its first mapping's type. */
function kernel(machine: FakeMachine, before: string): Port {
  let list = before;
  return {
    ...machine.port,
    open: (path, flags) => {
      const fd = machine.port.open(path, flags);
      const asked = path.endsWith('_wc') ? 'write-combining' : 'uncached-minus';
      const given = before === '' ? asked : (/\] (\S+)/.exec(before)?.[1] ?? asked);
      list = before + entry(START, START + SIZE, given);
      return fd;
    },
    mmap: () => 0x7f00_0000_0000n,
    munmap: () => {
      list = before;
    },
    readText: (path) => (path === MEMTYPES ? LIST + list : machine.port.readText(path)),
  };
}

describe('verify --host on x86', () => {
  test('takes what the kernel has on record while it is mapped', () => {
    const machine = machineWith();
    const report = checkHost(kernel(machine, ''), 'x86', REQUEST);
    expect(report.mappings.map(({ programmed, verdict }) => [programmed, verdict])).toEqual([
      ['UC-', 'match'],
      ['WC', 'match'],
    ]);
    expect(report.limits.join()).toMatch(/no access was observed.*MTRRs/);
    expect(machine.writes).toBe(0);
  });

  test('a neighbour that ends where the BAR begins has no say; one within decides', () => {
    const neighbour =
      entry(START - SIZE, START, 'uncached-minus') + entry(START + SIZE, START + 2n * SIZE, 'uncached-minus');
    expect(lookAtRecord(kernel(machineWith(), ''))(hostTargets(machineWith().port, REQUEST))).toHaveLength(2);
    const machine = machineWith();
    const beside = {
      ...kernel(machine, ''),
      readText: (path: string) =>
        path === MEMTYPES
          ? LIST + neighbour + entry(START, START + SIZE, 'write-combining')
          : machine.port.readText(path),
    };
    expect(checkHost(beside, 'x86', REQUEST).mappings.map(({ programmed }) => programmed)).toEqual(['WC', 'WC']);
    const taken = checkHost(
      kernel(machineWith(), entry(START + 4096n, START + 8192n, 'uncached-minus')),
      'x86',
      REQUEST,
    );
    expect(taken.mappings.map(({ verdict }) => verdict)).toEqual(['match', 'mismatch']);
    expect(taken.mappings[1]?.note).toMatch(/asked for WC, got UC-: the BAR was already mapped as UC-/);
    expect(exitCodeOfHost(taken)).toBe(1);
  });

  test('without the record nothing is shown', () => {
    const machine = machineWith();
    const port: Port = { ...machine.port, mmap: () => 0x7f00_0000_0000n, munmap: () => {} };
    const report = checkHost(port, 'x86', REQUEST);
    expect(report.mappings.map(({ verdict }) => verdict)).toEqual(['unobservable', 'unobservable']);
    expect(report.mappings[0]?.note).toMatch(/run as root, with debugfs mounted/);
    expect(exitCodeOfHost(report)).toBe(3);
    machine.file('/sys/kernel/security/lockdown', 'none integrity [confidentiality]\n');
    expect(checkHost(port, 'x86', REQUEST).mappings[0]?.note).toMatch(/lockdown "confidentiality" hides/);
  });
});

describe('which files are asked about', () => {
  test.each([
    [
      'a BAR below a page',
      { resource: [SMALL, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT].join('\n') },
      ['resource0', 'resource0_wc'],
      /smaller than a page/,
    ],
    [
      'no _wc file of registers',
      { resource: [PLAIN_64K, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT].join('\n') },
      ['resource0'],
      /not prefetchable/,
    ],
    ['no _wc file of a prefetchable BAR', {}, ['resource2'], /no write-combining user mappings/],
    ['no file at all', {}, [], /maps no BARs through sysfs/],
    ['a driver', { driver: 'nvme' }, ['resource2', 'resource2_wc'], /bound to the driver nvme/],
  ])('%s', (_name, options, files, why) => {
    expect(
      hostTargets(machineWith(options, files).port, REQUEST)
        .map((target) => target.why ?? '')
        .join('; '),
    ).toMatch(why);
  });

  test('a named device is asked about whatever its driver; x86 without PAT has MTRRs all the same', () => {
    const machine = machineWith({ driver: 'nvme' }, ['resource2']);
    machine.file('/proc/mtrr', '');
    const [plain, wc] = hostTargets(machine.port, { device: ADDRESS, bar: null });
    expect(plain?.why).toBeNull();
    expect(wc?.why).toMatch(/without PAT/);
  });

  test('a refusal says why', () => {
    const machine = machineWith();
    const [target] = hostTargets(machine.port, REQUEST);
    if (target === undefined) throw new Error('there is a BAR');
    expect(whyRefused(machine.port, 'EPERM', target)).toMatch(/only root/);
    machine.file('/sys/kernel/security/lockdown', 'none [integrity] confidentiality\n');
    expect(whyRefused(machine.port, 'EPERM', target)).toMatch(/lockdown "integrity"/);
    expect(whyRefused(machine.port, 'EINVAL', target)).toMatch(/no driver is bound/);
    expect(whyRefused(machine.port, 'EBUSY', target)).toMatch(/wcvmm inspect/);
    const refusing: Port = {
      ...machine.port,
      mmap: () => {
        throw new SysError('mmap', ERRNO.EPERM);
      },
    };
    expect(lookAtRecord(refusing)([target])).toMatchObject([
      { kind: 'refused', why: expect.stringMatching(/lockdown/) as string },
    ]);
  });
});

describe('the command line', () => {
  test.each([
    [['--host', '--map', 'bar2=wc'], 'E_USAGE'],
    [['--host', '--whole'], 'E_USAGE'],
    [['--bar', '2'], 'E_USAGE'],
    [['--host', '-d', 'nonsense'], 'E_USAGE'],
    [['--host', '-d', '0000:99:00.0'], 'E_DEVICE_ABSENT'],
  ])('verify %j: %s', async (args, code) => {
    const program = await buildProgram(['verify']);
    await expect(program.parseAsync(['verify', ...args], { from: 'user' })).rejects.toMatchObject({ code });
  });
});
