import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { planBind, planUnbind } from '../tool/host/devices/bind.ts';
import { takeSteps } from '../tool/host/devices/steps.ts';
import { ioctlName } from '../vmm/sys/ioctl-names.ts';
import type { Port } from '../vmm/sys/port.ts';
import { FakeMachine } from './fake-machine.ts';
import { eachFault } from './inside/each-fault.ts';
import type { EachFault } from './inside/each-fault.ts';
import { whyNoKvm } from './own-kvm.ts';

const why = whyNoKvm();

describe('each system call fails once at each place', () => {
  it.skipIf(why !== null).each([
    ['doctor', 60],
    ['run', 20],
    ['verify', 100],
  ])(`of %s: the error names it, and nothing is left${why === null ? '' : ` (skipped: ${why})`}`, (command, least) => {
    const args = ['dist/test/inside/faults.js', '--once', command];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    const { steps, faults, ended, wrong } = JSON.parse(stdout) as EachFault;
    expect(wrong).toEqual([]);
    expect(faults).toBe(steps);
    expect(steps).toBeGreaterThan(least);
    expect(ended).toBeGreaterThan(10);
  });
});

const ADDRESS = '0000:04:00.0';
const never = new AbortController().signal;

async function whole(port: Port, plan: typeof planBind): Promise<void> {
  const { steps, requireDrivers } = plan(port, ADDRESS, { force: false, group: true });
  await takeSteps(port, steps, requireDrivers, never);
}

describe('bind and unbind', () => {
  let machine: FakeMachine;
  afterEach(() => machine.remove());

  it.each([
    ['bind', planBind, planUnbind, 'nvme'],
    ['unbind', planUnbind, planBind, 'vfio-pci'],
  ] as const)('whatever fails, %s restores everything', async (_name, plan, back, before) => {
    machine = new FakeMachine([
      { address: ADDRESS, driver: 'nvme', group: '8' },
      { address: '0000:04:00.1', driver: 'e1000e', group: '8' },
    ]);
    if (plan === planUnbind) await whole(machine.port, planBind);
    const was = JSON.stringify(machine.state());
    const left = (): readonly string[] => {
      // An empty folder is no harm, and the next time it must be made again.
      const isEmpty = machine.port.exists('/run/wcvmm') && machine.port.list('/run/wcvmm').length === 0;
      if (isEmpty) for (const path of ['/run/wcvmm', '/run']) machine.port.removeFolder(path);
      const is = JSON.stringify(machine.state());
      return is === was ? [] : [is];
    };
    const found = await eachFault(
      machine.port,
      async (port) => {
        await whole(port, plan);
        // It worked: back to how it was.
        await whole(machine.port, back);
      },
      { sweep: 'all', left },
    );
    expect(machine.port.linkName(`/sys/bus/pci/devices/${ADDRESS}/driver`)).toBe(before);
    expect(found.wrong).toEqual([]);
    expect(found.steps).toBeGreaterThan(20);
    expect(found.ended).toBeGreaterThan(20);
  });

  it('a step that is not taken back is noticed', async () => {
    machine = new FakeMachine([{ address: ADDRESS, driver: 'nvme', group: '8' }]);
    const before = JSON.stringify(machine.state());
    const { wrong } = await eachFault(
      machine.port,
      async (port) => {
        const { steps } = planBind(port, ADDRESS, { force: false, group: false });
        await takeSteps(
          port,
          steps.map(({ action }) => ({ action, undo: null })),
          () => {},
          never,
        );
      },
      { sweep: 'once', left: () => (JSON.stringify(machine.state()) === before ? [] : ['a step']) },
    );
    expect(wrong).toContainEqual(expect.stringContaining('a step is left'));
  });
});

it('every request that is made of a device has its name', () => {
  const folder = 'vmm/sys';
  const sources = readdirSync(folder)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(`${folder}/${name}`, 'utf8'))
    .join('\n');
  const requests = [...sources.matchAll(/const ((?:KVM|VFIO|IOMMU)_[A-Z0-9_]+) = (0x[0-9a-f]*(?:ae|3b)[0-9a-f]{2});/g)];
  expect(requests.length).toBeGreaterThan(50);
  for (const [, name, value] of requests) expect([value, ioctlName(Number(value))]).toEqual([value, `ioctl ${name}`]);
  expect(ioctlName(0x1234)).toBe('ioctl 0x1234');
});
