/** A VM's memslots: guest-physical ranges that host memory stands behind. They can move and go while the VM runs. */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import { setUserMemoryRegion } from '../sys/kvm.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import type { HostMapping } from './mapping.ts';

export interface Memslot {
  /** KVM's number. */
  readonly slot: number;
  /** Where it is now, bytes. */
  readonly gpa: bigint;
  readonly length: bigint;
  /** To another place, with what is behind it. Throws E_MEMSLOT where KVM refuses; it is then where it was. */
  move(gpa: bigint): void;
  /** At once; the mapping may go afterwards. Once more does nothing. */
  remove(): void;
}

export class Memslots {
  readonly #port: Port;
  readonly #vm: number;
  readonly #scope: Scope;
  /** Numbers that were used and are free again. */
  readonly #free: number[] = [];
  #next = 0;
  #isOver = false;

  constructor(port: Port, scope: Scope, vm: number) {
    this.#port = port;
    this.#scope = scope;
    this.#vm = vm;
  }

  /** KVM's number for a memslot that somebody else sets and removes, as a vCPU's thread does; it is given to no other. */
  reserve(): number {
    return this.#free.pop() ?? this.#next++;
  }

  /**
   * No vCPU of the VM runs any more, or ever will: what is still there goes with the VM itself. To remove each takes KVM longer than
   * a short guest runs, since it waits for every CPU that may be looking at it.
   */
  end(): void {
    this.#isOver = true;
  }

  /**
   * Host memory for the guest-physical bytes [gpa, gpa + length). It goes with the scope of the VM at the latest, before
   * the mapping if that was made first.
   *
   * Throws E_MEMSLOT where KVM refuses: it overlaps another, is beyond what the guest can address, or is no whole pages.
   */
  add(gpa: bigint, { address, length }: HostMapping): Memslot {
    const slot = this.reserve();
    try {
      this.#set(slot, gpa, length, address);
    } catch (error) {
      this.#free.push(slot);
      throw error;
    }
    let at: bigint | null = gpa;
    const remove = (): void => {
      if (at === null) return;
      setUserMemoryRegion(this.#port, this.#vm, { slot, flags: 0, gpa: at, length: 0n, hva: address });
      at = null;
      this.#free.push(slot);
    };
    // Before the mapping behind it goes, or the guest would fault into whatever comes next at that address.
    this.#scope.defer(() => {
      if (!this.#isOver) remove();
    });
    return {
      slot,
      length,
      get gpa() {
        return at ?? gpa;
      },
      move: (to) => {
        if (at === null) throw new RangeError('the memslot was removed');
        this.#set(slot, to, length, address);
        at = to;
      },
      remove,
    };
  }

  #set(slot: number, gpa: bigint, length: bigint, hva: bigint): void {
    try {
      setUserMemoryRegion(this.#port, this.#vm, { slot, flags: 0, gpa, length, hva });
    } catch (error) {
      throw new WcvmmError(
        'E_MEMSLOT',
        `KVM refused the memslot of ${length} bytes at gpa 0x${gpa.toString(16)}: ${whyRefused(error)}. Map less, or place it elsewhere.`,
        { cause: error },
      );
    }
  }
}

/** KVM_SET_USER_MEMORY_REGION's refusals (Documentation/virt/kvm/api.rst, and kvm_set_memory_region()). */
function whyRefused(error: unknown): string {
  if (isErrno(error, 'EFAULT')) return 'it is beyond what a guest of this machine can address (EFAULT)';
  if (isErrno(error, 'EEXIST')) return 'another memslot is there (EEXIST)';
  if (isErrno(error, 'EINVAL')) return 'it is no whole number of pages, or not one that KVM lets this VM have (EINVAL)';
  return error instanceof Error ? error.message : String(error);
}
