import { describe, expect, test } from 'vitest';
import type { CreateDevice, Device } from '../vmm/bus/device.ts';
import { RingReader, newRing } from '../vmm/devices/console-ring.ts';
import { createDevice as create16550, wants16550 } from '../vmm/devices/uart-16550.ts';
import { createDevice as createPl011, wantsPl011 } from '../vmm/devices/uart-pl011.ts';
import { UartInput, newUart } from '../vmm/devices/uart.ts';
import type { WantsInterrupt } from '../vmm/devices/uart.ts';
import { KVM_IRQ_LINE } from '../vmm/sys/kvm-irq.ts';
import { stubPort } from './stub-port.ts';

const GIC_ID = (1 << 24) | (32 + 1);

/** A serial port, what it put out, and what its interrupt line was set to. */
function serial(create: CreateDevice, wants: WantsInterrupt) {
  const levels: boolean[] = [];
  const setLine = (argument: Uint8Array | number): void => {
    if (typeof argument === 'number') throw new TypeError('KVM_IRQ_LINE with a number');
    const view = new DataView(argument.buffer);
    expect(view.getUint32(0, true)).toBe(GIC_ID);
    levels.push(view.getUint32(4, true) !== 0);
  };
  const { port } = stubPort({ ioctls: { [KVM_IRQ_LINE]: setLine } });
  const output = newRing();
  const options = { state: newUart(), output, line: { kind: 'gic', vm: 3, spi: 1 } as const };
  const device = create({ port, isStopping: () => false }, options);
  const written: number[] = [];
  const reader = new RingReader(output, (bytes) => void written.push(...bytes));
  return {
    levels,
    input: new UartInput(port, options, wants),
    load: (offset: number, length = 4) => access(device, offset, length, null),
    store: (offset: number, value: number, length = 4) => void access(device, offset, length, value),
    async text() {
      await reader.end();
      return Buffer.from(written).toString();
    },
  };
}

function access(device: Device, offset: number, length: number, value: number | null): number {
  const data = new DataView(new ArrayBuffer(8));
  if (value === null) expect(device.read?.(offset, length, data)).toBeNull();
  else {
    data.setUint32(0, value, true);
    expect(device.write?.(offset, length, data)).toBeNull();
  }
  return data.getUint32(0, true);
}

const typed = Buffer.from('ä');

describe('a 16550', () => {
  const [DATA, IER, IIR, LCR, MCR, LSR, MSR] = [0, 1, 2, 3, 4, 5, 6];

  test('puts out what is stored, and is always ready for more', async () => {
    const { store, load, text } = serial(create16550, wants16550);
    for (const byte of Buffer.from('né?')) {
      store(DATA, byte, 1);
      expect(load(LSR, 1)).toBe(0x60);
    }
    expect(await text()).toBe('né?');
  });

  test('the divisor hides behind the first two registers and is no output', async () => {
    const { store, load, text } = serial(create16550, wants16550);
    store(LCR, 0x83, 1);
    store(DATA, 0x34, 1);
    store(IER, 0x12, 1);
    expect([load(DATA, 1), load(IER, 1)]).toEqual([0x34, 0x12]);
    store(LCR, 0x03, 1);
    expect([load(DATA, 1), load(IER, 1)]).toEqual([0, 0]);
    expect(await text()).toBe('');
  });

  test('drivers find a 16550A by its loop and its FIFO', () => {
    const { store, load } = serial(create16550, wants16550);
    store(MCR, 0x1a, 1);
    expect(load(MSR, 1) & 0xf0).toBe(0x90);
    store(MCR, 0x08, 1);
    expect(load(MSR, 1) & 0xf0).toBe(0xb0);
    store(IIR, 1, 1);
    expect(load(IIR, 1) >> 6).toBe(3);
  });

  test('what is typed raises an interrupt until it is read', async () => {
    const { store, load, levels, input } = serial(create16550, wants16550);
    await input.type(typed.subarray(0, 1));
    expect(levels).toEqual([]);
    store(IER, 1, 1);
    expect([[...levels], load(IIR, 1), load(LSR, 1)]).toEqual([[true], 4, 0x61]);
    expect(load(DATA, 1)).toBe(typed[0]);
    expect([[...levels], load(IIR, 1), load(LSR, 1)]).toEqual([[true, false], 1, 0x60]);
  });

  test('that it is empty raises an interrupt once it is enabled, and is told by reading why', () => {
    const { store, load, levels } = serial(create16550, wants16550);
    store(IER, 2, 1);
    expect([[...levels], load(IIR, 1), load(IIR, 1)]).toEqual([[true], 2, 1]);
    store(DATA, 65, 1);
    expect([[...levels], load(IIR, 1)]).toEqual([[true, false, true], 2]);
  });
});

describe('a PL011', () => {
  const [DATA, FLAGS, CONTROL, MASK, RAW, MASKED, CLEAR, IDENTITY] = [0, 0x18, 0x30, 0x38, 0x3c, 0x40, 0x44, 0xfe0];

  test('puts out what is stored, in any width', async () => {
    const { store, load, text } = serial(createPl011, wantsPl011);
    store(DATA, 0x148, 4);
    store(DATA, 0x69, 1);
    expect(load(FLAGS)).toBe(0x90);
    expect(await text()).toBe('Hi');
  });

  test('is Arm’s by its identity, and keeps control registers', () => {
    const { store, load } = serial(createPl011, wantsPl011);
    expect([0, 4, 8, 12].map((at) => load(IDENTITY + at))).toEqual([0x11, 0x10, 0x34, 0]);
    expect(load(CONTROL)).toBe(0x300);
    store(CONTROL, 0x301);
    expect(load(CONTROL)).toBe(0x301);
  });

  test('what is typed raises an interrupt until it is read', async () => {
    const { store, load, levels, input } = serial(createPl011, wantsPl011);
    store(MASK, 0x50);
    await input.type(typed);
    expect([[...levels], load(RAW), load(MASKED), load(FLAGS)]).toEqual([[true], 0x50, 0x50, 0x80]);
    store(CLEAR, 0x7ff);
    expect([load(DATA), [...levels], load(DATA)]).toEqual([typed[0], [true], typed[1]]);
    expect([[...levels], load(MASKED)]).toEqual([[true, false], 0]);
  });

  test('having sent raises an interrupt until it is cleared', () => {
    const { store, levels } = serial(createPl011, wantsPl011);
    store(MASK, 0x20);
    store(DATA, 65);
    expect(levels).toEqual([true]);
    store(CLEAR, 0x20);
    expect(levels).toEqual([true, false]);
  });
});

describe('what is typed', () => {
  test('waits for room, and gets there whole, in order', async () => {
    const { load, input } = serial(createPl011, wantsPl011);
    const sent = Uint8Array.from({ length: 10_000 }, (_, index) => index % 251);
    let isTyped = false;
    let wasEarly = false;
    const typing = input.type(sent).then(() => (isTyped = true));
    const got: number[] = [];
    while (got.length < sent.length) {
      await Promise.resolve();
      for (; (load(0x18) & 0x10) === 0;) got.push(load(0));
      wasEarly ||= isTyped && got.length < sent.length;
      // What waits for room is woken by the event loop.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await typing;
    expect([got, wasEarly]).toEqual([[...sent], false]);
  });

  test('is dropped once the guest has ended, and waits for nobody', async () => {
    const { levels, store, input } = serial(createPl011, wantsPl011);
    store(0x38, 0x50);
    const typing = input.type(new Uint8Array(10_000));
    input.end();
    await typing;
    await input.type(typed);
    expect(levels.length).toBeLessThanOrEqual(1);
  });
});
