/** What CPUID says to a vCPU of a Linux guest: what KVM can give, and which of how many it is. */

/** struct kvm_cpuid2 and struct kvm_cpuid_entry2, bytes. */
const HEADER = 8;
const ENTRY = 40;
const FIELD = { leaf: 0, subleaf: 4, flags: 8, eax: 12, ebx: 16, ecx: 20, edx: 24 } as const;
/** The entry is for its subleaf only. */
const SIGNIFICANT_SUBLEAF = 1;

const LEAF = {
  features: 1,
  caches: 4,
  topology: 0xb,
  topologyV2: 0x1f,
  amdFeatures: 0x8000_0001,
  sizes: 0x8000_0008,
} as const;

const ECX_X2APIC = 1 << 21;
const ECX_TSC_DEADLINE = 1 << 24;
const ECX_HYPERVISOR = 1 << 31;
const EDX_HTT = 1 << 28;
/** AMD's own leaves on topology, which would have to agree. */
const ECX_AMD_TOPOLOGY = 1 << 22;

/** Kinds of levels in leaf 0xb. */
const THREADS = 1;
const CORES = 2;

interface Entry {
  readonly leaf: number;
  readonly subleaf: number;
  readonly flags: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export interface CpuPlace {
  /** Its APIC id, from 0. */
  readonly id: number;
  /** How many there are: cores of one package, each with one thread. */
  readonly count: number;
  /** Whether KVM's local APIC has the TSC-deadline timer. */
  readonly hasTscDeadline: boolean;
}

/** @param supported struct kvm_cpuid2 of KVM_GET_SUPPORTED_CPUID; returns one for KVM_SET_CPUID2 */
export function cpuidFor(supported: Uint8Array, place: CpuPlace): Uint8Array {
  const others = entriesOf(supported).filter(({ leaf }) => leaf !== LEAF.topology && leaf !== LEAF.topologyV2);
  const highest = others.find(({ leaf }) => leaf === 0)?.eax ?? 0;
  const topology = highest >= LEAF.topology ? topologyEntries(LEAF.topology, place) : [];
  const newer = highest >= LEAF.topologyV2 ? topologyEntries(LEAF.topologyV2, place) : [];
  return written([...others.map((entry) => adjusted(entry, place)), ...topology, ...newer]);
}

/** Bits of a guest-physical address, by the leaf that says it; 36 where none does. */
export function physicalBits(supported: Uint8Array): number {
  return (entriesOf(supported).find(({ leaf }) => leaf === LEAF.sizes)?.eax ?? 36) & 0xff;
}

function adjusted(entry: Entry, { id, count, hasTscDeadline }: CpuPlace): Entry {
  switch (entry.leaf) {
    case LEAF.features: {
      const deadline = hasTscDeadline ? ECX_TSC_DEADLINE : 0;
      return {
        ...entry,
        ebx: (entry.ebx & 0xffff) | (count << 16) | (id << 24),
        ecx: (entry.ecx & ~ECX_TSC_DEADLINE) | ECX_X2APIC | ECX_HYPERVISOR | deadline,
        edx: count > 1 ? entry.edx | EDX_HTT : entry.edx & ~EDX_HTT,
      };
    }
    case LEAF.caches: {
      // Caches of the last level are everybody's, the others a core's own.
      const isShared = ((entry.eax >> 5) & 0x7) >= 3;
      const sharers = isShared ? count - 1 : 0;
      const isCache = (entry.eax & 0x1f) !== 0;
      return isCache ? { ...entry, eax: (entry.eax & 0x3fff) | (sharers << 14) | ((count - 1) << 26) } : entry;
    }
    case LEAF.amdFeatures:
      return { ...entry, ecx: entry.ecx & ~ECX_AMD_TOPOLOGY };
    case LEAF.sizes:
      return { ...entry, ecx: (entry.ecx & ~0xf0ff) | (count - 1) | (bitsFor(count) << 12) };
    default:
      return entry;
  }
}

function topologyEntries(leaf: number, { id, count }: CpuPlace): readonly Entry[] {
  const level = (subleaf: number, kind: number, shift: number, cpus: number): Entry => ({
    leaf,
    subleaf,
    flags: SIGNIFICANT_SUBLEAF,
    eax: shift,
    ebx: cpus,
    ecx: subleaf | (kind << 8),
    edx: id,
  });
  return [level(0, THREADS, 0, 1), level(1, CORES, bitsFor(count), count), level(2, 0, 0, 0)];
}

/** Bits that number `count` things. */
function bitsFor(count: number): number {
  return 32 - Math.clz32(count - 1);
}

function entriesOf(bytes: Uint8Array): readonly Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const most = Math.floor((bytes.byteLength - HEADER) / ENTRY);
  return Array.from({ length: Math.min(view.getUint32(0, true), most) }, (_, index) => {
    const field = (name: keyof typeof FIELD): number => view.getUint32(HEADER + index * ENTRY + FIELD[name], true);
    return {
      leaf: field('leaf'),
      subleaf: field('subleaf'),
      flags: field('flags'),
      eax: field('eax'),
      ebx: field('ebx'),
      ecx: field('ecx'),
      edx: field('edx'),
    };
  });
}

function written(entries: readonly Entry[]): Uint8Array {
  const bytes = new Uint8Array(HEADER + entries.length * ENTRY);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, entries.length, true);
  for (const [index, entry] of entries.entries()) {
    const at = HEADER + index * ENTRY;
    view.setUint32(at + FIELD.leaf, entry.leaf, true);
    view.setUint32(at + FIELD.subleaf, entry.subleaf, true);
    for (const name of ['flags', 'eax', 'ebx', 'ecx', 'edx'] as const)
      view.setUint32(at + FIELD[name], entry[name], true);
  }
  return bytes;
}
