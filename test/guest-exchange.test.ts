import { expect, test } from 'vitest';
import { wcvmmPattern } from '../tool/verify/guest/abi.ts';
import { createDevice, exchangeDevice } from '../tool/verify/guest/exchange.ts';
import type { Exchange } from '../tool/verify/guest/exchange.ts';
import { stubPort } from './stub-port.ts';

const WORDS = 8;

/** The device as a vCPU's thread builds it, on a BAR that is ordinary memory. */
function deviceOn(bar: ArrayBuffer, exchanges: readonly Exchange[]) {
  const { device, checks } = exchangeDevice(exchanges);
  const port = { ...stubPort({}).port, view: () => bar };
  const handler = createDevice({ port, isStopping: () => false }, structuredClone(device.options));
  const ring = (cell: number): void => {
    const data = new DataView(new ArrayBuffer(8));
    data.setUint32(0, cell, true);
    expect(handler.write?.(0, 4, data)).toBe(null);
  };
  return { checks, ring };
}

const write = (cell: number, seed: bigint): Exchange => ({ cell, direction: 'host-reads', address: 0n, seed });
const read = (cell: number, seed: bigint): Exchange => ({ cell, direction: 'host-writes', address: 0n, seed });

test('the host writes the pattern that the guest then looks for', () => {
  const bar = new ArrayBuffer(WORDS * 8);
  const { checks, ring } = deviceOn(bar, [read(3, 77n)]);
  ring(3);
  expect([...new BigUint64Array(bar)]).toEqual(Array.from({ length: WORDS }, (_, index) => wcvmmPattern(77n, index)));
  expect(checks()).toEqual([]);
});

test('the host finds what the guest wrote, or says which word is wrong', () => {
  const bar = new ArrayBuffer(WORDS * 8);
  const words = new BigUint64Array(bar);
  for (let index = 0; index < WORDS; index += 1) words[index] = wcvmmPattern(BigInt.asUintN(64, ~5n), index);
  const { checks, ring } = deviceOn(bar, [write(1, 5n), write(2, 5n)]);
  ring(1);
  words[6] = 0n;
  ring(2);
  expect(checks()).toEqual([
    { cell: 1, firstBad: null },
    { cell: 2, firstBad: 6 },
  ]);
});

test('a guest that rings for ever gets one check for each cell it was asked, and none for others', () => {
  const { checks, ring } = deviceOn(new ArrayBuffer(WORDS * 8), [write(0, 1n)]);
  for (let times = 0; times < 10_000; times += 1) ring(times % 3);
  expect(checks()).toHaveLength(1);
});

const KVM_TRANSLATE = 0xc018ae85;
const asked = (cell: number, address: bigint): Exchange => ({ cell, direction: 'host-translates', address, seed: 0n });

test('the host has KVM translate what the guest has mapped', () => {
  const exchanges = [asked(0, 0x1_0000_0000n), asked(1, 0x1_0001_0000n), asked(2, 0x1_0002_0000n), asked(3, 0n)];
  const { device, checks, translations } = exchangeDevice(exchanges);
  const addresses: bigint[] = [];
  const { port } = stubPort({
    ioctls: {
      [KVM_TRANSLATE](argument) {
        const bytes = argument as Uint8Array;
        expect(bytes.length).toBe(24);
        const address = new DataView(bytes.buffer).getBigUint64(0, true);
        addresses.push(address);
        // Not valid, and what is there says nothing.
        bytes[16] = address === 0x1_0001_0000n ? 0 : 1;
        bytes[19] = address === 0x1_0000_0000n ? 0x00 : 0x44;
      },
    },
  });
  const handler = createDevice({ port, vcpu: 7, isStopping: () => false }, structuredClone(device.options));
  for (const cell of [0, 1, 2, 9]) {
    const data = new DataView(new ArrayBuffer(8));
    data.setUint32(0, cell, true);
    expect(handler.write?.(0, 4, data)).toBe(null);
  }
  expect(addresses).toEqual([0x1_0000_0000n, 0x1_0001_0000n, 0x1_0002_0000n]);
  expect(translations()).toEqual([
    { cell: 0, attribute: 0x00 },
    { cell: 1, attribute: null },
    { cell: 2, attribute: 0x44 },
  ]);
  expect(checks()).toEqual([]);
});

test.each([
  ['a KVM that cannot', 7, 'EINVAL'],
  ['a page that stage 2 does not map', 7, 'ENOENT'],
  ['no vCPU', undefined, 'EINVAL'],
] as const)('of %s nothing is known', (_what, vcpu, errno) => {
  const { device, translations } = exchangeDevice([asked(0, 0n)]);
  const { port } = stubPort({ ioctls: { [KVM_TRANSLATE]: errno } });
  const context = { port, isStopping: () => false, ...(vcpu !== undefined && { vcpu }) };
  createDevice(context, structuredClone(device.options)).write?.(0, 4, new DataView(new ArrayBuffer(8)));
  expect(translations()).toEqual([{ cell: 0, attribute: null }]);
});
