/**
 * Runs inside a testbed, on its device's BAR of memory: somebody switches memory decoding off, resets the device, or unbinds it, while a guest has
 * it; a guest that never ends is stopped when the device is wanted back. Prints how each of a small guest's runs ends, as JSON.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { scoped } from '../../common/scope.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { ElfImage } from '../../vmm/boot/elf.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { BARE_MAP, runBare } from '../../vmm/machines/bare.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { VFIO_PCI, getRegionInfo } from '../../vmm/sys/vfio.ts';
import { openWindows } from '../../vmm/vfio/open-windows.ts';
import type { OpenWindow } from '../../vmm/vfio/open-windows.ts';
import { abortWhenLost } from '../../vmm/vfio/notices.ts';
import { planBind } from '../../tool/host/devices/bind.ts';
import { takeSteps } from '../../tool/host/devices/steps.ts';
import { expectAnswers } from '../../vmm/memory/answers.ts';
import type { MemoryFault } from '../../vmm/kvm/exits.ts';
import { traceFault } from '../../tool/verify/read-back/fault-trace.ts';
import { GUESTS } from './machine-code.ts';

const address = process.argv[2] ?? '0000:01:00.0';
const folder = `/sys/bus/pci/devices/${address}`;
const ENTRY = BARE_MAP.ramBase + 0x1000n;
/** Where guests of 32 bits reach it, too. */
const WINDOW = 0x9000_0000n;
const MEMORY = 2;

/** Loads a byte of the window and prints it; bare guests begin with RAM's address, and this one with the window's. */
const image: ElfImage = { entry: ENTRY, segments: [] };

async function main(): Promise<Record<string, unknown>> {
  return scoped(async (ends) => {
    const scope = ends.inner();
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    const arch = requireArchitecture();
    const choice = { source: 'cookie', device: address, iommu: 'auto', maps: ['bar2:0-64K=device'] } as const;
    const { source, windows } = openWindows(port, scope, BARE_MAP, { ...choice, enforce: false }, 4096n);
    const fd = source.device?.fd ?? -1;
    const command = getRegionInfo(port, fd, VFIO_PCI.configRegion).offset + 4n;
    const decode = (on: boolean): void => {
      const bytes = new Uint8Array(2);
      port.pread(fd, bytes, command);
      bytes[0] = on ? (bytes[0] ?? 0) | MEMORY : (bytes[0] ?? 0) & ~MEMORY;
      port.pwrite(fd, bytes, command);
    };
    let fault: MemoryFault | null = null;
    const load = async (access: OpenWindow['access']): Promise<string> => {
      const given = windows.map(({ mapping }) => ({ gpa: WINDOW, mapping, access }));
      try {
        const { exit } = await runBare({
          thread,
          arch: {
            ...arch,
            initBareVcpu: (used, vm, vcpu, { entry }) => arch.initBareVcpu(used, vm, vcpu, { entry, argument: WINDOW }),
          },
          image,
          ramLength: 0x1_0000n,
          windows: given,
          timeoutMs: 60_000,
          onRam: (ram) => ram.write(ENTRY, GUESTS.loadAndPrint),
          onKilled: async ({ vcpuThread }, again) => {
            fault = await traceFault(port, scope, arch.name, vcpuThread, again);
          },
        });
        return exit.kind;
      } catch (error) {
        return error instanceof WcvmmError ? error.code : String(error);
      }
    };
    const both = async (): Promise<readonly string[]> => [await load('trapped'), await load('mapped')];
    const own = (): string => {
      const require = expectAnswers(port);
      void new Uint32Array(port.view(windows[0]?.mapping.address ?? 0n, 4))[0];
      try {
        require();
        return 'answered';
      } catch (error) {
        return error instanceof WcvmmError ? error.code : String(error);
      }
    };
    const found: Record<string, unknown> = { before: await both() };
    port.writeText(`${folder}/reset`, '1');
    found['reset by another'] = await both();
    const unbind = spawn('sh', ['-c', `echo ${address} > ${folder}/driver/unbind`]);
    const unbound = once(unbind, 'exit');
    found['unbinding'] = await both();
    decode(false);
    found['switched off'] = [await load('mapped'), await load('trapped'), own()];
    found['where'] = whereOf(fault);
    scope.close();
    await unbound;
    return found;
  });
}

/** As KVM's tracepoint has it; null: it was not read. */
function whereOf(fault: MemoryFault | null): object | null {
  if (fault === null) return null;
  const { gpa, access, isAlignment, pc } = fault;
  return {
    offset: Number(gpa - WINDOW),
    access,
    isAlignment,
    inGuest: pc !== null && pc >= ENTRY && pc < ENTRY + 4096n,
  };
}

/** Somebody unbinds the device while a guest spins that would never end. @returns how its run ended, and who has the device afterwards */
async function unboundUnderGuest(): Promise<unknown> {
  const never = new AbortController().signal;
  const plan = planBind(port, address, { force: false, group: false });
  await takeSteps(port, plan.steps, plan.requireDrivers, never);
  const unbound: Promise<unknown>[] = [];
  const code = await scoped(async (ends) => {
    const scope = ends.inner();
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    const choice = { source: 'cookie', device: address, iommu: 'auto', maps: ['bar2:0-64K=device'] } as const;
    const { source, windows } = openWindows(port, scope, BARE_MAP, { ...choice, enforce: false }, 4096n);
    const devices = source.device === null ? [] : [source.device];
    await runBare({
      thread,
      image,
      ramLength: 0x1_0000n,
      windows: windows.map(({ mapping }) => ({ gpa: WINDOW, mapping, access: 'mapped' })),
      timeoutMs: 60_000,
      signal: abortWhenLost(port, scope, devices),
      onRam: (ram) => ram.write(ENTRY, GUESTS.printAndSpin),
      onConsole: () => {
        if (unbound.length > 0) return;
        unbound.push(once(spawn('sh', ['-c', `echo ${address} > ${folder}/driver/unbind`]), 'exit'));
      },
    });
    return 'ended';
  }).catch((error: unknown) => (error instanceof WcvmmError ? error.code : String(error)));
  await Promise.all(unbound);
  return [code, port.linkName(`${folder}/driver`)];
}

const lost = await main();
process.stdout.write(`${JSON.stringify({ ...lost, 'unbound under a guest': await unboundUnderGuest() })}\n`);
