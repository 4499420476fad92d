/** What AMD's CPUs record of a guest's accesses: samples of the thread that runs its vCPU, by Linux's PMU ibs_op. */
import { RECORDED, recordedAs } from '../../../memattr/index.ts';
import type { AccessCounts } from '../../../memattr/index.ts';
import type { Scope } from '../../../common/scope.ts';
import { pageSize } from '../../../vmm/sys/libc.ts';
import { sampleThisThread } from '../../../vmm/sys/perf.ts';
import type { Samples } from '../../../vmm/sys/perf.ts';
import { SysError, isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

const PMU_TYPE = '/sys/bus/event_source/devices/ibs_op/type';

/** CPU cycles from one sample to the next: some in a hundred stores that are combined, and many of what waits for a device. */
const PERIOD = 1024;

/**
 * A raw sample: the driver's capabilities, 32 bits, then registers of 64 bits: IbsOpCtl, IbsOpRip, IbsOpData, 2 and 3, IbsDcLinAd,
 * IbsDcPhysAd (struct perf_ibs_data, arch/x86/include/asm/amd/ibs.h).
 */
const RAW_AT = { opData3: 4 + 4 * 8, physical: 4 + 6 * 8 } as const;
const PHYSICAL_VALID = 1n << 18n;
const PHYSICAL = (1n << 52n) - 1n;

export interface AccessSampler {
  /** Until `stop`: what is sampled slows down. */
  start(): void;
  /** Since then, of physical bytes [from, from + length), the host's: a guest's own addresses are not looked at. */
  stop(from: bigint, length: bigint): AccessCounts;
}

/** What a machine without it lacks, in a clause. */
export type Sampling =
  | { readonly kind: 'sampled'; readonly sampler: AccessSampler }
  | { readonly kind: 'unavailable'; readonly why: string };

/** Of the calling thread, and before it gives up its rights; until the scope ends. @param sample in tests something else than the kernel */
export function sampleAccesses(port: Port, scope: Scope, sample: typeof sampleThisThread = sampleThisThread): Sampling {
  try {
    const type = Number(port.readText(PMU_TYPE));
    if (!Number.isSafeInteger(type) || type <= 0)
      return { kind: 'unavailable', why: `${PMU_TYPE} has no number of a PMU` };
    const samples = sample(port, { type, period: PERIOD }, pageSize());
    scope.defer(() => samples.close());
    return { kind: 'sampled', sampler: samplerOf(samples) };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR'))
      return { kind: 'unavailable', why: 'this kernel or CPU has no instruction-based sampling (no PMU ibs_op)' };
    if (isErrno(error, 'EACCES', 'EPERM'))
      return { kind: 'unavailable', why: 'sampling takes CAP_PERFMON, or kernel.perf_event_paranoid of at most 1' };
    if (error instanceof SysError)
      return { kind: 'unavailable', why: `the kernel refuses to sample (${error.message})` };
    throw error;
  }
}

export function samplerOf(samples: Pick<Samples, 'start' | 'stop'>): AccessSampler {
  return {
    start: () => samples.start(),
    stop(from, length) {
      const counts: Record<(typeof RECORDED)[number], number> = { combining: 0, uncached: 0 };
      for (const raw of samples.stop()) {
        const as = recordedIn(raw, from, length);
        if (as !== null) counts[as] += 1;
      }
      return counts;
    },
  };
}

function recordedIn(raw: Uint8Array, start: bigint, length: bigint): ReturnType<typeof recordedAs> {
  if (raw.byteLength < RAW_AT.physical + 8) return null;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const opData3 = view.getBigUint64(RAW_AT.opData3, true);
  if ((opData3 & PHYSICAL_VALID) === 0n) return null;
  const physical = view.getBigUint64(RAW_AT.physical, true) & PHYSICAL;
  return physical >= start && physical < start + length ? recordedAs(opData3) : null;
}
