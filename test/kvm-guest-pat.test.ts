/** On Intel KVM makes guest RAM write-back whatever the guest's PAT says, unless it is asked not to, and can. */
import { describe, expect, test } from 'vitest';
import { x86 as model } from '../memattr/index.ts';
import { x86 } from '../vmm/kvm/arch/x86.ts';
import type { KvmFacts } from '../vmm/kvm/arch/arch.ts';
import { verifyX86 } from '../tool/verify/arch/x86.ts';
import { stubPort } from './stub-port.ts';

const KVM_CHECK_EXTENSION = 0xae03;
const KVM_ENABLE_CAP = 0x4068aea3;
const DISABLE_QUIRKS2 = 213;
const IGNORE_GUEST_PAT = 0x200;

/** @param quirks those that this KVM can leave off */
function onIntel(quirks: number): { facts: KvmFacts; disabled: readonly number[] } {
  const disabled: number[] = [];
  const { port } = stubPort({
    texts: { '/proc/cpuinfo': 'vendor_id\t: GenuineIntel\n', '/sys/module/kvm_intel/parameters/ept': 'Y\n' },
    ioctls: {
      [KVM_CHECK_EXTENSION]: (capability) => (capability === DISABLE_QUIRKS2 ? quirks : 0),
      [KVM_ENABLE_CAP](argument) {
        const view = new DataView((argument as Uint8Array).buffer);
        if (view.getUint32(0, true) === DISABLE_QUIRKS2) disabled.push(Number(view.getBigUint64(8, true)));
      },
    },
  });
  x86.enableExits(port, { vm: 3 });
  return { facts: x86.facts(port, { vm: 3 }, 4), disabled };
}

function ramIn(facts: KvmFacts): string {
  return model.stage2('default', 'memory', verifyX86.controlPlatform(facts));
}

describe('a VM on Intel', () => {
  test('leaves RAM the types of the guest, where KVM can, and turns no other quirk off', () => {
    const { facts, disabled } = onIntel(0xffff);
    expect(disabled).toEqual([IGNORE_GUEST_PAT]);
    expect([facts.guestPat, ramIn(facts)]).toEqual([true, 'EPT WB']);
  });

  test.each([
    ['a CPU without self-snoop', 0xffff & ~IGNORE_GUEST_PAT],
    ['an old kernel', 0],
  ])('with %s has write-back RAM', (_why, quirks) => {
    const { facts, disabled } = onIntel(quirks);
    expect(disabled).toEqual([]);
    expect([facts.guestPat, ramIn(facts)]).toEqual([false, 'EPT WB IPAT']);
  });
});
