import { startBochs } from '../bochs/start.ts';
import { askVersion, emulatorVersion, type EmulatorProgram } from '../emulator.ts';
import { emulatorParameter, type Machine } from './machine.ts';
import { x86Kernel, x86Userland } from './x86.ts';

const emulator: EmulatorProgram = {
  name: 'bochs',
  program: 'bochs-bin',
  versionArguments: ['--help'],
  version: /Emulator (\d[\w.]*)/,
};

/**
 * An x86 instance with Intel's nested paging (VMX, EPT), emulated by Bochs: QEMU's TCG has no VMX. Bochs has neither an
 * IOMMU nor virtio. VFIO passes its display adapter through without an IOMMU, which takes a kernel parameter that says it is unsafe.
 * A later CPU model has AVX-512, which Bochs 2.7 gets wrong.
 */
export const x86Intel: Machine = {
  arch: 'x86-intel',
  kernel: x86Kernel,
  userland: x86Userland,
  memoryDevice: '0000:00:02.0',
  init: 'init-bochs',
  helpers: ['bochs-port'],
  defaultMemory: 384,
  processorsForLinux: null,
  keepsCode: false,
  defaultTimeout: 300,
  emulator,
  start: async (boot) =>
    startBochs(
      {
        cpu: 'corei7_haswell_4770',
        // A triple fault is the one way to restart that ends Bochs.
        append: `console=ttyS0 loglevel=5 panic=-1 reboot=t vfio.enable_unsafe_noiommu_mode=1 ${emulatorParameter(boot.emulator)}`,
        version: await emulatorVersion(emulator),
        // Bochs 2.7 always starts in its debugger, later versions with this option.
        args: /^ +-debugger /m.test(await askVersion(emulator)) ? ['-debugger'] : [],
      },
      boot,
    ),
};
