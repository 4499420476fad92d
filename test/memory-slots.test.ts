import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { Memslots } from '../vmm/memory/slots.ts';
import type { Memslot } from '../vmm/memory/slots.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import { codeOf, stubPort } from './stub-port.ts';

const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const PAGE = 4096n;

/** KVM's rules: a slot has one place, no two overlap, a length of 0 removes. Keeps what it has, by slot. */
function fakeKvm(): { slots: Memslots; scope: Scope; has: Map<number, { gpa: bigint; length: bigint }> } {
  const has = new Map<number, { gpa: bigint; length: bigint }>();
  const { port } = stubPort({
    ioctls: {
      [KVM_SET_USER_MEMORY_REGION](argument) {
        if (typeof argument === 'number') throw new SysError('ioctl', ERRNO.EFAULT);
        const view = new DataView(argument.buffer);
        const [slot, gpa, length] = [view.getUint32(0, true), view.getBigUint64(8, true), view.getBigUint64(16, true)];
        if (length === 0n) {
          if (!has.delete(slot)) throw new SysError('ioctl', ERRNO.EINVAL);
          return;
        }
        for (const [other, range] of has) {
          if (other !== slot && gpa < range.gpa + range.length && gpa + length > range.gpa) {
            throw new SysError('ioctl', ERRNO.EEXIST);
          }
        }
        has.set(slot, { gpa, length });
      },
    },
  });
  const scope = new Scope();
  return { slots: new Memslots(port, scope, 5), scope, has };
}

const step = fc.record({
  what: fc.constantFrom('add', 'move', 'remove'),
  which: fc.nat(5),
  page: fc.nat(12),
  pages: fc.integer({ min: 1, max: 4 }),
});

test('memslots are what KVM has, whatever is added, moved and removed; and the scope leaves none', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { slots, scope, has } = fakeKvm();
      const made: Memslot[] = [];
      const live = new Set<Memslot>();
      for (const { what, which, page, pages } of steps) {
        const gpa = BigInt(page) * PAGE;
        const slot = made[which % Math.max(made.length, 1)];
        const code = codeOf(() => {
          if (what === 'add') {
            const added = slots.add(gpa, { address: 0x7000_0000n, length: BigInt(pages) * PAGE });
            made.push(added);
            live.add(added);
          } else if (slot !== undefined && what === 'remove') {
            slot.remove();
            live.delete(slot);
          } else if (slot !== undefined && live.has(slot)) slot.move(gpa);
        });
        expect(['none', 'E_MEMSLOT']).toContain(code);
        expect([...live].map((one) => [one.slot, one.gpa, one.length]).toSorted(byNumber)).toEqual(
          [...has].map(([number, range]) => [number, range.gpa, range.length]).toSorted(byNumber),
        );
      }
      scope.close();
      expect(has.size).toBe(0);
    }),
  );
});

function byNumber([a]: readonly unknown[], [b]: readonly unknown[]): number {
  return Number(a) - Number(b);
}

test.each([
  ['EEXIST', /another memslot is there/],
  ['EFAULT', /beyond what a guest of this machine can address/],
  ['EINVAL', /no whole number of pages, or not one that KVM lets this VM have/],
] as const)('a refusal with %s says why, and leaves the number free', (errno, why) => {
  let refuses = true;
  const numbers: number[] = [];
  const { port } = stubPort({
    ioctls: {
      [KVM_SET_USER_MEMORY_REGION](argument) {
        if (refuses) throw new SysError('ioctl', ERRNO[errno]);
        if (typeof argument !== 'number') numbers.push(new DataView(argument.buffer).getUint32(0, true));
      },
    },
  });
  const slots = new Memslots(port, new Scope(), 5);
  const mapping = { address: 0x7000_0000n, length: PAGE };
  expect(() => slots.add(0n, mapping)).toThrow(why);
  refuses = false;
  slots.add(0n, mapping);
  expect(numbers).toEqual([0]);
});

test('a memslot that was removed moves no more, and removing it again does nothing', () => {
  const { slots, has } = fakeKvm();
  const slot = slots.add(PAGE, { address: 0x7000_0000n, length: PAGE });
  slot.move(2n * PAGE);
  expect([slot.gpa, slot.length, has.size]).toEqual([2n * PAGE, PAGE, 1]);
  slot.remove();
  slot.remove();
  expect(() => slot.move(3n * PAGE)).toThrow('the memslot was removed');
  expect(has.size).toBe(0);
  // Its number is free again.
  expect(slots.add(PAGE, { address: 0x7000_0000n, length: PAGE }).slot).toBe(slot.slot);
});

test('memslots of a VM whose vCPUs have ended stay until it goes', () => {
  const { slots, scope, has } = fakeKvm();
  slots.add(PAGE, { address: 0x7000_0000n, length: PAGE });
  slots.end();
  scope.close();
  expect(has.size).toBe(1);
});

test.each([
  ['EFAULT', 'it is beyond what a guest of this machine can address (EFAULT)'],
  ['EEXIST', 'another memslot is there (EEXIST)'],
  ['EINVAL', 'it is no whole number of pages, or not one that KVM lets this VM have (EINVAL)'],
  ['ENOSPC', 'ioctl 0x4020ae46: ENOSPC'],
] as const)('a memslot that KVM refuses with %s says why', (errno, why) => {
  const { port } = stubPort({ ioctls: { [KVM_SET_USER_MEMORY_REGION]: errno } });
  const slots = new Memslots(port, new Scope(), 5);
  const add = (): unknown => slots.add(PAGE, { address: 0x7000_0000n, length: PAGE });
  expect(codeOf(add)).toBe('E_MEMSLOT');
  expect(add).toThrow(`KVM refused the memslot of 4096 bytes at gpa 0x1000: ${why}`);
  // Its number was given back.
  expect(slots.reserve()).toBe(0);
});
