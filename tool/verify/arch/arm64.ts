import { arm64, normalTagged } from '../../../memattr/index.ts';
import { readOr } from '../../../vmm/sys/attempt.ts';
import { cpuField } from '../origin.ts';
import { kindShown, probeHost } from '../read-back/host-probe.ts';
import type { ProbeHost } from '../read-back/host-probe.ts';
import type { HostMapped, HostMappings, VerifyArchitecture } from './arch.ts';

const MIDR = '/sys/devices/system/cpu/cpu0/regs/identification/midr_el1';
const HYPERVISOR_NODE = '/proc/device-tree/hypervisor/compatible';

/** Drivers of such guests (drivers/virt/coco); Linux's names. */
const CONFIDENTIAL = [
  ['/sys/bus/platform/devices/arm-cca-dev', 'Arm CCA'],
  ['/sys/module/arm_cca_guest', 'Arm CCA'],
  ['/sys/module/arm_pkvm_guest', 'pKVM'],
] as const;

/** Through mappings of the same files as the windows', at the start of each. */
export function readHostMappings(opened: readonly HostMapped[], probe: ProbeHost): HostMappings {
  const pages = opened.flatMap(({ source, windows }) => windows.map((window) => source.slice?.(window) ?? null));
  const made = probe(pages.filter((page) => page !== null));
  if (made.kind === 'unavailable') return made;
  const loads = made.pages.values();
  const observed = pages.map((page) => {
    const next = page === null ? undefined : loads.next().value;
    return next === undefined ? null : kindShown(next);
  });
  return { kind: 'read', windows: observed.map((kind) => ({ programmed: null, reserved: null, observed: kind })) };
}

export const verifyArm64: VerifyArchitecture = {
  model: arm64,
  stage1Types: ({ mte }) => (mte ? [...arm64.stage1Types, normalTagged] : arm64.stage1Types),
  controlPlatform: ({ fwb, faultForwarding, mte }) => ({ fwb, faultForwarding, mte }),
  // KVM gives no MTE to a VM with BAR memslots (kvm_arch_prepare_memory_region).
  windowsPlatform: (_port, { fwb, faultForwarding }) => ({ fwb, faultForwarding, mte: false }),
  unknowns: ({ faultForwarding }) =>
    faultForwarding === null
      ? [
          'this KVM does not say whether it forwards stage-2 alignment faults to the guest (KVM_CAP_ARM_S2_ALIGNMENT_FAULT): where stage 2 makes an access fault, a fault in the guest and the end of its VM both count as a match',
        ]
      : [],
  readHostMappings: () => ({
    kind: 'unavailable',
    why: 'nothing in the kernel shows the memory type of a user mapping on arm64',
  }),
  loadByHost: (opened) => readHostMappings(opened, probeHost),
  recordAccesses: () => null,
  hostLimits: () => [
    "nothing in the kernel shows the memory type of a user mapping on arm64: an unaligned load through the host's mapping tells Device from Normal, and no more",
  ],
  cpu: (port) => {
    const midr = readOr(port, MIDR, '').trim();
    const [variant, revision] = [cpuField(port, 'CPU variant'), cpuField(port, 'CPU revision')];
    return {
      model: /^0x[0-9a-f]{1,16}$/.test(midr) ? midr : null,
      stepping: variant === null || revision === null ? null : `r${Number(variant)}p${revision}`,
      microcode: null,
    };
  },
  // A guest of KVM has no flag for it; some hypervisors name themselves in the device tree.
  underHypervisor: (port) => (readOr(port, HYPERVISOR_NODE, '') === '' ? null : true),
  confidential: (port) => CONFIDENTIAL.find(([path]) => port.exists(path))?.[1] ?? null,
  // What tells Device from Normal is asked of every window whose guest may use Normal memory.
  blindness: () => 'no check whose outcome depends on the type of stage 2 was answered as predicted',
};
