/** Samples of the calling thread by a PMU of the kernel's (perf_event_open(2), include/uapi/linux/perf_event.h). */
import { native } from './native.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE } from './libc.ts';
import { SysError } from './port.ts';
import type { Port } from './port.ts';

const SYS_PERF_EVENT_OPEN: Readonly<Partial<Record<string, number>>> = { x64: 298, arm64: 241 };
const PERF_FLAG_FD_CLOEXEC = 8n;

/** struct perf_event_attr, as long as its first version. */
const ATTR_SIZE = 64;
const ATTR_AT = { type: 0, size: 4, period: 16, sampleType: 24, flags: 40 } as const;
const PERF_SAMPLE_RAW = 1n << 10n;
const PERF_RECORD_SAMPLE = 9;

/** struct perf_event_mmap_page. */
const RING_AT = { head: 1024, tail: 1032 } as const;
const DATA_PAGES = 64;

/** The first bit of the flags. */
const DISABLED = 1n;
export const PERF_EVENT_IOC_ENABLE = 0x2400;
export const PERF_EVENT_IOC_DISABLE = 0x2401;
/** struct perf_event_header, then the length of what follows. */
const RAW_AT = 12;

export interface SampledEvent {
  /** Of the PMU: /sys/bus/event_source/devices/NAME/type. */
  readonly type: number;
  /** Events from one sample to the next. */
  readonly period: number;
}

/** Raw samples, as the PMU's driver writes them. */
export interface Samples {
  /** Until `stop`. What was sampled before is lost. */
  start(): void;
  /** Those since `start`; where the buffer was full, the others are lost. */
  stop(): readonly Uint8Array[];
  close(): void;
}

/** Of the calling thread, in guests too. Throws SysError where the kernel refuses. */
export function sampleThisThread(port: Port, event: SampledEvent, pageSize: number): Samples {
  const fd = openEvent(event);
  const data = DATA_PAGES * pageSize;
  const length = BigInt(pageSize + data);
  let address: bigint;
  try {
    address = port.mmap({ length, protection: PROT_READ | PROT_WRITE, flags: MAP_SHARED, fd, offset: 0n });
  } catch (error) {
    port.close(fd);
    throw error;
  }
  const ring = new Uint8Array(port.view(address, Number(length)));
  return {
    start: () => {
      takeSamples(ring, pageSize);
      port.ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    },
    stop: () => {
      port.ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
      return takeSamples(ring, pageSize);
    },
    close: () => {
      port.munmap(address, length);
      port.close(fd);
    },
  };
}

function openEvent({ type, period }: SampledEvent): number {
  const attr = new DataView(new ArrayBuffer(ATTR_SIZE));
  attr.setUint32(ATTR_AT.type, type, true);
  attr.setUint32(ATTR_AT.size, ATTR_SIZE, true);
  attr.setBigUint64(ATTR_AT.period, BigInt(period), true);
  attr.setBigUint64(ATTR_AT.sampleType, PERF_SAMPLE_RAW, true);
  attr.setBigUint64(ATTR_AT.flags, DISABLED, true);
  const number = SYS_PERF_EVENT_OPEN[process.arch];
  if (number === undefined) throw new RangeError(`perf_event_open on ${process.arch}`);
  const call = native()
    .koffi.load(null)
    .func('long syscall(long number, void *attr, int64_t pid, int64_t cpu, int64_t group, uint64_t flags)');
  // This thread, on whatever CPU.
  const fd = Number(call(number, attr.buffer, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
  if (fd < 0) throw new SysError('perf_event_open', native().koffi.errno());
  return fd;
}

/**
 * Of a ring whose first page is struct perf_event_mmap_page and whose data, a power of two of pages, comes behind it. What is added
 * meanwhile lies behind the head, and is left for the next time.
 */
export function takeSamples(ring: Uint8Array, pageSize: number): readonly Uint8Array[] {
  const page = new DataView(ring.buffer, ring.byteOffset, pageSize);
  const data = ring.subarray(pageSize);
  const head = page.getBigUint64(RING_AT.head, true);
  const samples: Uint8Array[] = [];
  let at = page.getBigUint64(RING_AT.tail, true);
  while (at < head) {
    const record = copyOf(data, at, 8);
    const size = record.getUint16(6, true);
    if (size < 8) break;
    if (record.getUint32(0, true) === PERF_RECORD_SAMPLE) {
      const whole = copyOf(data, at, size);
      const length = size < RAW_AT ? 0 : whole.getUint32(8, true);
      if (RAW_AT + length <= size) samples.push(new Uint8Array(whole.buffer, RAW_AT, length));
    }
    at += BigInt(size);
  }
  page.setBigUint64(RING_AT.tail, head, true);
  return samples;
}

/** Records go on at the start of the ring where its end is reached. */
function copyOf(data: Uint8Array, at: bigint, length: number): DataView {
  const copy = new Uint8Array(length);
  for (let index = 0; index < length; index += 1)
    copy[index] = data[Number((at + BigInt(index)) % BigInt(data.byteLength))] ?? 0;
  return new DataView(copy.buffer);
}
