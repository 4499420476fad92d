/** What `verify --host` finds: how this machine maps BARs through sysfs. */
import { EXIT } from '../../../common/errors.ts';
import type { ExitCode } from '../../../common/errors.ts';
import type { Arch, Attribute, BsaRule, Hazard, MemoryKind } from '../../../memattr/index.ts';
import type { Origin, Verdict } from '../../report/report.ts';

/** Also the JSON, "wcvmm.host/1": a field may be added, none changes meaning. Offsets and lengths are bytes. */
export interface HostReport {
  readonly schema: 'wcvmm.host/1';
  readonly arch: Arch;
  readonly origin: Origin;
  readonly kernel: string;
  /** Such as `qemu-10.0.2`; null on real hardware, or where nothing says. */
  readonly emulator: string | null;
  readonly mappings: readonly HostMapping[];
  /** Silicon on which some of the types are dangerous. */
  readonly hazards: readonly Hazard[];
  readonly limits: readonly string[];
  readonly summary: Readonly<Record<HostVerdict, number>>;
}

/** As of a report's checks; none is an erratum. */
export type HostVerdict = Exclude<Verdict, 'erratum'>;

/** One of sysfs's files of a BAR. */
export interface HostMapping {
  /** PCI address, and vendor:device. */
  readonly device: string;
  readonly id: string;
  readonly driver: string | null;
  readonly bar: number;
  /** `resource2` or `resource2_wc`. */
  readonly file: string;
  readonly attribute: Attribute;
  readonly length: number;
  readonly predicted: string;
  /** x86: what the kernel has on record for the mapping; null: not read. */
  readonly programmed: string | null;
  /** x86: what the MTRRs make of the range, where they were read: under WC, UC- is write-combining as well. */
  readonly mtrr?: string;
  /** arm64: what the loads showed; null: they were not made, or showed nothing. */
  readonly observed: MemoryKind | null;
  /** Types that what was read or observed rules out. */
  readonly excludes: readonly string[];
  /** Rules of Arm's Base System Architecture that the loads answer. */
  readonly rules: readonly BsaRule[];
  /** Ids of the hazards of such a mapping. */
  readonly hazards: readonly string[];
  readonly verdict: HostVerdict;
  /** Why, where it is no match. */
  readonly note: string | null;
}

export function summariseHost(mappings: readonly HostMapping[]): HostReport['summary'] {
  const summary: Record<HostVerdict, number> = { match: 0, mismatch: 0, unobservable: 0, skipped: 0 };
  for (const { verdict } of mappings) summary[verdict] += 1;
  return summary;
}

/** 1 for a mismatch, 2 where nothing could be mapped, 3 where nothing showed the type of some mapping that was made; else 0. */
export function exitCodeOfHost({ summary }: Pick<HostReport, 'summary'>): ExitCode {
  if (summary.mismatch > 0) return EXIT.mismatch;
  if (summary.unobservable > 0) return EXIT.notProven;
  return summary.match > 0 ? EXIT.match : EXIT.failed;
}
