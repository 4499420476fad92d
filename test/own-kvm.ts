import { accessSync, constants } from 'node:fs';
import { hostArchitecture } from '../vmm/kvm/arch/index.ts';

/** Why this machine's own KVM cannot be used by a test; null where it can. */
export function whyNoKvm(): string | null {
  if (hostArchitecture() === null) return `no guests for ${process.arch}`;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return null;
  } catch {
    return 'no /dev/kvm that this user may open';
  }
}
