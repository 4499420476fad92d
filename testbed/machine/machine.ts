/** What the user may change of an emulated instance. */
export interface MachineOptions {
  /** The emulator's name of a CPU model; null = the most capable one. */
  cpu: string | null;
  iommu: boolean;
  /** Memory of the instance in MiB. */
  memory: number;
}

/** Channels of the instance, each a file descriptor that the emulator inherits; `console` null = this terminal. */
export interface Channels {
  stdout: number;
  stderr: number;
  control: number;
  console: number | null;
}

export interface BootFiles {
  kernel: string;
  initramfs: string;
  /** An ext4 image, never written to. */
  disk: string;
  /** The folder that the instance mounts as /session. */
  share: string;
}

/**
 * `stock` is Linux as it is, `patched` has the series, and `wrong-type` has a fault on top of that which the
 * project's own checks must find.
 */
export type KernelVariant = 'stock' | 'patched' | 'wrong-type';

/** A kernel; machines of one architecture share it. */
export interface KernelTarget {
  /** `ARCH=` of the kernel's Makefile; also the name by which `wcvmm kernel build` knows it. */
  readonly arch: string;
  /** `CROSS_COMPILE=`. */
  readonly crossCompile: string;
  /** Below kernel-patches/. */
  readonly config: string;
  /** The patch below kernel-patches/ that makes `wrong-type`; null = this architecture has no such variant. */
  readonly wrongType: string | null;
  /** The make target, and the file that it makes. */
  readonly target: string;
  readonly image: string;
  /** About how many files a whole build compiles, links and archives, for the progress line. */
  readonly steps: number;
}

/** Everything that the testbed must know of one kind of machine; nothing else in testbed/ asks for its name. */
export interface Machine {
  /** The name that `--arch` takes: the architecture, and the vendor where nested paging depends on it. */
  readonly arch: string;
  readonly kernel: KernelTarget;
  readonly userland: {
    readonly debianArch: string;
    readonly libraries: readonly { package: string; names: readonly string[] }[];
    readonly node: { package: string; version: string; integrity: string };
    /** The npm package with koffi's binary; its version and integrity stand in package-lock.json. */
    readonly koffi: string;
    readonly strip: string;
    /** The bare guest's image, below the project's folder. */
    readonly guestImage: string;
  };
  readonly emulator: string;
  /** The PCI address of a device with a BAR of plain memory, bound to vfio-pci. */
  readonly memoryDevice: string;
  emulatorArguments(files: BootFiles, channels: Channels, options: MachineOptions): string[];
}
