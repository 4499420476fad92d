import { memoryKindOf } from '../../memattr/index.ts';
import type {
  AccessCounts,
  Arch,
  Attribute,
  BsaRule,
  Hazardous,
  MemoryKind,
  NestedPaging,
  Outcome,
  ProbeName,
  Source,
  SpeaksOf,
  Strictness,
} from '../../memattr/index.ts';

/**
 * The report as its JSON has it, schema `wcvmm.report/1`: a field may be added, none changes its meaning.
 * Offsets and lengths are bytes and JSON numbers, exact below 2^53 (8 PiB), which no BAR reaches.
 *
 * Three kinds of evidence stand side by side and are never mixed: *predicted* by the model, *programmed* as read
 * back from the kernel (null: not read back), *observed* by the guest (null: the check was not reached).
 */
export interface Report {
  schema: typeof SCHEMA;
  command: Command;
  arch: Arch;
  /** Where, when and how it was made. Older reports do not say. */
  origin?: Origin;
  platform: ReportPlatform;
  device: ReportDevice;
  /** Who observed; absent: bare-metal guests. */
  guest?: LinuxGuest;
  windows: ReportWindow[];
  checks: Check[];
  /** What the machine's silicon is known for; absent: nothing, or an older report. */
  hazards?: ReportHazard[];
  /** What this report does not prove, and why: a sentence each. Reports of older versions have none. */
  limits?: string[];
  /** What bench measured. */
  bench?: Bench;
  summary: Summary;
}

/** A Linux guest, whose own kernel maps BARs for a program of its. */
export interface LinuxGuest {
  kind: 'linux';
  /** Its release, as the guest says. */
  kernel: string;
  /** When its /init began, by the guest's own clock. */
  initSeconds: number;
  /** Which of its stage-1 types come from which file of sysfs. */
  files: { stage1: string; file: string }[];
}

/** A memory type that does harm on this machine. */
export interface ReportHazard {
  id: string;
  silicon: string;
  affects: Hazardous;
  /** False: the machine says too little of itself to be sure. */
  certain: boolean;
  what: string;
}

export const SCHEMA = 'wcvmm.report/1';

export const COMMANDS = ['run', 'verify', 'compare', 'bench'] as const;

export type Command = (typeof COMMANDS)[number];

/**
 * match: observed as predicted. mismatch: not. unobservable: the probe ran, but on this platform or by the architecture its
 * result says nothing about the memory type. erratum: not as predicted, and a known deviation of this emulator; never a pass.
 * skipped: not run, or without a result. All but match have a note that says why.
 */
export const VERDICTS = ['match', 'mismatch', 'unobservable', 'erratum', 'skipped'] as const;

export type Verdict = (typeof VERDICTS)[number];

/** An outcome, or that there is none to predict: the architecture leaves it open, or it is a number to measure. */
export type Predicted = Outcome | (typeof NO_OUTCOME)[number];

export const NO_OUTCOME = ['any', 'measurement'] as const;

export interface ReportPlatform {
  kind: 'testbed' | 'native';
  /** Such as `qemu-10.0.2`; null on real hardware. */
  emulator: string | null;
  /** The kernel's release, as uname has it. */
  kernel: string;
  /** Whether the kernel has mmap cookies. */
  cookies: boolean;
  /** arm64: stage 2 can force write-back (FEAT_S2FWB); null where unknown or not arm64. */
  fwb: boolean | null;
  /** arm64: KVM forwards alignment faults that stage 2 causes to the guest; null: not known. Older reports do not say. */
  faultForwarding?: boolean | null;
  /** x86: the CPU's vendor. */
  vendor?: string;
  /** x86: what pages guests; null: shadow page tables, or unknown. */
  nestedPaging?: NestedPaging | null;
  /** False: VFIO holds the device in its no-IOMMU mode, so that it cannot reach guest RAM. */
  iommu?: boolean;
}

/** null: the machine does not say. */
export interface Origin {
  /** As the machine calls itself. */
  host: string | null;
  /** By its firmware: vendor and product, which on an instance is its type. */
  machine: string | null;
  firmware: string | null;
  /** Whether this kernel runs below a hypervisor, which then has a say in memory types. */
  hypervisor: boolean | null;
  /** The kind of confidential guest that this kernel runs in; null: none that is known. Older reports do not say. */
  confidential?: string | null;
  cpu: Cpu;
  /** The whole of /proc/version. */
  kernelBuild: string | null;
  /** What the kernel's release says of the project's patches: `wcvmm`. */
  series: string | null;
  /** Version. */
  wcvmm: string;
  /** ISO 8601, UTC. */
  time: string;
  /** The command's arguments. */
  asked: string[];
}

export interface Cpu {
  /** x86: its name; arm64: MIDR_EL1 as hexadecimal. */
  model: string | null;
  /** x86: family, model and stepping; arm64: variant and revision. */
  stepping: string | null;
  microcode: string | null;
}

export interface ReportDevice {
  /** PCI address; null: memory instead of a BAR. */
  address: string | null;
  /** PCI vendor:device in hexadecimal. */
  id: string | null;
  source: Source;
  /** The BARs that have windows, with their sizes in bytes. */
  bars?: { bar: number; size: number }[];
}

export interface Evidence {
  predicted: string;
  programmed: string | null;
}

export interface HostEvidence extends Evidence {
  /** x86: the types that the kernel has on record for the window's physical range (pat_memtype_list). */
  reserved?: string[];
  /** arm64: what an unaligned load of the host's own showed. */
  observed?: MemoryKind;
}

export interface ReportWindow {
  bar: number;
  offset: number;
  length: number;
  attribute: Attribute;
  hostVma: HostEvidence;
  /** blockSize: bytes of the largest stage-2 entry in the window; null where unknown. */
  stage2: Evidence & { blockSize: number | null };
  /** x86, a Linux guest: the types that the guest's own drivers have on record for the window; absent: they have none. */
  guestTypes?: string[];
  /** How much of it was touched and read back. Older reports do not say. */
  coverage?: Coverage;
  /** What the probes touched. Older reports do not say. */
  touched?: Touched;
  /** Ids of the hazards that the types of the window have on this machine. */
  hazards?: string[];
  /** It is the control. Older reports only say so by its `source`. */
  control?: true;
  /** Where this mapping came from if not from the device's source: `memory` is the control. */
  source?: Source;
  /** Whether every guest has the window uncached and uncombined, by the model; why, or how a guest relaxes it. */
  strictness?: Strictness;
  /** x86: what the host's MTRRs say of the window; null where they differ within or cannot be read. */
  mtrr?: string | null;
  /**
   * By --enforce: the window has no memslot, and each access of a guest exited to the VMM, which performed it on its own
   * mapping. `exits`: how many there were. Absent: the window has a memslot.
   */
  trapped?: { exits: number };
}

/** Pages of a window, of the host's size. All probes are made in the first; in others, one load. */
export interface Coverage {
  /** Bytes. */
  pageSize: number;
  pages: number;
  touched: number;
  /** Of those, where the load was not as predicted. */
  unlike: number;
  /** Those that stage 2 maps, as it was read back; null: it was not. A block maps more pages than were touched. */
  readBack: number | null;
}

/**
 * How the probes touch a window. loads: only loads, no data expected back, as a device's registers allow; stores: stores as well;
 * memory: whatever a probe does to memory.
 */
export const TOUCHED_BY = ['loads', 'stores', 'memory'] as const;

export type TouchedBy = (typeof TOUCHED_BY)[number];

export interface Touched {
  by: TouchedBy;
  /** Where in the BAR: bytes from its start. At most 256 of them. */
  offsets: number[];
  /** From each of them, at most. */
  bytes: number;
}

export interface Check {
  /** Index into `windows`. */
  window: number;
  /** Where in the window: bytes. Absent: at its start. */
  offset?: number;
  stage1: string;
  probe: ProbeName;
  /** The memory type that stage 1 and stage 2 combine to, by the model. */
  effective: string;
  predicted: Predicted;
  /** Outcomes that are as good as `predicted`, because something about the platform is not known that decides between them. */
  alternatives?: Outcome[];
  observed: Outcome | null;
  verdict: Verdict;
  note: string | null;
  /** What the check is evidence of, if it matches. */
  speaksOf?: SpeaksOf;
  /** Stage-2 types that would have had to show something else, on this emulator if it is one; some where it speaks of the type. */
  excludes?: string[];
  /** Rules of Arm's Base System Architecture that the check answers; absent: none. */
  rules?: BsaRule[];
  /** Of a measuring probe: what it counted (bytes stored, or loads), in how many ticks of a clock of so many per second. */
  measured?: Measurement;
  /** x86: how often the guest locked the bus meanwhile, as KVM reports; absent where it does not. */
  busLocks?: number;
  /** arm64, stage1-self-check: what both stages combine to by the CPU's own walk (AT S12E1R). Absent: KVM was not asked, or cannot say. */
  combined?: string;
  /** x86, timing-class: how many times as long as the window's own accesses those take that the guest makes uncached (UC). */
  timing?: Timing;
  /** x86, AMD: how many of the guest's accesses that were sampled the CPU recorded as what; absent: none could be sampled. */
  accesses?: AccessCounts;
}

/** What lies in it with 95 % certainty. */
export interface Interval {
  low: number;
  high: number;
}

export interface Timing {
  loads: Interval;
  stores: Interval;
}

export interface Measurement {
  amount: number;
  ticks: number;
  ticksPerSecond: number;
}

export interface Bench {
  /** Why the figures say nothing about hardware; null: they are of hardware. */
  meaningless: string | null;
  /** Samples of each figure. */
  runs: number;
  figures: Figure[];
}

/**
 * store-bandwidth: bursts of 64-bit stores, each with a barrier behind it. load-latency: loads that each wait for the one
 * before. write-to-visible: a store, a barrier, and a load that reads it back: to the device and back again.
 */
export const QUANTITIES = ['store-bandwidth', 'load-latency', 'write-to-visible'] as const;

export type Quantity = (typeof QUANTITIES)[number];

/** `ticks` where the rate of the guest's clock is not known. */
export const UNITS = ['MB/s', 'ns', 'bytes/tick', 'ticks'] as const;

export type Unit = (typeof UNITS)[number];

export interface Figure {
  /** Index into `windows`. */
  window: number;
  stage1: string;
  effective: string;
  quantity: Quantity;
  /** Bytes of a burst. */
  size: number;
  /** Bytes from one access to the next. */
  stride: number;
  unit: Unit;
  /** Of all runs; low and high are the quartiles. MB are 10^6 bytes. */
  median: number;
  low: number;
  high: number;
  /** How often a sample went over the burst: as often as the clock needs. */
  repetitions: number;
}

export type Summary = Record<Verdict, number>;

/** A window as it was mapped: bytes of a BAR. */
export interface MappedWindow {
  readonly bar: number;
  readonly offset: bigint;
  readonly length: bigint;
  readonly attribute: Attribute;
}

/** A window in the report's numbers. @throws RangeError beyond 2^53 bytes */
export function reportWindow(
  { bar, offset, length, attribute }: MappedWindow,
  evidence: Pick<ReportWindow, 'hostVma' | 'stage2' | 'strictness' | 'mtrr' | 'trapped'>,
): ReportWindow {
  const [offsetBytes, lengthBytes] = [Number(offset), Number(length)];
  if (!Number.isSafeInteger(offsetBytes + lengthBytes))
    throw new RangeError(`a window of BAR ${bar} ends beyond 2^53 bytes`);
  return { bar, offset: offsetBytes, length: lengthBytes, attribute, ...evidence };
}

export function summarise(checks: readonly Check[]): Summary {
  const summary: Summary = { match: 0, mismatch: 0, unobservable: 0, erratum: 0, skipped: 0 };
  for (const { verdict } of checks) summary[verdict] += 1;
  return summary;
}

/** Is the window the control: ordinary memory, beside those of the device? */
export function isControl({ device }: Pick<Report, 'device'>, { source, control }: ReportWindow): boolean {
  if (control !== undefined) return control;
  return source === 'memory' && device.source !== 'memory';
}

/**
 * Is the model contradicted: was something read back or observed, and is not as predicted? What is on record for the range may be
 * of other mappings, too: the prediction must be among them, and WC only where it is predicted. UC- is what
 * Linux assumes where there is no record.
 */
export function isContradicted({
  predicted,
  programmed,
  reserved,
  observed,
}: Evidence & { readonly reserved?: readonly string[]; readonly observed?: MemoryKind }): boolean {
  if (programmed !== null && programmed !== predicted) return true;
  if (observed !== undefined && observed !== memoryKindOf(predicted)) return true;
  if (reserved === undefined) return false;
  const missing = predicted !== 'UC-' && !reserved.includes(predicted);
  return missing || (predicted !== 'WC' && reserved.includes('WC'));
}
