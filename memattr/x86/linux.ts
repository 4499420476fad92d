/** What Linux makes of an attribute on x86: the host's mapping, and the nested page table from that mapping. */
import { ATTRIBUTES } from '../model.ts';
import type { Attribute, MtrrType, Platform, Source } from '../model.ts';
import type { PatType } from './pat.ts';
import type { X86Stage2 } from './stage2.ts';

interface LinuxMapping {
  /** The memory type in the VMA's vm_page_prot. */
  readonly hostVma: PatType;
  /** Not a device's: KVM treats it as RAM. */
  readonly ram: boolean;
  /** The VMA's owner has set VM_ALLOW_ANY_UNCACHED. */
  readonly anyUncached: boolean;
}

/** The series in kernel-patches/ asks for pgprot_noncached_strict(): UC-, which is pgprot_noncached(), leaves a guest its WC. */
const DEVICE_VMA: PatType = 'UC';

const VFIO_DEFAULT: LinuxMapping = { hostVma: 'UC-', ram: false, anyUncached: true };
/** pci_mmap_resource_range() (drivers/pci/mmap.c): pgprot_device() is pgprot_noncached() here, and no flag is set. */
const SYSFS: LinuxMapping = { hostVma: 'UC-', ram: false, anyUncached: false };
const RAM: LinuxMapping = { hostVma: 'WB', ram: true, anyUncached: false };

/** null: the source has no such mapping. */
const MAPPINGS: Readonly<Record<Source, Readonly<Record<Attribute, LinuxMapping | null>>>> = {
  cookie: {
    default: VFIO_DEFAULT,
    device: { hostVma: DEVICE_VMA, ram: false, anyUncached: false },
    wc: { hostVma: 'WC', ram: false, anyUncached: true },
  },
  legacy: { default: VFIO_DEFAULT, device: null, wc: null },
  sysfs: { default: SYSFS, device: SYSFS, wc: { ...SYSFS, hostVma: 'WC' } },
  memory: { default: RAM, device: RAM, wc: RAM },
};

/** @throws RangeError when this source cannot give the attribute */
export function linuxX86Mapping(attribute: Attribute, source: Source): LinuxMapping {
  const mapping = MAPPINGS[source][attribute];
  if (mapping === null) {
    const possible = ATTRIBUTES.filter((one) => MAPPINGS[source][one] !== null);
    throw new RangeError(`the source ${source} gives no ${attribute} mapping; expected ${possible.join(', ')}.`);
  }
  return mapping;
}

/**
 * make_spte(), kvm_pfnmap_memtype() and vmx_get_mt_mask() (arch/x86/kvm): UC and WC are carried over where the driver has
 * asked for that, by the type's name and by the flag. Else EPT says UC and NPT nothing (WB), which leaves MMIO to the
 * guest's PAT, and NPT to the MTRRs. RAM is WB; on Intel without the guest's PAT, unless
 * KVM_X86_QUIRK_IGNORE_GUEST_PAT is off or a device does non-coherent DMA.
 */
export function kvmX86Stage2(
  { hostVma, ram, anyUncached }: LinuxMapping,
  { nestedPaging, guestPat = false }: Pick<Platform, 'nestedPaging' | 'guestPat'>,
): X86Stage2 {
  if (nestedPaging === undefined || nestedPaging === null) return { paging: 'unknown' };
  const ept = nestedPaging === 'ept';
  if (ram) return ept ? { paging: 'ept', type: 'WB', ignorePat: !guestPat } : { paging: 'npt', type: 'WB' };
  if (hostVma === 'UC' && !anyUncached)
    return ept ? { paging: 'ept', type: 'UC', ignorePat: true } : { paging: 'npt', type: 'UC' };
  if (hostVma === 'WC' && anyUncached)
    return ept ? { paging: 'ept', type: 'WC', ignorePat: false } : { paging: 'npt', type: 'WC' };
  return ept ? { paging: 'ept', type: 'UC', ignorePat: false } : { paging: 'npt', type: 'WB' };
}

/** What firmware's MTRRs say where nothing is odd: UC for the space that BARs are in, WB for RAM. An assumption, not a reading. */
export function usualMtrr(source: Source): MtrrType {
  return source === 'memory' ? 'WB' : 'UC';
}
