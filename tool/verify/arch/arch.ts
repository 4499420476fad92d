/** All that differs between architectures in a verification: the model, and how the kernel is read back. One object for each. */
import type { AccessCounts, ArchitectureModel, MemoryKind, Platform, Stage1Type } from '../../../memattr/index.ts';
import type { Scope } from '../../../common/scope.ts';
import type { KvmFacts } from '../../../vmm/kvm/arch/arch.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { Cpu } from '../../report/report.ts';
import type { BarSource } from '../../../vmm/vfio/source.ts';
import type { OpenWindow } from '../../../vmm/vfio/open-windows.ts';
import type { Window } from '../../../vmm/memory/index.ts';
import type { ProbedPage } from '../read-back/host-probe.ts';

/** How the host itself has a window mapped. */
export interface HostMappingReading {
  /** As memattr names it; `mixed` where a window has several; null where nothing is mapped yet. */
  readonly programmed: string | null;
  /** The types that the kernel has on record for the window's physical range; null where there is no such record. */
  readonly reserved: readonly string[] | null;
  /** What the host's own loads showed: arm64. null: nothing. */
  readonly observed: MemoryKind | null;
}

export type HostMappings =
  | { readonly kind: 'read'; readonly windows: readonly HostMappingReading[] }
  | { readonly kind: 'unavailable'; readonly why: string };

/** Windows of one source, and where this process has them mapped; by which file, if they can be mapped once more. */
export interface HostMapped {
  readonly source: Pick<BarSource, 'kind' | 'pci'> & { readonly slice?: (window: Window) => ProbedPage };
  readonly windows: readonly (Window & { readonly mapping: { readonly address: bigint } })[];
}

/** What the CPU records of accesses to the windows of one source, sampled in the thread that runs the guest. */
export interface AccessRecorder {
  start(): void;
  /** Since then, in one window; null: its physical addresses are not known. */
  stop(window: number): AccessCounts | null;
}

export type Recording =
  | { readonly kind: 'recorded'; readonly recorder: AccessRecorder }
  | { readonly kind: 'unavailable'; readonly why: string };

export interface VerifyArchitecture {
  readonly model: ArchitectureModel;
  stage1Types(platform: Platform): readonly Stage1Type[];
  /** Of a guest on ordinary memory. */
  controlPlatform(facts: KvmFacts): Platform;
  /** Of a guest on the windows. */
  windowsPlatform(port: Port, facts: KvmFacts, source: BarSource, windows: readonly OpenWindow[]): Platform;
  /** What is not known of the platform and leaves more than one outcome as predicted: sentences for a report's limits. */
  unknowns(platform: Platform): readonly string[];
  /**
   * Of all windows, in their order. To be called while they are mapped and after a guest has touched them: VFIO maps pages as
   * they are touched. All at once, because the kernel shows its page tables whole, and takes its time.
   */
  readHostMappings(port: Port, opened: readonly HostMapped[]): HostMappings;
  /** The same by loads of the host's own, to be called before any guest runs: it starts a program. null: loads show nothing here. */
  loadByHost(opened: readonly HostMapped[]): HostMappings | null;
  /** To be called before any guest runs, by the thread that runs it. null: these CPUs record nothing that shows a type. */
  recordAccesses(port: Port, scope: Scope, facts: KvmFacts, opened: HostMapped): Recording | null;
  /** How far the host's own registers were read: sentences for a report's limits. */
  hostLimits(port: Port): readonly string[];
  /** As far as the kernel shows it. */
  cpu(port: Port): Cpu;
  /** Does this kernel run below a hypervisor? null: nothing says. */
  underHypervisor(port: Port): boolean | null;
  /** What kind of confidential guest this kernel runs in; null: none that is known. */
  confidential(port: Port): string | null;
  /** Why no probe saw a memory type, where none did. */
  blindness(emulator: string | null): string;
}
