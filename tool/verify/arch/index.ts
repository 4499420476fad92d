import type { Arch } from '../../../memattr/index.ts';
import type { VerifyArchitecture } from './arch.ts';
import { verifyArm64 } from './arm64.ts';
import { verifyX86 } from './x86.ts';

export const VERIFY_ARCHITECTURES: Readonly<Record<Arch, VerifyArchitecture>> = { arm64: verifyArm64, x86: verifyX86 };
