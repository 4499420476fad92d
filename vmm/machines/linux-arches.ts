import type { Arch } from '../../memattr/index.ts';
import type { LinuxArchitecture } from './linux-arch.ts';
import { linuxArm64 } from './linux-arm64.ts';
import { linuxX86 } from './linux-x86.ts';

export const LINUX_ARCHITECTURES: Readonly<Record<Arch, LinuxArchitecture>> = { arm64: linuxArm64, x86: linuxX86 };
