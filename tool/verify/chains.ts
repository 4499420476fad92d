import type { ArchitectureModel } from '../../memattr/index.ts';
import { arm64Chain } from './chain-arm64.ts';
import { x86Chain } from './chain-x86.ts';
import type { Chain } from './chain.ts';

export const CHAINS: Readonly<Record<ArchitectureModel['arch'], Chain>> = { arm64: arm64Chain, x86: x86Chain };
