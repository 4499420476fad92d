import { afterEach, describe, expect, test } from 'vitest';
import { planBind, planUnbind } from '../tool/host/devices/bind.ts';
import type { BindOptions, Plan } from '../tool/host/devices/bind.ts';
import { readPreviousDriver } from '../tool/host/devices/previous-driver.ts';
import { shellCommand, takeSteps } from '../tool/host/devices/steps.ts';
import { WcvmmError } from '../common/errors.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import { VENDOR_DRIVERS } from './stub-port.ts';
import { FakeMachine } from './fake-machine.ts';
import type { FakeDevice } from './fake-machine.ts';

const ADDRESS = '0000:04:00.0';
const NVME: FakeDevice = { address: ADDRESS, driver: 'nvme', group: '8' };
const PLAIN: BindOptions = { force: false, group: false };
const GROUP: BindOptions = { force: false, group: true };
const never = new AbortController().signal;

let machine: FakeMachine;
afterEach(() => machine.remove());

function have(...devices: readonly FakeDevice[]): FakeMachine {
  machine = new FakeMachine(devices);
  return machine;
}

function take({ steps, requireDrivers }: Plan, signal: AbortSignal = never): Promise<void> {
  return takeSteps(machine.port, steps, requireDrivers, signal);
}

function driverOf(address: string): string | null {
  return machine.port.linkName(`/sys/bus/pci/devices/${address}/driver`);
}

async function codeOf(run: () => Promise<unknown> | Plan): Promise<string> {
  try {
    await run();
    return 'none';
  } catch (error) {
    return error instanceof WcvmmError ? error.code : String(error);
  }
}

describe('bind and unbind', () => {
  test.each<[string, FakeDevice]>([
    ['a driver', NVME],
    ['no driver', { address: ADDRESS, group: '8' }],
  ])('a device with %s gets vfio-pci, and then again what it had', async (_name, device) => {
    const before = have(device).state();
    await take(planBind(machine.port, ADDRESS, PLAIN));
    expect(driverOf(ADDRESS)).toBe('vfio-pci');
    expect(readPreviousDriver(machine.port, ADDRESS)).toEqual({ driver: device.driver ?? null, override: '' });
    await take(planUnbind(machine.port, ADDRESS, PLAIN));
    expect(machine.state()).toEqual(before);
  });

  test('a second bind, and an unbind of what is not bound, change nothing', async () => {
    have(NVME);
    expect(planUnbind(machine.port, ADDRESS, PLAIN)).toMatchObject({
      steps: [],
      notes: [`${ADDRESS} is not bound to vfio-pci`],
    });
    await take(planBind(machine.port, ADDRESS, PLAIN));
    expect(planBind(machine.port, ADDRESS, PLAIN)).toMatchObject({
      steps: [],
      notes: [`${ADDRESS} is bound to vfio-pci already`],
    });
  });

  test.each(VENDOR_DRIVERS)(
    '%s is a VFIO driver too: bind leaves the device with it, unbind takes it away',
    async (driver) => {
      machine = new FakeMachine([{ ...NVME, driver, natural: 'nvme' }], ['nvme', driver]);
      machine.file(`${machine.folderOf(ADDRESS)}/driver_override`, `${driver}\n`);
      expect(planBind(machine.port, ADDRESS, PLAIN)).toMatchObject({
        steps: [],
        notes: [`${ADDRESS} is bound to ${driver} already`],
      });
      await take(planUnbind(machine.port, ADDRESS, PLAIN));
      expect(driverOf(ADDRESS)).toBe('nvme');
    },
  );

  test('a member of the group that a VFIO driver has is not in the way', () => {
    machine = new FakeMachine([NVME, { address: '0000:04:00.1', driver: 'mlx5_vfio_pci', group: '8' }]);
    expect(planBind(machine.port, ADDRESS, PLAIN).notes).toEqual([]);
  });

  test('an override that was there comes back', async () => {
    const before = (have(NVME).file(`${machine.folderOf(ADDRESS)}/driver_override`, 'nvme\n'), machine.state());
    await take(planBind(machine.port, ADDRESS, PLAIN));
    await take(planUnbind(machine.port, ADDRESS, PLAIN));
    expect(machine.state()).toEqual(before);
  });

  test.each([
    ['nothing', null],
    ['no JSON', '{'],
    ['no object', 'null'],
    ['a path for a driver', '{"driver":"../../evil","override":""}'],
    ['a driver that is gone', '{"driver":"gone","override":""}'],
  ])('with %s recorded the kernel chooses', async (_name, record) => {
    have(NVME);
    await take(planBind(machine.port, ADDRESS, PLAIN));
    if (record === null) machine.port.removeFile(`/run/wcvmm/bound-${ADDRESS}.json`);
    else machine.file(`/run/wcvmm/bound-${ADDRESS}.json`, record);
    const plan = planUnbind(machine.port, ADDRESS, PLAIN);
    expect(plan.notes).toEqual([`the previous driver of ${ADDRESS} is unknown or not loaded: the kernel chooses one`]);
    await take(plan);
    expect(driverOf(ADDRESS)).toBe('nvme');
  });

  test('a dry run shows the commands of a shell', () => {
    have(NVME);
    expect(planBind(machine.port, ADDRESS, PLAIN).steps.map(({ action }) => shellCommand(action))).toEqual([
      `mkdir -p /run/wcvmm && echo '{"driver":"nvme","override":""}' > /run/wcvmm/bound-${ADDRESS}.json`,
      `echo ${ADDRESS} > /sys/bus/pci/drivers/nvme/unbind`,
      `echo vfio-pci > /sys/bus/pci/devices/${ADDRESS}/driver_override`,
      `echo ${ADDRESS} > /sys/bus/pci/drivers_probe`,
    ]);
    expect(machine.writes).toBe(0);
  });
});

describe('a group', () => {
  const OTHER: FakeDevice = { address: '0000:04:00.1', driver: 'e1000e', group: '8', classCode: '0x020000' };
  const BRIDGE: FakeDevice = { address: '0000:03:00.0', driver: 'pcieport', group: '8', classCode: '0x060400' };

  test('that another driver has a part of is told, with what to do', () => {
    have(NVME, OTHER, BRIDGE);
    expect(planBind(machine.port, ADDRESS, PLAIN).notes).toEqual([
      `VFIO cannot use ${ADDRESS} while other devices of its IOMMU group 8 have other drivers: 0000:04:00.1 has e1000e. --group binds them too`,
    ]);
  });

  test('is bound and given back as a whole, but its bridges', async () => {
    const before = have(NVME, OTHER, BRIDGE).state();
    await take(planBind(machine.port, ADDRESS, GROUP));
    expect([ADDRESS, OTHER.address, BRIDGE.address].map(driverOf)).toEqual(['vfio-pci', 'vfio-pci', 'pcieport']);
    await take(planUnbind(machine.port, ADDRESS, GROUP));
    expect(machine.state()).toEqual(before);
  });

  test('is refused as a whole if one of it is in use', async () => {
    have(NVME, OTHER).link('/sys/class/net/eth1', `${machine.folderOf(OTHER.address)}/net/eth1`);
    machine.file(`${machine.folderOf(OTHER.address)}/net/eth1/flags`, '0x1003\n');
    expect(await codeOf(() => planBind(machine.port, ADDRESS, GROUP))).toBe('E_DEVICE_IN_USE');
    expect(await codeOf(() => planBind(machine.port, ADDRESS, { force: true, group: true }))).toBe('none');
  });
});

describe('what cannot be bound', () => {
  test.each<[string, FakeDevice, string]>([
    ['a bridge', { ...NVME, classCode: '0x060400' }, 'E_USAGE'],
    ['a device without an IOMMU group', { address: ADDRESS, driver: 'nvme' }, 'E_NO_IOMMU'],
    ['a device that is not there', { ...NVME, address: '0000:05:00.0' }, 'E_DEVICE_ABSENT'],
  ])('%s', async (_name, device, code) => {
    have(device);
    expect(await codeOf(() => planBind(machine.port, ADDRESS, PLAIN))).toBe(code);
  });

  test('a device without a group can be, where VFIO may do without an IOMMU', async () => {
    have({ address: ADDRESS, driver: 'nvme' }).file('/sys/module/vfio/parameters/enable_unsafe_noiommu_mode', 'Y\n');
    await take(planBind(machine.port, ADDRESS, PLAIN));
    expect(driverOf(ADDRESS)).toBe('vfio-pci');
  });

  test('anything, without vfio-pci', async () => {
    machine = new FakeMachine([NVME], ['nvme']);
    expect(await codeOf(() => planBind(machine.port, ADDRESS, PLAIN))).toBe('E_SETUP');
  });

  test('a device that another driver takes all the same is given back', async () => {
    const before = have(NVME).state();
    const plan = planBind(machine.port, ADDRESS, PLAIN);
    const steps = plan.steps.filter(
      ({ action }) => !(action.kind === 'write' && action.path.endsWith('driver_override')),
    );
    expect(await codeOf(() => take({ ...plan, steps }))).toBe('E_BIND');
    expect(machine.state()).toEqual(before);
  });
});

function refuse(): never {
  throw new SysError('write', ERRNO.EIO);
}

function interrupt(controller: AbortController): void {
  controller.abort(new WcvmmError('E_INTERRUPTED', 'Ctrl-C'));
}

async function nothing(): Promise<void> {}

function bindBoth(): Promise<void> {
  return take(planBind(machine.port, ADDRESS, GROUP));
}

describe('whatever fails at whichever write, everything is as it was', () => {
  const OTHER: FakeDevice = { address: '0000:04:00.1', driver: 'e1000e', group: '8', classCode: '0x020000' };

  /** Runs `plan` once to count its writes, then again and again with each write disturbed. */
  async function eachWrite(
    prepare: () => Promise<void>,
    plan: () => Plan,
    disturb: (controller: AbortController) => void,
    code: string,
  ): Promise<number> {
    have(NVME, OTHER);
    await prepare();
    const earlier = machine.writes;
    await take(plan());
    const total = machine.writes - earlier;
    for (let failing = 1; failing <= total; failing += 1) {
      machine.remove();
      have(NVME, OTHER);
      await prepare();
      const before = machine.state();
      const controller = new AbortController();
      const start = machine.writes;
      machine.onWrite = (count) => {
        if (count - start === failing) disturb(controller);
      };
      const failure = await take(plan(), controller.signal).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code, message: expect.not.stringContaining('could not be undone') });
      expect(machine.state()).toEqual(before);
    }
    return total;
  }

  test.each([
    ['bind, refused', nothing, planBind, refuse, 'E_BIND', 8],
    ['bind, interrupted', nothing, planBind, interrupt, 'E_INTERRUPTED', 8],
    ['unbind, refused', bindBoth, planUnbind, refuse, 'E_BIND', 6],
    ['unbind, interrupted', bindBoth, planUnbind, interrupt, 'E_INTERRUPTED', 6],
  ] as const)('%s', async (_name, prepare, plan, disturb, code, writes) => {
    expect(await eachWrite(prepare, () => plan(machine.port, ADDRESS, GROUP), disturb, code)).toBe(writes);
  });

  test('steps that cannot be undone are shown, to be run by hand', async () => {
    have(NVME).onWrite = (count) => {
      if (count >= 3) refuse();
    };
    const failure = take(planBind(machine.port, ADDRESS, PLAIN));
    await expect(failure).rejects.toMatchObject({
      code: 'E_BIND',
      message: expect.stringContaining(
        `could not be undone: echo > /sys/bus/pci/devices/${ADDRESS}/driver_override; echo ${ADDRESS} > /sys/bus/pci/drivers/nvme/bind`,
      ),
    });
  });

  test('without the right to, the user is told so', async () => {
    have(NVME).onWrite = () => {
      throw new SysError('write', ERRNO.EACCES);
    };
    expect(await codeOf(() => take(planBind(machine.port, ADDRESS, PLAIN)))).toBe('E_PERMISSION');
  });
});
