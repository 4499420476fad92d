/** How a bare guest ends, in a sentence each; what stands where in its machine; and what is no image of a guest. */
import { describe, expect, test } from 'vitest';
import { describeExit } from '../tool/verify/guest/exit.ts';
import { loadGuest, parseGuest } from '../tool/verify/guest/image.ts';
import { bareMachine, linuxMachine } from '../tool/verify/guest/places.ts';
import { ABI, SIZE_OF, STATUS } from '../tool/verify/guest/abi.ts';
import type { VcpuExit } from '../vmm/kvm/exits.ts';
import { BARE_MAP } from '../vmm/machines/bare.ts';
import { LINUX_MAP } from '../vmm/machines/linux-map.ts';
import type { OpenWindows } from '../vmm/vfio/open-windows.ts';

function said(exit: Partial<VcpuExit> & { kind: VcpuExit['kind'] }): string | null {
  return describeExit(exit as VcpuExit);
}

describe('a guest that ended', () => {
  test('well has nothing said of it', () => {
    expect(said({ kind: 'done', status: STATUS.ok })).toBeNull();
  });

  test.each([
    [STATUS.badParams, 'it refused its parameters'],
    [STATUS.exception, 'it met an exception that no probe provoked'],
    [STATUS.badCpu, 'the CPU lacks what it needs'],
    [77, 'its own meaning'],
  ])('with status %i: %s', (status, meaning) => {
    expect(said({ kind: 'done', status })).toBe(
      `the guest ended with status ${status}: ${meaning}; expected 0. Its console says more.`,
    );
  });

  test.each([
    [true, 'store'],
    [false, 'load'],
  ])('by a device that did not answer', (isWrite, access) => {
    expect(said({ kind: 'device-lost', isWrite, offset: 0x40 })).toBe(
      `the device did not answer a ${access} at offset 0x40 of a trapped window.`,
    );
  });

  test.each([
    ['shutdown', 'power-off'],
    ['reset', 'a reset'],
    ['crash', 'a crash'],
    [{ type: 9 }, 'system event 9'],
  ] as const)('by its firmware: %j', (event, name) => {
    expect(said({ kind: 'system-event', event })).toBe(
      `the guest asked its firmware for ${name}, which a bare guest does not have; expected the exit doorbell.`,
    );
  });

  test('by an interruption', () => {
    expect(said({ kind: 'interrupted' })).toBe('the guest was interrupted.');
  });

  test('at a port is not explained by memory of that address', () => {
    const machine = bareMachine('x86', OPENED, 'answers');
    const exit = { kind: 'unmapped', space: 'pio', address: 0x1_0000_0000n, isWrite: true, length: null } as const;
    expect(describeExit(exit, machine)).toBe(
      'the guest wrote something at port 0x100000000, where there is neither memory nor a device. Check the guest, or map a window there.',
    );
    expect(describeExit({ ...exit, space: 'mmio' }, machine)).toContain('window bar2:0-64K=wc');
  });
});

const WINDOW = { bar: 2, attribute: 'wc', offset: 0n, length: 0x1_0000n, gpa: 0x1_0000_0000n };
const OPENED = { source: { pci: { address: '0000:01:00.0' } }, windows: [WINDOW] } as unknown as OpenWindows;

describe('what stands where', () => {
  test('with a device, and with memory in its place', () => {
    const ram = { gpa: BARE_MAP.ramBase, length: BigInt(ABI.ramSize), kind: 'ram', name: 'guest RAM' };
    const place = { gpa: WINDOW.gpa, length: WINDOW.length };
    expect(bareMachine('arm64', OPENED, 'silent')).toEqual({
      arch: 'arm64',
      places: [{ ...place, kind: 'window', name: 'the window bar2:0-64K=wc' }, ram],
      device: 'silent',
    });
    const memory = { source: { pci: null }, windows: OPENED.windows };
    expect(bareMachine('x86', memory, null, 4096n)).toEqual({
      arch: 'x86',
      places: [
        { ...place, kind: 'ram', name: 'the memory in place of a BAR (wc)' },
        { ...ram, length: 4096n },
      ],
      device: null,
    });
  });

  test('of a Linux guest: the ranges of BARs, RAM, and the device that explains most', () => {
    const { ram, pci } = LINUX_MAP.arm64;
    expect(linuxMachine('arm64', LINUX_MAP.arm64, ['answers', 'absent'])).toEqual({
      arch: 'arm64',
      places: [
        { ...pci.memory64, kind: 'window', name: 'the range of 64-bit BARs' },
        { ...pci.memory32, kind: 'window', name: 'the range of 32-bit BARs' },
        { gpa: ram.from, length: ram.limit - ram.from, kind: 'ram', name: 'guest RAM' },
      ],
      device: 'absent',
    });
    expect(linuxMachine('x86', LINUX_MAP.x86, ['answers']).device).toBe('answers');
    expect(linuxMachine('x86', LINUX_MAP.x86, []).device).toBeNull();
  });
});

/** An ELF executable of arm64 with one segment of 4 KiB there. */
function elfAt(address: bigint): Uint8Array {
  const bytes = new Uint8Array(64 + 56 + 4);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 183, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, address, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 7, true);
  view.setBigUint64(64 + 8, 120n, true);
  view.setBigUint64(64 + 16, address, true);
  view.setBigUint64(64 + 24, address, true);
  view.setBigUint64(64 + 32, 4n, true);
  view.setBigUint64(64 + 40, 4096n, true);
  return bytes;
}

function place(offset: number): bigint {
  return BARE_MAP.ramBase + BigInt(offset);
}

describe('an image', () => {
  test('may be anywhere in RAM but where the task and the log are', () => {
    expect(parseGuest(elfAt(place(0)), 'arm64').entry).toBe(place(0));
    const behind = ABI.logOffset + Math.ceil(SIZE_OF.log / 4096) * 4096;
    expect(parseGuest(elfAt(place(behind)), 'arm64').segments).toHaveLength(1);
    expect(parseGuest(elfAt(place(ABI.paramsOffset - 4096)), 'arm64').segments).toHaveLength(1);
    for (const taken of [ABI.paramsOffset, ABI.cellsOffset, ABI.logOffset, behind - 4096])
      expect(() => parseGuest(elfAt(place(taken)), 'arm64')).toThrow(
        /where the VMM puts the guest's task and reads its log/,
      );
    expect(() => parseGuest(elfAt(place(ABI.ramSize)), 'arm64')).toThrow(/RAM/);
    expect(parseGuest(elfAt(place(ABI.ramSize)), 'arm64', 2n * BigInt(ABI.ramSize)).segments).toHaveLength(1);
  });

  test('that cannot be read says how to build one', async () => {
    await expect(loadGuest('x86', '/no/such/guest.elf')).rejects.toMatchObject({
      code: 'E_GUEST_IMAGE',
      message: `the guest image /no/such/guest.elf cannot be read; expected an ELF executable. "make -C x86-tests" builds the project's own.`,
      cause: { code: 'ENOENT' },
    });
  });
});
