/** Bytes as they could come: valid ones with a few changes, cut off or longer, and none that were ever valid. */
import * as fc from 'fast-check';

const telling = [0, 1, 2, 4, 8, 0x40, 0x7f, 0x80, 0xff, 0x1000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

const changes = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    width: fc.constantFrom(1, 2, 4, 8),
    value: fc.oneof(fc.constantFrom(...telling), fc.nat(0xffff_ffff)),
  }),
  { maxLength: 6 },
);

const cuts = fc.oneof(
  { arbitrary: fc.constant(1), weight: 4 },
  { arbitrary: fc.double({ min: 0, max: 1.1, noNaN: true }), weight: 1 },
);

/** @param within where changes go, bytes; by default anywhere */
export function changed(valid: Uint8Array, within = valid.length): fc.Arbitrary<Uint8Array> {
  return fc.tuple(changes, cuts).map(([list, cut]) => {
    const bytes = new Uint8Array(Math.round(valid.length * cut));
    bytes.set(valid.subarray(0, bytes.length));
    const view = new DataView(bytes.buffer);
    for (const { at, width, value } of list) {
      const offset = Math.floor(at * Math.min(within, bytes.length));
      for (let byte = 0; byte < width && offset + byte < bytes.length; byte += 1)
        view.setUint8(offset + byte, byte < 4 ? (value >>> (8 * byte)) & 0xff : value > 0x7fff_ffff ? 0xff : 0);
    }
    return bytes;
  });
}

export function anyBytes(valid: Uint8Array, within?: number): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    { arbitrary: changed(valid, within), weight: 9 },
    { arbitrary: fc.uint8Array({ maxLength: 512 }), weight: 1 },
  );
}

/** Text that was valid but for a few changes: pieces repeated, left out, and put in. */
export function changedText(valid: readonly string[], pieces: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 6, unit: 'binary' }));
  const edit = fc.record({ at: fc.nat(1 << 20), remove: fc.nat(8), put: piece });
  return fc.tuple(fc.constantFrom(...valid), fc.array(edit, { maxLength: 5 })).map(([text, edits]) =>
    edits.reduce((now, { at, remove, put }) => {
      const from = now.length === 0 ? 0 : at % (now.length + 1);
      return now.slice(0, from) + put + now.slice(from + remove);
    }, text),
  );
}
