/** The registers of an x86 host that decide over memory types: those of CPU 0, with which Linux keeps the others alike; whether it has. */
import { LINUX_PAT, MTRR_MSR, decodePatMsr, mtrrTypeOf } from '../../../memattr/index.ts';
import type { MtrrType, Pat } from '../../../memattr/index.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';
import { O_RDONLY } from '../../../vmm/sys/libc.ts';
import { SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

const MSR_PAT = 0x277;

/** Whether root has the msr driver, and the kernel is not locked down. */
export function canReadMsrs(port: Port): boolean {
  const [pat = null] = readMsrs(port, [MSR_PAT]);
  return pat !== null;
}

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
  const values = readMsrs(
    port,
    Array.from({ length: 2 * count }, (_, index) => MTRR_MSR.firstVariable + index),
  );
  const known = values.filter((value) => value !== null);
  if (known.length < values.length) return null;
  const variable = Array.from({ length: count }, (_, index) => ({
    base: known[2 * index] ?? 0n,
    mask: known[2 * index + 1] ?? 0n,
  }));
  return mtrrTypeOf({ defaultType, variable }, start, length);
}

const MSR_SEV_STATUS = 0xc001_0131;

/** null: this is no guest of SEV, or it cannot be read. */
export function sevStatus(port: Port): bigint | null {
  return readMsrs(port, [MSR_SEV_STATUS])[0] ?? null;
}

export interface ComparedCpus {
  /** CPUs that are on. */
  readonly there: number;
  /** Those whose registers were read, CPU 0 among them. */
  readonly compared: number;
  /** Those whose PAT or MTRRs are not as CPU 0's. */
  readonly unlike: readonly number[];
}

/** The registers that decide over memory types, of every CPU that is on. */
export function compareCpus(port: Port): ComparedCpus {
  const names = attempt(() => port.list('/dev/cpu')) ?? [];
  const cpus = names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((a, b) => a - b);
  const [first, ...others] = cpus.flatMap((cpu) => {
    const registers = registersOf(port, cpu);
    return registers === null ? [] : [{ cpu, registers }];
  });
  const unlike = others.filter(({ registers }) => registers !== first?.registers).map(({ cpu }) => cpu);
  return { there: Math.max(cpus.length, 1), compared: first === undefined ? 0 : 1 + others.length, unlike };
}

/** As text, to be compared; null: they cannot be read. */
function registersOf(port: Port, cpu: number): string | null {
  const path = `/dev/cpu/${cpu}/msr`;
  const [pat = null, capability = null, defaultType = null] = readMsrs(
    port,
    [MSR_PAT, MTRR_MSR.capability, MTRR_MSR.defaultType],
    path,
  );
  if (pat === null || capability === null) return null;
  const count = Number(capability & 0xffn);
  const variable = readMsrs(
    port,
    Array.from({ length: 2 * count }, (_, index) => MTRR_MSR.firstVariable + index),
    path,
  );
  return [pat, defaultType, ...variable].join();
}

/** drivers/char/msr (arch/x86/kernel/msr.c): the offset is the number. null each, where the driver is missing or locked down. */
function readMsrs(port: Port, numbers: readonly number[], path = '/dev/cpu/0/msr'): readonly (bigint | null)[] {
  let fd: number;
  try {
    fd = port.open(path, O_RDONLY);
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
    return port.pread(fd, bytes, BigInt(number)) === bytes.length
      ? new DataView(bytes.buffer).getBigUint64(0, true)
      : null;
  } catch (error) {
    if (error instanceof SysError) return null;
    throw error;
  }
}
