import { readOr } from '../../vmm/sys/attempt.ts';
import type { Port } from '../../vmm/sys/port.ts';

/**
 * The emulator that this kernel runs on, such as `qemu-10.0.2`, or null on anything else. A testbed names it on the kernel's
 * command line (testbed/machine/machine.ts): who only starts wcvmm cannot, and no environment that is inherited changes a verdict.
 */
export function emulatorHere(port: Port): string | null {
  return /(?:^|\s)wcvmm\.emulator=([\w.+-]+)(?=\s|$)/.exec(readOr(port, '/proc/cmdline', ''))?.[1] ?? null;
}
