/** What a report's machine is called, where several stand side by side. */
import { basename } from 'node:path';
import type { NestedPaging } from '../../memattr/index.ts';
import type { Report, ReportPlatform } from './report.ts';

export interface NamedReport {
  /** Unlike those of the reports beside it. */
  readonly name: string;
  readonly report: Report;
}

/** A map, since a report may name any vendor, also one that objects have a property of. */
const VENDOR: ReadonlyMap<string, string> = new Map([
  ['AuthenticAMD', 'AMD'],
  ['GenuineIntel', 'Intel'],
]);
const PAGING_VENDOR: Readonly<Record<NestedPaging, string>> = { npt: 'AMD', ept: 'Intel' };

function vendorOf({ vendor, nestedPaging }: ReportPlatform): string | undefined {
  if (vendor !== undefined) return VENDOR.get(vendor) ?? vendor;
  return nestedPaging ? PAGING_VENDOR[nestedPaging] : undefined;
}

/** `arm64`, `x86 AMD`. */
export function kindOfMachine({ arch, platform }: Pick<Report, 'arch' | 'platform'>): string {
  const vendor = vendorOf(platform);
  return vendor === undefined ? arch : `${arch} ${vendor}`;
}

/** Names by kind; machines of one kind by their files' names as well, and by number where those are alike too. */
export function nameMachines(
  files: readonly { readonly path: string; readonly report: Report }[],
): readonly NamedReport[] {
  const kinds = files.map(({ report }) => kindOfMachine(report));
  const full = files.map(({ path }, index) => {
    const kind = kinds[index] ?? '';
    return isUnique(kinds, kind) ? kind : `${kind} ${basename(path, '.json')}`;
  });
  return files.map(({ report }, index) => {
    const name = full[index] ?? '';
    return { name: isUnique(full, name) ? name : `${name} (${index + 1})`, report };
  });
}

function isUnique(names: readonly string[], name: string): boolean {
  return names.filter((other) => other === name).length === 1;
}

/** The facts of a machine in a line: `arm64 emulated by qemu-10.0.2, Linux 7.3.4, mmap cookies, FWB`. */
export function machineFacts({ arch, platform }: Pick<Report, 'arch' | 'platform'>): string {
  const { emulator, kernel, cookies, fwb, nestedPaging, iommu } = platform;
  const vendor = vendorOf(platform);
  return [
    emulator === null ? arch : `${arch} emulated by ${emulator}`,
    `Linux ${kernel}`,
    cookies ? 'mmap cookies' : 'no mmap cookies',
    ...(fwb === null ? [] : [fwb ? 'FWB' : 'no FWB']),
    ...(vendor === undefined && nestedPaging === undefined
      ? []
      : [`${vendor === undefined ? '' : `${vendor} with `}${nestedPaging?.toUpperCase() ?? 'no nested paging'}`]),
    ...(iommu === false ? ['no IOMMU'] : []),
  ].join(', ');
}

/** `device 0000:01:00.0 (1af4:1110), mapped by cookie`. */
export function deviceFacts({ device }: Pick<Report, 'device'>): string {
  return device.address === null
    ? 'no device: memory instead of a BAR'
    : `device ${device.address} (${device.id ?? 'unknown id'}), mapped by ${device.source}`;
}

/** `guest Linux 6.1.0-42-cloud-arm64, which maps BARs by resourceN (Device-nGnRE) and resourceN_wc (Normal-NC)`; null: bare-metal guests. */
export function guestFacts({ guest }: Pick<Report, 'guest'>): string | null {
  if (guest === undefined) return null;
  const files = guest.files.map(({ stage1, file }) => `${file} (${stage1})`).join(' and ');
  return `guest Linux ${guest.kernel}, whose program maps BARs by ${files}`;
}
