import { expect, test } from 'vitest';
import { createDevice, newIoapic, setPin } from '../vmm/devices/ioapic.ts';
import { KVM_SIGNAL_MSI } from '../vmm/sys/kvm-irq.ts';
import { stubPort } from './stub-port.ts';

const VM = 7;
const PIN = 4;

function ioapic() {
  const sent: [bigint, number][] = [];
  const { port } = stubPort({
    ioctls: {
      [KVM_SIGNAL_MSI]: (argument) => {
        if (typeof argument === 'number') throw new TypeError('KVM_SIGNAL_MSI with a number');
        const view = new DataView(argument.buffer);
        sent.push([view.getBigUint64(0, true), view.getUint32(8, true)]);
      },
    },
  });
  const state = newIoapic();
  const device = createDevice({ port, isStopping: () => false }, { state, vm: VM });
  const data = new DataView(new ArrayBuffer(8));
  const store = (offset: number, value: number): void => {
    data.setInt32(0, value, true);
    device.write?.(offset, 4, data);
  };
  return {
    sent,
    pin: (isHigh: boolean) => setPin(port, VM, state, PIN, isHigh),
    write(index: number, value: number) {
      store(0, index);
      store(0x10, value);
    },
    read(index: number) {
      store(0, index);
      device.read?.(0x10, 4, data);
      return data.getUint32(0, true);
    },
  };
}

const [LOW, HIGH] = [0x10 + 2 * PIN, 0x11 + 2 * PIN];

test('it has 24 pins, all of them masked', () => {
  const { read } = ioapic();
  expect(read(1)).toBe(0x0017_0011);
  expect([read(0x10), read(LOW), read(0x3e), read(0x40), read(0xff)]).toEqual([0x1_0000, 0x1_0000, 0x1_0000, 0, 0]);
});

test('a pin that goes up is one MSI to the APIC that its entry names', () => {
  const { write, pin, sent } = ioapic();
  write(HIGH, 3 << 24);
  write(LOW, 0x31);
  for (const isHigh of [true, true, false, false, true]) pin(isHigh);
  expect(sent).toEqual([
    [0xfee0_3000n, 0x31],
    [0xfee0_3000n, 0x31],
  ]);
});

test('logical destinations and other ways of delivery are passed on', () => {
  const { write, pin, sent } = ioapic();
  write(HIGH, 0xff << 24);
  write(LOW, 0x931);
  pin(true);
  expect(sent).toEqual([[0xfeef_f004n, 0x131]]);
});

test('a masked pin sends nothing, and what came meanwhile once it is unmasked', () => {
  const { write, pin, sent } = ioapic();
  write(LOW, 0x1_0031);
  pin(true);
  expect(sent).toEqual([]);
  write(LOW, 0x31);
  expect(sent).toHaveLength(1);
  write(LOW, 0x31);
  expect(sent).toHaveLength(1);
});

test('what a guest may not set of an entry stays as it is', () => {
  const { write, read } = ioapic();
  write(LOW, 0xffff_f000 | 0);
  expect(read(LOW)).toBe(0x1_a000);
});
