/** Guest RAM: host memory with a guest image, its parameters and its log in it (tool/verify/guest/abi.h draws the map). */
import { WcvmmError } from '../../../common/errors.ts';
import type { Scope } from '../../../common/scope.ts';
import { MAP_ANONYMOUS, MAP_SHARED, PROT_READ, PROT_WRITE } from '../../../vmm/sys/libc.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { HostMapping } from '../../../vmm/memory/mapping.ts';
import { ABI } from './abi.ts';
import type { GuestImage } from '../../../vmm/boot/elf.ts';

export interface GuestRam {
  readonly mapping: HostMapping;
  /** Ordinary memory; valid until the scope closes. */
  readonly bytes: Uint8Array;
}

/** `length` bytes, at least the ABI's 4 MiB and below 4 GiB, zeroed. */
export function allocateRam(port: Port, scope: Scope, length: number = ABI.ramSize): GuestRam {
  if (length < ABI.ramSize || length >= 2 ** 32) {
    throw new WcvmmError(
      'E_USAGE',
      `guest RAM of ${length} bytes was asked for; expected at least ${ABI.ramSize} and less than 4 GiB.`,
    );
  }
  const size = BigInt(length);
  const address = port.mmap({
    length: size,
    protection: PROT_READ | PROT_WRITE,
    flags: MAP_SHARED | MAP_ANONYMOUS,
    fd: -1,
    offset: 0n,
  });
  scope.defer(() => port.munmap(address, size));
  return { mapping: { address, length: size }, bytes: new Uint8Array(port.view(address, length)) };
}

/** Copies the image's segments; `parseElf` has checked that they lie in RAM. */
export function loadImage(ram: GuestRam, image: GuestImage, ramBase: bigint): void {
  for (const { address, data } of image.segments) ram.bytes.set(data, Number(address - ramBase));
}

/** A copy of the log, taken once: the guest could still be writing, and what was checked must be what is used. */
export function copyLog(ram: GuestRam): Uint8Array {
  return ram.bytes.slice(ABI.logOffset, ABI.ramSize);
}
