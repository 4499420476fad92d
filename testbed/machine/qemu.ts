import type { EmulatorProgram } from '../emulator.ts';
import { emulatorParameter, type Boot, type BootFiles, type Machine, type MachineOptions } from './machine.ts';
import { channels, startQemu, type Channels } from './qemu-process.ts';

/** What each machine of QEMU's makes its command line of. */
export interface QemuBoot {
  files: BootFiles;
  channels: Channels;
  options: MachineOptions;
  /** The end of the kernel's command line, the same on every machine. */
  append: string;
}

/** What is alike in all machines that QEMU emulates. */
export function qemuMachine(
  program: string,
  emulatorArguments: (boot: QemuBoot) => string[],
): Pick<
  Machine,
  'init' | 'helpers' | 'defaultMemory' | 'processorsForLinux' | 'keepsCode' | 'defaultTimeout' | 'emulator' | 'start'
> {
  const emulator: EmulatorProgram = {
    name: 'qemu',
    program,
    versionArguments: ['--version'],
    version: /version (\d[\w.]*)/,
  };
  return {
    init: 'init-qemu',
    helpers: [],
    defaultMemory: 1024,
    processorsForLinux: null,
    keepsCode: true,
    defaultTimeout: 120,
    emulator,
    start: ({ files, command: { interactive }, options, emulator: name, listeners }: Boot) => {
      const args = emulatorArguments({
        files,
        channels: { ...channels, console: interactive ? null : channels.console },
        options,
        append: emulatorParameter(name),
      });
      return startQemu(program, [...args, ...(options.extra ?? [])], files.share, interactive, listeners);
    },
  };
}

/** QEMU's names for its virtio devices end with the bus that they sit on. */
type VirtioBus = 'device' | 'pci';

/** No device but those asked for, no window, no monitor, no network; a panic ends the emulator. */
export const quiet: readonly string[] = [
  '-nodefaults',
  '-display',
  'none',
  '-monitor',
  'none',
  '-nic',
  'none',
  '-no-reboot',
  // Its own filter of system calls: it starts no program and gains no rights.
  '-sandbox',
  'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
];

/** The console, and a port for each stream of the session. */
export function channelArguments(bus: VirtioBus, channels: Channels): string[] {
  const console =
    channels.console === null ? 'stdio,id=console,signal=off' : `socket,id=console,fd=${channels.console}`;
  const ports = (['stdout', 'stderr', 'control'] as const).flatMap((name) => [
    ['-chardev', `socket,id=${name},fd=${channels[name]}`],
    ['-device', `virtserialport,chardev=${name},name=${name}`],
  ]);
  return [['-chardev', console, '-serial', 'chardev:console'], ['-device', `virtio-serial-${bus}`], ...ports].flat();
}

/** The disk with Node, and the session's folder. */
export function virtioDevices(bus: VirtioBus, files: BootFiles): string[] {
  return [
    [
      '-drive',
      `file=${escaped(files.disk)},format=raw,if=none,id=base,readonly=on`,
      '-device',
      `virtio-blk-${bus},drive=base`,
    ],
    ['-fsdev', `local,id=session,path=${escaped(files.share)},security_model=none`],
    ['-device', `virtio-9p-${bus},fsdev=session,mount_tag=session`],
  ].flat();
}

/** Each behind a root port of its own, so that each has an IOMMU group and a bus number of its own: 01 to 04. */
export function passthroughDevices(files: BootFiles): string[] {
  return [
    ['-object', 'memory-backend-ram,id=small,size=4M,share=on'],
    behindRootPort(1, 'ivshmem-plain,memdev=small'),
    behindRootPort(2, 'nvme,serial=wcvmm-passthrough,cmb_size_mb=4'),
    // Costs no memory until somebody writes to it.
    ['-object', 'memory-backend-ram,id=large,size=8G,share=on'],
    behindRootPort(3, 'ivshmem-plain,memdev=large'),
    // Something to mount: a second view of the disk with Node.
    ['-drive', `file=${escaped(files.disk)},format=raw,if=none,id=kernel,readonly=on`],
    behindRootPort(4, 'nvme,serial=wcvmm-kernel,drive=kernel'),
  ].flat();
}

function behindRootPort(bus: number, device: string): string[] {
  const port = `pcie-root-port,id=port${bus},bus=pcie.0,addr=${bus},chassis=${bus}`;
  return ['-device', port, '-device', `${device},bus=port${bus}`];
}

/** A path inside one of QEMU's comma-separated options. */
function escaped(path: string): string {
  return path.replaceAll(',', ',,');
}
