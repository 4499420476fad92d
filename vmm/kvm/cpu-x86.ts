/** Whose CPU an x86 host has, and what KVM makes of it. What is not known is null, and never guessed. */
import type { NestedPaging } from '../../memattr/index.ts';
import { readOr } from '../sys/attempt.ts';
import type { Port } from '../sys/port.ts';

/** CPUID's name for the vendor, such as GenuineIntel. */
export function cpuVendor(port: Port): string | null {
  return /^vendor_id\s*:\s*(\S+)$/m.exec(readOr(port, '/proc/cpuinfo', ''))?.[1] ?? null;
}

interface Parameter {
  readonly paging: NestedPaging;
  readonly path: string;
}

/** A kernel may have both vendors' modules built in, and each shows its parameter; the CPU decides which one is in use. */
const PARAMETER: ReadonlyMap<string, Parameter> = new Map([
  ['GenuineIntel', { paging: 'ept', path: '/sys/module/kvm_intel/parameters/ept' }],
  ['AuthenticAMD', { paging: 'npt', path: '/sys/module/kvm_amd/parameters/npt' }],
  ['HygonGenuine', { paging: 'npt', path: '/sys/module/kvm_amd/parameters/npt' }],
]);

/** What KVM's guests are paged with; null: with shadow page tables, or not known. */
export function nestedPaging(port: Port): NestedPaging | null {
  const parameter = PARAMETER.get(cpuVendor(port) ?? '');
  if (parameter === undefined) return null;
  return /^[Y1]/.test(readOr(port, parameter.path, '')) ? parameter.paging : null;
}
