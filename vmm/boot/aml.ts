/** ACPI Machine Language (ACPI 6.5, chapter 20): what describes devices that never change. Every function returns the bytes of one term. */

export type Aml = Uint8Array;

const OP = {
  zero: 0x00,
  one: 0x01,
  name: 0x08,
  byte: 0x0a,
  word: 0x0b,
  doubleWord: 0x0c,
  quadWord: 0x0e,
  scope: 0x10,
  buffer: 0x11,
  package: 0x12,
  extended: 0x5b,
  device: 0x82,
} as const;

const ROOT = 0x5c;

/** A segment of a name has four characters; shorter ones end with underscores. */
export function nameSegment(name: string): Aml {
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(name)) throw new RangeError(`${name} is no name of ACPI's`);
  return Buffer.from(name.padEnd(4, '_'));
}

/** The smallest form of a number that is not negative and has at most 64 bits. */
export function integer(value: bigint | number): Aml {
  const number = BigInt(value);
  if (number < 0n || number >= 1n << 64n) throw new RangeError(`${number} does not fit in 64 bits`);
  if (number === 0n) return Uint8Array.of(OP.zero);
  if (number === 1n) return Uint8Array.of(OP.one);
  if (number < 0x100n) return Uint8Array.of(OP.byte, Number(number));
  if (number < 0x1_0000n) return joined(Uint8Array.of(OP.word), littleEndian(number, 2));
  if (number < 0x1_0000_0000n) return joined(Uint8Array.of(OP.doubleWord), littleEndian(number, 4));
  return joined(Uint8Array.of(OP.quadWord), littleEndian(number, 8));
}

/** A vendor's three letters and four hexadecimal digits, as in PNP0A08, packed in 32 bits. */
export function eisaId(id: string): Aml {
  const [, letters = '', digits = ''] = /^([A-Z]{3})([0-9A-F]{4})$/.exec(id) ?? [];
  if (letters === '') throw new RangeError(`${id} is no EISA id`);
  const vendor = [...letters].reduce((sum, letter) => (sum << 5) | (letter.charCodeAt(0) - 0x40), 0);
  const product = Number.parseInt(digits, 16);
  const [a, b, c, d] = [vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
  return integer(BigInt(a) | (BigInt(b) << 8n) | (BigInt(c) << 16n) | (BigInt(d) << 24n));
}

export function named(name: string, value: Aml): Aml {
  return joined(Uint8Array.of(OP.name), nameSegment(name), value);
}

export function buffer(bytes: Uint8Array): Aml {
  return joined(Uint8Array.of(OP.buffer), sized(integer(bytes.length), bytes));
}

export function packageOf(...elements: readonly Aml[]): Aml {
  if (elements.length > 255) throw new RangeError(`a package has at most 255 elements, not ${elements.length}`);
  return joined(Uint8Array.of(OP.package), sized(Uint8Array.of(elements.length), ...elements));
}

export function device(name: string, ...terms: readonly Aml[]): Aml {
  return joined(Uint8Array.of(OP.extended, OP.device), sized(nameSegment(name), ...terms));
}

/** Below the root: `\NAME`. */
export function scope(name: string, ...terms: readonly Aml[]): Aml {
  return joined(Uint8Array.of(OP.scope), sized(Uint8Array.of(ROOT), nameSegment(name), ...terms));
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** @param bytes how many */
export function littleEndian(value: bigint, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn));
}

/** PkgLength, which counts itself, and what it is the length of. */
function sized(...parts: readonly Uint8Array[]): Uint8Array {
  const content = joined(...parts);
  for (let own = 1; own <= 4; own += 1) {
    const length = content.length + own;
    const most = own === 1 ? 1 << 6 : 1 << (4 + 8 * (own - 1));
    if (length >= most) continue;
    const rest = littleEndian(BigInt(length >> 4), own - 1);
    const lead = own === 1 ? length : ((own - 1) << 6) | (length & 0xf);
    return joined(Uint8Array.of(lead), rest, content);
  }
  throw new RangeError(`${content.length} bytes are more than a package of AML has`);
}
