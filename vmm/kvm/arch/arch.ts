/** All that differs between architectures when a bare guest is started; one object for each. */
import type { Arch, NestedPaging } from '../../../memattr/index.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { Port } from '../../sys/port.ts';
import type { WatchStage2 } from '../../../tool/verify/read-back/stage2-watch.ts';
import { arm64 } from './arm64.ts';
import { x86 } from './x86.ts';

export interface KvmFacts {
  /** arm64: stage 2 can force write-back (FEAT_S2FWB); null where there is no such thing. */
  readonly fwb: boolean | null;
  /** KVM can give a guest memory tagging. */
  readonly mte: boolean;
  /** x86: the CPU's name of its vendor; null where unknown or not x86. */
  readonly vendor: string | null;
  /** x86: what pages guests; null: shadow page tables, unknown, or not x86. */
  readonly nestedPaging: NestedPaging | null;
  /** x86: ticks of the guest's time stamp counter per second; null where unknown, or where the guest knows of its own. */
  readonly ticksPerSecond: number | null;
}

/** What KVM_RUN ends for that it would not without being asked. */
export interface Exits {
  /** Each bus lock. */
  readonly busLocks: boolean;
}

export interface GuestArchitecture {
  readonly name: Arch;
  /** Guest-physical addresses, bytes. */
  readonly ramBase: bigint;
  readonly doorbell: bigint;
  readonly windowBase: bigint;
  /** First gpa that a guest cannot address. */
  readonly gpaLimit: bigint;
  /** Puts a fresh vCPU at `entry`, in the state that the guest ABI promises. */
  initVcpu(port: Port, machine: { readonly kvm: number; readonly vm: number }, vcpu: number, entry: bigint): void;
  /** Asks KVM, before there is a vCPU, to tell of what it would hide, or would only end a VM for. */
  enableExits(port: Port, machine: { readonly vm: number }): Exits;
  readonly watchStage2: WatchStage2;
  /** What this KVM's machines can do that changes what to expect of them. */
  facts(port: Port, machine: { readonly vm: number }, vcpu: number): KvmFacts;
}

/** The architecture that this process runs on, or null where wcvmm has no guests for it. */
export function hostArchitecture(arch: string = process.arch): GuestArchitecture | null {
  switch (arch) {
    case 'arm64':
      return arm64;
    case 'x64':
      return x86;
    default:
      return null;
  }
}

export function requireArchitecture(): GuestArchitecture {
  const arch = hostArchitecture();
  if (arch !== null) return arch;
  throw new WcvmmError(
    'E_NO_KVM',
    `wcvmm has no bare guest for ${process.arch} machines; expected arm64 or x64. Use --testbed arm64, which emulates one.`,
  );
}
