import type { Scope } from '../../common/scope.ts';
import { createVcpu, vcpuMmapSize } from '../sys/kvm.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../sys/libc.ts';
import type { Port } from '../sys/port.ts';

/** A vCPU's file and its struct kvm_run, mapped. */
export interface Vcpu {
  readonly id: number;
  readonly fd: number;
  readonly runAddress: bigint;
  readonly runLength: number;
}

/** A vCPU as KVM resets it; its id is the APIC's on x86. It ends with `scope`. */
export function addVcpu(
  port: Port,
  scope: Scope,
  { kvm, vm }: { readonly kvm: number; readonly vm: number },
  id = 0,
): Vcpu {
  const fd = createVcpu(port, vm, id);
  scope.defer(() => port.close(fd));
  const runLength = vcpuMmapSize(port, kvm);
  const runAddress = port.mmap({
    length: BigInt(runLength),
    protection: PROT_READ | PROT_WRITE,
    flags: MAP_SHARED,
    fd,
    offset: 0n,
  });
  scope.defer(() => port.munmap(runAddress, BigInt(runLength)));
  return { id, fd, runAddress, runLength };
}
