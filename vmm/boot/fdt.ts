/** A flattened devicetree, as Linux gets it on arm64: a tree of typed values, and its bytes (Devicetree Specification 0.4, chapter 5). */

/**
 * What a property holds. Numbers are 32-bit cells; a bigint is two of them, as addresses and sizes are where
 * `#address-cells` is 2; a name of another node is that node's phandle.
 */
export type FdtValue =
  | { readonly kind: 'empty' }
  | { readonly kind: 'strings'; readonly strings: readonly string[] }
  | { readonly kind: 'cells'; readonly cells: readonly FdtCell[] };

export type FdtCell = number | bigint | { readonly phandleOf: string };

export interface FdtNode {
  /** With its unit address, as in `memory@40000000`; '' for the root. */
  readonly name: string;
  readonly properties?: Readonly<Record<string, FdtValue>>;
  readonly children?: readonly FdtNode[];
  /** Gives the node a phandle, by which cells elsewhere refer to it. */
  readonly label?: string;
}

export const empty: FdtValue = { kind: 'empty' };

export function strings(...values: readonly string[]): FdtValue {
  return { kind: 'strings', strings: values };
}

export function cells(...values: readonly FdtCell[]): FdtValue {
  return { kind: 'cells', cells: values };
}

const MAGIC = 0xd00d_feed;
const VERSION = 17;
const LAST_COMPATIBLE_VERSION = 16;
const HEADER_BYTES = 40;
/** One entry of zeros, which ends the list: there are no reservations. */
const RESERVATIONS_BYTES = 16;
const TOKEN = { beginNode: 1, endNode: 2, property: 3, end: 9 } as const;

/**
 * The tree's bytes, for any CPU: all of it is big-endian.
 *
 * Throws RangeError for a label that two nodes have or none has, a name or text with a NUL, and a number that is no cell.
 */
export function writeFdt(root: FdtNode): Uint8Array {
  const writer = new Writer(phandlesOf(root));
  writer.node(root);
  writer.word(TOKEN.end);
  const structure = writer.structure();
  const names = writer.names();
  const structureAt = HEADER_BYTES + RESERVATIONS_BYTES;
  const namesAt = structureAt + structure.length;
  const bytes = new Uint8Array(namesAt + names.length);
  const header = new DataView(bytes.buffer);
  const fields = [
    MAGIC,
    bytes.length,
    structureAt,
    namesAt,
    HEADER_BYTES,
    VERSION,
    LAST_COMPATIBLE_VERSION,
    0, // the boot CPU
    names.length,
    structure.length,
  ];
  for (const [index, field] of fields.entries()) header.setUint32(index * 4, field);
  bytes.set(structure, structureAt);
  bytes.set(names, namesAt);
  return bytes;
}

/** Numbered from 1 in the order of the tree. */
function phandlesOf(root: FdtNode): ReadonlyMap<string, number> {
  const phandles = new Map<string, number>();
  const visit = ({ label, children = [] }: FdtNode): void => {
    if (label !== undefined) {
      if (phandles.has(label)) throw new RangeError(`two nodes have the label ${label}`);
      phandles.set(label, phandles.size + 1);
    }
    for (const child of children) visit(child);
  };
  visit(root);
  return phandles;
}

class Writer {
  readonly #phandles: ReadonlyMap<string, number>;
  readonly #bytes: number[] = [];
  readonly #names: number[] = [];
  readonly #nameOffsets = new Map<string, number>();

  constructor(phandles: ReadonlyMap<string, number>) {
    this.#phandles = phandles;
  }

  structure(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  names(): Uint8Array {
    return Uint8Array.from(this.#names);
  }

  node({ name, properties = {}, children = [], label }: FdtNode): void {
    this.word(TOKEN.beginNode);
    this.#padded(terminated(name));
    for (const [property, value] of Object.entries(properties)) this.#property(property, this.#encode(value));
    if (label !== undefined) this.#property('phandle', this.#cell({ phandleOf: label }));
    for (const child of children) this.node(child);
    this.word(TOKEN.endNode);
  }

  word(value: number): void {
    this.#bytes.push(...bigEndian(value));
  }

  #property(name: string, value: readonly number[]): void {
    this.word(TOKEN.property);
    this.word(value.length);
    this.word(this.#offsetOf(name));
    this.#padded(value);
  }

  /** Properties of the same name share its text. */
  #offsetOf(name: string): number {
    const known = this.#nameOffsets.get(name);
    if (known !== undefined) return known;
    const offset = this.#names.length;
    this.#names.push(...terminated(name));
    this.#nameOffsets.set(name, offset);
    return offset;
  }

  #padded(bytes: readonly number[]): void {
    for (const byte of bytes) this.#bytes.push(byte);
    while (this.#bytes.length % 4 !== 0) this.#bytes.push(0);
  }

  #encode(value: FdtValue): readonly number[] {
    switch (value.kind) {
      case 'empty':
        return [];
      case 'strings':
        return value.strings.flatMap(terminated);
      case 'cells':
        return value.cells.flatMap((cell) => this.#cell(cell));
    }
  }

  #cell(cell: FdtCell): number[] {
    if (typeof cell === 'number') return bigEndian(cell);
    if (typeof cell === 'bigint') {
      if (cell < 0n || cell >= 1n << 64n) throw new RangeError(`${cell} does not fit in two cells`);
      return [...bigEndian(Number(cell >> 32n)), ...bigEndian(Number(cell & 0xffff_ffffn))];
    }
    const phandle = this.#phandles.get(cell.phandleOf);
    if (phandle === undefined) throw new RangeError(`no node has the label ${cell.phandleOf}`);
    return bigEndian(phandle);
  }
}

function bigEndian(value: number): number[] {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw new RangeError(`${value} is no cell`);
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function terminated(text: string): number[] {
  if (text.includes('\0')) throw new RangeError('a text in a devicetree ends at its first NUL');
  return [...Buffer.from(text), 0];
}
