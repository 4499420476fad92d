import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { mapPlaced } from '../vmm/memory/mapping.ts';
import type { Mapping } from '../vmm/memory/mapping.ts';
import { allocateRam } from '../vmm/memory/ram.ts';
import { MADV_HUGEPAGE, libcPort } from '../vmm/sys/libc.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { Port } from '../vmm/sys/port.ts';

const LENGTH = 0x10000n;

let scope: Scope;
/** Calls of munmap. */
let unmapped: number;
const port: Port = {
  ...libcPort,
  munmap: (address, length) => {
    unmapped += 1;
    libcPort.munmap(address, length);
  },
};

beforeEach(() => {
  scope = new Scope();
  unmapped = 0;
});
afterEach(() => scope.close());

function mapped(): Mapping {
  const fd = port.memfd('wcvmm-test', LENGTH);
  scope.defer(() => port.close(fd));
  const placement = { gpa: 0n, length: LENGTH, alignment: LENGTH, phase: 0n };
  return mapPlaced(port, scope, { fd, offset: 0n, length: LENGTH }, placement);
}

describe('a view of a mapping', () => {
  test('is the memory itself, at its offset', () => {
    const mapping = mapped();
    new Uint32Array(mapping.view())[0x1004 / 4] = 0x5ca1ab1e;
    expect(new DataView(mapping.view(0x1000n, 0x1000n)).getUint32(4, true)).toBe(0x5ca1ab1e);
    expect(mapping.view(0x1000n).byteLength).toBe(0xf000);
  });

  test.each([
    [0n, LENGTH + 1n],
    [LENGTH, 1n],
    [-1n, 1n],
    [0x2000n, -0x1000n],
  ])('of bytes outside of it is refused: %i, +%i', (offset, length) => {
    const mapping = mapped();
    expect(() => mapping.view(offset, length)).toThrow(RangeError);
  });

  test('is dead once the mapping is closed', () => {
    const mapping = mapped();
    const view = mapping.view();
    const [data, words] = [new DataView(view), new Uint32Array(view, 0x1000)];
    words[0] = 7;
    mapping.close();
    expect([view.byteLength, words.length, words[0]]).toEqual([0, 0, undefined]);
    expect(() => data.getUint32(0, true)).toThrow(TypeError);
    expect(() => mapping.view()).toThrow(/closed/);
    expect(unmapped).toBe(1);
  });

  test('is dead once the scope is closed, and the mapping is unmapped once', () => {
    const [first, second] = [mapped(), mapped()];
    const views = [first.view(), first.view(), second.view(0x1000n, 4n)];
    first.close();
    expect(views.map(({ byteLength }) => byteLength)).toEqual([0, 0, 4]);
    scope.close();
    expect(views.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
    expect(unmapped).toBe(2);
  });

  test('is dead also if it is one of very many', () => {
    const mapping = mapped();
    const views = Array.from({ length: 1000 }, () => mapping.view(0n, 8n));
    mapping.close();
    expect(views.filter(({ byteLength }) => byteLength > 0)).toEqual([]);
  });

  test('ends with "using"', () => {
    let view: ArrayBuffer;
    {
      using mapping = mapped();
      view = mapping.view();
      expect(view.byteLength).toBe(Number(LENGTH));
    }
    expect(view.byteLength).toBe(0);
  });
});

test('guest RAM that somebody kept is dead too', () => {
  const ram = allocateRam(port, scope, [{ gpa: 0x4000_0000n, length: LENGTH }]);
  const kept = ram.view(0x4000_1000n, 16);
  kept[0] = 1;
  scope.close();
  expect([kept.length, kept[0]]).toEqual([0, undefined]);
});

/** The kernel's flags of the mapping that begins at `address`: "hg" wants huge pages, "dc" is not copied by a fork (proc_pid_smaps(5)). */
function flagsAt(address: bigint): readonly string[] {
  const [, rest = ''] = readFileSync('/proc/self/smaps', 'utf8').split(new RegExp(`^0*${address.toString(16)}-`, 'm'));
  return (/^VmFlags: (.*)$/m.exec(rest)?.[1] ?? '').trim().split(' ');
}

test('guest RAM can have blocks of stage 2 at its guest-physical addresses, and a fork does not copy it', () => {
  const ranges = [
    { gpa: 0x4000_0000n, length: 64n << 20n },
    { gpa: 0x1_0020_0000n, length: 6n << 20n },
  ];
  const ram = allocateRam(libcPort, scope, ranges);
  for (const [index, { mapping }] of ram.regions.entries()) {
    expect((mapping.address - (ranges[index]?.gpa ?? 0n)) % (index === 0 ? 64n << 20n : 4n << 20n)).toBe(0n);
    expect(flagsAt(mapping.address)).toEqual(expect.arrayContaining(['hg', 'dc']));
  }
  scope.close();
});

test('guest RAM is there on a kernel without huge pages too', () => {
  const refusing: Port = {
    ...libcPort,
    madvise(address, length, advice) {
      if (advice === MADV_HUGEPAGE) throw new SysError('madvise', ERRNO.EINVAL);
      libcPort.madvise(address, length, advice);
    },
  };
  const ram = allocateRam(refusing, scope, [{ gpa: 0n, length: LENGTH }]);
  ram.write(0n, Uint8Array.of(7));
  expect(ram.read(0n, 1)[0]).toBe(7);
  scope.close();
});
