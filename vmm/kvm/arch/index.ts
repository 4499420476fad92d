import { ARCHES } from '../../../memattr/model.ts';
import type { Arch } from '../../../memattr/index.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { KvmArchitecture } from './arch.ts';
import { arm64 } from './arm64.ts';
import { x86 } from './x86.ts';

const ARCHITECTURES: Readonly<Record<Arch, KvmArchitecture>> = { arm64, x86 };

/** As Node calls them. */
const NODE_NAMES: Readonly<Record<Arch, string>> = { arm64: 'arm64', x86: 'x64' };

/** The architecture that this process runs on, or null where wcvmm knows nothing of its KVM. */
export function hostArchitecture(nodeName: string = process.arch): KvmArchitecture | null {
  const arch = ARCHES.find((one) => NODE_NAMES[one] === nodeName);
  return arch === undefined ? null : ARCHITECTURES[arch];
}

/** Throws E_NO_KVM. */
export function requireArchitecture(): KvmArchitecture {
  const arch = hostArchitecture();
  if (arch !== null) return arch;
  throw new WcvmmError(
    'E_NO_KVM',
    `wcvmm runs no guests on ${process.arch} machines; expected ${Object.values(NODE_NAMES).join(' or ')}. Use --testbed arm64, which emulates one.`,
  );
}
