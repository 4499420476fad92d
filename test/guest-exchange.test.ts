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
