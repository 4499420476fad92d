/**
 * `npm run faults -- [COMMAND...]`: what verify, run, bind, unbind and doctor do is done again and again, and each time another system call fails, at each place
 * with each errno that is plausible there. Whatever fails, the error must be one of wcvmm's and name the call, and no file, mapping, memslot or trace
 * instance may be left. `--once`: one errno for each place. `--whole`: a verification that goes on after a
 * failure is not cut short. `--device A`: on a device that vfio-pci has, as in a testbed. Exit code 1 otherwise.
 */
import { parseArgs } from 'node:util';
import { scoped } from '../../common/scope.ts';
import { diagnose } from '../../tool/host/doctor/doctor.ts';
import { planBind, planUnbind } from '../../tool/host/devices/bind.ts';
import { takeSteps } from '../../tool/host/devices/steps.ts';
import { exchangeModule } from '../../tool/verify/guest/exchange.ts';
import { describeExit } from '../../tool/verify/guest/exit.ts';
import { loadGuest } from '../../tool/verify/guest/image.ts';
import { bareMachine } from '../../tool/verify/guest/places.ts';
import { runGuest } from '../../tool/verify/guest/run.ts';
import { verify } from '../../tool/verify/verify.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { MainThreadRunner } from '../../vmm/kvm/main-thread-runner.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { libcPort, pageSize } from '../../vmm/sys/libc.ts';
import { SysError } from '../../vmm/sys/port.ts';
import type { Port } from '../../vmm/sys/port.ts';
import { openWindows } from '../../vmm/vfio/open-windows.ts';
import { attachForDma, ramForDevices } from '../../vmm/vfio/share.ts';
import { eachFault } from './each-fault.ts';
import { processHas } from './process-has.ts';

const { values, positionals } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    whole: { type: 'boolean', default: false },
    device: { type: 'string' },
  },
  allowPositionals: true,
});
const device = values.device ?? null;
const source = device === null ? 'memory' : 'cookie';
const choice = { source, device, iommu: 'auto', maps: ['bar2:0-64K=default'], enforce: false } as const;
const arch = requireArchitecture();
const image = await loadGuest(arch.name);
const never = new AbortController().signal;

async function run(port: Port, signal: AbortSignal): Promise<void> {
  await scoped(async (ends) => {
    const scope = ends.inner();
    const thread = new MainThreadRunner([exchangeModule]);
    ends.defer(() => thread.close());
    const open = openWindows(port, scope, BARE_MAP, choice, BigInt(pageSize()));
    const devices = attachForDma(port, scope, open.source.device, device === null ? [] : [device]);
    const { exit } = await runGuest(port, arch, thread, {
      image,
      windows: open.windows,
      stage1: [],
      cells: [],
      findsFault: true,
      timeoutMs: 60_000,
      signal,
      onRam: ({ regions }) => {
        for (const { gpa, mapping } of regions) ramForDevices(port, devices, mapping, gpa);
      },
    });
    const failure = describeExit(exit, bareMachine(arch.name, open, null));
    // How KVM_RUN ended is an answer of the guest's run, and its sentence the error.
    if (failure !== null) throw new SysError(`ioctl KVM_RUN: ${failure}`, exit.kind === 'killed' ? exit.errno : 0);
  });
}

async function bindAndBack(port: Port): Promise<void> {
  const address = device ?? '';
  const options = { force: false, group: false };
  for (const plan of [planUnbind, planBind]) {
    const { steps, requireDrivers } = plan(port, address, options);
    await takeSteps(port, steps, requireDrivers, never);
  }
}

const COMMANDS: Readonly<Record<string, (port: Port, signal: AbortSignal) => Promise<unknown>>> = {
  doctor: (port) => Promise.resolve().then(() => diagnose(port, { device, source, iommu: 'auto' })),
  run,
  verify: (port, signal) =>
    verify(port, arch, {
      command: 'verify',
      choice,
      image,
      timeoutMs: 60_000,
      allowWrites: false,
      overrides: [],
      whole: false,
      signal,
    }),
  ...(device !== null && { bind: bindAndBack }),
};

let failed = false;
for (const [name, work] of Object.entries(COMMANDS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  await work(libcPort, never);
  const before = processHas();
  const found = await eachFault(libcPort, work, {
    sweep: values.once ? 'once' : 'all',
    toTheEnd: values.whole,
    left: () => processHas().filter((one) => !before.includes(one)),
  });
  failed ||= found.wrong.length > 0;
  process.stdout.write(`${JSON.stringify({ command: name, ...found })}\n`);
}
process.exitCode = failed ? 1 : 0;
