import { machineOf } from '../../../testbed/machine/index.ts';
import type { KernelTarget, KernelVariant } from '../../../testbed/machine/machine.ts';

/** What the kernel's selftests are about; its folder below tools/testing/selftests. */
export type Suite = 'vfio' | 'kvm' | 'iommufd';

export const suites: Readonly<Record<Suite, string>> = { vfio: 'vfio', kvm: 'kvm', iommufd: 'iommu' };

/** One program of the kernel's selftests, and how it is run. */
export interface Program {
  readonly suite: Suite;
  /** Below the suite's folder, as its makefile names it. */
  readonly path: string;
  readonly args: readonly string[];
  /** Once for each passed-through device, whose address is its last argument, or once. */
  readonly per: 'device' | 'machine';
  /** It is stopped after so long, and counts as failed. An emulator on a busy machine needs a multiple of what a machine does. */
  readonly seconds: number;
  /** A file without which there is nothing to test, and what its absence means. */
  readonly needs: { readonly file: string; readonly otherwise: string } | null;
  /** Kernels that it crashes. It runs there only if it is asked for by its name. */
  readonly crashes?: readonly KernelVariant[];
}

interface Selftests {
  /** MiB; undefined = the machine's own. */
  readonly memory: number | undefined;
  readonly programs: readonly Program[];
}

const vfio = [
  'vfio_dma_mapping_test',
  'vfio_dma_mapping_mmio_test',
  'vfio_iommufd_setup_test',
  'vfio_pci_device_test',
  'vfio_pci_driver_test',
  'vfio_pci_sriov_uapi_test',
  'vfio_pci_mmap_cookie_test',
].map((path): Program => ({ suite: 'vfio', path, args: [], per: 'device', seconds: 300, needs: null }));

/** A BAR that huge pages map is cut and moved, which crashes x86 kernels without the series. */
const hugePages: Program = {
  suite: 'vfio',
  path: 'vfio_pci_mmap_huge_test',
  args: [],
  per: 'device',
  seconds: 300,
  needs: null,
};
const hugePagesOnX86: Program = { ...hugePages, crashes: ['stock', 'debug-stock'] };

/** They talk to a mock of an IOMMU driver in the kernel. */
const iommufd = ['iommufd', 'iommufd_fail_nth'].map((path): Program => ({
  suite: 'iommufd',
  path,
  args: [],
  per: 'machine',
  seconds: 1800,
  needs: { file: '/sys/kernel/debug/fail_iommufd', otherwise: 'the kernel is built without CONFIG_IOMMUFD_TEST' },
}));

const mmapAttributes: Program = {
  suite: 'kvm',
  path: 'vfio_mmap_attr_test',
  args: [],
  per: 'device',
  seconds: 120,
  needs: null,
};

function kvm(path: string, ...args: string[]): Program {
  return { suite: 'kvm', path, args, per: 'machine', seconds: 300, needs: null };
}

/**
 * Of KVM's many selftests, those of the paths that the series changes: memslots, faults, page tables, aborts. With less memory than
 * they take by themselves, and without those that an emulator needs many minutes for or lacks the hardware for.
 */
const everywhere = (memory: string): Program[] => [
  kvm('kvm_page_table_test', '-b', memory),
  kvm('memslot_modification_stress_test', '-b', memory),
  kvm('demand_paging_test', '-b', memory),
  kvm('guest_memfd_test'),
  kvm('coalesced_io_test'),
];
/** They need two processors. */
const twoProcessors = (...more: readonly string[]): Program[] => [
  kvm('set_memory_region_test'),
  kvm('dirty_log_test', '-i', '3', ...more),
];
const x86 = [
  kvm('pre_fault_memory_test'),
  kvm('x86/exit_on_emulation_failure_test'),
  kvm('x86/nested_dirty_log_test'),
  kvm('x86/nested_tdp_fault_test'),
];
/** Guests with pages of 4 KiB and 48 bits of addresses alone: otherwise a test goes through nine kinds. */
const oneMode = ['-m', '3'];
const arm64: readonly Program[] = [
  {
    ...kvm('arm64/page_fault_test', ...oneMode),
    needs: { file: '/dev/userfaultfd', otherwise: 'the kernel is built without CONFIG_USERFAULTFD' },
  },
  kvm('arm64/stage2_block_transitions'),
  kvm('arm64/mmio_sign_ext'),
  kvm('arm64/translate'),
];

const selftests: Readonly<Record<string, Selftests>> = {
  arm64: {
    memory: 3072,
    programs: [
      ...vfio,
      hugePages,
      mmapAttributes,
      ...everywhere('16M'),
      ...twoProcessors(...oneMode),
      ...arm64,
      ...iommufd,
    ],
  },
  'x86-amd': {
    memory: 3072,
    programs: [
      ...vfio,
      hugePagesOnX86,
      mmapAttributes,
      ...everywhere('16M'),
      ...twoProcessors(),
      ...x86,
      kvm('x86/svm_nested_pat_test'),
      ...iommufd,
    ],
  },
  'x86-intel': { memory: undefined, programs: [...vfio, hugePagesOnX86, mmapAttributes, ...everywhere('2M'), ...x86] },
};

/** What is run in the testbed of `arch`. Throws E_USAGE for an architecture that has none. */
export function selftestsOf(arch: string): Selftests {
  return selftests[machineOf(arch).arch] ?? { memory: undefined, programs: [] };
}

/** What any testbed runs whose kernel is of the same architecture. */
export function programsOf(kernel: KernelTarget): readonly Program[] {
  const all = Object.entries(selftests)
    .filter(([arch]) => machineOf(arch).kernel.arch === kernel.arch)
    .flatMap(([, { programs }]) => programs);
  return [...new Map(all.map((program) => [program.path, program])).values()];
}

export function nameOf(program: Program): string {
  return program.path.slice(program.path.lastIndexOf('/') + 1);
}

/** Whether `program` runs on `kernel`. `asked`: the names of those that were asked for; undefined = all. */
export function runsOn(program: Program, kernel: KernelVariant, asked: readonly string[] | undefined): boolean {
  return program.crashes?.includes(kernel) !== true || asked?.includes(nameOf(program)) === true;
}
