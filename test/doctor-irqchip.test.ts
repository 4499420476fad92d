/** What doctor says of interrupt controllers for Linux guests. */
import { describe, expect, test } from 'vitest';
import { arm64Irqchip, x86Irqchip } from '../tool/host/doctor/irqchip.ts';
import { KVM_CREATE_DEVICE, KVM_CREATE_IRQCHIP, KVM_DEVICE_TYPE, KVM_IRQ_CAP } from '../vmm/sys/kvm-irq.ts';
import { SysError } from '../vmm/sys/port.ts';
import { ERRNO } from '../vmm/sys/port.ts';
import type { Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const [API_VERSION, CREATE_VM, CHECK_EXTENSION] = [0xae00, 0xae01, 0xae03];

interface Kvm {
  readonly devices?: readonly number[];
  readonly isSplit?: boolean;
  readonly hasIoapic?: boolean;
}

function kvm({ devices = [], isSplit = false, hasIoapic = false }: Kvm): Port {
  return stubPort({
    nodes: { '/dev/kvm': 'ok' },
    ioctls: {
      [API_VERSION]: () => 12,
      [CREATE_VM]: () => 50,
      [CHECK_EXTENSION]: (capability) => Number(isSplit && capability === KVM_IRQ_CAP.splitIrqchip),
      [KVM_CREATE_DEVICE]: (argument) => {
        const view = new DataView((argument as Uint8Array).buffer);
        if (!devices.includes(view.getUint32(0, true))) throw new SysError('ioctl', ERRNO.ENODEV);
        view.setUint32(4, 60, true);
      },
      [KVM_CREATE_IRQCHIP]: hasIoapic ? () => 0 : 'ENOTTY',
    },
  }).port;
}

describe('arm64', () => {
  const { gicV3, gicIts } = KVM_DEVICE_TYPE;
  test.each([
    [[gicV3, gicIts], 'ok', /^GICv3 and ITS/],
    [[gicV3], 'missing', /^no ITS for guests/],
    [[], 'missing', /^no GICv3 and no ITS for guests/],
  ] as const)('%j', (devices, state, detail) => {
    expect(arm64Irqchip(kvm({ devices }))).toMatchObject({
      state,
      detail: expect.stringMatching(detail),
      blocks: false,
    });
  });
});

describe('x86', () => {
  test.each([
    [{ isSplit: true, hasIoapic: true }, 'ok', /^split, .*KVM has an IOAPIC too/],
    [{ isSplit: true }, 'ok', /^split, .*KVM has no IOAPIC/],
    [{ hasIoapic: true }, 'missing', /no split irqchip/],
  ] as const)('%j', (of, state, detail) => {
    expect(x86Irqchip(kvm(of))).toMatchObject({ state, detail: expect.stringMatching(detail) });
  });

  test('where no VM can be created, nobody knows', () => {
    expect(x86Irqchip(stubPort({}).port).state).toBe('unknown');
  });
});
