import { WcvmmError } from '../../../common/errors.ts';

/** The least that an option must be: `m` is a module or built in, `y` built in. */
export type Need = 'y' | 'm';

/** An architecture that kernel packages are built for. */
export interface PackageTarget {
  /** `ARCH=` of the kernel's Makefile; also what `--arch` takes. */
  readonly arch: string;
  /** process.arch of a machine that compiles for it natively. */
  readonly native: string;
  /** `CROSS_COMPILE=` elsewhere, and Debian's package with that compiler. */
  readonly crossCompile: string;
  readonly crossPackage: string;
  /** An option that only this architecture's configurations set. */
  readonly mark: string;
  readonly needs: Readonly<Record<string, Need>>;
  /** Of each group one is enough. If the instance's own configuration has one, that stays; if it has none, all are enabled. */
  readonly oneOf: readonly Readonly<Record<string, Need>>[];
}

/** Passthrough by iommufd, KVM, and the host's page tables to read back. */
const everywhere = {
  CONFIG_IOMMU_SUPPORT: 'y',
  CONFIG_IOMMUFD: 'm',
  CONFIG_VFIO: 'm',
  CONFIG_VFIO_DEVICE_CDEV: 'y',
  CONFIG_VFIO_GROUP: 'y',
  CONFIG_VFIO_PCI: 'm',
  CONFIG_VIRTUALIZATION: 'y',
  CONFIG_DEBUG_FS: 'y',
  CONFIG_DEBUG_KERNEL: 'y',
  CONFIG_PTDUMP_DEBUGFS: 'y',
} as const satisfies Record<string, Need>;

const arm64: PackageTarget = {
  arch: 'arm64',
  native: 'arm64',
  crossCompile: 'aarch64-linux-gnu-',
  crossPackage: 'gcc-aarch64-linux-gnu',
  mark: 'CONFIG_ARM64',
  // KVM is built in or absent here, and its own dump of stage 2 is what shows what it programmed.
  needs: { ...everywhere, CONFIG_ARM_SMMU_V3: 'y', CONFIG_KVM: 'y', CONFIG_PTDUMP_STAGE2_DEBUGFS: 'y' },
  oneOf: [],
};

const x86: PackageTarget = {
  arch: 'x86',
  native: 'x64',
  crossCompile: 'x86_64-linux-gnu-',
  crossPackage: 'gcc-x86-64-linux-gnu',
  mark: 'CONFIG_X86_64',
  // KVM's tracepoints show what it programmed; MSRs hold the PAT and the MTRRs.
  needs: {
    ...everywhere,
    CONFIG_X86_PAT: 'y',
    CONFIG_MTRR: 'y',
    CONFIG_X86_MSR: 'm',
    CONFIG_IRQ_REMAP: 'y',
    CONFIG_KVM: 'm',
    CONFIG_FTRACE: 'y',
    CONFIG_EVENT_TRACING: 'y',
  },
  oneOf: [
    { CONFIG_INTEL_IOMMU: 'y', CONFIG_AMD_IOMMU: 'y' },
    { CONFIG_KVM_INTEL: 'm', CONFIG_KVM_AMD: 'm' },
  ],
};

const targets: readonly PackageTarget[] = [arm64, x86];

export const packageArchitectures: readonly string[] = targets.map(({ arch }) => arch);

/** The target of an architecture; undefined = this machine's. Throws E_USAGE for one that there is no series for. */
export function packageTarget(arch: string | undefined): PackageTarget {
  const found = targets.find((target) => (arch === undefined ? target.native === process.arch : target.arch === arch));
  if (found === undefined)
    throw new WcvmmError(
      'E_USAGE',
      `There are no kernel packages for ${arch ?? `this machine's ${process.arch}`}; --arch takes: ${packageArchitectures.join(', ')}.`,
    );
  return found;
}

/** `CROSS_COMPILE=` on this machine: nothing where its own compiler makes the target's code. */
export function compilerPrefix(target: PackageTarget): string {
  return target.native === process.arch ? '' : target.crossCompile;
}
