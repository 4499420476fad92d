import type { Emulator, EmulatorProgram, Listeners } from '../emulator.ts';
import type { Command } from '../share.ts';
import type { MachineName } from './names.ts';

/** What the user may change of an emulated instance. */
export interface MachineOptions {
  /** The emulator's name of a CPU model; null = the most capable one. */
  cpu: string | null;
  iommu: boolean;
  /** Memory of the instance in MiB. */
  memory: number;
  /** CPUs of the instance; null = the machine's own number. On Bochs there is always one. */
  processors: number | null;
  /** More for the emulator's command line, for a look into it. */
  extra?: readonly string[];
}

export interface BootFiles {
  kernel: string;
  initramfs: string;
  /** An ext4 image, never written to. */
  disk: string;
  /** The folder that the instance gets as /session. */
  share: string;
}

/** One power-on. */
export interface Boot {
  files: BootFiles;
  command: Command;
  options: MachineOptions;
  /** "qemu-10.0.2". */
  emulator: string;
  listeners: Listeners;
  signal: AbortSignal;
}

/** On the kernel's command line: how wcvmm, inside, knows the emulator that it runs on (tool/verify/emulator.ts). */
export function emulatorParameter(emulator: string): string {
  return `wcvmm.emulator=${emulator}`;
}

/** `stock` is Linux as it is, `patched` has the series. */
export type KernelVariant = 'stock' | 'patched' | TestVariant | ConfigVariant | Mutant | Piece;

/**
 * With one patch more than `patched`: `wrong-type`, `wrong-cacheable` and `old-zap` have faults that the project's own
 * checks must find, `cacheable` a driver that makes a device's BAR cacheable memory.
 */
export type TestVariant = 'wrong-type' | 'wrong-cacheable' | 'cacheable' | 'old-zap';

/** With kernel-patches/mutants/NAME.patch on top of `patched`: a part of the series is cut out, which a selftest must find. */
export type Mutant = `mutant-${string}`;

export function isMutant(variant: KernelVariant): variant is Mutant {
  return variant.startsWith('mutant-');
}

/** With kernel-patches/pieces/NAME and the pieces that it names, but not the rest of the series. */
export type Piece = `piece-${string}`;

export function isPiece(variant: KernelVariant): variant is Piece {
  return variant.startsWith('piece-');
}

/**
 * Compiled in another way: `debug` and `debug-stock` with the kernel's own checkers, `16k` and `64k` for pages of
 * that size. All but `debug-stock` have the series.
 */
export type ConfigVariant = 'debug' | 'debug-stock' | '16k' | '64k';

/** A kernel; machines of one architecture share it. */
export interface KernelTarget {
  /** `ARCH=` of the kernel's Makefile; also the name by which `wcvmm kernel build` knows it. */
  readonly arch: string;
  /** `CROSS_COMPILE=`. */
  readonly crossCompile: string;
  /** Below kernel-patches/. */
  readonly config: string;
  /** What kernels with the series have on top, unless they are compiled in another way; below kernel-patches/. */
  readonly seriesConfig: string;
  /** The patches below kernel-patches/ that make the variants for tests which this architecture has. */
  readonly testPatches: Readonly<Partial<Record<TestVariant, string>>>;
  /** What is configured on top of `config` for each variant that is compiled in another way; below kernel-patches/. */
  readonly variantConfigs: Readonly<Partial<Record<ConfigVariant, readonly [string, ...string[]]>>>;
  /** The make target, and the file that it makes. */
  readonly target: string;
  readonly image: string;
  /** About how many files a whole build compiles, links and archives, for the progress line. */
  readonly steps: number;
}

/** Everything that the testbed must know about one kind of machine; nothing else in testbed/ depends on its name. */
export interface Machine {
  /** The name that `--arch` takes. */
  readonly arch: MachineName;
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
    /** Programs of the project's own that wcvmm runs inside, below the project's folder. */
    readonly programs: readonly string[];
  };
  /** The PCI address of a device with a BAR of plain memory, bound to vfio-pci. */
  readonly memoryDevice: string;
  /** The first process: a script in testbed/rootfs. */
  readonly init: string;
  /** What it needs beside busybox: C sources in testbed/rootfs, each a program of that name in /bin. */
  readonly helpers: readonly string[];
  /** MiB of memory unless the user says otherwise. */
  readonly defaultMemory: number;
  /** CPUs of an instance that runs Linux guests, where not any number does; null: the machine's own number. */
  readonly processorsForLinux: number | null;
  /** Whether V8's code of the command line is made for it: not where the emulator starts with the command line loaded. */
  readonly keepsCode: boolean;
  /** Seconds from power-on to power-off unless the user says otherwise. */
  readonly defaultTimeout: number;
  readonly emulator: EmulatorProgram;
  /** Rejects if the instance cannot even be prepared; the emulator's own end is in what it resolves to. */
  start(boot: Boot): Promise<Emulator>;
}
