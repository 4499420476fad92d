/** Whose CPU an x86 host has, and what KVM makes of it. What nobody says is null, and never guessed. */
import type { NestedPaging } from '../../memattr/index.ts';
import { SysError } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';

/** CPUID's name for the vendor, such as GenuineIntel. */
export function cpuVendor(port: Port): string | null {
  return /^vendor_id\s*:\s*(\S+)$/m.exec(textOf(port, '/proc/cpuinfo') ?? '')?.[1] ?? null;
}

/** A kernel may have both vendors' modules built in, and each shows its parameter; the CPU decides which one is in use. */
const PARAMETER: Readonly<Record<string, { readonly paging: NestedPaging; readonly path: string }>> = {
  GenuineIntel: { paging: 'ept', path: '/sys/module/kvm_intel/parameters/ept' },
  AuthenticAMD: { paging: 'npt', path: '/sys/module/kvm_amd/parameters/npt' },
  HygonGenuine: { paging: 'npt', path: '/sys/module/kvm_amd/parameters/npt' },
};

/** What KVM's guests are paged with; null: with shadow page tables, or nobody could tell. */
export function nestedPaging(port: Port): NestedPaging | null {
  const parameter = PARAMETER[cpuVendor(port) ?? ''];
  if (parameter === undefined) return null;
  return /^[Y1]/.test(textOf(port, parameter.path) ?? '') ? parameter.paging : null;
}

/** Null where there is no such file, or not for us. */
function textOf(port: Port, path: string): string | null {
  try {
    return port.readText(path);
  } catch (error) {
    if (error instanceof SysError) return null;
    throw error;
  }
}
