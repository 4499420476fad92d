import { formatSize } from '../../../vmm/memory/index.ts';
import { holesIn } from '../../../vmm/memory/windows.ts';
import { paint, table, wrap } from '../../../common/terminal.ts';
import type { Style } from '../../../common/terminal.ts';
import type { Msix, MsixArea } from '../../../vmm/sys/pci-config.ts';
import type { Area } from '../../../vmm/vfio/capabilities.ts';
import type { PciBar } from '../../../vmm/sys/pci.ts';
import type { ListedDevice } from './inventory.ts';
import { className } from './names.ts';

/** How VFIO and sysfs can map a BAR. */
function mappingsOf(bar: PciBar, { vfio, sysfs }: ListedDevice): string {
  if (bar.kind !== 'memory') return '';
  const region = vfio.kind === 'asked' ? vfio.regions[bar.bar] : undefined;
  const bySysfs = sysfs[bar.bar] ?? [];
  const byVfio =
    region === undefined
      ? []
      : region.mappable.length === 0
        ? ['vfio: cannot be mapped']
        : [region.attributes === null ? 'legacy: default' : `cookie: ${region.attributes.join(' ')}`];
  return [...byVfio, ...(bySysfs.length > 0 ? [`sysfs: ${bySysfs.join(' ')}`] : [])].join('; ');
}

function barRow(bar: PciBar, device: ListedDevice): readonly string[] {
  const kind =
    bar.kind === 'io' ? 'I/O ports' : `${bar.is64Bit ? '64-bit' : '32-bit'}${bar.prefetchable ? ' prefetchable' : ''}`;
  return [`bar${bar.bar}`, formatSize(bar.size).padStart(7), kind, mappingsOf(bar, device)];
}

function span({ offset, length }: Area): string {
  return `${formatSize(offset)}+${formatSize(length)}`;
}

function place(area: MsixArea): string {
  return `bar${area.bar}:${span(area)}`;
}

function msixNote(msix: Msix | null | 'unknown'): readonly string[] {
  if (msix === 'unknown') return ['only root can read where the MSI-X table is'];
  if (msix === null) return [];
  return [`MSI-X: ${msix.vectors} vectors, table ${place(msix.table)}, pending bits ${place(msix.pending)}`];
}

function holeNotes({ bars, vfio }: ListedDevice): readonly string[] {
  if (vfio.kind === 'not-asked') return [];
  return bars.flatMap(({ bar, kind, size }) => {
    const mappable = vfio.regions[bar]?.mappable ?? [];
    if (kind !== 'memory' || mappable.length === 0) return [];
    return holesIn({ start: 0n, end: size }, mappable).map(
      ({ start, end }) =>
        `bar${bar}:${span({ offset: start, length: end - start })} cannot be mapped: the kernel keeps it`,
    );
  });
}

function groupNote({ iommuGroup, groupOthers }: ListedDevice): string {
  if (iommuGroup === null) return 'no IOMMU group';
  return `IOMMU group ${iommuGroup}${groupOthers.length === 0 ? '' : ` with ${groupOthers.map(({ address, driver }) => `${address} (${driver ?? 'no driver'})`).join(', ')}`}`;
}

function renderDevice(device: ListedDevice, style: Style): readonly string[] {
  const { address, id, classCode, driver, bars, msix, uses, vfio } = device;
  const notes = [
    ...msixNote(msix),
    ...holeNotes(device),
    ...uses.map((use) => `in use: ${use}`),
    ...(vfio.kind === 'not-asked' && uses.length === 0 ? [`what VFIO can map is not known: ${vfio.why}`] : []),
  ];
  return [
    `${paint(style, 'bold', address)}  ${id}  ${className(classCode)}, ${driver === null ? 'no driver' : `driver ${driver}`}`,
    ...wrap('    ', groupNote(device), style.columns),
    ...table(
      bars.filter(({ kind }) => kind !== 'absent').map((bar) => barRow(bar, device)),
      '    ',
    ),
    ...notes.flatMap((note) => wrap('    ', note, style.columns).map((line) => paint(style, 'dim', line))),
    '',
  ];
}

export function renderDevices(devices: readonly ListedDevice[], all: boolean, style: Style): string {
  if (devices.length === 0) return `no PCI device${all ? '' : ' with a memory BAR; --all lists the others too'}\n`;
  return devices.flatMap((device) => renderDevice(device, style)).join('\n');
}

/** "wcvmm.devices/1": bytes as numbers. A field may be added, none changes meaning. */
export function devicesInJson(devices: readonly ListedDevice[]): object {
  const plain = JSON.stringify(
    {
      schema: 'wcvmm.devices/1',
      devices: devices.map((device) => ({ ...device, className: className(device.classCode) })),
    },
    (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value),
  );
  return JSON.parse(plain) as object;
}
