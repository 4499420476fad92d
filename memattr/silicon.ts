/**
 * Platforms on which a memory type of a BAR does harm. Known by the CPU's MIDR_EL1, by the SoC's id as Linux shows it
 * (/sys/devices/soc0, from SMCCC_ARCH_SOC_ID), or by the PCI ids of the root ports; a guest sees no SoC id.
 */

/** What is known of a machine's silicon. */
export interface Silicon {
  /** Those of all CPUs, each once. */
  readonly midrs: readonly bigint[];
  /** `jep106:036b:0410`; null: the machine does not say. */
  readonly soc: string | null;
  readonly socRevision: number | null;
  /** Of bridges on root buses: vendor:device, four hexadecimal digits each. */
  readonly rootPorts: readonly string[];
}

/** normal-nc: stores to Normal-NC; device-loads: loads from Device memory. */
export const HAZARDOUS = ['normal-nc', 'device-loads'] as const;

export type Hazardous = (typeof HAZARDOUS)[number];

export interface Hazard {
  /** Never changes. */
  readonly id: string;
  readonly silicon: string;
  readonly affects: Hazardous;
  /** False: the machine says too little of itself to be sure. */
  readonly certain: boolean;
  /** What goes wrong, and what to do: a sentence. */
  readonly what: string;
}

interface Entry extends Omit<Hazard, 'certain'> {
  /** Is it this one? null: it may be. */
  readonly is: (silicon: Silicon) => boolean | null;
}

/** MIDR_EL1.Implementer and PartNum (Arm ARM); the names are those of arch/arm64/include/asm/cputype.h. */
function isCpu(midr: bigint, implementer: number, part: number): boolean {
  return Number((midr >> 24n) & 0xffn) === implementer && Number((midr >> 4n) & 0xfffn) === part;
}

function hasOlympus({ midrs }: Silicon): boolean {
  return midrs.some((midr) => isCpu(midr, 0x4e, 0x010));
}

function hasNeoverseN1({ midrs }: Silicon): boolean {
  return midrs.some((midr) => isCpu(midr, 0x41, 0xd0c));
}

const VERA = 'jep106:036b:0410';
const VERA_MENDED_IN = 5;
const AMPERE = 'jep106:0a16:';
/** Root complexes and ports of the Altra and Altra Max (pci.ids). */
const ALTRA_PORT = /^1def:e1[0-9a-f]{2}$/;

const KNOWN: readonly Entry[] = [
  {
    id: 'nvidia-vera-partial-nc-writes',
    silicon: 'NVIDIA Vera before revision 5',
    affects: 'normal-nc',
    what: "its PCIe controllers give writes to Normal-NC memory that do not fill all bytes a wrong address. NVIDIA's kernels map Normal-NC as Device-nGnRE for the host (CONFIG_ARM64_WORKAROUND_NC_TO_NGNRE), and cannot do it for guests: map every BAR as device",
    is: (silicon) => {
      const { soc, socRevision } = silicon;
      if (soc === null) return hasOlympus(silicon) ? null : false;
      if (soc !== VERA) return false;
      return socRevision === null ? null : socRevision < VERA_MENDED_IN;
    },
  },
  {
    id: 'ampere-altra-pcie-65',
    silicon: 'Ampere Altra (erratum PCIE_65)',
    affects: 'normal-nc',
    what: 'its PCIe root ports give writes to Normal-NC memory whose bytes are not contiguous a wrong address, and no Linux keeps guests from it: map every BAR as device',
    is: (silicon) =>
      silicon.rootPorts.some((id) => ALTRA_PORT.test(id)) ||
      (silicon.soc?.startsWith(AMPERE) === true && hasNeoverseN1(silicon)),
  },
  {
    id: 'nvidia-olympus-1027',
    silicon: 'NVIDIA Olympus (erratum T410-OLY-1027)',
    affects: 'device-loads',
    what: 'a device may see a load from Device-nGnR* memory before an older store. Linux 7.3 puts a DMB OSH before its own loads (CONFIG_NVIDIA_OLYMPUS_1027_ERRATUM); a guest, or a program that maps a BAR, has to do it itself',
    is: hasOlympus,
  },
];

/** What a machine's silicon is known for, in the table's order. */
export function hazardsOf(silicon: Silicon): readonly Hazard[] {
  return KNOWN.flatMap(({ is, ...hazard }) => {
    const found = is(silicon);
    return found === false ? [] : [{ ...hazard, certain: found === true }];
  });
}

/** Those of a mapping of this type (arm64's names; more than one may be possible). */
export function hazardsOfType(hazards: readonly Hazard[], type: string): readonly Hazard[] {
  const affected: Hazardous | null = type.startsWith('Normal-')
    ? 'normal-nc'
    : type.startsWith('Device-')
      ? 'device-loads'
      : null;
  return hazards.filter(({ affects }) => affects === affected);
}
