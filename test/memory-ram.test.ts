/** Guest RAM and reserved address space, on a kernel that is made up; and whether a device answered. */
import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { expectAnswers } from '../vmm/memory/answers.ts';
import { reserveAligned } from '../vmm/memory/mapping.ts';
import { allocateRam } from '../vmm/memory/ram.ts';
import type { GuestRam } from '../vmm/memory/ram.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { codeOf, stubPort } from './stub-port.ts';

const MIB = 1n << 20n;
const LOW = { gpa: 0x4000_0000n, length: 2n * MIB };
const HIGH = { gpa: 0x1_0000_0000n, length: MIB };

function ram(): { ram: GuestRam; viewed: (readonly [bigint, number])[] } {
  const viewed: (readonly [bigint, number])[] = [];
  const { port } = stubPort({});
  const view: Port['view'] = (address, length) => {
    viewed.push([address, length]);
    return port.view(address, length);
  };
  return { ram: allocateRam({ ...port, view }, new Scope(), [LOW, HIGH]), viewed };
}

function refusing(errno: ErrnoName): () => unknown {
  const mmap: Port['mmap'] = () => {
    throw new SysError('mmap', ERRNO[errno]);
  };
  return () => allocateRam({ ...stubPort({}).port, mmap }, new Scope(), [LOW]);
}

describe('guest RAM', () => {
  test('is where its range says, each in its own mapping', () => {
    const { ram: made, viewed } = ram();
    const [low, high] = made.regions.map(({ mapping }) => mapping.address);
    expect(made.regions.map(({ gpa, length }) => ({ gpa, length }))).toEqual([LOW, HIGH]);
    expect([made.address(LOW.gpa + 5n), made.address(HIGH.gpa)]).toEqual([(low ?? 0n) + 5n, high]);
    expect(made.view(HIGH.gpa + 16n, 8)).toHaveLength(8);
    expect(made.read(LOW.gpa + LOW.length - 4n, 4)).toHaveLength(4);
    made.write(LOW.gpa, new Uint8Array(3));
    expect(viewed).toEqual([
      [(high ?? 0n) + 16n, 8],
      [(low ?? 0n) + LOW.length - 4n, 4],
      [low, 3],
    ]);
  });

  test.each([
    ['before it', LOW.gpa - 1n, 1],
    ['over its end', LOW.gpa + LOW.length - 4n, 5],
    ['behind it', HIGH.gpa + HIGH.length, 1],
    ['between two ranges', 0x8000_0000n, 4],
  ])('has no bytes %s', (_where, gpa, length) => {
    const { ram: made } = ram();
    const sentence = `no RAM at gpa 0x${gpa.toString(16)}, +${length} bytes`;
    expect(() => made.view(gpa, length)).toThrow(new RangeError(sentence));
    expect(() => made.read(gpa, length)).toThrow(sentence);
    expect(() => made.write(gpa, new Uint8Array(length))).toThrow(sentence);
  });

  test('that the host does not have is said so, and no other refusal', () => {
    expect(codeOf(refusing('ENOMEM'))).toBe('E_GUEST_RAM');
    expect(refusing('ENOMEM')).toThrow('the host has no 2097152 bytes for guest RAM (ENOMEM). Ask for less.');
    expect(refusing('EPERM')).toThrow(SysError);
  });
});

describe('address space that is reserved', () => {
  test('is aligned, inside of what was asked for, and given back', () => {
    const { port, mapped } = stubPort({});
    const caught: unknown[] = [];
    const asked: Parameters<Port['mmap']>[0][] = [];
    const scope = new Scope();
    const address = reserveAligned(
      {
        ...port,
        mmap: (request) => {
          asked.push(request);
          return port.mmap(request) + 4096n;
        },
        munmap: (from, length) => void caught.push(['unmapped', from, length]),
        catchBusErrors: (from, length) => {
          caught.push(['caught', from, length]);
          return () => void caught.push('forgotten');
        },
      },
      scope,
      MIB,
      2n * MIB,
    );
    const [request] = asked;
    const [[start = 0n] = []] = mapped;
    expect(asked).toHaveLength(1);
    expect(request).toMatchObject({ length: 3n * MIB, protection: 0, fd: -1, offset: 0n });
    expect(address % (2n * MIB)).toBe(0n);
    expect(address >= start + 4096n && address + MIB <= start + 4096n + 3n * MIB).toBe(true);
    expect(caught).toEqual([['caught', address, MIB]]);
    scope.close();
    expect(caught.slice(1)).toEqual(['forgotten', ['unmapped', start + 4096n, 3n * MIB]]);
  });

  test('where nobody handles bus errors is reserved all the same', () => {
    const { port, mapped } = stubPort({});
    const scope = new Scope();
    expect(reserveAligned(port, scope, MIB, MIB) % MIB).toBe(0n);
    scope.close();
    expect(mapped.size).toBe(0);
  });
});

describe('a device', () => {
  test('answered where no access has failed since', () => {
    let errors = 3;
    const port = { ...stubPort({}).port, busErrors: () => errors };
    const require = expectAnswers(port);
    expect(codeOf(require)).toBe('none');
    errors = 4;
    expect(codeOf(require)).toBe('E_DEVICE_LOST');
    expect(require).toThrow(/^the device stopped answering while a guest had it: .* The guest was stopped\. /);
    expect(codeOf(expectAnswers(port))).toBe('none');
  });

  test('is not asked where nothing counts failures', () => {
    expect(codeOf(expectAnswers(stubPort({}).port))).toBe('none');
  });
});
