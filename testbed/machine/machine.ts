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

/** Everything that the testbed must know of one architecture; nothing else in testbed/ asks for its name. */
export interface Machine {
  readonly arch: string;
  readonly kernel: {
    /** `ARCH=` and `CROSS_COMPILE=` of the kernel's Makefile. */
    readonly arch: string;
    readonly crossCompile: string;
    /** Below kernel-patches/. */
    readonly config: string;
    /** The make target, and the file that it makes. */
    readonly target: string;
    readonly image: string;
    /** About how many files a whole build compiles, links and archives, for the progress line. */
    readonly steps: number;
  };
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
  emulatorArguments(files: BootFiles, channels: Channels, options: MachineOptions): string[];
}
