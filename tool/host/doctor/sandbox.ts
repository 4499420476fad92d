/** What keeps a guest that gets out of KVM from the rest of the machine: docs/sandbox.md. */
import { possibleSandbox } from '../../../vmm/sandbox/enter.ts';
import { missing, note, ok } from './finding.ts';
import type { Finding } from './finding.ts';

type Possible = ReturnType<typeof possibleSandbox> & { readonly isRoot: boolean };

function possible(): Possible {
  return { ...possibleSandbox(), isRoot: process.geteuid?.() === 0 };
}

/** @param found what the kernel has; for tests */
export function sandbox(found: Possible = possible()): Finding {
  const { seccomp, landlockAbi, isRoot } = found;
  const user = isRoot ? 'the user nobody, no capabilities' : 'no capabilities';
  if (!seccomp) {
    return missing(
      'sandbox',
      `once a guest runs: ${user}, ${landlockOf(landlockAbi)}; this kernel has no filter of system calls, so sockets can still be made`,
      'a kernel with CONFIG_SECCOMP_FILTER',
      false,
    );
  }
  const detail = `once a guest runs: ${user}, a filter of system calls, ${landlockOf(landlockAbi)}`;
  return landlockAbi > 0
    ? ok('sandbox', detail)
    : note('sandbox', detail, 'a kernel with CONFIG_SECURITY_LANDLOCK, and landlock among those that lsm= names');
}

function landlockOf(abi: number): string {
  if (abi === 0) return 'no Landlock in this kernel';
  return abi >= 8 ? `Landlock (ABI ${abi})` : `Landlock (ABI ${abi}) on the main thread`;
}
