import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressIn, placeWindows, reservationSize } from '../vmm/memory/index.ts';
import { blockAlignment } from '../vmm/memory/place.ts';

const PAGE = 4096n;
const BASE = 0x1_0000_0000n;
const MiB = 1n << 20n;
const GiB = 1n << 30n;

const window = fc
  .tuple(fc.bigInt(0n, 1n << 22n), fc.bigInt(1n, 1n << 22n))
  .map(([offset, length]) => ({ offset: offset * PAGE, length: length * PAGE }));

describe('blockAlignment', () => {
  it.each([
    [PAGE, PAGE],
    [3n * PAGE, 2n * PAGE],
    [4n * MiB, 4n * MiB],
    [4n * MiB - PAGE, 2n * MiB],
    [GiB, GiB],
    [8n * GiB, GiB],
  ])('of 0x%x is 0x%x', (length, block) => {
    expect(blockAlignment(length)).toBe(block);
  });

  it('has no answer for nothing', () => {
    expect(() => blockAlignment(0n)).toThrow(RangeError);
  });
});

describe('placeWindows', () => {
  it("starts at the base and follows the windows' order", () => {
    const placed = placeWindows(
      [
        { offset: 0n, length: 64n * 1024n },
        { offset: 64n * 1024n, length: 4n * MiB - 64n * 1024n },
      ],
      { base: BASE, alignment: 2n * MiB },
    );
    expect(placed).toEqual([
      { gpa: BASE, length: 64n * 1024n, alignment: 64n * 1024n, phase: 0n },
      // Its second block is the BAR's second 2 MiB, so it must start 64 KiB into one.
      { gpa: BASE + 2n * MiB + 64n * 1024n, length: 4n * MiB - 64n * 1024n, alignment: 2n * MiB, phase: 64n * 1024n },
    ]);
  });

  it('gives a large BAR blocks of 1 GiB', () => {
    expect(
      placeWindows(
        [
          { offset: 0n, length: PAGE },
          { offset: 0n, length: 8n * GiB },
        ],
        { base: BASE, alignment: PAGE },
      )[1],
    ).toEqual({
      gpa: BASE + GiB,
      length: 8n * GiB,
      alignment: GiB,
      phase: 0n,
    });
  });

  it('keeps gpa, hva and the place in the BAR congruent, and windows apart', () => {
    fc.assert(
      fc.property(
        fc.array(window, { maxLength: 8 }),
        fc.bigInt(0n, 1n << 30n),
        fc.bigInt(0n, 1n << 46n),
        fc.nat(21),
        (windows, base, reserved, shift) => {
          const alignment = PAGE << BigInt(shift);
          const placed = placeWindows(windows, { base: base * PAGE, alignment, limit: 1n << 48n });
          let end = base * PAGE;
          for (const [index, placement] of placed.entries()) {
            const { gpa, length, alignment: block, phase } = placement;
            expect(gpa).toBeGreaterThanOrEqual(end);
            expect(length).toBe(windows[index]?.length);
            expect(gpa % block).toBe(phase);
            expect((windows[index]?.offset ?? 0n) % block).toBe(phase);
            const hva = addressIn(reserved * PAGE, placement);
            expect(hva % block).toBe(phase);
            expect(hva).toBeGreaterThanOrEqual(reserved * PAGE);
            expect(hva + length).toBeLessThanOrEqual(reserved * PAGE + reservationSize(placement));
            expect((gpa - phase) % alignment).toBe(0n);
            end = gpa + length;
          }
        },
      ),
    );
  });

  it('refuses what the guest cannot address', () => {
    expect(() => placeWindows([{ offset: 0n, length: 1n << 39n }], { base: BASE, alignment: PAGE })).toThrow(
      expect.objectContaining({ code: 'E_MAP_RANGE' }),
    );
  });
});
