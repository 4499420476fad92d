/** What an x86 host says of itself: vendor, nested paging, PAT, MTRRs. What nobody says is null, and never guessed. */
import { LINUX_PAT, MTRR_MSR, decodePatMsr, mtrrTypeOf } from '../../memattr/index.ts';
import type { MtrrType, Pat, Platform } from '../../memattr/index.ts';
import { O_RDONLY } from '../sys/libc.ts';
import { SysError } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';

/** CPUID's name for the vendor, such as GenuineIntel. */
export function cpuVendor(port: Port): string | null {
  return /^vendor_id\s*:\s*(\S+)$/m.exec(textOf(port, '/proc/cpuinfo') ?? '')?.[1] ?? null;
}

/** A kernel may have both vendors' modules built in, and each shows its parameter; the CPU decides which one is in use. */
const PARAMETER: Readonly<Record<string, { readonly paging: 'ept' | 'npt'; readonly path: string }>> = {
  GenuineIntel: { paging: 'ept', path: '/sys/module/kvm_intel/parameters/ept' },
  AuthenticAMD: { paging: 'npt', path: '/sys/module/kvm_amd/parameters/npt' },
  HygonGenuine: { paging: 'npt', path: '/sys/module/kvm_amd/parameters/npt' },
};

/** What KVM's guests are paged with; null: with shadow page tables, or nobody could tell. */
export function nestedPaging(port: Port): NonNullable<Platform['nestedPaging']> | null {
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

const MSR_PAT = 0x277;

/** The host's PAT; Linux's usual one where the msr driver is missing, as Linux programs no other unless PAT is broken. */
export function hostPat(port: Port): Pat {
  const [msr = null] = readMsrs(port, [MSR_PAT]);
  return msr === null ? LINUX_PAT : decodePatMsr(msr);
}

/** What the MTRRs make of physical bytes [start, start + length); null where they differ within, or cannot be read. */
export function hostMtrr(port: Port, start: bigint, length: bigint): MtrrType | null {
  const [capability = null, defaultType = null] = readMsrs(port, [MTRR_MSR.capability, MTRR_MSR.defaultType]);
  if (capability === null || defaultType === null) return null;
  const count = Number(capability & 0xffn);
  const values = readMsrs(port, Array.from({ length: 2 * count }, (_, index) => MTRR_MSR.firstVariable + index));
  const known = values.filter((value) => value !== null);
  if (known.length < values.length) return null;
  const variable = Array.from({ length: count }, (_, index) => ({ base: known[2 * index] ?? 0n, mask: known[2 * index + 1] ?? 0n }));
  return mtrrTypeOf({ defaultType, variable }, start, length);
}

/** drivers/char/msr (arch/x86/kernel/msr.c): the offset is the number. null each, where the driver is missing or locked down. */
function readMsrs(port: Port, numbers: readonly number[]): readonly (bigint | null)[] {
  let fd: number;
  try {
    fd = port.open('/dev/cpu/0/msr', O_RDONLY);
  } catch (error) {
    if (error instanceof SysError) return numbers.map(() => null);
    throw error;
  }
  try {
    return numbers.map((number) => readMsr(port, fd, number));
  } finally {
    port.close(fd);
  }
}

function readMsr(port: Port, fd: number, number: number): bigint | null {
  const bytes = new Uint8Array(8);
  try {
    return port.pread(fd, bytes, BigInt(number)) === bytes.length ? new DataView(bytes.buffer).getBigUint64(0, true) : null;
  } catch (error) {
    if (error instanceof SysError) return null;
    throw error;
  }
}
