/** What Linux makes of an attribute on arm64: the host's mapping, and stage 2 from that mapping. */
import { ATTRIBUTES } from './model.ts';
import type { Attribute, Source } from './model.ts';
import type { KvmStage2 } from './stage2.ts';

interface LinuxMapping {
  /** The memory type in the VMA's vm_page_prot. */
  readonly hostVma: 'Device-nGnRnE' | 'Device-nGnRE' | 'Normal-NC' | 'Normal-WB';
  /** The VMA's owner has set VM_ALLOW_ANY_UNCACHED. */
  readonly anyUncached: boolean;
}

/** vfio-pci: vfio_pci_core_mmap() has always asked for pgprot_noncached() and set the flag. */
const VFIO_DEFAULT: LinuxMapping = { hostVma: 'Device-nGnRnE', anyUncached: true };
const RAM: LinuxMapping = { hostVma: 'Normal-WB', anyUncached: false };

/** null: the source has no such mapping. */
const MAPPINGS: Readonly<Record<Source, Readonly<Record<Attribute, LinuxMapping | null>>>> = {
  cookie: {
    default: VFIO_DEFAULT,
    device: { hostVma: 'Device-nGnRnE', anyUncached: false },
    wc: { hostVma: 'Normal-NC', anyUncached: true },
  },
  legacy: { default: VFIO_DEFAULT, device: null, wc: null },
  // pci_mmap_resource_range() (drivers/pci/mmap.c) asks for pgprot_device() or pgprot_writecombine() and sets no flag.
  sysfs: {
    default: { hostVma: 'Device-nGnRE', anyUncached: false },
    device: { hostVma: 'Device-nGnRE', anyUncached: false },
    wc: { hostVma: 'Normal-NC', anyUncached: false },
  },
  memory: { default: RAM, device: RAM, wc: RAM },
};

/** @throws RangeError when this source cannot give the attribute */
export function linuxMapping(attribute: Attribute, source: Source): LinuxMapping {
  const mapping = MAPPINGS[source][attribute];
  if (mapping === null) {
    const possible = ATTRIBUTES.filter((one) => MAPPINGS[source][one] !== null);
    throw new RangeError(`the source ${source} gives no ${attribute} mapping; expected ${possible.join(', ')}.`);
  }
  return mapping;
}

/** kvm_s2_fault_compute_prot() (arch/arm64/kvm/mmu.c): an uncached mapping needs the flag to be more than Device. */
export function kvmStage2({ hostVma, anyUncached }: LinuxMapping): KvmStage2 {
  if (hostVma === 'Normal-WB') return 'Normal-WB';
  return anyUncached ? 'Normal-NC' : 'Device-nGnRE';
}
