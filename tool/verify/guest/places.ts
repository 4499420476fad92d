/** What stands where in a machine, for the sentence about a guest that KVM has killed. */
import type { Arch } from '../../../memattr/index.ts';
import { formatSize } from '../../../common/size.ts';
import { BARE_MAP } from '../../../vmm/machines/bare.ts';
import type { DeviceState, GuestPlace, KilledMachine } from '../../../vmm/machines/killed.ts';
import type { LinuxMap } from '../../../vmm/machines/linux-map.ts';
import type { OpenWindows } from '../../../vmm/vfio/open-windows.ts';
import { ABI } from './abi.ts';

/** @param device its state now; null: there is none @param ramLength bytes */
export function bareMachine(
  arch: Arch,
  {
    source: { pci },
    windows,
  }: { readonly source: Pick<OpenWindows['source'], 'pci'>; readonly windows: OpenWindows['windows'] },
  device: DeviceState | null,
  ramLength = BigInt(ABI.ramSize),
): KilledMachine {
  const places = windows.map(({ gpa, length, bar, offset, attribute }): GuestPlace => {
    const name =
      pci === null
        ? `the memory in place of a BAR (${attribute})`
        : `the window bar${bar}:${formatSize(offset)}-${formatSize(offset + length)}=${attribute}`;
    return { gpa, length, kind: pci === null ? 'ram' : 'window', name };
  });
  const ram: GuestPlace = { gpa: BARE_MAP.ramBase, length: ramLength, kind: 'ram', name: 'guest RAM' };
  return { arch, places: [...places, ram], device };
}

/** A Linux guest places BARs itself, anywhere in the ranges that its firmware gives it. @param states of the passed-through devices, now */
export function linuxMachine(arch: Arch, { ram, pci }: LinuxMap, states: readonly DeviceState[]): KilledMachine {
  return {
    arch,
    places: [
      { ...pci.memory64, kind: 'window', name: 'the range of 64-bit BARs' },
      { ...pci.memory32, kind: 'window', name: 'the range of 32-bit BARs' },
      { gpa: ram.from, length: ram.limit - ram.from, kind: 'ram', name: 'guest RAM' },
    ],
    // The one that explains most.
    device: states.find((state) => state !== 'answers') ?? states[0] ?? null,
  };
}
