import type { Arch } from '../../../memattr/index.ts';
import type { DoctorArchitecture } from './architecture.ts';
import { arm64 } from './arm64.ts';
import { x86 } from './x86.ts';

export const DOCTOR_ARCHITECTURES: Readonly<Record<Arch, DoctorArchitecture>> = { arm64, x86 };
