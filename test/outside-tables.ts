/**
 * Stage 2 of a guest, found and walked in the memory of the emulated machine that its host runs on: nothing that runs inside is asked.
 * The root is the one table by which the guest's own parameters are found where they lie.
 */
import type { Arch } from '../memattr/index.ts';
import { BARE_MAP } from '../vmm/machines/bare.ts';
import { ABI, PARAMS_AT, SIZE_OF } from '../tool/verify/guest/abi.ts';

export interface OutsideLeaf {
  readonly descriptor: bigint;
  /** Of what it maps: 4096, or a block. */
  readonly size: number;
  /** Physical, of the page that the address is in. */
  readonly address: bigint;
}

interface Format {
  /** Bit where the index of the root's table starts, and how many tables beside one another the root has. */
  readonly rootShift: number;
  isTable(entry: bigint, shift: number): boolean;
  isLeaf(entry: bigint, shift: number): boolean;
}

const PAGE = 4096n;
const ADDRESS = 0x000f_ffff_ffff_f000n;

const FORMATS: Readonly<Record<Arch, Format>> = {
  // 40 bits of address, so that walks start at level 1.
  arm64: {
    rootShift: 30,
    isTable: (entry, shift) => (entry & 3n) === 3n && shift > 12,
    isLeaf: (entry, shift) => (entry & 3n) === (shift > 12 ? 1n : 3n),
  },
  x86: {
    rootShift: 39,
    isTable: (entry, shift) => (entry & 1n) === 1n && shift > 12 && (entry & 0x80n) === 0n,
    isLeaf: (entry, shift) => (entry & 1n) === 1n && (shift === 12 || (shift < 39 && (entry & 0x80n) !== 0n)),
  },
};

export class OutsideMemory {
  readonly #bytes: DataView;
  readonly #base: bigint;
  readonly #format: Format;

  /** @param bytes of physical memory from `base` on */
  constructor(arch: Arch, bytes: Uint8Array, base: bigint) {
    this.#bytes = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#base = base;
    this.#format = FORMATS[arch];
  }

  /** The guest's windows, by its parameters, and the leaf of each one's first page. Throws unless exactly one root leads to them. */
  windows(): readonly { readonly gpa: bigint; readonly leaf: OutsideLeaf | null }[] {
    const gpa = BARE_MAP.ramBase + BigInt(ABI.paramsOffset);
    const parameters = this.#pages().filter((at) => this.#bytes.getBigUint64(at + PARAMS_AT.magic, true) === ABI.magic);
    const found = this.#pages().flatMap((root) => {
      const address = this.#walk(this.#base + BigInt(root), gpa)?.address;
      const at = parameters.find((one) => this.#base + BigInt(one) === address);
      return at === undefined ? [] : [{ root: this.#base + BigInt(root), at }];
    });
    const [only] = found;
    if (only === undefined || found.length > 1) throw new Error(`${found.length} roots lead to the guest's parameters`);
    const count = this.#bytes.getUint32(only.at + PARAMS_AT.windowCount, true);
    return Array.from({ length: count }, (_, index) => {
      const window = this.#bytes.getBigUint64(only.at + PARAMS_AT.windows + index * SIZE_OF.window, true);
      return { gpa: window, leaf: this.#walk(only.root, window) };
    });
  }

  #pages(): readonly number[] {
    return Array.from({ length: this.#bytes.byteLength / Number(PAGE) }, (_, index) => index * Number(PAGE));
  }

  #walk(root: bigint, gpa: bigint): OutsideLeaf | null {
    let table = root;
    for (let shift = this.#format.rootShift; shift >= 12; shift -= 9) {
      const at = Number(table - this.#base) + Number((gpa >> BigInt(shift)) & 511n) * 8;
      if (at < 0 || at >= this.#bytes.byteLength) return null;
      const entry = this.#bytes.getBigUint64(at, true);
      if (this.#format.isLeaf(entry, shift)) {
        const mask = (1n << BigInt(shift)) - 1n;
        return {
          descriptor: entry,
          size: 2 ** shift,
          address: (entry & ADDRESS & ~mask) | (gpa & mask & ~(PAGE - 1n)),
        };
      }
      if (!this.#format.isTable(entry, shift)) return null;
      table = entry & ADDRESS;
    }
    return null;
  }
}
