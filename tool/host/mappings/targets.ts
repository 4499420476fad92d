/** Which of sysfs's files are asked about, and which of them cannot be. */
import { WcvmmError } from '../../../common/errors.ts';
import { formatSize } from '../../../common/size.ts';
import type { Attribute } from '../../../memattr/index.ts';
import { isBridge, pciAddresses, readPciDevice, resourcePath } from '../../../vmm/sys/pci.ts';
import type { PciBar, PciDevice } from '../../../vmm/sys/pci.ts';
import { pageSize } from '../../../vmm/sys/libc.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { findDevice } from '../../../vmm/vfio/device.ts';
import { SYSFS_COMBINES } from '../../../vmm/vfio/source.ts';

/** What the user chose. */
export interface HostRequest {
  /** A PCI address; null: every device with a memory BAR. */
  readonly device: string | null;
  /** null: every memory BAR. */
  readonly bar: number | null;
}

export interface HostTarget {
  readonly pci: PciDevice;
  readonly bar: PciBar;
  readonly attribute: Attribute;
  readonly path: string;
  /** Why it cannot be mapped, as far as that is known before it is tried; null: it can be tried. */
  readonly why: string | null;
}

/** sysfs has two files of a BAR; what gives `device` gives `default` too. */
const ASKED: readonly Attribute[] = ['device', 'wc'];

/** Throws E_USAGE for a text that is no address, E_DEVICE_ABSENT, E_MAP_REGION for a BAR that is not there or no memory. */
export function hostTargets(port: Port, { device, bar }: HostRequest): readonly HostTarget[] {
  if (device !== null) {
    const pci = findDevice(port, device);
    return barsOf(pci, bar).flatMap((one) => targetsOf(port, pci, one, true));
  }
  return pciAddresses(port)
    .flatMap((address) => readPciDevice(port, address) ?? [])
    .filter((pci) => !isBridge(pci))
    .flatMap((pci) =>
      pci.bars.filter((one) => isMemory(one) && (bar === null || one.bar === bar)).map((one) => ({ pci, one })),
    )
    .flatMap(({ pci, one }) => targetsOf(port, pci, one, false));
}

function isMemory({ kind }: PciBar): boolean {
  return kind === 'memory';
}

function barsOf(pci: PciDevice, wanted: number | null): readonly PciBar[] {
  const memory = pci.bars.filter(isMemory);
  const chosen = wanted === null ? memory : memory.filter(({ bar }) => bar === wanted);
  if (chosen.length > 0) return chosen;
  const has = memory.length === 0 ? 'none' : memory.map(({ bar, size }) => `${bar} (${formatSize(size)})`).join(', ');
  throw new WcvmmError(
    'E_MAP_REGION',
    `${pci.address} has no memory BAR${wanted === null ? '' : ` ${wanted}`}; it has ${has}. "wcvmm devices" lists them.`,
  );
}

function targetsOf(port: Port, pci: PciDevice, bar: PciBar, named: boolean): readonly HostTarget[] {
  const used =
    !named && pci.driver !== null && !pci.hasVfioDriver
      ? `bound to the driver ${pci.driver}, which uses its BARs; name the device with -d to map them all the same`
      : null;
  return ASKED.map((attribute) => {
    const path = resourcePath(pci.address, bar.bar, SYSFS_COMBINES[attribute]);
    const why = used ?? (port.exists(path) ? tooSmall(bar) : noFile(port, bar, attribute, path));
    return { pci, bar, attribute, path, why };
  });
}

function noFile(port: Port, { bar, prefetchable }: PciBar, attribute: Attribute, path: string): string {
  const name = path.split('/').at(-1) ?? path;
  if (attribute !== 'wc') return `there is no ${name}: this kernel maps no BARs through sysfs`;
  if (!prefetchable)
    return `there is no ${name}: BAR ${bar} is not prefetchable, and sysfs lets only prefetchable BARs be write-combining. A driver, or an mmap cookie, still can`;
  return port.exists('/proc/mtrr')
    ? `there is no ${name}, though BAR ${bar} is prefetchable: this kernel runs without PAT (nopat, or a CPU without it)`
    : `there is no ${name}, though BAR ${bar} is prefetchable: this kernel has no write-combining user mappings`;
}

/** sysfs maps the page that the BAR is in, and what else is there belongs to others. */
function tooSmall({ bar, size }: PciBar): string | null {
  return size < BigInt(pageSize()) ? `BAR ${bar} is smaller than a page, which may hold BARs of other devices` : null;
}

/** mmap's refusal of one of these files, in a sentence (pci_mmap_resource(), drivers/pci/pci-sysfs.c). */
export function whyRefused(port: Port, errnoName: string, { pci }: Pick<HostTarget, 'pci'>): string {
  const lockdown = /\[(\w+)\]/.exec(textOr(port, '/sys/kernel/security/lockdown'))?.[1] ?? 'none';
  switch (errnoName) {
    case 'EPERM':
    case 'EACCES':
      return lockdown === 'none'
        ? 'only root may map it'
        : `kernel lockdown "${lockdown}" lets nobody map BARs through sysfs; boot without Secure Boot or without lockdown=`;
    case 'EINVAL':
      return pci.driver === null
        ? 'the kernel refuses the mapping (EINVAL), though no driver is bound'
        : `the driver ${pci.driver} has claimed the BAR, and this kernel (CONFIG_IO_STRICT_DEVMEM) lets nobody else map it then; unbind the driver, or boot with iomem=relaxed`;
    case 'EBUSY':
      return 'parts of the BAR are mapped already, with different memory types: "wcvmm inspect" shows by whom';
    default:
      return `the kernel refuses the mapping (${errnoName})`;
  }
}

function textOr(port: Port, path: string): string {
  return port.exists(path) ? port.readText(path) : '';
}
