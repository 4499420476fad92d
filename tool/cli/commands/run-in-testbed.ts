/** `wcvmm run --testbed`: the same inside an emulated instance, with copies of the files that it names. */
import { basename } from 'node:path';
import { runInTestbed } from '../../../testbed/index.ts';
import type { BareOptions } from './run-bare.ts';
import type { LinuxOptions } from './run-linux.ts';

export interface RunOptions extends Omit<BareOptions, 'device'>, Omit<LinuxOptions, 'kernel' | 'timeout'> {
  readonly kernel?: string;
  readonly testbed?: string;
}

/** Seconds that an instance takes beside its guest. */
const INSTANCE_SECONDS = 60;
/** Of a Linux guest and its instance, where nothing else is asked for: an emulated CPU that emulates another boots slowly. */
const LINUX_SECONDS = 300;

/** Returns the exit code. @param path of a bare guest @param isTimed whether a timeout was given */
export function runGuestInTestbed(
  path: string | undefined,
  options: RunOptions,
  testbed: string,
  isTimed: boolean,
): Promise<number> {
  const inputs = [path, options.kernel, options.initrd].filter((file) => file !== undefined);
  return runInTestbed({
    arch: testbed,
    run: { kind: 'wcvmm', args: ['run', ...argumentsInside(path, options, isTimed)] },
    inputs,
    ...(options.kernel !== undefined && { timeout: LINUX_SECONDS }),
    // With the guest's vCPUs on several CPUs of that instance it hangs (docs/usage.md).
    ...(testbed === 'x86-amd' && options.kernel !== undefined && { processors: 1 }),
    ...(isTimed && { timeout: options.timeout + INSTANCE_SECONDS }),
  });
}

function argumentsInside(path: string | undefined, options: RunOptions, isTimed: boolean): readonly string[] {
  const { kernel, initrd, append, cpus, console, reboot, memory } = options;
  const { device, map, source, iommu, enforce, dmaDevice, sandbox } = options;
  const forLinux = [
    ...(kernel === undefined ? [] : ['--kernel', basename(kernel), '--cpus', cpus, '--console', console]),
    ...(initrd === undefined ? [] : ['--initrd', basename(initrd)]),
    ...append.flatMap((words) => ['--append', words]),
    ...(reboot ? [] : ['--no-reboot']),
  ];
  const forBare =
    path === undefined
      ? []
      : ['--source', source, ...dmaDevice.flatMap((address) => ['--dma-device', address]), basename(path)];
  return [
    ...forLinux,
    '--iommu',
    iommu,
    ...device.flatMap((address) => ['--device', address]),
    ...map.flatMap((text) => ['--map', text]),
    ...(enforce === true ? ['--enforce'] : []),
    ...(sandbox ? [] : ['--no-sandbox']),
    ...(memory === undefined ? [] : ['--memory', memory]),
    ...(isTimed ? ['--timeout', String(options.timeout)] : []),
    ...forBare,
  ];
}
