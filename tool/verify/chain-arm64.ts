import { arm64, normalTagged } from '../../memattr/index.ts';
import type { Stage2Dump } from './read-back/stage2.ts';
import type { Chain } from './chain.ts';

/**
 * Does this KVM give the guest the alignment fault that stage 2 raises, instead of ending its VM? The change that does so
 * comes in one series with the memory types in the stage-2 dump, and those can be seen without killing anything.
 */
export function forwardsAlignmentFaults(dump: Stage2Dump): boolean {
  return dump.kind === 'read' && dump.ranges.some(({ memoryType }) => memoryType !== null);
}

export const arm64Chain: Chain = {
  model: arm64,
  stage1Types: ({ mte }) => (mte ? [...arm64.stage1Types, normalTagged] : arm64.stage1Types),
  controlPlatform: ({ fwb, mte }) => ({ fwb, faultForwarding: true, mte }),
  // KVM gives no MTE to a VM with BAR memslots (kvm_arch_prepare_memory_region).
  windowsPlatform: (_port, { fwb }, control) => ({
    fwb,
    faultForwarding: forwardsAlignmentFaults(control),
    mte: false,
  }),
  readHostMappings: () => ({
    kind: 'unavailable',
    why: 'nothing in the kernel shows the memory type of a user mapping on arm64',
  }),
  // Alignment faults, fetches and exclusives tell Device from Normal on an emulator, too.
  blindness: () => null,
};
