import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { standardOutput } from '../common/output.ts';
import type { EptLeaf } from './bochs/ept.ts';
import { ensureDebianKernel } from './debian-kernel/index.ts';
import type { DebianKernel } from './debian-kernel/index.ts';
import type { Monitor } from './monitor.ts';
import { emulatorVersion } from './emulator.ts';
import { interruptible } from '../common/interrupt.ts';
import { ensureKernel } from './kernel/index.ts';
import { kernelOf, kernelVariants, machineOf } from './machine/index.ts';
import type { KernelVariant } from './machine/machine.ts';
import { insideRoot } from './rootfs/app.ts';
import { codeFolder, type RunInside } from './rootfs/code.ts';
import { ensureRootfs } from './rootfs/index.ts';
import { progressOn } from '../common/progress.ts';
import { runSession } from './session.ts';

export interface TestbedRequest {
  /** One of machine/names.ts. */
  arch: string;
  /** Default: patched. */
  kernel?: KernelVariant | undefined;
  /** A Linux source tree or tarball instead of Debian's. */
  linuxSource?: string | undefined;
  /** What to run inside: a wcvmm command line, any program, or an interactive shell on this terminal. `stdoutTo` names a file in the working directory. */
  run:
    | { kind: 'wcvmm'; args: readonly string[]; stdoutTo?: string }
    | { kind: 'program'; args: readonly string[] }
    | { kind: 'shell' };
  /** Copied into the command's working directory. */
  inputs?: readonly string[] | undefined;
  /** Where files that the command writes to its working directory go, over what is there; without it they are dropped. */
  outputDir?: string | undefined;
  /** Without an `outputDir`: called at the end with the files that are dropped. */
  onDropped?: ((names: readonly string[]) => void) | undefined;
  /** Seconds from power-on to power-off; null = no limit; default: the machine's own. */
  timeout?: number | null | undefined;
  /** The emulator's name of a CPU model instead of its most capable one. */
  cpu?: string | undefined;
  /** Default: true. */
  iommu?: boolean | undefined;
  /** MiB; default: the machine's own. */
  memory?: number | undefined;
  /** Default: the machine's own number. */
  processors?: number | undefined;
  /** Default: false. An instance whose emulator runs Linux guests as a CPU would, also where that takes fewer CPUs. */
  linuxGuests?: boolean | undefined;
  /** More for the emulator's command line: further devices, a trace. */
  emulatorOptions?: readonly string[] | undefined;
  env?: Readonly<Record<string, string>> | undefined;
  /** Take the command's output as it comes; default: this process's own streams. */
  stdout?: ((chunk: Uint8Array) => void) | undefined;
  stderr?: ((chunk: Uint8Array) => void) | undefined;
  /** x86-intel: takes what Bochs' debugger reads of EPT whenever a guest stops for that. */
  eptLeaf?: ((leaf: EptLeaf) => void) | undefined;
  /** arm64, x86-amd: takes QEMU's monitor as it starts. */
  monitor?: ((monitor: Monitor) => void) | undefined;
}

/**
 * Makes sure of a kernel and a root file system, boots an emulated instance and runs one command in it.
 * Returns the command's exit code. Throws E_KERNEL_SOURCE, E_KERNEL_BUILD, E_TESTBED, E_INTERRUPTED.
 */
export async function runInTestbed(request: TestbedRequest): Promise<number> {
  const machine = machineOf(request.arch);
  const progress = progressOn(process.stderr);
  return interruptible(async (signal) => {
    try {
      const emulator = `${machine.emulator.name}-${await emulatorVersion(machine.emulator)}`;
      const kernel = await ensureKernel({
        target: machine.kernel,
        variant: request.kernel ?? 'patched',
        source: request.linuxSource,
        progress,
        signal,
      });
      const base = { machine, emulator, timeout: machine.defaultTimeout, signal };
      const options = {
        cpu: request.cpu ?? null,
        iommu: request.iommu ?? true,
        memory: request.memory ?? machine.defaultMemory,
        processors: request.processors ?? (request.linuxGuests === true ? machine.processorsForLinux : null),
        extra: request.emulatorOptions ?? [],
      };
      const compile: RunInside = async (args, outputDir) =>
        runSession({
          ...base,
          options: { cpu: null, iommu: true, memory: machine.defaultMemory, processors: null, extra: [] },
          files: { kernel, ...(await ensureRootfs(machine, null, progress, signal)) },
          command: { args, env: {}, interactive: false },
          inputs: [],
          output: { kind: 'folder', path: outputDir },
          stdout: () => {},
          stderr: () => {},
        });
      // In an instance like those that most commands have, and for a command that has use of it.
      const mayCompile =
        request.run.kind === 'wcvmm' &&
        (request.kernel ?? 'patched') === 'patched' &&
        request.linuxSource === undefined;
      const code = await codeFolder(machine, insideRoot, mayCompile ? compile : null, { progress, signal });
      const rootfs = await ensureRootfs(machine, code, progress, signal);
      progress.moment(`booting an emulated ${machine.arch} instance on ${emulator}`);
      // The command's first output takes the progress line away.
      const through = (take: (chunk: Uint8Array) => void) => (chunk: Uint8Array) => {
        progress.done();
        take(chunk);
      };
      return await runSession({
        ...base,
        options,
        files: { kernel, ...rootfs },
        command: {
          args: commandLine(request.run),
          env: request.env ?? {},
          interactive: request.run.kind === 'shell',
        },
        inputs: request.inputs ?? [],
        output:
          request.outputDir === undefined
            ? { kind: 'dropped', onFiles: request.onDropped ?? (() => {}) }
            : { kind: 'folder', path: request.outputDir },
        ...(request.timeout !== undefined && { timeout: request.timeout }),
        // A shell has the terminal from here on.
        onUp: () => (request.run.kind === 'shell' ? progress.done() : progress.moment('running')),
        stdout: through(request.stdout ?? ((chunk) => standardOutput.write(chunk))),
        stderr: through(request.stderr ?? ((chunk) => process.stderr.write(chunk))),
        eptLeaf: request.eptLeaf,
        monitor: request.monitor,
      });
    } finally {
      progress.done();
    }
  });
}

/** The PCI address of the device in this testbed that has a BAR of plain memory. Throws E_USAGE for an unknown testbed. */
export function testbedDevice(arch: string): string {
  return machineOf(arch).memoryDevice;
}

/**
 * Debian's kernel for cloud instances and an initramfs for it, in the cache: for this machine's KVM, or for an instance's.
 * Throws E_GUEST_IMAGE where they cannot be fetched, E_USAGE for an unknown testbed.
 */
export async function debianKernel(arch: 'arm64' | 'x86' | { readonly testbed: string }): Promise<DebianKernel> {
  const target = typeof arch === 'string' ? arch : machineOf(arch.testbed).kernel.arch === 'arm64' ? 'arm64' : 'x86';
  const progress = progressOn(process.stderr);
  return interruptible((signal) => ensureDebianKernel({ arch: target, progress, signal })).finally(() =>
    progress.done(),
  );
}

/** The kernel that an instance boots, in the cache. Throws as buildKernels does. */
export async function testbedKernel(arch: string): Promise<string> {
  const [image = ''] = await buildKernels({ arch: machineOf(arch).kernel.arch, variants: ['patched'] });
  return image;
}

/**
 * Makes sure that the cache has these kernels. Returns the images' paths in the order of `variants`: in the cache, or their copies ARCH-VARIANT.Image in `outputDir`.
 */
export async function buildKernels(request: {
  /** One of machine/index.ts's kernelArchitectures. */
  arch: string;
  /** Undefined = all that the architecture has. */
  variants: readonly KernelVariant[] | undefined;
  linuxSource?: string | undefined;
  outputDir?: string | undefined;
}): Promise<string[]> {
  const target = kernelOf(request.arch);
  const progress = progressOn(process.stderr);
  return interruptible(async (signal) => {
    try {
      const images: string[] = [];
      for (const variant of request.variants ?? kernelVariants(target)) {
        const image = await ensureKernel({ target, variant, source: request.linuxSource, progress, signal });
        images.push(
          request.outputDir === undefined
            ? image
            : await copyTo(request.outputDir, `${request.arch}-${variant}.Image`, image),
        );
      }
      return images;
    } finally {
      progress.done();
    }
  });
}

async function copyTo(folder: string, name: string, image: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const copy = join(folder, name);
  await copyFile(image, copy);
  return copy;
}

function commandLine(run: TestbedRequest['run']): readonly string[] {
  switch (run.kind) {
    case 'wcvmm':
      return run.stdoutTo === undefined
        ? ['wcvmm', ...run.args]
        : ['sh', '-c', 'file=$1; shift; exec wcvmm "$@" >"$file"', 'sh', run.stdoutTo, ...run.args];
    case 'program':
      return run.args;
    case 'shell':
      return [];
  }
}
